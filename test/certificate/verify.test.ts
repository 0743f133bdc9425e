import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { readCertificate } from '../../src/certificate/certificate.ts'
import { writeSequence } from '../../src/certificate/der-writer.ts'
import { isSignedBy } from '../../src/certificate/signature.ts'
import {
  type CertificateProblem,
  readIssuer,
  verifyCertificate,
} from '../../src/certificate/verify.ts'
import { fixture, issuerOf, judge, NOW_SECONDS, trustOf } from '../support/pki.ts'

const home = trustOf(['ca-p256'], ['crl-empty'])

/** Certificates that name the CA "Home Device CA" and are signed with its key, unless they say not. */
const OF_THE_HOME_CA: readonly (readonly [string, CertificateProblem | 'good', string])[] = [
  ['leaf-good', 'good', 'with everything that a certificate of ours has'],
  ['leaf-good-rsa2048', 'good', 'with an RSA key of 2048 bits'],
  ['leaf-key-rsa3072', 'good', 'with an RSA key of 3072 bits'],
  ['leaf-key-p384', 'good', 'with a P-384 key'],
  ['leaf-key-p521', 'good', 'with a P-521 key'],
  ['leaf-key-ed25519', 'good', 'with an Ed25519 key'],
  ['leaf-sha384', 'good', 'signed with SHA-384'],
  ['leaf-sha512', 'good', 'signed with SHA-512'],
  ['leaf-malleated', 'good', 'with the other of the two signatures that ECDSA has for it'],
  // Dates.
  ['leaf-expired', 'certificate-expired', 'that has ended'],
  ['leaf-not-yet-valid', 'certificate-not-yet-valid', 'that has not begun'],
  ['leaf-year-9999', 'good', 'without a well-defined end'],
  // Usage.
  ['leaf-eku-server-auth', 'certificate-wrong-usage', 'for servers only'],
  ['leaf-eku-any', 'certificate-wrong-usage', 'for any purpose, which is not said to be ours'],
  ['leaf-eku-both', 'good', 'for servers and clients'],
  ['leaf-eku-critical', 'good', 'with a critical extendedKeyUsage'],
  ['leaf-no-eku', 'good', 'without extendedKeyUsage, which restricts nothing'],
  ['leaf-eku-empty', 'certificate-malformed', 'with an empty extendedKeyUsage'],
  ['leaf-eku-malformed', 'certificate-malformed', 'with a NULL as purpose'],
  ['leaf-eku-not-a-sequence', 'certificate-malformed', 'whose extendedKeyUsage is no list'],
  ['leaf-no-key-usage', 'good', 'without keyUsage, which restricts nothing'],
  ['leaf-ku-key-encipherment', 'certificate-wrong-usage', 'for encrypting keys only'],
  ['leaf-ku-no-digital-signature', 'certificate-wrong-usage', 'that may not sign a handshake'],
  ['leaf-ku-two-bytes', 'good', 'with the ninth bit of keyUsage'],
  ['leaf-ku-not-critical', 'good', 'with a keyUsage that is not critical'],
  ['leaf-ku-der', 'good', 'with keyUsage as DER spells it'],
  ['leaf-ku-trailing-zero-bits', 'good', 'with trailing zero bits in keyUsage'],
  ['leaf-ku-octet-string', 'certificate-malformed', 'with an OCTET STRING as keyUsage'],
  ['leaf-ku-empty', 'certificate-wrong-usage', 'with a keyUsage that names nothing'],
  ['leaf-ca-true', 'certificate-wrong-usage', 'that is a CA'],
  ['leaf-no-basic-constraints', 'good', 'without basicConstraints'],
  ['leaf-bc-false-spelled-out', 'good', 'with CA:FALSE spelled out'],
  ['leaf-bc-path-length', 'good', 'with a path length that means nothing'],
  ['leaf-bc-true-is-one', 'certificate-malformed', 'with a TRUE that is 01'],
  ['leaf-bc-negative-path-length', 'certificate-malformed', 'with a negative path length'],
  ['leaf-bc-unknown-field', 'certificate-malformed', 'with a NULL in basicConstraints'],
  ['leaf-bc-not-a-sequence', 'certificate-malformed', 'with a NULL as basicConstraints'],
  // Key identifiers.
  ['leaf-no-key-identifiers', 'good', 'without key identifiers'],
  ['leaf-aki-mismatch', 'certificate-untrusted', "with another key's identifier"],
  [
    'leaf-aki-mismatch-critical',
    'certificate-untrusted',
    "critically with another key's identifier",
  ],
  ['leaf-aki-empty', 'good', 'with an empty authorityKeyIdentifier'],
  ['leaf-aki-not-a-sequence', 'certificate-malformed', 'with an INTEGER as authorityKeyIdentifier'],
  ['leaf-aki-malformed', 'certificate-malformed', 'with a truncated authorityKeyIdentifier'],
  ['leaf-aki-serial-without-issuer', 'certificate-malformed', "with half of the CA's identity"],
  ['leaf-aki-padded-serial', 'certificate-malformed', "with a padded serial number of the CA's"],
  ['leaf-aki-serial', 'good', 'that names its CA by serial number too'],
  ['leaf-aki-other-serial', 'certificate-untrusted', 'that names another certificate of the CA'],
  ['leaf-ski-malformed', 'certificate-malformed', 'with an INTEGER as subjectKeyIdentifier'],
  // Other extensions.
  ['leaf-unknown-critical', 'certificate-unknown-extension', 'with an unknown critical extension'],
  ['leaf-unknown-not-critical', 'good', 'with an unknown extension that is not critical'],
  ['leaf-policies-critical', 'certificate-unknown-extension', 'with critical policies'],
  ['leaf-policies-not-critical', 'good', 'with policies'],
  ['leaf-name-constraints-critical', 'certificate-unknown-extension', 'with name constraints'],
  ['leaf-policy-constraints-critical', 'certificate-unknown-extension', 'with policy constraints'],
  ['leaf-inhibit-any-policy-critical', 'certificate-unknown-extension', 'with inhibitAnyPolicy'],
  ['leaf-tls-feature-critical', 'certificate-unknown-extension', 'with critical TLS features'],
  ['leaf-cdp-a', 'good', 'with a distribution point'],
  ['leaf-cdp-a-critical', 'good', 'with a critical distribution point'],
  ['leaf-cdp-relative', 'good', 'with a distribution point relative to its CA'],
  ['leaf-cdp-issuer-only', 'good', 'with a CRL issuer, while the configured CRL speaks for all'],
  ['leaf-cdp-empty-name', 'good', 'with an empty name of a distribution point, which is no name'],
  ['leaf-cdp-malformed-name', 'good', 'with an unreadable name of a distribution point: no name'],
  ['leaf-cdp-empty', 'certificate-malformed', 'with no distribution point in the list of them'],
  ['leaf-cdp-malformed', 'certificate-malformed', 'with a NULL as distribution points'],
  ['leaf-cdp-malformed-point', 'certificate-malformed', 'with a NULL as distribution point'],
  ['leaf-duplicate-extension', 'certificate-malformed', 'with an extension twice'],
  ['leaf-critical-false-spelled-out', 'good', 'with a DEFAULT spelled out'],
  ['leaf-empty-extensions', 'certificate-malformed', 'with an empty list of extensions'],
  // Versions, algorithms, keys.
  ['leaf-v1', 'good', 'of version 1'],
  ['leaf-v2', 'good', 'of version 2'],
  ['leaf-v2-with-unique-identifier', 'good', 'of version 2 with its identifier'],
  ['leaf-v1-spelled-out', 'good', 'of version 1 that says so'],
  ['leaf-v1-with-extensions', 'certificate-malformed', 'of version 1 with extensions'],
  ['leaf-v1-with-unique-identifier', 'certificate-malformed', 'of version 1 with an identifier'],
  ['leaf-v2-with-extensions', 'certificate-malformed', 'of version 2 with extensions'],
  ['leaf-v4', 'certificate-malformed', 'of a version that does not exist'],
  ['leaf-v3-with-unique-identifier', 'good', 'with a unique identifier'],
  ['leaf-v3-without-extensions', 'good', 'without any extension'],
  ['leaf-extra-field', 'certificate-malformed', 'with a field too much'],
  ['leaf-algorithms-differ', 'certificate-malformed', 'with another algorithm inside than outside'],
  ['leaf-ecdsa-null-parameters', 'good', 'with the NULL of RSA as parameters of ECDSA'],
  ['leaf-sha1', 'certificate-weak', 'signed with SHA-1'],
  ['leaf-sha224', 'certificate-weak', 'signed with SHA-224'],
  ['leaf-key-rsa1024', 'certificate-weak', 'with an RSA key of 1024 bits'],
  ['leaf-key-rsa-pss', 'certificate-unsupported-algorithm', 'with a key for RSA-PSS only'],
  ['leaf-key-secp256k1', 'certificate-unsupported-algorithm', 'with a secp256k1 key'],
  ['leaf-key-ed448', 'certificate-unsupported-algorithm', 'with an Ed448 key'],
  // Serial numbers.
  ['leaf-serial-zero', 'good', 'with the serial number 0'],
  ['leaf-serial-negative', 'good', 'with a negative serial number'],
  ['leaf-serial-128', 'good', 'with a serial number that needs a sign byte'],
  ['leaf-serial-20-bytes', 'good', 'with a serial number of 20 bytes'],
  ['leaf-serial-20-bytes-high-bit', 'good', 'with a serial number of 20 bytes and a sign byte'],
  ['leaf-serial-22-bytes', 'certificate-malformed', 'with a serial number of 22 bytes'],
  ['leaf-serial-padded', 'certificate-malformed', 'with a padded serial number'],
  // Names: the holder's name does not affect whether a certificate is genuine.
  ['leaf-no-subject', 'good', 'without a subject'],
  ['leaf-nobody', 'good', 'without any name'],
  ['leaf-cn-line-break', 'good', 'with a line break in its name'],
  ['leaf-san-empty', 'certificate-malformed', 'with an empty list of alternative names'],
  ['leaf-san-not-a-sequence', 'certificate-malformed', 'with a NULL as alternative names'],
  ['leaf-san-not-ascii', 'certificate-malformed', 'with an e-mail address that is not ASCII'],
  // Issuers.
  ['leaf-foreign', 'certificate-untrusted', 'of another CA'],
  ['leaf-of-twin', 'certificate-untrusted', 'of another CA with the same name'],
  ['leaf-self-signed', 'certificate-untrusted', "signed by itself under the CA's name"],
  ['leaf-of-intermediate', 'certificate-untrusted', 'of an intermediate CA'],
  ['leaf-issuer-case', 'good', "with the CA's name in other case"],
  ['leaf-issuer-spaces', 'good', "with more white space in the CA's name"],
  ['leaf-issuer-printable', 'good', "with the CA's name as PrintableString"],
  ['leaf-issuer-bmp', 'good', "with the CA's name as BMPString"],
  ['leaf-issuer-teletex', 'certificate-untrusted', "with the CA's name as TeletexString"],
  ['leaf-issuer-order', 'certificate-untrusted', "with the CA's name in another order"],
  ['leaf-issuer-joined', 'certificate-untrusted', "with the CA's name as one element"],
  ['leaf-issuer-comma', 'certificate-untrusted', "with the CA's name in one string"],
  ['leaf-issuer-longer', 'certificate-untrusted', "with more than the CA's name"],
]

