/**
 * The generated tables of the documents, from the code and the newest benchmark. Run directly, this
 * file writes them: `npm run build && node dist/test/support/write-tables.js`
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { OPTIONS, type Option, type SettingName } from '../../src/config/options.ts'
import { DENY_REASONS, type DenyReason } from '../../src/decision.ts'
import { ADVICE } from '../../src/explain/advice.ts'
import { costTable, performanceSummary, performanceTable } from './benchmark-tables.ts'
import { checksTables } from './doctor-table.ts'
import { repository } from './repository.ts'

/** What is between `<!-- name -->` and `<!-- /name -->` of a document, made from what is there now. */
type Blocks = Readonly<Record<string, (current: string) => string>>

const COMMON_SETTINGS: readonly SettingName[] = [
  'CERTLATCH_PROXY',
  'CERTLATCH_TRUSTED_PROXIES',
  'CERTLATCH_DATA_DIR',
  'CERTLATCH_POLICY_FILE',
  'CERTLATCH_SESSION_MAX_AGE',
  'CERTLATCH_DENIAL',
]

const DOCUMENTS: Readonly<Record<string, Blocks>> = {
  'README.md': {
    settings: () => settingsTable(OPTIONS.filter(({ name }) => COMMON_SETTINGS.includes(name))),
    performance: performanceSummary,
  },
  'docs/configuration.md': { settings: () => settingsTable(OPTIONS) },
  'docs/reasons.md': { reasons: reasonsTable },
  'docs/doctor.md': { checks: checksTables },
  'docs/scaling.md': { performance: performanceTable, cost: costTable },
}

export const GENERATED: readonly string[] = Object.keys(DOCUMENTS)

const code = (text: string): string => `\`${text}\``

function settingsTable(options: readonly Option[]): string {
  const rows = options.map(
    (option) => `| ${nameOf(option)} | ${defaultOf(option)} | ${meaningOf(option)} |`,
  )
  return ['| Setting | Default | Meaning |', '|---|---|---|', ...rows].join('\n')
}

function nameOf({ name, secret }: Option): string {
  return secret === true ? `${code(name)} or ${code(`${name}_FILE`)}` : code(name)
}

/** Values in code, the words around them not. */
function defaultOf({ default: value, otherwise }: Option): string {
  if (value !== undefined) return code(value)
  return (otherwise ?? '–').replace(/<data>[^ ,]*|CERTLATCH_\w+|__\w+-certlatch/g, code)
}

function meaningOf(option: Option): string {
  const meaning = option.help.replace(
    /CERTLATCH_\w+|X-Certlatch-[\w-]+|\/(?:verify|metrics|\w+z|status)\b/g,
    code,
  )
  return option.kind === 'choice' ? `${meaning}: ${option.choices.map(code).join(', ')}` : meaning
}

/** A row for each reason, in the order of the code. The meaning is the document's own text. */
function reasonsTable(current: string): string {
  const meanings = new Map(
    [...current.matchAll(/^\| `([\w-]+)` \| (.*?) \| /gm)].map(([, reason, text]) => [
      reason,
      text,
    ]),
  )
  const reasons = Object.keys(DENY_REASONS) as DenyReason[]
  const rows = reasons.map((reason) => {
    const meaning = meanings.get(reason)
    if (meaning === undefined) throw new Error(`docs/reasons.md does not say what ${reason} means`)
    return `| ${code(reason)} | ${meaning} | ${adviceFor(reason)} |`
  })
  return ['| Reason | Meaning | What to do |', '|---|---|---|', ...rows].join('\n')
}

const COMMAND =
  /\bcertlatch (?:(?:ca|device|key) [a-z-]+(?: NAME)?(?: --[a-z]+)*(?: FILE)?|explain)/

/** Settings, files, flags and keys of a file, beside whole commands. */
const NAMES = /CERTLATCH_[A-Z_]+(?:=\w+)?|private\/devices|(?<!\w)--[a-z]+|\b[a-z]+_[a-z]+\b/

/** As a sentence, with code as Markdown has it. */
function adviceFor(reason: DenyReason): string {
  const text = ADVICE[reason]
    .replaceAll('\\', '\\\\')
    .replaceAll(new RegExp(`${COMMAND.source}|${NAMES.source}`, 'g'), code)
    .replace('deploy/', '[deploy](../deploy)')
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

/** The document with its generated blocks as they should be. */
export function withTables(document: string, text: string): string {
  return Object.entries(DOCUMENTS[document] ?? {}).reduce((written, [name, write]) => {
    const begin = `<!-- ${name} -->\n`
    const end = `\n<!-- /${name} -->`
    const [before = '', rest] = written.split(begin, 2)
    const [current = '', after] = rest?.split(end, 2) ?? []
    if (after === undefined) throw new Error(`${document} has no place for ${name}`)
    return `${before}${begin}\n${write(current)}\n${end}${after}`
  }, text)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const document of GENERATED) {
    const path = join(repository(), document)
    writeFileSync(path, withTables(document, readFileSync(path, 'utf8')))
  }
}
