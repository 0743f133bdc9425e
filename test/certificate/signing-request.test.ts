import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { contextTag, TAG } from '../../src/certificate/der.ts'
import {
  writeBitString,
  writeBoolean,
  writeElement,
  writeNamedBits,
  writeObjectIdentifier,
  writeOctetString,
  writeSequence,
  writeSet,
  writeSmallInteger,
  writeUtf8String,
} from '../../src/certificate/der-writer.ts'
import { publicKeyInfoOf } from '../../src/certificate/issue.ts'
import { readSigningRequest } from '../../src/certificate/signing-request.ts'

const ecKey = (namedCurve: string): KeyObject =>
  generateKeyPairSync('ec', { namedCurve }).privateKey
const rsaKey = (modulusLength: number): KeyObject =>
  generateKeyPairSync('rsa', { modulusLength }).privateKey

const p256 = ecKey('prime256v1')
const SUBJECT = writeSequence(
  writeSet(writeSequence(writeObjectIdentifier('2.5.4.3'), writeUtf8String("Ada's phone 📱"))),
)
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14'
const SHA256_ECDSA = writeSequence(writeObjectIdentifier('1.2.840.10045.4.3.2'))
const SHA256_RSA = writeSequence(
  writeObjectIdentifier('1.2.840.113549.1.1.11'),
  writeElement(TAG.null),
)

/** The parts of a request; those of a good one where they are left out. */
interface Parts {
  readonly version?: Buffer
  readonly subject?: Buffer
  readonly publicKeyInfo?: Buffer
  /** The content of the attributes' tag. */
  readonly attributes?: Buffer
  readonly rest?: Buffer
  readonly signer?: KeyObject
  readonly algorithm?: Buffer
  readonly hash?: string
}

function requestOf(parts: Parts = {}): Buffer {
  const signer = parts.signer ?? p256
  const info = writeSequence(
    parts.version ?? writeSmallInteger(0),
    parts.subject ?? SUBJECT,
    parts.publicKeyInfo ?? publicKeyInfoOf(signer),
    writeElement(contextTag(0, true), parts.attributes ?? Buffer.alloc(0)),
    parts.rest ?? Buffer.alloc(0),
  )
  const algorithm = parts.algorithm ?? SHA256_ECDSA
  const signature = sign(parts.hash ?? 'sha256', info, signer)
  return writeSequence(info, algorithm, writeBitString(signature))
}

const attribute = (oid: string, value: Buffer): Buffer =>
  writeSequence(writeObjectIdentifier(oid), writeSet(value))

const extensionRequest = (...extensions: readonly Buffer[]): Buffer =>
  attribute(EXTENSION_REQUEST, writeSequence(...extensions))

const extension = (oid: string, value: Buffer): Buffer =>
  writeSequence(writeObjectIdentifier(oid), writeOctetString(value))

const basicConstraints = (...content: readonly Buffer[]): Buffer =>
  extension('2.5.29.19', writeSequence(...content))
const keyUsage = (...bits: readonly number[]): Buffer =>
  extension('2.5.29.15', writeNamedBits(bits))
const extendedKeyUsage = (...oids: readonly string[]): Buffer =>
  extension('2.5.29.37', writeSequence(...oids.map(writeObjectIdentifier)))
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'

function problemOf(der: Buffer): string {
  const read = readSigningRequest(der)
  return read.ok ? 'no problem' : read.problem
}

test('A good request yields its key and the name that it proposes', () => {
  const read = readSigningRequest(requestOf())
  assert.deepEqual(read, {
    ok: true,
    request: {
      publicKeyInfo: publicKeyInfoOf(p256),
      publicKey: { type: 'ec', curve: '1.2.840.10045.3.1.7' },
      commonName: "Ada's phone 📱",
    },
  })
})

test('A request need not contain a name', () => {
  const read = readSigningRequest(requestOf({ subject: writeSequence() }))
  assert.ok(read.ok)
  assert.equal(read.request.commonName, undefined)
})

test('An RSA key of 2048 bits is accepted', () => {
  const read = readSigningRequest(requestOf({ signer: rsaKey(2048), algorithm: SHA256_RSA }))
  assert.ok(read.ok)
  assert.deepEqual(read.request.publicKey, { type: 'rsa', modulusBits: 2048 })
})

