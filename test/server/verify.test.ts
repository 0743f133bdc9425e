import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import type { Grounds } from '../../src/decide.ts'
import type { DenyReason } from '../../src/decision.ts'
import { CLOSED_POLICY } from '../../src/policy/policy.ts'
import { DIALECTS, type DialectName } from '../../src/proxy/dialects.ts'
import { createVerifyApp } from '../../src/server/app.ts'
import { createGateServer, drain, listen } from '../../src/server/http-server.ts'
import type { VerifyService } from '../../src/server/verify/route.ts'
import { readKeyRing } from '../../src/session/key-ring.ts'
import { LOOPBACK } from '../support/request.ts'
import {
  type Answer,
  addTestDevice,
  allHeaders,
  asked,
  endLater,
  exchange,
  type Headers,
  header,
  makeAuthority,
  makeLeaf,
  makeList,
  NOON_SECONDS,
  openConnection,
  present,
  requestBytes,
  sessionOf,
  startTestService,
  type TestServiceOptions,
} from '../support/service.ts'

async function deviceService(context: TestContext, options: TestServiceOptions = {}) {
  const service = await startTestService(context, options)
  const { certificate } = await addTestDevice(service.dataDir, 'Ada’s phone 📱', 'ada')
  await service.refresh()
  return { service, certificate }
}

async function serviceWithDevice(context: TestContext, options: TestServiceOptions = {}) {
  const { service, certificate } = await deviceService(context, options)
  return { service, certificate, cookie: sessionOf(await service.askWith(certificate)) }
}

const utf8 = (value: string | undefined) => Buffer.from(value ?? '', 'latin1').toString('utf8')

const refusalsTotal = (reason: DenyReason, via = 'none') =>
  ['certlatch_decisions_total', { outcome: 'deny', via, reason }] as const

function assertAllowed(answer: Answer): void {
  assert.equal(answer.status, 200)
  assert.equal(header(answer, 'Content-Length'), '0')
  assert.equal(header(answer, 'Cache-Control'), 'no-store')
  assert.equal(answer.body.length, 0)
}

function assertRefused(answer: Answer): void {
  assert.equal(answer.status, 403)
  assert.equal(header(answer, 'Cache-Control'), 'no-store')
  assert.equal(header(answer, 'X-Certlatch'), 'refused')
  assert.equal(header(answer, 'Set-Cookie'), undefined)
  assert.equal(header(answer, 'Remote-User'), undefined)
  assert.ok(answer.body.length > 0)
}

test('A certificate is accepted: an empty 200 with identity and one cookie', async (context) => {
  const { service, certificate } = await serviceWithDevice(context)
  const answer = await service.askWith(certificate)
  assertAllowed(answer)
  assert.equal(header(answer, 'Remote-User'), 'ada')
  assert.equal(utf8(header(answer, 'X-Certlatch-Device')), 'Ada’s phone 📱')
  assert.equal(header(answer, 'X-Certlatch-Via'), 'certificate')
  assert.match(
    header(answer, 'Set-Cookie') ?? '',
    /^__Host-certlatch=v1\.[\w-]+\.[\w-]{43}; Path=\/; Max-Age=172800; Secure; HttpOnly; SameSite=Lax$/,
  )
})

test('The cookie alone is accepted, and a young one is not set again', async (context) => {
  const { service, cookie } = await serviceWithDevice(context)
  const answer = await service.ask([['Cookie', cookie]])
  assertAllowed(answer)
  assert.equal(header(answer, 'Set-Cookie'), undefined)
  assert.equal(header(answer, 'Remote-User'), 'ada')
  assert.equal(header(answer, 'X-Certlatch-Via'), 'session')
})

test('A certificate with a young session of its own sets none; after half its TTL each is renewed once', async (context) => {
  const { service, certificate, cookie } = await serviceWithDevice(context)
  assert.deepEqual(
    allHeaders(await service.askWith(certificate, [['Cookie', cookie]]), 'Set-Cookie'),
    [],
  )
  service.clock.now += 1_801_000
  for (const answer of [
    await service.askWith(certificate, [['Cookie', cookie]]),
    await service.ask([['Cookie', cookie]]),
  ]) {
    assertAllowed(answer)
    assert.equal(allHeaders(answer, 'Set-Cookie').length, 1)
  }
  const minted = (cause: string) => service.metric('certlatch_sessions_minted_total', { cause })
  assert.deepEqual(
    [await minted('opened'), await minted('shown-again'), await minted('renewed')],
    [1, 1, 1],
  )
})

