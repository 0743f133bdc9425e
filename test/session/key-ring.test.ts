import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  type KeyRing,
  readKeyRing,
  signingKey,
  verifiesAt,
  writeKey,
} from '../../src/session/key-ring.ts'
import { NOW_SECONDS } from '../support/pki.ts'

const line = (seed: number, ...attributes: readonly string[]): string =>
  writeKey(Buffer.alloc(32, seed), attributes)

function ringOf(...lines: readonly string[]): KeyRing {
  const read = readKeyRing(lines.join('\n'))
  assert.ok(read.ok, read.ok ? '' : read.problem)
  return read.ring
}

function problemOf(text: string): string {
  const read = readKeyRing(text)
  assert.ok(!read.ok)
  return read.problem
}

const bytesOf = (ring: KeyRing): readonly Buffer[] => ring.keys.map(({ key }) => key.export())

const ONE = Buffer.alloc(32, 1)
/** Bytes whose base64 has `+` and `/`, which base64url writes otherwise. */
const ODD = Buffer.alloc(33, 0xfb)

describe('A key file', () => {
  const FILES: readonly (readonly [string, string, readonly Buffer[]])[] = [
    ['one key', line(1), [ONE]],
    ['a final line break', `${line(1)}\n`, [ONE]],
    ['carriage returns', `${line(1)}\r\n${line(2)}\r\n`, [ONE, Buffer.alloc(32, 2)]],
    ['comments and empty lines', `# keys\n\n  \n${line(1)}\n#${line(2)}\n  # end`, [ONE]],
    ['white space around a key', ` \t${line(1)} \t`, [ONE]],
    ['a byte order mark', `\ufeff${line(1)}`, [ONE]],
    ['what "openssl rand -base64 32" prints', `${ONE.toString('base64')}\n`, [ONE]],
    ['base64url', ODD.toString('base64url'), [ODD]],
    ['base64', ODD.toString('base64'), [ODD]],
    ['the shortest key', Buffer.alloc(32, 7).toString('base64'), [Buffer.alloc(32, 7)]],
    ['the longest key', Buffer.alloc(128, 7).toString('base64'), [Buffer.alloc(128, 7)]],
  ]
  for (const [name, text, expected] of FILES) {
    test(`with ${name} is read`, () => {
      assert.deepEqual(bytesOf(ringOf(text)), expected)
    })
  }

  test('keeps the order of its lines, oldest first', () => {
    assert.deepEqual(
      bytesOf(ringOf(line(3), line(1), line(2))),
      [3, 1, 2].map((seed) => Buffer.alloc(32, seed)),
    )
  })

  test('may say from when a key signs and until when it verifies, in either order', () => {
    const [first, second, third] = ringOf(
      line(1, 'verifies-until=200', 'signs-from=100'),
      line(2, 'signs-from=100', 'verifies-until=200'),
      line(3),
    ).keys
    assert.equal(first?.signsFrom, 100)
    assert.equal(first?.verifiesUntil, 200)
    assert.equal(second?.signsFrom, 100)
    assert.equal(second?.verifiesUntil, 200)
    assert.equal(third?.signsFrom, 0)
    assert.equal(third?.verifiesUntil, undefined)
  })

  test('may separate the words of a line by any white space', () => {
    const [key] = ringOf(`${line(1)}\t  signs-from=100`).keys
    assert.equal(key?.signsFrom, 100)
  })
})

const NO_KEY =
  'is not a key: expected base64 of 32 random bytes, as "openssl rand -base64 32" prints'
const NO_ATTRIBUTE =
  'has something other than signs-from=<Unix seconds> or verifies-until=<Unix seconds> after the key'

const BAD: readonly (readonly [string, string, string])[] = [
  ['nothing', '', 'has no key'],
  ['comments alone', '# a\n\n# b\n', 'has no key'],
  ['31 bytes', Buffer.alloc(31, 1).toString('base64'), `line 1 ${NO_KEY}`],
  ['129 bytes', Buffer.alloc(129, 1).toString('base64'), `line 1 ${NO_KEY}`],
  ['a password', 'correct-horse-battery-staple', `line 1 ${NO_KEY}`],
  ['hexadecimal of 16 bytes', 'ab'.repeat(16), `line 1 ${NO_KEY}`],
  ['PEM', '-----BEGIN PRIVATE KEY-----', `line 1 ${NO_KEY}`],
  ['a character that base64 has not', `${line(1)}!`, `line 1 ${NO_KEY}`],
  ['padding in the middle', `${line(1)}=${line(1)}`, `line 1 ${NO_KEY}`],
  ['padding alone', '===', `line 1 ${NO_KEY}`],
  ['an empty key before a time', '= signs-from=1', `line 1 ${NO_KEY}`],
  ['a key on the third line', `\n${line(1)}\nx`, `line 3 ${NO_KEY}`],
  ['two keys on a line', `${line(1)} ${line(2)}`, `line 1 ${NO_ATTRIBUTE}`],
  ['a comment behind a key', `${line(1)} # old`, `line 1 ${NO_ATTRIBUTE}`],
  ['an unknown word', line(1, 'expires=1'), `line 1 ${NO_ATTRIBUTE}`],
  ['a time that is none', line(1, 'signs-from=now'), `line 1 ${NO_ATTRIBUTE}`],
  ['a time before 1970', line(1, 'signs-from=-1'), `line 1 ${NO_ATTRIBUTE}`],
  ['a time with a fraction', line(1, 'signs-from=1.5'), `line 1 ${NO_ATTRIBUTE}`],
  ['no time', line(1, 'signs-from='), `line 1 ${NO_ATTRIBUTE}`],
  ['a time of 13 digits', line(1, 'verifies-until=1795478400000'), `line 1 ${NO_ATTRIBUTE}`],
  ['a word with something before it', line(1, 'xsigns-from=1'), `line 1 ${NO_ATTRIBUTE}`],
  ['a word in capitals', line(1, 'Signs-From=1'), `line 1 ${NO_ATTRIBUTE}`],
  ['a time given twice', line(1, 'signs-from=1', 'signs-from=1'), `line 1 ${NO_ATTRIBUTE}`],
  ['a key given twice', `${line(1)}\n${line(2)}\n${line(1)}`, 'line 3 repeats a key'],
  [
    'a key given in both alphabets',
    `${ODD.toString('base64')}\n${ODD.toString('base64url')}`,
    'line 2 repeats a key',
  ],
]

