import { createCipheriv, createHmac, hash, type KeyObject, pbkdf2Sync } from 'node:crypto'
import { contextTag, TAG } from '../certificate/der.ts'
import {
  writeElement,
  writeObjectIdentifier,
  writeOctetString,
  writeSequence,
  writeSet,
  writeSmallInteger,
} from '../certificate/der-writer.ts'
import { derivePkcs12Key, type Pkcs12Hash, PURPOSE } from './pkcs12-key.ts'

/**
 * `compat`: every importer reads it, including iOS before 18, macOS before 15 and Android before 14; 3DES
 * with a key derivation that does not protect a weak password. `modern`: AES and PBKDF2.
 */
export type Pkcs12Form = 'compat' | 'modern'

export interface Pkcs12Request {
  readonly form: Pkcs12Form
  /** Shown by certificate stores. */
  readonly friendlyName: string
  /** Never empty: iOS and macOS disagree on what an empty one means. */
  readonly password: string
  /** DER. */
  readonly certificate: Buffer
  readonly privateKey: KeyObject
}

type RandomBytes = (size: number) => Buffer

/** How a form encrypts and authenticates. */
interface Protection {
  readonly encrypt: (content: Buffer, password: string, randomBytes: RandomBytes) => Encrypted
  readonly macHash: Pkcs12Hash
  readonly iterations: number
}

interface Encrypted {
  /** AlgorithmIdentifier, DER. */
  readonly algorithm: Buffer
  readonly bytes: Buffer
}

const OID = {
  data: '1.2.840.113549.1.7.1',
  encryptedData: '1.2.840.113549.1.7.6',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certificateBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
  pbeSha1TripleDes: '1.2.840.113549.1.12.1.3',
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  hmacSha256: '1.2.840.113549.2.9',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
} as const

/** macOS refuses the MAC of a file whose salt is longer. */
const SALT_BYTES = 8
const MODERN_ITERATIONS = 100_000
const COMPAT_ITERATIONS = 2048

const algorithmIdentifier = (oid: string, parameters: Buffer): Buffer =>
  writeSequence(writeObjectIdentifier(oid), parameters)

const NULL = writeElement(TAG.null)

const PROTECTIONS: Readonly<Record<Pkcs12Form, Protection>> = {
  compat: { encrypt: encryptTripleDes, macHash: 'sha1', iterations: COMPAT_ITERATIONS },
  modern: { encrypt: encryptAes, macHash: 'sha256', iterations: MODERN_ITERATIONS },
}

/** A PKCS #12 file (RFC 7292) with a private key and its certificate; no importer needs the CA's. */
export function writePkcs12(request: Pkcs12Request, randomBytes: RandomBytes): Buffer {
  const { form, friendlyName, password, certificate, privateKey } = request
  if (password === '') throw new RangeError('a package has a password')
  const protection = PROTECTIONS[form]
  const attributes = writeAttributes(friendlyName, hash('sha1', certificate, 'buffer'))
  const key = protection.encrypt(
    privateKey.export({ type: 'pkcs8', format: 'der' }),
    password,
    randomBytes,
  )
  const keyBag = writeSequence(
    writeObjectIdentifier(OID.shroudedKeyBag),
    explicit(writeSequence(key.algorithm, writeOctetString(key.bytes))),
    attributes,
  )
  const certificateBags = writeSequence(certificateBag(certificate, attributes))
  const certificates = protection.encrypt(certificateBags, password, randomBytes)
  const authenticatedSafe = writeSequence(
    encryptedContent(certificates),
    dataContent(writeSequence(keyBag)),
  )
  return writeSequence(
    writeSmallInteger(3),
    dataContent(authenticatedSafe),
    writeMac(authenticatedSafe, protection, password, randomBytes(SALT_BYTES)),
  )
}

const explicit = (...contents: readonly Buffer[]): Buffer =>
  writeElement(contextTag(0, true), ...contents)

