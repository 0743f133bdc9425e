import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type Config, parseConfig, type Values } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { OPTIONS, type SettingName } from '../../src/config/options.ts'
import { DIALECTS } from '../../src/proxy/dialects.ts'
import { containsAddress } from '../../src/proxy/networks.ts'

function configOf(values: Values): Config {
  const parsed = parseConfig(values)
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problems.join('\n'))
  return parsed.config
}

function warningsOf(values: Values): readonly string[] {
  const loaded = loadConfig(values)
  assert.ok(loaded.ok)
  return loaded.warnings
}

function problemsOf(values: Values): readonly string[] {
  const parsed = parseConfig(values)
  assert.ok(!parsed.ok)
  return parsed.problems
}

test('Without any setting, certlatch serves a single Traefik on this machine with its built-in CA', () => {
  const { trustedProxies, ...config } = configOf({})
  assert.deepEqual(config, {
    listen: { host: '127.0.0.1', port: 9180 },
    adminListen: { host: '127.0.0.1', port: 9181 },
    pagesListen: { host: '127.0.0.1', port: 9182 },
    url: undefined,
    dataDir: './data',
    ca: {
      kind: 'built-in',
      file: 'data/public/ca.crt',
      crlFile: 'data/public/ca.crl',
      crlFileNamed: false,
    },
    identity: ['email', 'uri', 'cn', 'upn', 'dns', 'subject-email', 'uid'],
    sessionKeysFile: 'data/private/session.keys',
    sessionKeysFileNamed: false,
    dialect: DIALECTS.traefik,
    proxySecret: undefined,
    sessionTtlSeconds: 3600,
    sessionMaxAgeSeconds: 86_400,
    cookieName: '__Host-certlatch',
    cookieDomain: undefined,
    caPassphrase: undefined,
    onRevoke: undefined,
    composeService: undefined,
    denial: '403',
    policyFile: undefined,
    metricsToken: undefined,
    logLevel: 'info',
    logFormat: 'json',
    logClient: 'full',
  })
  assert.deepEqual(trustedProxies.text, ['loopback'])
  assert.deepEqual(warningsOf({}), [])
})

const SECRET = 'Zq7!x9w#Lm2$Pf8%'

