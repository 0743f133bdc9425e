import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readCertificate, readSigned } from '../src/certificate/certificate.ts'
import { readElements, readObjectIdentifier, readSequence } from '../src/certificate/der.ts'
import { readExtensions } from '../src/certificate/extensions.ts'
import { readName } from '../src/certificate/name.ts'
import { certificateFileProblem, readPemBlocks, readPemFile } from '../src/certificate/pem.ts'
import { readPublicKey, readPublicKeyKind } from '../src/certificate/public-key.ts'
import { readRevocationList, readRevokedEntries } from '../src/certificate/revocation.ts'
import { readReason } from '../src/certificate/revocation-reason.ts'
import { signatureFitness } from '../src/certificate/signature.ts'
import { readSigningRequest } from '../src/certificate/signing-request.ts'
import { readIssuer, verifyCertificate } from '../src/certificate/verify.ts'
import { deviceNameProblem } from '../src/enrollment/device-name.ts'
import { isPackageFileName } from '../src/enrollment/file-name.ts'
import { isInvitationId, isNonce, readInvitationCode } from '../src/enrollment/invitation-code.ts'
import { readIndex } from '../src/enrollment/openssl-index.ts'
import { unseal } from '../src/enrollment/sealing.ts'
import { describeUserAgent, platformOf } from '../src/enrollment/user-agent.ts'
import { parsePolicy } from '../src/policy/parse.ts'
import { clientAddress } from '../src/proxy/client-address.ts'
import { isCrossSite, isOwnOrigin, preflightMethod } from '../src/proxy/cross-site.ts'
import { DIALECTS } from '../src/proxy/dialects.ts'
import { readCertificateHeader } from '../src/proxy/encodings.ts'
import { parseNetworks } from '../src/proxy/networks.ts'
import {
  type OriginalRequest,
  readHost,
  readOriginalRequest,
} from '../src/proxy/original-request.ts'
import { createHeaderReader } from '../src/proxy/request-headers.ts'
import { isProvenSameOrigin } from '../src/proxy/same-origin.ts'
import { cookieValues, withoutCookie } from '../src/session/cookie.ts'
import { readKeyRing, writeKey } from '../src/session/key-ring.ts'
import { verifyToken } from '../src/session/token.ts'
import { fixture, fixturePem, issuerOf } from './support/pki.ts'

/*
 * No reader of the core throws, whatever it reads: an exception would cost more than a refusal, and
 * leave out the reason. Random input, and good input with something random in it.
 */

const issuers = [issuerOf('ca-p256')]
const ring = readKeyRing(writeKey(Buffer.alloc(32, 7)))
assert.ok(ring.ok)
const { ring: keys } = ring
const loopback = parseNetworks(['loopback'])
assert.ok(loopback.ok)
const { networks } = loopback
const request: OriginalRequest = {
  method: 'POST',
  scheme: 'https',
  host: 'ha.test',
  port: undefined,
  path: '/',
  isWebSocket: false,
}

const OF_BYTES: Readonly<Record<string, (bytes: Buffer) => unknown>> = {
  readElements,
  readSequence,
  readObjectIdentifier,
  readSigned,
  readCertificate,
  readExtensions,
  readName,
  readReason,
  readPublicKeyKind,
  readPublicKey: (bytes) => {
    const kind = readPublicKeyKind(bytes)
    return kind && readPublicKey(kind, bytes)
  },
  signatureFitness: (parameters) => signatureFitness({ oid: '1.2.840.113549.1.1.10', parameters }),
  readIssuer,
  verifyCertificate: (bytes) => verifyCertificate(bytes, issuers),
  readRevocationList: (bytes) => readRevocationList(bytes, issuers),
  readRevokedEntries,
  readSigningRequest,
  parsePolicy: (bytes) => parsePolicy(bytes, networks),
  unseal: (bytes) => unseal(bytes, { secret: 'secret', purpose: 'code', id: 'id' }),
}

