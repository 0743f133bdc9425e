import { createHash, randomBytes } from 'node:crypto'
import type { Stats } from 'node:fs'
import { open, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { ifThere, listIfThere, MODE, makeFolder, removeAbandoned, replaceFile } from './files.ts'
import { removeFile } from './folder.ts'
import type { Lock } from './lock.ts'
import { machineIdentity } from './lock-owner.ts'
import { FORGOTTEN_SECONDS, labelOf, type Standing, standingsOf } from './service-standing.ts'
import {
  joinLastSeen,
  latest,
  parseLastSeen,
  parseRunningState,
  type RunningState,
  type SeenCertificate,
} from './service-state.ts'

/** What a service has written about itself, and whether it is running. */
export type RunningService = Pick<StateFile, 'id' | 'state' | 'version'> & Standing

const MOST_REMEMBERED = 20_000
const POLL_MILLISECONDS = 50

const STATE_FILE = /^([0-9a-f]{16})\.json$/
const TEMPORARY_FILE = /\.tmp$/
const LAST_SEEN_FILE = 'last-seen.json'

/** One file per listen address: a restart overwrites its own. */
export const runningId = (host: string, listen: string): string =>
  createHash('sha256').update(`${host}\n${listen}`).digest('hex').slice(0, 16)

/** Writes what a service has loaded, for commands; without the lock, because the file is its own. */
export async function writeRunning(folder: string, id: string, state: RunningState): Promise<void> {
  await makeFolder(dirname(folder), MODE.secretFolder)
  await makeFolder(folder, MODE.secretFolder)
  await replaceFile(join(folder, `${id}.json`), JSON.stringify(state), MODE.secret)
}

/** Reads the states of all services; other files are ignored. */
export async function readRunning(folder: string): Promise<readonly RunningService[]> {
  const files = await readStates(folder)
  if (files.length === 0) return []
  return standingsOf(files, await folderClock(folder), await machineIdentity())
}

/** When each certificate was last accepted, by any service past or present. */
export async function readLastSeen(folder: string): Promise<ReadonlyMap<string, SeenCertificate>> {
  // The states first: one that is merged meanwhile is then found in last-seen.json.
  const states = (await readStates(folder)).map(({ state }) => state.lastSeen)
  return joinLastSeen([await readRemembered(folder), ...states])
}

/** Merges what ended services have seen into last-seen.json, and removes their states. */
export async function mergeEnded(folder: string, lock: Lock): Promise<void> {
  const names = await listIfThere(folder)
  if (!names.some((name) => STATE_FILE.test(name) || TEMPORARY_FILE.test(name))) return
  const clock = await folderClock(folder)
  const ended = (await readStates(folder)).filter(
    ({ state, writtenAt }) =>
      state.stoppedAt !== undefined || (clock - writtenAt) / 1000 > FORGOTTEN_SECONDS,
  )
  await lock.assertHeld()
  if (ended.length > 0) {
    const joined = joinLastSeen([
      await readRemembered(folder),
      ...ended.map(({ state }) => state.lastSeen),
    ])
    const lastSeen = [...joined.values()]
      .sort((one, other) => latest(other) - latest(one))
      .slice(0, MOST_REMEMBERED)
    await replaceFile(
      join(folder, LAST_SEEN_FILE),
      JSON.stringify({ schemaVersion: 1, lastSeen }),
      MODE.secret,
    )
    for (const { path, version } of ended) {
      // A service may have started again meanwhile.
      const found = await stat(path).catch(() => undefined)
      if (found !== undefined && versionOf(found) === version) await removeFile(path)
    }
  }
  await removeAbandoned(folder, clock)
}

// --- waiting for services ---------------------------------------------------------------------------

/** Services by where they listen and on which machine. */
export interface RunningConfirmation {
  readonly confirmed: readonly string[]
  /** Running, but not confirmed in time. */
  readonly missing: readonly string[]
  /** The reasons that missing services have reported, each after the service's name. */
  readonly problems: readonly string[]
  /** Silent and not known to have ended; they were not waited for. */
  readonly silent: readonly SilentService[]
}

interface SilentService {
  readonly name: string
  readonly label: string
  /** Whether it had confirmed before. */
  readonly hasIt: boolean
}

export interface AwaitOptions {
  readonly timeoutMilliseconds: number
  readonly pollMilliseconds?: number
  /** Labels of services that the user has declared gone; counts for silent ones only. */
  readonly forgotten?: readonly string[]
  /** A clock that never jumps, in milliseconds. */
  readonly now?: () => number
  readonly sleep?: (milliseconds: number) => Promise<unknown>
}

/** Waits until every running service has confirmed; returns at once if none is running. */
export async function awaitRunning(
  folder: string,
  isConfirmed: (state: RunningState) => boolean | Promise<boolean>,
  options: AwaitOptions,
): Promise<RunningConfirmation> {
  const { timeoutMilliseconds, pollMilliseconds = POLL_MILLISECONDS, forgotten = [] } = options
  const { now = () => performance.now(), sleep = wait } = options
  const begun = now()
  const known = new Map<string, StateFile>()
  const machine = await machineIdentity()
  let clock: number | undefined
  for (;;) {
    const files = await readStates(folder, known)
    if (files.length === 0) return { confirmed: [], missing: [], problems: [], silent: [] }
    clock ??= (await folderClock(folder)) - (now() - begun)
    const services = standingsOf(files, clock + (now() - begun), machine).filter(
      ({ hasEnded, isFresh, state }) =>
        isFresh || !(hasEnded || forgotten.includes(labelOf(state))),
    )
    const answers = await Promise.all(services.map(({ state }) => isConfirmed(state)))
    const having = new Set(services.filter((_, index) => answers[index] === true))
    const fresh = services.filter(({ isFresh }) => isFresh)
    const missing = fresh.filter((service) => !having.has(service))
    if (missing.length === 0 || now() - begun >= timeoutMilliseconds) {
      return {
        confirmed: fresh.filter((service) => having.has(service)).map(nameOf),
        missing: missing.map(nameOf),
        problems: missing.flatMap((service) =>
          (service.state.problems ?? []).map((problem) => `${nameOf(service)}: ${problem}`),
        ),
        silent: services
          .filter(({ isFresh }) => !isFresh)
          .map((service) => ({
            name: nameOf(service),
            label: labelOf(service.state),
            hasIt: having.has(service),
          })),
      }
    }
    await sleep(pollMilliseconds)
  }
}

const nameOf = ({ state }: RunningService): string => `${state.listen} on ${state.host}`

// --- files ----------------------------------------------------------------------------------------

interface StateFile {
  readonly id: string
  readonly path: string
  readonly state: RunningState
  readonly writtenAt: number
  /** Differs after each replacement. */
  readonly version: string
}

/** `known` is a cache by path: a file that was not replaced is not read again. */
async function readStates(
  folder: string,
  known = new Map<string, StateFile>(),
): Promise<readonly StateFile[]> {
  const files: StateFile[] = []
  for (const name of await listIfThere(folder)) {
    const id = STATE_FILE.exec(name)?.[1]
    if (id === undefined) continue
    const file = await readState(join(folder, name), id, known)
    if (file === undefined) continue
    known.set(file.path, file)
    files.push(file)
  }
  return files
}

async function readState(
  path: string,
  id: string,
  known: ReadonlyMap<string, StateFile>,
): Promise<StateFile | undefined> {
  // The time first: a replacement between the two then makes the state look older, not younger.
  const found = await ifThere(stat(path))
  if (found === undefined) return undefined
  const version = versionOf(found)
  const before = known.get(path)
  if (before?.version === version) return before
  const state = parseRunningState((await ifThere(readFile(path, 'utf8'))) ?? '')
  return state && { id, path, state, writtenAt: found.mtimeMs, version }
}

const versionOf = ({ ino, mtimeMs }: Stats): string => `${ino} ${mtimeMs}`

const readRemembered = async (folder: string): Promise<readonly SeenCertificate[]> =>
  parseLastSeen((await ifThere(readFile(join(folder, LAST_SEEN_FILE), 'utf8'))) ?? '')

/**
 * The time in milliseconds by the clock that stamps files here: on a network file system, that of
 * another machine. Falls back to the local clock where nothing can be written.
 */
async function folderClock(folder: string): Promise<number> {
  const path = join(folder, `clock.${randomBytes(6).toString('hex')}.tmp`)
  try {
    const handle = await open(path, 'wx', MODE.secret)
    try {
      return (await handle.stat()).mtimeMs
    } finally {
      await handle.close()
      await rm(path, { force: true })
    }
  } catch {
    return Date.now()
  }
}