/** Setting, value, and what it becomes. */
const GOOD: readonly (readonly [SettingName, string, Partial<Config>])[] = [
  ['CERTLATCH_LISTEN', '0.0.0.0:80', { listen: { host: '0.0.0.0', port: 80 } }],
  ['CERTLATCH_LISTEN', '[::1]:9180', { listen: { host: '::1', port: 9180 } }],
  ['CERTLATCH_LISTEN', '[::]:65535', { listen: { host: '::', port: 65_535 } }],
  ['CERTLATCH_LISTEN', '127.0.0.1:0', { listen: { host: '127.0.0.1', port: 0 } }],
  ['CERTLATCH_PAGES_LISTEN', '10.0.0.7:1', { pagesListen: { host: '10.0.0.7', port: 1 } }],
  ['CERTLATCH_URL', 'https://Home.example.org:8443/', { url: 'https://home.example.org:8443' }],
  ['CERTLATCH_ADMIN_LISTEN', '10.0.0.7:1', { adminListen: { host: '10.0.0.7', port: 1 } }],
  [
    'CERTLATCH_DATA_DIR',
    '/var/lib/certlatch',
    {
      dataDir: '/var/lib/certlatch',
      ca: {
        kind: 'built-in',
        file: '/var/lib/certlatch/public/ca.crt',
        crlFile: '/var/lib/certlatch/public/ca.crl',
        crlFileNamed: false,
      },
      sessionKeysFile: '/var/lib/certlatch/private/session.keys',
    },
  ],
  ['CERTLATCH_DATA_DIR', 'Ada’s data', { dataDir: 'Ada’s data' }],
  [
    'CERTLATCH_CA_FILE',
    'ca.pem',
    { ca: { kind: 'external', file: 'ca.pem', crlFile: undefined, staleCrl: 'deny' } },
  ],
  [
    'CERTLATCH_CRL_FILE',
    'ca.crl',
    {
      ca: {
        kind: 'built-in',
        file: 'data/public/ca.crt',
        crlFile: 'ca.crl',
        crlFileNamed: true,
      },
    },
  ],
  ['CERTLATCH_IDENTITY', 'cn', { identity: ['cn'] }],
  ['CERTLATCH_IDENTITY', 'upn, subject-email dns', { identity: ['upn', 'subject-email', 'dns'] }],
  [
    'CERTLATCH_SESSION_KEYS_FILE',
    '/run/keys',
    { sessionKeysFile: '/run/keys', sessionKeysFileNamed: true },
  ],
  ['CERTLATCH_PROXY', 'traefik', { dialect: DIALECTS.traefik }],
  ['CERTLATCH_PROXY', 'caddy', { dialect: DIALECTS.caddy }],
  ['CERTLATCH_PROXY', 'haproxy', { dialect: DIALECTS.haproxy }],
  ['CERTLATCH_PROXY', 'nginx', { dialect: DIALECTS.nginx }],
  [
    'CERTLATCH_CERTIFICATE_HEADER',
    'X-My-Certificate',
    { dialect: { ...DIALECTS.traefik, certificateHeader: 'x-my-certificate' } },
  ],
  ['CERTLATCH_CERTIFICATE_HEADER', 'X-Forwarded-Tls-Client-Cert', { dialect: DIALECTS.traefik }],
  ['CERTLATCH_PROXY_SECRET', SECRET, { proxySecret: SECRET }],
  ['CERTLATCH_SESSION_TTL', '10s', { sessionTtlSeconds: 10 }],
  ['CERTLATCH_SESSION_TTL', '15m', { sessionTtlSeconds: 900 }],
  ['CERTLATCH_SESSION_TTL', '1h30m', { sessionTtlSeconds: 5400 }],
  ['CERTLATCH_SESSION_TTL', '23h59m60s', { sessionTtlSeconds: 86_400 }],
  ['CERTLATCH_SESSION_MAX_AGE', '1h', { sessionMaxAgeSeconds: 3600 }],
  ['CERTLATCH_SESSION_MAX_AGE', '400d', { sessionMaxAgeSeconds: 34_560_000 }],
  ['CERTLATCH_COOKIE_NAME', '__Host-home', { cookieName: '__Host-home' }],
  [
    'CERTLATCH_COOKIE_DOMAIN',
    'Home.Example.ORG',
    { cookieDomain: 'home.example.org', cookieName: '__Secure-certlatch' },
  ],
  ['CERTLATCH_CA_PASSPHRASE', 'correct horse', { caPassphrase: 'correct horse' }],
  ['CERTLATCH_ON_REVOKE', '["/bin/x", "", "a b"]', { onRevoke: ['/bin/x', '', 'a b'] }],
  ['CERTLATCH_COMPOSE_SERVICE', 'gate-1.home_x', { composeService: 'gate-1.home_x' }],
  ['CERTLATCH_DENIAL', '403', { denial: '403' }],
  ['CERTLATCH_DENIAL', 'adaptive', { denial: 'adaptive' }],
  [
    'CERTLATCH_POLICY_FILE',
    '/etc/certlatch/policy.yaml',
    { policyFile: '/etc/certlatch/policy.yaml' },
  ],
  ['CERTLATCH_METRICS_TOKEN', SECRET, { metricsToken: SECRET }],
  ['CERTLATCH_LOG_LEVEL', 'debug', { logLevel: 'debug' }],
  ['CERTLATCH_LOG_LEVEL', 'error', { logLevel: 'error' }],
  ['CERTLATCH_LOG_FORMAT', 'text', { logFormat: 'text' }],
  ['CERTLATCH_LOG_CLIENT', 'shortened', { logClient: 'shortened' }],
  ['CERTLATCH_LOG_CLIENT', 'none', { logClient: 'none' }],
]

describe('A valid value', () => {
  for (const [name, value, expected] of GOOD) {
    test(`${name}=${value} is read`, () => {
      const config = configOf({ [name]: value })
      for (const [key, part] of Object.entries(expected)) {
        assert.deepEqual(config[key as keyof Config], part, key)
      }
    })
  }
  test('is tested for every setting', () => {
    // These two are tried below.
    const tried = new Set<string>(GOOD.map(([name]) => name))
      .add('CERTLATCH_TRUSTED_PROXIES')
      .add('CERTLATCH_CRL_STALE')
    assert.deepEqual(
      OPTIONS.map(({ name }) => name).filter((name) => !tried.has(name)),
      [],
    )
  })
})