/** Attributes that ask for nothing more than a device gets. */
const HARMLESS: Readonly<Record<string, Buffer>> = {
  'a challenge password': attribute('1.2.840.113549.1.9.7', writeUtf8String('secret')),
  'client authentication': extensionRequest(
    basicConstraints(),
    keyUsage(0, 2),
    extendedKeyUsage(SERVER_AUTH, CLIENT_AUTH),
  ),
  'basicConstraints with FALSE spelled out': extensionRequest(
    basicConstraints(writeBoolean(false)),
  ),
  'an alternative name': extensionRequest(
    extension('2.5.29.17', writeSequence(writeElement(contextTag(2, false), Buffer.from('a.b')))),
  ),
}

for (const [name, attributes] of Object.entries(HARMLESS)) {
  test(`A request with ${name} is accepted, but none of that is granted`, () => {
    const read = readSigningRequest(requestOf({ attributes }))
    assert.ok(read.ok)
    assert.deepEqual(Object.keys(read.request), ['publicKeyInfo', 'publicKey', 'commonName'])
  })
}

const NOT_ONE = 'is not a certificate signing request (PKCS #10) in strict DER'
const UNFIT_KEY = 'has a key that is not P-256, P-384, P-521, Ed25519 or RSA of 2048 bits or more'
const CA = 'asks for a CA certificate (basicConstraints CA:TRUE), and certlatch signs only devices'
const SIGNS = 'asks to sign certificates or CRLs (keyUsage), and certlatch signs only devices'
const NO_CLIENT =
  'asks for an extendedKeyUsage without clientAuth, and certlatch signs only clients'
const UNREADABLE = 'asks for extensions that certlatch cannot read'
const WEAK = 'is signed with an algorithm weaker than SHA-256'
const FOREIGN = 'is not signed by the key that it asks a certificate for'

const twice = Buffer.concat([extensionRequest(keyUsage(0)), extensionRequest(keyUsage(0))])
const p256Info = publicKeyInfoOf(p256)
const offCurve = Buffer.concat([p256Info.subarray(0, -8), Buffer.alloc(8, 0xff)])

const REFUSED: readonly (readonly [string, Buffer, string])[] = [
  ['nothing', Buffer.alloc(0), NOT_ONE],
  ['text', Buffer.from('-----BEGIN CERTIFICATE REQUEST-----'), NOT_ONE],
  ['bytes behind it', Buffer.concat([requestOf(), Buffer.alloc(1)]), NOT_ONE],
  ['another version', requestOf({ version: writeSmallInteger(1) }), NOT_ONE],
  ['no version', requestOf({ version: Buffer.alloc(0) }), NOT_ONE],
  ['an unreadable name', requestOf({ subject: writeSequence(writeSet()) }), NOT_ONE],
  ['no name', requestOf({ subject: Buffer.alloc(0) }), NOT_ONE],
  ['no key', requestOf({ publicKeyInfo: Buffer.alloc(0) }), NOT_ONE],
  ['an unreadable key', requestOf({ publicKeyInfo: writeSequence() }), NOT_ONE],
  ['a further field', requestOf({ rest: writeElement(TAG.null) }), NOT_ONE],
  ['attributes that are none', requestOf({ attributes: Buffer.from([0x30]) }), NOT_ONE],
  ['an attribute that is none', requestOf({ attributes: writeSequence() }), NOT_ONE],
  ['an attribute of another type', requestOf({ attributes: writeElement(TAG.null) }), NOT_ONE],
  [
    'an attribute without values',
    requestOf({ attributes: writeSequence(writeObjectIdentifier(EXTENSION_REQUEST)) }),
    NOT_ONE,
  ],
  [
    'an attribute with a further field',
    requestOf({
      attributes: writeSequence(writeObjectIdentifier('1.2.3'), writeSet(), writeElement(TAG.null)),
    }),
    NOT_ONE,
  ],
  ['no extension in its request for some', requestOf({ attributes: extensionRequest() }), NOT_ONE],
  ['two requests for extensions', requestOf({ attributes: twice }), NOT_ONE],
  [
    'more bytes than any request needs',
    requestOf({ attributes: attribute('1.2.3', writeOctetString(Buffer.alloc(16_384))) }),
    NOT_ONE,
  ],
  ['a weak curve', requestOf({ signer: ecKey('prime192v1') }), UNFIT_KEY],
  ['a short RSA key', requestOf({ signer: rsaKey(1024), algorithm: SHA256_RSA }), UNFIT_KEY],
  [
    'a point off its curve',
    requestOf({ publicKeyInfo: offCurve }),
    'has a public key that OpenSSL cannot read',
  ],
  [
    'SHA-1',
    requestOf({
      hash: 'sha1',
      algorithm: writeSequence(writeObjectIdentifier('1.2.840.10045.4.1')),
    }),
    WEAK,
  ],
  [
    'a foreign signature',
    requestOf({ publicKeyInfo: publicKeyInfoOf(ecKey('prime256v1')) }),
    FOREIGN,
  ],
  ['an algorithm of another key', requestOf({ algorithm: SHA256_RSA }), FOREIGN],
  [
    'CA:TRUE',
    requestOf({ attributes: extensionRequest(basicConstraints(writeBoolean(true))) }),
    CA,
  ],
  ['keyCertSign', requestOf({ attributes: extensionRequest(keyUsage(0, 5)) }), SIGNS],
  ['cRLSign', requestOf({ attributes: extensionRequest(keyUsage(6)) }), SIGNS],
  [
    'serverAuth alone',
    requestOf({ attributes: extensionRequest(extendedKeyUsage(SERVER_AUTH)) }),
    NO_CLIENT,
  ],
  [
    'unreadable basicConstraints',
    requestOf({ attributes: extensionRequest(extension('2.5.29.19', Buffer.from([5, 0]))) }),
    UNREADABLE,
  ],
  [
    'unreadable keyUsage',
    requestOf({ attributes: extensionRequest(extension('2.5.29.15', Buffer.from([5, 0]))) }),
    UNREADABLE,
  ],
  [
    'unreadable extendedKeyUsage',
    requestOf({ attributes: extensionRequest(extension('2.5.29.37', Buffer.from([5, 0]))) }),
    UNREADABLE,
  ],
]

