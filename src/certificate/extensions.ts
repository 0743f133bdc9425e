import { hash } from 'node:crypto'
import {
  contextTag,
  type DerElement,
  readBoolean,
  readElement,
  readElements,
  readIntegerHex,
  readNamedBits,
  readObjectIdentifier,
  readSequence,
  readSmallInteger,
  SequenceReader,
  TAG,
} from './der.ts'
import { readAscii, readUtf8 } from './name.ts'

/** Object identifiers of the extensions that certlatch reads (RFC 5280 §4.2, §5.2, §5.3). */
export const EXTENSION = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  crlNumber: '2.5.29.20',
  reasonCode: '2.5.29.21',
  deltaCrlIndicator: '2.5.29.27',
  issuingDistributionPoint: '2.5.29.28',
  crlDistributionPoints: '2.5.29.31',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const

/** Bit numbers of KeyUsage (RFC 5280 §4.2.1.3). */
export const KEY_USAGE = { digitalSignature: 0, keyCertSign: 5, crlSign: 6 } as const

export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

interface Extension {
  readonly critical: boolean
  /** DER inside the OCTET STRING. */
  readonly value: Buffer
}

/** By object identifier; each at most once (RFC 5280 §4.2). */
export type Extensions = ReadonlyMap<string, Extension>

export const NO_EXTENSIONS: Extensions = new Map()

/** Whether there is a critical extension that is not among the understood ones. */
export function hasUnknownCritical(
  extensions: Extensions,
  understood: ReadonlySet<string>,
): boolean {
  for (const [oid, { critical }] of extensions) {
    if (critical && !understood.has(oid)) return true
  }
  return false
}

/** Reads `Extensions`; `undefined` if one occurs twice or is malformed. */
export function readExtensions(der: Buffer): Extensions | undefined {
  const items = readSequence(der)
  if (items === undefined || items.length === 0) return undefined
  const extensions = new Map<string, Extension>()
  for (const item of items) {
    const fields = new SequenceReader(readSequence(item.bytes) ?? [])
    const type = fields.take(TAG.objectIdentifier)
    const criticality = fields.take(TAG.boolean)
    const value = fields.take(TAG.octetString)
    if (type === undefined || value === undefined || !fields.atEnd) return undefined
    const oid = readObjectIdentifier(type.content)
    // X.690 §11.5 omits the DEFAULT FALSE; some CAs write it, and it has only one meaning.
    const critical = criticality === undefined ? false : readBoolean(criticality.content)
    if (oid === undefined || critical === undefined || extensions.has(oid)) return undefined
    extensions.set(oid, { critical, value: value.content })
  }
  return extensions
}

/** What was found: no such extension, an unreadable one, or its value. */
export type Read<T> = T | 'absent' | 'malformed'

function readWith<T>(
  extensions: Extensions,
  oid: string,
  read: (value: Buffer) => T | undefined,
): Read<T> {
  const extension = extensions.get(oid)
  if (extension === undefined) return 'absent'
  return read(extension.value) ?? 'malformed'
}

export interface BasicConstraints {
  readonly certificateAuthority: boolean
}

/** RFC 5280 §4.2.1.9 */
export const basicConstraints = (extensions: Extensions): Read<BasicConstraints> =>
  readWith(extensions, EXTENSION.basicConstraints, (value) => {
    const elements = readSequence(value)
    if (elements === undefined) return undefined
    const fields = new SequenceReader(elements)
    const authority = fields.take(TAG.boolean)
    const pathLength = fields.take(TAG.integer)
    if (!fields.atEnd) return undefined
    if (authority !== undefined && readBoolean(authority.content) === undefined) return undefined
    // Its value does not matter: the CAs that are trusted sign devices directly.
    if (pathLength !== undefined && readSmallInteger(pathLength.content) === undefined) {
      return undefined
    }
    return {
      // Some CAs write the DEFAULT FALSE; it can only take rights away.
      certificateAuthority: authority !== undefined && readBoolean(authority.content) === true,
    }
  })

/** RFC 5280 §4.2.1.3, as bit numbers. */
export const keyUsage = (extensions: Extensions): Read<ReadonlySet<number>> =>
  readWith(extensions, EXTENSION.keyUsage, (value) => {
    const bits = readElement(value, TAG.bitString)
    return bits && readNamedBits(bits.content)
  })

/** RFC 5280 §4.2.1.12, as object identifiers. */
export const extendedKeyUsage = (extensions: Extensions): Read<readonly string[]> =>
  readWith(extensions, EXTENSION.extendedKeyUsage, (value) => {
    const elements = readSequence(value)
    const purposes = elements?.map(({ tag, content }) =>
      tag === TAG.objectIdentifier ? readObjectIdentifier(content) : undefined,
    )
    if (purposes === undefined || purposes.length === 0) return undefined
    const known = purposes.filter((purpose) => purpose !== undefined)
    return known.length === purposes.length ? known : undefined
  })