const ADDRESS =
  'expected an IP address and a port such as 127.0.0.1:9180, 0.0.0.0:9180 or [::1]:9180'
const ORIGIN = 'expected an https address without a path, such as https://home.example.org'
const DURATION = 'expected a duration such as 90s, 15m or 1h'
const IDENTITY =
  'expected one or more of email, uri, cn, upn, dns, subject-email, uid, with commas between them'
const PATH = 'expected a path without control characters and without white space around it'
const COMMAND =
  'expected a JSON array of a program and its arguments, such as ["/usr/bin/touch", "/run/revoked"]'
const SERVICE = 'expected a name of letters, digits, "-", "_" and ".", such as certlatch'
const HEADER =
  'expected a header name of letters, digits and "-", such as X-Forwarded-Tls-Client-Cert'
const TAKEN_HEADER = 'expected a header that carries nothing else'
const HOST_COOKIE =
  'expected a name such as __Host-certlatch, beginning with __Host-, which keeps it to one host'
const COOKIE = 'expected a cookie name such as __Host-certlatch'
const DOMAIN = 'expected a domain name such as example.org, without a dot before it, port or path'
const NETWORKS = 'expected addresses or networks such as loopback, 192.168.1.10 or 172.18.0.0/16'
const NO_NETWORK = 'is not an address or network such as 192.168.1.10, 172.18.0.0/16 or fd00::/8'
const hostless = (port: string) =>
  `expected a host before the port, such as 127.0.0.1:${port} for this machine alone or 0.0.0.0:${port} for every network`

