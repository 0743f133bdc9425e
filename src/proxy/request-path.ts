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

/** Hardly any path: an escape or another unusual character, an empty segment, one that begins with a dot. */
const NOT_PLAIN = /[^A-Za-z0-9_~!$&'()*+,=:@./-]|\/[/.]/

/** Reads a raw path: it begins with `/`, has no query, and each `%` in it two hex digits. */
export function readRequestPath(path: string): RequestPath {
  if (!NOT_PLAIN.test(path)) return { literal: path, certain: undefined }
  const { literal, firstAmbiguous } = decodeOnce(path)
  if (leadsAnywhere(decodeWholly(path))) return { literal, certain: '' }
  const isClear = firstAmbiguous === undefined
  return { literal, certain: isClear ? undefined : literal.slice(0, firstAmbiguous) }
}

/*
 * Byte for byte, and each function once over the path: that needs no credential, and by pieces of strings
 * the longest path took the time of a hundred refusals.
 */

const SPACE = 0x20
const NUMBER_SIGN = 0x23
const PERCENT = 0x25
const DOT = 0x2e
const SLASH = 0x2f
const SEMICOLON = 0x3b
const QUESTION_MARK = 0x3f
const BACKSLASH = 0x5c
const DELETE = 0x7f

/** What begins parameters, a query or a fragment. */
const isEnd = (byte: number): boolean =>
  byte === SEMICOLON || byte === QUESTION_MARK || byte === NUMBER_SIGN

const isSeparator = (byte: number): boolean => byte === SLASH || byte === BACKSLASH

/** Decoded it would make another path of it: separators, ends, a second escape, control characters. */
const staysEscaped = (byte: number): boolean =>
  byte < SPACE || byte === DELETE || byte === PERCENT || isSeparator(byte) || isEnd(byte)

interface DecodedOnce {
  readonly literal: string
  /**
   * Where the first segment begins in it that some proxy or application may take for something else:
   * an empty one, a dot segment, one with a separator, an end or a second escape, encoded or not. `;`
   * begins parameters that some servers remove before they look where a path leads.
   */
  readonly firstAmbiguous: number | undefined
}

function decodeOnce(path: string): DecodedOnce {
  const bytes = Buffer.allocUnsafe(path.length)
  let length = 0
  let segmentStart = 1
  let isAmbiguous = false
  let firstAmbiguous: number | undefined
  for (let index = 0; index < path.length; index += 1) {
    const byte = path.charCodeAt(index)
    if (byte === SLASH && index > 0) {
      isAmbiguous ||= length === segmentStart || isDotSegment(bytes, segmentStart, length)
      if (isAmbiguous) firstAmbiguous ??= segmentStart
      segmentStart = length + 1
      isAmbiguous = false
    }
    const escaped = byte === PERCENT ? escapedByte(path, index) : Number.NaN
    const isKept = staysEscaped(escaped)
    isAmbiguous ||= isKept || byte === SEMICOLON || byte === BACKSLASH
    if (isKept) {
      bytes[length] = PERCENT
      bytes[length + 1] = HEX_DIGITS.charCodeAt(escaped >> 4)
      bytes[length + 2] = HEX_DIGITS.charCodeAt(escaped & 15)
    } else bytes[length] = escaped >= 0 ? escaped : byte
    length += isKept ? 3 : 1
    if (escaped >= 0) index += 2
  }
  isAmbiguous ||= isDotSegment(bytes, segmentStart, length)
  if (isAmbiguous) firstAmbiguous ??= segmentStart
  return { literal: bytes.toString('latin1', 0, length), firstAmbiguous }
}

const HEX_DIGITS = '0123456789ABCDEF'

function isDotSegment(bytes: Buffer, from: number, to: number): boolean {
  const isShort = to === from + 1 || to === from + 2
  return isShort && bytes[from] === DOT && bytes[to - 1] === DOT
}

/** The byte that `%` and the two digits after it stand for; NaN if they are no digits. */
export const escapedByte = (path: string, at: number): number =>
  hexDigit(path.charCodeAt(at + 1)) * 16 + hexDigit(path.charCodeAt(at + 2))

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : Number.NaN
}

/** Until nothing changes: what is decoded may complete the escape that stands before it. */
function decodeWholly(path: string): Buffer {
  if (!path.includes('%')) return Buffer.from(path, 'latin1')
  const bytes = Buffer.allocUnsafe(path.length)
  let length = 0
  for (let index = 0; index < path.length; index += 1) {
    bytes[length] = path.charCodeAt(index)
    length += 1
    while (length > 2 && bytes[length - 3] === PERCENT) {
      const value = hexDigit(Number(bytes[length - 2])) * 16 + hexDigit(Number(bytes[length - 1]))
      if (Number.isNaN(value)) break
      length -= 2
      bytes[length - 1] = value
    }
  }
  return bytes.subarray(0, length)
}

/** Between separators, with or without white space around it and parameters behind it. */
const DOT_SEGMENT = /(?:^|[/\\])\s*\.\.?\s*(?:[/\\;?#]|$)/

/** Whether some reading of the path climbs out of its folder, or ends early. */
function leadsAnywhere(decoded: Buffer): boolean {
  if (decoded.includes(0) || !isUtf8(decoded)) return true
  return decoded.includes(DOT) && DOT_SEGMENT.test(decoded.toString('latin1'))
}
