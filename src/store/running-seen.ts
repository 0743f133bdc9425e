import { setTimeout as wait } from 'node:timers/promises'
import { readLastSeen, readRunning, type SeenCertificate } from './service-state-files.ts'

/** Longer than a service takes from one writing to the next. */
const LONGEST_MILLISECONDS = 11_000
const POLL_MILLISECONDS = 250

export interface FindOptions {
  /** Eleven seconds by default. */
  readonly longestMilliseconds?: number
  /** Called once, if there is something to wait for. */
  readonly onWait?: () => void
  /** A clock that never jumps, in milliseconds. */
  readonly now?: () => number
  readonly sleep?: (milliseconds: number) => Promise<unknown>
}

/**
 * Looks for somebody who has been let in. Who came a moment ago stands in no file yet: then every
 * service that runs is given the time to write its own once more.
 */
export async function findSeen(
  folder: string,
  isIt: (seen: SeenCertificate) => boolean,
  options: FindOptions = {},
): Promise<SeenCertificate | undefined> {
  const { onWait = () => {}, now = () => performance.now(), sleep = wait } = options
  const { longestMilliseconds = LONGEST_MILLISECONDS } = options
  const begun = now()
  // Before the first look: what is written behind it is looked at again.
  const before = await versionsOf(folder)
  for (let isFirst = true; ; isFirst = false) {
    // Likewise: who is found to have written has done so before this look.
    const versions = await versionsOf(folder)
    const found = [...(await readLastSeen(folder)).values()].find(isIt)
    if (found !== undefined) return found
    const isWaiting = [...before].some(([id, version]) => versions.get(id) === version)
    if (!isWaiting || now() - begun >= longestMilliseconds) return undefined
    if (isFirst) onWait()
    await sleep(POLL_MILLISECONDS)
  }
}

async function versionsOf(folder: string): Promise<ReadonlyMap<string, string>> {
  const services = await readRunning(folder)
  return new Map(services.filter(({ isFresh }) => isFresh).map(({ id, version }) => [id, version]))
}
