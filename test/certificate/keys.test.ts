/** Keys that are none: of a certificate, of a request, of a CA. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { isEd25519Point } from '../../src/certificate/edwards.ts'
import { publicKeyInfoOf } from '../../src/certificate/issue.ts'
import { readSigningRequest } from '../../src/certificate/signing-request.ts'
import { readIssuer, verifyCertificate } from '../../src/certificate/verify.ts'
import {
  algorithm,
  bytesOf,
  commonNameOf,
  DER_NULL,
  ecKeyInfo,
  ed25519KeyInfo,
  exponentOne,
  forgeAuthority,
  forgeLeaf,
  forgeRequest,
  issuerOfAuthority,
  modulusOf,
  p256,
  rsa,
  rsaKeyInfo,
} from '../support/forge.ts'

const home = { key: p256(), name: commonNameOf('Home') }
const issuers = [issuerOfAuthority(home)]
const rsaKey = rsa()
const n = modulusOf(rsaKey)
const E = 65537n

/** The x and y of a P-256 key. */
function pointOf(key: KeyObject): { readonly x: Buffer; readonly y: Buffer } {
  const { x = '', y = '' } = key.export({ format: 'jwk' })
  return { x: Buffer.from(x, 'base64url'), y: Buffer.from(y, 'base64url') }
}

const { x, y } = pointOf(home.key)
const P256 = '1.2.840.10045.3.1.7'
const uncompressed = (first: Buffer, second: Buffer) => Buffer.concat([Buffer.of(4), first, second])
const plusOne = (value: Buffer) => {
  const changed = Buffer.from(value)
  changed[31] = (changed[31] ?? 0) ^ 1
  return changed
}
/** An x of which half the numbers are none on the curve. */
function xOffTheCurve(): Buffer {
  for (let at = 1; ; at += 1) {
    const candidate = Buffer.alloc(32)
    candidate.writeUInt8(at, 31)
    const info = ecKeyInfo(P256, Buffer.concat([Buffer.of(2), candidate]))
    const request = readSigningRequest(forgeRequest(home.key, { publicKeyInfo: info }))
    if (!request.ok && /OpenSSL cannot read/.test(request.problem)) return candidate
  }
}

const RSA = /not a usable RSA key/
const POINT = /not a usable Ed25519 key/
const OPENSSL = /OpenSSL cannot read/
const FORM = /strict DER/
const littleEndian = (value: bigint, sign = 0): Buffer => {
  const bytes = Buffer.alloc(32)
  bytesOf(value).copy(bytes, 32 - bytesOf(value).length)
  bytes.reverse()
  bytes[31] = (bytes[31] ?? 0) | sign
  return bytes
}
const P = 2n ** 255n - 19n
const ORDER_8 = [
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
].map((hex) => Buffer.from(hex, 'hex'))
const signedToo = (point: Buffer) => {
  const other = Buffer.from(point)
  other[31] = (other[31] ?? 0) | 0x80
  return other
}

const NO_KEYS: readonly (readonly [string, Buffer, RegExp])[] = [
  ['RSA with the exponent 1', rsaKeyInfo(n, 1n), RSA],
  ['RSA with the exponent 0', rsaKeyInfo(n, 0n), RSA],
  ['RSA with the exponent 2', rsaKeyInfo(n, 2n), RSA],
  ['RSA with an even exponent', rsaKeyInfo(n, 65536n), RSA],
  ['RSA with an exponent as large as the modulus', rsaKeyInfo(n, n + 2n), RSA],
  ['RSA with an even modulus', rsaKeyInfo(n - 1n, E), RSA],
  ['RSA whose modulus is a power of two', rsaKeyInfo(2n ** 2047n, E), RSA],
  ['RSA whose modulus is a longer one', rsaKeyInfo(2n ** 3000n, E), RSA],
  ['RSA whose modulus has the factor 3', rsaKeyInfo(n * 3n, E), RSA],
  ['RSA whose modulus has the factor 751', rsaKeyInfo(n * 751n, E), RSA],
  ['RSA whose modulus is a power of three', rsaKeyInfo(3n ** 1300n, E), RSA],
  ['a point off the curve', ecKeyInfo(P256, uncompressed(x, plusOne(y))), OPENSSL],
  [
    'a point whose x is none on the curve',
    ecKeyInfo(P256, Buffer.concat([Buffer.of(2), xOffTheCurve()])),
    OPENSSL,
  ],
  ['the point 0,0', ecKeyInfo(P256, uncompressed(Buffer.alloc(32), Buffer.alloc(32))), OPENSSL],
  [
    'a coordinate beyond the field',
    ecKeyInfo(P256, uncompressed(Buffer.alloc(32, 0xff), y)),
    OPENSSL,
  ],
  ['the point at infinity', ecKeyInfo(P256, Buffer.of(0)), FORM],
  ...[0n, 1n, P - 1n, P, P + 1n].flatMap((value) =>
    [0, 0x80].map(
      (sign) =>
        [
          `Ed25519 with the y ${value % P} (${sign})`,
          ed25519KeyInfo(littleEndian(value, sign)),
          POINT,
        ] as const,
    ),
  ),
  ...ORDER_8.flatMap((point) =>
    [point, signedToo(point)].map(
      (bytes) =>
        [`Ed25519 of order 8 (${bytes.toString('hex')})`, ed25519KeyInfo(bytes), POINT] as const,
    ),
  ),
  ['Ed25519 off the curve', ed25519KeyInfo(littleEndian(2n)), POINT],
  ['Ed25519 beyond the field', ed25519KeyInfo(Buffer.alloc(32, 0xff)), POINT],
]