function certificateBag(der: Buffer, attributes: Buffer): Buffer {
  const certificate = writeSequence(
    writeObjectIdentifier(OID.x509Certificate),
    explicit(writeOctetString(der)),
  )
  return writeSequence(writeObjectIdentifier(OID.certificateBag), explicit(certificate), attributes)
}

/** The friendly name, and the identifier that links key and certificate. */
function writeAttributes(friendlyName: string, keyId: Buffer): Buffer {
  const name = writeElement(TAG.bmpString, Buffer.from(friendlyName, 'utf16le').swap16())
  const attribute = (oid: string, value: Buffer) =>
    writeSequence(writeObjectIdentifier(oid), writeSet(value))
  // DER sorts the members of a SET OF by their bytes (X.690 §11.6).
  const members = [
    attribute(OID.friendlyName, name),
    attribute(OID.localKeyId, writeOctetString(keyId)),
  ].sort(Buffer.compare)
  return writeSet(...members)
}

const dataContent = (content: Buffer): Buffer =>
  writeSequence(writeObjectIdentifier(OID.data), explicit(writeOctetString(content)))

/** EncryptedData (RFC 5652 §8). */
function encryptedContent({ algorithm, bytes }: Encrypted): Buffer {
  const content = writeSequence(
    writeObjectIdentifier(OID.data),
    algorithm,
    writeElement(contextTag(0, false), bytes),
  )
  return writeSequence(
    writeObjectIdentifier(OID.encryptedData),
    explicit(writeSequence(writeSmallInteger(0), content)),
  )
}

/** pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292 appendix C). */
function encryptTripleDes(content: Buffer, password: string, randomBytes: RandomBytes): Encrypted {
  const salt = randomBytes(SALT_BYTES)
  const derive = (purpose: number, length: number) =>
    derivePkcs12Key(
      { hash: 'sha1', password, salt, iterations: COMPAT_ITERATIONS },
      purpose,
      length,
    )
  const cipher = createCipheriv(
    'des-ede3-cbc',
    derive(PURPOSE.key, 24),
    derive(PURPOSE.initialVector, 8),
  )
  return {
    algorithm: algorithmIdentifier(
      OID.pbeSha1TripleDes,
      writeSequence(writeOctetString(salt), writeSmallInteger(COMPAT_ITERATIONS)),
    ),
    bytes: Buffer.concat([cipher.update(content), cipher.final()]),
  }
}

/** PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 8018 §6.2); the password is UTF-8. */
function encryptAes(content: Buffer, password: string, randomBytes: RandomBytes): Encrypted {
  const salt = randomBytes(SALT_BYTES)
  const initialVector = randomBytes(16)
  const key = pbkdf2Sync(password, salt, MODERN_ITERATIONS, 32, 'sha256')
  const cipher = createCipheriv('aes-256-cbc', key, initialVector)
  const derivation = algorithmIdentifier(
    OID.pbkdf2,
    writeSequence(
      writeOctetString(salt),
      writeSmallInteger(MODERN_ITERATIONS),
      algorithmIdentifier(OID.hmacSha256, NULL),
    ),
  )
  const encryption = algorithmIdentifier(OID.aes256Cbc, writeOctetString(initialVector))
  return {
    algorithm: algorithmIdentifier(OID.pbes2, writeSequence(derivation, encryption)),
    bytes: Buffer.concat([cipher.update(content), cipher.final()]),
  }
}

/** MacData (RFC 7292 §4), by which importers distinguish a wrong password from a broken file. */
function writeMac(content: Buffer, protection: Protection, password: string, salt: Buffer): Buffer {
  const { macHash, iterations } = protection
  const length = macHash === 'sha1' ? 20 : 32
  const key = derivePkcs12Key(
    { hash: macHash, password, salt, iterations },
    PURPOSE.integrity,
    length,
  )
  const digest = createHmac(macHash, key).update(content).digest()
  return writeSequence(
    writeSequence(algorithmIdentifier(OID[macHash], NULL), writeOctetString(digest)),
    writeOctetString(salt),
    writeSmallInteger(iterations),
  )
}
