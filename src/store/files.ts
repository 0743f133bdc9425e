import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import {
  access,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Folder, inFolder, readOwnFile, removeFile } from './folder.ts'

/** Permissions of files that a proxy may read, and of private ones. */
export const MODE = {
  public: 0o644,
  secret: 0o600,
  publicFolder: 0o755,
  secretFolder: 0o700,
} as const

/**
 * Replaces a file atomically: readers see the old or the new content, even after a power cut. The
 * file gets its folder's owner, so that a command run as root does not lock the service out. Throws
 * the system's error with the file's path. The old file is still there then, unless only the last
 * flush failed: the error has `isReplaced` in that case.
 */
export async function replaceFile(
  path: string,
  content: string | Buffer,
  mode: number,
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    await inFolder(dirname(path), async (folder) => {
      try {
        await writeInto(folder, basename(temporary), content, mode)
        await rename(join(folder.path, basename(temporary)), join(folder.path, basename(path)))
      } catch (error) {
        await rm(join(folder.path, basename(temporary)), { force: true })
        throw error
      }
      await folder.sync().catch((error) => {
        throw withFacts(error, { isReplaced: true })
      })
    })
  } catch (error) {
    throw withFacts(error, { path, isWriting: true })
  }
}

/**
 * Marks a system's error as one in the middle of a change: the next command completes or undoes what was
 * begun.
 */
export const midChange = (error: unknown): unknown =>
  error instanceof Error ? Object.assign(error, { isMidChange: true }) : error

/** The system's error names the temporary file, or none. */
const withFacts = (
  error: unknown,
  facts: { readonly path?: string; readonly isWriting?: true; readonly isReplaced?: true },
): unknown => (error instanceof Error ? Object.assign(error, { dest: undefined, ...facts }) : error)

const TEMPORARY = /\.[0-9a-f]{12}\.tmp$/

/** Removes temporary files of killed writers; the caller must be the only writer of the folders. */
export async function removeTemporaries(...folders: readonly string[]): Promise<void> {
  for (const path of folders) {
    if (!(await isFolder(path))) continue
    await inFolder(path, async (folder) => {
      for (const name of await readdir(folder.path)) {
        if (TEMPORARY.test(name)) await removeTree(folder, name)
      }
    })
  }
}

const ABANDONED_MILLISECONDS = 3_600_000

/**
 * Removes temporary files of killed processes from a folder that others write to as well, so by age;
 * `clock` is the time in the folder, in milliseconds.
 */
export async function removeAbandoned(folder: string, clock: number): Promise<void> {
  for (const name of await listIfThere(folder)) {
    if (!name.endsWith('.tmp')) continue
    const found = await stat(join(folder, name)).catch(() => undefined)
    if (found === undefined || clock - found.mtimeMs < ABANDONED_MILLISECONDS) continue
    await removeFile(join(folder, name))
  }
}

/** Removes a file, or a folder with its contents, without following links. */
export async function removeTree(folder: Folder, name: string): Promise<void> {
  const path = join(folder.path, name)
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return
  if (!found.isDirectory()) return await rm(path, { force: true })
  const inner = await folder.enter(name)
  try {
    for (const entry of await readdir(inner.path)) await removeTree(inner, entry)
  } finally {
    await inner.close()
  }
  await rmdir(path)
}

/** The final path of a file that may still have its temporary name. */
export const placeOf = (path: string): string => path.replace(TEMPORARY, '')

/** Writes a file that must not exist yet, flushed to the disk, with its folder's owner. */
export async function writeDurably(
  path: string,
  content: string | Buffer,
  mode: number,
): Promise<void> {
  try {
    await inFolder(dirname(path), (folder) => writeInto(folder, basename(path), content, mode))
  } catch (error) {
    throw withFacts(error, { path, isWriting: true })
  }
}

/**
 * Creates a file atomically unless it exists: of several callers exactly one succeeds. Returns
 * whether this call created it. Uses a hard link, which never replaces a file.
 */
export async function createFile(path: string, content: string, mode: number): Promise<boolean> {
  const temporary = `${basename(path)}.${randomBytes(6).toString('hex')}.tmp`
  return await inFolder(dirname(path), async (folder) => {
    try {
      await writeInto(folder, temporary, content, mode)
      await link(join(folder.path, temporary), join(folder.path, basename(path)))
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return false
      throw error
    } finally {
      await rm(join(folder.path, temporary), { force: true })
    }
    await folder.sync()
    return true
  })
}

