import { createHash } from 'node:crypto'

const UNITS = [
  [86_400, 'day'],
  [3_600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
] as const

/** Formats a duration in its largest unit: `3 days`, `1 hour`. */
export function span(seconds: number): string {
  const rest = Math.abs(seconds)
  const [size, unit] = UNITS.find(([least]) => rest >= least) ?? [1, 'second']
  return count(Math.floor(rest / size), unit)
}

/** How long ago a time was, `3 days ago`; both in Unix seconds, 0: never. */
export const ago = (seconds: number, nowSeconds: number): string =>
  seconds === 0 ? 'never' : seconds >= nowSeconds ? 'just now' : `${span(nowSeconds - seconds)} ago`

const isoTime = (seconds: number): string => new Date(seconds * 1000).toISOString()

/** `2026-11-24`, in UTC. */
export const day = (seconds: number): string => isoTime(seconds).slice(0, 10)

/** `2026-11-24 12:00:05 UTC` */
export const moment = (seconds: number): string =>
  `${isoTime(seconds).slice(0, 19).replace('T', ' ')} UTC`

/** `2026-11-24 12:00 UTC` */
export const minute = (seconds: number): string =>
  `${isoTime(seconds).slice(0, 16).replace('T', ' ')} UTC`

/** The JSON document that a command prints for programs. */
export const jsonOf = (fields: object): string =>
  JSON.stringify({ schemaVersion: 1, ...fields }, undefined, 2)

export const count = (number: number, thing: string): string =>
  `${number} ${thing}${number === 1 ? '' : 's'}`

/** Aligns columns, two spaces apart, without trailing white space. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [index, cell] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, width(cell))
    }
  }
  const lines = rows.map((row) =>
    row
      .map((cell, index) => cell + ' '.repeat((widths[index] ?? 0) - width(cell)))
      .join('  ')
      .trimEnd(),
  )
  return lines.join('\n')
}

/** Combining marks and the joiners of emoji occupy no column. */
const width = (text: string): number => [...text.replace(/\p{M}|\p{Cf}/gu, '')].length

/** Bytes as browsers and phones show them: `AB:CD:…`. */
export const hexPairs = (bytes: Buffer): string =>
  (bytes.toString('hex').toUpperCase().match(/../g) ?? []).join(':')

/** The fingerprint of a certificate in DER. */
export const fingerprint = (der: Buffer, algorithm: 'sha256' | 'sha1'): string =>
  hexPairs(createHash(algorithm).update(der).digest())

/** Quotes text so that a shell reads it as one word. */
export const shellWord = (text: string): string =>
  /^[\w./:@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
