import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isCrossSite, isListedOrigin, preflightMethod } from '../../src/proxy/cross-site.ts'
import { readOriginalRequest } from '../../src/proxy/original-request.ts'
import { type HeaderFields, requestHeaders } from '../support/request.ts'

const LISTED: ReadonlySet<string> = new Set(['https://cast.test', 'capacitor://localhost', 'null'])

function crossSite(fields: HeaderFields): boolean {
  const headers = requestHeaders(fields)
  const request = readOriginalRequest(headers)
  assert.ok(request)
  return isCrossSite(headers, request, LISTED)
}

const POST: HeaderFields = { 'X-Forwarded-Method': 'POST' }
const WEBSOCKET: HeaderFields = { 'X-Forwarded-Proto': 'wss', 'Sec-WebSocket-Key': 'c2FtcGxl' }

describe('A request that changes nothing', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    test(`a ${method} passes from anywhere`, () => {
      const fields = {
        'X-Forwarded-Method': method,
        Origin: 'https://evil.test',
        'Sec-Fetch-Site': 'cross-site',
      }
      assert.equal(crossSite(fields), false)
    })
    test(`a ${method} that opens a WebSocket does not pass`, () => {
      const fields = {
        ...WEBSOCKET,
        'X-Forwarded-Method': method,
        Origin: 'https://evil.test',
      }
      assert.equal(crossSite(fields), true)
    })
  }

  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND', 'QUERY', 'TRACE', 'get']) {
    test(`${method} is not known to change nothing`, () => {
      assert.equal(crossSite({ 'X-Forwarded-Method': method, Origin: 'https://evil.test' }), true)
    })
  }
})

/** Sec-Fetch-Site, Origin, whether it is another site. */
const WITH_FETCH_SITE: readonly (readonly [
  string | readonly string[],
  string | undefined,
  boolean,
])[] = [
  ['same-origin', undefined, false],
  ['same-origin', 'https://ha.test', false],
  ['same-origin', 'null', false],
  ['same-origin', 'https://evil.test', true],
  ['same-origin', 'http://ha.test', true],
  ['same-origin', 'https://evil.ha.test', true],
  ['same-origin', 'https://ha.test.evil', true],
  ['same-origin', 'https://xn--h-sha.test', true],
  ['same-origin', 'https://hä.test', true],
  ['same-origin', 'wss://ha.test', false],
  ['same-origin', 'HTTPS://HA.TEST', false],
  ['same-origin', 'https://cast.test', false],
  ['same-origin', 'Null', true],
  ['same-origin', '', true],
  ['same-origin', 'https://ha.test, https://evil.test', true],
  ['none', undefined, false],
  ['none', 'null', false],
  ['none', 'https://ha.test', false],
  ['none', 'https://evil.test', true],
  ['same-site', undefined, true],
  ['same-site', 'https://ha.test', true],
  ['same-site', 'https://cast.test', false],
  ['cross-site', undefined, true],
  ['cross-site', 'https://ha.test', true],
  ['cross-site', 'https://evil.test', true],
  ['cross-site', 'null', true],
  ['cross-site', 'https://cast.test', false],
  ['cross-site', 'HTTPS://CAST.TEST', false],
  ['cross-site', 'capacitor://localhost', false],
  ['', undefined, true],
  ['', 'https://ha.test', true],
  ['Same-Origin', undefined, true],
  ['same-origin ', undefined, true],
  ['"same-origin"', undefined, true],
  ['unknown', undefined, true],
  ['unknown', 'https://cast.test', false],
  [['same-origin', 'same-origin'], undefined, true],
  [['cross-site', 'same-origin'], undefined, true],
  [['same-origin', 'cross-site'], 'https://ha.test', true],
  [['same-origin', 'cross-site'], 'https://cast.test', false],
]

describe('With Sec-Fetch-Site', () => {
  for (const [site, origin, expected] of WITH_FETCH_SITE) {
    const verb = expected ? 'is another site' : 'passes'
    test(`${JSON.stringify(site)} and the origin ${origin ?? 'absent'} ${verb}`, () => {
      for (const acting of [POST, WEBSOCKET]) {
        assert.equal(crossSite({ ...acting, 'Sec-Fetch-Site': site, Origin: origin }), expected)
      }
    })
  }
})

