import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decide } from '../../src/decide.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { PRESETS } from '../../src/policy/presets/presets.ts'
import { certificateHeader, NOW_SECONDS } from '../support/pki.ts'
import {
  claimsOf,
  groundsOf,
  type HeaderFields,
  policyFrom,
  question,
  sessionPair,
} from '../support/request.ts'

const CERTIFICATE: HeaderFields = {
  'X-Forwarded-Tls-Client-Cert': certificateHeader('traefik', 'leaf-good'),
}
const SESSION: HeaderFields = { Cookie: sessionPair(claimsOf()) }
const UPGRADE: HeaderFields = { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' }

function answer(policy: Policy, method: string, path: string, fields: HeaderFields = {}): string {
  const asked = { 'X-Forwarded-Method': method, 'X-Forwarded-Uri': path, ...fields }
  const decision = decide(question(asked), groundsOf({ policy }), NOW_SECONDS)
  return decision.allow ? decision.via : decision.reason
}

/** 64 hex digits, as the companion app gets it. */
const WEBHOOK = `/api/webhook/${'0123456789abcdef'.repeat(4)}`
const MEDIA_BROWSER = '/media-browser/browser/app%2Cmedia-source%3A%2F%2F'

/** Method and path of what Home Assistant's page and apps ask for. */
const PAGE: readonly (readonly [method: string, path: string])[] = [
  ['GET', '/'],
  ['GET', '/lovelace/0'],
  ['GET', '/home/overview'],
  ['GET', '/auth/authorize?response_type=code&client_id=https%3A%2F%2Fha.test%2F'],
  ['GET', '/auth/providers'],
  ['POST', '/auth/login_flow'],
  ['POST', '/auth/login_flow/0123456789abcdef'],
  ['POST', '/auth/revoke'],
  ['GET', '/frontend_latest/core.js'],
  ['GET', '/static/icons/favicon.ico'],
  ['GET', '/manifest.json'],
  ['GET', '/.certlatch/auth/session'],
  ['GET', '/sw-modern.js'],
  ['GET', '/local/picture.png'],
  ['GET', '/hacsfiles/card.js'],
  ['GET', '/api/'],
  ['GET', '/api/states'],
  ['POST', '/api/services/lock/unlock'],
  ['GET', '/api/config'],
  ['GET', '/api/calendars/calendar.home?start=1'],
  ['POST', '/api/camera_proxy/camera.door?token=0123'],
  ['GET', '/api/camera_proxy'],
  ['GET', '/api/camera_proxy_other/camera.door?token=0123'],
  ['GET', '/api/camera_proxy%2fcamera.door?token=0123'],
  ['GET', '/api/image/serve/0123/512x512'],
  ['GET', '/api/image_proxy_stream/image.door?token=0123'],
  ['HEAD', '/api/media_player_proxy/media_player.tv?token=0123'],
  ['GET', '/api/websocket'],
  ['POST', '/api/mobile_app/registrations'],
  ['GET', MEDIA_BROWSER],
  ['GET', '/api/webhook'],
  ['DELETE', WEBHOOK],
  ['GET', '/media-browser'],
]

/** What each switch opens, and nothing else opens. */
const SWITCHED = {
  'google-assistant': [
    ['POST', '/api/google_assistant'],
    ['POST', '/auth/token'],
  ],
  alexa: [
    ['POST', '/api/alexa/smart_home'],
    ['POST', '/auth/token'],
  ],
  'cast-media': [
    ['GET', '/api/hls/0123456789abcdef/master_playlist.m3u8'],
    ['GET', '/api/hls/0123456789abcdef/segment/1.m4s'],
    ['OPTIONS', '/api/hls/0123456789abcdef/playlist.m3u8'],
    ['GET', '/api/tts_proxy/0123456789abcdef.mp3'],
    ['HEAD', '/media/local/song%20one.mp3?authSig=e30.e30.x'],
  ],
  'app-pictures': [
    ['GET', '/api/camera_proxy/camera.door?token=0123'],
    ['GET', '/api/camera_proxy_stream/camera.door?token=0123'],
    ['GET', '/api/image_proxy/image.door?token=0123'],
    ['GET', '/api/media_player_proxy/media_player.tv?token=0123&cache=4567'],
    ['GET', '/api/media_player_proxy/media_player.tv/browse_media/album/12?token=0123'],
  ],
} as const
type SwitchName = keyof typeof SWITCHED
const SWITCHES = Object.keys(SWITCHED) as readonly SwitchName[]

const PLAIN = policyFrom('preset: home-assistant')
const ALL = policyFrom('preset: home-assistant', `enable: [${SWITCHES.join(', ')}]`)

describe('The preset home-assistant', () => {
  for (const method of ['GET', 'HEAD', 'POST', 'PUT']) {
    test(`lets ${method} reach a webhook without certificate and session`, () => {
      assert.equal(answer(PLAIN, method, WEBHOOK), 'rule')
    })
  }

  for (const [method, path] of PAGE) {
    test(`requires certificate or session for ${method} ${path}, whatever is enabled`, () => {
      for (const policy of [PLAIN, ALL]) {
        assert.equal(answer(policy, method, path), 'no-credentials')
        assert.equal(answer(policy, method, path, CERTIFICATE), 'certificate')
        assert.equal(answer(policy, method, path, SESSION), 'session')
      }
    })
  }

  test('lets the WebSocket connect with only the cookie, and only with ours', () => {
    assert.equal(answer(ALL, 'GET', '/api/websocket', { ...UPGRADE, ...SESSION }), 'session')
    assert.equal(answer(ALL, 'GET', '/api/websocket', UPGRADE), 'no-credentials')
  })

  for (const name of SWITCHES) {
    test(`opens ${name} only if that is enabled`, () => {
      const enabled = policyFrom('preset: home-assistant', `enable: ${name}`)
      for (const [method, path] of SWITCHED[name]) {
        assert.equal(answer(enabled, method, path), 'rule', `${method} ${path}`)
        assert.equal(answer(PLAIN, method, path), 'no-credentials', `${method} ${path}`)
      }
    })
    test(`opens nothing but ${name} if that is enabled`, () => {
      const enabled = policyFrom('preset: home-assistant', `enable: ${name}`)
      const own = new Set(SWITCHED[name].map(([method, path]) => `${method} ${path}`))
      for (const [method, path] of SWITCHES.flatMap((other) => [...SWITCHED[other]])) {
        if (own.has(`${method} ${path}`)) continue
        assert.equal(answer(enabled, method, path), 'no-credentials', `${method} ${path}`)
      }
    })
  }

  test('opens the local network to clients on it, and to no one else', () => {
    const policy = policyFrom('preset: home-assistant', 'enable: {local-network: 192.168.1.0/24}')
    const from = (address: string) => answer(policy, 'GET', '/', { 'X-Forwarded-For': address })
    assert.equal(from('192.168.1.20'), 'rule')
    assert.equal(from('192.0.2.7'), 'no-credentials')
    assert.equal(from('192.168.1.20, 192.0.2.7'), 'no-credentials')
  })

  test('can enable a switch for some networks only', () => {
    const policy = policyFrom('preset: home-assistant', 'enable: [cast-media: 192.168.1.0/24]')
    const from = (address: string) =>
      answer(policy, 'GET', '/media/local/a.mp3', { 'X-Forwarded-For': address })
    assert.equal(from('192.168.1.20'), 'rule')
    assert.equal(from('192.0.2.7'), 'no-credentials')
  })

  test('applies to the hosts named with it, and to all without any', () => {
    const one = policyFrom('preset: {home-assistant: ha.test}', 'enable: alexa')
    const at = (policy: Policy, host: string, path: string) =>
      answer(policy, 'POST', path, { 'X-Forwarded-Host': host })
    for (const path of [WEBHOOK, '/api/alexa/smart_home']) {
      assert.equal(at(one, 'ha.test', path), 'rule')
      assert.equal(at(one, 'other.test', path), 'no-credentials')
    }
    assert.equal(at(PLAIN, 'other.test', WEBHOOK), 'rule')
  })

  test('can be narrowed to the webhooks that a rule lists', () => {
    const policy = policyFrom(
      'preset: home-assistant',
      'rules:',
      `  - {name: the phone, path: ${WEBHOOK}, methods: POST, access: open}`,
      '  - {name: no other webhook, path: /api/webhook/*, access: certificate-or-session}',
    )
    assert.equal(answer(policy, 'POST', WEBHOOK), 'rule')
    assert.equal(answer(policy, 'POST', `${WEBHOOK.slice(0, -1)}0`), 'no-credentials')
  })

  const TRICKS = [
    '/api/webhook/../states',
    '/api/webhook/%2e%2e/states',
    '/api/webhook/..%2fstates',
    '/api/webhook/..%5cstates',
    '/api/webhook/%252e%252e/states',
    '/api/webhook/..;/states',
    '/api/webhook//../states',
    '/api/webhook/x%2f..%2f..%2fstates',
    '/api/webhook/x\\..\\..\\states',
    '/api/webhook/x%00',
    '/api/hls/../../auth/login_flow',
    '/media/%2e%2e/api/states',
  ]
  for (const path of TRICKS) {
    test(`does not open ${path}`, () => {
      assert.equal(answer(ALL, 'GET', path), 'ambiguous-path')
      assert.equal(answer(ALL, 'GET', path, SESSION), 'session')
    })
  }
})

test('The preset closed adds no rule', () => {
  assert.deepEqual(policyFrom('preset: closed').rules, [])
  assert.deepEqual(policyFrom('preset: [closed, home-assistant]').rules.length, 1)
})

test('Every preset with everything enabled is small enough for a person to write', () => {
  for (const { name, needsHost, switches } of PRESETS) {
    const enable = Object.entries(switches).map(([key, { needsNetworks }]) =>
      needsNetworks ? `{${key}: 192.168.1.0/24}` : key,
    )
    const lines = enable.length === 0 ? [] : [`enable: [${enable.join(', ')}]`]
    const preset = needsHost ? `{${name}: app.test}` : name
    const { rules } = policyFrom(`preset: ${preset}`, ...lines)
    for (const rule of rules) assert.ok(rule.name.startsWith(`${name}: `), rule.name)
  }
})
