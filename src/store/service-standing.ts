import { isOtherBoot, isProcessGone } from './lock-owner.ts'
import type { RunningState } from './service-state.ts'

/** A service that has written within that time runs. */
export const FRESH_SECONDS = 30
/** One that has been silent for longer does not come back. */
export const FORGOTTEN_SECONDS = 86_400

/** Whether a service runs, as far as can be known from here. */
export interface Standing {
  /** By the folder's own clock. */
  readonly ageSeconds: number
  /** It has written lately, and its process is not known to be gone. */
  readonly isFresh: boolean
  /** It does not run any more. What is neither is silent: it may be cut off or stopped for a while, and go on. */
  readonly hasEnded: boolean
}

interface WrittenState {
  readonly state: RunningState
  /** Milliseconds, by the folder's own clock. */
  readonly writtenAt: number
}

/** What a command calls a service: `127.0.0.1:9180@nas`. */
export const labelOf = ({ listen, host }: Pick<RunningState, 'listen' | 'host'>): string =>
  `${listen}@${host}`

/** `clock`: what time it is in the folder, in milliseconds; `machine`: the identity of this one. */
export function judge<T extends WrittenState>(
  files: readonly T[],
  clock: number,
  machine: string | undefined,
): readonly (T & Standing)[] {
  const services = files.map((file) => {
    const { state, writtenAt } = file
    const ageSeconds = (clock - writtenAt) / 1000
    const isGone = state.stoppedAt !== undefined || isProcessGone(state, machine)
    // A time to come is of a clock that has been set back since.
    const isFresh = Math.abs(ageSeconds) < FRESH_SECONDS && !isGone
    return { ...file, ageSeconds, isFresh, hasEnded: isGone || ageSeconds > FORGOTTEN_SECONDS }
  })
  const fresh = new Set(
    services.filter(({ isFresh }) => isFresh).map(({ state }) => labelOf(state)),
  )
  // Both as long as host names are unique, which the start of a service sees to.
  const hasSuccessor = ({ identity, ...state }: RunningState): boolean =>
    fresh.has(labelOf(state)) || isOtherBoot(identity, machine)
  return services.map((service) => {
    const hasEnded = service.hasEnded || (!service.isFresh && hasSuccessor(service.state))
    return { ...service, hasEnded }
  })
}
