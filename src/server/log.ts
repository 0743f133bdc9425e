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

/** A refusal as the log tells it. For its path see `loggedPath`. */
export interface LoggedRefusal extends Pick<Deny, 'reason' | 'via'> {
  readonly client: string | undefined
  readonly method: string | undefined
  readonly host: string | undefined
  readonly path: string | undefined
  /** The rule that refused, where one did. */
  readonly rule?: string | undefined
}

const LONGEST_SEGMENT = 24
const MAX_SEGMENTS = 6

/**
 * The path as the log may know it: without the query, and without segments so long that they may
 * be secrets (the id of a webhook, a signed media path).
 */
export function loggedPath(uri: string): string {
  const [path = ''] = uri.split(/[?#]/)
  const segments = path.split('/').slice(0, MAX_SEGMENTS + 1)
  return segments.map((part) => (part.length > LONGEST_SEGMENT ? '…' : part)).join('/')
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
