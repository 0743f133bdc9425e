import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Reads the version from the nearest package.json above this file, compiled or not. */
export function packageVersion(): string {
  let directory = import.meta.dirname
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory)
  const { version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
  return String(version)
}
