#!/usr/bin/env node
import { existsSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { processEnvironment } from '../config/load.ts'
import { nearest, quote } from '../config/text.ts'
import type { Command, CommandRow, Invocation } from './command.ts'
import { createTerminal, type Streams } from './terminal.ts'
import { usage } from './usage.ts'
import { packageVersion } from './version.ts'

/** Every command; a row here and a module make a new one. */
const COMMANDS: readonly CommandRow[] = [
  {
    name: 'serve',
    summary: 'answer the reverse proxy: may this request pass?',
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  {
    name: 'healthcheck',
    summary: 'ask the running service whether it is ready',
    load: async () => (await import('./commands/healthcheck.ts')).healthcheck,
  },
]

/** Runs one command line (without program names) and answers its exit code. */
export async function run(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
  streams: Streams,
  waitForStop: Invocation['waitForStop'],
): Promise<number> {
  const terminal = createTerminal(streams)
  const [first] = argv
  if (first === undefined) {
    streams.stderr.write(`${usage(COMMANDS)}\n`)
    return 2
  }
  if (first === '--help' || first === '-h') {
    terminal.print(usage(COMMANDS))
    return 0
  }
  if (first === '--version') {
    terminal.print(packageVersion())
    return 0
  }
  const row = COMMANDS.find(({ name }) => startsWith(argv, name.split(' ')))
  if (row === undefined) {
    terminal.tell(describeUnknown(argv))
    return 2
  }
  const given = { environment, streams, terminal, waitForStop }
  try {
    const rest = argv.slice(row.name.split(' ').length)
    return await runCommand(row.name, await row.load(), rest, given)
  } catch (error) {
    terminal.tell('internal error; please report it with these lines')
    for (const line of stackOf(error).split('\n')) terminal.tell(line)
    return 1
  }
}

const startsWith = (argv: readonly string[], words: readonly string[]): boolean =>
  words.every((word, index) => argv[index] === word)

function describeUnknown(argv: readonly string[]): string {
  const [first = ''] = argv
  if (first.startsWith('-')) return `unknown option ${quote(first)}; see certlatch --help`
  const names = COMMANDS.map(({ name }) => name)
  const near = nearest(first, names) ?? nearest(argv.slice(0, 2).join(' '), names)
  const hint = near === undefined ? 'see certlatch --help' : `did you mean certlatch ${near}?`
  return `unknown command ${quote(first)}; ${hint}`
}

async function runCommand(
  name: string,
  command: Command,
  argv: readonly string[],
  given: Omit<Invocation, 'flags' | 'positionals'>,
): Promise<number> {
  const read = readArguments(command, argv)
  if (!read.ok) {
    given.terminal.tell(`${read.problem}; see certlatch ${name} --help`)
    return 2
  }
  if (read.flags['help'] === true) {
    given.terminal.print(command.help())
    return 0
  }
  return command.run({ ...given, flags: read.flags, positionals: read.positionals })
}

type Arguments =
  | ({ readonly ok: true } & Pick<Invocation, 'flags' | 'positionals'>)
  | { readonly ok: false; readonly problem: string }

function readArguments(command: Command, argv: readonly string[]): Arguments {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: { ...command.options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: command.takesPositionals ?? false,
    })
    return { ok: true, flags: values, positionals }
  } catch (error) {
    return { ok: false, problem: inOurVoice(error as Error) }
  }
}

/** The first sentence of what parseArgs throws, as ours: `Unknown option '--x'. To specify…` */
function inOurVoice({ message }: Error): string {
  const [first = ''] = message.split(/\. (?=[A-Z])/)
  const sentence = first.replace(/'(.*)'/, '"$1"')
  return `${sentence.slice(0, 1).toLowerCase()}${sentence.slice(1)}`
}

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error)

const LAST_WORDS_MILLISECONDS = 1_000
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const

/** Resolves at the first signal; a second one ends the process as if nobody listened. */
function signalToStop(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      for (const signal of STOP_SIGNALS) process.off(signal, stop)
      resolve()
    }
    for (const signal of STOP_SIGNALS) process.on(signal, stop)
  })
}

/** Whether this file is what was started, also by the link in node_modules/.bin. */
function isStarted(script = ''): boolean {
  return existsSync(script) && realpathSync(script) === fileURLToPath(import.meta.url)
}

if (isStarted(process.argv[1])) {
  process.exitCode = await run(process.argv.slice(2), processEnvironment(), process, signalToStop)
  // A read that hangs (a dead network file system) would keep the process for ever.
  setTimeout(() => process.exit(), LAST_WORDS_MILLISECONDS).unref()
}