/** Setting, value, and what follows `<setting> is "<value>": `. */
const BAD: readonly (readonly [SettingName, string, string])[] = [
  ['CERTLATCH_LISTEN', ':9180', hostless('9180')],
  ['CERTLATCH_LISTEN', '8080', hostless('8080')],
  ['CERTLATCH_LISTEN', ':99999', ADDRESS],
  ['CERTLATCH_LISTEN', 'localhost:9180', ADDRESS],
  ['CERTLATCH_LISTEN', '127.0.0.1', ADDRESS],
  ['CERTLATCH_LISTEN', '127.0.0.1:', ADDRESS],
  ['CERTLATCH_LISTEN', '127.0.0.1:65536', ADDRESS],
  ['CERTLATCH_LISTEN', '127.0.0.1:080', ADDRESS],
  ['CERTLATCH_LISTEN', '127.0.0.1:-1', ADDRESS],
  ['CERTLATCH_LISTEN', '::1:9180', ADDRESS],
  ['CERTLATCH_LISTEN', '[127.0.0.1]:9180', ADDRESS],
  ['CERTLATCH_LISTEN', '[fe80::1%eth0]:9180', ADDRESS],
  ['CERTLATCH_LISTEN', 'http://127.0.0.1:9180', ADDRESS],
  [
    'CERTLATCH_LISTEN',
    '127.0.0.1:9181',
    'expected another address than the default of CERTLATCH_ADMIN_LISTEN',
  ],
  ['CERTLATCH_ADMIN_LISTEN', 'nowhere', ADDRESS],
  [
    'CERTLATCH_ADMIN_LISTEN',
    '127.0.0.1:9180',
    'expected another address than CERTLATCH_LISTEN has',
  ],
  [
    'CERTLATCH_PAGES_LISTEN',
    '127.0.0.1:9180',
    'expected another address than CERTLATCH_LISTEN has',
  ],
  [
    'CERTLATCH_PAGES_LISTEN',
    '127.0.0.1:9181',
    'expected another address than CERTLATCH_ADMIN_LISTEN has',
  ],
  [
    'CERTLATCH_LISTEN',
    '127.0.0.1:9182',
    'expected another address than the default of CERTLATCH_PAGES_LISTEN',
  ],
  ['CERTLATCH_URL', 'home.example.org', ORIGIN],
  [
    'CERTLATCH_URL',
    'http://home.example.org',
    'expected https, without which no browser shows a certificate',
  ],
  [
    'CERTLATCH_URL',
    'https://home.example.org/lovelace',
    'expected no more than the address, https://home.example.org',
  ],
  [
    'CERTLATCH_URL',
    'https://ada@home.example.org',
    'expected no more than the address, https://home.example.org',
  ],
  ['CERTLATCH_DATA_DIR', ' data', PATH],
  ['CERTLATCH_CA_FILE', 'ca.pem ', PATH],
  ['CERTLATCH_CRL_FILE', ' ', PATH],
  ['CERTLATCH_SESSION_KEYS_FILE', '\t', PATH],
  ['CERTLATCH_POLICY_FILE', ' rules.yaml', PATH],
  ['CERTLATCH_CRL_STALE', 'ignore', 'expected deny or allow'],
  ['CERTLATCH_IDENTITY', 'cn,name', IDENTITY],
  ['CERTLATCH_IDENTITY', 'cn,cn', IDENTITY],
  ['CERTLATCH_IDENTITY', 'CN', IDENTITY],
  ['CERTLATCH_IDENTITY', ' , ', IDENTITY],
  ['CERTLATCH_PROXY', 'envoy', 'expected traefik, caddy, haproxy or nginx'],
  ['CERTLATCH_PROXY', 'Traefik', 'expected traefik, caddy, haproxy or nginx'],
  ['CERTLATCH_PROXY', '__proto__', 'expected traefik, caddy, haproxy or nginx'],
  ['CERTLATCH_CERTIFICATE_HEADER', 'X_Client_Cert', HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'X.Client.Cert', HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'X Client Cert', HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'X-Client-Cert:', HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'Cookie', TAKEN_HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'HOST', TAKEN_HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'Authorization', TAKEN_HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'Origin', TAKEN_HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'Remote-User', TAKEN_HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'X-Forwarded-Uri', TAKEN_HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'X-Forwarded-Tls-Client-Cert-Info', TAKEN_HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'Client-Cert-Chain', TAKEN_HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'X-Certlatch-Proxy-Secret', TAKEN_HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'Sec-WebSocket-Key', TAKEN_HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'Accept', TAKEN_HEADER],
  ['CERTLATCH_CERTIFICATE_HEADER', 'Access-Control-Request-Method', TAKEN_HEADER],
  ['CERTLATCH_TRUSTED_PROXIES', ' , ', NETWORKS],
  ['CERTLATCH_TRUSTED_PROXIES', 'traefik', `"traefik" ${NO_NETWORK}`],
  ['CERTLATCH_TRUSTED_PROXIES', '::1, x\u001b[2J', `"x\\u{1b}[2J" ${NO_NETWORK}`],
  ['CERTLATCH_SESSION_TTL', '1 hour', DURATION],
  ['CERTLATCH_SESSION_TTL', 'h', DURATION],
  ['CERTLATCH_SESSION_TTL', '30m1h', DURATION],
  ['CERTLATCH_SESSION_TTL', '-1h', DURATION],
  ['CERTLATCH_SESSION_TTL', '1.5h', DURATION],
  ['CERTLATCH_SESSION_TTL', '5', DURATION],
  ['CERTLATCH_SESSION_TTL', '9999999999', DURATION],
  ['CERTLATCH_SESSION_TTL', '3600', 'expected a unit after the number: write 3600s or 1h'],
  ['CERTLATCH_SESSION_TTL', '45', 'expected a unit after the number: write 45s'],
  ['CERTLATCH_SESSION_TTL', '90061', 'expected a unit after the number: write 90061s or 1d1h1m1s'],
  ['CERTLATCH_SESSION_TTL', '9s', 'expected at least 10s and at most 30d'],
  ['CERTLATCH_SESSION_TTL', '30d1s', 'expected at least 10s and at most 30d'],
  [
    'CERTLATCH_SESSION_TTL',
    '2d',
    'expected at most 1d, which CERTLATCH_SESSION_MAX_AGE is by default',
  ],
  ['CERTLATCH_SESSION_MAX_AGE', '401d', 'expected at least 10s and at most 400d'],
  ['CERTLATCH_SESSION_MAX_AGE', '59m', 'expected at least 1h, which CERTLATCH_SESSION_TTL is'],
  ['CERTLATCH_COOKIE_NAME', 'session', HOST_COOKIE],
  ['CERTLATCH_COOKIE_NAME', '__Secure-certlatch', HOST_COOKIE],
  ['CERTLATCH_COOKIE_NAME', '__Host-', HOST_COOKIE],
  ['CERTLATCH_COOKIE_NAME', '__host-certlatch', HOST_COOKIE],
  ['CERTLATCH_COOKIE_NAME', '__Host-a=b', COOKIE],
  ['CERTLATCH_COOKIE_NAME', '__Host-a;b', COOKIE],
  ['CERTLATCH_COOKIE_NAME', '__Host-a b', COOKIE],
  ['CERTLATCH_COOKIE_DOMAIN', '.example.org', DOMAIN],
  ['CERTLATCH_COOKIE_DOMAIN', 'example.org.', DOMAIN],
  ['CERTLATCH_COOKIE_DOMAIN', 'example.org:8443', DOMAIN],
  ['CERTLATCH_COOKIE_DOMAIN', 'https://example.org', DOMAIN],
  ['CERTLATCH_COOKIE_DOMAIN', 'localhost', DOMAIN],
  ['CERTLATCH_COOKIE_DOMAIN', '192.168.1.10', DOMAIN],
  ['CERTLATCH_COOKIE_DOMAIN', 'example.0x7f', DOMAIN],
  ['CERTLATCH_COOKIE_DOMAIN', '[::1]', DOMAIN],
  ['CERTLATCH_COOKIE_DOMAIN', '-a.example.org', DOMAIN],
  ['CERTLATCH_COOKIE_DOMAIN', 'bücher.example', DOMAIN],
  ['CERTLATCH_ON_REVOKE', '/bin/restart proxy', COMMAND],
  ['CERTLATCH_ON_REVOKE', '"/bin/restart"', COMMAND],
  ['CERTLATCH_ON_REVOKE', '[]', COMMAND],
  ['CERTLATCH_ON_REVOKE', '[""]', COMMAND],
  ['CERTLATCH_ON_REVOKE', '["/bin/restart", 1]', COMMAND],
  ['CERTLATCH_ON_REVOKE', '["/bin/restart", "\\u0000"]', COMMAND],
  ['CERTLATCH_COMPOSE_SERVICE', 'gate keeper', SERVICE],
  ['CERTLATCH_COMPOSE_SERVICE', '-gate', SERVICE],
  ['CERTLATCH_DENIAL', '401', 'expected 403 or adaptive'],
  ['CERTLATCH_LOG_LEVEL', 'trace', 'expected debug, info, warn or error'],
  ['CERTLATCH_LOG_FORMAT', 'pretty', 'expected json or text'],
  ['CERTLATCH_LOG_CLIENT', 'short', 'expected full, shortened or none'],
]