for (const [name, expected, what] of OF_THE_HOME_CA) {
  test(`A certificate ${what}: ${expected} (${name})`, () => {
    assert.equal(judge(fixture(name), home), expected)
  })
}

/** Certificates of other CAs: leaf, CA, what comes out. */
const OF_OTHER_CAS: readonly (readonly [string, string, CertificateProblem | 'good'])[] = [
  ['leaf-of-rsa2048', 'ca-rsa2048', 'good'],
  ['leaf-of-rsa2048-sha384', 'ca-rsa2048', 'good'],
  ['leaf-of-rsa2048-sha512', 'ca-rsa2048', 'good'],
  ['leaf-of-rsa2048-md5', 'ca-rsa2048', 'certificate-weak'],
  ['leaf-of-rsa2048-sha1', 'ca-rsa2048', 'certificate-weak'],
  ['leaf-of-rsa2048-pss', 'ca-rsa2048', 'good'],
  ['leaf-of-rsa3072', 'ca-rsa3072', 'good'],
  ['leaf-of-p384', 'ca-p384', 'good'],
  ['leaf-of-p521', 'ca-p521', 'good'],
  ['leaf-of-ed25519', 'ca-ed25519', 'good'],
  ['leaf-of-plain', 'ca-plain', 'good'],
  ['leaf-of-plain-aki-serial', 'ca-plain', 'good'],
  ['leaf-of-no-crl-sign', 'ca-no-crl-sign', 'good'],
  ['leaf-of-intermediate', 'ca-intermediate', 'good'],
  ['leaf-of-twin', 'ca-twin', 'good'],
  ['leaf-of-renewed-aki-serial', 'ca-renewed', 'good'],
  ['leaf-of-renewed-aki-serial', 'ca-p256', 'certificate-untrusted'],
  ['leaf-good', 'ca-renewed', 'good'],
  ['leaf-good', 'ca-renamed', 'certificate-untrusted'],
  ['leaf-good', 'ca-sha1', 'good'],
  ['leaf-of-expired-ca', 'ca-expired', 'certificate-issuer-expired'],
  ['leaf-good', 'ca-past', 'certificate-issuer-expired'],
  ['leaf-of-not-yet-valid-ca', 'ca-not-yet-valid', 'certificate-not-yet-valid'],
]

