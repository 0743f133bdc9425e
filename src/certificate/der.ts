/**
 * Strict DER (X.690): reads the few types that X.509 needs and accepts only their canonical encoding,
 * so that no two readers can interpret the same bytes differently. Readers return `undefined` for
 * everything else; nothing here recurses, or throws on input.
 */

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  universalString: 0x1c,
  bmpString: 0x1e,
} as const

/** Context-specific tag `[number]`, constructed or primitive. */
export const contextTag = (number: number, constructed: boolean): number =>
  0x80 | (constructed ? 0x20 : 0) | number

export interface DerElement {
  readonly tag: number
  /** Header and content. */
  readonly bytes: Buffer
  readonly content: Buffer
}

/**
 * An element that slices its bytes only when needed, hence a class: a large CRL has a million of them,
 * and two buffers for each took longer than everything that is read in them.
 */
class Span implements DerElement {
  readonly tag: number
  /** Where in the source the next element starts. */
  readonly end: number
  readonly #source: Buffer
  readonly #start: number
  readonly #contentStart: number

  constructor(tag: number, source: Buffer, start: number, contentStart: number, end: number) {
    this.tag = tag
    this.end = end
    this.#source = source
    this.#start = start
    this.#contentStart = contentStart
  }

  get bytes(): Buffer {
    return this.#source.subarray(this.#start, this.end)
  }

  get content(): Buffer {
    return this.#source.subarray(this.#contentStart, this.end)
  }
}

/** The element at `offset`; `undefined` if it is not complete, canonical and within bounds. */
function elementAt(bytes: Buffer, offset: number): Span | undefined {
  const tag = bytes[offset]
  const first = bytes[offset + 1]
  if (tag === undefined || first === undefined) return undefined
  // Tag numbers of 31 and more take further bytes; X.509 has none.
  if ((tag & 0x1f) === 0x1f) return undefined
  let length = first
  let contentStart = offset + 2
  if (first > 0x80) {
    const lengthBytes = first & 0x7f
    contentStart += lengthBytes
    if (lengthBytes > 4 || contentStart > bytes.length) return undefined
    length = bytes.readUIntBE(offset + 2, lengthBytes)
    // The shortest form is the only one (X.690 §10.1).
    if (length < 0x80 || length < 2 ** (8 * (lengthBytes - 1))) return undefined
  } else if (first === 0x80) {
    return undefined // indefinite length
  }
  const end = contentStart + length
  return end > bytes.length ? undefined : new Span(tag, bytes, offset, contentStart, end)
}

/** The one element that fills `bytes` entirely. */
export function readElement(bytes: Buffer, tag: number): DerElement | undefined {
  const element = elementAt(bytes, 0)
  return element?.tag === tag && element.end === bytes.length ? element : undefined
}

/** The elements that fill `content`, in order. */
export function readElements(content: Buffer): readonly DerElement[] | undefined {
  const elements: DerElement[] = []
  for (let offset = 0; offset < content.length; ) {
    const element = elementAt(content, offset)
    if (element === undefined) return undefined
    elements.push(element)
    offset = element.end
  }
  return elements
}

/** The elements inside the one SEQUENCE that fills `bytes`. */
export function readSequence(bytes: Buffer): readonly DerElement[] | undefined {
  const sequence = readElement(bytes, TAG.sequence)
  return sequence && readElements(sequence.content)
}

/** Takes elements in order, as an ASN.1 SEQUENCE declares them. */
export class SequenceReader {
  readonly #elements: readonly DerElement[]
  #next = 0

  constructor(elements: readonly DerElement[]) {
    this.#elements = elements
  }

  /** The next element if it has this tag; otherwise nothing is taken. */
  take(tag: number): DerElement | undefined {
    const element = this.#elements[this.#next]
    if (element?.tag !== tag) return undefined
    this.#next += 1
    return element
  }

  /** The next element if it has one of these tags; otherwise nothing is taken. */
  takeOneOf(tags: readonly number[]): DerElement | undefined {
    const element = this.#elements[this.#next]
    return element && tags.includes(element.tag) ? this.take(element.tag) : undefined
  }

  get atEnd(): boolean {
    return this.#next === this.#elements.length
  }
}

/** TRUE is 0xff and nothing else (X.690 §11.1). */
export function readBoolean(content: Buffer): boolean | undefined {
  if (content.length !== 1) return undefined
  if (content[0] === 0xff) return true
  return content[0] === 0 ? false : undefined
}