describe('An invalid value', () => {
  for (const [name, value, problem] of BAD) {
    test(`${name}=${JSON.stringify(value)} is reported with what would be valid`, () => {
      const shown = value.replaceAll('\t', '\\u{9}').replaceAll('\u001b', '\\u{1b}')
      assert.deepEqual(problemsOf({ [name]: value }), [`${name} is "${shown}": ${problem}`])
    })
  }
  test('is tested for every setting', () => {
    const tried = new Set<string>(BAD.map(([name]) => name))
    assert.deepEqual(
      OPTIONS.filter(({ name, secret }) => !secret && !tried.has(name)),
      [],
    )
  })
})

describe('A domain name', () => {
  const label = 'a'.repeat(63)
  test('has labels of at most 63 characters', () => {
    assert.equal(
      configOf({ CERTLATCH_COOKIE_DOMAIN: `${label}.org` }).cookieName,
      '__Secure-certlatch',
    )
    assert.equal(problemsOf({ CERTLATCH_COOKIE_DOMAIN: `a${label}.org` }).length, 1)
  })
  test('has at most 253 characters', () => {
    const domain = `${label}.${label}.${label}.${'a'.repeat(61)}`
    assert.equal(configOf({ CERTLATCH_COOKIE_DOMAIN: domain }).cookieDomain, domain)
    assert.equal(problemsOf({ CERTLATCH_COOKIE_DOMAIN: `${domain}a` }).length, 1)
  })
})

