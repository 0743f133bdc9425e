/** The README's generated table; run by itself this file writes it: `node dist/test/support/readme.js` */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { OPTIONS, type Option } from '../../src/config/options.ts'

/** The repository, from dist/ as well. */
export function repository(): string {
  let directory = import.meta.dirname
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory)
  return directory
}

const BEGIN = '<!-- settings -->\n'
const END = '<!-- /settings -->\n'

/** Every setting as a row of a Markdown table. */
export function settingsTable(): string {
  const rows = OPTIONS.map(
    (option) => `| ${nameOf(option)} | ${defaultOf(option)} | ${meaningOf(option)} |`,
  )
  return ['| Setting | Default | Meaning |', '|---|---|---|', ...rows, ''].join('\n')
}

const code = (text: string): string => `\`${text}\``

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

/** The README with the settings table as it should be. */
export function withSettingsTable(readme: string): string {
  const begin = readme.indexOf(BEGIN)
  const end = readme.indexOf(END)
  if (begin === -1 || end < begin) throw new Error('the README has no place for the settings')
  return `${readme.slice(0, begin + BEGIN.length)}\n${settingsTable()}\n${readme.slice(end)}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = join(repository(), 'README.md')
  writeFileSync(path, withSettingsTable(readFileSync(path, 'utf8')))
}