test('A domain cookie is set for the domain, and accepted on all its hosts', async (context) => {
  const { service, certificate } = await deviceService(context, {
    settings: { CERTLATCH_COOKIE_DOMAIN: 'home.test' },
  })
  const at = (host: string) => ['X-Forwarded-Host', host] as const
  const answer = await service.askWith(certificate, [at('ha.home.test')])
  assert.match(header(answer, 'Set-Cookie') ?? '', /^__Secure-certlatch=.*; Domain=home\.test; /)
  const cookie = ['Cookie', sessionOf(answer)] as const
  for (const host of ['other.home.test', 'home.test']) {
    assertAllowed(await service.ask([cookie, at(host)]))
  }
  for (const host of ['evil.test', 'nothome.test', 'home.test.evil']) {
    assertRefused(await service.ask([cookie, at(host)]))
    const shown = await service.askWith(certificate, [at(host)])
    assertAllowed(shown)
    assert.equal(header(shown, 'Set-Cookie'), undefined)
  }
})

test('Without certificate and cookie the request is denied', async (context) => {
  const { service } = await serviceWithDevice(context)
  assertRefused(await service.ask())
  assert.equal(await service.metric(...refusalsTotal('no-credentials')), 1)
})

test('Names from an external CA are sent as UTF-8 bytes', async (context) => {
  const authority = makeAuthority('Household')
  const service = await startTestService(context, {
    external: { authorities: authority.pem, lists: makeList(authority) },
  })
  // A SAN URI is ASCII; its absence of e-mail makes it the identity.
  const answer = await service.askWith(makeLeaf(authority, 'Ada', { uri: 'urn:home:ada' }))
  assert.equal(header(answer, 'Remote-User'), 'urn:home:ada')
  assert.equal(header(answer, 'X-Certlatch-Device'), 'urn:home:ada')
  const unnamed = await service.askWith(makeLeaf(authority, 'Ada', { uri: '' }))
  assertRefused(unnamed)
  assert.equal(await service.metric(...refusalsTotal('no-identity', 'certificate')), 1)
})

for (const proxy of ['traefik', 'nginx', 'caddy', 'haproxy'] as const satisfies DialectName[]) {
  const returns = proxy === 'traefik' || proxy === 'nginx'
  test(`Under ${proxy} a 200 ${returns ? 'returns the Cookie without ours' : 'returns no Cookie'}`, async (context) => {
    const { service, certificate, cookie } = await serviceWithDevice(context, { proxy })
    const cookieOf = async (sent: Headers) => header(await service.ask(sent), 'Cookie')
    const all = `theme=dark; ${cookie}; lang=en`
    assert.equal(await cookieOf([['Cookie', all]]), returns ? 'theme=dark; lang=en' : undefined)
    assert.equal(await cookieOf([['Cookie', cookie]]), undefined)
    const shown = await service.askWith(certificate, [['Cookie', 'a=\u00e4']])
    assert.equal(header(shown, 'Cookie'), returns ? 'a=\u00e4' : undefined)
    assert.equal(header(await service.askWith(certificate), 'Cookie'), undefined)
    // HTTP/2 splits cookies into several lines.
    const split: Headers = [
      ['Cookie', 'a=b'],
      ['Cookie', cookie],
      ['Cookie', 'c=d'],
    ]
    assert.equal(await cookieOf(split), returns ? 'a=b; c=d' : undefined)
    assert.equal(header(await service.ask([['Cookie', 'a=b']]), 'Cookie'), undefined)
  })
}

