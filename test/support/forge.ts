import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { contextTag, readElement, TAG } from '../../src/certificate/der.ts'
import {
  writeBitString,
  writeBoolean,
  writeElement,
  writeInteger,
  writeNamedBits,
  writeObjectIdentifier,
  writeOctetString,
  writeSequence,
  writeSet,
  writeSmallInteger,
  writeTime,
} from '../../src/certificate/der-writer.ts'
import { publicKeyInfoOf } from '../../src/certificate/issue.ts'
import { type Issuer, readIssuer } from '../../src/certificate/verify.ts'

/**
 * Makes certificates, CRLs and requests of any spelling, signed by OpenSSL through node:crypto: what
 * no tool writes, or each writes in its own way.
 */

export const DER_NULL = writeElement(TAG.null)
export const FROM_SECONDS = Date.UTC(2026, 0) / 1000
export const UNTIL_SECONDS = Date.UTC(2046, 0) / 1000

export const p256 = (): KeyObject =>
  generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
export const rsa = (): KeyObject => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey

export const algorithm = (oid: string, ...parameters: readonly Buffer[]): Buffer =>
  writeSequence(writeObjectIdentifier(oid), ...parameters)

export const ECDSA_SHA256 = algorithm('1.2.840.10045.4.3.2')
export const RSA_SHA256 = algorithm('1.2.840.113549.1.1.11', DER_NULL)

/** An attribute's type, string tag and value. */
export type Attribute = readonly [oid: string, tag: number, value: Buffer | string]

export const nameOf = (...attributes: readonly Attribute[]): Buffer =>
  writeSequence(
    ...attributes.map(([oid, tag, value]) =>
      writeSet(writeSequence(writeObjectIdentifier(oid), writeElement(tag, Buffer.from(value)))),
    ),
  )

export const CN = '2.5.4.3'
export const commonNameOf = (text: string): Buffer => nameOf([CN, TAG.utf8String, text])

/** `critical` may be the bytes of a BOOLEAN of another spelling. */
export const extension = (oid: string, value: Buffer, critical: boolean | Buffer = false): Buffer =>
  writeSequence(
    writeObjectIdentifier(oid),
    ...(critical === true ? [writeBoolean(true)] : critical === false ? [] : [critical]),
    writeOctetString(value),
  )

export const alternativeNames = (...names: readonly Buffer[]): Buffer =>
  extension('2.5.29.17', writeSequence(...names))
export const email = (text: string): Buffer => writeElement(contextTag(1, false), Buffer.from(text))
export const dns = (text: string): Buffer => writeElement(contextTag(2, false), Buffer.from(text))
export const uri = (text: string): Buffer => writeElement(contextTag(6, false), Buffer.from(text))
export const upn = (...value: readonly Buffer[]): Buffer =>
  writeElement(
    contextTag(0, true),
    writeObjectIdentifier('1.3.6.1.4.1.311.20.2.3'),
    writeElement(contextTag(0, true), ...value),
  )

/** How a signature is made. */
export interface Signing {
  readonly algorithm: Buffer
  readonly hash?: string | null
  readonly saltLength?: number
}

const signed = (tbs: Buffer, outer: Buffer, key: KeyObject, how: Signing): Buffer => {
  const { hash = 'sha256', saltLength } = how
  const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: saltLength ?? 32 }
  const signature = sign(hash, tbs, saltLength === undefined ? key : pss)
  return writeSequence(tbs, outer, writeBitString(signature))
}

const usual = (key: KeyObject): Signing =>
  key.asymmetricKeyType === 'rsa'
    ? { algorithm: RSA_SHA256 }
    : key.asymmetricKeyType === 'ed25519'
      ? { algorithm: algorithm('1.3.101.112'), hash: null }
      : { algorithm: ECDSA_SHA256 }

/** A certificate of this signed part. */
export const signAgain = (tbs: Buffer, key: KeyObject): Buffer =>
  signed(tbs, usual(key).algorithm, key, usual(key))

export interface Authority {
  readonly key: KeyObject
  readonly name: Buffer
}

export interface LeafParts {
  /** `undefined` in the list: the field is left out. */
  readonly version?: Buffer | undefined
  readonly serial?: Buffer
  readonly subject?: Buffer
  readonly publicKeyInfo?: Buffer
  /** `[]`: none at all. */
  readonly extensions?: readonly Buffer[]
  readonly signing?: Signing
  /** Where it differs from that in the signed part. */
  readonly outerAlgorithm?: Buffer
  readonly notAfter?: number
}

const VERSION_3 = writeElement(contextTag(0, true), writeSmallInteger(2))
const LEAF_KEY = publicKeyInfoOf(p256())