test('An empty value is a problem for every setting', () => {
  const values = Object.fromEntries(OPTIONS.map(({ name }) => [name, '']))
  assert.deepEqual(problemsOf(values).toSorted(), [
    'CERTLATCH_ADMIN_LISTEN is empty: remove it or give it an IP address and a port such as 127.0.0.1:9180, 0.0.0.0:9180 or [::1]:9180',
    'CERTLATCH_CA_FILE is empty: remove it or give it a path',
    'CERTLATCH_CA_PASSPHRASE is empty: remove it or give it one line of text',
    'CERTLATCH_CERTIFICATE_HEADER is empty: remove it or give it a header name of letters, digits and "-", such as X-Forwarded-Tls-Client-Cert',
    'CERTLATCH_COMPOSE_SERVICE is empty: remove it or give it a name of letters, digits, "-", "_" and ".", such as certlatch',
    'CERTLATCH_COOKIE_DOMAIN is empty: remove it or give it a domain name such as example.org, without a dot before it, port or path',
    'CERTLATCH_COOKIE_NAME is empty: remove it or give it a cookie name such as __Host-certlatch',
    'CERTLATCH_CRL_FILE is empty: remove it or give it a path',
    'CERTLATCH_CRL_STALE is empty: remove it or give it deny or allow',
    'CERTLATCH_DATA_DIR is empty: remove it or give it a path',
    'CERTLATCH_DENIAL is empty: remove it or give it 403 or adaptive',
    'CERTLATCH_IDENTITY is empty: remove it or give it one or more of email, uri, cn, upn, dns, subject-email, uid, with commas between them',
    'CERTLATCH_LISTEN is empty: remove it or give it an IP address and a port such as 127.0.0.1:9180, 0.0.0.0:9180 or [::1]:9180',
    'CERTLATCH_LOG_CLIENT is empty: remove it or give it full, shortened or none',
    'CERTLATCH_LOG_FORMAT is empty: remove it or give it json or text',
    'CERTLATCH_LOG_LEVEL is empty: remove it or give it debug, info, warn or error',
    'CERTLATCH_METRICS_TOKEN is empty: remove it or give it at least 16 printable ASCII characters without spaces',
    'CERTLATCH_ON_REVOKE is empty: remove it or give it a JSON array of a program and its arguments, such as ["/usr/bin/touch", "/run/revoked"]',
    'CERTLATCH_PAGES_LISTEN is empty: remove it or give it an IP address and a port such as 127.0.0.1:9180, 0.0.0.0:9180 or [::1]:9180',
    'CERTLATCH_POLICY_FILE is empty: remove it or give it a path',
    'CERTLATCH_PROXY is empty: remove it or give it traefik, caddy, haproxy or nginx',
    'CERTLATCH_PROXY_SECRET is empty: remove it or give it at least 16 printable ASCII characters without spaces',
    'CERTLATCH_SESSION_KEYS_FILE is empty: remove it or give it a path',
    'CERTLATCH_SESSION_MAX_AGE is empty: remove it or give it a duration such as 90s, 15m or 1h',
    'CERTLATCH_SESSION_TTL is empty: remove it or give it a duration such as 90s, 15m or 1h',
    'CERTLATCH_TRUSTED_PROXIES is empty: remove it or give it addresses or networks such as loopback, 192.168.1.10 or 172.18.0.0/16',
    'CERTLATCH_URL is empty: remove it or give it an https address without a path, such as https://home.example.org',
  ])
})

describe('Settings that depend on each other', () => {
  test('both listeners may ask for any free port', () => {
    const config = configOf({
      CERTLATCH_LISTEN: '127.0.0.1:0',
      CERTLATCH_ADMIN_LISTEN: '127.0.0.1:0',
    })
    assert.deepEqual(config.listen, config.adminListen)
  })
  test('an invalid address is not compared with the other', () => {
    assert.equal(
      problemsOf({ CERTLATCH_LISTEN: 'x', CERTLATCH_ADMIN_LISTEN: '127.0.0.1:9180' }).length,
      1,
    )
    assert.equal(
      problemsOf({ CERTLATCH_LISTEN: '127.0.0.1:9181', CERTLATCH_ADMIN_LISTEN: 'x' }).length,
      1,
    )
  })
  test('an invalid duration is not compared with the other', () => {
    assert.equal(
      problemsOf({ CERTLATCH_SESSION_TTL: 'x', CERTLATCH_SESSION_MAX_AGE: '1m' }).length,
      1,
    )
    assert.equal(
      problemsOf({ CERTLATCH_SESSION_TTL: '2d', CERTLATCH_SESSION_MAX_AGE: 'x' }).length,
      1,
    )
  })
  test('an external CA may come with its CRLs, which may be out of date', () => {
    const { ca } = configOf({
      CERTLATCH_CA_FILE: 'ca.pem',
      CERTLATCH_CRL_FILE: 'ca.crl',
      CERTLATCH_CRL_STALE: 'allow',
    })
    const [file, crlFile] = ['ca.pem', 'ca.crl']
    assert.deepEqual(ca, { kind: 'external', file, crlFile, staleCrl: 'allow' })
  })
  test("with a cookie domain the cookie's prefix is __Secure-", () => {
    const domain = { CERTLATCH_COOKIE_DOMAIN: 'example.org' }
    assert.equal(
      configOf({ ...domain, CERTLATCH_COOKIE_NAME: '__Secure-home' }).cookieName,
      '__Secure-home',
    )
    assert.deepEqual(problemsOf({ ...domain, CERTLATCH_COOKIE_NAME: '__Host-certlatch' }), [
      'CERTLATCH_COOKIE_NAME is "__Host-certlatch": expected a name such as __Secure-certlatch, beginning with __Secure-, because CERTLATCH_COOKIE_DOMAIN is set',
    ])
  })
})

