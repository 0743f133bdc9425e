import { setTimeout as sleep } from 'node:timers/promises'
import type { DataPaths } from '../store/data-directory.ts'
import { readRegistryFolder, registryFingerprint } from '../store/device-registry.ts'
import { labelOf } from '../store/service-standing.ts'
import type { RunningState } from '../store/service-state.ts'
import {
  awaitRunning,
  type RunningConfirmation,
  readRunning,
} from '../store/service-state-files.ts'
import { CommandError, usageError } from './command-error.ts'

const TIMEOUT_MILLISECONDS = 5_000
/** Long enough for a service that can't report its state to check the files. */
const UNCONFIRMED_MILLISECONDS = 1_000

/** Waits until all running services report that they have the change, for five seconds at most. */
export async function awaitConfirmation(
  { running }: DataPaths,
  hasIt: (state: RunningState) => boolean | Promise<boolean>,
  forgotten: readonly string[] = [],
): Promise<RunningConfirmation> {
  const options = { timeoutMilliseconds: TIMEOUT_MILLISECONDS, forgotten }
  const outcome = await awaitRunning(running, hasIt, options)
  if (outcome.confirmed.length === 0 && outcome.missing.length === 0) {
    await sleep(UNCONFIRMED_MILLISECONDS)
  }
  return outcome
}

/** Waits in the same way for the current registry, or one that another command has changed since. */
export async function awaitRegistry({ running, devices }: DataPaths): Promise<RunningConfirmation> {
  const read = async () => registryFingerprint(await readRegistryFolder(devices), undefined)
  const answers = new Map([[await read(), true]])
  const hasIt = async ({ devices: fingerprint }: RunningState): Promise<boolean> => {
    if (fingerprint === undefined) return false
    const isIt = answers.get(fingerprint) ?? (await read()) === fingerprint
    answers.set(fingerprint, isIt)
    return isIt
  }
  return awaitRunning(running, hasIt, { timeoutMilliseconds: TIMEOUT_MILLISECONDS })
}

/**
 * Checks the labels of services that need not be waited for. Throws a CommandError if one of them is
 * running, or has never written into this directory.
 */
export async function requireForgettable(
  { running }: DataPaths,
  labels: readonly string[],
): Promise<readonly string[]> {
  if (labels.length === 0) return []
  const services = await readRunning(running)
  const silent = services.filter(({ isFresh, hasEnded }) => !isFresh && !hasEnded)
  const all = silent.map(({ state }) => labelOf(state))
  for (const label of labels) {
    const same = services.filter(({ state }) => labelOf(state) === label)
    if (same.some(({ isFresh }) => isFresh)) {
      throw new CommandError(
        `the service ${label} is running, so it has to confirm; nothing was changed`,
        { code: 'usage' },
      )
    }
    if (same.length > 0) continue
    const known = all.length === 0 ? 'no service is silent' : `silent: ${all.join(', ')}`
    throw usageError(
      `there is no service ${label}; nothing was changed`,
      `expected LISTEN@HOST; ${known}`,
    )
  }
  return labels
}
