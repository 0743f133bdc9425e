import {
  contextTag,
  type DerElement,
  readElement,
  readElements,
  readIntegerHex,
  readObjectIdentifier,
  readOctetAlignedBits,
  readSequence,
  readSmallInteger,
  readTime,
  SequenceReader,
  TAG,
} from './der.ts'
import { type Extensions, NO_EXTENSIONS, readExtensions } from './extensions.ts'
import { type DistinguishedName, readName } from './name.ts'
import { type PublicKeyKind, readPublicKeyKind } from './public-key.ts'

/** An X.509 certificate, parsed strictly and not yet trusted (RFC 5280 §4.1). */
export interface Certificate {
  readonly der: Buffer
  /** The bytes that the signature covers. */
  readonly tbs: Buffer
  readonly version: 1 | 2 | 3
  /** Lower-case hexadecimal, whole bytes, `-` first if negative. */
  readonly serial: string
  readonly issuer: DistinguishedName
  readonly subject: DistinguishedName
  /** Unix seconds, both inclusive. */
  readonly notBefore: number
  readonly notAfter: number
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKeyInfo: Buffer
  readonly publicKey: PublicKeyKind
  readonly extensions: Extensions
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly signature: Buffer
}

/** An AlgorithmIdentifier. */
export interface SignatureAlgorithm {
  readonly oid: string
  /** The DER of its parameters, `undefined` if there are none. */
  readonly parameters: Buffer | undefined
}

/** More than any device certificate needs, and small enough that parsing one is cheap. */
const MAX_CERTIFICATE_BYTES = 16 * 1024
/** RFC 5280 §4.1.2.2: 20 bytes, and one for the sign of serial numbers with 160 random bits. */
const MAX_SERIAL_BYTES = 21

/** The outer structure that certificates, CRLs and requests share. */
export interface Signed {
  readonly tbs: DerElement
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly signature: Buffer
  /** The outer AlgorithmIdentifier, to be compared with the signed one. */
  readonly algorithmDer: Buffer
}

/** Reads `SEQUENCE { tbs, signatureAlgorithm, signatureValue }`. */
export function readSigned(der: Buffer): Signed | undefined {
  const [tbs, algorithm, signature, ...rest] = readSequence(der) ?? []
  if (tbs?.tag !== TAG.sequence || algorithm === undefined || rest.length > 0) return undefined
  if (signature?.tag !== TAG.bitString) return undefined
  const signatureAlgorithm = readAlgorithm(algorithm.bytes)
  const bits = readOctetAlignedBits(signature.content)
  if (signatureAlgorithm === undefined || bits === undefined) return undefined
  return { tbs, signatureAlgorithm, signature: bits, algorithmDer: algorithm.bytes }
}

/** Reads an AlgorithmIdentifier (RFC 5280 §4.1.1.2). */
export function readAlgorithm(der: Buffer): SignatureAlgorithm | undefined {
  const [oid, parameters, ...rest] = readSequence(der) ?? []
  if (oid?.tag !== TAG.objectIdentifier || rest.length > 0) return undefined
  const dotted = readObjectIdentifier(oid.content)
  return dotted === undefined ? undefined : { oid: dotted, parameters: parameters?.bytes }
}

/** The certificate that fills `der`; `undefined` if that is not one in strict DER. */
export function readCertificate(der: Buffer): Certificate | undefined {
  if (der.length > MAX_CERTIFICATE_BYTES) return undefined
  const signed = readSigned(der)
  if (signed === undefined) return undefined
  const fields = new SequenceReader(readElements(signed.tbs.content) ?? [])
  const version = readVersion(fields.take(contextTag(0, true)))
  const serialNumber = fields.take(TAG.integer)
  const serial = serialNumber && readIntegerHex(serialNumber.content, MAX_SERIAL_BYTES)
  const algorithm = fields.take(TAG.sequence)
  const issuerName = fields.take(TAG.sequence)
  const issuer = issuerName && readName(issuerName.bytes)
  const validity = readValidity(fields.take(TAG.sequence))
  const subjectName = fields.take(TAG.sequence)
  const subject = subjectName && readName(subjectName.bytes)
  const keyInfo = fields.take(TAG.sequence)
  const publicKey = keyInfo && readPublicKeyKind(keyInfo.bytes)
  // Unique identifiers are parsed and ignored (RFC 5280 §4.1.2.8).
  const uniqueIdentifiers = [fields.take(contextTag(1, false)), fields.take(contextTag(2, false))]
  const extensions = readOptionalExtensions(fields.take(contextTag(3, true)))
  if (version === undefined || serial === undefined || algorithm === undefined) return undefined
  if (issuer === undefined || subject === undefined || validity === undefined) return undefined
  if (keyInfo === undefined || publicKey === undefined || extensions === undefined) return undefined
  if (!fields.atEnd || !algorithm.bytes.equals(signed.algorithmDer)) return undefined
  // RFC 5280 §4.1.2.8 and §4.1.2.9: what each version may carry.
  if (version < 3 && extensions.size > 0) return undefined
  if (version < 2 && uniqueIdentifiers.some((identifier) => identifier !== undefined)) {
    return undefined
  }
  return {
    der,
    tbs: signed.tbs.bytes,
    version,
    serial,
    issuer,
    subject,
    ...validity,
    publicKeyInfo: keyInfo.bytes,
    publicKey,
    extensions,
    signatureAlgorithm: signed.signatureAlgorithm,
    signature: signed.signature,
  }
}

/** Encoded as one less. X.690 §11.5 omits the DEFAULT 1, but every reader accepts it. */
const VERSIONS = [1, 2, 3] as const

function readVersion(element: DerElement | undefined): 1 | 2 | 3 | undefined {
  if (element === undefined) return 1
  const integer = readElement(element.content, TAG.integer)
  const value = integer && readSmallInteger(integer.content)
  return VERSIONS.find((version) => version - 1 === value)
}

function readValidity(
  element: DerElement | undefined,
): { notBefore: number; notAfter: number } | undefined {
  const [from, to, ...rest] = (element && readElements(element.content)) ?? []
  if (from === undefined || to === undefined || rest.length > 0) return undefined
  const notBefore = readTimeField(from)
  const notAfter = readTimeField(to)
  return notBefore === undefined || notAfter === undefined ? undefined : { notBefore, notAfter }
}

/** Unix seconds of a Time, which is one of two types (RFC 5280 §4.1.2.5). */
export function readTimeField(element: DerElement): number | undefined {
  return element.tag === TAG.utcTime || element.tag === TAG.generalizedTime
    ? readTime(element)
    : undefined
}

/** The extensions inside an explicit tag; none if the tag is absent. */
export function readOptionalExtensions(element: DerElement | undefined): Extensions | undefined {
  return element === undefined ? NO_EXTENSIONS : readExtensions(element.content)
}
