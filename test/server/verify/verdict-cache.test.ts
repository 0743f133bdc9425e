import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { readIssuer } from '../../../src/certificate/verify.ts'
import type { CertificateEncoding } from '../../../src/proxy/dialects.ts'
import { createVerdictCache } from '../../../src/server/verify/verdict-cache.ts'
import type { VerificationBudget } from '../../../src/server/verify/verification-budget.ts'
import { type KeyRing, readKeyRing, writeKey } from '../../../src/session/key-ring.ts'
import { mintToken } from '../../../src/session/token.ts'
import { makeAuthority, makeLeaf, NOON_SECONDS, present } from '../../support/service.ts'

const authority = makeAuthority('Household')

const UNLIMITED: VerificationBudget = { spend: (_, __, check) => check() }

function newRing(): KeyRing {
  const read = readKeyRing(writeKey(randomBytes(32)))
  assert.ok(read.ok)
  return read.ring
}

function cacheOf(encoding: CertificateEncoding = 'traefik-list') {
  const issuer = readIssuer(authority.certificate.der)
  assert.ok(issuer.ok)
  const tally = { hits: 0, misses: 0 }
  const ring = newRing()
  return {
    cache: createVerdictCache([issuer.issuer], ring, encoding, tally, UNLIMITED),
    tally,
    ring,
  }
}

const goodHeader = () => makeLeaf(authority).der.toString('base64')

function token(ring: KeyRing, serial = '4a'): string {
  const claims = {
    certificateSha256: 'B'.repeat(43),
    issuerKeyHash: 'A'.repeat(43),
    serial,
    name: undefined,
    distributionPoints: undefined,
    host: 'ha.test',
    issuedAt: NOON_SECONDS,
    certificateSeenAt: NOON_SECONDS,
    sessionEnd: NOON_SECONDS + 86_400,
    expiresAt: NOON_SECONDS + 3600,
  }
  return mintToken(claims, present(ring.keys[0]))
}

test('A verdict is computed once and then remembered, accepted or not', () => {
  const { cache, tally } = cacheOf()
  for (const value of [goodHeader(), Buffer.from('not a certificate').toString('base64')]) {
    const first = cache.verifyCertificate(value)
    const { misses } = tally
    assert.equal(cache.verifyCertificate(value), first)
    assert.equal(tally.misses, misses)
  }
  assert.deepEqual(tally, { hits: 2, misses: 2 })
  assert.equal(cache.entries, 2)
})

test('A missing header, and the encodings of "none", are absent', () => {
  const { cache, tally } = cacheOf()
  assert.equal(cache.verifyCertificate(''), 'absent')
  assert.deepEqual(tally, { hits: 0, misses: 0 })
  assert.equal(cache.verifyCertificate('(null)'), 'absent')
  assert.equal(cache.verifyCertificate('(null)'), 'absent')
  assert.deepEqual(tally, { hits: 1, misses: 1 })
})

test('Each encoding is read only as itself', () => {
  const value = goodHeader()
  const good = (encoding: CertificateEncoding, text: string) => {
    const verdict = cacheOf(encoding).cache.verifyCertificate(text)
    return verdict !== 'absent' && verdict.ok
  }
  assert.ok(good('traefik-list', value))
  assert.ok(good('rfc9440', `:${value}:`))
  assert.ok(!good('rfc9440', value))
  assert.ok(!good('url-escaped-pem', value))
  assert.ok(!good('traefik-list', `:${value}:`))
})

test('More than two thousand distinct bad certificates evict no good one', () => {
  const { cache, tally } = cacheOf()
  const good = Array.from({ length: 20 }, goodHeader)
  for (const value of good) cache.verifyCertificate(value)
  for (let index = 0; index < 2_100; index += 1) {
    const bad = cache.verifyCertificate(Buffer.from(`bad ${index}`).toString('base64'))
    assert.ok(bad !== 'absent' && !bad.ok)
  }
  const { misses } = tally
  for (const value of good) cache.verifyCertificate(value)
  assert.equal(tally.misses, misses)
  assert.equal(tally.hits, good.length)
  // The last five hundred bad ones are remembered.
  assert.equal(cache.entries, good.length + 500)
})

