import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isAllowedPreflight, isCrossSite, isListedOrigin } from '../../src/proxy/cross-site.ts'
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

describe('what changes nothing', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    test(`a ${method} passes from anywhere`, () => {
      const fields = {
        'X-Forwarded-Method': method,
        Origin: 'https://evil.test',
        'Sec-Fetch-Site': 'cross-site',
      }
      assert.equal(crossSite(fields), false)
    })
    test(`a ${method} that opens a WebSocket does not`, () => {
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
  ['same-origin', 'https://evil.test', false],
  ['none', undefined, false],
  ['none', 'null', false],
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

describe('with Sec-Fetch-Site', () => {
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

describe('without Sec-Fetch-Site', () => {
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

test('a listed origin is equal text in lower case, and "null" never is', () => {
  for (const origin of ['https://cast.test', 'HTTPS://Cast.Test', 'capacitor://localhost']) {
    assert.equal(isListedOrigin(origin, LISTED), true)
  }
  for (const origin of ['null', 'NULL', '', 'https://cast.test ', 'cast.test', 'capacitor://']) {
    assert.equal(isListedOrigin(origin, LISTED), false, origin)
  }
})

test('a preflight is an OPTIONS of a listed origin that asks for a method', () => {
  const preflight: HeaderFields = {
    'X-Forwarded-Method': 'OPTIONS',
    Origin: 'https://cast.test',
    'Access-Control-Request-Method': 'DELETE',
  }
  const isPreflight = (change: HeaderFields = {}): boolean => {
    const headers = requestHeaders({ ...preflight, ...change })
    const request = readOriginalRequest(headers)
    assert.ok(request)
    return isAllowedPreflight(headers, request, LISTED)
  }
  assert.equal(isPreflight(), true)
  assert.equal(isPreflight({ 'X-Forwarded-Method': 'GET' }), false)
  assert.equal(isPreflight({ Origin: undefined }), false)
  assert.equal(isPreflight({ Origin: 'https://evil.test' }), false)
  assert.equal(isPreflight({ Origin: 'null' }), false)
  assert.equal(isPreflight({ 'Access-Control-Request-Method': undefined }), false)
})