async function writeInto(
  folder: Folder,
  name: string,
  content: string | Buffer,
  mode: number,
): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL
  const handle = await open(join(folder.path, name), flags, mode)
  try {
    await handle.writeFile(content)
    // The umask may have removed bits that a proxy needs.
    await handle.chmod(mode)
    await folder.adopt(handle)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Renames a file within its folder, durably. */
export async function renameFile(from: string, to: string): Promise<void> {
  await inFolder(dirname(to), async (folder) => {
    await rename(join(folder.path, basename(from)), join(folder.path, basename(to)))
    await folder.sync()
  })
}

/** Creates a folder and its parents if missing, with this mode and its parent's owner. */
export async function makeFolder(path: string, mode: number): Promise<void> {
  if (await isFolder(path)) return
  const parent = dirname(path)
  // All users may pass through the parents: secret folders have their own mode.
  await makeFolder(parent, MODE.publicFolder)
  await inFolder(parent, (folder) => makeFolderIn(folder, basename(path), mode))
}

async function makeFolderIn(parent: Folder, name: string, mode: number): Promise<void> {
  const path = join(parent.path, name)
  try {
    await mkdir(path, { mode })
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return
    throw error
  }
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
  const handle = await open(path, flags)
  try {
    // The umask may have removed bits that a proxy needs.
    await handle.chmod(mode)
    await parent.adopt(handle)
  } finally {
    await handle.close()
  }
}

const isFolder = async (path: string): Promise<boolean> =>
  (await ifThere(stat(path)))?.isDirectory() === true

/** The result of reading a file or folder; `undefined` if it does not exist. */
export async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Whether this user may do that with the file or folder, see `constants` of node:fs. */
export const isAllowed = (path: string, mode: number): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  )

export const exists = async (path: string): Promise<boolean> =>
  (await ifThere(stat(path))) !== undefined

/** The names in a folder; none if it does not exist. */
export const listIfThere = async (folder: string): Promise<readonly string[]> =>
  (await ifThere(readdir(folder))) ?? []

/** A file of the data directory as text, or `undefined` if it does not exist. */
export const readTextIfThere = async (path: string): Promise<string | undefined> =>
  (await ifThere(readOwnFile(path)))?.toString('utf8')

/** Flushes renames and new entries of a folder to the disk. */
export const syncFolder = (path: string): Promise<void> => inFolder(path, (folder) => folder.sync())

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read by this user',
  EPERM: 'may not be changed by this user',
  EISDIR: 'is not a file',
  ENOTDIR: 'has something in its path that is not a folder',
  ENOSPC: 'cannot be written: the disk is full',
  EROFS: 'is on a read-only file system',
  EEXIST: 'exists already',
  ELOOP: 'is a symbolic link that leads nowhere',
  EMFILE:
    'cannot be opened: this process has as many files and connections open as it may (ulimit -n)',
}

/** System calls that write; `open` is one of them if `isWriting` is set. */
const WRITING = new Set([
  ...['mkdir', 'rename', 'unlink', 'rm', 'rmdir', 'link', 'symlink', 'truncate', 'ftruncate'],
  ...['chmod', 'fchmod', 'chown', 'fchown', 'utime', 'futime', 'write', 'copyfile'],
])

function isWriteError(error: unknown): boolean {
  const { syscall = '', isWriting = false } = error as { syscall?: string; isWriting?: boolean }
  return isWriting || WRITING.has(syscall)
}

/** Describes a system error in words that follow a path. */
export function describeFileError(error: unknown): string {
  const code = errorCode(error)
  if (code === undefined) return `cannot be used (${String(error)})`
  if (code === 'EACCES' && isWriteError(error)) return 'may not be written by this user'
  if (code === 'ELOOP' && (error as { isForeignLink?: boolean }).isForeignLink === true) {
    return 'is a symbolic link that another user could change, or is behind one, and root does not follow it: run this as that user'
  }
  return REASONS[code] ?? `cannot be used (${code})`
}

/** `ENOENT` and the like; `undefined` for errors that are not the system's. */
export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}
