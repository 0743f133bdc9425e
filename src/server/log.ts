import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino'
import type { LOG_FORMATS } from '../config/options.ts'
import { printable } from '../config/text.ts'

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

/** Values that need no quotes to be told from what stands around them. */
const PLAIN = /^[^\s"=\p{C}]+$/u

/**
 * A line of the log for a person at a terminal: time, level and message first, then the fields.
 * What comes from outside stays on the line, and gives the terminal no orders.
 */
export function asText(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>
  const told = Object.entries(fields).map(([name, value]) => `${name}=${spell(value)}`)
  const head = [String(time), String(level).padEnd(5), printable(String(msg))]
  return `${[...head, ...told].join(' ')}\n`
}

function spell(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return PLAIN.test(text) ? text : `"${printable(text.replaceAll('"', "'"))}"`
}
