import { randomInt } from 'node:crypto'
import { accessSync, constants, existsSync } from 'node:fs'
import { createServer } from 'node:net'
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

/**
 * A port that nobody listens on now, below those that the system gives to outgoing connections: one
 * of them might take it before whoever shall listen does.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, FIRST_OUTGOING_PORT)
    if (await isFree(port)) return port
  }
}

const FIRST_PORT = 20_000
const FIRST_OUTGOING_PORT = 32_768

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })

/** Asks until the answer is true; what is not within the time is an error. */
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
