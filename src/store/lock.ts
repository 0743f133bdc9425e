import { constants } from 'node:fs'
import {
  type FileHandle,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Result } from '../result.ts'
import { describeFileError, errorCode, exists, listIfThere, MODE, makeFolder } from './files.ts'
import { type Folder, openFolder, throughHandle } from './folder.ts'
import {
  createWatch,
  describeHolder,
  type Holder,
  hasMoved,
  holderContent,
  isProcessGone,
  machineIdentity,
  readHolder,
  SILENCE_MILLISECONDS,
  type Watch,
} from './lock-owner.ts'

/** The right to change a data directory; it ends with its process. */
export interface Lock {
  /** Call before every write; throws a LockLostError if another process took over. */
  assertHeld(): Promise<void>
  /** Frees the lock for the next process; never fails. */
  release(): Promise<void>
}

/** This process was suspended for so long that another one has taken the lock. */
export class LockLostError extends Error {
  override readonly name = 'LockLostError'
}

export type AcquiredLock = Result<{ lock: Lock }>

export interface LockOptions {
  /** The command, shown to processes that wait for it. */
  readonly who: string
  /** How long to wait for another writer to end. */
  readonly waitMilliseconds: number
  /** A clock that never jumps, in milliseconds. */
  readonly now?: () => number
  readonly sleep?: (milliseconds: number) => Promise<unknown>
}

const BEAT_MILLISECONDS = 1_000
const POLL_MILLISECONDS = 20

/**
 * Becomes the only writer of a folder, among the processes of all machines and containers that share
 * it.
 *
 * In `lock/`, the file `7` means that the seventh writer holds the lock, `7.free` that it has released
 * it. The next writer creates `8`, which only one can. The highest number counts and is never removed,
 * so no process becomes the writer on outdated information. A writer touches its file each second; if
 * the file has not changed during five seconds of watching (no clocks are compared), it is dead.
 */
export async function acquireLock(folder: string, options: LockOptions): Promise<AcquiredLock> {
  const { who, waitMilliseconds, now = () => performance.now(), sleep = wait } = options
  const identity = await machineIdentity()
  const content = holderContent(who, identity)
  const contest = { path: join(folder, 'lock'), content, identity, watch: createWatch(now) }
  const until = now() + waitMilliseconds
  let holder: Holder | undefined
  let isNewFolder = false
  try {
    for (;;) {
      isNewFolder = (await makeLockFolder(contest.path)) || isNewFolder
      const attempt = await attemptLock(contest)
      if (attempt.ok) return { ok: true, lock: holdLock(attempt, folder) }
      holder = attempt.holder ?? holder
      if (now() >= until) return { ok: false, problem: describeHolder(folder, holder) }
      await sleep(POLL_MILLISECONDS)
    }
  } catch (error) {
    if (errorCode(error) === undefined) throw error
    // Fails, as it should, if another process has begun to use it.
    if (isNewFolder) await rmdir(contest.path).catch(() => undefined)
    return { ok: false, problem: describeFailure(folder, error) }
  }
}

/** Returns whether it was missing. */
async function makeLockFolder(path: string): Promise<boolean> {
  if (await exists(path)) return false
  await makeFolder(dirname(path), MODE.secretFolder)
  await makeFolder(path, MODE.secretFolder)
  return true
}

// --- becoming the writer --------------------------------------------------------------------------

interface Contest {
  /** The folder `lock`. */
  readonly path: string
  readonly content: string
  readonly identity: string | undefined
  readonly watch: Watch
}

/** The file of a lock; it and its folder stay open while the lock is held. */
interface LockFile {
  readonly path: string
  readonly file: FileHandle
  readonly folder: Folder
}

/** Does not block on a pipe in its place. */
const LOCK_FILE_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

type Attempt = Result<LockFile, { holder: Holder | undefined }>

const BEATEN: Attempt = { ok: false, holder: undefined }

async function attemptLock(contest: Contest): Promise<Attempt> {
  const folder = await openFolder(contest.path)
  let attempt = BEATEN
  try {
    attempt = await attemptLockIn(folder, contest)
    return attempt
  } finally {
    if (!attempt.ok) await folder.close()
  }
}