/** X-Forwarded-Proto, X-Forwarded-Host, Origin, whether it is another site. */
const BY_ORIGIN: readonly (readonly [string, string, string | undefined, boolean])[] = [
  ['https', 'ha.test', undefined, false],
  ['https', 'ha.test', 'https://ha.test', false],
  ['https', 'ha.test', 'HTTPS://HA.TEST', false],
  ['https', 'HA.TEST', 'https://ha.test', false],
  ['https', 'ha.test.', 'https://ha.test', false],
  ['https', 'ha.test', 'https://ha.test.', false],
  ['https', 'ha.test', 'wss://ha.test', false],
  ['wss', 'ha.test', 'https://ha.test', false],
  ['wss', 'ha.test', 'wss://ha.test', false],
  ['http', 'ha.test', 'http://ha.test', false],
  ['ws', 'ha.test', 'http://ha.test', false],
  ['http', 'ha.test', 'ws://ha.test', false],
  // The port of X-Forwarded-Host counts if it has one; behind NAT the public one is unknown.
  ['https', 'ha.test', 'https://ha.test:8443', false],
  ['https', 'ha.test:8443', 'https://ha.test:8443', false],
  ['https', 'ha.test:8443', 'wss://ha.test:8443', false],
  ['https', 'ha.test:443', 'https://ha.test', false],
  ['wss', 'ha.test:443', 'wss://ha.test', false],
  ['http', 'ha.test:80', 'http://ha.test', false],
  ['https', 'ha.test:443', 'https://ha.test:443', false],
  ['https', 'ha.test:0443', 'https://ha.test', false],
  ['https', 'xn--hter-loa.test', 'https://XN--HTER-LOA.test', false],
  ['https', 'xn--hter-loa.test', 'https://hüter.test', true],
  ['https', 'ha.test:8443', 'https://ha.test', true],
  ['https', 'ha.test:8443', 'https://ha.test:8444', true],
  ['https', 'ha.test:443', 'https://ha.test:8443', true],
  ['http', 'ha.test:443', 'http://ha.test', true],
  ['https', 'ha.test:80', 'https://ha.test', true],
  ['https', '[fd00::a]:8443', 'https://[fd00::a]:8443', false],
  ['https', '[FD00::A]', 'https://[fd00::a]', false],
  ['https', '192.168.1.7', 'https://192.168.1.7', false],
  ['https', 'ha.test', 'http://ha.test', true],
  ['https', 'ha.test', 'ws://ha.test', true],
  ['http', 'ha.test', 'https://ha.test', true],
  ['https', 'ha.test', 'https://evil.test', true],
  ['https', 'ha.test', 'https://ha.test.evil', true],
  ['https', 'ha.test', 'https://evil.ha.test', true],
  ['https', 'ha.test', 'https://xha.test', true],
  ['https', 'ha.test', 'https://ha.test..', true],
  ['https', 'ha.test', 'https://ha.test/', true],
  ['https', 'ha.test', 'https://ha.test/evil', true],
  ['https', 'ha.test', 'https://ada@ha.test', true],
  ['https', 'ha.test', 'https://ha.test@evil.test', true],
  ['https', 'ha.test', 'https://ha.test:', true],
  ['https', 'ha.test', 'https://ha.test:8443:1', true],
  ['https', 'ha.test', 'https://ha.test https://evil.test', true],
  ['https', 'ha.test', 'https:// ha.test', true],
  ['https', 'ha.test', '//ha.test', true],
  ['https', 'ha.test', 'xhttps://ha.test', true],
  ['https', 'ha.test', 'https://evil.test https://ha.test', true],
  ['https', 'ha.test', 'ha.test', true],
  ['https', 'ha.test', 'ftp://ha.test', true],
  ['https', 'ha.test', 'capacitor://ha.test', true],
  ['https', 'ha.test', 'capacitor://localhost', false],
  ['https', 'ha.test', 'Capacitor://LocalHost', false],
  ['https', 'ha.test', 'https://cast.test', false],
  ['https', 'ha.test', 'https://cast.test:443', true],
  ['https', 'ha.test', 'https://cast.test/', true],
  ['https', 'ha.test', 'wss://cast.test', true],
  ['https', 'ha.test', 'null', true],
  ['https', 'ha.test', '', true],
]

describe('Whether the origin is our own', () => {
  for (const [scheme, host, origin, expected] of BY_ORIGIN) {
    if (origin === 'null') continue
    const verb = expected ? 'is not believed' : 'is believed'
    test(`is not affected by Sec-Fetch-Site: same-origin, which ${verb} at ${scheme}, ${host} beside ${origin ?? 'no origin'}`, () => {
      const fields = {
        'X-Forwarded-Proto': scheme,
        'X-Forwarded-Host': host,
        Origin: origin,
        'Sec-Fetch-Site': 'same-origin',
      }
      assert.equal(crossSite({ ...POST, ...fields }), expected)
      assert.equal(crossSite({ ...WEBSOCKET, ...fields }), expected)
    })
  }
})

