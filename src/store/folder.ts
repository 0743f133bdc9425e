import { constants } from 'node:fs'
import { type FileHandle, lstat, open, readFile, readlink, rm } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'

/*
 * Commands may run as root in a directory that the service's user owns, and that user could replace
 * any name in it by a link between two calls. So root uses handles: it opens a folder step by step
 * without following links, and reaches files through the open folder. Node has no `openat`, but
 * `/proc/self/fd` on Linux does the same.
 */

/** A folder that stays the same even if its path changes. */
export interface Folder {
  /** A path to it, valid until it is closed. */
  readonly path: string
  /** Gives an open file to the folder's owner; does nothing unless run as root. */
  adopt(handle: FileHandle): Promise<void>
  /** Flushes renames and new entries to the disk. */
  sync(): Promise<void>
  /** Opens a folder in it, which must not be a link. */
  enter(name: string): Promise<Folder>
  close(): Promise<void>
}

const isRoot = (): boolean => process.geteuid?.() === 0
/** Without root's rights, following a link gives its creator no access that they lack. */
const isGuarded = (): boolean => isRoot() && process.platform === 'linux'

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
const MOST_LINKS = 40

/** Opens a folder. Throws the system's error, with the path as it was given. */
export async function openFolder(path: string): Promise<Folder> {
  if (!isGuarded()) return plainFolder(path)
  try {
    return pinnedFolder(await walk(resolve(path)))
  } catch (error) {
    throw error instanceof Error ? Object.assign(error, { path }) : error
  }
}

/** Keeps a folder open while `work` runs; errors have the path as it was given. */
export async function inFolder<T>(path: string, work: (folder: Folder) => Promise<T>): Promise<T> {
  const folder = await openFolder(path)
  try {
    return await work(folder)
  } catch (error) {
    throw withPaths(error, folder.path, path)
  } finally {
    await folder.close()
  }
}

function withPaths(error: unknown, inside: string, outside: string): unknown {
  if (!(error instanceof Error) || inside === outside) return error
  const { path, dest } = error as { path?: string; dest?: string }
  const known = (text: string) => text.replace(`${inside}/`, `${outside}/`)
  return Object.assign(error, {
    message: error.message.replaceAll(`${inside}/`, `${outside}/`),
    ...(path !== undefined && { path: known(path) }),
    ...(dest !== undefined && { dest: known(dest) }),
  })
}

function plainFolder(path: string): Folder {
  const withHandle = async <T>(work: (handle: FileHandle) => Promise<T>): Promise<T> => {
    const handle = await open(path, constants.O_RDONLY)
    try {
      return await work(handle)
    } finally {
      await handle.close()
    }
  }
  return {
    path,
    adopt: async (given) => {
      if (isRoot()) await withHandle((handle) => give(given, handle))
    },
    sync: () => withHandle((handle) => handle.sync()),
    enter: async (name) => {
      const inner = join(path, name)
      if ((await lstat(inner)).isDirectory()) return plainFolder(inner)
      throw fileError('ENOTDIR', inner)
    },
    close: async () => undefined,
  }
}

const inProc = ({ fd }: FileHandle): string => `/proc/self/fd/${fd}`

/** A path to an open file that does not depend on its name; `undefined`: its name is safe to use. */
export const throughHandle = (handle: FileHandle): string | undefined =>
  isGuarded() ? inProc(handle) : undefined

function pinnedFolder(handle: FileHandle): Folder {
  const path = inProc(handle)
  return {
    path,
    adopt: (given) => give(given, handle),
    sync: () => handle.sync(),
    enter: async (name) => pinnedFolder(await open(join(path, name), FOLDER)),
    close: () => handle.close(),
  }
}

async function give(given: FileHandle, folder: FileHandle): Promise<void> {
  const { uid, gid } = await folder.stat()
  await given.chown(uid, gid)
}

// --- as root --------------------------------------------------------------------------------------

async function walk(path: string): Promise<FileHandle> {
  let rest = namesOf(path)
  let at = await open('/', FOLDER)
  let links = 0
  try {
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      const next = await step(at, name)
      if (typeof next !== 'string') {
        await at.close()
        at = next
        continue
      }
      links += 1
      if (links > MOST_LINKS) throw linkError(path, false)
      rest = [...namesOf(next), ...rest]
      if (!isAbsolute(next)) continue
      await at.close()
      at = await open('/', FOLDER)
    }
    return at
  } catch (error) {
    await at.close()
    throw error
  }
}

const namesOf = (path: string): string[] =>
  path.split('/').filter((name) => name !== '' && name !== '.')

/** Opens the folder of that name; returns the target instead if the name is a link. */
async function step(at: FileHandle, name: string): Promise<FileHandle | string> {
  const path = join(inProc(at), name)
  try {
    return await open(path, FOLDER)
  } catch (error) {
    if (!(await isLink(path))) throw error
    if (!(await isTrustedLink(at, path))) throw linkError(path, true)
    return await readlink(path)
  }
}

const isLink = async (path: string): Promise<boolean> =>
  await lstat(path).then(
    (found) => found.isSymbolicLink(),
    () => false,
  )

/** Returns whether only root can have created that link or can replace it. */
async function isTrustedLink(folder: FileHandle, path: string): Promise<boolean> {
  const { uid, mode } = await folder.stat()
  const isWritable = (mode & 0o022) !== 0
  const isSticky = (mode & 0o1000) !== 0
  return uid === 0 && (await lstat(path)).uid === 0 && (!isWritable || isSticky)
}

const linkError = (path: string, isForeignLink: boolean): Error =>
  Object.assign(fileError('ELOOP', path), { isForeignLink })

/** An error like the system's. */
export const fileError = (code: string, path: string): Error =>
  Object.assign(new Error(`${code}: ${path}`), { code, path })

// --- single files -----------------------------------------------------------------------------------

/** Reads a file of the data directory; as root without following links of other users. */
export async function readOwnFile(path: string): Promise<Buffer> {
  if (!isGuarded()) return await readFile(path)
  return await inFolder(dirname(path), async (folder) => {
    const inner = join(folder.path, basename(path))
    const handle = await openFile(folder, inner)
    try {
      if ((await handle.stat()).isFile()) return await handle.readFile()
      throw fileError('EISDIR', path)
    } finally {
      await handle.close()
    }
  })
}

/** Does not block on a pipe. */
const READING = constants.O_RDONLY | constants.O_NONBLOCK

async function openFile(folder: Folder, path: string): Promise<FileHandle> {
  try {
    return await open(path, READING | constants.O_NOFOLLOW)
  } catch (error) {
    if (!(await isLink(path))) throw error
    const holder = await open(folder.path, constants.O_RDONLY | constants.O_DIRECTORY)
    const isTrusted = await isTrustedLink(holder, path).finally(() => holder.close())
    if (!isTrusted) throw linkError(path, true)
    return await open(path, READING)
  }
}

/** Removes a file or a link, if it is there. */
export async function removeFile(path: string): Promise<void> {
  try {
    await inFolder(dirname(path), async (folder) => {
      await rm(join(folder.path, basename(path)), { force: true })
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error instanceof Error ? Object.assign(error, { path }) : error
  }
}