for (const [what, publicKeyInfo, problem] of NO_KEYS) {
  test(`Refused key: ${what}`, () => {
    const verdict = verifyCertificate(forgeLeaf(home, { publicKeyInfo }), issuers)
    const expected = problem === FORM ? 'certificate-malformed' : 'certificate-weak'
    assert.deepEqual(verdict, { ok: false, problem: expected })
    const request = readSigningRequest(forgeRequest(home.key, { publicKeyInfo }))
    assert.match(request.ok ? '' : request.problem, problem)
    const authority = readIssuer(forgeAuthority(home, publicKeyInfo))
    assert.match(authority.ok ? '' : authority.problem, problem)
  })
}

test('A request signed with exponent 1, and a CA with such a key, are refused', () => {
  const key = exponentOne(rsaKey)
  const publicKeyInfo = rsaKeyInfo(n, 1n)
  const request = readSigningRequest(forgeRequest(key, { publicKeyInfo }))
  assert.match(request.ok ? '' : request.problem, RSA)
  const authority = readIssuer(forgeAuthority({ key, name: home.name }, publicKeyInfo))
  assert.match(authority.ok ? '' : authority.problem, RSA)
})

const MISSPELLED: readonly (readonly [string, Buffer])[] = [
  ['a padded modulus', Buffer.from('0203007f00', 'hex')],
  ['a negative modulus', Buffer.from('0201ff', 'hex')],
]

for (const [what, modulus] of MISSPELLED) {
  test(`An RSA key with ${what} is malformed`, () => {
    const numbers = Buffer.concat([modulus, Buffer.from('0203010001', 'hex')])
    const key = Buffer.concat([Buffer.of(0x30, numbers.length), numbers])
    const bits = Buffer.concat([Buffer.of(3, key.length + 1, 0), key])
    const info = Buffer.concat([algorithm('1.2.840.113549.1.1.1', DER_NULL), bits])
    const publicKeyInfo = Buffer.concat([Buffer.of(0x30, info.length), info])
    const verdict = verifyCertificate(forgeLeaf(home, { publicKeyInfo }), issuers)
    assert.deepEqual(verdict, { ok: false, problem: 'certificate-malformed' })
  })
}

test('Real keys are accepted: RSA with exponents 3 and 65537, points in either form, Ed25519', () => {
  const compressed = Buffer.concat([Buffer.of(2 + ((y[31] ?? 0) & 1)), x])
  for (const publicKeyInfo of [
    rsaKeyInfo(n, 3n),
    rsaKeyInfo(n, E),
    rsaKeyInfo(n, 2n ** 64n + 1n),
    publicKeyInfoOf(home.key),
    ecKeyInfo(P256, compressed),
    publicKeyInfoOf(generateKeyPairSync('ed25519').privateKey),
  ]) {
    assert.ok(verifyCertificate(forgeLeaf(home, { publicKeyInfo }), issuers).ok)
  }
})

const publicPoint = () => {
  const { x: point = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  return Buffer.from(point, 'base64url')
}

test('Every Ed25519 key that OpenSSL generates is a valid point; of random bytes about half are', () => {
  for (let count = 0; count < 50; count += 1) assert.ok(isEd25519Point(publicPoint()))
  let points = 0
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      if (isEd25519Point(bytes)) points += 1
    }),
    { numRuns: 400 },
  )
  assert.ok(points > 100 && points < 300, String(points))
})