for (const [what, der, problem] of REFUSED) {
  test(`A request with ${what} is refused`, () => {
    assert.equal(problemOf(der), problem)
  })
}

test('No request with a flipped bit is accepted', () => {
  const der = requestOf({ attributes: extensionRequest(keyUsage(0)) })
  fc.assert(
    fc.property(fc.nat(der.length * 8 - 1), (bit) => {
      const spoiled = Buffer.from(der)
      spoiled.writeUInt8(spoiled.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      assert.notEqual(problemOf(spoiled), 'no problem')
    }),
    { numRuns: 400 },
  )
})

test('Any bytes are refused cleanly', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.equal(problemOf(Buffer.from(bytes)), NOT_ONE)
    }),
  )
})

// --- Requests that OpenSSL makes ----------------------------------------------------------------------

const openssl = spawnSync('openssl', ['version'], { encoding: 'utf8' })
const skip = openssl.status === 0 ? false : 'needs openssl on the PATH'
const folder = mkdtempSync(join(tmpdir(), 'certlatch-request-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function opensslRequest(...options: readonly string[]): Buffer {
  const key = ['-nodes', '-keyout', join(folder, 'key.pem'), '-outform', 'DER']
  const subject = ['-utf8', '-subj', '/O=Home/CN=Jürgens Händy']
  return execFileSync('openssl', ['req', '-new', ...key, ...subject, ...options], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

const P256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']

for (const options of [P256, ['-newkey', 'rsa:2048'], ['-newkey', 'ed25519']]) {
  test(`What "openssl req ${options.join(' ')}" generates is accepted`, { skip }, () => {
    const read = readSigningRequest(opensslRequest(...options))
    assert.ok(read.ok)
    assert.equal(read.request.commonName, 'Jürgens Händy')
  })
}

test('A request from OpenSSL for a CA or a server is refused', { skip }, () => {
  const asking = (...wishes: readonly string[]) =>
    problemOf(opensslRequest(...P256, ...wishes.flatMap((wish) => ['-addext', wish])))
  assert.equal(asking('basicConstraints=critical,CA:TRUE'), CA)
  assert.equal(asking('keyUsage=digitalSignature,keyCertSign'), SIGNS)
  assert.equal(asking('extendedKeyUsage=serverAuth'), NO_CLIENT)
  assert.equal(asking('extendedKeyUsage=clientAuth', 'subjectAltName=email:a@b'), 'no problem')
})
