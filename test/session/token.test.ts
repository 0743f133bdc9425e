import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { KeyRing, SessionKey } from '../../src/session/key-ring.ts'
import {
  claimsProblem,
  mintToken,
  openSession,
  renewSession,
  type SessionClaims,
  type SessionLifetime,
  verifyToken,
} from '../../src/session/token.ts'
import { NOW_SECONDS } from '../support/pki.ts'
import { claimsOf, KEY_RING, keyRingOf, LIFETIME, onlyKey } from '../support/request.ts'

const KEY = onlyKey(KEY_RING)
const CLAIMS = claimsOf()
const TOKEN = mintToken(CLAIMS, KEY)
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

function problemOf(token: string, ring: KeyRing = KEY_RING): string {
  const verified = verifyToken(token, ring)
  return verified.ok ? 'good' : verified.problem
}

/** A valid token except for its payload. */
function signed(payload: string | Uint8Array, { key }: SessionKey = KEY, version = 'v1'): string {
  const text = `${version}.${Buffer.from(payload).toString('base64url')}`
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
}

const parts = (token: string): readonly [payload: string, mac: string] => {
  const [, payload = '', mac = ''] = token.split('.')
  return [payload, mac]
}

describe('A token', () => {
  test('contains under its MAC what it was created with, and which key signed it', () => {
    assert.deepEqual(verifyToken(TOKEN, KEY_RING), { ok: true, claims: CLAIMS, key: KEY })
  })

  test('has only characters that no proxy rewrites', () => {
    assert.match(TOKEN, /^v1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$/)
    const named = mintToken({ ...CLAIMS, name: 'Jürgen’s phone 📱; Path=/' }, KEY)
    assert.match(named, /^v1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$/)
  })

  test('is the same for the same claims and key', () => {
    assert.equal(mintToken(CLAIMS, KEY), TOKEN)
    assert.equal(mintToken({ ...CLAIMS }, onlyKey(keyRingOf(1))), TOKEN)
  })

  test('names its key, which reveals nothing about it', () => {
    const [payload] = parts(TOKEN)
    const [id] = JSON.parse(Buffer.from(payload, 'base64url').toString())
    assert.equal(id, KEY.id)
  })

  const TEXT = fc.string({ unit: 'grapheme', maxLength: 60 })
  const TIME = fc.integer({ min: -(2 ** 40), max: 2 ** 40 })
  const ANY_CLAIMS: fc.Arbitrary<SessionClaims> = fc.record(
    {
      certificateSha256: TEXT,
      issuerKeyHash: TEXT,
      serial: TEXT,
      name: fc.option(TEXT, { nil: undefined }),
      distributionPoints: fc.option(fc.array(TEXT, { maxLength: 3 }), { nil: undefined }),
      host: TEXT,
      issuedAt: TIME,
      certificateSeenAt: TIME,
      sessionEnd: TIME,
      expiresAt: TIME,
    },
    { noNullPrototype: true },
  )

  test('is read back to exactly its claims, whatever they are', () => {
    fc.assert(
      fc.property(ANY_CLAIMS, fc.nat(255), (claims, seed) => {
        const ring = keyRingOf(seed)
        const token = mintToken(claims, onlyKey(ring))
        fc.pre(token.length <= 2048)
        assert.deepEqual(verifyToken(token, ring), { ok: true, claims, key: onlyKey(ring) })
      }),
    )
  })

  test('of two different claims is never the same', () => {
    fc.assert(
      fc.property(ANY_CLAIMS, ANY_CLAIMS, (one, other) => {
        const equal = JSON.stringify(one) === JSON.stringify(other)
        assert.equal(mintToken(one, KEY) === mintToken(other, KEY), equal)
      }),
    )
  })
})