describe('Without Sec-Fetch-Site', () => {
  for (const [scheme, host, origin, expected] of BY_ORIGIN) {
    const verb = expected ? 'is another site' : 'passes'
    test(`the origin ${origin ?? 'absent'} ${verb} at ${scheme}, ${host}`, () => {
      const fields = { 'X-Forwarded-Proto': scheme, 'X-Forwarded-Host': host, Origin: origin }
      assert.equal(crossSite({ ...POST, ...fields }), expected)
      assert.equal(crossSite({ 'Sec-WebSocket-Key': 'c2FtcGxl', ...fields }), expected)
    })
  }

  test('X-Forwarded-Port is not read', () => {
    const fields = { ...POST, Origin: 'https://ha.test:8443', 'X-Forwarded-Port': '443' }
    assert.equal(crossSite(fields), false)
  })
})

test('A listed origin matches as lower-case text, and "null" never does', () => {
  for (const origin of ['https://cast.test', 'HTTPS://Cast.Test', 'capacitor://localhost']) {
    assert.equal(isListedOrigin(origin, LISTED), true)
  }
  for (const origin of ['null', 'NULL', '', 'https://cast.test ', 'cast.test', 'capacitor://']) {
    assert.equal(isListedOrigin(origin, LISTED), false, origin)
  }
})

describe('A preflight', () => {
  const preflight: HeaderFields = {
    'X-Forwarded-Method': 'OPTIONS',
    Origin: 'https://cast.test',
    'Access-Control-Request-Method': 'DELETE',
  }
  const methodOf = (change: HeaderFields): string | undefined => {
    const headers = requestHeaders({ ...preflight, ...change })
    const request = readOriginalRequest(headers)
    assert.ok(request)
    return preflightMethod(headers, request, LISTED)
  }
  const ROWS: readonly (readonly [what: string, HeaderFields, string | undefined])[] = [
    ['is an OPTIONS of a listed origin that asks for a method', {}, 'DELETE'],
    ['may ask for any', { 'Access-Control-Request-Method': 'PROPFIND' }, 'PROPFIND'],
    ['keeps the case', { 'Access-Control-Request-Method': 'patch' }, 'patch'],
    ['may say that it has no body', { 'Content-Length': '0' }, 'DELETE'],
    ['is no GET', { 'X-Forwarded-Method': 'GET' }, undefined],
    ['is no Options', { 'X-Forwarded-Method': 'Options' }, undefined],
    ['has an origin', { Origin: undefined }, undefined],
    ['is of no other origin', { Origin: 'https://evil.test' }, undefined],
    ['is not of our own origin', { Origin: 'https://ha.test' }, undefined],
    ['is not of nowhere', { Origin: 'null' }, undefined],
    ['asks for a method', { 'Access-Control-Request-Method': undefined }, undefined],
    ['asks for more than nothing', { 'Access-Control-Request-Method': '' }, undefined],
    ['asks for one method', { 'Access-Control-Request-Method': 'GET, POST' }, undefined],
    ['asks for what is a method', { 'Access-Control-Request-Method': 'P(ST' }, undefined],
    ['asks for no WebSocket', { 'Sec-WebSocket-Key': 'c2FtcGxl' }, undefined],
    ['asks for none over HTTP/2 either', { 'Sec-WebSocket-Version': '13' }, undefined],
    ['changes no protocol', { Upgrade: 'h2c' }, undefined],
    ['changes none to nothing', { Upgrade: '' }, undefined],
    ['has no body of a known length', { 'Content-Length': '1' }, undefined],
    ['has none of an odd length', { 'Content-Length': '00' }, undefined],
    ['has none of no length', { 'Content-Length': '' }, undefined],
    ['has none in chunks', { 'Transfer-Encoding': 'chunked' }, undefined],
    ['has none in anything', { 'Transfer-Encoding': 'identity' }, undefined],
    [
      'has none by either word',
      { 'Content-Length': '0', 'Transfer-Encoding': 'chunked' },
      undefined,
    ],
  ]
  for (const [what, change, expected] of ROWS) {
    test(`${what}: ${JSON.stringify(change)}`, () => assert.equal(methodOf(change), expected))
  }

  test('does not pass if no site is listed', () => {
    const headers = requestHeaders(preflight)
    const request = readOriginalRequest(headers)
    assert.ok(request)
    assert.equal(preflightMethod(headers, request, new Set()), undefined)
  })
})
