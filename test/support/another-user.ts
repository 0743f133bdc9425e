import fileSystem, { chown, lchown, lstat, readdir, rename, symlink } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

const USER = 12_345
export const isRoot: boolean = process.geteuid?.() === 0

/**
 * Commands run as root from here on. Without root's rights the paths that only root takes are taken
 * all the same: what the user who runs the tests owns is another user's to them, and to give
 * something to that very user is allowed.
 */
export function asRoot(t: TestContext): void {
  if (isRoot) return
  const { geteuid } = process
  Object.assign(process, { geteuid: () => 0 })
  t.after(() => Object.assign(process, { geteuid }))
}

/** Makes a folder with all that is in it another user's, links included. */
export async function giveAway(path: string): Promise<void> {
  if (!isRoot) return
  await lchown(path, USER, USER)
  if (!(await lstat(path)).isDirectory()) return
  for (const name of await readdir(path)) await giveAway(join(path, name))
}

/** Swaps what is at `path` for a link to `victim`, as the owner of its folder can at any time. */
export async function swap(path: string, victim: string): Promise<void> {
  await rename(path, `${path}.swapped`)
  await symlink(victim, path)
  if (isRoot) await lchown(path, USER, USER)
}

type Call = (...values: unknown[]) => Promise<unknown>

/** Does something right after a call of one of the file system's functions, once. */
export function afterCall(
  t: TestContext,
  name: keyof typeof fileSystem,
  isIt: (path: string) => boolean,
  then: () => Promise<unknown>,
): void {
  const original = fileSystem[name] as Call
  let isDone = false
  const wrapped: Call = async (...values) => {
    const result = await original(...values)
    if (!isDone && isIt(String(values[0]))) {
      isDone = true
      await then()
    }
    return result
  }
  const set = (value: Call) => {
    Object.assign(fileSystem, { [name]: value })
    syncBuiltinESMExports()
  }
  set(wrapped)
  t.after(() => set(original))
}

/** What an attack must not have changed. */
export async function guise(path: string): Promise<string> {
  const { uid, gid, mode, size, mtimeMs } = await lstat(path)
  return [uid, gid, mode.toString(8), size, mtimeMs].join(' ')
}

/** Gives a folder alone to another user. */
export async function giveFolder(path: string): Promise<void> {
  if (isRoot) await chown(path, USER, USER)
}