describe('A modified token', () => {
  test('with any single bit flipped is refused', () => {
    const bytes = Buffer.from(TOKEN, 'latin1')
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes)
      changed.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      assert.notEqual(problemOf(changed.toString('latin1')), 'good', `bit ${bit}`)
    }
  })

  test('with any single bit of its decoded content flipped is forged', () => {
    const [payload, mac] = parts(TOKEN)
    for (const [index, encoded] of [payload, mac].entries()) {
      const bytes = Buffer.from(encoded, 'base64url')
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        const changed = Buffer.from(bytes)
        changed.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
        const text = changed.toString('base64url')
        const token = index === 0 ? `v1.${text}.${mac}` : `v1.${payload}.${text}`
        assert.equal(problemOf(token), 'session-forged', `bit ${bit} of part ${index}`)
      }
    }
  })

  test('with another character anywhere is refused', () => {
    for (let index = 0; index < TOKEN.length; index += 1) {
      for (const character of `${BASE64URL}.=+/ %;,"~é`) {
        if (character === TOKEN[index]) continue
        const changed = TOKEN.slice(0, index) + character + TOKEN.slice(index + 1)
        assert.notEqual(problemOf(changed), 'good', `${character} at ${index}`)
      }
    }
  })

  test('that is truncated anywhere is refused', () => {
    for (let length = 0; length < TOKEN.length; length += 1) {
      assert.notEqual(problemOf(TOKEN.slice(0, length)), 'good')
      assert.notEqual(problemOf(TOKEN.slice(length + 1)), 'good')
    }
  })

  test('with anything put before, after or into it is refused', () => {
    for (const more of [...BASE64URL, '.', '=', ' ', '\n', '\0', '%', '"']) {
      assert.notEqual(problemOf(TOKEN + more), 'good')
      assert.notEqual(problemOf(more + TOKEN), 'good')
      for (let index = 1; index < TOKEN.length; index += 7) {
        const changed = TOKEN.slice(0, index) + more + TOKEN.slice(index)
        if (changed !== TOKEN) assert.notEqual(problemOf(changed), 'good')
      }
    }
  })

  test("with other unused bits in the MAC's last character is refused: there is only one spelling", () => {
    const last = BASE64URL.indexOf(TOKEN.at(-1) ?? '')
    assert.equal(last % 4, 0)
    for (const unused of [1, 2, 3]) {
      const spelled = TOKEN.slice(0, -1) + BASE64URL[last + unused]
      assert.deepEqual(
        Buffer.from(parts(spelled)[1], 'base64url'),
        Buffer.from(parts(TOKEN)[1], 'base64url'),
      )
      assert.equal(problemOf(spelled), 'session-malformed')
    }
  })

  test("with other unused bits in the payload's last character is forged: the MAC is over the text", () => {
    const [payload, mac] = parts(mintToken({ ...CLAIMS, host: 'ha.tests' }, KEY))
    const spellings = [...BASE64URL]
      .map((character) => payload.slice(0, -1) + character)
      .filter(
        (spelled) =>
          spelled !== payload &&
          Buffer.from(spelled, 'base64url').equals(Buffer.from(payload, 'base64url')),
      )
    for (const spelled of spellings) {
      assert.equal(problemOf(`v1.${spelled}.${mac}`), 'session-forged')
    }
    assert.ok(spellings.length > 0)
  })

  test('with parts exchanged with another good one is forged', () => {
    const other = mintToken(claimsOf('leaf-second'), KEY)
    const [payload, mac] = parts(TOKEN)
    const [otherPayload, otherMac] = parts(other)
    assert.equal(problemOf(`v1.${payload}.${otherMac}`), 'session-forged')
    assert.equal(problemOf(`v1.${otherPayload}.${mac}`), 'session-forged')
  })
})

