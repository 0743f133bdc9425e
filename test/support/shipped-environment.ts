import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './repository.ts'

/** What the image tells Node and the C library, so that everything else can run certlatch as it does. */
export function shippedEnvironment() {
  const dockerfile = readFileSync(join(repository(), 'Dockerfile'), 'utf8')
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
