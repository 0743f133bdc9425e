import { readElements, readObjectIdentifier, readSequence, TAG } from './der.ts'

/** One attribute of a distinguished name. */
interface NameAttribute {
  readonly type: string
  /** `undefined` if the value has a string type that certlatch does not read. */
  readonly text: string | undefined
}

export interface DistinguishedName {
  readonly der: Buffer
  /** Equal for two names if and only if RFC 5280 §7.1 considers them equal. */
  readonly comparable: string
  /** In the order of the encoding, most significant first. */
  readonly attributes: readonly NameAttribute[]
}

/** Object identifiers of the attributes that may name a person or a device (RFC 4519, RFC 2985). */
export const ATTRIBUTE = {
  commonName: '2.5.4.3',
  emailAddress: '1.2.840.113549.1.9.1',
  userId: '0.9.2342.19200300.100.1.1',
} as const

const SHORT_TYPES: Readonly<Record<string, string>> = {
  [ATTRIBUTE.commonName]: 'CN',
  [ATTRIBUTE.emailAddress]: 'emailAddress',
  [ATTRIBUTE.userId]: 'UID',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
}

/** Reads a Name (RFC 5280 §4.1.2.4). */
export function readName(der: Buffer): DistinguishedName | undefined {
  const relativeNames = readSequence(der)
  if (relativeNames === undefined) return undefined
  const attributes: NameAttribute[] = []
  const comparable: string[] = []
  for (const relativeName of relativeNames) {
    const members = relativeName.tag === TAG.set ? readElements(relativeName.content) : undefined
    if (members === undefined || members.length === 0) return undefined
    const comparableMembers: string[] = []
    for (const member of members) {
      const attribute = readAttribute(member.bytes)
      if (attribute === undefined) return undefined
      attributes.push({ type: attribute.type, text: attribute.text })
      comparableMembers.push(attribute.comparable)
    }
    comparable.push(comparableMembers.sort().join('+'))
  }
  return { der, comparable: comparable.join(','), attributes }
}

/** OpenSSL reads the characters of the first differently, and compares the type of the second. */
const BYTEWISE: readonly number[] = [TAG.teletexString, TAG.numericString]

function readAttribute(der: Buffer): (NameAttribute & { comparable: string }) | undefined {
  const [type, value, ...rest] = readSequence(der) ?? []
  if (type === undefined || value === undefined || rest.length > 0) return undefined
  const oid = type.tag === TAG.objectIdentifier ? readObjectIdentifier(type.content) : undefined
  if (oid === undefined) return undefined
  const text = readText(value.tag, value.content)
  // Strings are compared without regard to case, white space and type; some types, and what cannot be
  // read as text, byte by byte. JSON escapes separators inside of values.
  const folded =
    text === undefined || BYTEWISE.includes(value.tag)
      ? value.bytes.toString('hex')
      : JSON.stringify(text.trim().replace(/\s+/g, ' ').toLowerCase())
  return { type: oid, text, comparable: `${oid}=${folded}` }
}

/** The text of a DirectoryString or IA5String, `undefined` for other types and invalid bytes. */
function readText(tag: number, content: Buffer): string | undefined {
  switch (tag) {
    case TAG.utf8String:
      return readUtf8(content)
    case TAG.printableString:
    case TAG.numericString:
    case TAG.ia5String:
      return readAscii(content)
    case TAG.teletexString:
      return content.toString('latin1')
    case TAG.bmpString:
      return content.length % 2 === 0 ? wellFormed(Buffer.from(content).swap16()) : undefined
    default:
      return undefined
  }
}

/** UTF-16 without lone surrogates, which would all be read as the same character. */
function wellFormed(littleEndian: Buffer): string | undefined {
  const text = littleEndian.toString('utf16le')
  return text.isWellFormed() ? text : undefined
}

export function readUtf8(bytes: Buffer): string | undefined {
  const text = bytes.toString('utf8')
  return Buffer.from(text, 'utf8').equals(bytes) ? text : undefined
}

/** Bytes below 0x80 only, as an IA5String must be. */
export function readAscii(bytes: Buffer): string | undefined {
  return bytes.every((byte) => byte < 0x80) ? bytes.toString('latin1') : undefined
}

/**
 * The last attribute of this type, which is the most specific: in names of Active Directory, such as
 * `CN=Users,CN=Ada Lovelace`, the first one is the same for all users.
 */
export const lastAttribute = (name: DistinguishedName, type: string): NameAttribute | undefined =>
  name.attributes.findLast((attribute) => attribute.type === type)

/** The last CN; `undefined` without one, or where it is not text. */
export const commonName = (name: DistinguishedName): string | undefined =>
  lastAttribute(name, ATTRIBUTE.commonName)?.text

/** For people: `CN=Home Device CA, O=Home`; control characters are shown as `?`. */
export function describeName(name: DistinguishedName): string {
  const parts = name.attributes.map(
    ({ type, text }) => `${SHORT_TYPES[type] ?? type}=${text ?? '(not text)'}`,
  )
  return parts.length > 0 ? parts.join(', ').replace(/\p{Cc}/gu, '?') : '(no name)'
}
