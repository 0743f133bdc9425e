import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { listRegistryFolder } from './device-registry.ts'
import { errorCode } from './files.ts'

/**
 * Two writes within one tick of the file system's clock leave the same time stamps. A file younger
 * than this is therefore read again until it is older.
 */
const SETTLED_MILLISECONDS = 1500

/** What `stat` shows of the files. */
export interface Look {
  readonly signature: string
  /** Whether every time stamp is old enough that the next write changes it. */
  readonly settled: boolean
}

/**
 * Up to this many entries of a folder are checked one by one, because rewriting a file in place does
 * not change its folder. For more it would cost too much; certlatch itself only replaces files.
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
    // Reading the folder reports what is wrong with it.
    return []
  }
}

const milliseconds = (nanoseconds: bigint): number => Number(nanoseconds / 1_000_000n)

async function lookAt(path: string | undefined) {
  if (path === undefined) return { text: '-', changedMilliseconds: 0 }
  try {
    // Follows links: their target counts.
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
    return {
      text: [dev, ino, size, mtimeNs, ctimeNs].join(':'),
      changedMilliseconds: Math.max(milliseconds(mtimeNs), milliseconds(ctimeNs)),
    }
  } catch (error) {
    return { text: errorCode(error) ?? 'unknown', changedMilliseconds: 0 }
  }
}
