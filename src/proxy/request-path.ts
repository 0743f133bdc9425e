import { isUtf8 } from 'node:buffer'

/** A request's path, as far as every proxy and application reads it in the same way. */
export interface RequestPath {
  /**
   * One char for each byte. Every percent-encoded byte with only one reading is decoded, once:
   * `/%63onfig` is `/config`, and `/a%2Cb` is `/a,b`.
   */
  readonly literal: string
  /**
   * The part of an ambiguous path that every application reads in the same way; empty where the path
   * can lead anywhere. `undefined` if the path is not ambiguous.
   */
  readonly certain: string | undefined
}

/** Rare: an escape or another unusual character, an empty segment, one that begins with a dot. */
const NOT_PLAIN = /[^A-Za-z0-9_~!$&'()*+,=:@./-]|\/[/.]/

/** Reads a raw path, which begins with `/`, has no query, and two hex digits after each `%`. */
export function readRequestPath(path: string): RequestPath {
  if (!NOT_PLAIN.test(path)) return { literal: path, certain: undefined }
  const { literal, firstAmbiguous } = decodeOnce(path)
  if (leadsAnywhere(decodeWholly(path))) return { literal, certain: '' }
  const isClear = firstAmbiguous === undefined
  return { literal, certain: isClear ? undefined : literal.slice(0, firstAmbiguous) }
}

/*
 * Each function passes over the path once, byte for byte: this runs before any credential is checked,
 * and with slices of strings the longest path took as long as a hundred refusals.
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

/** The first byte of parameters, a query or a fragment. */
const isEnd = (byte: number): boolean =>
  byte === SEMICOLON || byte === QUESTION_MARK || byte === NUMBER_SIGN

const isSeparator = (byte: number): boolean => byte === SLASH || byte === BACKSLASH

/** Decoding it would change the path: separators, ends, a second escape, control characters. */
const staysEscaped = (byte: number): boolean =>
  byte < SPACE || byte === DELETE || byte === PERCENT || isSeparator(byte) || isEnd(byte)

interface DecodedOnce {
  readonly literal: string
  /**
   * Where the first segment begins that some proxy or application may read in another way: an empty
   * one, a dot segment, one with a separator, an end or a second escape, encoded or not. `;` begins
   * parameters, which some servers remove before they resolve a path.
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

/** The byte that `%` and the two digits after it encode; NaN if they are not digits. */
export const escapedByte = (path: string, at: number): number =>
  hexDigit(path.charCodeAt(at + 1)) * 16 + hexDigit(path.charCodeAt(at + 2))

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : Number.NaN
}

/**
 * Decodes until nothing changes: a decoded byte may complete an escape that begins before it. Takes one
 * char for each byte.
 */
export function decodeWholly(path: string): Buffer {
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

/** Between separators, with or without white space around it and parameters after it. */
const DOT_SEGMENT = /(?:^|[/\\])\s*\.\.?\s*(?:[/\\;?#]|$)/

/** Whether some reading of the path leaves its folder, or ends early. */
function leadsAnywhere(decoded: Buffer): boolean {
  if (decoded.includes(0) || !isUtf8(decoded)) return true
  return decoded.includes(DOT) && DOT_SEGMENT.test(decoded.toString('latin1'))
}
