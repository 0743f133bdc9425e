import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, hash, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { readCertificate } from '../../src/certificate/certificate.ts'
import { contextTag, readElement, readIntegerHex, TAG } from '../../src/certificate/der.ts'
import {
  writeBitString,
  writeBoolean,
  writeElement,
  writeIntegerHex,
  writeObjectIdentifier,
  writeOctetString,
  writeSequence,
  writeSmallInteger,
  writeTime,
} from '../../src/certificate/der-writer.ts'
import {
  issueAuthority,
  issueRevocationList,
  type SigningAuthority,
} from '../../src/certificate/issue.ts'
import { readRevocationList, readRevokedEntries } from '../../src/certificate/revocation.ts'
import {
  type RevocationReason,
  type RevokedCertificate,
  reasonNamed,
} from '../../src/certificate/revocation-reason.ts'
import { readIssuer } from '../../src/certificate/verify.ts'
import { fixture, NOW_SECONDS } from '../support/pki.ts'

const YEAR = 365 * 86_400
const privateKey = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
const certificate = readCertificate(
  issueAuthority({
    notBefore: NOW_SECONDS - 3600,
    notAfter: NOW_SECONDS + 20 * YEAR,
    commonName: 'Home Device CA',
    privateKey,
    serial: Buffer.alloc(16, 1),
  }),
)
assert.ok(certificate !== undefined)
const authority: SigningAuthority = { certificate, privateKey }
const issuer = readIssuer(certificate.der)
assert.ok(issuer.ok)
const issuers = [issuer.issuer]

const listOf = (revoked: readonly RevokedCertificate[]): Buffer =>
  issueRevocationList(
    { number: 1, thisUpdate: NOW_SECONDS, nextUpdate: NOW_SECONDS + 20 * YEAR, revoked },
    authority,
  )

/** The codes of RFC 5280 §5.3.1. */
const CODES: Readonly<Record<Exclude<RevocationReason, 'unspecified'>, number>> = {
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  removeFromCRL: 8,
  privilegeWithdrawn: 9,
  aACompromise: 10,
}
const REASONS = Object.keys(CODES) as readonly RevocationReason[]

/** A reasonCode extension as it is encoded in a CRL. */
const spelled = (value: string): string => `0603551d15040${value.length / 2}${value}`

for (const [reason, code] of Object.entries(CODES)) {
  test(`The reason ${reason} is written as ${code}, and read back`, () => {
    const entry = { serial: '4a', revokedAt: NOW_SECONDS, reason: reason as RevocationReason }
    const der = listOf([entry])
    assert.ok(der.includes(spelled(`0a010${code.toString(16)}`), 0, 'hex'))
    assert.deepEqual(readRevokedEntries(der), [entry])
    assert.ok(readRevocationList(der, issuers).ok)
  })
}

test('A reason is found by its name, and no other text is one', () => {
  for (const reason of REASONS) assert.equal(reasonNamed(reason), reason)
  for (const other of [undefined, '', 'keycompromise', 'undefined', '1']) {
    assert.equal(reasonNamed(other), undefined)
  }
})

test('An unspecified reason is left out, as if there were none', () => {
  const entry = { serial: '4a', revokedAt: NOW_SECONDS }
  const der = listOf([{ ...entry, reason: 'unspecified' }])
  assert.ok(!der.includes('0603551d15', 0, 'hex'))
  assert.deepEqual(readRevokedEntries(der), [{ ...entry, reason: undefined }])
  assert.deepEqual(readRevokedEntries(listOf([])), [])
})

const revokedCertificate = fc.record(
  {
    serial: fc.bigInt({ min: -(2n ** 159n), max: 2n ** 159n - 1n }).map((value) => {
      const digits = (value < 0n ? -value : value).toString(16)
      return `${value < 0n ? '-' : ''}${digits.length % 2 === 0 ? '' : '0'}${digits}`
    }),
    revokedAt: fc.integer({ min: 0, max: NOW_SECONDS + 50 * YEAR }),
    reason: fc.constantFrom(undefined, ...REASONS),
  },
  { noNullPrototype: true },
)

test('A CRL rewritten from its own entries has the same content, including negative serial numbers', () => {
  fc.assert(
    fc.property(fc.array(revokedCertificate, { maxLength: 20 }), (revoked) => {
      const first = readRevokedEntries(listOf(revoked))
      assert.deepEqual(first, revoked)
      const read = readRevocationList(listOf(first), issuers)
      assert.ok(read.ok)
      assert.deepEqual(read.list.serials, new Set(revoked.map(({ serial }) => serial)))
    }),
  )
})

test("An integer is written as it is read, at each length of two's complement", () => {
  for (const hex of ['00', '7f', '80', 'ff', '0100', '-01', '-7f', '-80', '-81', '-ff', '-0100']) {
    const integer = readElement(writeIntegerHex(hex), TAG.integer)
    assert.equal(integer && readIntegerHex(integer.content, 21), hex)
  }
})

test('What OpenSSL wrote is read with dates and reasons', () => {
  const [first] = readRevokedEntries(fixture('crl-key-compromise')) ?? []
  assert.equal(first?.reason, 'keyCompromise')
  const [held] = readRevokedEntries(fixture('crl-hold')) ?? []
  assert.equal(held?.reason, 'certificateHold')
  assert.ok((held?.revokedAt ?? 0) > 1_700_000_000)
})