for (const [leaf, authority, expected] of OF_OTHER_CAS) {
  test(`${leaf} with ${authority} as the trusted CA: ${expected}`, () => {
    const trust = trustOf([authority], [], { revocationListRequired: false })
    assert.equal(judge(fixture(leaf), trust), expected)
  })
}

test('With the root of a chain as the trusted CA, only certificates it issued itself count', () => {
  const trust = trustOf(['ca-root'], [], { revocationListRequired: false })
  assert.equal(judge(fixture('leaf-of-intermediate'), trust), 'certificate-untrusted')
  assert.equal(judge(fixture('ca-intermediate'), trust), 'certificate-wrong-usage')
})

test('Of two CAs with the same name, the one whose key signed is found, in any order', () => {
  for (const authorities of [
    ['ca-p256', 'ca-twin'],
    ['ca-twin', 'ca-p256'],
  ]) {
    const trust = trustOf(authorities, ['crl-empty', 'crl-of-twin'])
    assert.equal(judge(fixture('leaf-good'), trust), 'good')
    assert.equal(judge(fixture('leaf-of-twin'), trust), 'good')
  }
})

test('For a renewed CA, its certificates count while one of the two CA certificates is valid', () => {
  const past = trustOf(['ca-past', 'ca-p256'], ['crl-empty'])
  assert.equal(judge(fixture('leaf-good'), past), 'good')
  const future = trustOf(['ca-not-yet-valid', 'ca-p256'], ['crl-empty'])
  assert.equal(judge(fixture('leaf-good'), future), 'good')
})

