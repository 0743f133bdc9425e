import { hostname } from 'node:os'
import { describeFileError } from '../../store/files.ts'
import { isOtherBoot, machineIdentity } from '../../store/lock-owner.ts'
import { FRESH_SECONDS, labelOf } from '../../store/service-standing.ts'
import type { RunningState } from '../../store/service-state.ts'
import {
  readLastSeen,
  readRunning,
  runningId,
  writeRunning,
} from '../../store/service-state-files.ts'
import type { TrustStore } from '../../store/trust-store.ts'
import { loadedNumber } from '../admin/readiness.ts'
import type { Log } from '../log.ts'
import { StartError } from '../start-error.ts'
import type { LastSeen } from '../verify/last-seen.ts'

/** The state that this process reports to the commands: `private/running/<id>.json`. */
export interface OwnStateFile {
  /** Why the last write failed, in words; `undefined` if it succeeded. */
  readonly problem: string | undefined
  /** Writes it now; never fails. */
  write(): Promise<void>
  /** Call once the service listens: from then on the file is its own; writes it if that had to wait. */
  own(): Promise<void>
  /** Writes it for the last time, unless the file may be another's. */
  close(): Promise<void>
}

export interface StateFileOptions {
  readonly folder: string
  /** Where this service listens, which distinguishes it from others on this machine. */
  readonly listen: string
  readonly version: string
  readonly sessionTtlSeconds: number
  /** Its problems, which never contain a secret, are also written. */
  readonly trust: TrustStore
  readonly lastSeen: LastSeen
  readonly log: Log
  nowSeconds(): number
}

/** Enough to find out what is wrong; a command prints each as one line. */
const MOST_PROBLEMS = 5
const LONGEST_PROBLEM = 500

/** The state that commands wait for. */
const loaded = ({ current }: TrustStore, nowSeconds: number) => ({
  crlNumber: loadedNumber(current, nowSeconds),
  blocksNumber: current.blocks.number,
  keySet: current.keyRing.fingerprint,
  ...(current.devicesFingerprint !== undefined && { devices: current.devicesFingerprint }),
})

const described = (problems: readonly string[]): readonly string[] =>
  problems
    .slice(0, MOST_PROBLEMS)
    .map((line) => line.replace(/\p{Cc}+/gu, ' ').slice(0, LONGEST_PROBLEM))

const WRITE_MILLISECONDS = 10_000

/**
 * Throws a StartError if a service on another machine has the same host name and address: commands could
 * not distinguish the two, and would take one for the successor of the other.
 */
export async function requireOwnName(folder: string, listen: string): Promise<void> {
  const host = hostname()
  const identity = await machineIdentity()
  // A file that cannot be read is reported where it is needed.
  const services = await readRunning(folder).catch(() => [])
  const twin = services.find(
    ({ state, isFresh }) =>
      isFresh &&
      labelOf(state) === labelOf({ listen, host }) &&
      isOtherBoot(state.identity, identity),
  )
  if (twin === undefined) return
  const seconds = Math.ceil(FRESH_SECONDS - Math.abs(twin.ageSeconds))
  throw new StartError([
    `a service on another machine uses this data directory under the same host name, ${host}, and the same address, ${listen}: give each machine a host name of its own (HOST_NAME in .env for docker-compose.yml). If it was this machine before it was started again, start in ${seconds} seconds`,
  ])
}

/** Restores when devices were last seen, and keeps the file up to date from then on. */
export async function openStateFile(options: StateFileOptions): Promise<OwnStateFile> {
  const { folder, listen, version, trust, lastSeen, log, nowSeconds } = options
  const host = hostname()
  const identity = await machineIdentity()
  // Two containers may have the same host name; a restart in the same container finds its file again.
  const id = runningId(`${host} ${identity ?? ''}`, listen)
  const startedAt = nowSeconds()
  const services = await readRunning(folder).catch(() => [])
  // A service with this id may be running, suspended or just killed: commands rely on its file until
  // this one listens.
  let mayBeAnothers = services.some((service) => service.id === id && !service.hasEnded)
  let problem: string | undefined
  let pending: Promise<void> = Promise.resolve()

  const state = (stoppedAt: number | undefined): RunningState => ({
    schemaVersion: 1,
    listen,
    host,
    version,
    pid: process.pid,
    ...(identity !== undefined && { identity }),
    startedAt,
    stoppedAt,
    ...loaded(trust, nowSeconds()),
    sessionTtlSeconds: options.sessionTtlSeconds,
    ...(trust.problems.length > 0 && { problems: described(trust.problems) }),
    lastSeen: lastSeen
      .all()
      .filter(({ certificateAt, sessionAt }) => certificateAt + sessionAt > 0),
  })
  const write = async (stoppedAt?: number) => {
    try {
      await writeRunning(folder, id, state(stoppedAt))
      problem = undefined
    } catch (error) {
      const found = `${folder} ${describeFileError(error)}: the times at which devices were last seen are lost when this process ends`
      if (problem !== found)
        log.warn({ problem: found }, 'cannot write the state that commands read')
      problem = found
    }
  }
  // One after another, so that an older state never replaces a newer one.
  const inTurn = (stoppedAt?: number): Promise<void> => {
    if (mayBeAnothers) return pending
    pending = pending.then(() => write(stoppedAt))
    return pending
  }
  try {
    lastSeen.restore((await readLastSeen(folder)).values())
  } catch (error) {
    log.warn(
      { problem: `${folder} ${describeFileError(error)}` },
      'cannot read when devices were last seen',
    )
  }
  await inTurn()
  const timer = setInterval(() => void inTurn(), WRITE_MILLISECONDS)
  timer.unref()
  return {
    get problem() {
      return problem
    },
    write: () => inTurn(),
    own: () => {
      if (!mayBeAnothers) return pending
      mayBeAnothers = false
      return inTurn()
    },
    close: () => {
      clearInterval(timer)
      return inTurn(nowSeconds())
    },
  }
}
