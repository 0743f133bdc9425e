import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DIALECTS } from '../../src/proxy/dialects.ts'
import { readOriginalRequest } from '../../src/proxy/original-request.ts'
import { createHeaderReader } from '../../src/proxy/request-headers.ts'
import { isProvenSameOrigin } from '../../src/proxy/same-origin.ts'

const OWN = 'https://ha.test'

const CASES = [
  ['nothing is said', {}, false],
  ['an equal origin', { Origin: OWN }, true],
  ['an equal origin in another case', { Origin: 'HTTPS://HA.test' }, false],
  [
    'an equal origin, and Sec-Fetch-Site agrees',
    { Origin: OWN, 'Sec-Fetch-Site': 'same-origin' },
    true,
  ],
  [
    'no origin of its own, and Sec-Fetch-Site agrees',
    { Origin: 'null', 'Sec-Fetch-Site': 'same-origin' },
    true,
  ],
  ['Sec-Fetch-Site alone', { 'Sec-Fetch-Site': 'same-origin' }, false],
  ['no origin of its own, and nothing else', { Origin: 'null' }, false],
  [
    'an equal origin, and Sec-Fetch-Site says no',
    { Origin: OWN, 'Sec-Fetch-Site': 'same-site' },
    false,
  ],
  ['typed by hand', { Origin: OWN, 'Sec-Fetch-Site': 'none' }, false],
  ['another site', { Origin: 'https://evil.test', 'Sec-Fetch-Site': 'cross-site' }, false],
  [
    'another origin, and Sec-Fetch-Site lies',
    { Origin: 'https://evil.test', 'Sec-Fetch-Site': 'same-origin' },
    false,
  ],
  ['another site in an old browser', { Origin: 'https://evil.test' }, false],
  ['another port', { Origin: `${OWN}:8443`, 'X-Forwarded-Host': 'ha.test:443' }, false],
  ['the same port', { Origin: `${OWN}:8443`, 'X-Forwarded-Host': 'ha.test:8443' }, true],
  ['plain http', { Origin: 'http://ha.test', 'X-Forwarded-Proto': 'http' }, false],
  ['plain http under the name of https', { Origin: OWN, 'X-Forwarded-Proto': 'http' }, false],
  ['a WebSocket’s origin', { Origin: 'wss://ha.test' }, false],
] as const

for (const [name, given, expected] of CASES) {
  test(`${name}: ${expected ? 'proven' : 'not proven'}`, () => {
    const all = {
      ...{ 'X-Forwarded-Method': 'POST', 'X-Forwarded-Uri': '/' },
      ...{ 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'ha.test', ...given },
    }
    const headers = createHeaderReader(DIALECTS.traefik).read(Object.entries(all).flat())
    const request = readOriginalRequest(headers)
    assert.ok(request)
    assert.equal(isProvenSameOrigin(headers, request), expected)
  })
}