test('HEAD and GET get the same answer, and so does any method, with any body', async (context) => {
  const { service, cookie } = await serviceWithDevice(context)
  const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND', 'TRACE']
  for (const method of methods) {
    assertAllowed(await service.ask([['Cookie', cookie]], { method }))
    const refused = await service.ask([], { method })
    assert.equal(refused.status, 403, method)
    assert.equal(
      refused.body.length,
      method === 'HEAD' ? 0 : present(Number(header(refused, 'Content-Length'))),
    )
  }
  const [get, head] = [await service.ask(), await service.ask([], { method: 'HEAD' })]
  const withoutDate = ({ headers }: Answer) => headers.filter(([name]) => name !== 'Date')
  assert.deepEqual(withoutDate(head), withoutDate(get))
  const posted = await service.ask(
    [
      ['Cookie', cookie],
      ['Content-Length', '5'],
    ],
    {
      method: 'POST',
      body: 'hello',
    },
  )
  assertAllowed(posted)
})

test("The auth request's own method is never read: the forwarded one counts", async (context) => {
  const { service, cookie } = await serviceWithDevice(context)
  const crossSite: Headers = [
    ['Cookie', cookie],
    ['X-Forwarded-Method', 'POST'],
    ['Sec-Fetch-Site', 'cross-site'],
  ]
  assertRefused(await service.ask(crossSite, { method: 'GET' }))
  const harmless: Headers = [
    ['Cookie', cookie],
    ['Sec-Fetch-Site', 'cross-site'],
  ]
  assertAllowed(await service.ask(harmless, { method: 'POST' }))
})

test("The auth request's own query is never read", async (context) => {
  const { service, cookie } = await serviceWithDevice(context)
  for (const target of [
    '/verify?',
    '/verify?user=admin&uri=/open',
    '/verify??x',
    '/verify?/../x',
  ]) {
    assertAllowed(await service.ask([['Cookie', cookie]], { target }))
    assertRefused(await service.ask([], { target }))
  }
})

test('Any other path is not an auth request: 404, never 200, and not counted', async (context) => {
  const { service, cookie } = await serviceWithDevice(context)
  const before = await service.metric('certlatch_decision_duration_seconds_count')
  const targets = [
    '/',
    '/verify/',
    '/verifyx',
    '/verify/x',
    '//verify',
    '/Verify',
    '/%76erify',
    '/verify%3F',
    '/verify;x',
    '/verify#x',
    '/x/../verify',
    'http://certlatch/verify',
    '*',
    '/metrics',
    '/healthz',
    '/.certlatch/auth/',
  ]
  for (const target of targets) {
    const answer = await service.ask([['Cookie', cookie]], { target })
    assert.equal(answer.status, 404, target)
    assert.equal(header(answer, 'Set-Cookie'), undefined)
  }
  assert.equal(await service.metric('certlatch_decision_duration_seconds_count'), before)
})

test('Auth requests from an address that is not a trusted proxy, or without its secret, are refused', async (context) => {
  const elsewhere = await serviceWithoutDevice(context, {
    CERTLATCH_TRUSTED_PROXIES: '192.0.2.1',
  })
  const connection = await openConnection(elsewhere.port)
  for (let question = 0; question < 3; question += 1) {
    const answer = await connection.send(requestBytes({ headers: asked() }))
    assertRefused(present(answer))
  }
  connection.close()
  assert.equal(await elsewhere.metric(...refusalsTotal('untrusted-proxy')), 3)

  const secret = 'a-secret-of-the-proxy'
  const { service, certificate } = await serviceWithSecret(context, secret)
  assertRefused(await service.askWith(certificate))
  assertRefused(await service.askWith(certificate, [['X-Certlatch-Proxy-Secret', `${secret}x`]]))
  assertAllowed(await service.askWith(certificate, [['X-Certlatch-Proxy-Secret', secret]]))
})

const serviceWithoutDevice = (context: TestContext, settings: Readonly<Record<string, string>>) =>
  startTestService(context, { settings })

async function serviceWithSecret(context: TestContext, secret: string) {
  const settings = { CERTLATCH_PROXY_SECRET: secret }
  const service = await startTestService(context, { settings })
  const { certificate } = await addTestDevice(service.dataDir)
  await service.refresh()
  return { service, certificate }
}