describe('Malformed tokens', () => {
  const [payload, mac] = parts(TOKEN)
  const MALFORMED: Readonly<Record<string, string>> = {
    nothing: '',
    'a word': 'true',
    'two parts': `v1.${payload}`,
    'four parts': `${TOKEN}.${mac}`,
    'an empty payload': `v1..${mac}`,
    'an empty MAC': `v1.${payload}.`,
    'a MAC that is too short': `v1.${payload}.${mac.slice(1)}`,
    'a MAC that is too long': `v1.${payload}.A${mac}`,
    'another version': TOKEN.replace('v1', 'v2'),
    'the version in capitals': TOKEN.replace('v1', 'V1'),
    'no version': `${payload}.${mac}`,
    padding: `v1.${payload}.${mac}=`,
    'quotes around it': `"${TOKEN}"`,
    'white space around it': ` ${TOKEN}`,
    'a line break behind it': `${TOKEN}\n`,
    'a JWT': 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.',
    'a token that is too long': `v1.${'A'.repeat(2048)}.${mac}`,
  }
  for (const [name, token] of Object.entries(MALFORMED)) {
    test(`${name} is malformed`, () => {
      assert.equal(problemOf(token), 'session-malformed')
    })
  }

  test('is refused without looking at the keys if its form already shows it', () => {
    const ring: KeyRing = {
      fingerprint: 'none',
      get keys() {
        return assert.fail('a MAC was computed')
      },
    }
    for (const token of Object.values(MALFORMED)) verifyToken(token, ring)
  })

  test('a token of exactly 2048 characters is still compared', () => {
    assert.equal(problemOf(`v1.${'A'.repeat(2048 - 3 - 44)}.${'A'.repeat(43)}`), 'session-forged')
  })

  test('any text is refused, and never throws', () => {
    const text = fc.oneof(
      fc.string(),
      fc.stringMatching(/^v1\.[A-Za-z0-9_-]{0,300}\.[A-Za-z0-9_-]{43}$/),
    )
    fc.assert(
      fc.property(text, (token) => {
        assert.notEqual(problemOf(token), 'good')
      }),
    )
  })

  const good = JSON.parse(Buffer.from(payload, 'base64url').toString()) as readonly unknown[]
  const replaced = (index: number, value: unknown) => JSON.stringify(good.with(index, value))

  const PAYLOADS: readonly (readonly [string, string | Uint8Array])[] = [
    ['is no JSON', 'x'],
    ['is no UTF-8', Buffer.from([0xff, 0xfe])],
    ['is null', 'null'],
    ['is an object', '{}'],
    ['is a number', '1'],
    ['is an empty list', '[]'],
    ['lacks a field', JSON.stringify(good.slice(0, -1))],
    ['has one more', JSON.stringify([...good, 1])],
    ['names another key', replaced(0, 'AAAAAAAAAAAA')],
    ['names its key with a number', replaced(0, 1)],
    ['has a number for the fingerprint', replaced(1, 1)],
    ['has null for the issuer', replaced(2, null)],
    ['has a list for the serial number', replaced(3, ['1'])],
    ['has a number for the name', replaced(4, 1)],
    ['has text for the distribution points', replaced(5, 'a')],
    ['has a number among the distribution points', replaced(5, ['a', 1])],
    ['has null for the host', replaced(6, null)],
    ['has text for a time', replaced(7, '1')],
    ['has null for a time', replaced(8, null)],
    ['has half a second', replaced(9, 1.5)],
    ['has a time that numbers cannot hold', replaced(10, 2 ** 53)],
  ]
  for (const [name, content] of PAYLOADS) {
    test(`a payload under our own MAC that ${name} is malformed`, () => {
      assert.equal(problemOf(signed(content)), 'session-malformed')
    })
  }

  test('the payload that these were made from is good', () => {
    assert.equal(problemOf(signed(JSON.stringify(good))), 'good')
  })

  test("a MAC over another version's text is not valid for ours", () => {
    const [, otherMac] = parts(signed(JSON.stringify(good), KEY, 'v2'))
    assert.equal(problemOf(`v1.${payload}.${otherMac}`), 'session-forged')
  })
})

describe('Keys', () => {
  test("a token signed with an earlier deployment's key is forged", () => {
    assert.equal(problemOf(TOKEN, keyRingOf(2)), 'session-forged')
    assert.equal(problemOf(TOKEN, keyRingOf(2, 3, 4)), 'session-forged')
  })

  test('every key of the ring verifies what it has signed', () => {
    const ring = keyRingOf(3, 1, 2)
    for (const key of ring.keys) {
      assert.deepEqual(verifyToken(mintToken(CLAIMS, key), ring), {
        ok: true,
        claims: CLAIMS,
        key,
      })
    }
  })

  test('a token that names one key and is signed by another is malformed', () => {
    const ring = keyRingOf(1, 2)
    const [payload] = parts(TOKEN)
    const [, second] = ring.keys
    assert.ok(second)
    const swapped = signed(Buffer.from(payload, 'base64url'), second)
    assert.equal(problemOf(swapped, ring), 'session-malformed')
  })

  test('a ring without keys verifies nothing', () => {
    assert.equal(problemOf(TOKEN, { keys: [], fingerprint: '' }), 'session-forged')
  })
})

