import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decide } from '../src/decide.ts'
import { type Access, CLOSED_POLICY } from '../src/policy/policy.ts'
import { DIALECTS, type DialectName } from '../src/proxy/dialects.ts'
import { readOriginalRequest } from '../src/proxy/original-request.ts'
import { certificateHeader, NOW_SECONDS } from './support/pki.ts'
import {
  COOKIE_NAME,
  claimsOf,
  type GroundsOptions,
  groundsOf,
  type HeaderFields,
  question,
  requestHeaders,
  sessionPair,
} from './support/request.ts'

/**
 * Published vulnerabilities of other forward-auth services and of the proxies in front of them, as
 * far as they depend on how this service reads headers. Those that need a real proxy are in e2e/.
 */

interface Asked {
  readonly dialect?: DialectName
  readonly fromTrustedAddress?: boolean
  readonly grounds?: GroundsOptions
}

function answer(fields: HeaderFields, { dialect = 'traefik', ...asked }: Asked = {}): string {
  const decision = decide(
    question(fields, { dialect, ...asked }),
    groundsOf({ dialect, ...asked.grounds }),
    NOW_SECONDS,
  )
  return decision.allow ? `allow via ${decision.via}` : `deny: ${decision.reason}`
}

const DIALECT_NAMES = Object.keys(DIALECTS) as readonly DialectName[]
const shown = (dialect: DialectName, ...leaves: readonly string[]): HeaderFields => ({
  [DIALECTS[dialect].certificateHeader]: certificateHeader(dialect, ...leaves),
})
const CERTIFICATE = shown('traefik', 'leaf-good')
const SESSION: HeaderFields = { Cookie: sessionPair(claimsOf()) }
const ruleOf = (access: Access): GroundsOptions => ({
  policy: { ...CLOSED_POLICY, defaultRule: { name: 'test', access, holders: [] } },
})

