import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The folder of the repository, from dist/ as well. */
export function repository(): string {
  let directory = import.meta.dirname
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory)
  return directory
}