async function attemptLockIn(opened: Folder, contest: Contest): Promise<Attempt> {
  const { path: folder } = opened
  const { content, identity, watch } = contest
  const top = await highest(folder)
  let holder: Holder | undefined
  if (top.isHeld) {
    holder = await readHolder(join(folder, String(top.generation)))
    if (holder === undefined) return BEATEN
    if (!isProcessGone(holder, identity) && !watch.isStill(holder)) return { ok: false, holder }
  }
  const generation = top.generation + 1
  const path = join(folder, String(generation))
  if (!(await createLockFile(path, content))) return BEATEN
  let file: FileHandle | undefined
  try {
    file = await open(path, LOCK_FILE_FLAGS)
    await opened.adopt(file)
    // The other touches its file before it looks for ours, and we look at its file after creating
    // ours: of two that meet here at least one gives up.
    const isAlive = holder !== undefined && (await hasMoved(holder))
    const now = await highest(folder)
    // Since the folder was read, another may have had this very number and released it.
    if (isAlive || now.generation !== generation || !now.isHeld) {
      await file.close()
      await rm(path, { force: true })
      return BEATEN
    }
  } catch (error) {
    await file?.close()
    await rm(path, { force: true })
    // A writer with a higher number has removed ours already.
    if (errorCode(error) === 'ENOENT') return BEATEN
    throw error
  }
  await removeLower(folder, generation)
  return { ok: true, path, file, folder: opened }
}

/** Returns whether this call created it. */
async function createLockFile(path: string, content: string): Promise<boolean> {
  try {
    await writeFile(path, content, { flag: 'wx', mode: MODE.secret })
    return true
  } catch (error) {
    const code = errorCode(error)
    // ENOENT: the folder was removed; the next attempt creates it again.
    if (code === 'EEXIST' || code === 'ENOENT') return false
    // If `open` failed, the file is not ours.
    if ((error as NodeJS.ErrnoException).syscall !== 'open') await rm(path, { force: true })
    throw error
  }
}

/** Lower numbers mean nothing anymore, so errors are ignored. */
async function removeLower(folder: string, generation: number): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const read = readName(name)
    if (read !== undefined && read.generation < generation) {
      await rm(join(folder, name), { force: true }).catch(() => undefined)
    }
  }
}

// --- being the writer -----------------------------------------------------------------------------

function holdLock({ path, file, folder: opened }: LockFile, folder: string): Lock {
  // Its name may have become a link, and root would touch the target.
  const touched = throughHandle(file) ?? path
  const beat = (): Promise<void> => utimes(touched, new Date(), new Date())
  const timer = setInterval(() => void beat().catch(() => undefined), BEAT_MILLISECONDS)
  timer.unref()
  let isReleased = false

  const isHeld = async (): Promise<boolean> => {
    if (isReleased) return false
    try {
      await beat()
      const top = await highest(dirname(path))
      return top.isHeld && join(dirname(path), String(top.generation)) === path
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false
      throw error
    }
  }
  return {
    assertHeld: async () => {
      if (await isHeld()) return
      throw new LockLostError(
        `another certlatch command has taken over ${folder}, because this one was suspended for more than ${SILENCE_MILLISECONDS / 1000} seconds; it stopped before changing anything more: check what is there, and run it again`,
      )
    },
    release: async () => {
      if (isReleased) return
      isReleased = true
      clearInterval(timer)
      // If even this cannot be written, the end of the process releases the lock.
      await rename(path, `${path}.free`).catch(() => undefined)
      await file.close()
      await opened.close()
    },
  }
}

// --- what is in the folder ------------------------------------------------------------------------

interface Generation {
  readonly generation: number
  readonly isHeld: boolean
}

const NAME = /^([1-9]\d{0,14})(\.free)?$/

function readName(name: string): Generation | undefined {
  const match = NAME.exec(name)
  return match === null
    ? undefined
    : { generation: Number(match[1]), isHeld: match[2] === undefined }
}

async function highest(folder: string): Promise<Generation> {
  let top: Generation = { generation: 0, isHeld: false }
  for (const name of await listIfThere(folder)) {
    const read = readName(name)
    if (read !== undefined && read.generation >= top.generation) {
      top = { ...read, isHeld: read.isHeld && (read.generation > top.generation || top.isHeld) }
    }
  }
  return top
}

function describeFailure(folder: string, error: unknown): string {
  const code = errorCode(error)
  return code === 'EACCES' || code === 'EPERM'
    ? `${folder} may not be written by this user: run the command as the one that the service runs as; nothing was changed`
    : `${folder} ${describeFileError(error)}; nothing was changed`
}