test('Between the expiry of a CA certificate and the start of its successor nothing is accepted', () => {
  const trust = trustOf(['ca-past', 'ca-not-yet-valid'], [], { revocationListRequired: false })
  assert.notEqual(judge(fixture('leaf-good'), trust), 'good')
})

test('Without any CA everything is untrusted', () => {
  assert.equal(judge(fixture('leaf-good'), trustOf([], [])), 'certificate-untrusted')
})

test('A certificate is valid from its first second through its last', () => {
  const { notBefore, notAfter } = datesOf('leaf-expired')
  const at = (seconds: number) => judge(fixture('leaf-expired'), home, seconds)
  assert.equal(at(notBefore - 1), 'certificate-not-yet-valid')
  assert.equal(at(notBefore), 'good')
  assert.equal(at(notAfter), 'good')
  assert.equal(at(notAfter + 1), 'certificate-expired')
})

test("A CA certificate's first and last second count as well", () => {
  const { notBefore, notAfter } = datesOf('ca-p256')
  const at = (seconds: number) => judge(fixture('leaf-year-9999'), home, seconds)
  assert.equal(at(notBefore - 1), 'certificate-not-yet-valid')
  assert.equal(at(notBefore), 'good')
  assert.equal(at(notAfter), 'good')
  assert.equal(at(notAfter + 1), 'certificate-issuer-expired')
})

