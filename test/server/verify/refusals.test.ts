import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { DENY_REASONS, type Deny, type DenyReason } from '../../../src/decision.ts'
import { DIALECTS } from '../../../src/proxy/dialects.ts'
import { createHeaderReader } from '../../../src/proxy/request-headers.ts'
import { createRefusals, type Refusal } from '../../../src/server/verify/refusals.ts'
import {
  type Answer,
  addTestDevice,
  type Headers,
  header,
  makeAuthority,
  makeLeaf,
  NOON_SECONDS,
  present,
  sessionOf,
  startTestService,
} from '../../support/service.ts'

const REASONS = Object.keys(DENY_REASONS) as readonly DenyReason[]
const reader = createHeaderReader(DIALECTS.traefik)
const headersOf = (headers: Headers) => reader.read(headers.flat())
const denyFor = (reason: DenyReason, notAfter?: number): Deny => ({
  allow: false,
  via: DENY_REASONS[reason][0],
  reason,
  notAfter,
})
const FIXED = { denial: '403', hasInvitations: true } as const
const ADAPTIVE = { denial: 'adaptive', hasInvitations: true } as const
const NO_CREDENTIALS = denyFor('no-credentials')

const NAVIGATION: Headers = [
  ['X-Forwarded-Method', 'GET'],
  ['X-Forwarded-Uri', '/lovelace'],
  ['Sec-Fetch-Mode', 'navigate'],
]

/** The page for a reason, as a browser would show it. */
function pageFor(reason: DenyReason, notAfter?: number): string {
  const refusals = createRefusals(FIXED)
  return refusals.forRequest(headersOf(NAVIGATION), denyFor(reason, notAfter)).body.toString()
}

const titleOf = (page: string): string => present(/<h1>(.*)<\/h1>/.exec(page)?.[1])

function headerOf({ headers }: Refusal, name: string): string | undefined {
  const at = headers.indexOf(name)
  return at === -1 ? undefined : headers[at + 1]
}

test('Every reason has a page in plain words with "client certificate" in it, and a next step', () => {
  for (const reason of REASONS) {
    const page = pageFor(reason)
    assert.match(page, /client certificate/, reason)
    assert.match(page, /<a class="button" href="\/?">/, reason)
    assert.match(page, /<meta name="viewport"/, reason)
    assert.match(page, /prefers-color-scheme: dark/, reason)
    assert.doesNotMatch(page, new RegExp(reason), 'the reason itself is for the log')
  }
})

test("A page says what is missing, as vaguely as is still useful to the device's owner", () => {
  const titles: readonly (readonly [string, readonly DenyReason[]])[] = [
    ['No certificate was shown', ['no-credentials', 'session-not-accepted']],
    [
      'This certificate is not accepted here',
      [
        'certificate-malformed',
        'certificate-untrusted',
        'certificate-wrong-usage',
        'certificate-weak',
        'unknown-device',
      ],
    ],
    ['The certificate of this device has expired', ['certificate-expired']],
    [
      'The certificate of this device was withdrawn',
      ['certificate-revoked', 'certificate-blocked', 'session-revoked'],
    ],
    ['This certificate was replaced by a newer one', ['certificate-superseded']],
    [
      'The session of this device is over',
      ['session-expired', 'session-forged', 'session-signed-out', 'session-wrong-host'],
    ],
    ['Another site wanted to change something here', ['cross-site']],
    ['This page is closed', ['policy-deny', 'not-permitted', 'ambiguous-path']],
    ['This request could not be read', ['malformed-request', 'header-alias', 'header-repeated']],
    [
      'This server cannot check your device now',
      ['untrusted-proxy', 'proxy-mismatch', 'certificate-crl-stale', 'internal-error'],
    ],
  ]
  for (const [title, reasons] of titles) {
    for (const reason of reasons) assert.equal(titleOf(pageFor(reason)), title, reason)
  }
})

test('No page reveals which cookie was once valid', () => {
  const tried = ['session-malformed', 'session-forged', 'session-expired'] as const
  assert.equal(new Set(tried.map((reason) => pageFor(reason))).size, 1)
})

test('A user who did not choose the certificate learns that the browser remembers the choice, and can retry', () => {
  const reasons = ['no-credentials', 'certificate-untrusted', 'session-expired'] as const
  for (const reason of [...reasons, 'ambiguous-path'] as const) {
    assert.match(pageFor(reason), /remembers that until you close it/, reason)
    assert.match(pageFor(reason), /Try again/, reason)
  }
})

