import { createPublicKey, hash, type KeyObject, sign } from 'node:crypto'
import type { Certificate } from './certificate.ts'
import { contextTag, TAG } from './der.ts'
import {
  writeBitString,
  writeBoolean,
  writeElement,
  writeInteger,
  writeIntegerHex,
  writeNamedBits,
  writeObjectIdentifier,
  writeOctetString,
  writeSequence,
  writeSet,
  writeSmallInteger,
  writeTime,
  writeUtf8String,
} from './der-writer.ts'
import { CLIENT_AUTH, EXTENSION, KEY_USAGE, subjectKeyIdentifier } from './extensions.ts'
import { ATTRIBUTE } from './name.ts'
import { type RevokedCertificate, writeReason } from './revocation-reason.ts'

/** Certificates are valid from an hour before they are issued: the clocks of devices differ. */
export const BACKDATE_SECONDS = 3600

/** Unix seconds, both inclusive. */
interface Validity {
  readonly notBefore: number
  readonly notAfter: number
}

/** The CA that signs: its certificate and private key. */
export interface SigningAuthority {
  readonly certificate: Certificate
  readonly privateKey: KeyObject
}

export interface AuthorityRequest extends Validity {
  readonly commonName: string
  readonly privateKey: KeyObject
  /** 16 random bytes. */
  readonly serial: Uint8Array
}

/**
 * A self-signed CA certificate, DER, that can only sign client certificates (pathlen 0) and their CRL.
 * Because of its extendedKeyUsage it is harmless on a device that trusts it as a root: neither browsers
 * nor OpenSSL accept a server certificate from it.
 */
export function issueAuthority(request: AuthorityRequest): Buffer {
  const publicKeyInfo = publicKeyInfoOf(request.privateKey)
  const name = writeName(request.commonName)
  return issue({
    ...request,
    issuer: name,
    subject: name,
    publicKeyInfo,
    signer: request.privateKey,
    extensions: [
      writeExtension(
        EXTENSION.basicConstraints,
        true,
        writeSequence(writeBoolean(true), writeSmallInteger(0)),
      ),
      writeExtension(
        EXTENSION.keyUsage,
        true,
        writeNamedBits([KEY_USAGE.keyCertSign, KEY_USAGE.crlSign]),
      ),
      CLIENTS_ONLY,
      subjectKeyIdentifierOf(publicKeyInfo),
    ],
  })
}

export interface CertificateRequest extends Validity {
  readonly commonName: string
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKeyInfo: Buffer
  /** 16 random bytes. */
  readonly serial: Uint8Array
  /** For the subjectAltName, ASCII: some verifiers refuse a certificate without one. */
  readonly uri: string
}

/** A client certificate, DER, signed by the CA. */
export function issueCertificate(request: CertificateRequest, authority: SigningAuthority): Buffer {
  return issue({
    ...request,
    issuer: authority.certificate.subject.der,
    subject: writeName(request.commonName),
    signer: authority.privateKey,
    extensions: [
      writeExtension(EXTENSION.basicConstraints, true, writeSequence()),
      writeExtension(EXTENSION.keyUsage, true, writeNamedBits([KEY_USAGE.digitalSignature])),
      CLIENTS_ONLY,
      writeExtension(
        EXTENSION.subjectAltName,
        false,
        writeSequence(writeElement(contextTag(6, false), Buffer.from(request.uri, 'latin1'))),
      ),
      subjectKeyIdentifierOf(request.publicKeyInfo),
      authorityKeyIdentifierOf(authority),
    ],
  })
}

export interface RevocationListRequest {
  /** At most 20 bytes (RFC 5280 §5.2.3). */
  readonly number: number | bigint
  /** Unix seconds. */
  readonly thisUpdate: number
  readonly nextUpdate: number
  readonly revoked: readonly RevokedCertificate[]
}

function writeRevocation({ serial, revokedAt, reason }: RevokedCertificate): Buffer {
  const fields = [writeIntegerHex(serial), writeTime(revokedAt)]
  // "unspecified" is not written (RFC 5280 §5.3.1).
  if (reason !== undefined && reason !== 'unspecified') {
    fields.push(writeSequence(writeExtension(EXTENSION.reasonCode, false, writeReason(reason))))
  }
  return writeSequence(...fields)
}

