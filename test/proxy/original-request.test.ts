import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type OriginalRequest, readOriginalRequest } from '../../src/proxy/original-request.ts'
import { type HeaderFields, requestHeaders } from '../support/request.ts'

const read = (fields: HeaderFields = {}): OriginalRequest | undefined =>
  readOriginalRequest(requestHeaders(fields))

test('A complete request is read as the proxy reports it', () => {
  assert.deepEqual(read(), {
    method: 'GET',
    scheme: 'https',
    host: 'ha.test',
    port: undefined,
    path: '/lovelace/0',
    isWebSocket: false,
  })
})

describe('Nothing is guessed if', () => {
  for (const name of [
    'X-Forwarded-Method',
    'X-Forwarded-Proto',
    'X-Forwarded-Host',
    'X-Forwarded-Uri',
  ]) {
    test(`${name} is missing`, () => {
      assert.equal(read({ [name]: undefined, Host: 'ha.test' }), undefined)
    })
    test(`${name} is empty`, () => {
      assert.equal(read({ [name]: '' }), undefined)
    })
    test(`${name} was sent twice`, () => {
      assert.equal(read({ [name]: ['/', '/'] }), undefined)
    })
  }

  for (const name of [
    'X-Forwarded-Tls-Client-Cert',
    'Origin',
    'Sec-WebSocket-Key',
    'Access-Control-Request-Method',
    'X-Certlatch-Proxy-Secret',
    'X-Certlatch-Page',
  ]) {
    test(`${name} was sent twice`, () => {
      assert.equal(read({ [name]: ['x', 'x'] }), undefined)
    })
  }

  test('X-Forwarded-For may be missing, though: only rules for networks need it', () => {
    assert.ok(read({ 'X-Forwarded-For': undefined }))
  })
})

describe('The method', () => {
  for (const method of ['GET', 'HEAD', 'POST', 'PROPFIND', 'M-SEARCH', 'get', "!#$%&'*+.^_`|~0"]) {
    test(`${method} is accepted, case-sensitively`, () => {
      assert.equal(read({ 'X-Forwarded-Method': method })?.method, method)
    })
  }
  const bad = ['G T', 'GET,POST', 'GET ', ' GET', 'GÉT', 'GET\t', '(GET)', 'GET/', 'X'.repeat(65)]
  for (const method of bad) {
    test(`${JSON.stringify(method)} is refused`, () => {
      assert.equal(read({ 'X-Forwarded-Method': method }), undefined)
    })
  }
})

describe('The scheme', () => {
  const SCHEMES: readonly (readonly [string, string | undefined])[] = [
    ['https', 'https'],
    ['http', 'http'],
    ['wss', 'https'],
    ['ws', 'http'],
    ['HTTPS', undefined],
    ['ftp', undefined],
    ['https,http', undefined],
    ['https, https', undefined],
    [' https', undefined],
    ['https:', undefined],
    ['on', undefined],
    ['constructor', undefined],
    ['__proto__', undefined],
  ]
  for (const [written, scheme] of SCHEMES) {
    test(`${JSON.stringify(written)} is ${scheme ?? 'refused'}`, () => {
      assert.equal(read({ 'X-Forwarded-Proto': written })?.scheme, scheme)
    })
  }
})

describe('The host', () => {
  const HOSTS: readonly (readonly [string, string, string | undefined])[] = [
    ['ha.test', 'ha.test', undefined],
    ['HA.Test', 'ha.test', undefined],
    ['ha.test.', 'ha.test', undefined],
    ['HA.TEST.', 'ha.test', undefined],
    ['ha.test:8443', 'ha.test', '8443'],
    ['ha.test.:443', 'ha.test', '443'],
    ['ha.test:65535', 'ha.test', '65535'],
    ['ha.test:0', 'ha.test', '0'],
    ['homeassistant', 'homeassistant', undefined],
    ['my_host.home', 'my_host.home', undefined],
    ['xn--hter-loa.test', 'xn--hter-loa.test', undefined],
    ['a', 'a', undefined],
    ['192.168.1.7', '192.168.1.7', undefined],
    ['192.168.1.7:8123', '192.168.1.7', '8123'],
    ['[::1]', '[::1]', undefined],
    ['[FD00::A]:8443', '[fd00::a]', '8443'],
    ['[::ffff:192.0.2.1]', '[::ffff:192.0.2.1]', undefined],
    [`${'a'.repeat(255)}:65535`, 'a'.repeat(255), '65535'],
  ]
  for (const [written, host, port] of HOSTS) {
    test(`${written.slice(0, 30)} is ${host.slice(0, 30)}, port ${port ?? 'unknown'}`, () => {
      const request = read({ 'X-Forwarded-Host': written })
      assert.equal(request?.host, host)
      assert.equal(request?.port, port)
    })
  }

  const BAD = [
    ' ',
    'ha.test ',
    ' ha.test',
    'ha test',
    'ha.test, evil.test',
    'ha.test,evil.test',
    'ada@ha.test',
    'ada:pw@ha.test',
    'ha.test@evil.test',
    'ha.test/',
    'ha.test/evil',
    'ha.test?',
    'ha.test#',
    'ha.test\\evil',
    'https://ha.test',
    'ha.test:',
    'ha.test:65536',
    'ha.test:99999',
    'ha.test:123456',
    'ha.test:-1',
    'ha.test:8443:8443',
    'ha.test:abc',
    ':443',
    '.',
    '..',
    '.ha.test',
    'ha..test',
    'ha.test..',
    '-ha.test',
    'ha%2etest',
    'hä.test',
    'ha.test\t',
    'ha.test\u00a0',
    '::1',
    '[]',
    '[::1',
    '::1]',
    '[::1]x',
    '[fe80::1%25eth0]',
    '[::1]]',
    'ha.test\0',
    '*',
    '*.test',
    'a'.repeat(262),
  ]
  for (const written of BAD) {
    test(`${JSON.stringify(written.slice(0, 30))} is refused`, () => {
      assert.equal(read({ 'X-Forwarded-Host': written }), undefined)
    })
  }
})

