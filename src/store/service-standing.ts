import { isOtherBoot, isProcessGone } from './lock-owner.ts'
import type { RunningState } from './service-state.ts'

/** A service that has written within this time is running. */
export const FRESH_SECONDS = 30
/** A service that has been silent for longer has ended. */
export const FORGOTTEN_SECONDS = 86_400

/** Whether a service is running, as far as can be known here. */
export interface Standing {
  /** By the folder's own clock. */
  readonly ageSeconds: number
  /** It has written lately, and its process is not known to be gone. */
  readonly isFresh: boolean
  /** It no longer runs. One that is neither is silent: cut off or suspended, it may come back. */
  readonly hasEnded: boolean
}

interface WrittenState {
  readonly state: RunningState
  /** Milliseconds, by the folder's own clock. */
  readonly writtenAt: number
}

/** The name of a service in commands: `127.0.0.1:9180@nas`. */
export const labelOf = ({ listen, host }: Pick<RunningState, 'listen' | 'host'>): string =>
  `${listen}@${host}`

/** `clock`: what time it is in the folder, in milliseconds; `machine`: the identity of this one. */
export function standingsOf<T extends WrittenState>(
  files: readonly T[],
  clock: number,
  machine: string | undefined,
): readonly (T & Standing)[] {
  const services = files.map((file) => {
    const { state, writtenAt } = file
    const ageSeconds = (clock - writtenAt) / 1000
    const isGone = state.stoppedAt !== undefined || isProcessGone(state, machine)
    // A time in the future: the clock was set back since.
    const isFresh = Math.abs(ageSeconds) < FRESH_SECONDS && !isGone
    return { ...file, ageSeconds, isFresh, hasEnded: isGone || ageSeconds > FORGOTTEN_SECONDS }
  })
  const fresh = new Set(
    services.filter(({ isFresh }) => isFresh).map(({ state }) => labelOf(state)),
  )
  // Both rely on unique host names, which a service checks when it starts.
  const hasSuccessor = ({ identity, ...state }: RunningState): boolean =>
    fresh.has(labelOf(state)) || isOtherBoot(identity, machine)
  return services.map((service) => {
    const hasEnded = service.hasEnded || (!service.isFresh && hasSuccessor(service.state))
    return { ...service, hasEnded }
  })
}
