import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino'
import type { Deny } from '../decision.ts'

export type Log = Logger

/** JSON lines with a stable set of fields; nothing of a request gets in but what is named here. */
export function createLog(level: string, destination: DestinationStream): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
}

/** A refusal as the log tells it. The path has no query, for that may carry tokens. */
export interface LoggedRefusal extends Pick<Deny, 'reason' | 'via'> {
  readonly client: string | undefined
  readonly method: string | undefined
  readonly host: string | undefined
  readonly path: string | undefined
}

const PER_WINDOW = 10
const WINDOW_MILLISECONDS = 10_000

/**
 * Logs refusals, at most ten of one reason in ten seconds: the first ones tell what goes on, and a
 * flood must cost neither disk nor time. How many were left out stands in the next line of its kind.
 */
export function createRefusalLog(log: Log, nowMilliseconds: () => number) {
  const windows = new Map<string, { startedAt: number; told: number; leftOut: number }>()
  return (reason: Deny['reason'], describe: () => LoggedRefusal): void => {
    const now = nowMilliseconds()
    let window = windows.get(reason)
    if (window === undefined || now - window.startedAt >= WINDOW_MILLISECONDS) {
      const leftOut = window?.leftOut ?? 0
      window = { startedAt: now, told: 0, leftOut: 0 }
      windows.set(reason, window)
      if (leftOut > 0) log.info({ reason, leftOut }, 'refusals left out of the log')
    }
    if (window.told >= PER_WINDOW) {
      window.leftOut += 1
      return
    }
    window.told += 1
    log.info(describe(), 'refused')
  }
}
