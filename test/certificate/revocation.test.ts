import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { readPemBlocks } from '../../src/certificate/pem.ts'
import { coversCertificate, readRevocationList } from '../../src/certificate/revocation.ts'
import {
  CLOCK_TOLERANCE_SECONDS,
  certificateStandingProblem,
  groupByKeyHash,
  isStale,
  standingProblem,
} from '../../src/certificate/trust.ts'
import { type CertificateProblem, verifyCertificate } from '../../src/certificate/verify.ts'
import {
  fixture,
  fixturePem,
  issuerOf,
  judge,
  NOW_SECONDS,
  revocationListOf,
  trustOf,
} from '../support/pki.ts'

const home = [issuerOf('ca-p256')]
/** As Node says it, in whole bytes. */
function serialOf(name: string): string {
  const digits = new X509Certificate(fixture(name)).serialNumber.toLowerCase()
  return digits.padStart(digits.length + (digits.length % 2), '0')
}

test('An empty CRL covers all certificates and revokes none', () => {
  assert.deepEqual(revocationListOf('crl-empty', home), {
    issuerKeyHash: home[0]?.keyHash,
    number: 1n,
    thisUpdate: Date.UTC(2026, 0) / 1000,
    nextUpdate: Date.UTC(2046, 0) / 1000,
    serials: new Set(),
    distributionPoints: undefined,
  })
})

test('A CRL holds serial numbers of every length that certificates have', () => {
  const { serials, number } = revocationListOf('crl-second-revoked', home)
  assert.equal(number, 2n)
  assert.deepEqual(
    [...serials].sort(),
    ['leaf-second', 'leaf-serial-128', 'leaf-serial-20-bytes-high-bit', 'leaf-serial-zero']
      .map(serialOf)
      .sort(),
  )
})

test('A certificate on the CRL is revoked, whatever the reason', () => {
  for (const list of [
    'crl-good-revoked',
    'crl-hold',
    'crl-remove-from-crl',
    'crl-key-compromise',
    'crl-entry-reason-critical',
    'crl-entry-unknown-not-critical',
  ]) {
    const trust = trustOf(['ca-p256'], [list])
    assert.equal(judge(fixture('leaf-good'), trust), 'certificate-revoked', list)
    assert.equal(judge(fixture('leaf-malleated'), trust), 'certificate-revoked', list)
    assert.equal(judge(fixture('leaf-name-emoji'), trust), 'good', list)
  }
})

test('Revoked takes precedence over expired, and a CRL counts however old it is', () => {
  const trust = trustOf(['ca-p256'], ['crl-good-revoked'])
  const late = Date.UTC(2050, 0) / 1000
  assert.equal(judge(fixture('leaf-good'), trust, late), 'certificate-revoked')
})

/** Lists that can be used, with the CA that signed them. */
const USABLE: readonly (readonly [string, string, string])[] = [
  ['crl-no-number', 'ca-p256', 'without a number'],
  ['crl-v1', 'ca-p256', 'of version 1'],
  ['crl-unknown-not-critical', 'ca-p256', 'with an unknown extension that is not critical'],
  ['crl-aki-mismatch', 'ca-p256', "with another key's identifier: the signature decides"],
  ['crl-generalized-time', 'ca-p256', 'with dates after 2049'],
  ['crl-idp-a', 'ca-p256', 'for one distribution point'],
  ['crl-idp-a-user', 'ca-p256', "for one distribution point's end entities"],
  ['crl-idp-user', 'ca-p256', 'for end entities only'],
  ['crl-idp-relative', 'ca-p256', 'for a distribution point with a relative name'],
  ['crl-idp-empty', 'ca-p256', 'with a scope that limits nothing'],
  ['crl-idp-user-false', 'ca-p256', 'with a limit that is written out and not set'],
  ['crl-idp-ca-false', 'ca-p256', 'with another limit that is written out and not set'],
  ['crl-empty-sequence', 'ca-p256', 'with an empty list, which the standard leaves out'],
  ['crl-of-plain', 'ca-plain', 'of a CA without keyUsage'],
  ['crl-of-rsa2048', 'ca-rsa2048', 'signed with RSA'],
  ['crl-of-ed25519', 'ca-ed25519', 'signed with Ed25519'],
  ['crl-of-expired-ca', 'ca-expired', 'of a CA that has ended'],
  ['crl-empty', 'ca-renewed', 'of the same CA before its renewal'],
  ['crl-of-intermediate', 'ca-intermediate', 'of an intermediate CA'],
]