test('A browser without a certificate is asked for an invitation only where there are invitations', async (context) => {
  const shown = (hasInvitations: boolean) =>
    createRefusals({ denial: '403', hasInvitations }).forRequest(
      headersOf(NAVIGATION),
      NO_CREDENTIALS,
    )
  assert.match(shown(true).body.toString(), /<form .*enroll\/look.*Have you been invited\?/s)
  const without = shown(false)
  assert.doesNotMatch(without.body.toString(), /<form|<input|Have you been invited/)
  assert.match(headerOf(without, 'Content-Security-Policy') ?? '', /form-action 'none'/)
  const authorities = makeAuthority('External').pem
  for (const [external, expected] of [
    [undefined, true],
    [{ authorities }, false],
  ] as const) {
    const service = await startTestService(context, external && { external })
    const asksFor = (answer: Answer) => answer.body.toString().includes('<form')
    assert.equal(asksFor(await service.ask(HTML)), expected)
    const page = await service.visit('/.certlatch/auth/session', HTML)
    assert.equal(page.status, 403)
    assert.equal(asksFor(page), expected)
  }
})

test('Every page gets past a service worker, except the one for a request from another site', () => {
  for (const reason of REASONS) {
    assert.equal(pageFor(reason).includes('<script>'), reason !== 'cross-site', reason)
  }
})

test("An expired certificate's page shows its expiry date, if known", () => {
  const ended = Date.UTC(2026, 0, 9, 23, 59) / 1000
  assert.match(pageFor('certificate-expired', ended), /It was good until 9 January 2026\./)
  assert.doesNotMatch(pageFor('certificate-expired'), /It was good until/)
})

test('A refusal is the same object each time: nothing is built for it', () => {
  const refusals = createRefusals(ADAPTIVE)
  for (const headers of [headersOf(NAVIGATION), headersOf([])]) {
    const ask = () => refusals.forRequest(headers, NO_CREDENTIALS)
    assert.equal(ask(), ask())
  }
})

