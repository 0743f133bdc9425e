#!/usr/bin/env node
import { existsSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { CommandError, type CommandErrorCode, usageError } from '../administration/command-error.ts'
import { processEnvironment } from '../config/load.ts'
import { nearest, quote } from '../config/text.ts'
import { describeFileError, errorCode, placeOf } from '../store/files.ts'
import { LockLostError } from '../store/lock.ts'
import type { Command, CommandRow, ExitCode, Invocation } from './command.ts'
import { createTerminal, type Streams, type Terminal } from './terminal.ts'
import { groupUsage, usage } from './usage.ts'
import { packageVersion } from './version.ts'

/** Every command. To add one, add a row and a module. */
const COMMANDS: readonly CommandRow[] = [
  {
    name: 'serve',
    summary: 'answer the auth requests of the reverse proxy',
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  {
    name: 'init',
    summary: 'create the CA, its CRL and the session keys, or import an existing CA',
    load: async () => (await import('./commands/init.ts')).init,
  },
  {
    name: 'device invite',
    summary: 'create a link with which a device installs its certificate itself',
    load: async () => (await import('./commands/device-invite.ts')).deviceInvite,
  },
  {
    name: 'device add',
    summary: 'create a certificate for a new device, packed for import',
    load: async () => (await import('./commands/device-add.ts')).deviceAdd,
  },
  {
    name: 'device list',
    summary: 'list all devices: when they expire, and when they were last seen',
    load: async () => (await import('./commands/device-list.ts')).deviceList,
  },
  {
    name: 'device show',
    summary: 'show everything about one device',
    load: async () => (await import('./commands/device-show.ts')).deviceShow,
  },
  {
    name: 'device renew',
    summary: 'create a new certificate for a device before the old one expires',
    load: async () => (await import('./commands/device-renew.ts')).deviceRenew,
  },
  {
    name: 'device revoke',
    summary: 'revoke a lost device, from its next request on',
    load: async () => (await import('./commands/device-revoke.ts')).deviceRevoke,
  },
  {
    name: 'device sign-out',
    summary: 'end all sessions of a device, but keep its certificate',
    load: async () => (await import('./commands/device-sign-out.ts')).deviceSignOut,
  },
  {
    name: 'device block',
    summary: 'block one certificate, whichever CA issued it',
    load: async () => (await import('./commands/device-block.ts')).deviceBlock,
  },
  {
    name: 'key rotate',
    summary: 'start to sign sessions with a new key',
    load: async () => (await import('./commands/key-rotate.ts')).keyRotate,
  },
  {
    name: 'ca renew',
    summary: 'create a successor to the CA',
    load: async () => (await import('./commands/ca-renew.ts')).caRenew,
  },
  {
    name: 'explain',
    summary: 'explain how a request would be answered, and why',
    load: async () => (await import('./commands/explain.ts')).explain,
  },
  {
    name: 'doctor',
    summary: 'test the deployment from outside, and report what is wrong',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  {
    name: 'status',
    summary: 'show who was allowed, what was denied, and what expires next',
    load: async () => (await import('./commands/status.ts')).status,
  },
  {
    name: 'healthcheck',
    summary: 'ask the running service whether it is ready',
    load: async () => (await import('./commands/healthcheck.ts')).healthcheck,
  },
]

/** Runs one command line (without the program name) and returns its exit code. */
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
    return report(terminal, unknownCommand(argv))
  }
  const given = { environment, streams, terminal, waitForStop, nowSeconds }
  try {
    const rest = argv.slice(row.name.split(' ').length)
    return await runCommand(row.name, await row.load(), rest, given)
  } catch (error) {
    const known = error instanceof CommandError ? error : unusableFile(error)
    if (known !== undefined) return report(terminal, known)
    terminal.error('internal error', 'please report it with the lines below')
    for (const line of stackOf(error).split('\n')) terminal.note(line)
    return EXIT_CODES.failed
  }
}

const EXIT_CODES: Readonly<Record<CommandErrorCode, ExitCode>> = { failed: 1, usage: 2 }

function report(terminal: Terminal, { problems, hint, code }: CommandError): ExitCode {
  for (const [index, problem] of problems.entries()) {
    terminal.error(problem, index === problems.length - 1 ? hint : undefined)
  }
  return EXIT_CODES[code]
}

interface FileError extends NodeJS.ErrnoException {
  readonly dest?: string
  /** Set by `replaceFile`. */
  readonly isReplaced?: true
}

/** Turns an error of the file system into a `CommandError`, because it is not a bug. */
function unusableFile(error: unknown): CommandError | undefined {
  if (error instanceof LockLostError) return new CommandError(error.message)
  if (errorCode(error) === undefined || !(error instanceof Error)) return undefined
  const { path, dest, syscall, isReplaced } = error as FileError
  const place = dest ?? path
  if (isReplaced === true) {
    return new CommandError(
      `${place} was written, but may not survive a power cut (${errorCode(error)})`,
      { hint: 'run the command again' },
    )
  }
  if (place === undefined && syscall === undefined) return undefined
  const what = place === undefined ? 'a file' : placeOf(place)
  return new CommandError(`${what} ${describeFileError(error)}`, {
    hint: 'fix that and run the command again: what was begun is then completed or undone',
  })
}

const startsWith = (argv: readonly string[], words: readonly string[]): boolean =>
  words.every((word, index) => argv[index] === word)

function unknownCommand(argv: readonly string[]): CommandError {
  const [first = ''] = argv
  if (first.startsWith('-'))
    return usageError(`unknown option ${quote(first)}`, 'see certlatch --help')
  const names = COMMANDS.map(({ name }) => name)
  const near = nearest(first, names) ?? nearest(argv.slice(0, 2).join(' '), names)
  const hint = near === undefined ? 'see certlatch --help' : `did you mean certlatch ${near}?`
  const isGroup = names.some((name) => name.startsWith(`${first} `))
  const shown = isGroup ? argv.slice(0, 2).join(' ') : first
  return usageError(`unknown command ${quote(shown)}`, hint)
}

async function runCommand(
  name: string,
  command: Command,
  argv: readonly string[],
  given: Omit<Invocation, 'flags' | 'positionals'>,
): Promise<number> {
  const read = readArguments(name, command, argv)
  if (read.flags['help'] === true) {
    given.terminal.print(command.help())
    return 0
  }
  return command.run({ ...given, flags: read.flags, positionals: read.positionals })
}

type Arguments = Pick<Invocation, 'flags' | 'positionals'>

/** Throws a usage error that names the command's `--help`. */
function readArguments(name: string, command: Command, argv: readonly string[]): Arguments {
  const hint = `see certlatch ${name} --help`
  const { values, positionals, tokens } = parse(command, argv, hint)
  const names = tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []))
  const flags: Arguments['flags'] = values
  const repeated = names.find(
    (flag, index) => typeof flags[flag] === 'string' && names.indexOf(flag) < index,
  )
  if (repeated !== undefined) {
    throw usageError(`option "--${repeated}" is given more than once`, hint)
  }
  return { flags, positionals }
}

