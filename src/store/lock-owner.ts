import { readFile, readlink, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { errorCode } from './files.ts'
import { isTime, parseObject } from './json-file.ts'

/** A writer that has not moved for so long is dead. */
export const SILENCE_MILLISECONDS = 5_000
/** One look counts for this much at most: who was stopped itself has not watched the other. */
const LOOK_MILLISECONDS = 250

/** What a writer says of itself. */
export function holderContent(who: string, identity: string | undefined): string {
  return JSON.stringify({
    who,
    pid: process.pid,
    host: hostname(),
    identity,
    startedAt: Date.now(),
  })
}

/** Another writer, as its file says. */
export interface Holder {
  readonly path: string
  readonly touchedAt: number
  /** What it says of itself; nothing, if it has only just begun. */
  readonly pid: number | undefined
  readonly host: string
  readonly identity: string | undefined
  readonly who: string
  readonly startedAt: number | undefined
}

/** `undefined`: it has ended since. */
export async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    // Opening it first makes network file systems ask for the time of its last touch.
    const fields = parseObject(await readFile(path, 'utf8'))
    const { mtimeMs: touchedAt } = await stat(path)
    const { pid, identity, startedAt } = fields ?? {}
    return {
      path,
      touchedAt,
      pid: isTime(pid) && pid > 0 ? pid : undefined,
      host: printable(fields?.['host']),
      identity: typeof identity === 'string' ? identity : undefined,
      who: printable(fields?.['who']),
      startedAt: isTime(startedAt) ? startedAt : undefined,
    }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Whether it has given a sign of life since, or has ended. */
export async function hasMoved({ path, touchedAt }: Holder): Promise<boolean> {
  return (await readHolder(path))?.touchedAt !== touchedAt
}

const printable = (value: unknown): string =>
  typeof value === 'string' ? value.replace(/\p{C}/gu, '?').slice(0, 200) : 'unknown'

// --- whether its process lives --------------------------------------------------------------------

/** Looks at one writer after the other. */
export interface Watch {
  /** Whether this one has not moved for so long that its process must be dead. */
  isStill(holder: Holder): boolean
}

/** `now` must not jump. */
export function createWatch(now: () => number): Watch {
  let last = { path: '', touchedAt: 0, lookedAt: 0 }
  let stillMilliseconds = 0
  return {
    isStill({ path, touchedAt }) {
      const isSame = path === last.path && touchedAt === last.touchedAt
      const lookedAt = now()
      stillMilliseconds = isSame
        ? stillMilliseconds + Math.min(lookedAt - last.lookedAt, LOOK_MILLISECONDS)
        : 0
      last = { path, touchedAt, lookedAt }
      return stillMilliseconds >= SILENCE_MILLISECONDS
    },
  }
}

/** Process ids mean the same here and there if all of this is equal; `undefined`: nobody can tell. */
export async function machineIdentity(): Promise<string | undefined> {
  try {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'latin1')).trim()
    return `${hostname()} ${boot} ${await readlink('/proc/self/ns/pid')}`
  } catch {
    return undefined
  }
}

/** Whether the host name is the same, and its machine has been started again between the two. */
export function isOtherBoot(identity: string | undefined, other: string | undefined): boolean {
  if (identity === undefined || other === undefined) return false
  const [one, two] = [identity, other].map((text) => /^(.*) (\S+) \S+$/.exec(text) ?? [])
  return one?.[1] !== undefined && one[1] === two?.[1] && one[2] !== two[2]
}

/** Whether it surely is; a process of another machine may always live. */
export function isProcessGone(
  { pid, identity }: { readonly pid?: number | undefined; readonly identity?: string | undefined },
  ownIdentity: string | undefined,
): boolean {
  if (pid === undefined || identity === undefined || identity !== ownIdentity) return false
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return errorCode(error) === 'ESRCH'
  }
}

/** Why there is no writing now. */
export function describeHolder(folder: string, holder: Holder | undefined): string {
  const next = 'wait for it to end, or stop it; nothing was changed'
  if (holder?.pid === undefined) {
    return `another certlatch command is writing to ${folder}: ${next}`
  }
  const { who, pid, host, startedAt = Date.now() } = holder
  const seconds = Math.max(0, Math.round((Date.now() - startedAt) / 1000))
  return `another certlatch command is writing to ${folder} (${who}, process ${pid} on ${host}, since ${seconds} s): ${next}`
}