describe('Trusted proxies', () => {
  test('are separated by commas, spaces or both', () => {
    const { trustedProxies } = configOf({
      CERTLATCH_TRUSTED_PROXIES: '172.18.0.5,10.0.0.0/8  fd00::/8 , loopback',
    })
    assert.deepEqual(trustedProxies.text, ['172.18.0.5', '10.0.0.0/8', 'fd00::/8', 'loopback'])
    for (const address of ['172.18.0.5', '10.1.2.3', 'fd00::7', '127.0.0.9', '::1']) {
      assert.ok(containsAddress(trustedProxies, address), address)
    }
    assert.ok(!containsAddress(trustedProxies, '172.18.0.6'))
  })
  test('that include everyone cause a warning, however they are written', () => {
    for (const network of ['0.0.0.0/0', '::/0', '0:0::/0', '::ffff:0:0/96', '::ffff:0.0.0.0/96']) {
      assert.deepEqual(warningsOf({ CERTLATCH_TRUSTED_PROXIES: `10.0.0.0/8 ${network}` }), [
        `CERTLATCH_TRUSTED_PROXIES has ${network}: any client that reaches the port is trusted; name the address of the proxy`,
      ])
    }
  })
  test('that include everyone cause a warning', () => {
    assert.deepEqual(warningsOf({ CERTLATCH_TRUSTED_PROXIES: '0.0.0.0/0, ::/0' }), [
      'CERTLATCH_TRUSTED_PROXIES has 0.0.0.0/0: any client that reaches the port is trusted; name the address of the proxy',
      'CERTLATCH_TRUSTED_PROXIES has ::/0: any client that reaches the port is trusted; name the address of the proxy',
    ])
    assert.deepEqual(
      warningsOf({ CERTLATCH_TRUSTED_PROXIES: '0.0.0.0/0', CERTLATCH_PROXY_SECRET: SECRET }),
      [
        'CERTLATCH_TRUSTED_PROXIES has 0.0.0.0/0: any client that reaches the port and knows the secret is trusted; name the address of the proxy',
      ],
    )
  })
})

test('An admin listener that others can reach causes a warning', () => {
  const warned = (values: Values) => warningsOf(values)
  assert.deepEqual(warned({ CERTLATCH_ADMIN_LISTEN: '0.0.0.0:9181' }), [
    'CERTLATCH_ADMIN_LISTEN is on 0.0.0.0: set CERTLATCH_METRICS_TOKEN, and let only your monitoring reach it',
  ])
  assert.deepEqual(
    warned({ CERTLATCH_LISTEN: '10.0.0.2:9180', CERTLATCH_ADMIN_LISTEN: '10.0.0.2:9181' }),
    [
      'CERTLATCH_ADMIN_LISTEN is on 10.0.0.2, where the proxy asks too: set CERTLATCH_METRICS_TOKEN, and let only your monitoring reach it',
    ],
  )
  assert.deepEqual(
    warned({ CERTLATCH_ADMIN_LISTEN: '[fd00::1]:9181', CERTLATCH_METRICS_TOKEN: SECRET }),
    ['CERTLATCH_ADMIN_LISTEN is on fd00::1: let only your monitoring reach it'],
  )
  for (const loopback of ['127.0.0.1', '127.9.9.9', '[::1]']) {
    assert.deepEqual(warned({ CERTLATCH_ADMIN_LISTEN: `${loopback}:9181` }), [])
  }
})