test('A page loads nothing, and only its own style and script are allowed in it, by hash', () => {
  const sourceOf = (text: string) => `'sha256-${hash('sha256', text, 'base64')}'`
  for (const reason of REASONS) {
    const refusal = createRefusals(FIXED).forRequest(
      headersOf(NAVIGATION),
      denyFor(reason, reason === 'certificate-expired' ? NOON_SECONDS : undefined),
    )
    const page = refusal.body.toString()
    const styles = [...page.matchAll(/<style>(.*?)<\/style>/gs)].map(([, text = '']) => text)
    const scripts = [...page.matchAll(/<script>(.*?)<\/script>/gs)].map(([, text = '']) => text)
    assert.equal(styles.length, 1)
    assert.ok(scripts.length <= 1)
    const hasForm = page.includes('<form')
    const expected = [
      "default-src 'none'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      `form-action ${hasForm ? "'self'" : "'none'"}`,
      `style-src ${sourceOf(styles[0] ?? '')}`,
      ...scripts.map((script) => `script-src ${sourceOf(script)}`),
    ]
    assert.equal(headerOf(refusal, 'Content-Security-Policy'), expected.join('; '))
    assert.equal(headerOf(refusal, 'X-Content-Type-Options'), 'nosniff')
    assert.equal(headerOf(refusal, 'Cache-Control'), 'no-store')
    assert.doesNotMatch(
      page,
      /<link|<img|<iframe|<script [^>]*src|@import|url\(|https?:| style="| on\w+="/,
    )
  }
})

// --- adaptive -------------------------------------------------------------------------------------

const TOKEN: Headers = [
  ['X-Forwarded-Method', 'POST'],
  ['X-Forwarded-Uri', '/auth/token'],
]

test('With CERTLATCH_DENIAL=adaptive a refused navigation is 400, a refused token request 401, all else 403', () => {
  const cases: readonly (readonly [Headers, number])[] = [
    [NAVIGATION, 400],
    [[...NAVIGATION, ['Sec-Fetch-Dest', 'empty']], 400],
    [
      [
        ['X-Forwarded-Method', 'GET'],
        ['Accept', 'text/html'],
      ],
      400,
    ],
    [TOKEN, 401],
    [[...TOKEN, ['Accept', 'application/json']], 401],
    [
      [
        ['X-Forwarded-Method', 'POST'],
        ['X-Forwarded-Uri', '/auth/token?a=b'],
      ],
      401,
    ],
    [
      [
        ['X-Forwarded-Method', 'GET'],
        ['X-Forwarded-Uri', '/auth/token'],
      ],
      403,
    ],
    [
      [
        ['X-Forwarded-Method', 'POST'],
        ['X-Forwarded-Uri', '/auth/tokens'],
      ],
      403,
    ],
    [[['X-Forwarded-Method', 'POST']], 403],
    [
      [
        ['X-Forwarded-Method', 'GET'],
        ['X-Forwarded-Uri', '/api/websocket'],
        ['Sec-WebSocket-Key', 'AAAA'],
      ],
      403,
    ],
    [[], 403],
  ]
  const adaptive = createRefusals(ADAPTIVE)
  const fixed = createRefusals(FIXED)
  for (const [headers, status] of cases) {
    const told = JSON.stringify(headers)
    const refusal = adaptive.forRequest(headersOf(headers), NO_CREDENTIALS)
    const before = fixed.forRequest(headersOf(headers), NO_CREDENTIALS)
    assert.equal(refusal.status, status, told)
    assert.equal(before.status, 403, told)
    assert.deepEqual(refusal.body, before.body, told)
    assert.match(refusal.body.toString(), /client certificate/)
    assert.equal(headerOf(refusal, 'X-Certlatch'), 'refused')
    assert.equal(adaptive.forLatecomer(headersOf(headers)).status, status, told)
  }
  assert.equal(adaptive.fallback.status, 403)
})

test('A 401 carries the challenge that HTTP requires, of a kind for which no browser asks for a password', () => {
  const refusal = createRefusals(ADAPTIVE).forRequest(headersOf(TOKEN), NO_CREDENTIALS)
  assert.match(headerOf(refusal, 'WWW-Authenticate') ?? '', /^Certlatch /)
})

// --- through the service --------------------------------------------------------------------------

const HTML: Headers = [['Accept', 'text/html']]
const shownIn = ({ body }: Answer): string => titleOf(body.toString())

test('The page shown to a device follows its state', async (context) => {
  const service = await startTestService(context)
  const { certificate } = await addTestDevice(service.dataDir, 'Ended', undefined, {
    notBefore: NOON_SECONDS - 7200,
    notAfter: NOON_SECONDS + 7200,
  })
  await service.refresh()
  const cookie = sessionOf(await service.askWith(certificate))
  const foreign = makeLeaf(makeAuthority('Foreign'))
  assert.equal(
    shownIn(await service.askWith(foreign, HTML)),
    'This certificate is not accepted here',
  )
  service.clock.now += 3_700_000
  const over = await service.ask([...HTML, ['Cookie', cookie]])
  assert.equal(shownIn(over), 'The session of this device is over')
  service.clock.now += 3_700_000
  const expired = await service.askWith(certificate, HTML)
  assert.equal(shownIn(expired), 'The certificate of this device has expired')
  assert.match(expired.body.toString(), /It was good until 24 November 2026\./)
  assert.equal(expired.status, 403)
  assert.equal(header(expired, 'Content-Length'), String(expired.body.length))
})

test('A form of another site gets a page too, without anything that submits it again', async (context) => {
  const service = await startTestService(context)
  const { body } = await service.ask([
    ['X-Forwarded-Method', 'POST'],
    ['Sec-Fetch-Mode', 'navigate'],
    ['Sec-Fetch-Site', 'cross-site'],
  ])
  assert.match(body.toString(), /Nothing was changed/)
  assert.doesNotMatch(body.toString(), /<script|refresh/)
})

test('CERTLATCH_DENIAL=adaptive changes the status, but not the decision', async (context) => {
  const settings = { CERTLATCH_DENIAL: 'adaptive' }
  const service = await startTestService(context, { settings, proxy: 'caddy' })
  const page = await service.ask(HTML)
  assert.equal(page.status, 400)
  assert.equal(header(page, 'X-Certlatch'), 'refused')
  assert.equal((await service.ask(TOKEN)).status, 401)
  assert.equal((await service.ask()).status, 403)
  const labels = { outcome: 'deny', via: 'none', reason: 'no-credentials' }
  assert.equal(await service.metric('certlatch_decisions_total', labels), 3)
})

test('Under nginx only the auth request for the page is answered adaptively: the first would become a 500', async (context) => {
  const settings = { CERTLATCH_DENIAL: 'adaptive' }
  const service = await startTestService(context, { settings, proxy: 'nginx' })
  const { certificate } = await addTestDevice(service.dataDir)
  await service.refresh()
  const mark: Headers = [['X-Certlatch-Page', '1']]
  for (const [headers, status] of [
    [HTML, 400],
    [TOKEN, 401],
    [[], 403],
  ] as const) {
    assert.equal((await service.ask(headers)).status, 403)
    assert.equal((await service.ask([...headers, ...mark])).status, status)
  }
  const latecomer = await service.askWith(certificate, [...HTML, ...mark])
  assert.equal(latecomer.status, 400)
  assert.match(latecomer.body.toString(), /have access now/)
  assert.equal(header(latecomer, 'Set-Cookie'), undefined)
})