/** A list with entries of these bytes. */
function rawListOf(...entries: readonly Buffer[]): Buffer {
  const algorithm = writeSequence(writeObjectIdentifier('1.2.840.10045.4.3.2'))
  const tbs = writeSequence(
    writeSmallInteger(1),
    algorithm,
    certificate?.subject.der ?? Buffer.alloc(0),
    writeTime(NOW_SECONDS),
    writeTime(NOW_SECONDS + YEAR),
    writeSequence(...entries),
  )
  return writeSequence(tbs, algorithm, writeBitString(sign('sha256', tbs, privateKey)))
}

const entryWithReason = (value: Buffer): Buffer =>
  writeSequence(
    writeSmallInteger(5),
    writeTime(NOW_SECONDS),
    writeSequence(writeSequence(writeObjectIdentifier('2.5.29.21'), writeOctetString(value))),
  )

test('An entry with a reason the standard does not define is revoked without a reason', () => {
  const values = ['0a0107', '0a010b', '0a0101ff', '0500', '', '0a01ff']
  for (const value of values) {
    const der = rawListOf(entryWithReason(Buffer.from(value, 'hex')))
    assert.ok(readRevocationList(der, issuers).ok, value)
    const entry = { serial: '05', revokedAt: NOW_SECONDS, reason: undefined }
    assert.deepEqual(readRevokedEntries(der), [entry], value)
  }
})

/** An entry with an unknown extension. */
const strangeEntry = (serial: number, isCritical: boolean): Buffer =>
  writeSequence(
    writeSmallInteger(serial),
    writeTime(NOW_SECONDS),
    writeSequence(
      writeSequence(
        writeObjectIdentifier('1.2.3'),
        ...(isCritical ? [writeBoolean(true)] : []),
        writeOctetString(Buffer.alloc(0)),
      ),
    ),
  )

test('Each entry is judged by its own extensions, whatever the other entries have', () => {
  const harmless = strangeEntry(6, false)
  const reason = entryWithReason(Buffer.from('0a0104', 'hex'))
  const good = rawListOf(harmless, reason, harmless, reason)
  const read = readRevocationList(good, issuers)
  assert.ok(read.ok)
  assert.deepEqual(read.list.serials, new Set(['06', '05']))
  assert.deepEqual(
    readRevokedEntries(good)?.map(({ reason }) => reason),
    [undefined, 'superseded', undefined, 'superseded'],
  )
  const unknown = strangeEntry(7, true)
  const unreadable = writeSequence(
    writeSmallInteger(8),
    writeTime(NOW_SECONDS),
    writeSequence(writeSmallInteger(1)),
  )
  for (const bad of [unknown, unreadable]) {
    for (const entries of [
      [bad, harmless, reason],
      [harmless, bad, bad],
      [reason, harmless, reason, bad],
    ]) {
      const der = rawListOf(...entries)
      assert.equal(readRevocationList(der, issuers).ok, false)
      assert.equal(readRevokedEntries(der), undefined)
    }
  }
})

test('A CRL that cannot be read completely gives no entries, so that none gets lost', () => {
  const unreadable = {
    'no list': Buffer.from('no list'),
    'a certificate': certificate.der,
    'an entry that is none': rawListOf(writeSmallInteger(5)),
    'an entry that is another type': rawListOf(
      writeElement(contextTag(0, true), writeSmallInteger(5), writeTime(NOW_SECONDS)),
    ),
    'an entry without serial number': rawListOf(writeSequence(writeTime(NOW_SECONDS))),
    'an unreadable date': rawListOf(
      writeSequence(writeSmallInteger(5), writeElement(TAG.utcTime, Buffer.from('yesterday'))),
    ),
  }
  for (const [what, der] of Object.entries(unreadable)) {
    assert.equal(readRevokedEntries(der), undefined, what)
  }
})

test('A CRL of 100,000 entries is written and read', () => {
  const revoked = Array.from({ length: 100_000 }, (_, index) => ({
    serial: `4${hash('sha1', String(index)).slice(0, 31)}`,
    revokedAt: NOW_SECONDS - index,
    reason: index % 2 === 0 ? undefined : ('superseded' as const),
  }))
  const der = listOf(revoked)
  const read = readRevocationList(der, issuers)
  assert.ok(read.ok)
  assert.equal(read.list.serials.size, 100_000)
  const last = readRevokedEntries(der)?.at(-1)
  assert.deepEqual(last, revoked.at(-1))
})

// --- OpenSSL's opinion --------------------------------------------------------------------------------

const openssl = spawnSync('openssl', ['version'], { encoding: 'utf8' })
const skip = openssl.status === 0 ? false : 'needs openssl on the PATH'
const folder = mkdtempSync(join(tmpdir(), 'certlatch-crl-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('OpenSSL reads the reasons by the same names', { skip }, () => {
  const file = join(folder, 'ca.crl')
  const revoked = REASONS.map((reason) => ({ serial: '4a', revokedAt: NOW_SECONDS, reason }))
  writeFileSync(file, listOf(revoked))
  const options = ['crl', '-inform', 'DER', '-in', file, '-noout', '-text']
  const { stdout } = spawnSync('openssl', options, { encoding: 'utf8' })
  const names = [...stdout.matchAll(/CRL Reason Code: \n\s+(.+)/g)].map(([, name = '']) =>
    name.replaceAll(' ', '').toLowerCase(),
  )
  assert.deepEqual(
    names,
    REASONS.map((reason) => reason.toLowerCase()),
  )
})
