import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { readRequestPath } from '../../src/proxy/request-path.ts'

describe('A path that every program reads the same way', () => {
  const ROWS: readonly (readonly [path: string, literal: string, why: string])[] = [
    ['/', '/', 'the root'],
    ['/a/b.c/', '/a/b.c/', 'a slash at the end belongs to it'],
    ['/.well-known/x', '/.well-known/x', 'a segment may begin with a dot'],
    ['/a/...', '/a/...', 'three dots are a name'],
    ['/%63onfig', '/config', 'unreserved characters are decoded'],
    ['/%41%7e%2E%2d', '/A~.-', 'in either case of the digits'],
    ['/a%2Cb%3A', '/a,b:', 'reserved ones that separate nothing too'],
    ['/a,b:', '/a,b:', 'as they are'],
    ['/caf%C3%A9', '/caf\xc3\xa9', 'UTF-8 is its bytes'],
    ['/caf\xc3\xa9', '/caf\xc3\xa9', 'encoded or not'],
    ['/a%20b', '/a b', 'a space'],
    ['/a%zz%4', '/a%zz%4', 'what is no escape stays'],
    ['/%C3%A9%4F', '/\xc3\xa9O', 'digits in capitals'],
  ]
  for (const [path, literal, why] of ROWS) {
    test(`${path} is ${JSON.stringify(literal)}: ${why}`, () => {
      assert.deepEqual(readRequestPath(path), { literal, certain: undefined })
    })
  }
})

describe('A path that a proxy and an application could read differently', () => {
  const ROWS: readonly (readonly [path: string, literal: string, certain: string, why: string])[] =
    [
      ['/a/b%2fc', '/a/b%2Fc', '/a/', 'an encoded slash'],
      ['/a/b%5Cc', '/a/b%5Cc', '/a/', 'an encoded backslash'],
      ['/a/b\\c', '/a/b\\c', '/a/', 'a backslash'],
      ['/a/%2541', '/a/%2541', '/a/', 'a second escape'],
      ['/a/b;c=d/e', '/a/b;c=d/e', '/a/', 'parameters'],
      ['/a/b%3Bc', '/a/b%3Bc', '/a/', 'encoded parameters'],
      ['/a/b%3fc', '/a/b%3Fc', '/a/', 'an encoded question mark'],
      ['/a/b%23c', '/a/b%23c', '/a/', 'an encoded number sign'],
      ['/a/b%0ac', '/a/b%0Ac', '/a/', 'a line break'],
      ['/a/b%7f', '/a/b%7F', '/a/', 'a control character'],
      ['/a//b', '/a//b', '/a/', 'an empty segment'],
      ['//a', '//a', '/', 'an empty segment at the beginning'],
      ['/a//', '/a//', '/a/', 'an empty segment before the last'],
      ['/%61/b/c%2Fd/e', '/a/b/c%2Fd/e', '/a/b/', 'what stands before the first one is certain'],
      [
        '/media-browser/browser/app%2Cmedia-source%3A%2F%2F',
        '/media-browser/browser/app,media-source:%2F%2F',
        '/media-browser/browser/',
        "Home Assistant's media browser",
      ],
      ['/a/../b', '/a/../b', '', 'a dot segment can lead anywhere'],
      ['/a/./b', '/a/./b', '', 'so can one of a single dot'],
      ['/a/..', '/a/..', '', 'at the end too'],
      ['/a/%2e%2E/b', '/a/../b', '', 'encoded'],
      ['/a/%252e%252e/b', '/a/%252e%252e/b', '', 'encoded twice'],
      ['/a/%25252e./b', '/a/%25252e./b', '', 'encoded thrice'],
      ['/a/%25%32%65./b', '/a/%252e./b', '', 'an escape made of escapes'],
      ['/a/..%2fb', '/a/..%2Fb', '', 'before an encoded slash'],
      ['/a/x%5c..%5cb', '/a/x%5C..%5Cb', '', 'between backslashes'],
      ['/a/..;x/b', '/a/..;x/b', '', 'with parameters'],
      ['/a/..%3bx/b', '/a/..%3Bx/b', '', 'with encoded parameters'],
      ['/a/..%3fx', '/a/..%3Fx', '', 'before an encoded query'],
      ['/a/..%20/b', '/a/.. /b', '', 'with white space around it'],
      ['/a/b%00c', '/a/b%00c', '', 'a NUL can end it'],
      ['/a/%2500', '/a/%2500', '', 'encoded twice'],
      ['/a/%ff', '/a/\xff', '', 'what is not UTF-8'],
      ['/a/%c0%af', '/a/\xc0\xaf', '', 'an overlong slash'],
    ]
  for (const [path, literal, certain, why] of ROWS) {
    test(`${path}: ${why}`, () => {
      assert.deepEqual(readRequestPath(path), { literal, certain })
    })
  }
})

/** What applications have been seen to make of a path before they look where it leads. */
const READINGS: readonly ((path: string) => string)[] = [
  (path) => path.replace(/%([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(Number(`0x${hex}`))),
  (path) => path.replaceAll('\\', '/'),
  (path) => path.replace(/;[^/]*/g, ''),
  (path) => path.replace(/\/{2,}/g, '/'),
  (path) => path.replace(/[?#].*$/s, ''),
  (path) => path.replace(/\0.*$/s, ''),
  (path) => new URL(`http://x${path.startsWith('/') ? path : `/${path}`}`).pathname,
]
const isDecodable = (path: string) => !/[^ -~]/.test(path)

describe('Whatever a path is', () => {
  const segment = fc.oneof(
    fc.constantFrom('a', 'b', '.', '..', '', 'a;b', '..;', '\\', '..\\b'),
    fc.constantFrom('%2e', '%2f', '%5c', '%252e', '%252f', '%25', '%3b', '%61', '%00', '%2e%2e%2f'),
    fc.stringMatching(/^[a.%;\\]{0,4}$/).filter((text) => !/%(?![0-9a-f]{2})/i.test(text)),
  )
  const anyPath = fc
    .array(fc.array(segment, { maxLength: 3 }), { minLength: 1, maxLength: 4 })
    .map((parts) => `/${parts.map((part) => part.join('')).join('/')}`)
  const steps = fc.array(fc.constantFrom(...READINGS), { maxLength: 6 })

  test('every reading begins with its unambiguous part', () => {
    fc.assert(
      fc.property(anyPath, steps, (path, readings) => {
        const { certain } = readRequestPath(path)
        fc.pre(certain !== undefined)
        const read = readings.reduce(
          (before, reading) => (isDecodable(before) ? reading(before) : before),
          path,
        )
        if (!isDecodable(read)) return
        const { literal } = readRequestPath(read)
        assert.ok(literal.startsWith(certain), `${read} is a reading of ${path}`)
      }),
      { numRuns: 5000 },
    )
  })

  test('an unambiguous path is read as it is written', () => {
    fc.assert(
      fc.property(anyPath, steps, (path, readings) => {
        const { literal, certain } = readRequestPath(path)
        fc.pre(certain === undefined)
        assert.equal(
          readings.reduce((before, reading) => reading(before), literal),
          literal,
        )
      }),
      { numRuns: 2000 },
    )
  })

  test('a long one takes little time', () => {
    const long = [`/${'%25'.repeat(10_000)}`, `/${'%252525'.repeat(4_000)}2e`, '/a'.repeat(16_000)]
    const startedAt = performance.now()
    for (const path of long) readRequestPath(`${path}/%2e%2e/;`)
    assert.ok(performance.now() - startedAt < 1_000)
  })
})