/** The CRL number of an imported CA may be of any size. */
function writeNumber(number: number | bigint): Buffer {
  const hex = number.toString(16)
  return writeInteger(Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex'))
}

/** A CRL, DER, signed by the CA (RFC 5280 §5). */
export function issueRevocationList(
  request: RevocationListRequest,
  authority: SigningAuthority,
): Buffer {
  const entries = Buffer.concat(request.revoked.map(writeRevocation))
  const algorithm = signatureAlgorithm(authority.privateKey)
  const tbs = writeSequence(
    writeSmallInteger(1),
    algorithm.der,
    authority.certificate.subject.der,
    writeTime(request.thisUpdate),
    writeTime(request.nextUpdate),
    // An empty list is left out (RFC 5280 §5.1.2.6).
    ...(entries.length > 0 ? [writeSequence(entries)] : []),
    writeElement(
      contextTag(0, true),
      writeSequence(
        authorityKeyIdentifierOf(authority),
        writeExtension(EXTENSION.crlNumber, false, writeNumber(request.number)),
      ),
    ),
  )
  return signed(tbs, authority.privateKey)
}

interface IssueRequest extends Validity {
  readonly serial: Uint8Array
  readonly issuer: Buffer
  readonly subject: Buffer
  readonly publicKeyInfo: Buffer
  readonly signer: KeyObject
  readonly extensions: readonly Buffer[]
}

function issue(request: IssueRequest): Buffer {
  const tbs = writeSequence(
    writeElement(contextTag(0, true), writeSmallInteger(2)),
    // A serial number is positive (RFC 5280 §4.1.2.2).
    writeInteger(request.serial.map((byte, index) => (index === 0 ? (byte & 0x3f) | 0x40 : byte))),
    signatureAlgorithm(request.signer).der,
    request.issuer,
    writeSequence(writeTime(request.notBefore), writeTime(request.notAfter)),
    request.subject,
    request.publicKeyInfo,
    writeElement(contextTag(3, true), writeSequence(...request.extensions)),
  )
  return signed(tbs, request.signer)
}

function signed(tbs: Buffer, signer: KeyObject): Buffer {
  const algorithm = signatureAlgorithm(signer)
  const signature = sign(algorithm.hash, tbs, signer)
  return writeSequence(tbs, algorithm.der, writeBitString(signature))
}

/** The algorithm for a key: Ed25519's own hash; otherwise SHA-256, or the hash of the curve's size. */
function signatureAlgorithm(key: KeyObject): {
  readonly der: Buffer
  readonly hash: string | null
} {
  const curve = key.asymmetricKeyDetails?.namedCurve
  if (key.asymmetricKeyType === 'ed25519') {
    return { der: writeSequence(writeObjectIdentifier('1.3.101.112')), hash: null }
  }
  if (key.asymmetricKeyType === 'rsa') {
    const oid = writeObjectIdentifier('1.2.840.113549.1.1.11')
    return { der: writeSequence(oid, writeElement(TAG.null)), hash: 'sha256' }
  }
  if (curve === 'secp384r1' || curve === 'secp521r1') {
    const large = curve === 'secp521r1'
    const oid = writeObjectIdentifier(`1.2.840.10045.4.3.${large ? 4 : 3}`)
    return { der: writeSequence(oid), hash: large ? 'sha512' : 'sha384' }
  }
  return { der: writeSequence(writeObjectIdentifier('1.2.840.10045.4.3.2')), hash: 'sha256' }
}

/** SubjectPublicKeyInfo, DER, of a private key's public half. */
export function publicKeyInfoOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
}

const writeName = (commonName: string): Buffer =>
  writeSequence(
    writeSet(
      writeSequence(writeObjectIdentifier(ATTRIBUTE.commonName), writeUtf8String(commonName)),
    ),
  )

function writeExtension(oid: string, critical: boolean, value: Buffer): Buffer {
  const criticality = critical ? [writeBoolean(true)] : []
  return writeSequence(writeObjectIdentifier(oid), ...criticality, writeOctetString(value))
}

/** The only extendedKeyUsage that is issued. */
const CLIENTS_ONLY = writeExtension(
  EXTENSION.extendedKeyUsage,
  false,
  writeSequence(writeObjectIdentifier(CLIENT_AUTH)),
)

/** Identifies the key (RFC 5280 §4.2.1.2): 160 bits of its hash (RFC 7093 §2). */
function keyIdentifier(publicKeyInfo: Buffer): Buffer {
  return hash('sha256', publicKeyInfo, 'buffer').subarray(0, 20)
}

const subjectKeyIdentifierOf = (publicKeyInfo: Buffer): Buffer =>
  writeExtension(
    EXTENSION.subjectKeyIdentifier,
    false,
    writeOctetString(keyIdentifier(publicKeyInfo)),
  )

function authorityKeyIdentifierOf({ certificate }: SigningAuthority): Buffer {
  const own = subjectKeyIdentifier(certificate.extensions)
  const identifier = typeof own === 'string' ? keyIdentifier(certificate.publicKeyInfo) : own
  return writeExtension(
    EXTENSION.authorityKeyIdentifier,
    false,
    writeSequence(writeElement(contextTag(0, false), identifier)),
  )
}
