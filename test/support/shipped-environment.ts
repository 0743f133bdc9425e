import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './repository.ts'

const readDockerfile = () => readFileSync(join(repository(), 'Dockerfile'), 'utf8')

/** What the image tells Node and the C library, so that everything else can run certlatch as it does. */
export function shippedEnvironment() {
  const dockerfile = readDockerfile()
  const settingOf = (name: string): string => {
    const [, value] = new RegExp(`\\b${name}=(\\S+)`).exec(dockerfile) ?? []
    if (value === undefined) throw new Error(`the Dockerfile has no ${name}`)
    return value
  }
  return {
    NODE_ENV: settingOf('NODE_ENV'),
    NODE_OPTIONS: settingOf('NODE_OPTIONS'),
    MALLOC_ARENA_MAX: settingOf('MALLOC_ARENA_MAX'),
  }
}

/** The options that the image gives Node on its command line, between `node` and the program. */
export function shippedNodeOptions(): readonly string[] {
  const [, entrypoint = '[]'] = /^ENTRYPOINT (\[.*\])$/m.exec(readDockerfile()) ?? []
  const [program, ...words]: string[] = JSON.parse(entrypoint)
  if (program !== 'node') throw new Error('the ENTRYPOINT of the Dockerfile does not start node')
  return words.slice(0, -1)
}