describe('A missing header can only reduce access', () => {
  const ALL: HeaderFields = {
    ...CERTIFICATE,
    ...SESSION,
    Origin: 'https://ha.test',
    'Sec-Fetch-Site': 'same-origin',
    'X-Forwarded-Method': 'POST',
    'X-Certlatch-Proxy-Secret': 'correct horse battery',
  }
  const grounds: GroundsOptions = { proxySecret: 'correct horse battery' }

  const NEEDED = /^X-(Certlatch-Proxy-Secret|Forwarded-(Method|Proto|Host|Uri))$/

  test('CVE-2024-45410 GHSA-62c8-mh53-4cqv (Traefik): Connection may take any header away', () => {
    const strength = (fields: HeaderFields): number => {
      const said = answer(fields, { grounds })
      return said === 'allow via certificate' ? 2 : said === 'allow via session' ? 1 : 0
    }
    assert.equal(strength(ALL), 2)
    const names = [...Object.keys(ALL), 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Uri']
    for (let mask = 0; mask < 2 ** names.length; mask += 1) {
      const taken = names.filter((_, index) => (mask >> index) & 1)
      const without = Object.fromEntries(taken.map((name) => [name, undefined]))
      const left = strength({ ...ALL, ...without })
      const expected = taken.some((name) => NEEDED.test(name))
        ? 0
        : taken.includes(DIALECTS.traefik.certificateHeader)
          ? Number(!taken.includes('Cookie'))
          : 2
      assert.equal(left, expected, taken.join(', '))
    }
  })

  test('CVE-2024-45410 (Traefik): without X-Forwarded-Host, -Uri, -Proto or -Method nothing is allowed, not even by an open rule', () => {
    for (const name of ['Method', 'Proto', 'Host', 'Uri']) {
      const fields = { ...CERTIFICATE, [`X-Forwarded-${name}`]: undefined, Host: 'ha.test' }
      assert.equal(answer(fields), 'deny: malformed-request')
      assert.equal(answer(fields, { grounds: ruleOf('open') }), 'deny: malformed-request')
    }
  })
})

describe('Look-alike header names', () => {
  const ALIASES: readonly (readonly [string, readonly string[]])[] = [
    [
      'CVE-2026-39858 GHSA-5m6w-wvh7-57vm (Traefik): X_Forwarded_Proto',
      [
        'X_Forwarded_Proto',
        'X_Forwarded_Host',
        'X_Forwarded_Uri',
        'X_Forwarded_Method',
        'X-Forwarded_For',
      ],
    ],
    [
      'CVE-2026-54763 GHSA-x677-9fxg-v5c5 (Traefik): X_Auth_User survives authResponseHeaders',
      ['Remote_User', 'REMOTE_USER', 'X_Certlatch_Device', 'X_Certlatch_Via'],
    ],
    [
      'CVE-2026-88011 GHSA-rf44-j88r-hh8c (Traefik): so does X.Auth.User',
      ['Remote.User', 'Remote~User', 'remote!user', 'X.Certlatch.Device'],
    ],
    ['CVE-2026-52845 GHSA-f59h-q822-g45g (Caddy): Remote_Groups with FastCGI', ['remote_user']],
    ['CVE-2025-64484 (oauth2-proxy): X_Forwarded_User', ['Remote_user', 'remote+user']],
  ]
  for (const [name, aliases] of ALIASES) {
    test(`${name} is refused under every proxy and rule`, () => {
      for (const alias of aliases) {
        for (const dialect of DIALECT_NAMES) {
          const fields = { ...shown(dialect, 'leaf-good'), [alias]: 'root' }
          assert.equal(answer(fields, { dialect }), 'deny: header-alias', alias)
        }
        const open = { grounds: ruleOf('open') }
        assert.equal(answer({ ...CERTIFICATE, [alias]: 'root' }, open), 'deny: header-alias')
      }
    })
  }

  test('CVE-2026-39858 (Traefik): a look-alike never substitutes for the header itself', () => {
    const fields = { ...CERTIFICATE, 'X-Forwarded-Host': undefined, X_Forwarded_Host: 'ha.test' }
    assert.equal(answer(fields), 'deny: malformed-request')
    const certificate = { X_Forwarded_Tls_Client_Cert: certificateHeader('traefik', 'leaf-good') }
    assert.equal(answer(certificate), 'deny: header-alias')
  })
})

describe('Headers that certlatch does not define', () => {
  test('CVE-2026-35051 GHSA-6384-m2mw-rf54 (Traefik): X-Forwarded-Prefix is not read', () => {
    const prefix = { 'X-Forwarded-Prefix': '/public' }
    assert.deepEqual(requestHeaders(prefix), requestHeaders())
  })

  test("tinyauth #340: no rule, user or host is taken from a client's header or query", () => {
    const fields: HeaderFields = {
      'X-Forwarded-Uri': '/?access=open&user=root&host=ha.test',
      'X-Certlatch-Device': 'root',
      'X-Certlatch-Via': 'certificate',
      'X-Certlatch-Access': 'open',
      'Remote-User': 'root',
      'Tinyauth-Allowed': 'true',
      'X-Original-Url': '/open',
      'X-Forwarded-User': 'root',
    }
    assert.equal(answer(fields), 'deny: no-credentials')
  })

  test("other proxies' certificate headers, which every proxy passes through, grant no access", () => {
    for (const configured of DIALECT_NAMES) {
      const others = DIALECT_NAMES.filter(
        (name) => DIALECTS[name].certificateHeader !== DIALECTS[configured].certificateHeader,
      )
      const forged = Object.assign({}, ...others.map((name) => shown(name, 'leaf-good')))
      assert.equal(answer(forged, { dialect: configured }), 'deny: header-alias')
    }
  })

  test('CVE-2026-33433 GHSA-qr99-7898-vr7c (Traefik): a second spelling of a name counts as a second copy', () => {
    for (const dialect of DIALECT_NAMES) {
      const { certificateHeader: name } = DIALECTS[dialect]
      const fields = {
        ...shown(dialect, 'leaf-good'),
        [name.toUpperCase()]: certificateHeader(dialect, 'leaf-good'),
      }
      assert.equal(answer(fields, { dialect }), 'deny: header-repeated')
    }
  })
})

describe('Whether the proxy requested a certificate is never inferred', () => {
  for (const advisory of [
    'CVE-2026-32305 (Traefik): a fragmented ClientHello got the default TLS options',
    'CVE-2026-53622 GHSA-9cr8-q42q-g8m7 (Traefik): HTTP/3 asked for none',
    'CVE-2026-48491 GHSA-5r4w-85f3-pw66 (Traefik): a wildcard host was not checked against SNI',
    'Caddy #7953: client_auth was not enforced on HTTP/3',
  ]) {
    test(`${advisory}: a request without certificate and session is denied`, () => {
      for (const dialect of DIALECT_NAMES) {
        assert.equal(answer({}, { dialect }), 'deny: no-credentials')
        assert.equal(
          answer({ 'X-SSL-Client-Verify': 'SUCCESS' }, { dialect }),
          'deny: no-credentials',
        )
      }
    })
  }

  test('CVE-2026-27586 GHSA-hffm-g8v7-wrv7 (Caddy): a certificate that the proxy let through is verified here', () => {
    for (const dialect of DIALECT_NAMES) {
      for (const leaf of ['leaf-foreign', 'leaf-self-signed', 'leaf-of-twin']) {
        assert.equal(answer(shown(dialect, leaf), { dialect }), 'deny: certificate-untrusted')
      }
    }
  })

  test('CVE-2025-23419 (nginx), CVE-2025-23048 (Apache): the certificate of a resumed TLS session is verified too, on every request', () => {
    for (const dialect of DIALECT_NAMES) {
      const fields = shown(dialect, 'leaf-good')
      assert.equal(answer(fields, { dialect }), 'allow via certificate')
      const grounds = { revocationLists: ['crl-good-revoked'] }
      assert.equal(answer(fields, { dialect, grounds }), 'deny: certificate-revoked')
      assert.equal(answer(shown(dialect, 'leaf-expired'), { dialect }), 'deny: certificate-expired')
    }
  })
})

describe('Identity', () => {
  test('CVE-2026-30851 GHSA-7r4p-vjf4-gxv4 (Caddy): every request allowed by certificate or session has an identity', () => {
    for (const fields of [CERTIFICATE, SESSION]) {
      const decision = decide(question(fields), groundsOf(), NOW_SECONDS)
      assert.ok(decision.allow)
      assert.ok(decision.identity?.user)
    }
  })

  test('CVE-2026-40574 (oauth2-proxy): names match as a whole, never in part', () => {
    const identity = { device: 'ada@evil@home.test', user: 'ada@evil@home.test' }
    const registry = new Map([['leaf-good', identity]])
    const decision = decide(question(CERTIFICATE), groundsOf({ registry }), NOW_SECONDS)
    assert.ok(decision.allow)
    assert.deepEqual(decision.identity, identity)
    // Another certificate of the same CA with the same names is not accepted.
    assert.equal(answer(shown('traefik', 'leaf-no-eku')), 'deny: unknown-device')
  })

  test('a session belongs to one certificate: neither its serial number nor its issuer alone is enough', () => {
    const grounds: GroundsOptions = {
      authorities: ['ca-p256', 'ca-twin'],
      revocationLists: ['crl-empty', 'crl-of-twin'],
    }
    const twin = claimsOf('leaf-of-twin', {}, 'ca-twin')
    const swapped = claimsOf('leaf-good', { issuerKeyHash: twin.issuerKeyHash })
    assert.equal(answer({ Cookie: sessionPair(swapped) }, { grounds }), 'deny: unknown-device')
    const serial = claimsOf('leaf-good', { serial: twin.serial })
    assert.equal(answer({ Cookie: sessionPair(serial) }, { grounds }), 'deny: unknown-device')
  })
})

describe('The address that sends the auth request', () => {
  test('CVE-2026-40575 GHSA-7x63-xv5r-3p2x (oauth2-proxy): X-Forwarded-Uri from any other address is not read', () => {
    const fields = { ...CERTIFICATE, 'X-Forwarded-Uri': '/open' }
    for (const access of ['open', 'certificate-or-session'] as const) {
      assert.equal(
        answer(fields, { fromTrustedAddress: false, grounds: ruleOf(access) }),
        'deny: untrusted-proxy',
      )
    }
  })
})

describe('The URI', () => {
  const pathOf = (uri: string): string | undefined =>
    readOriginalRequest(requestHeaders({ 'X-Forwarded-Uri': uri }))?.path

  test('CVE-2021-32637 GHSA-68wm-pfjf-wqp6 (Authelia): one that cannot be parsed is denied', () => {
    const uris = [
      '',
      '*',
      'a',
      '/%',
      '/%zz',
      '/\0',
      '/a b',
      '/\x7f',
      '/a#b',
      '?',
      'https://ha.test/',
    ]
    for (const uri of uris) {
      for (const access of ['open', 'certificate-or-session', 'certificate'] as const) {
        const fields = { ...CERTIFICATE, ...SESSION, 'X-Forwarded-Uri': uri }
        assert.equal(answer(fields, { grounds: ruleOf(access) }), 'deny: malformed-request', uri)
      }
    }
  })

  test('CVE-2025-54576 GHSA-7rh7-c77v-6434 (oauth2-proxy), tinyauth #1044: the query is not part of the path', () => {
    assert.equal(pathOf('/admin?/open'), '/admin')
    assert.equal(pathOf('/admin?x=/open?/open'), '/admin')
    assert.equal(pathOf('/admin%3F/open'), '/admin%3F/open')
  })

  test('CVE-2026-40912 GHSA-6jwx-7vp4-9847 (Traefik), GHSA-3q34-rx83-r6mq (Heimdall), CVE-2026-95811 (LemonLDAP): nothing is decoded or normalised on the way', () => {
    for (const path of ['/a/../b', '/%2e%2e/b', '//b', '/a%2fb', '/a;x/b', '/a\\b', '/%61']) {
      assert.equal(pathOf(path), path)
    }
  })
})

describe('The host', () => {
  test('CVE-2026-48794 (Authelia), CVE-2026-77560 GHSA-328g-jx67-v94g (tinyauth): case, port and trailing dot do not make it a different host', () => {
    for (const host of ['HA.TEST', 'Ha.Test.', 'ha.test:443', 'HA.test.:8443']) {
      assert.equal(answer({ ...SESSION, 'X-Forwarded-Host': host }), 'allow via session', host)
    }
    for (const host of ['OTHER.TEST', 'other.test.', 'ha.test.other.test']) {
      assert.equal(
        answer({ ...SESSION, 'X-Forwarded-Host': host }),
        'deny: session-wrong-host',
        host,
      )
    }
  })

  test('one that contains user information or a list is denied', () => {
    for (const host of [
      'ada@ha.test',
      'ha.test@evil.test',
      'ha.test,evil.test',
      'ha.test evil.test',
    ]) {
      assert.equal(
        answer({ ...CERTIFICATE, 'X-Forwarded-Host': host }),
        'deny: malformed-request',
        host,
      )
    }
  })
})

describe('The cookie', () => {
  test('CVE-2026-25748 GHSA-fj56-5763-j8pp (authentik): a malformed one is denied, instead of passing without an identity', () => {
    const cookies = [
      '',
      '=',
      ';',
      '\0',
      '%',
      '"',
      'v1',
      'v1..',
      'null',
      '{}',
      `${'A'.repeat(5000)}`,
    ]
    for (const value of cookies) {
      assert.equal(
        answer({ Cookie: `${COOKIE_NAME}=${value}` }),
        'deny: session-malformed',
        value.slice(0, 10),
      )
    }
    for (const header of ['', ';', '=', COOKIE_NAME, `${COOKIE_NAME};`, '\u00ff']) {
      assert.equal(answer({ Cookie: header }), 'deny: no-credentials', header)
    }
  })

  test('cookies of our name set by a neighbouring host neither grant access nor lock the owner out', () => {
    const [own = ''] = [SESSION['Cookie']].flat()
    const tossed = sessionPair(claimsOf('leaf-second', { host: 'neighbour.test' }))
    assert.equal(answer({ Cookie: `${tossed}; ${own}` }), 'allow via session')
    assert.equal(answer({ Cookie: tossed }), 'deny: session-wrong-host')
  })
})
