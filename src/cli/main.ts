#!/usr/bin/env node
import { existsSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { CommandError } from '../administration/command-error.ts'
import { processEnvironment } from '../config/load.ts'
import { nearest, quote } from '../config/text.ts'
import { describeFileError, errorCode, placeOf } from '../store/files.ts'
import { LockLostError } from '../store/lock.ts'
import type { Command, CommandRow, Invocation } from './command.ts'
import { createTerminal, type Streams } from './terminal.ts'
import { groupUsage, usage } from './usage.ts'
import { packageVersion } from './version.ts'

/** Every command; a row here and a module make a new one. */
const COMMANDS: readonly CommandRow[] = [
  {
    name: 'serve',
    summary: 'answer the reverse proxy: may this request pass?',
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  {
    name: 'init',
    summary: 'make the CA, its CRL and the session keys, or adopt a CA that exists',
    load: async () => (await import('./commands/init.ts')).init,
  },
  {
    name: 'device invite',
    summary: 'make a link by which a new device gets its certificate itself',
    load: async () => (await import('./commands/device-invite.ts')).deviceInvite,
  },
  {
    name: 'device add',
    summary: 'make a certificate for a new device, packed for import',
    load: async () => (await import('./commands/device-add.ts')).deviceAdd,
  },
  {
    name: 'device list',
    summary: 'show all devices: until when they may enter, and when they last did',
    load: async () => (await import('./commands/device-list.ts')).deviceList,
  },
  {
    name: 'device show',
    summary: 'show everything about one device',
    load: async () => (await import('./commands/device-show.ts')).deviceShow,
  },
  {
    name: 'device renew',
    summary: 'make a new certificate for a device before the old one ends',
    load: async () => (await import('./commands/device-renew.ts')).deviceRenew,
  },
  {
    name: 'device revoke',
    summary: 'keep a lost device outside, from its next request on',
    load: async () => (await import('./commands/device-revoke.ts')).deviceRevoke,
  },
  {
    name: 'device sign-out',
    summary: 'end the sessions of a device, and leave it its certificate',
    load: async () => (await import('./commands/device-sign-out.ts')).deviceSignOut,
  },
  {
    name: 'device block',
    summary: 'close to one certificate, whoever issued it',
    load: async () => (await import('./commands/device-block.ts')).deviceBlock,
  },
  {
    name: 'key rotate',
    summary: 'begin to sign sessions with a new key',
    load: async () => (await import('./commands/key-rotate.ts')).keyRotate,
  },
  {
    name: 'ca renew',
    summary: 'make a successor for the CA',
    load: async () => (await import('./commands/ca-renew.ts')).caRenew,
  },
  {
    name: 'explain',
    summary: 'tell what a request would be answered, and why',
    load: async () => (await import('./commands/explain.ts')).explain,
  },
  {
    name: 'doctor',
    summary: 'try the door from outside, and say what is wrong with it',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  {
    name: 'status',
    summary: 'ask the running service who came, who was refused, and what ends next',
    load: async () => (await import('./commands/status.ts')).status,
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
  nowSeconds: Invocation['nowSeconds'] = () => Math.floor(Date.now() / 1000),
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
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${first} `))
  if (row === undefined && group.length > 0) {
    const [, second = ''] = argv
    if (second === '--help' || second === '-h') {
      terminal.print(groupUsage(first, group))
      return 0
    }
    if (second === '') {
      streams.stderr.write(`${groupUsage(first, group)}\n`)
      return 2
    }
  }
  if (row === undefined) {
    terminal.tell(describeUnknown(argv))
    return 2
  }
  const given = { environment, streams, terminal, waitForStop, nowSeconds }
  try {
    const rest = argv.slice(row.name.split(' ').length)
    return await runCommand(row.name, await row.load(), rest, given)
  } catch (error) {
    if (error instanceof CommandError) {
      for (const problem of error.problems) terminal.tell(problem)
      return error.exitCode
    }
    const fileProblem = describeUnusableFile(error)
    if (fileProblem !== undefined) {
      terminal.tell(fileProblem)
      return 1
    }
    terminal.tell('internal error; please report it with these lines')
    for (const line of stackOf(error).split('\n')) terminal.tell(line)
    return 1
  }
}

interface FileError extends NodeJS.ErrnoException {
  readonly dest?: string
  /** Of `replaceFile`. */
  readonly isReplaced?: true
}

/** A file that cannot be read or written is no fault of the program. */
function describeUnusableFile(error: unknown): string | undefined {
  if (error instanceof LockLostError) return error.message
  if (errorCode(error) === undefined || !(error instanceof Error)) return undefined
  const { path, dest, syscall, isReplaced } = error as FileError
  const place = dest ?? path
  if (isReplaced === true) {
    return `${place} was written, but may not outlive a power cut (${errorCode(error)}); run the command again`
  }
  const next = 'when that is mended, run it again: what was begun is completed or undone then'
  if (place !== undefined) return `${placeOf(place)} ${describeFileError(error)}; ${next}`
  return syscall === undefined ? undefined : `a file ${describeFileError(error)}; ${next}`
}

const startsWith = (argv: readonly string[], words: readonly string[]): boolean =>
  words.every((word, index) => argv[index] === word)

function describeUnknown(argv: readonly string[]): string {
  const [first = ''] = argv
  if (first.startsWith('-')) return `unknown option ${quote(first)}; see certlatch --help`
  const names = COMMANDS.map(({ name }) => name)
  const near = nearest(first, names) ?? nearest(argv.slice(0, 2).join(' '), names)
  const hint = near === undefined ? 'see certlatch --help' : `did you mean certlatch ${near}?`
  const isGroup = names.some((name) => name.startsWith(`${first} `))
  const shown = isGroup ? argv.slice(0, 2).join(' ') : first
  return `unknown command ${quote(shown)}; ${hint}`
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
    const { values, positionals, tokens } = parseArgs({
      args: [...argv],
      options: { ...command.options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: command.takesPositionals ?? false,
      tokens: true,
    })
    const names = tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []))
    const given: Readonly<Record<string, unknown>> = values
    const isText = (name: string) => typeof given[name] === 'string'
    const twice = names.find((name, index) => isText(name) && names.indexOf(name) < index)
    if (twice !== undefined) {
      return { ok: false, problem: `option "--${twice}" is given more than once` }
    }
    return { ok: true, flags: values, positionals }
  } catch (error) {
    return { ok: false, problem: inOurVoice(error as Error) }
  }
}

/** The first sentence of what parseArgs throws, as ours: `Unknown option '--x'. To specify…` */
function inOurVoice({ message }: Error): string {
  const dashed = /argument is ambiguous.* use '(--[a-z-]+)=/s.exec(message)?.[1]
  if (dashed !== undefined) {
    return `option "${dashed}" expects a value; one that begins with a dash is written ${dashed}=-…`
  }
  const [first = ''] = message.split(/\.\s(?=[A-Z])/)
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
