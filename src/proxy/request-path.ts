import { isUtf8 } from 'node:buffer'

/** A request's path as everybody reads it, as far as everybody reads it alike. */
export interface RequestPath {
  /**
   * One char for each byte; every percent-encoded byte that has only one reading is decoded, once:
   * `/%63onfig` is `/config`, and `/a%2Cb` is `/a,b`.
   */
  readonly literal: string
  /**
   * Of an ambiguous path, the part that is read alike whatever an application makes of the rest;
   * empty where the rest can lead anywhere. `undefined` if nothing about the path is ambiguous.
   */
  readonly certain: string | undefined
}

/** Nearly every path: plain segments, no escapes, no dot segment, nothing empty but the last. */
const PLAIN = /^(?:\/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9_.~!$&'()*+,=:@-]*)*\/?$/

/**
 * What some proxy or application takes for a separator, an end, or a second escape, encoded or not.
 * `;` begins parameters that some servers remove before they look where a path leads.
 */
const AMBIGUOUS = /%(?:2f|5c|25|3b|3f|23|[01][0-9a-f]|7f)|[\\;]/i
const ESCAPE = /%([0-9A-Fa-f]{2})/g

/** Reads a raw path: it begins with `/`, has no query, and each `%` in it two hex digits. */
export function readRequestPath(path: string): RequestPath {
  if (PLAIN.test(path)) return { literal: path, certain: undefined }
  const literal = decodeOnce(path)
  const segments = path.split('/')
  // The text before the first `/` is empty in every path.
  const index = segments.findIndex((segment, position) => {
    if (position === 0) return false
    const isEmpty = segment === '' && position < segments.length - 1
    return isEmpty || isDotSegment(decodeOnce(segment)) || AMBIGUOUS.test(segment)
  })
  const canLeadAnywhere = leadsAnywhere(path)
  if (index === -1 && !canLeadAnywhere) return { literal, certain: undefined }
  const before = segments.slice(0, index).join('/')
  return { literal, certain: canLeadAnywhere ? '' : `${decodeOnce(before)}/` }
}

/** Besides control characters, what stays escaped: decoded it would make another path of it. */
const STAYS_ESCAPED = '/\\%;?#\x7f'

function decodeOnce(path: string): string {
  if (!path.includes('%')) return path
  return path.replace(ESCAPE, (written, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16))
    const staysEscaped = character < ' ' || STAYS_ESCAPED.includes(character)
    return staysEscaped ? written.toUpperCase() : character
  })
}

const isDotSegment = (segment: string): boolean => segment === '.' || segment === '..'

/**
 * Whether some reading of the path climbs out of its folder, or ends early: decoded until nothing
 * changes, with `\` as `/` and without parameters, it has a dot segment, a NUL, or is not UTF-8.
 */
function leadsAnywhere(path: string): boolean {
  const decoded = decodeWholly(path)
  if (decoded.includes('\0') || !isUtf8(Buffer.from(decoded, 'latin1'))) return true
  return decoded
    .split(/[/\\]/)
    .some(
      (segment) => segment.includes('.') && isDotSegment(segment.replace(/[;?#].*$/s, '').trim()),
    )
}

/**
 * In one pass: what is decoded may complete the escape that stands before it. By numbers, for the
 * longest path takes 15 ms by strings, and needs no credential.
 */
function decodeWholly(path: string): string {
  if (!path.includes('%')) return path
  const bytes: number[] = []
  for (let index = 0; index < path.length; index += 1) {
    bytes.push(path.charCodeAt(index))
    for (;;) {
      const start = bytes.length - 3
      if (bytes[start] !== PERCENT) break
      const value = hexDigit(Number(bytes[start + 1])) * 16 + hexDigit(Number(bytes[start + 2]))
      if (Number.isNaN(value)) break
      bytes.length = start
      bytes.push(value)
    }
  }
  return Buffer.from(bytes).toString('latin1')
}

const PERCENT = 0x25

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : Number.NaN
}
