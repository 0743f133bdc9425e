import { readFile, readlink, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { errorCode, ifThere } from './files.ts'
import { isTime, parseObject } from './json-file.ts'

/** A writer whose file has not been touched for this long is dead. */
export const SILENCE_MILLISECONDS = 5_000
/** The most that one look adds to the silence: a process that was suspended did not watch. */
const LOOK_MILLISECONDS = 250

/** The content of a writer's file. */
export function holderContent(who: string, identity: string | undefined): string {
  return JSON.stringify({
    who,
    pid: process.pid,
    host: hostname(),
    identity,
    startedAt: Date.now(),
  })
}

/** Another writer, according to its file. */
export interface Holder {
  readonly path: string
  readonly touchedAt: number
  /** From its file; missing if it has only just begun. */
  readonly pid: number | undefined
  readonly host: string
  readonly identity: string | undefined
  readonly who: string
  readonly startedAt: number | undefined
}

/** Returns `undefined` if it has ended since. */
export const readHolder = (path: string): Promise<Holder | undefined> => ifThere(readWriter(path))

async function readWriter(path: string): Promise<Holder> {
  // Opening the file first makes network file systems refresh its time stamp.
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
}

/** Returns whether its file was touched since, or removed. */
export async function hasMoved({ path, touchedAt }: Holder): Promise<boolean> {
  return (await readHolder(path))?.touchedAt !== touchedAt
}

const printable = (value: unknown): string =>
  typeof value === 'string' ? value.replace(/\p{C}/gu, '?').slice(0, 200) : 'unknown'

// --- whether its process lives --------------------------------------------------------------------

/** Watches one writer at a time. */
export interface Watch {
  /** Whether its file has not been touched for so long that its process must be dead. */
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

/** Process ids can be compared only between equal identities; `undefined`: not at all. */
export async function machineIdentity(): Promise<string | undefined> {
  try {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'latin1')).trim()
    return `${hostname()} ${boot} ${await readlink('/proc/self/ns/pid')}`
  } catch {
    return undefined
  }
}

/** Returns whether the host name is the same, but the machine was restarted in between. */
export function isOtherBoot(identity: string | undefined, other: string | undefined): boolean {
  if (identity === undefined || other === undefined) return false
  const [one, two] = [identity, other].map((text) => /^(.*) (\S+) \S+$/.exec(text) ?? [])
  return one?.[1] !== undefined && one[1] === two?.[1] && one[2] !== two[2]
}

/** Returns whether the process is known to be gone; one on another machine may be alive. */
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

/** Describes which process holds the lock, and the next step. */
export function describeHolder(folder: string, holder: Holder | undefined): string {
  const next = 'wait for it to end, or stop it; nothing was changed'
  if (holder?.pid === undefined) {
    return `another certlatch command is writing to ${folder}: ${next}`
  }
  const { who, pid, host, startedAt = Date.now() } = holder
  const seconds = Math.max(0, Math.round((Date.now() - startedAt) / 1000))
  return `another certlatch command is writing to ${folder} (${who}, process ${pid} on ${host}, running for ${seconds} s): ${next}`
}