test('Repeated fields, look-alike names and missing fields are refused', async (context) => {
  const { service, cookie } = await serviceWithDevice(context)
  const withCookie = (...more: readonly (readonly [string, string])[]) =>
    service.ask([['Cookie', cookie], ...more])
  assertRefused(await withCookie(['X-Forwarded-Uri', '/a'], ['X-Forwarded-Uri', '/b']))
  assertRefused(await withCookie(['X-Forwarded-Host', 'a.test'], ['x-forwarded-host', 'b.test']))
  assertRefused(await withCookie(['X-Forwarded-Method', '']))
  assertRefused(await withCookie(['X-Forwarded-Proto', 'gopher']))
  assert.equal(await service.metric(...refusalsTotal('header-repeated')), 2)
  assert.equal(await service.metric(...refusalsTotal('malformed-request')), 2)
  assertRefused(await withCookie(['Remote_User', 'admin']))
  assertRefused(await withCookie(['X.Forwarded.Uri', '/open']))
  assert.equal(await service.metric(...refusalsTotal('header-alias')), 2)
  assertAllowed(await withCookie(['Remote-User', 'admin']))
})

test('A proxy other than the configured one is refused, counted and logged with both names', async (context) => {
  const { service, certificate } = await deviceService(context, { proxy: 'nginx' })
  const named = (name: string) => [...PAGE, ['X-Certlatch-Proxy', name]] as const
  assertAllowed(await service.askWith(certificate, [['X-Certlatch-Proxy', 'nginx']]))
  const sent = ['traefik', 'caddy', 'haproxy', 'NGINX', '', 'secret-of-a-client']
  for (const name of sent) assertRefused(await service.askWith(certificate, named(name)))
  assert.equal(await service.metric(...refusalsTotal('proxy-mismatch')), sent.length)
  const told = service.logLines().filter(({ reason }) => reason === 'proxy-mismatch')
  assert.deepEqual(
    told.map(({ proxy, expected }) => [proxy, expected]),
    ['traefik', 'caddy', 'haproxy', 'unknown', 'unknown', 'unknown'].map((name) => [name, 'nginx']),
  )
  assert.match(String(told[0]?.['hint']), /CERTLATCH_PROXY=traefik.*stop it/)
  assert.match(String(told[3]?.['hint']), /set X-Certlatch-Proxy to nginx/)
  assert.doesNotMatch(JSON.stringify(service.logLines()), /secret-of-a-client/)
  const twice = [['X-Certlatch-Proxy', 'nginx'] as const, ['x-certlatch-proxy', 'traefik'] as const]
  assertRefused(await service.askWith(certificate, twice))
  assert.equal(await service.metric(...refusalsTotal('header-repeated')), 1)
})

// --- what the refused see -------------------------------------------------------------------------

const typeOf = (answer: Answer) => header(answer, 'Content-Type')?.split(';')[0]

test('A refused request gets a page, JSON or a line of text, depending on its Accept header', async (context) => {
  const service = await startTestService(context)
  const cases: readonly (readonly [Headers, string])[] = [
    [[], 'text/plain'],
    [[['Accept', '*/*']], 'text/plain'],
    [[['Accept', 'text/html,application/xhtml+xml']], 'text/html'],
    [
      [
        ['Accept', 'text/html'],
        ['X-Forwarded-Method', 'HEAD'],
      ],
      'text/html',
    ],
    [
      [
        ['Accept', 'text/html'],
        ['X-Forwarded-Method', 'POST'],
      ],
      'text/plain',
    ],
    [
      [
        ['Accept', 'text/html'],
        ['Sec-Fetch-Mode', 'cors'],
      ],
      'text/plain',
    ],
    [[['Sec-Fetch-Mode', 'navigate']], 'text/html'],
    [
      [
        ['Sec-Fetch-Mode', 'navigate'],
        ['Accept', 'application/json'],
      ],
      'text/html',
    ],
    [
      [
        ['Sec-Fetch-Mode', 'navigate'],
        ['X-Forwarded-Method', 'POST'],
      ],
      'text/html',
    ],
    [
      [
        ['Sec-Fetch-Mode', 'navigate'],
        ['Sec-Fetch-Mode', 'navigate'],
      ],
      'text/plain',
    ],
    [[['Accept', 'application/json']], 'application/json'],
    [
      [
        ['Accept', 'text/plain'],
        ['Accept', 'application/json'],
      ],
      'application/json',
    ],
    [
      [
        ['Accept', 'application/json'],
        ['X-Forwarded-Method', 'POST'],
      ],
      'application/json',
    ],
    [
      [
        ['Accept', 'application/json'],
        ['Sec-Fetch-Mode', 'cors'],
      ],
      'application/json',
    ],
    [[['X-Forwarded-Method', '']], 'text/plain'],
  ]
  for (const [headers, type] of cases) {
    const answer = await service.ask(headers)
    assertRefused(answer)
    assert.equal(typeOf(answer), type, JSON.stringify(headers))
    assert.equal(header(answer, 'X-Content-Type-Options'), 'nosniff')
  }
})

