import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { decide } from '../../src/decide.ts'
import { certificateHeader, NOW_SECONDS } from '../support/pki.ts'
import { repository } from '../support/repository.ts'
import {
  claimsOf,
  groundsOf,
  type HeaderFields,
  policyFrom,
  question,
  sessionPair,
} from '../support/request.ts'

/** A proxy's auth requests in a whole session with the real Home Assistant. */
interface Recorded {
  readonly from: 'browser' | 'app' | 'automation'
  readonly method: string
  readonly uri: string
  readonly headers: Readonly<Record<string, string>>
}

const { requests }: { requests: readonly Recorded[] } = JSON.parse(
  readFileSync(join(repository(), 'test/vectors/home-assistant-session.json'), 'utf8'),
)
const HOST = 'home.example'
const CERTIFICATE = {
  'X-Forwarded-Tls-Client-Cert': certificateHeader('traefik', 'leaf-good'),
}
const SESSION = { Cookie: sessionPair(claimsOf('leaf-good', { host: HOST })) }

const PRESET = policyFrom('preset: home-assistant')
const EVERYTHING = policyFrom(
  'preset: home-assistant',
  'enable: [google-assistant, alexa, cast-media, local-network: 192.168.1.0/24]',
)
const BESIDE_OTHERS = policyFrom(
  `preset: {home-assistant: ${HOST}}`,
  'rules:',
  '  - {path: /internal/*, access: deny}',
  '  - {path: /config/*, owner: [ada, grace], access: certificate-or-session}',
)
const POLICIES = { PRESET, EVERYTHING, BESIDE_OTHERS }

function answer({ method, uri, headers }: Recorded, shown: HeaderFields, policy = PRESET): string {
  const { upgrade, ...told } = headers
  const asked: HeaderFields = {
    ...told,
    'X-Forwarded-Method': method,
    'X-Forwarded-Host': HOST,
    'X-Forwarded-Uri': uri,
    ...(upgrade === 'websocket' && { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' }),
    ...shown,
  }
  const decision = decide(question(asked), groundsOf({ policy }), NOW_SECONDS)
  return decision.allow ? decision.via : decision.reason
}

const isWebhook = ({ uri }: Recorded): boolean => uri.startsWith('/api/webhook/')

describe('In a whole session with Home Assistant', () => {
  test('there are requests of each kind', () => {
    const kinds = new Set(requests.map(({ from }) => from))
    assert.deepEqual([...kinds].sort(), ['app', 'automation', 'browser'])
    assert.ok(requests.some(({ uri }) => uri.includes('%2F')))
    assert.ok(requests.some(({ uri }) => uri === '/api/websocket'))
    assert.ok(requests.some(isWebhook))
  })

  for (const [name, policy] of Object.entries(POLICIES)) {
    test(`every request passes with the certificate, and with only the cookie: ${name}`, () => {
      for (const request of requests) {
        const told = `${request.method} ${request.uri}`
        const byRule = answer(request, {}, policy) === 'rule' ? 'rule' : undefined
        assert.equal(answer(request, CERTIFICATE, policy), byRule ?? 'certificate', told)
        assert.equal(answer(request, SESSION, policy), byRule ?? 'session', told)
      }
    })
  }

  test('without both, only webhooks pass', () => {
    for (const request of requests) {
      const expected = isWebhook(request) ? 'rule' : 'no-credentials'
      assert.equal(answer(request, {}), expected, `${request.method} ${request.uri}`)
    }
  })

  test('optional switches open nothing of the page except what they name', () => {
    const opened = requests.filter((request) => answer(request, {}, EVERYTHING) === 'rule')
    const places = new Set(opened.map(({ uri }) => uri.replace(/(?<=^\/api\/webhook\/).*/, '*')))
    assert.deepEqual([...places].sort(), ['/api/webhook/*', '/auth/token'])
  })

  test('no other site may do anything that changes something', () => {
    for (const request of requests) {
      if (['GET', 'HEAD'].includes(request.method) || isWebhook(request)) continue
      const foreign = {
        ...request,
        headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
      }
      assert.equal(answer(foreign, CERTIFICATE), 'cross-site', `${request.method} ${request.uri}`)
    }
  })
})