test('A cookie domain causes a warning', () => {
  assert.deepEqual(warningsOf({ CERTLATCH_COOKIE_DOMAIN: 'EXAMPLE.org' }), [
    'CERTLATCH_COOKIE_DOMAIN is "example.org": any application under it can act as the device',
  ])
})

describe('A bad secret is described by its length', () => {
  for (const name of ['CERTLATCH_PROXY_SECRET', 'CERTLATCH_METRICS_TOKEN']) {
    for (const [value, has] of [
      ['x', '1 character'],
      ['hunter2hunter2!', '15 characters'],
      ['correct horse battery', '21 characters'],
      ['pässwörterpässwörter', '20 characters'],
      ['0123456789abcdef\n', '17 characters'],
    ] as const) {
      test(`${name} of ${has}`, () => {
        assert.deepEqual(problemsOf({ [name]: value }), [
          `${name} has ${has}: expected at least 16 printable ASCII characters without spaces`,
        ])
      })
    }
  }
})

test('All problems are reported at once, in the order of the table', () => {
  assert.deepEqual(
    problemsOf({
      CERTLATCH_LOG_LEVEL: 'loud',
      CERTLATCH_LISTEN: '*:80',
      CERTLATCH_TRUSTED_PROXIES: '10.0.0.1/8 x',
      CERTLATCH_SESSION_MAX_AGE: 'long',
    }),
    [
      `CERTLATCH_LISTEN is "*:80": ${ADDRESS}`,
      'CERTLATCH_TRUSTED_PROXIES is "10.0.0.1/8 x": "10.0.0.1/8" has bits set beyond its prefix; write the network\'s first address, or drop "/8" for the one address',
      `CERTLATCH_TRUSTED_PROXIES is "10.0.0.1/8 x": "x" ${NO_NETWORK}`,
      `CERTLATCH_SESSION_MAX_AGE is "long": ${DURATION}`,
      'CERTLATCH_LOG_LEVEL is "loud": expected debug, info, warn or error',
    ],
  )
})

const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constantFrom(...GOOD.map(([, value]) => value), ...BAD.map(([, value]) => value)),
)
const settings = fc.record(
  Object.fromEntries(OPTIONS.map(({ name }) => [name, texts])) as Record<SettingName, typeof texts>,
  { requiredKeys: [] },
)

test('No value of any setting makes loadConfig throw, and every problem is one line', () => {
  fc.assert(
    fc.property(settings, (values) => {
      const loaded = loadConfig(values)
      const lines = loaded.ok ? loaded.warnings : loaded.problems
      for (const line of lines) {
        assert.match(line, /^CERTLATCH_[A-Z_]+ (is|has) [^\p{Cc}\u2028\u2029]+[^.]$/u)
      }
    }),
    { numRuns: 500 },
  )
})

test('No problem or warning ever contains a secret', () => {
  // Long and beginning with a mark that no message has, so that a find means a leak.
  const secrets = fc.string({ unit: 'binary', minLength: 8, maxLength: 40 }).map((s) => `¤${s}`)
  fc.assert(
    fc.property(settings, secrets, secrets, (values, secret, token) => {
      const parsed = parseConfig({
        ...values,
        CERTLATCH_DATA_DIR: 'data',
        CERTLATCH_PROXY_SECRET: secret,
        CERTLATCH_METRICS_TOKEN: token,
      })
      assert.ok(!parsed.ok)
      for (const line of parsed.problems) {
        assert.ok(!line.includes(secret) && !line.includes(token))
        if (/SECRET|TOKEN/.test(line)) assert.ok(!line.includes('¤'))
      }
    }),
  )
})

test('A duration is read back as it was written, whatever its units', () => {
  const parts = fc.tuple(fc.nat(29), fc.nat(23), fc.nat(59), fc.integer({ min: 10, max: 59 }))
  fc.assert(
    fc.property(parts, ([days, hours, minutes, seconds]) => {
      const config = configOf({
        CERTLATCH_SESSION_TTL: `${days}d${hours}h${minutes}m${seconds}s`,
        CERTLATCH_SESSION_MAX_AGE: '400d',
      })
      const expected = days * 86_400 + hours * 3600 + minutes * 60 + seconds
      assert.equal(config.sessionTtlSeconds, expected)
    }),
  )
})
