import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './repository.ts'

const readDockerfile = (checkout: string) => readFileSync(join(checkout, 'Dockerfile'), 'utf8')

/**
 * What the image of a checkout, by default this one, tells Node and the C library, so that everything
 * else can run certlatch as it does.
 */
export function shippedEnvironment(checkout = repository()): Readonly<Record<string, string>> {
  const settings = readDockerfile(checkout).matchAll(/^(?:ENV)? +((?:NODE|MALLOC)_\w+)=(\S+)/gm)
  const environment = Object.fromEntries([...settings].map(([, name, value]) => [name, value]))
  if (environment['NODE_ENV'] === undefined) throw new Error('the Dockerfile sets no NODE_ENV')
  return environment
}

/** The options that the image gives Node on its command line, between `node` and the program. */
export function shippedNodeOptions(checkout = repository()): readonly string[] {
  const [, entrypoint = '[]'] = /^ENTRYPOINT (\[.*\])$/m.exec(readDockerfile(checkout)) ?? []
  const [program, ...words]: string[] = JSON.parse(entrypoint)
  if (program === 'node') return words.slice(0, -1)
  // The program's first line starts Node, without options.
  if (program === 'certlatch') return []
  throw new Error('the ENTRYPOINT of the Dockerfile does not start certlatch')
}
