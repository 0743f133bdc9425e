import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decide } from '../../src/decide.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { PRESETS } from '../../src/policy/presets/presets.ts'
import { parseNetworks } from '../../src/proxy/networks.ts'
import { certificateHeader, NOW_SECONDS } from '../support/pki.ts'
import { groundsOf, policyFrom, question } from '../support/request.ts'

type Asked = readonly [method: string, path: string]

interface Expected {
  /** Without a certificate, where the preset is named. */
  readonly open: readonly Asked[]
  /** The same, only where the switch is enabled. */
  readonly switched: Readonly<Record<string, readonly Asked[]>>
  readonly closed: readonly Asked[]
  /** Even with a certificate. */
  readonly denied: readonly Asked[]
}

const UUID = '0f8fad5b-d9cb-469f-a165-70867728950e'
const KEY = 'tPSIkbFqyXWqUQzWKrpnLx4e0mGm0QmDYy3vQ2c6lXv0Zt5e1uZ8Jm1p7q'

const EXPECTED: Readonly<Record<string, Expected>> = {
  vaultwarden: {
    open: [
      [
        'GET',
        '/webauthn-mobile-connector.html?data=e30&parent=bitwarden%3A%2F%2Fwebauthn-callback',
      ],
      ['GET', '/connectors/webauthn.0123456789abcdef.js'],
    ],
    switched: { 'website-icons': [['GET', '/icons/example.org/icon.png']] },
    closed: [
      ['GET', '/'],
      ['GET', '/app.0123456789abcdef.js'],
      ['GET', '/api/config'],
      ['GET', '/api/sync'],
      ['POST', '/identity/connect/token'],
      ['POST', '/identity/accounts/prelogin'],
      ['GET', `/attachments/${UUID}/0123456789?token=e30`],
      ['POST', '/api/sends/access/AAAA'],
      ['GET', '/notifications/hub'],
      ['GET', '/alive'],
      ['POST', '/webauthn-mobile-connector.html'],
      ['GET', '/webauthn-connector.html'],
      ['POST', '/icons/example.org/icon.png'],
      ['GET', '/icons'],
      ['GET', '/administrator'],
    ],
    denied: [
      ['GET', '/admin'],
      ['GET', '/%61dmin'],
      ['POST', '/admin'],
      ['GET', '/admin/'],
      ['GET', '/admin/users/overview'],
      ['POST', '/admin/config'],
      ['GET', '/icons/../admin'],
      ['GET', '/connectors/..%2fadmin'],
    ],
  },
  'audiobookshelf-shares': {
    open: [
      ['GET', '/share/k3J9x0Qz1b'],
      ['GET', '/audiobookshelf/share/k3J9x0Qz1b'],
      ['GET', '/public/share/k3J9x0Qz1b?t=12'],
      ['GET', '/audiobookshelf/public/share/k3J9x0Qz1b/cover'],
      ['GET', '/audiobookshelf/public/share/k3J9x0Qz1b/track/1'],
      ['HEAD', '/public/share/k3J9x0Qz1b/download'],
      ['PATCH', '/audiobookshelf/public/share/k3J9x0Qz1b/progress'],
      ['GET', '/audiobookshelf/_nuxt/0123456.js'],
    ],
    switched: {
      'rss-feeds': [
        ['GET', `/feed/${UUID}`],
        ['GET', `/audiobookshelf/feed/${UUID}/item/${UUID}/media.mp3`],
        ['HEAD', `/feed/${UUID}/cover.jpg`],
      ],
    },
    closed: [
      ['GET', '/'],
      ['GET', '/audiobookshelf/'],
      ['POST', '/login'],
      ['POST', '/init'],
      ['GET', '/status'],
      ['GET', '/audiobookshelf/api/libraries'],
      ['POST', '/api/share/mediaitem'],
      ['GET', `/api/items/${UUID}/cover`],
      ['GET', `/hls/${UUID}/output.m3u8`],
      ['GET', `/public/session/${UUID}/track/1`],
      ['POST', '/public/share/k3J9x0Qz1b'],
      ['PATCH', '/share/k3J9x0Qz1b'],
      ['GET', '/socket.io/?EIO=4&transport=polling'],
      ['GET', '/share/../api/libraries'],
      ['GET', '/public/share/..%2f..%2fapi/libraries'],
    ],
    denied: [],
  },
  'immich-shares': {
    open: [
      ['GET', `/share/${KEY}`],
      ['GET', `/share/${KEY}/photos/${UUID}`],
      ['GET', '/_app/immutable/entry/start.0123.js'],
      ['GET', '/api/server/config'],
      ['GET', '/api/server/features'],
      ['GET', `/api/shared-links/me?key=${KEY}`],
      ['GET', `/api/assets/${UUID}/thumbnail?size=preview&key=${KEY}`],
      ['GET', `/api/assets/${UUID}/video/playback?key=${KEY}`],
      ['HEAD', `/api/assets/${UUID}/original?key=${KEY}`],
      ['GET', `/api/albums/${UUID}?key=${KEY}`],
      ['GET', `/api/timeline/buckets?key=${KEY}`],
      ['POST', `/api/shared-links/login?key=${KEY}`],
      ['POST', `/api/download/info?key=${KEY}`],
      ['POST', `/api/download/archive?key=${KEY}`],
    ],
    switched: {},
    closed: [
      ['GET', '/'],
      ['GET', '/s/holiday'],
      ['GET', '/auth/login'],
      ['POST', '/api/auth/login'],
      ['POST', '/api/auth/admin-sign-up'],
      ['GET', '/api/users/me'],
      ['GET', '/api/server/about'],
      ['GET', '/api/server/statistics'],
      ['GET', '/api/server/ping'],
      ['GET', '/api/shared-links'],
      ['GET', `/api/shared-links/${UUID}`],
      ['POST', `/api/assets?key=${KEY}`],
      ['DELETE', '/api/assets'],
      ['PUT', `/api/assets/${UUID}`],
      ['DELETE', `/api/albums/${UUID}`],
      ['GET', '/api/albums'],
      ['POST', `/api/search/metadata?key=${KEY}`],
      ['GET', '/api/socket.io/?EIO=4&transport=websocket'],
      ['GET', '/.well-known/immich'],
      ['GET', '/api/assets/../users/me'],
      ['GET', '/share/%2e%2e/api/users/me'],
    ],
    denied: [],
  },
  'n8n-webhooks': {
    open: ['DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT'].map((method) => [
      method,
      `/webhook/${UUID}`,
    ]),
    switched: {},
    closed: [
      ['GET', '/'],
      ['GET', '/workflow/1'],
      ['POST', '/rest/login'],
      ['GET', '/rest/settings'],
      ['GET', '/api/v1/workflows'],
      ['POST', `/webhook-test/${UUID}`],
      ['GET', '/webhook-waiting/1234'],
      ['GET', '/form-waiting/1234'],
      ['GET', `/form/${UUID}`],
      ['POST', `/mcp/${UUID}`],
      ['GET', '/webhook'],
      ['TRACE', `/webhook/${UUID}`],
      ['POST', '/webhook/../rest/login'],
      ['POST', '/webhook/x%2f..%2f..%2frest/login'],
    ],
    denied: [],
  },
}