const OF_TEXT: Readonly<Record<string, (text: string) => unknown>> = {
  readPemBlocks: (text) => readPemBlocks(text, 'CERTIFICATE', true),
  readPemFile,
  certificateFileProblem,
  deviceNameProblem,
  isPackageFileName: (text) => isPackageFileName(text, '0a0b0c0d0e'),
  readInvitationCode,
  isInvitationId,
  isNonce,
  readIndex,
  describeUserAgent,
  platformOf,
  clientAddress: (text) => clientAddress(text, networks),
  parseNetworks: (text) => parseNetworks(text.split(',')),
  readHost,
  isOwnOrigin: (text) => isOwnOrigin(text, request),
  readKeyRing,
  cookieValues: (text) => cookieValues(text, 'certlatch'),
  withoutCookie: (text) => withoutCookie(text, 'certlatch'),
  verifyToken: (text) => verifyToken(text, keys),
  ...Object.fromEntries(
    Object.values(DIALECTS).map(({ name, encoding }) => [
      `readCertificateHeader of ${name}`,
      (text: string) => readCertificateHeader(text, encoding),
    ]),
  ),
}

/** A good one, with a stretch of it replaced. */
const spoiled = (good: Buffer): fc.Arbitrary<Buffer> =>
  fc
    .tuple(fc.nat(good.length), fc.nat(8), fc.uint8Array({ maxLength: 8 }))
    .map(([at, length, bytes]) =>
      Buffer.concat([good.subarray(0, at), bytes, good.subarray(at + length)]),
    )

const GOOD_BYTES = ['leaf-good', 'ca-p256', 'ca-rsa2048', 'crl-good-revoked', 'crl-idp-a'].map(
  fixture,
)
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((random) => Buffer.from(random)),
  ...GOOD_BYTES.map(spoiled),
)

const GOOD_TEXTS = [
  fixturePem('leaf-good'),
  encodeURIComponent(fixturePem('leaf-good')),
  `:${fixture('leaf-good').toString('base64')}:`,
  'a=b; certlatch=v1.e30.AAAA; c=d',
  '203.0.113.7, 2001:db8::1%eth0, 10.0.0.0/8',
  'https://user@ha.test:8443/path',
  'V\t360101000000Z\t\t0F\tunknown\t/C=DE/CN=Ada',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1',
  `${writeKey(Buffer.alloc(32, 9), ['signs-from=1'])}\n# end`,
]
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 120 }),
  ...GOOD_TEXTS.map((good) => spoiled(Buffer.from(good)).map((read) => read.toString('latin1'))),
)

for (const [name, read] of Object.entries(OF_BYTES)) {
  test(`${name} reads any bytes without an exception`, () => {
    fc.assert(
      fc.property(bytes, (value) => void read(value)),
      { numRuns: 300 },
    )
  })
}

for (const [name, read] of Object.entries(OF_TEXT)) {
  test(`${name} reads any text without an exception`, () => {
    fc.assert(
      fc.property(text, (value) => void read(value)),
      { numRuns: 300 },
    )
  })
}

const HEADERS = [
  ...['x-forwarded-method', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-uri'],
  ...['x-forwarded-for', 'origin', 'sec-fetch-site', 'access-control-request-method', 'cookie'],
] as const

test('Any headers are read, and decided on, without an exception', () => {
  const reader = createHeaderReader(DIALECTS.traefik)
  const value = fc.oneof(text, fc.constantFrom('POST', 'https', 'ha.test', '/%2e/a;b', 'null'))
  const rawHeaders = fc
    .array(fc.tuple(fc.oneof(fc.constantFrom(...HEADERS), text), value), { maxLength: 30 })
    .map((pairs) => pairs.flat())
  fc.assert(
    fc.property(rawHeaders, (raw) => {
      const headers = reader.read(raw)
      const original = readOriginalRequest(headers) ?? request
      void isCrossSite(headers, original, new Set(['https://cast.test']))
      void preflightMethod(headers, { ...original, method: 'OPTIONS' }, new Set())
      void isProvenSameOrigin(headers, original)
    }),
    { numRuns: 1000 },
  )
})
