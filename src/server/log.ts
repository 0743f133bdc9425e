import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino'
import type { LOG_FORMATS } from '../config/options.ts'
import { printable } from '../config/text.ts'

export type Log = Logger

/** Lines with a stable set of fields. `decision-log.ts` chooses what a request contributes. */
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

/** Values that are unambiguous without quotes. */
const PLAIN = /^[^\s"=\p{C}]+$/u

/**
 * Formats a log line for a terminal: time, level and message first, then the fields. Values from
 * outside cannot add lines or send control sequences.
 */
export function asText(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>
  const fieldTexts = Object.entries(fields).map(([name, value]) => `${name}=${spell(value)}`)
  const head = [String(time), String(level).padEnd(5), printable(String(msg))]
  return `${[...head, ...fieldTexts].join(' ')}\n`
}

function spell(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return PLAIN.test(text) ? text : `"${printable(text.replaceAll('"', "'"))}"`
}
