import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { readCertificate } from '../../src/certificate/certificate.ts'
import {
  issueAuthority,
  issueCertificate,
  issueRevocationList,
  publicKeyInfoOf,
  type SigningAuthority,
} from '../../src/certificate/issue.ts'
import { writePem } from '../../src/certificate/pem.ts'
import { readRevocationList } from '../../src/certificate/revocation.ts'
import type { RevokedCertificate } from '../../src/certificate/revocation-reason.ts'
import { type Issuer, readIssuer } from '../../src/certificate/verify.ts'
import { fixture, judge, NOW_SECONDS, trustSetOf } from '../support/pki.ts'

const YEAR = 365 * 86_400
const URI = 'urn:uuid:1b4e28ba-2fa1-41d2-883f-0016d3cca427'
const VALIDITY = { notBefore: NOW_SECONDS - 3600, notAfter: NOW_SECONDS + YEAR }

const KEYS: Readonly<Record<string, KeyObject>> = {
  'P-256': generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey,
  'P-384': generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey,
  'P-521': generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).privateKey,
  Ed25519: generateKeyPairSync('ed25519').privateKey,
  RSA: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
}
const certificateKey = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
const p256 = KEYS['P-256'] ?? certificateKey

/** Bytes in place of random ones. */
const serialBytes = (first: number): Uint8Array => Uint8Array.from({ length: 16 }, () => first)

function authorityOf(privateKey: KeyObject, commonName = 'Home Device CA'): SigningAuthority {
  const der = issueAuthority({
    notBefore: NOW_SECONDS - 3600,
    notAfter: NOW_SECONDS + 20 * YEAR,
    commonName,
    privateKey,
    serial: serialBytes(1),
  })
  const certificate = readCertificate(der)
  assert.ok(certificate !== undefined)
  return { certificate, privateKey }
}

const leafOf = (
  authority: SigningAuthority,
  serial: Uint8Array,
  commonName = "Ada's phone 📱",
  key = certificateKey,
): Buffer =>
  issueCertificate(
    { ...VALIDITY, commonName, publicKeyInfo: publicKeyInfoOf(key), serial, uri: URI },
    authority,
  )

function serialOf(der: Buffer): string {
  const certificate = readCertificate(der)
  assert.ok(certificate !== undefined)
  return certificate.serial
}

const listOf = (
  authority: SigningAuthority,
  revoked: readonly RevokedCertificate[],
  number = 1,
): Buffer =>
  issueRevocationList(
    { number, thisUpdate: NOW_SECONDS, nextUpdate: NOW_SECONDS + 20 * YEAR, revoked },
    authority,
  )

function issuerFrom(authority: SigningAuthority): Issuer {
  const read = readIssuer(authority.certificate.der)
  assert.ok(read.ok)
  return read.issuer
}

for (const [name, key] of Object.entries(KEYS)) {
  test(`What a CA with a ${name} key issues is accepted by certlatch and by Node`, () => {
    const authority = authorityOf(key)
    const good = leafOf(authority, serialBytes(2))
    const revoked = leafOf(authority, serialBytes(3))
    const issuer = issuerFrom(authority)
    const der = listOf(authority, [{ serial: serialOf(revoked), revokedAt: NOW_SECONDS }])
    const read = readRevocationList(der, [issuer])
    assert.ok(read.ok)
    const trust = trustSetOf([issuer], [read.list])
    assert.equal(judge(good, trust), 'good')
    assert.equal(judge(revoked, trust), 'certificate-revoked')
    const ca = new X509Certificate(authority.certificate.der)
    const leaf = new X509Certificate(good)
    assert.ok(ca.verify(createPublicKey(key)))
    assert.ok(leaf.verify(createPublicKey(key)))
    assert.ok(leaf.checkIssued(ca))
    assert.ok(ca.ca)
  })
}

test('Node reads in an issued certificate what was requested', () => {
  const authority = authorityOf(p256)
  const leaf = new X509Certificate(leafOf(authority, serialBytes(0xff)))
  assert.equal(leaf.subject, "CN=Ada's phone 📱")
  assert.equal(leaf.issuer, 'CN=Home Device CA')
  assert.equal(leaf.subjectAltName, `URI:${URI}`)
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.2'])
  assert.equal(leaf.ca, false)
  assert.equal(Date.parse(leaf.validFrom) / 1000, VALIDITY.notBefore)
  assert.equal(Date.parse(leaf.validTo) / 1000, VALIDITY.notAfter)
  assert.ok(leaf.publicKey.equals(createPublicKey(certificateKey)))
  assert.deepEqual(new X509Certificate(authority.certificate.der).keyUsage, ['1.3.6.1.5.5.7.3.2'])
})

test('A serial number is positive and as long as its random bytes, whatever they are', () => {
  const authority = authorityOf(p256)
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const serial = serialOf(leafOf(authority, bytes))
      assert.match(serial, /^[4-7][0-9a-f]{31}$/)
      assert.equal(serial.slice(2), Buffer.from(bytes).subarray(1).toString('hex'))
    }),
    { numRuns: 30 },
  )
})