/** RFC 5280 §4.2.1.2 */
export const subjectKeyIdentifier = (extensions: Extensions): Read<Buffer> =>
  readWith(
    extensions,
    EXTENSION.subjectKeyIdentifier,
    (value) => readElement(value, TAG.octetString)?.content,
  )

export interface AuthorityKeyIdentifier {
  readonly keyIdentifier: Buffer | undefined
  /** The serial number of the issuer's certificate. */
  readonly serial: string | undefined
}

/** RFC 5280 §4.2.1.1 */
export const authorityKeyIdentifier = (extensions: Extensions): Read<AuthorityKeyIdentifier> =>
  readWith(extensions, EXTENSION.authorityKeyIdentifier, (value) => {
    const elements = readSequence(value)
    if (elements === undefined) return undefined
    const fields = new SequenceReader(elements)
    const keyIdentifier = fields.take(contextTag(0, false))
    const issuer = fields.take(contextTag(1, true))
    const serialNumber = fields.take(contextTag(2, false))
    // authorityCertIssuer and authorityCertSerialNumber come together or not at all.
    if (!fields.atEnd || (issuer === undefined) !== (serialNumber === undefined)) return undefined
    const serial = serialNumber && readIntegerHex(serialNumber.content, 21)
    if (serialNumber !== undefined && serial === undefined) return undefined
    return { keyIdentifier: keyIdentifier?.content, serial }
  })

/** A GeneralName of the kinds that name a person or a device. */
export interface AlternativeName {
  readonly kind: 'email' | 'dns' | 'uri' | 'upn' | 'other'
  /** `undefined` if it is not text in the encoding of its kind. */
  readonly text: string | undefined
}

/** Microsoft's user principal name, an OtherName. */
const USER_PRINCIPAL_NAME = '1.3.6.1.4.1.311.20.2.3'

const GENERAL_NAME_KINDS: Readonly<Record<number, AlternativeName['kind']>> = {
  [contextTag(1, false)]: 'email',
  [contextTag(2, false)]: 'dns',
  [contextTag(6, false)]: 'uri',
}

/** RFC 5280 §4.2.1.6 */
export const subjectAltNames = (extensions: Extensions): Read<readonly AlternativeName[]> =>
  readWith(extensions, EXTENSION.subjectAltName, (value) => {
    const names = readSequence(value)?.map(readGeneralName)
    if (names === undefined || names.length === 0) return undefined
    const known = names.filter((name) => name !== undefined)
    return known.length === names.length ? known : undefined
  })

function readGeneralName({ tag, content }: DerElement): AlternativeName | undefined {
  const kind = GENERAL_NAME_KINDS[tag]
  if (tag === contextTag(0, true)) return readOtherName(content)
  if (kind === undefined) return { kind: 'other', text: undefined }
  const text = readAscii(content)
  return text === undefined ? undefined : { kind, text }
}

/** OtherName (RFC 5280 §4.2.1.6): a type and, in an explicit tag, a value of that type. */
function readOtherName(content: Buffer): AlternativeName {
  const [type, tagged, ...rest] = readElements(content) ?? []
  const oid = type?.tag === TAG.objectIdentifier ? readObjectIdentifier(type.content) : undefined
  if (oid !== USER_PRINCIPAL_NAME) return { kind: 'other', text: undefined }
  const isTagged = tagged?.tag === contextTag(0, true) && rest.length === 0
  const value = isTagged ? readElement(tagged.content, TAG.utf8String) : undefined
  return { kind: 'upn', text: value && readUtf8(value.content) }
}

/** Hashes a distribution point's name: names are only compared, and session tokens carry them. */
const nameHash = (der: Buffer): string => hash('sha256', der, 'base64url').slice(0, 16)

/** Full names of distribution points, hashed. */
export const crlDistributionPointNames = (extensions: Extensions): Read<readonly string[]> =>
  readWith(extensions, EXTENSION.crlDistributionPoints, (value) => {
    const points = readSequence(value)
    if (points === undefined || points.length === 0) return undefined
    const names: string[] = []
    for (const point of points) {
      const fields = readSequence(point.bytes)
      if (fields === undefined) return undefined
      const name = fields.find(({ tag }) => tag === contextTag(0, true))
      names.push(...((name && readDistributionPointName(name)) ?? []))
    }
    return names
  })

/**
 * The full names of a `DistributionPointName`, hashed; a name relative to the CRL issuer counts as
 * one name, which equals only the same encoding.
 */
export function readDistributionPointName({ content }: DerElement): readonly string[] | undefined {
  const choice = readElements(content)?.[0]
  if (choice === undefined) return undefined
  if (choice.tag !== contextTag(0, true)) return [nameHash(choice.bytes)]
  return readElements(choice.content)?.map(({ bytes }) => nameHash(bytes))
}
