import { setTimeout as wait } from 'node:timers/promises'
import { comparableName } from '../certificate/identity.ts'
import { normalizeName } from '../enrollment/device-name.ts'
import type { DataPaths } from '../store/data-directory.ts'
import type { SeenCertificate } from '../store/service-state.ts'
import { readLastSeen, readRunning } from '../store/service-state-files.ts'
import { CommandError } from './command-error.ts'
import { findDevice } from './find-device.ts'
import { type Notify, readDevices } from './locked-directory.ts'

/** Longer than a service takes from one writing to the next. */
const LONGEST_MILLISECONDS = 11_000
const POLL_MILLISECONDS = 250

export interface Search {
  /** Gets a line before a wait. */
  readonly notify?: Notify
  /** Eleven seconds by default. */
  readonly longestMilliseconds?: number
  /** A clock that never jumps, in milliseconds. */
  readonly now?: () => number
  readonly sleep?: (milliseconds: number) => Promise<unknown>
}

/**
 * Looks for a certificate among those that have been accepted. One that was accepted a moment ago is
 * in no file yet: so every running service is given the time to write its state once more.
 */
export async function findSeen(
  { running: folder }: DataPaths,
  isIt: (seen: SeenCertificate) => boolean,
  search: Search = {},
): Promise<SeenCertificate | undefined> {
  const { notify = () => {}, now = () => performance.now(), sleep = wait } = search
  const { longestMilliseconds = LONGEST_MILLISECONDS } = search
  const begun = now()
  // Before the first look, so that a state written after it is read again.
  const before = await versionsOf(folder)
  for (let isFirst = true; ; isFirst = false) {
    // Before its state is read, so that a service counts as having written only if that was read.
    const versions = await versionsOf(folder)
    const found = [...(await readLastSeen(folder)).values()].find(isIt)
    if (found !== undefined) return found
    const isWaiting = [...before].some(([id, version]) => versions.get(id) === version)
    if (!isWaiting || now() - begun >= longestMilliseconds) return undefined
    if (isFirst) notify('not seen so far: waiting for the next report of each running service')
    await sleep(POLL_MILLISECONDS)
  }
}

async function versionsOf(folder: string): Promise<ReadonlyMap<string, string>> {
  const services = await readRunning(folder)
  return new Map(services.filter(({ isFresh }) => isFresh).map(({ id, version }) => [id, version]))
}

/** The name of a device, or one that an external CA's certificate has been accepted under. */
export async function findKnownName(
  paths: DataPaths,
  given: string,
  ca: 'built-in' | 'external',
  search: Search = {},
): Promise<string> {
  if (ca === 'built-in') {
    return findDevice(await readDevices(paths, search.notify ?? (() => {})), given).name
  }
  const names = [given, normalizeName(given)].map(comparableName)
  const found = await findSeen(paths, ({ name }) => names.includes(comparableName(name)), search)
  if (found !== undefined) return found.name
  throw new CommandError(`no certificate with the name "${given}" has been accepted so far`, {
    hint: 'certlatch device list shows the names',
  })
}