test('Any name without control characters comes out as it went in', () => {
  const authority = authorityOf(p256)
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), (commonName) => {
      const der = leafOf(authority, serialBytes(2), commonName)
      const [attribute] = readCertificate(der)?.subject.attributes ?? []
      assert.equal(attribute?.text, commonName)
    }),
    { numRuns: 50 },
  )
})

test('A CRL without revoked certificates omits the empty list, and any number is kept', () => {
  const authority = authorityOf(p256)
  const issuer = issuerFrom(authority)
  for (const number of [0, 1, 127, 128, 65_535, NOW_SECONDS, 2 ** 47]) {
    const read = readRevocationList(listOf(authority, [], number), [issuer])
    assert.ok(read.ok)
    assert.equal(read.list.number, BigInt(number))
    assert.equal(read.list.serials.size, 0)
    assert.equal(read.list.thisUpdate, NOW_SECONDS)
    assert.equal(read.list.nextUpdate, NOW_SECONDS + 20 * YEAR)
  }
})

test('All serial numbers of a CRL are kept, including those with the high bit set or leading zeros', () => {
  const authority = authorityOf(p256)
  const issuer = issuerFrom(authority)
  const revoked = ['00', '05', '80', 'ff01', '7f00', '4a0b'].map((serial) => ({
    serial,
    revokedAt: NOW_SECONDS,
  }))
  const read = readRevocationList(listOf(authority, revoked), [issuer])
  assert.ok(read.ok)
  assert.deepEqual(
    [...read.list.serials],
    revoked.map(({ serial }) => serial),
  )
})

test('Certificates of an imported CA without a key identifier get one derived from its key', () => {
  const certificate = readCertificate(fixture('ca-plain'))
  assert.ok(certificate !== undefined && !certificate.extensions.has('2.5.29.14'))
  // The key of the fixture is gone; what is looked at is the identifier, not the signature.
  const der = leafOf({ certificate, privateKey: p256 }, serialBytes(2))
  const identifier = readCertificate(der)?.extensions.get('2.5.29.35')?.value
  assert.equal(identifier?.length, 24)
})

// --- OpenSSL's opinion --------------------------------------------------------------------------------

const openssl = spawnSync('openssl', ['version'], { encoding: 'utf8' })
const skip = openssl.status === 0 ? false : 'needs openssl on the PATH'
const folder = mkdtempSync(join(tmpdir(), 'certlatch-issue-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, label: string, der: Buffer): string {
  const path = join(folder, name)
  writeFileSync(path, writePem(label, der))
  return path
}

const AT = ['-attime', String(NOW_SECONDS)]
const STRICT = ['-x509_strict', '-check_ss_sig', '-crl_check', '-purpose', 'sslclient', ...AT]

for (const [name, key] of Object.entries(KEYS)) {
  test(`OpenSSL, strict, agrees with what a CA with a ${name} key issues`, { skip }, () => {
    const authority = authorityOf(key)
    const revoked = leafOf(authority, serialBytes(3))
    const list = listOf(authority, [{ serial: serialOf(revoked), revokedAt: NOW_SECONDS }])
    const ca = file('ca.pem', 'CERTIFICATE', authority.certificate.der)
    const crl = file('ca.crl', 'X509 CRL', list)
    const leaf = file('leaf.pem', 'CERTIFICATE', leafOf(authority, serialBytes(2)))
    const bad = file('revoked.pem', 'CERTIFICATE', revoked)
    const verify = (path: string, ...more: readonly string[]) =>
      spawnSync('openssl', ['verify', '-CAfile', ca, '-CRLfile', crl, ...STRICT, ...more, path], {
        encoding: 'utf8',
      })
    const good = verify(leaf)
    assert.equal(good.stdout.trim(), `${leaf}: OK`, good.stderr)
    assert.match(verify(bad).stderr, /error 23 at 0 depth lookup: certificate revoked/)
  })
}

test('OpenSSL accepts no server certificate from the built-in CA', { skip }, () => {
  const authority = authorityOf(p256)
  const ca = file('ca.pem', 'CERTIFICATE', authority.certificate.der)
  const leaf = file('leaf.pem', 'CERTIFICATE', leafOf(authority, serialBytes(2)))
  const arguments_ = ['verify', '-CAfile', ca, '-purpose', 'sslserver', ...AT, leaf]
  const verdict = spawnSync('openssl', arguments_, { encoding: 'utf8' })
  assert.notEqual(verdict.status, 0)
  assert.match(verdict.stderr, /unsuitable certificate purpose/)
})

test('OpenSSL reads the CRL as version 2 with its number', { skip }, () => {
  const authority = authorityOf(p256)
  const crl = file('ca.crl', 'X509 CRL', listOf(authority, [], 4097))
  const text = execFileSync('openssl', ['crl', '-in', crl, '-noout', '-text'], { encoding: 'utf8' })
  assert.match(text, /Version 2 \(0x1\)/)
  assert.match(text, /X509v3 CRL Number:\s+4097/)
  assert.match(text, /No Revoked Certificates/)
})
