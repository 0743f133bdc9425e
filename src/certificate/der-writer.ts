/** Writes the DER types that a certificate, a CRL and their packages are made of. */

import { formatTime, TAG } from './der.ts'

/** Encodes one element. */
export function writeElement(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.from([tag, ...lengthBytes(content.length)]), content])
}

function lengthBytes(length: number): readonly number[] {
  if (length < 0x80) return [length]
  const bytes: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return [0x80 | bytes.length, ...bytes]
}

export const writeSequence = (...contents: readonly Uint8Array[]): Buffer =>
  writeElement(TAG.sequence, ...contents)

export const writeSet = (...contents: readonly Uint8Array[]): Buffer =>
  writeElement(TAG.set, ...contents)

/** A non-negative INTEGER from big-endian bytes. */
export function writeInteger(bigEndian: Uint8Array): Buffer {
  let start = 0
  while (start < bigEndian.length - 1 && bigEndian[start] === 0) start += 1
  const digits = Buffer.from(bigEndian.subarray(start))
  // Without a leading zero a high first bit would mean a negative number.
  const padding = Buffer.alloc(digits.length === 0 || digits.readInt8() < 0 ? 1 : 0)
  return writeElement(TAG.integer, padding, digits)
}

/** An INTEGER in the spelling of `readIntegerHex`, a negative one too. */
export function writeIntegerHex(hex: string): Buffer {
  if (!hex.startsWith('-')) return writeInteger(Buffer.from(hex, 'hex'))
  const magnitude = BigInt(`0x${hex.slice(1)}`)
  // As many bytes as two's complement needs; its lowest number has no positive counterpart.
  const bytes = Math.ceil(((magnitude - 1n).toString(2).length + 1) / 8)
  const complement = (1n << BigInt(8 * bytes)) - magnitude
  return writeElement(TAG.integer, Buffer.from(complement.toString(16), 'hex'))
}

export function writeSmallInteger(value: number): Buffer {
  const bytes = Buffer.alloc(6)
  bytes.writeUIntBE(value, 0, 6)
  return writeInteger(bytes)
}

export const writeBoolean = (value: boolean): Buffer =>
  writeElement(TAG.boolean, Buffer.from([value ? 0xff : 0]))

export function writeObjectIdentifier(dotted: string): Buffer {
  const [top = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [top * 40 + second, ...rest].flatMap((arc) => {
    const digits = [arc & 0x7f]
    for (let high = Math.floor(arc / 128); high > 0; high = Math.floor(high / 128)) {
      digits.unshift(0x80 | (high & 0x7f))
    }
    return digits
  })
  return writeElement(TAG.objectIdentifier, Buffer.from(bytes))
}

export const writeOctetString = (content: Uint8Array): Buffer =>
  writeElement(TAG.octetString, content)

export const writeBitString = (content: Uint8Array): Buffer =>
  writeElement(TAG.bitString, Buffer.from([0]), content)

/** A named-bit list without trailing zero bits. */
export function writeNamedBits(bits: readonly number[]): Buffer {
  const highest = Math.max(-1, ...bits)
  const bytes = Buffer.alloc((highest >> 3) + 1)
  for (const bit of bits)
    bytes.writeUInt8(bytes.readUInt8(bit >> 3) | (0x80 >> (bit & 7)), bit >> 3)
  const unused = highest < 0 ? 0 : 7 - (highest & 7)
  return writeElement(TAG.bitString, Buffer.from([unused]), bytes)
}

export const writeUtf8String = (text: string): Buffer =>
  writeElement(TAG.utf8String, Buffer.from(text, 'utf8'))

/** UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). */
export function writeTime(unixSeconds: number): Buffer {
  const text = formatTime(unixSeconds)
  const utcTime = text >= '1950' && text < '2050'
  return writeElement(
    utcTime ? TAG.utcTime : TAG.generalizedTime,
    Buffer.from(utcTime ? text.slice(2) : text, 'latin1'),
  )
}
