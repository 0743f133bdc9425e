import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Ask, RunningServer } from './processes.ts'
import { type Headers, writeRequests } from './scene.ts'

/** One server, with the requests for it. */
export interface Target {
  readonly name: string
  /** A file of requests for the generator. */
  readonly requests: string
  readonly ask: Ask
  /** Starts a new process; gives it once it has answered as it should. */
  /** `nodeOptions` are for those that Node runs. */
  start(nodeOptions?: readonly string[]): Promise<RunningServer>
  /** Where a certlatch process serves its metrics. */
  readonly adminPort: number | undefined
}

/** A file of requests for the generator, named after what they are for. */
export async function requestsFile(
  folder: string,
  name: string,
  requests: readonly Headers[],
  path?: string,
): Promise<string> {
  const requestsFolder = join(folder, 'requests')
  await mkdir(requestsFolder, { recursive: true })
  return writeRequests(join(requestsFolder, name.replace(/[^a-z]+/gi, '-')), requests, path)
}
