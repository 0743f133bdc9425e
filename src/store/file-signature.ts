import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { listRegistryFolder } from './device-registry.ts'
import { errorCode } from './files.ts'

/**
 * Two writes within one tick of the file system's clock leave the same time stamps. A file younger
 * than this is therefore read again until it has grown older.
 */
const SETTLED_MILLISECONDS = 1500

/** How the files look from outside. */
export interface Look {
  readonly signature: string
  /** Whether every time stamp is old enough to be told from the next one. */
  readonly settled: boolean
}

/**
 * Entries of a folder that are asked one by one, for the rewriting of one in place does not show in
 * the folder. Beyond that many it would cost too much; certlatch itself only ever replaces them.
 */
const MAX_ENTRIES_ASKED = 1_000

export async function lookAtFiles(
  paths: readonly (string | undefined)[],
  folder: string | undefined,
  previous: Look | undefined,
): Promise<Look> {
  const entries = folder === undefined ? [] : await entryPaths(folder)
  const stamps = await Promise.all([...paths, ...entries].map(lookAt))
  const signature = stamps.map(({ text }) => text).join(' ')
  if (previous?.settled && previous.signature === signature) return previous
  const youngest = Math.max(...stamps.map(({ changedMilliseconds }) => changedMilliseconds))
  return { signature, settled: Date.now() - youngest > SETTLED_MILLISECONDS }
}

async function entryPaths(folder: string): Promise<readonly string[]> {
  try {
    const names = await listRegistryFolder(folder)
    return names.length > MAX_ENTRIES_ASKED ? [] : names.map((name) => join(folder, name))
  } catch {
    // What is wrong with the folder shows when it is read.
    return []
  }
}

const milliseconds = (nanoseconds: bigint): number => Number(nanoseconds / 1_000_000n)

async function lookAt(path: string | undefined) {
  if (path === undefined) return { text: '-', changedMilliseconds: 0 }
  try {
    // Through links: what counts is the file that they lead to.
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
    return {
      text: [dev, ino, size, mtimeNs, ctimeNs].join(':'),
      changedMilliseconds: Math.max(milliseconds(mtimeNs), milliseconds(ctimeNs)),
    }
  } catch (error) {
    return { text: errorCode(error) ?? 'unknown', changedMilliseconds: 0 }
  }
}