function datesOf(name: string): { readonly notBefore: number; readonly notAfter: number } {
  const { validFrom, validTo } = new X509Certificate(fixture(name))
  return { notBefore: Date.parse(validFrom) / 1000, notAfter: Date.parse(validTo) / 1000 }
}

test('A verified certificate carries what later checks need', () => {
  const [issuer] = home.issuers
  const verdict = verifyCertificate(fixture('leaf-cdp-b-and-a'), home.issuers)
  assert.ok(verdict.ok)
  const { verified } = verdict
  const reference = new X509Certificate(fixture('leaf-cdp-b-and-a'))
  assert.equal(verified.issuerKeyHash, issuer?.keyHash)
  assert.equal(verified.serial, reference.serialNumber.toLowerCase())
  const sha256 = Buffer.from(verified.sha256, 'base64url').toString('hex').toUpperCase()
  assert.equal(sha256, reference.fingerprint256.replaceAll(':', ''))
  assert.equal(verified.notBefore, Date.parse(reference.validFrom) / 1000)
  assert.equal(verified.notAfter, Date.parse(reference.validTo) / 1000)
  assert.equal(verified.distributionPoints?.length, 2)
  assert.match(verified.name ?? '', /^urn:uuid:/)
})

test('Both signature encodings of one certificate share serial number and issuer, but not the hash', () => {
  const one = verifyCertificate(fixture('leaf-good'), home.issuers)
  const other = verifyCertificate(fixture('leaf-malleated'), home.issuers)
  assert.ok(one.ok && other.ok)
  assert.equal(one.verified.serial, other.verified.serial)
  assert.equal(one.verified.issuerKeyHash, other.verified.issuerKeyHash)
  assert.notEqual(one.verified.sha256, other.verified.sha256)
})

/** Why a CA certificate is refused where it is configured. */
const UNFIT_AUTHORITIES: readonly (readonly [string, RegExp])[] = [
  ['ca-no-basic-constraints', /^CA "O=Home, CN=Home Device CA" has no basicConstraints/],
  ['ca-false', /is not a CA certificate \(basicConstraints CA:FALSE\)/],
  ['ca-malformed-basic-constraints', /is not a CA certificate/],
  ['ca-no-key-cert-sign', /may not sign certificates \(keyUsage without keyCertSign\)/],
  ['ca-malformed-key-usage', /may not sign certificates/],
  ['ca-server-auth-only', /may not sign client certificates/],
  ['ca-malformed-extended-key-usage', /may not sign client certificates/],
  ['ca-malformed-subject-key-identifier', /has an unreadable subjectKeyIdentifier/],
  ['ca-name-constraints', /has name constraints/],
  ['ca-name-constraints-not-critical', /has name constraints/],
  ['ca-unknown-critical', /has an unknown critical extension/],
  ['ca-policy-constraints', /has an unknown critical extension/],
  ['ca-rsa1024', /has a key that is not P-256/],
  ['ca-secp256k1', /has a key that is not P-256/],
  ['ca-ed448', /has a key that is not P-256/],
  ['ca-rsa-pss', /has a key that is not P-256/],
  ['ca-off-curve', /has a public key that OpenSSL cannot read/],
  ['ca-false-line-break', /^CA "CN=Line\?break" is not a CA certificate/],
  ['leaf-good', /is not a CA certificate/],
  ['leaf-v1', /has no basicConstraints/],
  ['crl-empty', /^not a certificate in strict DER$/],
]

for (const [name, problem] of UNFIT_AUTHORITIES) {
  test(`A CA that could sign nothing acceptable is refused at startup (${name})`, () => {
    const read = readIssuer(fixture(name))
    assert.ok(!read.ok)
    assert.match(read.problem, problem)
  })
}