describe('The URI', () => {
  const PATHS: Readonly<Record<string, string>> = {
    '/': '/',
    '/?': '/',
    '/a?b': '/a',
    '/a?b?c': '/a',
    '/a%3Fb?c': '/a%3Fb',
    '/A/b': '/A/b',
    '//evil.test': '//evil.test',
    '/a/../b': '/a/../b',
    '/%2e%2E/%2f%5c%00%25': '/%2e%2E/%2f%5c%00%25',
    '/a\\b': '/a\\b',
    '/a;b': '/a;b',
    '/media-browser/x/app%2Cmedia-source%3A%2F%2Fy':
      '/media-browser/x/app%2Cmedia-source%3A%2F%2Fy',
    '/a?%': '/a',
    '/a?%zz': '/a',
    '/\u0080\u00ff': '/\u0080\u00ff',
    "/!$&'()*+,=:@~": "/!$&'()*+,=:@~",
  }
  for (const [uri, path] of Object.entries(PATHS)) {
    test(`${JSON.stringify(uri)} has the path ${JSON.stringify(path)}`, () => {
      assert.equal(read({ 'X-Forwarded-Uri': uri })?.path, path)
    })
  }

  const BAD = [
    'a',
    '*',
    '?a',
    ' /',
    '/ ',
    '/a b',
    '/a#b',
    '/#',
    '/a?b#c',
    '/a?b c',
    '/a\tb',
    '/a\nb',
    '/a\0b',
    '/a\x7fb',
    '/a\x1bb',
    '/%',
    '/%2',
    '/%zz',
    '/%2gb',
    '/a%?b',
    'https://ha.test/',
    'ha.test/',
    '\\a',
    '/\u0100',
  ]
  for (const uri of BAD) {
    test(`${JSON.stringify(uri)} is refused`, () => {
      assert.equal(read({ 'X-Forwarded-Uri': uri }), undefined)
    })
  }

  test('is refused beyond 8 KiB, not counting its query', () => {
    for (const pattern of ['a', '/', '%41', '%252e']) {
      const path = `/${pattern.repeat(8 * 1024)}`.slice(0, 8 * 1024).replace(/%[^%]*$/, '')
      const longest = path.padEnd(8 * 1024, 'a')
      assert.equal(read({ 'X-Forwarded-Uri': longest })?.path, longest)
      const query = `?${'a%'.repeat(25_000)}`
      assert.equal(read({ 'X-Forwarded-Uri': `${longest}${query}` })?.path, longest)
      assert.equal(read({ 'X-Forwarded-Uri': `${longest}a` }), undefined)
      assert.equal(read({ 'X-Forwarded-Uri': `${longest}a${query}` }), undefined)
    }
  })
})

test('A WebSocket is recognised by Sec-WebSocket-Key, and over HTTP/2 by Sec-WebSocket-Version', () => {
  assert.equal(read({ 'Sec-WebSocket-Key': 'x' })?.isWebSocket, true)
  assert.equal(read({ 'Sec-WebSocket-Key': '' })?.isWebSocket, true)
  assert.equal(read({ 'Sec-WebSocket-Version': '13' })?.isWebSocket, true)
  assert.equal(read({ Upgrade: 'websocket', 'X-Forwarded-Proto': 'wss' })?.isWebSocket, false)
})

test('Any request that can be read has a normalised host and a path without query', () => {
  const latin1 = fc
    .array(fc.integer({ min: 0, max: 255 }), { maxLength: 20 })
    .map((bytes) => String.fromCharCode(...bytes))
  const host = fc.oneof(latin1, fc.stringMatching(/^[A-Za-z0-9.:[\]_-]{1,20}$/))
  const uri = fc.oneof(
    latin1,
    latin1.map((text) => `/${text}`),
  )
  fc.assert(
    fc.property(host, uri, (writtenHost, writtenUri) => {
      const request = read({ 'X-Forwarded-Host': writtenHost, 'X-Forwarded-Uri': writtenUri })
      if (request === undefined) return
      assert.equal(request.host, request.host.toLowerCase())
      assert.doesNotMatch(request.host, /\.$|[@/\\ ,]/)
      assert.ok(request.path.startsWith('/'))
      // Bytes from 0x80 on are never separators; JavaScript takes U+00A0 for white space.
      assert.match(request.path, /^[^?#\0-\x20\x7f]+$/)
      assert.ok(writtenUri.startsWith(request.path))
    }),
    { numRuns: 3000 },
  )
})

test('A lower-case host is read as it would be in capitals, which take the slower path', () => {
  const hosts = fc.string({
    unit: fc.constantFrom('a', '7', '.', '-', '_', ':', '['),
    maxLength: 12,
  })
  fc.assert(
    fc.property(hosts, (host) => {
      const hostOf = (written: string) => read({ 'X-Forwarded-Host': written })?.host
      for (const end of ['a', 'a.a', '.']) {
        assert.equal(hostOf(`a${host}${end}`), hostOf(`A${host}${end}`))
      }
    }),
  )
})
