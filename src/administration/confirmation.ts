import { setTimeout as sleep } from 'node:timers/promises'
import type { DataPaths } from '../store/data-directory.ts'
import { awaitRunning, type RunningState } from '../store/running.ts'

/** Whether every service of a directory has what was changed in it. */
export interface Confirmation {
  readonly confirmed: readonly string[]
  /** Services that run and have not got it. */
  readonly missing: readonly string[]
  /** What keeps them from it, as far as they have said so. */
  readonly problems: readonly string[]
  /** Services that have not been heard of for a while: they most likely do not run. */
  readonly dead: readonly string[]
}

const TIMEOUT_MILLISECONDS = 5_000
/** Long enough for a service that cannot write its state to look at the files. */
const UNCONFIRMED_MILLISECONDS = 1_000

/** Waits until all services that run say that they have it, for five seconds at most. */
export async function awaitConfirmation(
  { running }: DataPaths,
  hasIt: (state: RunningState) => boolean | Promise<boolean>,
): Promise<Confirmation> {
  const outcome = await awaitRunning(running, hasIt, { timeoutMilliseconds: TIMEOUT_MILLISECONDS })
  if (outcome.confirmed.length === 0 && outcome.missing.length === 0) {
    await sleep(UNCONFIRMED_MILLISECONDS)
  }
  return outcome
}