for (const [name, authority, what] of USABLE) {
  test(`A CRL ${what} can be used (${name})`, () => {
    assert.equal(revocationListOf(name, [issuerOf(authority)]).serials.size, 0)
  })
}

/** Why a list cannot be used. */
const UNUSABLE: readonly (readonly [string, RegExp])[] = [
  ['crl-sha1', /weaker than SHA-256/],
  ['crl-delta', /is a delta CRL/],
  ['crl-unknown-critical', /has a critical extension that certlatch does not know/],
  ['crl-aki-malformed', /has an unreadable authorityKeyIdentifier/],
  ['crl-number-negative', /has an unreadable cRLNumber/],
  ['crl-number-malformed', /has an unreadable cRLNumber/],
  ['crl-idp-ca', /covers only some certificates or reasons/],
  ['crl-idp-attribute', /covers only some certificates or reasons/],
  ['crl-idp-indirect', /covers only some certificates or reasons/],
  ['crl-idp-reasons', /covers only some certificates or reasons/],
  ['crl-idp-malformed', /covers only some certificates or reasons/],
  ['crl-idp-empty-name', /covers only some certificates or reasons/],
  ['crl-entry-unknown-critical', /has an entry that certlatch cannot read/],
  ['crl-entry-issuer', /has an entry that certlatch cannot read/],
  ['crl-malformed-entry', /has an entry that certlatch cannot read/],
  ['crl-entry-not-a-sequence', /has an entry that certlatch cannot read/],
  ['crl-entry-extra-field', /has an entry that certlatch cannot read/],
  ['crl-entry-without-date', /has an entry that certlatch cannot read/],
  ['crl-entry-empty-extensions', /has an entry that certlatch cannot read/],
  ['crl-no-next-update', /has no nextUpdate/],
  ['crl-v1-with-extensions', /^not a CRL in strict DER$/],
  ['crl-v1-spelled-out', /^not a CRL in strict DER$/],
  ['crl-v3', /^not a CRL in strict DER$/],
  ['crl-extra-field', /^not a CRL in strict DER$/],
  ['crl-algorithms-differ', /^not a CRL in strict DER$/],
  ['crl-malformed-next-update', /^not a CRL in strict DER$/],
  ['crl-malformed-this-update', /^not a CRL in strict DER$/],
  ['crl-malformed-extensions', /^not a CRL in strict DER$/],
  ['crl-malformed-issuer', /^not a CRL in strict DER$/],
  ['crl-malformed-revoked', /^not a CRL in strict DER$/],
  ['leaf-good', /^not a CRL in strict DER$/],
]

for (const [name, problem] of UNUSABLE) {
  test(`A CRL that cannot be trusted is refused with the reason (${name})`, () => {
    const read = readRevocationList(fixture(name), home)
    assert.ok(!read.ok)
    assert.match(read.problem, problem)
    assert.equal(read.foreign, false)
  })
}

test('A CRL of an unknown CA is recognised as such: it may be beside ours in a bundle', () => {
  for (const [name, issuers] of [
    ['crl-of-foreign', home],
    ['crl-of-renamed', home],
    ['crl-empty', []],
  ] as const) {
    const read = readRevocationList(fixture(name), issuers)
    assert.ok(!read.ok)
    assert.match(read.problem, /belongs to no CA in the CA file$/)
    assert.equal(read.foreign, true)
  }
})

