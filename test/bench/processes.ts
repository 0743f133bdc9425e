import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants, readFile } from 'node:fs/promises'
import { type Agent, get } from 'node:http'
import { availableParallelism } from 'node:os'
import { delimiter, join } from 'node:path'
import { shippedEnvironment, shippedNodeOptions } from '../support/shipped-environment.ts'

const SERVER_CORE = 0
const FASTEST_LOOK_MILLISECONDS = 1
const PATIENCE_MILLISECONDS = 10_000
/** What Linux counts CPU time in, for every program. */
const TICKS_PER_SECOND = 100

export async function hasProgram(name: string): Promise<boolean> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      await access(join(folder, name), constants.X_OK)
      return true
    } catch {
      // The next folder.
    }
  }
  return false
}

export const canPin = async (): Promise<boolean> =>
  availableParallelism() > 1 && (await hasProgram('taskset'))

/** The command on one core, where that can be had. */
export async function pinned(core: number, command: readonly string[]): Promise<readonly string[]> {
  return (await canPin()) ? ['taskset', '-c', String(core), ...command] : command
}

/** A request, and the answer that shows that the server does what the benchmark assumes. */
export interface Ask {
  readonly headers: Readonly<Record<string, string>>
  readonly status: number
  /** `/verify` unless another is named. */
  readonly path?: string
}

export interface RunningServer {
  readonly port: number
  readonly process: ChildProcess
  /** From spawning to the first expected answer. */
  readonly startMilliseconds: number
  /** Seconds of CPU so far; `undefined` if the system does not report them. */
  cpuSeconds(): Promise<number | undefined>
  memoryMegabytes(): Promise<number | undefined>
  stop(): Promise<void>
}

/**
 * Runs a script with Node on the servers' core until it gives the expected answer: certlatch as the image
 * runs it, and the other servers too, so that it favours none.
 */
export function startServer(
  script: string,
  words: readonly string[],
  port: number,
  environment: Readonly<Record<string, string>>,
  ask: Ask,
  manner: Manner = {},
): Promise<RunningServer> {
  const { nodeOptions = [], checkout } = manner
  const options = [...shippedNodeOptions(checkout), ...nodeOptions]
  const command = [process.execPath, ...options, script, ...words]
  return startProgram(command, port, { ...shippedEnvironment(checkout), ...environment }, ask, {
    errors: 'inherit',
    ...manner,
  })
}

export interface Manner {
  readonly errors?: 'inherit' | 'ignore'
  /** For a script. */
  readonly nodeOptions?: readonly string[] | undefined
  /** For a script: the checkout whose Dockerfile gives its settings; this one unless named. */
  readonly checkout?: string | undefined
}

/** The same for any program. */
export async function startProgram(
  command: readonly string[],
  port: number,
  environment: Readonly<Record<string, string>>,
  ask: Ask,
  { errors = 'ignore' }: Manner = {},
): Promise<RunningServer> {
  const [program = '', ...rest] = await pinned(SERVER_CORE, command)
  const startedAt = performance.now()
  const child = spawn(program, rest, {
    stdio: ['ignore', 'ignore', errors],
    env: { PATH: process.env['PATH'], ...environment },
  })
  const status = await firstAnswer(child, port, ask, startedAt)
  const startMilliseconds = performance.now() - startedAt
  if (status !== ask.status) {
    child.kill('SIGKILL')
    throw new Error(`${command.join(' ')} answers ${status}, not ${ask.status}`)
  }
  return {
    port,
    process: child,
    startMilliseconds,
    cpuSeconds: () => readCpuSeconds(child.pid),
    memoryMegabytes: () => readMemory(child.pid),
    stop: async () => {
      const ended = child.exitCode === null ? once(child, 'exit') : undefined
      child.kill('SIGKILL')
      await ended
    },
  }
}

async function firstAnswer(
  child: ChildProcess,
  port: number,
  ask: Ask,
  startedAt: number,
): Promise<number | undefined> {
  while (child.exitCode === null && performance.now() - startedAt < PATIENCE_MILLISECONDS) {
    try {
      const { status } = await question(port, ask.headers, undefined, ask.path)
      // Traefik listens before it has loaded its routes.
      if (status !== 404) return status
    } catch {
      // Not there yet.
    }
    await new Promise((resolve) => setTimeout(resolve, FASTEST_LOOK_MILLISECONDS))
  }
  child.kill('SIGKILL')
  throw new Error(`no answer from ${child.spawnargs.join(' ')}`)
}

/** One GET, read to its end. */
export async function question(
  port: number,
  headers: Readonly<Record<string, string>>,
  agent?: Agent,
  path = '/verify',
): Promise<{ readonly status: number | undefined; readonly bodyLength: number }> {
  const request = get({ host: '127.0.0.1', port, path, headers, agent: agent ?? false })
  const [response] = await once(request, 'response')
  let bodyLength = 0
  for await (const chunk of response) bodyLength += chunk.length
  return { status: response.statusCode, bodyLength }
}

async function readCpuSeconds(pid: number | undefined): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined)
  if (text === undefined) return undefined
  // The second field, the program's name, may contain blanks; it ends at the last parenthesis.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

async function readMemory(pid: number | undefined): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => undefined)
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(text ?? '')?.[1]
  return kilobytes === undefined ? undefined : Number(kilobytes) / 1024
}
