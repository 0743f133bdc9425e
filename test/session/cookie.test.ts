import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { cookieValues, sessionCookie, withoutCookie } from '../../src/session/cookie.ts'
import { NOW_SECONDS } from '../support/pki.ts'

const NAME = '__Host-certlatch'

/** Cookie header, our values in it, the header without them. */
const HEADERS: readonly (readonly [string, readonly string[], string])[] = [
  ['', [], ''],
  [' ', [], ''],
  [';', [], ''],
  [' ; ; ', [], ''],
  [`${NAME}=x`, ['x'], ''],
  [`${NAME}=`, [''], ''],
  [`${NAME}=x; a=b`, ['x'], 'a=b'],
  [`a=b; ${NAME}=x`, ['x'], 'a=b'],
  [`a=b; ${NAME}=x; c=d`, ['x'], 'a=b; c=d'],
  [`a=b;${NAME}=x;c=d`, ['x'], 'a=b; c=d'],
  [`a=b ; \t${NAME}=x\t ; c=d`, ['x'], 'a=b; c=d'],
  [`${NAME}=x; ${NAME}=y`, ['x', 'y'], ''],
  [`${NAME}=x; a=b; ${NAME}=y; ${NAME}=z; c=d; ${NAME}=`, ['x', 'y', 'z', ''], 'a=b; c=d'],
  [`${NAME}=x=y`, ['x=y'], ''],
  [`${NAME}="x"`, ['"x"'], ''],
  [`${NAME}==`, ['='], ''],
  [`${NAME}= x`, ['x'], ''],
  [`;;${NAME}=x;;a=b;;`, ['x'], 'a=b'],
  [`${NAME}`, [], ''],
  [`a=b; ${NAME}; c=d`, [], 'a=b; c=d'],
  ['a=b', [], 'a=b'],
  ['a', [], 'a'],
  ['=a', [], '=a'],
  ['a=b; a=c', [], 'a=b; a=c'],
  [`x${NAME}=x`, [], `x${NAME}=x`],
  [`${NAME}2=x`, [], `${NAME}2=x`],
  [`${NAME.toLowerCase()}=x`, [], `${NAME.toLowerCase()}=x`],
  [`a=${NAME}=x`, [], `a=${NAME}=x`],
  [`a="; ${NAME}=x"`, ['x"'], 'a="'],
  [`a=b,${NAME}=x`, [], `a=b,${NAME}=x`],
  ['a=b;;c', [], 'a=b;;c'],
  [`a;${NAME};;b`, [], 'a; b'],
  [`${NAME} =x`, [], `${NAME} =x`],
  [`${NAME}${NAME}=x; ${NAME}=y`, ['y'], `${NAME}${NAME}=x`],
  [`a ${NAME}=x`, [], `a ${NAME}=x`],
  [`${NAME} \t;a`, [], 'a'],
  [`${NAME} a; b`, [], `${NAME} a; b`],
]

describe('A Cookie header', () => {
  for (const [header, values, others] of HEADERS) {
    test(`${JSON.stringify(header)} has ${values.length} of ours`, () => {
      assert.deepEqual(cookieValues(header, NAME), values)
    })
    test(`${JSON.stringify(header)} without ours is ${JSON.stringify(others)}`, () => {
      assert.equal(withoutCookie(header, NAME), others)
    })
  }

  test('with up to four of ours is read; with five it is not', () => {
    const pair = `${NAME}=x`
    assert.equal(cookieValues(Array(4).fill(pair).join('; '), NAME)?.length, 4)
    assert.equal(cookieValues(Array(5).fill(pair).join('; '), NAME), undefined)
    assert.equal(cookieValues(`${'a=b; '.repeat(1000)}${pair}`, NAME)?.length, 1)
  })
})