test('The refusal in JSON is an object for scripts', async (context) => {
  const service = await startTestService(context)
  const { body } = await service.ask([['Accept', 'application/json']])
  assert.equal(JSON.parse(body.toString()).error, 'refused')
})

test('A refusal in JSON or text does not say why', async (context) => {
  const { service, certificate } = await serviceWithDevice(context)
  service.clock.now += 400 * 86_400_000
  for (const headers of [[], [['Accept', 'application/json']]] as const) {
    const refused = [
      await service.ask([...headers, ['Cookie', '__Host-certlatch=forged']]),
      await service.askWith(certificate, headers),
      await service.ask(headers),
    ]
    const told = refused.map(({ headers, body }) => {
      const lines = headers.filter(([name]) => name !== 'Date')
      return JSON.stringify([lines, body.toString()])
    })
    assert.equal(new Set(told).size, 1)
  }
})

// --- nginx's second auth request -----------------------------------------------------------------

const MARK: Headers = [['X-Certlatch-Page', '1']]
const PAGE: Headers = [...MARK, ['Accept', 'text/html']]

test('Under nginx the auth request for the page is answered 403 with a page, and not counted', async (context) => {
  const { service, certificate, cookie } = await serviceWithDevice(context, { proxy: 'nginx' })
  const counted = () => service.metric('certlatch_decision_duration_seconds_count')
  const before = await counted()
  const lines = service.logLines().length

  const refused = await service.ask(PAGE)
  assertRefused(refused)
  assert.equal(typeOf(refused), 'text/html')
  assert.match(refused.body.toString(), /No certificate was shown/)

  for (const allowed of [
    await service.ask([...PAGE, ['Cookie', cookie]]),
    await service.askWith(certificate, PAGE),
  ]) {
    assertRefused(allowed)
    assert.match(allowed.body.toString(), /have access now/)
    assert.match(allowed.body.toString(), /http-equiv="refresh"/)
  }
  for (const method of ['POST', 'DELETE']) {
    const posted = await service.ask([...PAGE, ['X-Forwarded-Method', method]])
    assertRefused(posted)
    assert.equal(typeOf(posted), 'text/plain')
  }
  const script = await service.ask([...MARK, ['Accept', 'application/json']])
  assert.equal(typeOf(script), 'application/json')
  assertRefused(await service.ask([...PAGE, ...MARK]))
  assert.equal(await counted(), before)
  assert.equal(service.logLines().length, lines)
})

test('The page header means nothing from an address that is not trusted', async (context) => {
  const { service } = await deviceService(context, {
    proxy: 'nginx',
    settings: { CERTLATCH_TRUSTED_PROXIES: '192.0.2.1' },
  })
  assertRefused(await service.ask(PAGE))
  assert.equal(await service.metric(...refusalsTotal('untrusted-proxy')), 1)
})

test('While no key may sign, a certificate is accepted, and no session counts as created', async (context) => {
  const { service, certificate } = await deviceService(context)
  const key = `${Buffer.alloc(32, 7).toString('base64url')} verifies-until=1000\n`
  await writeFile(service.config.sessionKeysFile, key)
  await service.refresh()
  const answer = await service.askWith(certificate)
  assertAllowed(answer)
  assert.equal(header(answer, 'Set-Cookie'), undefined)
  assert.equal(await service.metric('certlatch_sessions_minted_total', { cause: 'opened' }), 0)
  assert.equal((await service.readiness()).checks['keys']?.ok, false)
})

