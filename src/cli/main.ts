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

/** Every command. To add one, add a row and a module, which exports what `Command` has. */
const COMMANDS: readonly CommandRow[] = [
  {
    name: 'serve',
    summary: 'answer the auth requests of the reverse proxy',
    load: () => import('./commands/serve.ts'),
  },
  {
    name: 'init',
    summary: 'create the CA, its CRL and the session keys, or import an existing CA',
    load: () => import('./commands/init.ts'),
  },
  {
    name: 'device invite',
    summary: 'create a link with which a device installs its certificate itself',
    load: () => import('./commands/device-invite.ts'),
  },
  {
    name: 'device add',
    summary: 'create a certificate for a new device, packed for import',
    load: () => import('./commands/device-add.ts'),
  },
  {
    name: 'device list',
    summary: 'list all devices: when they expire, and when they were last seen',
    load: () => import('./commands/device-list.ts'),
  },
  {
    name: 'device show',
    summary: 'show everything about one device',
    load: () => import('./commands/device-show.ts'),
  },
  {
    name: 'device renew',
    summary: 'create a new certificate for a device before the old one expires',
    load: () => import('./commands/device-renew.ts'),
  },
  {
    name: 'device revoke',
    summary: 'revoke a lost device, from its next request on',
    load: () => import('./commands/device-revoke.ts'),
  },
  {
    name: 'device sign-out',
    summary: 'end all sessions of a device, but keep its certificate',
    load: () => import('./commands/device-sign-out.ts'),
  },
  {
    name: 'device block',
    summary: 'block one certificate, whichever CA issued it',
    load: () => import('./commands/device-block.ts'),
  },
  {
    name: 'key rotate',
    summary: 'start to sign sessions with a new key',
    load: () => import('./commands/key-rotate.ts'),
  },
  {
    name: 'ca renew',
    summary: 'create a successor to the CA',
    load: () => import('./commands/ca-renew.ts'),
  },
  {
    name: 'explain',
    summary: 'explain how a request would be answered, and why',
    load: () => import('./commands/explain.ts'),
  },
  {
    name: 'doctor',
    summary: 'test the deployment from outside, and report what is wrong',
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'status',
    summary: 'show who was allowed, what was denied, and what expires next',
    load: () => import('./commands/status.ts'),
  },
  {
    name: 'healthcheck',
    summary: 'ask the running service whether it is ready',
    load: () => import('./commands/healthcheck.ts'),
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
  const given = { environment, streams, terminal, waitForStop, nowSeconds }
  const exitCode = await runLine(argv, given)
  const error = await terminal.writeError()
  if (error === undefined) return exitCode
  const code = errorCode(error)
  const reason = code === 'ENOSPC' ? 'the disk is full' : (code ?? error.message)
  terminal.error(`cannot write the output: ${reason}`)
  return exitCode === 0 ? EXIT_CODES.failed : exitCode
}

type Given = Omit<Invocation, 'command' | keyof Arguments>

async function runLine(argv: readonly string[], given: Given): Promise<ExitCode> {
  const { terminal, streams } = given
  const [first = '', second = ''] = argv
  // `device` alone is no command: it gets the overview of those that begin with it.
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${first} `))
  const [word, overview] =
    group.length > 0 ? [second, groupUsage(first, group)] : [first, usage(COMMANDS)]
  if (word === '') {
    streams.stderr.write(`${overview}\n`)
    return EXIT_CODES.usage
  }
  if (word === '--help' || word === '-h') {
    terminal.print(overview)
    return 0
  }
  if (first === '--version') {
    terminal.print(packageVersion())
    return 0
  }
  try {
    return await runCommand(argv, given)
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
  /** Set by `midChange`. */
  readonly isMidChange?: true
}

/** Turns an error of the file system into a `CommandError`, because it is not a bug. */
function unusableFile(error: unknown): CommandError | undefined {
  if (error instanceof LockLostError) return new CommandError(error.message)
  if (errorCode(error) === undefined || !(error instanceof Error)) return undefined
  const { path, dest, syscall, isReplaced, isMidChange } = error as FileError
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
    hint: `fix that and run the command again${isMidChange === true ? ': what was begun is then completed or undone' : ''}`,
  })
}

async function runCommand(argv: readonly string[], given: Given): Promise<ExitCode> {
  const row = COMMANDS.find(({ name }) =>
    name.split(' ').every((word, index) => argv[index] === word),
  )
  if (row === undefined) throw unknownCommand(argv)
  const command = await row.load()
  const read = readArguments(row.name, command, argv.slice(row.name.split(' ').length))
  if (read.flags['help'] !== true) return command.run({ ...given, ...read, command: row.name })
  given.terminal.print(command.help)
  return 0
}

function unknownCommand(argv: readonly string[]): CommandError {
  const [first = ''] = argv
  if (first.startsWith('-')) {
    return usageError(`unknown option ${quote(first)}`, 'see certlatch --help')
  }
  const names = COMMANDS.map(({ name }) => name)
  const both = argv.slice(0, 2).join(' ')
  const near = nearest(first, names) ?? nearest(both, names)
  const hint = near === undefined ? 'see certlatch --help' : `did you mean certlatch ${near}?`
  const isGroup = names.some((name) => name.startsWith(`${first} `))
  return usageError(`unknown command ${quote(isGroup ? both : first)}`, hint)
}

type Arguments = Pick<Invocation, 'flags' | 'positionals'>

/** Throws a usage error that names the command's `--help`. */
function readArguments(name: string, command: Command, argv: readonly string[]): Arguments {
  const hint = `see certlatch ${name} --help`
  const { values, positionals, tokens } = parse(command, argv, hint)
  const flags: Arguments['flags'] = values
  const names = tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []))
  const repeated = names.find(
    (flag, index) => typeof flags[flag] === 'string' && names.indexOf(flag) < index,
  )
  if (repeated === undefined) return { flags, positionals }
  throw usageError(`option "--${repeated}" is given more than once`, hint)
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
