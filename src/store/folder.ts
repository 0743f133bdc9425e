import { constants } from 'node:fs'
import { type FileHandle, lstat, open, readFile, readlink, rm } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'

/*
 * Root works in a directory that the service's user owns, and that user may swap any name in it for a
 * link between two calls. So what is done here as root is done to handles: a folder is opened step by
 * step without following links, and what is in it is reached through the open folder. Node has no
 * `openat`; Linux has `/proc/self/fd`, which does the same.
 */

/** A folder that stays the same one, whatever becomes of its path meanwhile. */
export interface Folder {
  /** A path that leads to it until it is closed. */
  readonly path: string
  /** Makes what is open belong to the folder's owner, if this is root: no one else can give away. */
  adopt(handle: FileHandle): Promise<void>
  /** Makes renames and new entries survive a power cut. */
  sync(): Promise<void>
  /** A folder in it, which must not be a link. */
  enter(name: string): Promise<Folder>
  close(): Promise<void>
}

const isRoot = (): boolean => process.geteuid?.() === 0
/** Without root's rights there is nothing that a link could lead to which its maker could not reach. */
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

/** The same for as long as the work lasts; its errors have the paths that a person knows. */
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
      throw Object.assign(new Error(`ENOTDIR: ${inner}`), { code: 'ENOTDIR', path: inner })
    },
    close: async () => undefined,
  }
}

const inProc = ({ fd }: FileHandle): string => `/proc/self/fd/${fd}`

/** A path to what is open, whatever its name leads to by now; `undefined`: its name will do. */
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

/** The folder of that name, or where the link of that name leads. */
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

/** Whether only root can have made that link, and no one else can swap it now. */
async function isTrustedLink(folder: FileHandle, path: string): Promise<boolean> {
  const { uid, mode } = await folder.stat()
  const isWritable = (mode & 0o022) !== 0
  const isSticky = (mode & 0o1000) !== 0
  return uid === 0 && (await lstat(path)).uid === 0 && (!isWritable || isSticky)
}

const linkError = (path: string, isForeignLink: boolean): Error =>
  Object.assign(new Error(`ELOOP: ${path}`), { code: 'ELOOP', path, isForeignLink })

// --- single files -----------------------------------------------------------------------------------

/** Reads a file of the data directory; as root through no link that another user can have made. */
export async function readOwnFile(path: string): Promise<Buffer> {
  if (!isGuarded()) return await readFile(path)
  return await inFolder(dirname(path), async (folder) => {
    const inner = join(folder.path, basename(path))
    const handle = await openFile(folder, inner)
    try {
      if ((await handle.stat()).isFile()) return await handle.readFile()
      throw Object.assign(new Error(`EISDIR: ${path}`), { code: 'EISDIR', path })
    } finally {
      await handle.close()
    }
  })
}

/** A pipe must not keep root waiting for its other end. */
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