test('What there is no time to check is refused, and checked later', () => {
  const issuer = readIssuer(authority.certificate.der)
  assert.ok(issuer.ok)
  const tally = { hits: 0, misses: 0 }
  const state = { hasTime: true }
  const told: (string | undefined)[] = []
  const budget: VerificationBudget = {
    spend: (forwardedFor, _, check) => {
      told.push(forwardedFor)
      return state.hasTime ? check() : undefined
    },
  }
  const cache = createVerdictCache([issuer.issuer], newRing(), 'traefik-list', tally, budget)
  const [known, unknown] = [goodHeader(), goodHeader()]
  const verdictOn = (value: string) => cache.verifyCertificate(value, '192.0.2.7')
  const first = verdictOn(known)
  state.hasTime = false
  assert.deepEqual(verdictOn(unknown), { ok: false, problem: 'certificate-rate-limited' })
  assert.equal(verdictOn(known), first)
  assert.deepEqual(tally, { hits: 1, misses: 1 })
  state.hasTime = true
  const later = verdictOn(unknown)
  assert.ok(later !== 'absent' && later.ok)
  assert.deepEqual(told, ['192.0.2.7', '192.0.2.7', '192.0.2.7'])
})

test('Tokens are remembered, good and bad ones separately', () => {
  const { cache, tally, ring } = cacheOf()
  const good = token(ring)
  assert.equal(cache.verifyToken(good), cache.verifyToken(good))
  assert.deepEqual(tally, { hits: 1, misses: 1 })
  for (const bad of [token(newRing()), 'malformed', `${good}x`, '']) {
    const first = cache.verifyToken(bad)
    assert.ok(!first.ok)
    assert.equal(cache.verifyToken(bad), first)
  }
  assert.deepEqual(tally, { hits: 5, misses: 5 })
  assert.equal(cache.entries, 5)
})

test('However many bad tokens arrive, 500 are remembered and evict no good one', () => {
  const { cache, tally, ring } = cacheOf()
  const good = token(ring)
  cache.verifyToken(good)
  for (let index = 0; index < 600; index += 1) cache.verifyToken(`forged-${index}`)
  assert.equal(cache.entries, 501)
  const { hits } = tally
  assert.ok(cache.verifyToken(good).ok)
  assert.equal(tally.hits, hits + 1)
})

test('A token longer than any of ours is refused each time, and not remembered', () => {
  const { cache, tally } = cacheOf()
  const long = 'x'.repeat(2049)
  for (const _ of [1, 2]) assert.ok(!cache.verifyToken(long).ok)
  assert.deepEqual(tally, { hits: 0, misses: 2 })
  assert.equal(cache.entries, 0)
})

test('A token that ends like a known one is still another: it is verified, and evicts nothing', () => {
  const { cache, tally, ring } = cacheOf()
  const good = token(ring)
  const mac = good.slice(good.lastIndexOf('.'))
  const known = cache.verifyToken(good)
  assert.ok(known.ok)
  const other = token(ring, '4b')
  for (const alike of [
    `${other.slice(0, other.lastIndexOf('.'))}${mac}`,
    `${good.slice(0, good.lastIndexOf('.'))}A${mac}`,
    `v2${good.slice(2)}`,
    good.slice(1),
    mac,
    mac.slice(1),
    mac.slice(2),
    '',
  ]) {
    assert.ok(!cache.verifyToken(alike).ok, alike)
  }
  assert.equal(cache.knownToken(good), known.claims)
  assert.equal(cache.knownToken(`${good.slice(0, good.lastIndexOf('.'))}A${mac}`), undefined)
  const { misses } = tally
  assert.equal(cache.verifyToken(good), known)
  assert.equal(tally.misses, misses)
})

test('Two thousand sessions are remembered, no more', () => {
  const { cache, tally, ring } = cacheOf()
  const serial = (index: number) => index.toString(16).padStart(8, '0')
  const first = token(ring, serial(0))
  for (let index = 0; index <= 2_000; index += 1) {
    assert.ok(cache.verifyToken(index === 0 ? first : token(ring, serial(index))).ok)
  }
  assert.equal(cache.entries, 2_000)
  const { misses } = tally
  cache.verifyToken(first)
  assert.equal(tally.misses, misses + 1, 'the oldest made room')
})

test('Keys are hashes: what a client sends is not stored, however long it is', () => {
  const { cache } = cacheOf()
  const huge = 48 * 1024
  const settle = () => {
    globalThis.gc?.()
    return process.memoryUsage().heapUsed
  }
  const before = settle()
  for (let index = 0; index < 500; index += 1) {
    cache.verifyCertificate(`${index}`.padEnd(huge, '!'))
  }
  assert.equal(cache.entries, 500)
  // Kept whole they would be 24 MB; without a forced collection garbage may be counted in.
  if (globalThis.gc !== undefined) assert.ok(settle() - before < 5_000_000)
})
