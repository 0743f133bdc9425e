import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What happens to a program instead of one of the calls by which it changes a file system. */
export interface Fault {
  /** The how-manieth of these calls it is, from 1. */
  readonly at: number
  /** `kill`: SIGKILL right before the call; else the call fails with this error. */
  readonly kind: 'kill' | 'ENOSPC' | 'EROFS' | 'EIO'
}

export interface FaultyRun {
  /** `undefined`: it was killed. */
  readonly exitCode: number | undefined
  readonly stdout: string
  readonly stderr: string
  /** `false`: the program ended before it got there. */
  readonly isStruck: boolean
}

export interface FaultyRunOptions {
  readonly cwd?: string
  /** PATH is there in any case, and nothing else. */
  readonly env?: Readonly<Record<string, string>>
}

const PRELOAD = new URL('./faults-preload.js', import.meta.url)
const MOST_CALLS = 2_000

/** Runs a program (`main.js device add …`) in Node, with a fault. */
export async function runWithFault(
  program: readonly string[],
  fault: Fault,
  options: FaultyRunOptions = {},
): Promise<FaultyRun> {
  const folder = await mkdtemp(join(tmpdir(), 'certlatch-faults-'))
  try {
    const countFile = join(folder, 'calls')
    const env = {
      PATH: process.env['PATH'] ?? '',
      ...options.env,
      FAULT_AT: String(fault.at),
      FAULT_KIND: fault.kind,
      FAULT_COUNT_FILE: countFile,
    }
    const outcome = await run(['--import', fileURLToPath(PRELOAD), ...program], options.cwd, env)
    // A killed process writes no count.
    const calls = await readFile(countFile, 'utf8').then(Number, () => undefined)
    if (calls === undefined && outcome.exitCode !== undefined) {
      throw new Error(`ended without a count: ${outcome.stderr}`)
    }
    return { ...outcome, isStruck: calls === undefined || calls >= fault.at }
  } finally {
    await rm(folder, { recursive: true })
  }
}

function run(
  values: readonly string[],
  cwd: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<Omit<FaultyRun, 'isStruck'>> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, values, { cwd, env }, (_error, stdout, stderr) =>
      resolve({ exitCode: child.exitCode ?? undefined, stdout, stderr }),
    )
    child.stdin?.end()
  })
}

/**
 * Runs a command with a fault at its first call, its second, and so on, until it runs undisturbed;
 * `check` looks at what each run has left, including the undisturbed one. Returns the number of
 * calls. `run` must prepare the same state each time.
 */
export async function crashPoints(
  kind: Fault['kind'],
  run: (fault: Fault) => Promise<FaultyRun>,
  check: (outcome: FaultyRun, at: number) => Promise<void>,
): Promise<number> {
  for (let at = 1; at <= MOST_CALLS; at += 1) {
    const outcome = await run({ at, kind })
    await check(outcome, at)
    if (!outcome.isStruck) return at - 1
  }
  throw new Error(`more than ${MOST_CALLS} calls: does the command go round in circles?`)
}