describe('A key file is refused for', () => {
  for (const [name, text, problem] of BAD) {
    test(name, () => {
      assert.equal(problemOf(text), problem)
    })
  }

  test('any bad line, with one of three sentences that reveal nothing of its content', () => {
    const word = fc.stringMatching(/^[A-Za-z0-9+/=!_-]{1,60}$/)
    fc.assert(
      fc.property(word, fc.constantFrom('', `${line(1)} `, `${line(1)}\n`), (secret, before) => {
        const read = readKeyRing(before + secret)
        if (read.ok) return
        const sentence = read.problem.replace(/^line [12] /, '')
        assert.ok([NO_KEY, NO_ATTRIBUTE, 'repeats a key'].includes(sentence), read.problem)
      }),
    )
  })

  test('nothing that throws', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        readKeyRing(text)
      }),
    )
  })
})

test('A key that is written is read back, with its times', () => {
  const bytes = fc.uint8Array({ minLength: 32, maxLength: 128 })
  const time = fc.option(fc.integer({ min: 0, max: 10 ** 12 - 1 }), { nil: undefined })
  fc.assert(
    fc.property(bytes, time, time, (key, signsFrom, verifiesUntil) => {
      const attributes = [
        ...(signsFrom === undefined ? [] : [`signs-from=${signsFrom}`]),
        ...(verifiesUntil === undefined ? [] : [`verifies-until=${verifiesUntil}`]),
      ]
      const [read] = ringOf(writeKey(key, attributes)).keys
      assert.deepEqual(read?.key.export(), Buffer.from(key))
      assert.equal(read?.signsFrom, signsFrom ?? 0)
      assert.equal(read?.verifiesUntil, verifiesUntil)
    }),
  )
})

describe("A key's name", () => {
  test('is the same in every replica, whichever alphabet its file uses', () => {
    const [one] = ringOf(ODD.toString('base64')).keys
    const [other] = ringOf(line(1), ODD.toString('base64url')).keys.slice(1)
    assert.equal(one?.id, other?.id)
    assert.match(one?.id ?? '', /^[A-Za-z0-9_-]{12}$/)
  })

  test('is different for another key', () => {
    const ids = ringOf(...Array.from({ length: 50 }, (_, seed) => line(seed))).keys.map(
      ({ id }) => id,
    )
    assert.equal(new Set(ids).size, 50)
  })
})

describe("A ring's fingerprint", () => {
  test('is the same for the same keys', () => {
    assert.equal(ringOf(line(1), line(2)).fingerprint, ringOf('# x', line(1), line(2)).fingerprint)
    assert.match(ringOf(line(1)).fingerprint, /^[0-9a-f]{16}$/)
  })

  test('changes with an additional key, or another newest key', () => {
    const { fingerprint } = ringOf(line(1), line(2))
    assert.notEqual(ringOf(line(1)).fingerprint, fingerprint)
    assert.notEqual(ringOf(line(1), line(2), line(3)).fingerprint, fingerprint)
    assert.notEqual(ringOf(line(2), line(1)).fingerprint, fingerprint)
  })
})

describe('The key that signs', () => {
  const NOW = NOW_SECONDS
  /** The attributes of each key in the file; the number of the key that signs now. */
  const ROWS: readonly (readonly [string, readonly (readonly string[])[], number | undefined])[] = [
    ['the only one', [[]], 0],
    ['the newest', [[], [], []], 2],
    ['the newest whose time has come', [[], [`signs-from=${NOW}`], [`signs-from=${NOW + 1}`]], 1],
    [
      'the oldest, before any one’s time has come',
      [[`signs-from=${NOW + 1}`], [`signs-from=${NOW + 2}`]],
      0,
    ],
    ['not one that verifies no longer', [[], [`verifies-until=${NOW}`]], 0],
    ['one that verifies for a second yet', [[], [`verifies-until=${NOW + 1}`]], 1],
    [
      'a later one before its time, where no other verifies',
      [[`verifies-until=${NOW}`], [`signs-from=${NOW + 1}`]],
      1,
    ],
    [
      'none, where none verifies',
      [[`verifies-until=${NOW}`], [`verifies-until=${NOW - 1}`]],
      undefined,
    ],
  ]
  for (const [name, attributes, expected] of ROWS) {
    test(`is ${name}`, () => {
      const ring = ringOf(...attributes.map((words, index) => line(index, ...words)))
      const key = signingKey(ring, NOW)
      assert.equal(key, expected === undefined ? undefined : ring.keys[expected])
    })
  }
})

test('A key verifies until its time, exclusive, or without end', () => {
  const [limited, endless] = ringOf(line(1, 'verifies-until=100'), line(2)).keys
  assert.ok(limited && endless)
  assert.ok(verifiesAt(limited, 99))
  assert.ok(!verifiesAt(limited, 100))
  assert.ok(verifiesAt(endless, Number.MAX_SAFE_INTEGER))
})
