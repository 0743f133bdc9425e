import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino'
import type { LOG_FORMATS } from '../config/options.ts'
import { asText } from './log-text.ts'

export type Log = Logger

/** Lines with a stable set of fields; nothing of a request gets in but what is named in `audit.ts`. */
export function createLog(
  level: string,
  destination: DestinationStream,
  format: (typeof LOG_FORMATS)[number] = 'json',
): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    format === 'json' ? destination : { write: (line) => destination.write(asText(line)) },
  )
}
