import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, chown, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Permissions: what a proxy may read, and what is ours alone. */
export const MODE = {
  public: 0o644,
  secret: 0o600,
  publicFolder: 0o755,
  secretFolder: 0o700,
} as const

/**
 * Replaces `path` by a file with this content: readers see the old one or the new one, also after a
 * power cut. The file gets its folder's owner, so that a command run as root does not lock the
 * service out. Throws the system's error with the file's path; nothing is left behind then, or, if
 * only the last flush failed, the new file with `isReplaced` in the error.
 */
export async function replaceFile(
  path: string,
  content: string | Buffer,
  mode: number,
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    await writeDurably(temporary, content, mode)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw withPath(error, { path })
  }
  try {
    await syncFolder(dirname(path))
  } catch (error) {
    throw withPath(error, { path, isReplaced: true })
  }
}

/** The system names a temporary file, or for an open one none at all. */
const withPath = (error: unknown, facts: { path: string; isReplaced?: true }): unknown =>
  error instanceof Error ? Object.assign(error, { dest: undefined, ...facts }) : error

const TEMPORARY = /\.[0-9a-f]{12}\.tmp$/

/** Removes what a writer that was killed has begun in these folders; there must be no other now. */
export async function removeTemporaries(...folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    for (const name of await listIfThere(folder)) {
      if (TEMPORARY.test(name)) await rm(join(folder, name), { recursive: true, force: true })
    }
  }
}

async function listIfThere(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  }
}

/** The path that a file has, or was to have once it was written. */
export const placeOf = (path: string): string => path.replace(TEMPORARY, '')

/** Writes a file that must not exist yet, flushed to the disk, with its folder's owner. */
export async function writeDurably(
  path: string,
  content: string | Buffer,
  mode: number,
): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode)
  try {
    await handle.writeFile(content)
    // The umask may have taken bits that a proxy needs.
    await handle.chmod(mode)
    await adoptOwner(path, dirname(path))
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Makes a folder, and those above it, unless it is there: with this mode and its parent's owner. */
export async function makeFolder(path: string, mode: number): Promise<void> {
  if (await isFolder(path)) return
  const parent = dirname(path)
  // Those above are for all to pass through: what is secret has a mode of its own.
  await makeFolder(parent, MODE.publicFolder)
  try {
    await mkdir(path, { mode })
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return
    throw error
  }
  // The umask may have taken bits that a proxy needs.
  await chmod(path, mode)
  await adoptOwner(path, parent)
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

/** Only root can give things away, and only what root makes could lock the service out. */
export async function adoptOwner(path: string, folder: string): Promise<void> {
  if (process.geteuid?.() !== 0) return
  const { uid, gid } = await stat(folder)
  await chown(path, uid, gid)
}

/** Makes renames and new entries of a folder survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read by this user',
  EPERM: 'may not be changed by this user',
  EISDIR: 'is not a file',
  ENOTDIR: 'has something in its path that is not a folder',
  ENOSPC: 'cannot be written: the disk is full',
  EROFS: 'lies on a read-only file system',
  EEXIST: 'exists already',
  ELOOP: 'is a symbolic link that leads nowhere',
  EMFILE:
    'cannot be opened: this process has as many files and connections open as it may (ulimit -n)',
}

/** The system's error in words that follow a path. */
export function describeFileError(error: unknown): string {
  const code = errorCode(error)
  if (code === undefined) return `cannot be used (${String(error)})`
  return REASONS[code] ?? `cannot be used (${code})`
}

/** `ENOENT` and the like; `undefined` for errors that are not the system's. */
export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}