function parse(command: Command, argv: readonly string[], hint: string) {
  try {
    return parseArgs({
      args: [...argv],
      options: { ...command.options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: command.takesPositionals ?? false,
      tokens: true,
    })
  } catch (error) {
    throw usageError(rephrase(error as Error), hint)
  }
}

/** Shortens a message of `parseArgs` to its first sentence: `Unknown option '--x'. To specify…` */
function rephrase({ message }: Error): string {
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

const EXIT_DELAY_MILLISECONDS = 1_000
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const

/** Resolves on the first signal; a second one ends the process as if there were no listener. */
function signalToStop(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      for (const signal of STOP_SIGNALS) process.off(signal, stop)
      resolve()
    }
    for (const signal of STOP_SIGNALS) process.on(signal, stop)
  })
}

/** Returns whether this file was started, directly or by the link in node_modules/.bin. */
function isStarted(script = ''): boolean {
  return existsSync(script) && realpathSync(script) === fileURLToPath(import.meta.url)
}

if (isStarted(process.argv[1])) {
  process.exitCode = await run(process.argv.slice(2), processEnvironment(), process, signalToStop)
  // A read that hangs (a dead network file system) would keep the process alive forever.
  setTimeout(() => process.exit(), EXIT_DELAY_MILLISECONDS).unref()
}