test('Other values of the page header are ordinary auth requests', async (context) => {
  const { service, cookie } = await serviceWithDevice(context, { proxy: 'nginx' })
  for (const value of ['', '0', 'true', '11']) {
    assertAllowed(
      await service.ask([
        ['Cookie', cookie],
        ['X-Certlatch-Page', value],
      ]),
    )
  }
})

for (const proxy of ['traefik', 'caddy', 'haproxy'] as const satisfies DialectName[]) {
  test(`Under ${proxy} the page header means nothing`, async (context) => {
    const { service, cookie } = await serviceWithDevice(context, { proxy })
    assertAllowed(await service.ask([...MARK, ['Cookie', cookie]]))
    const refused = await service.ask(MARK)
    assert.equal(typeOf(refused), 'text/plain')
    assert.equal(await service.metric(...refusalsTotal('no-credentials')), 1)
  })
}

// --- faults of our own ----------------------------------------------------------------------------

/** A route on parts that the test puts in place of the service's own. */
async function routeOn(context: TestContext, parts: Partial<VerifyService>) {
  const keys = readKeyRing(Buffer.alloc(32, 7).toString('base64'))
  assert.ok(keys.ok)
  const counted: string[] = []
  const logged: unknown[] = []
  const service: VerifyService = {
    dialect: DIALECTS.traefik,
    trustedProxies: LOOPBACK,
    cookieName: '__Host-certlatch',
    cookieDomain: undefined,
    denial: '403',
    hasInvitations: true,
    grounds: () => assert.fail('no grounds'),
    keyRing: () => keys.ring,
    nowSeconds: () => NOON_SECONDS,
    catchUp: () => undefined,
    endsConnection: () => false,
    seenOf: () => undefined,
    countDecision: (decision) => {
      counted.push(decision.allow ? 'allow' : decision.reason)
    },
    logClient: 'full',
    deviceOf: () => undefined,
    decisionLog: {
      refused: () => {},
      allowed: () => {},
      unexpectedPath: () => {},
      invitationReused: () => {},
      logSuppressed: () => {},
    },
    logError: (error) => logged.push(error),
    ...parts,
  }
  const server = createGateServer(createVerifyApp(service).callback(), () => {})
  const { port } = await listen(server, '127.0.0.1', 0)
  context.after(() => endLater(drain(server)))
  return {
    ask: (headers: Headers = []) => exchange(port, { headers: asked(headers) }),
    counted,
    logged,
  }
}

const grounds = (more: Partial<Grounds>): Grounds => ({
  proxy: 'traefik',
  proxySecret: undefined,
  policy: CLOSED_POLICY,
  trustedProxies: LOOPBACK,
  trust: {
    issuers: [],
    issuersByKeyHash: new Map(),
    revocationLists: new Map(),
    revocationListRequired: false,
    staleRevocationList: 'deny',
    blocked: new Set(),
    revoked: new Set(),
  },
  cookieName: '__Host-certlatch',
  cookieDomain: undefined,
  lifetime: { ttlSeconds: 3600, maxAgeSeconds: 86_400 },
  verifyCertificate: () => 'absent',
  verifyToken: () => ({ ok: false, problem: 'session-forged' }),
  recognize: () => ({ ok: false, problem: 'unknown-device' }),
  signedOutAt: () => undefined,
  ...more,
})

const bug = (): never => {
  throw new Error('a bug')
}

test('A fault while deciding denies: 403, counted as internal-error, logged', async (context) => {
  const { ask, counted, logged } = await routeOn(context, {
    grounds: () => grounds({ verifyToken: bug }),
  })
  assertRefused(await ask([['Cookie', '__Host-certlatch=x']]))
  assert.deepEqual(counted, ['internal-error'])
  assert.match(String(logged[0]), /a bug/)
  assertRefused(await ask())
  assert.deepEqual(counted, ['internal-error', 'no-credentials'])
})

