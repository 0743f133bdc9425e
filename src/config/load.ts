import { readFileSync } from 'node:fs'
import type { Problems, Result } from '../result.ts'
import { type Config, parseConfig } from './config.ts'
import { OPTIONS, type Option } from './options.ts'
import { nearest, printable, quote } from './text.ts'
import { warningsOf } from './warnings.ts'

const PREFIX = 'CERTLATCH_'

/** The environment of this process; only this function reads it. */
export function processEnvironment(): NodeJS.ProcessEnv {
  return process.env
}

/** A configuration with its warnings, or everything that is wrong with it. */
export type LoadedConfig = Result<{ config: Config; warnings: readonly string[] }, Problems>

/** The configuration from `CERTLATCH_…` variables and the files that some of them name. */
export function loadConfig(environment: NodeJS.ProcessEnv): LoadedConfig {
  const values: Record<string, string> = {}
  const problems = unknownNames(environment).map(describeUnknown)
  for (const option of OPTIONS) {
    const gathered = gather(option, environment)
    if (typeof gathered === 'string') values[option.name] = gathered
    else if (gathered !== undefined) problems.push(gathered.problem)
  }
  const parsed = parseConfig(values)
  if (!parsed.ok) return { ok: false, problems: [...problems, ...parsed.problems] }
  const { config } = parsed
  return problems.length > 0
    ? { ok: false, problems }
    : { ok: true, config, warnings: warningsOf(config) }
}

type Gathered = string | undefined | { readonly problem: string }

function gather({ name, secret }: Option, environment: NodeJS.ProcessEnv): Gathered {
  const value = environment[name]
  const fileName = `${name}_FILE`
  const path = secret ? environment[fileName] : undefined
  if (path === undefined) return value
  if (value !== undefined) {
    return { problem: `${name} and ${fileName} are both set: remove one of them` }
  }
  if (path === '') return { problem: `${fileName} is empty: remove it or give it a path` }
  const text = readSecretFile(path)
  if (typeof text === 'string' && text !== '') return text
  const why = text === '' ? 'the file is empty' : text.problem
  return { problem: `${fileName} is ${quote(path)}: ${why}` }
}

/** One final newline is dropped: editors and `echo` add it. */
function readSecretFile(path: string): Exclude<Gathered, undefined> {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException
    return { problem: WORDS_FOR[code] ?? `the file cannot be read (${code})` }
  }
}

const WORDS_FOR: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'the user that certlatch runs as may not read the file',
  EISDIR: 'expected a file, but it is a directory',
}

const NAMES = OPTIONS.flatMap(({ name, secret }) => (secret ? [name, `${name}_FILE`] : [name]))
const KNOWN: ReadonlySet<string> = new Set(NAMES)

/** The hook's own variables may be left over in the environment of a command that it runs. */
const HOOK_PREFIX = `${PREFIX}REVOKED_`

/** The variables that Kubernetes sets in every container for a Service called `certlatch…`. */
const SERVICE_VARIABLE =
  /^CERTLATCH_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/
/** Its name alone could also be a mistyped setting's. */
const SERVICE_PORT = /^CERTLATCH_(?:[A-Z0-9_]+_)?PORT$/
const SERVICE_PORT_VALUE = /^(?:tcp|udp|sctp):\/\//

function unknownNames(environment: NodeJS.ProcessEnv): readonly string[] {
  return Object.entries(environment)
    .filter(([name]) => name.startsWith(PREFIX) && !KNOWN.has(name))
    .filter(([name, value = '']) => {
      if (name.startsWith(HOOK_PREFIX) || SERVICE_VARIABLE.test(name)) return false
      return !(SERVICE_PORT.test(name) && SERVICE_PORT_VALUE.test(value))
    })
    .map(([name]) => name)
    .sort()
}

/** What to use instead of settings that people expect but that do not exist. */
const INSTEAD: Readonly<Record<string, string>> = {
  CERTLATCH_WORKERS:
    'certlatch is one process; for several, run replicas (deploy/compose/scale.yml or deploy/kubernetes)',
}

function describeUnknown(name: string): string {
  const shown = printable(name)
  const instead = INSTEAD[name]
  if (instead !== undefined) return `${shown} is not a setting: ${instead}`
  const withoutFile = name.replace(/_FILE$/, '')
  if (KNOWN.has(withoutFile)) {
    return `${shown} is not a setting: only secrets are read from a file; set ${withoutFile}`
  }
  const near = nearest(
    name.slice(PREFIX.length),
    NAMES.map((known) => known.slice(PREFIX.length)),
  )
  const hint =
    near === undefined ? 'certlatch serve --help lists all' : `did you mean ${PREFIX}${near}?`
  return `${shown} is not a setting: ${hint}`
}
