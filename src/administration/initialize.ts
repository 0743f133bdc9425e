import type { AuthorityOptions } from '../store/create-authority.ts'
import {
  dataPaths,
  type FirstFiles,
  makeFirstFiles,
  type Needed,
  prepareDataDirectory,
} from '../store/data-directory.ts'
import { CommandError } from './command-error.ts'

/** Fills an empty data directory, once; returns the files created. */
export async function initialize(
  dataDir: string,
  needed: Needed,
  options: AuthorityOptions,
  nowSeconds: number,
): Promise<readonly string[]> {
  return fill(dataDir, needed, nowSeconds, (what) => makeFirstFiles(what, nowSeconds, options))
}

/** The same with given files. */
export async function fill(
  dataDir: string,
  needed: Needed,
  nowSeconds: number,
  makeFiles: (needed: Needed) => FirstFiles,
): Promise<readonly string[]> {
  const prepared = await prepareDataDirectory(dataDir, needed, nowSeconds, makeFiles)
  if (!prepared.ok) throw new CommandError(prepared.problem)
  if (prepared.made.length === 0) {
    throw new CommandError(
      `the data directory ${dataDir} has been initialized before, and nothing in it is overwritten`,
      { hint: 'certlatch device add makes the next device' },
    )
  }
  return needed.authority ? [...prepared.made, dataPaths(dataDir).authorityKey] : prepared.made
}
