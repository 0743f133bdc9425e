import type { Result } from '../result.ts'

/** A line of the database that `openssl ca` keeps (`index.txt`). */
export interface IndexEntry {
  readonly line: number
  /** Unix seconds. */
  readonly notAfter: number
  readonly revokedAt: number | undefined
  /** In openssl's spelling: `keyCompromise`, `superseded` and so on. */
  readonly reason: string | undefined
  /** As in `Certificate.serial`. */
  readonly serial: string
  readonly commonName: string | undefined
}

export type ReadIndex = Result<{ entries: readonly IndexEntry[] }>

/**
 * Reads the six columns: status, expiry, revocation with its reason, serial number, file, subject;
 * separated by tabs. The problem is a clause that follows the file's name.
 */
export function readIndex(text: string): ReadIndex {
  const entries: IndexEntry[] = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line === '') continue
    const entry = readLine(line, index + 1)
    if (entry === undefined) {
      return {
        ok: false,
        problem: `line ${index + 1} is not one of an openssl index.txt: expected V, R or E, dates, a serial number and a subject, separated by tabs`,
      }
    }
    entries.push(entry)
  }
  return { ok: true, entries }
}

function readLine(text: string, line: number): IndexEntry | undefined {
  const [status = '', expiry = '', revocation = '', number = '', file, subject] = text.split('\t')
  const notAfter = readTime(expiry)
  const [date = '', reason] = revocation.split(',')
  const revokedAt = readTime(date)
  if (!/^[VRE]$/.test(status) || notAfter === undefined || file === undefined) return undefined
  if (subject === undefined || !/^[0-9A-F]{1,42}$/i.test(number)) return undefined
  if ((status === 'R') !== (revokedAt !== undefined)) return undefined
  return {
    line,
    notAfter,
    revokedAt,
    reason,
    serial: serialOf(number),
    commonName: commonNameOf(subject),
  }
}

/** Whole bytes in lower case, as in `Certificate.serial`. */
function serialOf(number: string): string {
  const digits = number.toLowerCase().replace(/^0+(?=.)/, '')
  return digits.length % 2 === 0 ? digits : `0${digits}`
}

const TIME = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/

/** UTCTime, with the century of RFC 5280 §4.1.2.5.1, or GeneralizedTime. */
function readTime(text: string): number | undefined {
  const [, years, ...rest] = TIME.exec(text) ?? []
  if (years === undefined) return undefined
  const [month = 0, day = 0, hour = 0, minute = 0, second = 0] = rest.map(Number)
  const short = Number(years) < 50 ? 2000 : 1900
  const year = years.length === 4 ? Number(years) : short + Number(years)
  return Date.UTC(year, month - 1, day, hour, minute, second) / 1000
}

/**
 * The last CN of `/C=DE/CN=Ada`, or of `/CN=Ada+UID=7`. OpenSSL 3 puts a backslash before a "/" or "+"
 * within a value, earlier versions don't.
 */
function commonNameOf(subject: string): string | undefined {
  const parts = subject.split(/(?<!\\)[/+](?=[A-Za-z0-9.]+=)/)
  const value = parts.findLast((part) => part.startsWith('CN='))?.slice(3)
  if (value === undefined) return undefined
  const bytes = value.replace(/\\(?:x([0-9A-Fa-f]{2})|([/+]))/g, (_, hex?: string, mark = '') =>
    hex === undefined ? mark : String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(bytes, 'latin1').toString('utf8')
}