const HOST = 'app.test'
const CERTIFICATE = { 'X-Forwarded-Tls-Client-Cert': certificateHeader('traefik', 'leaf-good') }

function isAllowed(
  policy: Policy,
  [method, path]: Asked,
  fields: Readonly<Record<string, string>> = {},
): boolean {
  const headers = { 'X-Forwarded-Method': method, 'X-Forwarded-Uri': path }
  const asked = question({ ...headers, 'X-Forwarded-Host': HOST, ...fields })
  return decide(asked, groundsOf({ policy }), NOW_SECONDS).allow
}

for (const [name, { open, switched, closed, denied }] of Object.entries(EXPECTED)) {
  describe(`The preset ${name}`, () => {
    const preset = `preset: {${name}: ${HOST}}`
    const plain = policyFrom(preset)
    const switches = Object.keys(switched)
    const all = policyFrom(preset, ...(switches.length > 0 ? [`enable: [${switches}]`] : []))

    for (const asked of open) {
      test(`opens ${asked.join(' ')}, on its host only`, () => {
        assert.ok(isAllowed(plain, asked))
        assert.ok(!isAllowed(plain, asked, { 'X-Forwarded-Host': 'other.test' }))
      })
    }
    for (const [choice, opened] of Object.entries(switched)) {
      for (const asked of opened) {
        test(`opens ${asked.join(' ')} only if ${choice} is enabled`, () => {
          assert.ok(isAllowed(policyFrom(preset, `enable: ${choice}`), asked))
          assert.ok(!isAllowed(plain, asked))
        })
      }
    }
    for (const asked of closed) {
      test(`requires a certificate at ${asked.join(' ')}, whatever is enabled`, () => {
        assert.ok(!isAllowed(all, asked))
        assert.ok(isAllowed(all, asked, CERTIFICATE))
      })
    }
    for (const asked of denied) {
      test(`denies ${asked.join(' ')} to everyone`, () => {
        assert.ok(!isAllowed(all, asked))
        assert.ok(!isAllowed(all, asked, CERTIFICATE))
      })
    }

    test('has the switches in this table, and no others', () => {
      const { switches: own = {} } = PRESETS.find((one) => one.name === name) ?? {}
      assert.deepEqual(Object.keys(own), switches)
    })

    test('does not open a whole interface', () => {
      const { rules = [] } = PRESETS.find((one) => one.name === name) ?? {}
      for (const { path, access } of rules) {
        if (access !== 'open') continue
        assert.ok(path !== undefined && path.length > 0)
        for (const one of path) assert.ok(!['/', '/*', '/api', '/api/*'].includes(one), one)
      }
    })

    test('is refused without its host', () => {
      const networks = parseNetworks(['loopback'])
      assert.ok(networks.ok)
      assert.deepEqual(
        parsePolicy(Buffer.from(`version: 1\npreset: ${name}\n`), networks.networks),
        {
          ok: false,
          problems: [
            `line 2, column 9: preset "${name}" needs the host of its application: write {${name}: app.example.org}`,
          ],
        },
      )
    })
  })
}

test('A rule of your own lets one device reach what the preset vaultwarden denies', () => {
  const networks = parseNetworks(['loopback'])
  assert.ok(networks.ok)
  const lines = [
    'version: 1',
    `preset: {vaultwarden: ${HOST}}`,
    'rules:',
    '  - {name: my laptop, path: [/admin, /admin/*], device: Phone of Ada, access: certificate}',
  ]
  const parsed = parsePolicy(Buffer.from(lines.join('\n')), networks.networks)
  assert.ok(parsed.ok)
  assert.deepEqual(parsed.warnings, [])
  assert.ok(isAllowed(parsed.policy, ['GET', '/admin'], CERTIFICATE))
  assert.ok(!isAllowed(parsed.policy, ['GET', '/admin']))
})

test('Every preset except home-assistant and closed is in the table above', () => {
  const others = PRESETS.map(({ name }) => name).filter(
    (name) => name !== 'home-assistant' && name !== 'closed',
  )
  assert.deepEqual(Object.keys(EXPECTED).sort(), [...others].sort())
})