/** Whether the content is an INTEGER in its shortest form. */
export function isInteger(content: Buffer): boolean {
  const [first, second] = content
  if (first === undefined) return false
  if (second === undefined) return true
  return !(first === 0 && second < 0x80) && !(first === 0xff && second >= 0x80)
}

/** A non-negative INTEGER small enough for a number. */
export function readSmallInteger(content: Buffer): number | undefined {
  if (!isInteger(content) || content.length > 6 || content.readInt8() < 0) return undefined
  return content.readUIntBE(0, content.length)
}

/**
 * An INTEGER as lower-case hexadecimal digits, an even number of them, without leading zero bytes
 * (`-` before those of a negative one); `undefined` if its content is longer than `maxBytes`.
 */
export function readIntegerHex(content: Buffer, maxBytes: number): string | undefined {
  if (!isInteger(content) || content.length > maxBytes) return undefined
  const hex = content.toString('hex')
  if (content.readInt8() >= 0) return content.length > 1 ? hex.replace(/^00/, '') : hex
  const magnitude = ((1n << BigInt(8 * content.length)) - BigInt(`0x${hex}`)).toString(16)
  return `-${magnitude.length % 2 === 0 ? magnitude : `0${magnitude}`}`
}

/** A BIT STRING of whole bytes. */
export function readOctetAlignedBits(content: Buffer): Buffer | undefined {
  return content[0] === 0 ? content.subarray(1) : undefined
}

/** More than any named-bit list in X.509 defines. */
const MAX_NAMED_BITS = 16

/**
 * A named-bit list as the set of its bit numbers; `undefined` if it is not a BIT STRING in DER. Trailing
 * zero bits, which X.690 §11.2.2 omits and some CAs write, make no difference.
 */
export function readNamedBits(content: Buffer): ReadonlySet<number> | undefined {
  const unused = content[0]
  if (unused === undefined || unused > 7) return undefined
  const bytes = content.subarray(1)
  const last = bytes.at(-1)
  if (last === undefined) return unused === 0 ? new Set() : undefined
  if ((last & ((1 << unused) - 1)) !== 0) return undefined
  const bits = new Set<number>()
  for (let bit = 0; bit < Math.min(bytes.length * 8, MAX_NAMED_BITS); bit += 1) {
    if ((bytes.readUInt8(bit >> 3) & (0x80 >> (bit & 7))) !== 0) bits.add(bit)
  }
  return bits
}

/** Dotted form of an OBJECT IDENTIFIER; arcs above 2^31 are refused, so that none wraps into another. */
export function readObjectIdentifier(content: Buffer): string | undefined {
  const arcs: number[] = []
  let value = 0
  let atStart = true
  for (const byte of content) {
    if (atStart && byte === 0x80) return undefined // padded arc
    value = value * 128 + (byte & 0x7f)
    if (value > 0x7fffffff) return undefined
    atStart = byte < 0x80
    if (atStart) {
      arcs.push(value)
      value = 0
    }
  }
  const first = arcs.shift()
  if (first === undefined || !atStart) return undefined
  const top = Math.min(Math.floor(first / 40), 2)
  return [top, first - 40 * top, ...arcs].join('.')
}

const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/

/** Unix seconds of a UTCTime or GeneralizedTime in the forms that RFC 5280 §4.1.2.5 allows. */
export function readTime(element: DerElement): number | undefined {
  const text = element.content.toString('latin1')
  const match = (element.tag === TAG.utcTime ? UTC_TIME : GENERALIZED_TIME).exec(text)
  if (match === null) return undefined
  const [written = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1)
    .map(Number)
  const twoDigits = element.tag === TAG.utcTime
  const year = twoDigits ? written + (written < 50 ? 2000 : 1900) : written
  const milliseconds = Date.UTC(year, month - 1, day, hour, minute, second)
  // Date.UTC turns 31 April into 1 May: a date that is written differently again does not exist.
  const spelled = formatTime(milliseconds / 1000)
  return spelled === (twoDigits ? `${year}${text.slice(2)}` : text)
    ? milliseconds / 1000
    : undefined
}

/** Unix seconds as `YYYYMMDDhhmmssZ`. */
export function formatTime(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString().replace(/[-:T]|\.\d+/g, '')
}