test('A CA that may not sign CRLs is not trusted for them, unless another certificate of its key may', () => {
  const read = readRevocationList(fixture('crl-of-no-crl-sign'), [issuerOf('ca-no-crl-sign')])
  assert.ok(!read.ok)
  assert.match(read.problem, /may not sign CRLs \(keyUsage without cRLSign\)$/)
  for (const order of [
    ['ca-no-crl-sign', 'ca-p256'],
    ['ca-p256', 'ca-no-crl-sign'],
  ]) {
    assert.ok(readRevocationList(fixture('crl-of-no-crl-sign'), order.map(issuerOf)).ok)
  }
})

test('Of two CAs with the same name, each CRL belongs to the one that signed it', () => {
  const issuers = ['ca-twin', 'ca-p256'].map(issuerOf)
  const blocks = readPemBlocks(fixturePem('bundle-crl'), 'X509 CRL') ?? []
  const lists = blocks.map((der) => readRevocationList(der, issuers))
  assert.deepEqual(
    lists.map((list) => list.ok && list.list.issuerKeyHash),
    [issuerOf('ca-p256').keyHash, issuerOf('ca-twin').keyHash],
  )
})

test('A CRL for one distribution point covers the certificates that name it', () => {
  const covers: readonly (readonly [string, string, CertificateProblem | 'good'])[] = [
    ['crl-idp-a', 'leaf-cdp-a', 'good'],
    ['crl-idp-a', 'leaf-cdp-a-critical', 'good'],
    ['crl-idp-a', 'leaf-cdp-b-and-a', 'good'],
    ['crl-idp-a', 'leaf-good', 'certificate-crl-missing'],
    ['crl-idp-a', 'leaf-cdp-b', 'certificate-crl-missing'],
    ['crl-idp-a', 'leaf-cdp-relative', 'certificate-crl-missing'],
    ['crl-idp-a', 'leaf-cdp-issuer-only', 'certificate-crl-missing'],
    ['crl-idp-a', 'leaf-cdp-empty-name', 'certificate-crl-missing'],
    ['crl-idp-a', 'leaf-cdp-malformed-name', 'certificate-crl-missing'],
    ['crl-idp-a-user', 'leaf-cdp-a', 'good'],
    ['crl-idp-a-user', 'leaf-cdp-b', 'certificate-crl-missing'],
    ['crl-idp-relative', 'leaf-cdp-relative', 'good'],
    ['crl-idp-relative', 'leaf-cdp-a', 'certificate-crl-missing'],
    ['crl-idp-user', 'leaf-cdp-b', 'good'],
    ['crl-idp-empty', 'leaf-cdp-b', 'good'],
  ]
  for (const [list, leaf, expected] of covers) {
    assert.equal(judge(fixture(leaf), trustOf(['ca-p256'], [list])), expected, `${list} ${leaf}`)
  }
})

test('A CRL covers a certificate exactly if they have a distribution point name in common', () => {
  const list = revocationListOf('crl-idp-a', home)
  assert.ok(!coversCertificate(list, undefined))
  assert.ok(!coversCertificate(list, []))
  assert.ok(coversCertificate(list, ['00', ...(list.distributionPoints ?? [])]))
  assert.ok(coversCertificate(revocationListOf('crl-empty', home), ['00']))
})

test('A CRL is current from thisUpdate, with some tolerance, through nextUpdate', () => {
  const list = revocationListOf('crl-stale', home)
  assert.ok(isStale(list, list.thisUpdate - CLOCK_TOLERANCE_SECONDS - 1))
  assert.ok(!isStale(list, list.thisUpdate - CLOCK_TOLERANCE_SECONDS))
  assert.ok(!isStale(list, list.nextUpdate))
  assert.ok(isStale(list, list.nextUpdate + 1))
})

test('An outdated CRL denies access unless the operator allowed it; revoked certificates stay revoked', () => {
  for (const name of ['crl-stale', 'crl-from-the-future']) {
    const deny = trustOf(['ca-p256'], [name])
    const allow = trustOf(['ca-p256'], [name], { staleRevocationList: 'allow' })
    assert.equal(judge(fixture('leaf-good'), deny), 'certificate-crl-stale')
    assert.equal(judge(fixture('leaf-good'), allow), 'good')
  }
  const allow = trustOf(['ca-p256'], ['crl-stale'], { staleRevocationList: 'allow' })
  assert.equal(judge(fixture('leaf-second'), allow), 'certificate-revoked')
})