/** A device's certificate. */
export function forgeLeaf({ key, name }: Authority, parts: LeafParts = {}): Buffer {
  const how = parts.signing ?? usual(key)
  const version = 'version' in parts ? parts.version : VERSION_3
  const extensions = parts.extensions ?? []
  const tbs = writeSequence(
    ...(version === undefined ? [] : [version]),
    parts.serial ?? writeInteger(Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    how.algorithm,
    name,
    writeSequence(writeTime(FROM_SECONDS), writeTime(parts.notAfter ?? UNTIL_SECONDS)),
    parts.subject ?? commonNameOf('Ada'),
    parts.publicKeyInfo ?? LEAF_KEY,
    ...(extensions.length === 0
      ? []
      : [writeElement(contextTag(3, true), writeSequence(...extensions))]),
  )
  return signed(tbs, parts.outerAlgorithm ?? how.algorithm, key, how)
}

/** A CA certificate that it has signed itself. */
export const forgeAuthority = (authority: Authority, publicKeyInfo?: Buffer): Buffer =>
  forgeLeaf(authority, {
    subject: authority.name,
    publicKeyInfo: publicKeyInfo ?? publicKeyInfoOf(authority.key),
    extensions: [
      extension('2.5.29.19', writeSequence(writeBoolean(true)), true),
      extension('2.5.29.15', writeNamedBits([5, 6]), true),
    ],
  })

export function issuerOfAuthority(authority: Authority): Issuer {
  const read = readIssuer(forgeAuthority(authority))
  if (!read.ok) throw new Error(read.problem)
  return read.issuer
}

export interface ListParts {
  readonly thisUpdate?: number
  readonly nextUpdate?: number
  readonly number?: number
  /** `undefined` in the list: the field is left out. */
  readonly entries?: readonly Buffer[] | undefined
  /** Besides the number. */
  readonly extensions?: readonly Buffer[]
  readonly signing?: Signing
}

/** An entry of a CRL; the serial number as the content of an INTEGER. */
export const entryOf = (serial: Buffer, ...extensions: readonly Buffer[]): Buffer =>
  writeSequence(
    writeElement(TAG.integer, serial),
    writeTime(FROM_SECONDS),
    ...(extensions.length === 0 ? [] : [writeSequence(...extensions)]),
  )

export function forgeList({ key, name }: Authority, parts: ListParts = {}): Buffer {
  const how = parts.signing ?? usual(key)
  const number = extension('2.5.29.20', writeSmallInteger(parts.number ?? 1))
  const tbs = writeSequence(
    writeSmallInteger(1),
    how.algorithm,
    name,
    writeTime(parts.thisUpdate ?? FROM_SECONDS),
    writeTime(parts.nextUpdate ?? UNTIL_SECONDS),
    ...(parts.entries === undefined ? [] : [writeSequence(...parts.entries)]),
    writeElement(contextTag(0, true), writeSequence(number, ...(parts.extensions ?? []))),
  )
  return signed(tbs, how.algorithm, key, how)
}

/** A request for this key, signed by its holder or by another key. */
export function forgeRequest(
  key: KeyObject,
  parts: Pick<LeafParts, 'publicKeyInfo' | 'extensions' | 'signing'> = {},
): Buffer {
  const how = parts.signing ?? usual(key)
  const extensions = parts.extensions ?? []
  const requested = writeSequence(
    writeObjectIdentifier('1.2.840.113549.1.9.14'),
    writeSet(writeSequence(...extensions)),
  )
  const info = writeSequence(
    writeSmallInteger(0),
    commonNameOf('Ada'),
    parts.publicKeyInfo ?? publicKeyInfoOf(key),
    writeElement(contextTag(0, true), ...(extensions.length === 0 ? [] : [requested])),
  )
  return signed(info, how.algorithm, key, how)
}

/** SubjectPublicKeyInfo of an RSA key with these numbers, whatever they are. */
export const rsaKeyInfo = (modulus: bigint, exponent: bigint): Buffer =>
  writeSequence(
    algorithm('1.2.840.113549.1.1.1', DER_NULL),
    writeBitString(writeSequence(writeInteger(bytesOf(modulus)), writeInteger(bytesOf(exponent)))),
  )

export const ed25519KeyInfo = (point: Uint8Array): Buffer =>
  writeSequence(algorithm('1.3.101.112'), writeBitString(point))

export const ecKeyInfo = (curve: string, point: Uint8Array): Buffer =>
  writeSequence(algorithm('1.2.840.10045.2.1', writeObjectIdentifier(curve)), writeBitString(point))

export function bytesOf(value: bigint): Buffer {
  const digits = value.toString(16)
  return Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex')
}

/** The modulus of a key of 2048 bits. */
export function modulusOf(key: KeyObject): bigint {
  const { n = '' } = createPublicKey(key).export({ format: 'jwk' })
  return BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`)
}

/** A private key whose exponent is 1: its signatures are the padded message itself. */
export function exponentOne(key: KeyObject): KeyObject {
  const jwk = key.export({ format: 'jwk' })
  return createPrivateKey({
    format: 'jwk',
    key: { ...jwk, e: 'AQ', d: 'AQ', dp: 'AQ', dq: 'AQ' },
  })
}

/** The content of the single element. */
export function contentOf(der: Buffer): Buffer {
  const element = readElement(der, der.readUInt8(0))
  if (element === undefined) throw new Error('not one element')
  return element.content
}