/** A pair as applications set them: any visible bytes but separators, UTF-8 seen as latin1. */
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')
const PAIR = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9_.-]{1,8}=["!-:<-~]{0,12}$/),
  fc
    .tuple(
      fc.stringMatching(/^[a-z]{1,8}$/),
      fc
        .string({ unit: 'grapheme', maxLength: 6 })
        .map((value) =>
          [...value].filter((character) => character > ' ' && character !== ';').join(''),
        ),
    )
    .map(([name, value]) => utf8(`${name}=${value}`)),
)
const OTHERS = fc.array(PAIR, { maxLength: 6 })
const VALUE = fc.stringMatching(/^[A-Za-z0-9_.-]{0,30}$/)

test('Our values in a Cookie header are found again, in order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(OTHERS, VALUE), { maxLength: 4 }),
      OTHERS,
      fc.constantFrom('; ', ';', ' ;\t'),
      (groups, last, separator) => {
        const pairs = groups.flatMap(([others, value]) => [...others, `${NAME}=${value}`])
        const header = [...pairs, ...last].join(separator)
        assert.deepEqual(
          cookieValues(header, NAME),
          groups.map(([, value]) => value),
        )
      },
    ),
  )
})

test('Removing our cookies keeps the others byte for byte and in order', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(OTHERS, VALUE), { maxLength: 6 }), OTHERS, (groups, last) => {
      const all = groups.flatMap(([others, value]) => [...others, `${NAME}=${value}`])
      const kept = [...groups.flatMap(([others]) => others), ...last]
      assert.equal(withoutCookie([...all, ...last].join('; '), NAME), kept.join('; '))
    }),
  )
})

test("An application's value that ends in “à” stays intact: its last byte is not white space", () => {
  const theirs = utf8('city=Cefalà')
  assert.equal(withoutCookie(`${NAME}=x; ${theirs}; a=b`, NAME), `${theirs}; a=b`)
})

test('After our cookies are removed none of ours is left, whatever the header was', () => {
  const pieces = fc
    .array(fc.constantFrom(NAME, '=', ';', ' ', '\t', 'a', 'x=y', '\u00a0', '"', ','), {
      maxLength: 20,
    })
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(pieces, (header) => {
      assert.deepEqual(cookieValues(withoutCookie(header, NAME), NAME), [])
    }),
    { numRuns: 2000 },
  )
})

describe('The single Set-Cookie line', () => {
  test('of a __Host- cookie has everything that the prefix requires, and no Domain', () => {
    assert.equal(
      sessionCookie(
        { name: NAME, domain: undefined },
        'v1.e30.AA',
        NOW_SECONDS + 3600,
        NOW_SECONDS,
      ),
      '__Host-certlatch=v1.e30.AA; Path=/; Max-Age=90000; Secure; HttpOnly; SameSite=Lax',
    )
  })

  test('of a domain cookie names the domain', () => {
    assert.equal(
      sessionCookie(
        { name: '__Secure-certlatch', domain: 'home.test' },
        'v1.e30.AA',
        NOW_SECONDS,
        NOW_SECONDS,
      ),
      '__Secure-certlatch=v1.e30.AA; Path=/; Domain=home.test; Max-Age=86400; Secure; HttpOnly; SameSite=Lax',
    )
  })

  test('keeps the cookie a day longer than the session, even if that is already over', () => {
    const attributes = { name: NAME, domain: undefined }
    assert.match(sessionCookie(attributes, 'x', NOW_SECONDS - 10, NOW_SECONDS), /; Max-Age=86400;/)
    assert.match(sessionCookie(attributes, 'x', NOW_SECONDS + 10, NOW_SECONDS), /; Max-Age=86410;/)
  })

  test('is read back from the Cookie header that browsers make of it', () => {
    fc.assert(
      fc.property(VALUE, (token) => {
        const line = sessionCookie(
          { name: NAME, domain: undefined },
          token,
          NOW_SECONDS,
          NOW_SECONDS,
        )
        const [pair = ''] = line.split(';')
        assert.deepEqual(cookieValues(pair, NAME), [token])
      }),
    )
  })
})
