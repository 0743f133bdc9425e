import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

/** The repository's folder, found from dist/ as well. */
export const repositoryFolder = (): string => {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}

/** Where `tools.sh` installs. */
export const toolsFolder = (): string =>
  process.env['CERTLATCH_E2E_TOOLS'] ?? join(repositoryFolder(), 'test/e2e/.tools')

/** The path of a program: what `tools.sh` installed, or what this machine has. */
export function findProgram(name: string): string {
  const path = (process.env['PATH'] ?? '').split(delimiter)
  for (const folder of [join(toolsFolder(), 'bin'), ...path, '/usr/sbin', '/sbin']) {
    const file = join(folder, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // The next folder may have it.
    }
  }
  throw new Error(`${name} is missing: run test/e2e/tools.sh`)
}

/** Why what needs these programs cannot be run here, or false. */
export function programsMissing(...names: readonly string[]): string | false {
  try {
    for (const name of names) findProgram(name)
    return false
  } catch (error) {
    return (error as Error).message
  }
}

/** Polls until the answer is true; throws if that takes too long. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  milliseconds = 10_000,
): Promise<void> {
  const deadline = performance.now() + milliseconds
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`not within ${milliseconds} ms: ${what}`)
    await pause(20)
  }
}

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))