test('A CA without a CRL denies access where CRLs are required, and only there', () => {
  const required = trustOf(['ca-p256', 'ca-rsa2048'], ['crl-of-rsa2048'])
  assert.equal(judge(fixture('leaf-good'), required), 'certificate-crl-missing')
  assert.equal(judge(fixture('leaf-of-rsa2048'), required), 'good')
  const optional = trustOf(['ca-p256'], [], { revocationListRequired: false })
  assert.equal(judge(fixture('leaf-good'), optional), 'good')
})

test('A revocation applies only to the serial number of its own issuer', () => {
  const trust = trustOf(['ca-p256', 'ca-twin'], ['crl-good-revoked', 'crl-of-twin'])
  const serial = serialOf('leaf-good')
  const [ours, twin] = trust.issuers.map(({ keyHash }) => keyHash)
  assert.ok(ours !== undefined && twin !== undefined)
  const problem = (issuerKeyHash: string) =>
    standingProblem({ issuerKeyHash, serial, distributionPoints: undefined }, trust, NOW_SECONDS)
  assert.equal(problem(ours), 'certificate-revoked')
  assert.equal(problem(twin), undefined)
  assert.equal(problem('an issuer that is gone'), 'certificate-untrusted')
})

test('A certificate whose CA was removed after it was verified is no longer trusted', () => {
  const verdict = verifyCertificate(fixture('leaf-good'), home)
  assert.ok(verdict.ok)
  const without = trustOf(['ca-twin'], ['crl-of-twin'])
  assert.equal(
    certificateStandingProblem(verdict.verified, without, NOW_SECONDS),
    'certificate-untrusted',
  )
})

test('Issuers are grouped by their key', () => {
  const issuers = ['ca-p256', 'ca-twin', 'ca-renewed'].map(issuerOf)
  const groups = groupByKeyHash(issuers)
  assert.deepEqual(
    [...groups.values()].map((group) => group.length),
    [2, 1],
  )
  assert.equal(groupByKeyHash([]).size, 0)
})

test('No single bit of a CRL can be changed', () => {
  for (const [name, authority] of [
    ['crl-good-revoked', 'ca-p256'],
    ['crl-of-ed25519', 'ca-ed25519'],
  ] as const) {
    const issuers = [issuerOf(authority)]
    const der = fixture(name)
    for (let bit = 0; bit < der.length * 8; bit += 1) {
      const changed = Buffer.from(der)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.ok(!readRevocationList(changed, issuers).ok, `${name}, bit ${bit}`)
    }
  }
})

test('A CRL that is truncated anywhere, or followed by anything, is refused', () => {
  const der = fixture('crl-good-revoked')
  for (let length = 0; length < der.length; length += 1) {
    assert.ok(!readRevocationList(der.subarray(0, length), home).ok)
  }
  assert.ok(!readRevocationList(Buffer.concat([der, Buffer.alloc(1)]), home).ok)
})

test('Arbitrary bytes are handled without throwing, and never pass as a CRL', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      assert.ok(!readRevocationList(Buffer.from(bytes), home).ok)
    }),
  )
})

test('A CRL of another CA with the same name is foreign, not broken', () => {
  const read = readRevocationList(fixture('crl-of-twin'), [issuerOf('ca-p256')])
  assert.deepEqual(read, {
    ok: false,
    problem: 'the CRL of "O=Home, CN=Home Device CA" belongs to another CA of the same name',
    foreign: true,
  })
})

test('A modified CRL is broken, whatever key it names', () => {
  const changed = Buffer.from(fixture('crl-empty'))
  const last = changed.length - 1
  changed[last] = (changed[last] ?? 0) ^ 1
  const read = readRevocationList(changed, [issuerOf('ca-p256')])
  assert.ok(!read.ok && !read.foreign)
})