test('A CA whose constraints and key usage are not critical is still accepted as one', () => {
  assert.equal(issuerOf('ca-not-critical').signsRevocationLists, true)
})

test('A CA carries whether it may sign CRLs', () => {
  assert.equal(issuerOf('ca-p256').signsRevocationLists, true)
  assert.equal(issuerOf('ca-plain').signsRevocationLists, true)
  assert.equal(issuerOf('ca-no-crl-sign').signsRevocationLists, false)
})

test('The same key gives the same key hash, another key a different one', () => {
  assert.equal(issuerOf('ca-renewed').keyHash, issuerOf('ca-p256').keyHash)
  assert.notEqual(issuerOf('ca-twin').keyHash, issuerOf('ca-p256').keyHash)
})

test('A signature counts only with a supported algorithm that matches the key', () => {
  const certificate = readCertificate(fixture('leaf-good'))
  assert.ok(certificate !== undefined)
  const { key } = issuerOf('ca-p256')
  const isGood = (oid: string, parameters?: Buffer) =>
    isSignedBy({ ...certificate, signatureAlgorithm: { oid, parameters } }, key)
  assert.ok(isGood('1.2.840.10045.4.3.2'))
  assert.ok(isGood('1.2.840.10045.4.3.2', Buffer.from('0500', 'hex')))
  assert.ok(!isGood('1.2.840.10045.4.3.2', Buffer.from('0600', 'hex')))
  assert.ok(!isGood('1.2.840.10045.4.3.3')) // another hash
  assert.ok(!isGood('1.2.840.10045.4.1')) // SHA-1
  assert.ok(!isGood('1.2.840.113549.1.1.11')) // RSA
  assert.ok(!isGood('1.3.101.112')) // Ed25519
})

/** Every copy of the bytes with one bit turned over. */
function* bitFlips(bytes: Buffer): Generator<Buffer> {
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const copy = Buffer.from(bytes)
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    yield copy
  }
}

for (const [leaf, authority] of [
  ['leaf-good', 'ca-p256'],
  ['leaf-of-ed25519', 'ca-ed25519'],
  ['leaf-of-rsa2048', 'ca-rsa2048'],
] as const) {
  test(`No single bit of a good certificate can be changed (${leaf})`, () => {
    const issuers = [issuerOf(authority)]
    for (const changed of bitFlips(fixture(leaf))) {
      assert.ok(!verifyCertificate(changed, issuers).ok, changed.toString('hex'))
    }
  })
}

test('A certificate that is truncated anywhere, or followed by anything, is malformed', () => {
  const der = fixture('leaf-good')
  for (let length = 0; length < der.length; length += 1) {
    assert.equal(judge(der.subarray(0, length), home), 'certificate-malformed')
  }
  for (const rest of ['00', '0500', '30']) {
    const longer = Buffer.concat([der, Buffer.from(rest, 'hex')])
    assert.equal(judge(longer, home), 'certificate-malformed')
  }
})

test('A certificate larger than 16 KiB is not parsed', () => {
  const padded = writeSequence(fixture('leaf-good'), Buffer.alloc(16 * 1024))
  assert.equal(judge(padded, home), 'certificate-malformed')
})

test('Arbitrary bytes are handled without throwing, and never accepted', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      assert.equal(judge(Buffer.from(bytes), home), 'certificate-malformed')
      assert.ok(!readIssuer(Buffer.from(bytes)).ok)
    }),
  )
})

test('A good certificate with any part replaced by other bytes is refused', () => {
  const der = fixture('leaf-good')
  fc.assert(
    fc.property(
      fc.nat(der.length - 1),
      fc.nat(40),
      fc.uint8Array({ maxLength: 40 }),
      (start, length, piece) => {
        const changed = Buffer.concat([der.subarray(0, start), piece, der.subarray(start + length)])
        if (!changed.equals(der)) assert.notEqual(judge(changed, home, NOW_SECONDS), 'good')
      },
    ),
    { numRuns: 500 },
  )
})