describe("What a token's own content says against it", () => {
  const check = (changes: Partial<SessionClaims>, host = 'ha.test', now = NOW_SECONDS) =>
    claimsProblem({ ...CLAIMS, ...changes }, host, LIFETIME, now)

  test('nothing, from when it is issued until it expires', () => {
    for (const passed of [0, 1, 1800, 3599]) {
      assert.equal(check({}, 'ha.test', NOW_SECONDS + passed), undefined)
    }
    assert.equal(check({}, 'ha.test', NOW_SECONDS + 3600), 'session-expired')
  })

  const ROWS: readonly (readonly [string, Partial<SessionClaims>, string | undefined])[] = [
    ['it expires now', { expiresAt: NOW_SECONDS }, 'session-expired'],
    ['it expires in a second', { expiresAt: NOW_SECONDS + 1 }, undefined],
    ['the session ends now', { sessionEnd: NOW_SECONDS }, 'session-expired'],
    ['the session ends in a second', { sessionEnd: NOW_SECONDS + 1 }, undefined],
    [
      'the certificate was seen a maximal age ago',
      { certificateSeenAt: NOW_SECONDS - 86_400 },
      'session-expired',
    ],
    [
      'the certificate was seen a second later',
      { certificateSeenAt: NOW_SECONDS - 86_399 },
      undefined,
    ],
    ['it expires a TTL and a minute ahead', { expiresAt: NOW_SECONDS + 3660 }, undefined],
    ['it expires a second later still', { expiresAt: NOW_SECONDS + 3661 }, 'session-expired'],
    [
      'it is of a clock that was a minute and a second ahead',
      { issuedAt: NOW_SECONDS + 61, expiresAt: NOW_SECONDS + 3661 },
      'session-not-yet-valid',
    ],
    [
      'it is of a clock that was years ahead',
      {
        issuedAt: NOW_SECONDS + 1e8,
        certificateSeenAt: NOW_SECONDS + 1e8,
        sessionEnd: NOW_SECONDS + 1e8 + 86_400,
        expiresAt: NOW_SECONDS + 1e8 + 3600,
      },
      'session-not-yet-valid',
    ],
    [
      'it is of a clock a minute ahead, and its TTL was longer',
      { issuedAt: NOW_SECONDS + 60, expiresAt: NOW_SECONDS + 7200 },
      'session-expired',
    ],
    ['it is for another host', { host: 'other.test' }, 'session-wrong-host'],
    ['it is for no host', { host: '' }, 'session-wrong-host'],
    ['its host is spelled otherwise', { host: 'HA.test' }, 'session-wrong-host'],
    ['it is for a domain above', { host: 'test' }, 'session-wrong-host'],
  ]
  for (const [name, changes, expected] of ROWS) {
    test(`${name}: ${expected ?? 'nothing'}`, () => {
      assert.equal(check(changes), expected)
    })
  }

  test('another host takes precedence over the expiry', () => {
    assert.equal(check({ host: 'other.test', expiresAt: 0 }), 'session-wrong-host')
  })
})

describe('The times of a session', () => {
  const LIFETIMES: fc.Arbitrary<SessionLifetime> = fc
    .tuple(fc.integer({ min: 10, max: 2_592_000 }), fc.integer({ min: 0, max: 34_560_000 }))
    .map(([ttlSeconds, more]) => ({ ttlSeconds, maxAgeSeconds: ttlSeconds + more }))
  const certificate = { ...CLAIMS, notAfter: NOW_SECONDS + 86_400 * 365 }

  test('make a session created now valid now, unless its certificate has expired', () => {
    fc.assert(
      fc.property(LIFETIMES, fc.integer({ min: -5, max: 40_000_000 }), (lifetime, left) => {
        const opened = openSession(
          { ...certificate, notAfter: NOW_SECONDS + left },
          'ha.test',
          lifetime,
          NOW_SECONDS,
        )
        const problem = claimsProblem(opened, 'ha.test', lifetime, NOW_SECONDS)
        assert.equal(problem, left > 0 ? undefined : 'session-expired')
        assert.ok(opened.expiresAt <= opened.sessionEnd)
        assert.ok(opened.sessionEnd <= NOW_SECONDS + left)
        assert.ok(opened.expiresAt <= NOW_SECONDS + lifetime.ttlSeconds)
      }),
    )
  })

  test('never move the end or go back on renewal, and always gain a quarter of the TTL', () => {
    fc.assert(
      fc.property(
        LIFETIMES,
        fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 30 }),
        (lifetime, steps) => {
          const first = openSession(certificate, 'ha.test', lifetime, NOW_SECONDS)
          let claims = first
          let now = NOW_SECONDS
          for (const step of steps) {
            now += step
            if (claimsProblem(claims, 'ha.test', lifetime, now) !== undefined) break
            const renewed = renewSession(claims, lifetime, now)
            if (renewed === undefined) continue
            assert.ok(now >= claims.expiresAt - lifetime.ttlSeconds / 2)
            assert.ok(renewed.expiresAt - claims.expiresAt >= lifetime.ttlSeconds / 4)
            assert.deepEqual(renewed, {
              ...first,
              issuedAt: now,
              expiresAt: Math.min(now + lifetime.ttlSeconds, first.sessionEnd),
            })
            assert.equal(claimsProblem(renewed, 'ha.test', lifetime, now), undefined)
            claims = renewed
          }
        },
      ),
    )
  })
})