test('A fault in the files or while creating a session denies too', async (context) => {
  const broken = await routeOn(context, { grounds: bug })
  assertRefused(await broken.ask())
  assert.deepEqual(broken.counted, ['internal-error'])

  const verified = {
    issuerKeyHash: 'A'.repeat(43),
    serial: '4a',
    sha256: 'B'.repeat(43),
    notBefore: 0,
    notAfter: NOON_SECONDS * 2,
    distributionPoints: undefined,
    name: undefined,
  }
  const authority = makeAuthority('Household')
  const issuer = { ...authority, key: authority.privateKey, keyIdentifier: undefined }
  const trusted = grounds({
    verifyCertificate: () => ({ ok: true, verified }),
    recognize: () => ({ ok: true, identity: { device: 'd', user: 'u' }, name: undefined }),
    trust: {
      ...grounds({}).trust,
      issuersByKeyHash: new Map([
        [verified.issuerKeyHash, [{ ...issuer, signsRevocationLists: true }]],
      ]),
    },
  })
  const minting = await routeOn(context, { grounds: () => trusted, keyRing: bug })
  assertRefused(await minting.ask([['X-Forwarded-Tls-Client-Cert', 'x']]))
  assert.deepEqual(minting.counted, ['internal-error'])

  const keyless = { keys: [], fingerprint: '' }
  const withoutKey = await routeOn(context, { grounds: () => trusted, keyRing: () => keyless })
  const answer = await withoutKey.ask([['X-Forwarded-Tls-Client-Cert', 'x']])
  assertAllowed(answer)
  assert.equal(header(answer, 'Set-Cookie'), undefined)
})

test('A fault in a counter or in the log denies too', async (context) => {
  const { ask, logged } = await routeOn(context, {
    grounds: () => grounds({}),
    decisionLog: {
      ...{ refused: bug, allowed: bug, unexpectedPath: bug, invitationReused: bug },
      logSuppressed: bug,
    },
  })
  assertRefused(await ask())
  assert.equal(logged.length, 1)
})

test('A fault after the answer has begun closes the connection without one', async (context) => {
  const { ask, counted } = await routeOn(context, { grounds: () => grounds({}) })
  const end = context.mock.method(ServerResponse.prototype, 'end', bug)
  await assert.rejects(ask(), /closed without an answer/)
  end.mock.restore()
  assert.deepEqual(counted, ['no-credentials', 'internal-error'])
  assertRefused(await ask())
})

test('Under an open rule, no one is named and no session created, but our cookie is still removed', async (context) => {
  const { ask } = await routeOn(context, {
    grounds: () =>
      grounds({
        policy: { ...CLOSED_POLICY, defaultRule: { name: 'open', access: 'open', holders: [] } },
      }),
  })
  const answer = await ask([['Cookie', 'a=b; __Host-certlatch=x']])
  assertAllowed(answer)
  assert.equal(header(answer, 'Remote-User'), '')
  assert.equal(header(answer, 'X-Certlatch-Device'), '')
  assert.equal(header(answer, 'X-Certlatch-Via'), 'rule')
  assert.equal(header(answer, 'Cookie'), 'a=b')
  assert.equal(header(answer, 'Set-Cookie'), undefined)
})

test('A fault anywhere in the service is a 403, and a log line with its stack', async (context) => {
  const service = await startTestService(context)
  const faults: readonly unknown[] = [new Error('a bug'), 'no error at all']
  for (const fault of faults) {
    Object.defineProperty(service.clock, 'now', {
      configurable: true,
      get: () => {
        throw fault
      },
    })
    assertRefused(await service.ask())
    const line = present(service.logLines().at(-1))
    assert.equal(line.level, 'error')
    assert.equal(line['msg'], 'internal error')
    assert.ok(String(line['error']).includes(String(fault)))
  }
  const value = NOON_SECONDS * 1000
  Object.defineProperty(service.clock, 'now', { configurable: true, writable: true, value })
  assert.equal(await service.metric(...refusalsTotal('internal-error')), 2)
})
