import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { blockCertificate, signOut } from '../../src/administration/block-certificate.ts'
import type { Change } from '../../src/administration/change-directory.ts'
import { type InviteOptions, inviteDevice } from '../../src/administration/invite-device.ts'
import { INVITATION_OUTCOMES } from '../../src/server/admin/tally.ts'
import { PROBLEM_STATUS } from '../../src/server/client-routes/enroll-visit.ts'
import { problemPage } from '../../src/server/pages/enroll-page.ts'
import { escapeHtml } from '../../src/server/pages/html.ts'
import type { Texts } from '../../src/server/pages/languages/en.ts'
import { LANGUAGES, type Language } from '../../src/server/pages/languages/languages.ts'
import type { EnrollProblem } from '../../src/server/pages/texts.ts'
import {
  type Answer,
  addTestDevice,
  allHeaders,
  certificateHeader,
  type Headers,
  header,
  makeAuthority,
  makeLeaf,
  NOON_SECONDS,
  startTestService,
  type TestService,
  type TestServiceOptions,
} from '../support/service.ts'

const ENROLL = '/.certlatch/auth/enroll'
const OPTIONS: InviteOptions = {
  ...{ days: 397, key: 'p256', validSeconds: 86_400, site: 'https://ha.test' },
  overlapSeconds: undefined,
}
const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1'
const SAME_ORIGIN: Headers = [
  ['Origin', 'https://ha.test'],
  ['Sec-Fetch-Site', 'same-origin'],
  ['User-Agent', IPHONE],
]
const NAVIGATION: Headers = [
  ['Sec-Fetch-Mode', 'navigate'],
  ['Sec-Fetch-Dest', 'document'],
  ['Sec-Fetch-Site', 'same-origin'],
  ['User-Agent', IPHONE],
]

const UNKNOWN_CODE = 'a'.repeat(20)

async function invited(
  context: TestContext,
  options: TestServiceOptions = {},
  invite: Partial<InviteOptions> = {},
) {
  const service = await startTestService(context, options)
  const change: Change = { dataDir: service.dataDir, who: 'test', nowSeconds: NOON_SECONDS }
  const device = { name: "Ada's phone", owner: 'Ada' }
  const made = await inviteDevice(change, device, { ...OPTIONS, ...invite })
  return { service, change, ...made }
}

const postJson = (service: TestService, path: string, fields: object, headers = SAME_ORIGIN) =>
  service.visit(path, [...headers, ['Content-Type', 'application/json']], {
    method: 'POST',
    body: JSON.stringify(fields),
  })

const postForm = (
  service: TestService,
  path: string,
  fields: Record<string, string>,
  headers = SAME_ORIGIN,
) =>
  service.visit(path, [...headers, ['Content-Type', 'application/x-www-form-urlencoded']], {
    method: 'POST',
    body: new URLSearchParams(fields).toString(),
  })

const jsonOf = ({ body }: Answer) => JSON.parse(body.toString())
const cookiesOf = (answer: Answer): string =>
  allHeaders(answer, 'Set-Cookie')
    .map((line) => line.split(';')[0])
    .join('; ')

/** Opens a page like a browser, which follows redirects. */
async function opened(service: TestService, path: string, headers: Headers): Promise<Answer> {
  const answer = await service.visit(path, headers)
  return answer.status === 303 ? service.visit(header(answer, 'Location') ?? '', headers) : answer
}

/** Collects the invitation like a phone, and opens the page with the cookies that it got. */
async function claimed(service: TestService, code: string, nonce = 'one') {
  const answer = await postJson(service, ENROLL, { code, nonce })
  assert.equal(answer.status, 200, answer.body.toString())
  const cookie = cookiesOf(answer)
  const open = (path: string, headers: Headers = NAVIGATION) =>
    opened(service, path, [...headers, ['Cookie', cookie]])
  return { answer, cookie, open, told: jsonOf(answer) }
}

test('Looking up an invitation says whom it is for, and does not claim it', async (context) => {
  const { service, code } = await invited(context)
  for (let look = 0; look < 3; look += 1) {
    const answer = await postJson(service, `${ENROLL}/look`, { code })
    assert.equal(answer.status, 200)
    assert.deepEqual(jsonOf(answer), {
      ...{ device: "Ada's phone", owner: 'Ada', site: 'https://ha.test' },
      endsAt: NOON_SECONDS + 86_400,
    })
    assert.deepEqual(allHeaders(answer, 'Set-Cookie'), [])
  }
})

test('Opening the page, or a preview of its link, claims nothing', async (context) => {
  const { service, code } = await invited(context)
  for (const method of ['GET', 'HEAD'] as const) {
    for (const path of [ENROLL, `${ENROLL}%23${code}`]) {
      const answer = await service.visit(path, [], { method })
      assert.equal(answer.status, 200)
      assert.deepEqual(allHeaders(answer, 'Set-Cookie'), [])
      assert.ok(!answer.body.toString().includes(code))
    }
  }
  assert.equal((await postJson(service, `${ENROLL}/look`, { code })).status, 200)
  assert.ok(!service.logText().includes(code))
})

test('A claim gives the browser access at once, with a session for the new certificate', async (context) => {
  const { service, code } = await invited(context)
  const { answer, cookie, told } = await claimed(service, code)
  assert.deepEqual(Object.keys(told), ['device', 'owner', 'notAfter', 'password', 'downloads'])
  assert.equal(told.device, "Ada's phone")
  assert.match(told.password, /^[a-z2-9]{4}(-[a-z2-9]{4}){4}$/)
  const [session = '', ticket = ''] = allHeaders(answer, 'Set-Cookie')
  assert.match(session, /^__Host-certlatch=v1\./)
  assert.match(
    ticket,
    /^__Secure-certlatch-enroll=[0-9a-f]{32}\.[\w-]{43}; Path=\/\.certlatch\/auth\/enroll; Max-Age=3600; Secure; HttpOnly; SameSite=Strict$/,
  )
  const asked = await service.ask([['Cookie', cookie.split('; ')[0] ?? '']])
  assert.equal(asked.status, 200)
  assert.equal(header(asked, 'X-Certlatch-Device'), "Ada's phone")
  assert.equal(header(asked, 'X-Certlatch-Via'), 'session')
  const line = service.logLines().find(({ msg }) => msg === 'invitation collected')
  assert.equal(line?.['by'], 'iPhone, Safari, from 198.51.100.7')
})

test('A session from a claim does not count as a visit with the certificate', async (context) => {
  const { service, code } = await invited(context)
  const { cookie } = await claimed(service, code)
  const seenOf = async () => {
    const [device] = JSON.parse((await service.admin('/status')).body.toString()).devices
    return [device.certificateAt, device.sessionAt]
  }
  for (const seconds of [0, 60]) {
    service.clock.now += seconds * 1000
    assert.equal((await service.ask([['Cookie', cookie]])).status, 200)
    assert.deepEqual(await seenOf(), [0, NOON_SECONDS + seconds])
    await service.refresh()
  }
})

test('The claimed page shows steps and password, and shows them again on reload', async (context) => {
  const { service, code } = await invited(context)
  const { open, told } = await claimed(service, code)
  for (let load = 0; load < 2; load += 1) {
    const answer = await open(ENROLL)
    const page = answer.body.toString()
    assert.equal(answer.status, 200)
    assert.ok(page.includes(told.password))
    assert.match(page, /This browser has access now/)
    assert.match(page, /<details id="guide-iphone" open>/)
    assert.match(page, /<details id="guide-android">/)
    assert.match(page, /homeassistant:\/\/invite#url=https%3A%2F%2Fha\.test/)
  }
})

test('The packages can be downloaded, each with its media type', async (context) => {
  const { service, code } = await invited(context)
  const { open, told } = await claimed(service, code)
  const types = {
    [told.downloads.p12]: 'application/x-pkcs12',
    [told.downloads.modernP12]: 'application/x-pkcs12',
    [`${ENROLL}/certificate-file.p12`]: 'application/octet-stream',
    [told.downloads.mobileconfig]: 'application/x-apple-aspen-config',
  }
  for (const [path, type] of Object.entries(types)) {
    const answer = await open(path)
    assert.equal(answer.status, 200, path)
    assert.equal(header(answer, 'Content-Type'), type)
    assert.equal(header(answer, 'Cache-Control'), 'no-store')
    assert.ok(answer.body.length > 1000)
    const attached = header(answer, 'Content-Disposition')
    if (type.includes('aspen')) assert.equal(attached, undefined)
    else assert.match(attached ?? '', /^attachment; filename="adas-phone-[0-9a-f]+\.p12"$/)
  }
  const profile = (await open(told.downloads.mobileconfig)).body.toString()
  assert.ok(profile.includes(told.password))
})

test('A download after its hour is answered with a page that says so', async (context) => {
  const { service, code } = await invited(context)
  const { open, told } = await claimed(service, code)
  service.clock.now += 3_600_000
  const german: Headers = [...NAVIGATION, ['Accept-Language', 'de']]
  const late = await open(told.downloads.p12, german)
  assert.equal(late.status, 404)
  assert.match(late.body.toString(), /<h1>Diese Einladung gilt nicht mehr<\/h1>/)
})

test('A script of the application gets neither page nor packages: not fetched, framed or sent from elsewhere', async (context) => {
  const { service, code } = await invited(context)
  const { open, told } = await claimed(service, code)
  const scripts: readonly Headers[] = [
    [
      ['Sec-Fetch-Mode', 'cors'],
      ['Sec-Fetch-Dest', 'empty'],
      ['Sec-Fetch-Site', 'same-origin'],
    ],
    [
      ['Sec-Fetch-Mode', 'no-cors'],
      ['Sec-Fetch-Dest', 'script'],
      ['Sec-Fetch-Site', 'same-origin'],
    ],
    [
      ['Sec-Fetch-Mode', 'navigate'],
      ['Sec-Fetch-Dest', 'iframe'],
      ['Sec-Fetch-Site', 'same-origin'],
    ],
    [
      ['Sec-Fetch-Mode', 'navigate'],
      ['Sec-Fetch-Dest', 'document'],
      ['Sec-Fetch-Site', 'cross-site'],
    ],
    [...NAVIGATION, ['Service-Worker-Navigation-Preload', 'true']],
    [...NAVIGATION, ['Service-Worker-Navigation-Preload', '']],
  ]
  for (const headers of scripts) {
    assert.ok(!(await open(ENROLL, headers)).body.toString().includes(told.password))
    assert.equal((await open(told.downloads.p12, headers)).status, 404)
  }
  for (const answer of [await open(ENROLL), await open(told.downloads.p12)]) {
    assert.equal(header(answer, 'Cross-Origin-Opener-Policy'), 'same-origin')
    assert.equal(header(answer, 'Cross-Origin-Resource-Policy'), 'same-origin')
    assert.equal(header(answer, 'Referrer-Policy'), 'origin')
    assert.match(header(answer, 'Content-Security-Policy') ?? '', /frame-ancestors 'none'/)
  }
  assert.equal((await service.visit(told.downloads.p12, NAVIGATION)).status, 404)
})

test('The claimed page is shown only after a redirect with a different opener policy, which cannot be forged', async (context) => {
  const { service, code } = await invited(context)
  const { cookie, told } = await claimed(service, code)
  const visit = (path: string) => service.visit(path, [...NAVIGATION, ['Cookie', cookie]])
  const first = await visit(ENROLL)
  assert.equal(first.status, 303)
  assert.equal(header(first, 'Cross-Origin-Opener-Policy'), 'unsafe-none')
  const address = header(first, 'Location') ?? ''
  assert.match(address, /^\/\.certlatch\/auth\/enroll\?from=[\w-]{43}$/)
  const shown = await visit(address)
  assert.equal(header(shown, 'Cross-Origin-Opener-Policy'), 'same-origin')
  assert.ok(shown.body.toString().includes(told.password))
  for (const forged of ['?from=', `?from=${'a'.repeat(43)}`, `?from=x&${address.split('?')[1]}`]) {
    assert.equal((await visit(ENROLL + forged)).status, 303, forged)
  }
  const other = await inviteDevice(
    { dataDir: service.dataDir, who: 'test', nowSeconds: NOON_SECONDS },
    { name: 'Tablet', owner: undefined },
    OPTIONS,
  )
  const others = await claimed(service, other.code)
  const taken = await service.visit(address, [...NAVIGATION, ['Cookie', others.cookie]])
  assert.equal(taken.status, 303)
})

test('Every answer, including a refusal, is isolated from other windows and other sites', async (context) => {
  const { service, code } = await invited(context)
  const answers = [
    await service.visit(ENROLL),
    await postJson(service, `${ENROLL}/look`, { code }),
    await postForm(service, `${ENROLL}/look`, { code: UNKNOWN_CODE }),
    await postJson(service, ENROLL, { code, nonce: 'one' }, []),
    await postJson(service, `${ENROLL}/certificate.p12`, {}),
    await service.visit(`${ENROLL}/nothing`),
    await service.visit('/.certlatch/auth/session'),
    await claimed(service, code).then(({ answer }) => answer),
  ]
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 404, 403, 405, 404, 403, 200],
  )
  for (const answer of answers) {
    assert.equal(header(answer, 'Cross-Origin-Opener-Policy'), 'same-origin')
    assert.equal(header(answer, 'Cross-Origin-Resource-Policy'), 'same-origin')
    assert.equal(header(answer, 'Referrer-Policy'), 'origin')
    assert.equal(header(answer, 'X-Content-Type-Options'), 'nosniff')
    assert.equal(header(answer, 'Cache-Control'), 'no-store')
    assert.match(header(answer, 'Content-Security-Policy') ?? '', /frame-ancestors 'none'/)
  }
})

test('Without JavaScript it works with forms', async (context) => {
  const { service, code } = await invited(context)
  const typed = code.toUpperCase().replace(/(.{4})(?=.)/g, '$1-')
  const looked = await postForm(service, `${ENROLL}/look`, { code: typed })
  assert.equal(looked.status, 200)
  const page = looked.body.toString()
  assert.match(page, /You are invited to use ha\.test on this device/)
  const [, nonce = ''] = /name="nonce" value="([\w-]{22})"/.exec(page) ?? []
  const answer = await postForm(service, ENROLL, { code, nonce })
  assert.equal(answer.status, 303)
  assert.equal(header(answer, 'Location'), ENROLL)
  const cookie = cookiesOf(answer)
  const shown = await opened(service, ENROLL, [...NAVIGATION, ['Cookie', cookie]])
  assert.match(shown.body.toString(), /class="password">[a-z2-9-]{24}</)
  const done = await postForm(service, `${ENROLL}/done`, {}, [...SAME_ORIGIN, ['Cookie', cookie]])
  assert.equal(done.status, 303)
  assert.equal(header(done, 'Location'), '/')
  assert.match(allHeaders(done, 'Set-Cookie')[0] ?? '', /^__Secure-certlatch-enroll=; .*Max-Age=0;/)
  const after = await opened(service, ENROLL, [...NAVIGATION, ['Cookie', cookie]])
  assert.doesNotMatch(after.body.toString(), /class="password"/)
})

test("Each mistake has its status, its problem type, and a page in the visitor's language", async (context) => {
  const { service, change, code } = await invited(context)
  await claimed(service, code)
  const tablet = { name: 'Tablet', owner: undefined }
  const short = await inviteDevice(change, tablet, { ...OPTIONS, validSeconds: 1 })
  service.clock.now += 1_000
  const elsewhere: Headers = [['X-Forwarded-For', '192.0.2.99']]
  for (let guess = 0; guess < 60; guess += 1) {
    await postJson(service, `${ENROLL}/look`, { code: UNKNOWN_CODE }, [
      ...SAME_ORIGIN,
      ...elsewhere,
    ])
  }
  const rows: readonly (readonly [string, number, EnrollProblem, Headers])[] = [
    ['k7fm', 400, 'malformed', []],
    ['a'.repeat(17 * 1024), 400, 'malformed', []],
    [UNKNOWN_CODE, 404, 'unknown', []],
    [code, 409, 'used', []],
    [short.code, 410, 'ended', []],
    [UNKNOWN_CODE, 429, 'rate-limited', elsewhere],
  ]
  for (const [typed, status, problem, more] of rows) {
    for (const [path, fields] of [
      [`${ENROLL}/look`, { code: typed }],
      [ENROLL, { code: typed, nonce: 'two' }],
    ] as const) {
      const asJson = await postJson(service, path, fields, [...SAME_ORIGIN, ...more])
      assert.equal(asJson.status, status)
      assert.equal(jsonOf(asJson).problem, problem)
      for (const [language, { enroll }] of Object.entries(LANGUAGES)) {
        const spoken: Headers = [['Accept-Language', `${language}-XX,${language};q=0.9,en;q=0.1`]]
        const page = await postForm(service, path, fields, [...SAME_ORIGIN, ...more, ...spoken])
        assert.equal(page.status, status)
        const text = page.body.toString()
        assert.ok(text.includes(`<html lang="${language}">`), `${problem} ${language}`)
        assert.ok(text.includes(`<h1>${escapeHtml(enroll.problems[problem].title)}</h1>`))
      }
    }
  }
  const reused = service.logLines().find(({ msg }) => msg === 'invitation reused')
  assert.equal(reused?.['device'], "Ada's phone")
})

test("A server that may not write says so, in the visitor's language", () => {
  assert.equal(PROBLEM_STATUS['read-only'], 423)
  for (const [language, { enroll }] of Object.entries(LANGUAGES) as [Language, Texts][]) {
    const { html } = problemPage(language, 'read-only', undefined)
    assert.ok(html.includes(`<h1>${escapeHtml(enroll.problems['read-only'].title)}</h1>`))
  }
})

test('Of fifty claims at once at two replicas of one directory exactly one succeeds', async (context) => {
  const { service, code } = await invited(context)
  const other = await startTestService(context, { dataDir: service.dataDir })
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      postJson(index % 2 === 0 ? service : other, ENROLL, { code, nonce: `n${index}` }),
    ),
  )
  const statuses = answers.map(({ status }) => status)
  assert.equal(statuses.filter((status) => status === 200).length, 1)
  assert.equal(statuses.filter((status) => status === 409).length, 49)
  const won = statuses.indexOf(200)
  // The other replica also gives the device access, and repeats the same answer.
  const loser = won % 2 === 0 ? other : service
  const again = await claimed(loser, code, `n${won}`)
  assert.equal(again.told.password, jsonOf(answers[won] ?? again.answer).password)
  const asked = await loser.ask([['Cookie', again.cookie.split('; ')[0] ?? '']])
  assert.equal(asked.status, 200)
})

test("If the server's clock is a day behind, the page says what may be wrong", async (context) => {
  const { service, code } = await invited(context)
  service.clock.now -= 86_400_000
  const answer = await postForm(service, `${ENROLL}/look`, { code })
  assert.equal(answer.status, 410)
  assert.match(answer.body.toString(), /the server’s clock may be wrong/)
  service.clock.now += 86_400_000
  assert.equal((await postJson(service, `${ENROLL}/look`, { code })).status, 200)
})

test('An expired invitation is distinguished from an unknown one, and cannot be collected', async (context) => {
  const { service, code } = await invited(context)
  service.clock.now += 86_400_000
  const answer = await postJson(service, ENROLL, { code, nonce: 'one' })
  assert.equal(answer.status, 410)
  assert.deepEqual(jsonOf(answer), { problem: 'ended' })
})

test('The same page gets a lost answer again, and another page does not', async (context) => {
  const { service, code } = await invited(context)
  const first = await claimed(service, code, 'one')
  service.clock.now += 3_000_000
  const again = await claimed(service, code, 'one')
  assert.equal(again.told.password, first.told.password)
  const other = await postJson(service, ENROLL, { code, nonce: 'two' })
  assert.equal(other.status, 409)
  assert.deepEqual(jsonOf(other), { problem: 'used', at: NOON_SECONDS })
})

test("A repeated answer carries the first one's session, so a sign-out in between still counts", async (context) => {
  const { service, change, code } = await invited(context)
  await claimed(service, code)
  service.clock.now += 60_000
  await signOut({ ...change, nowSeconds: NOON_SECONDS + 60 }, "Ada's phone")
  const { cookie } = await claimed(service, code)
  assert.doesNotMatch(cookie, /__Host-certlatch=/)
})

test('A block ends everything at once', async (context) => {
  const { service, change, code, certificate } = await invited(context)
  const { open, told } = await claimed(service, code)
  await blockCertificate(change, certificate)
  assert.equal((await postJson(service, ENROLL, { code, nonce: 'one' })).status, 409)
  assert.equal((await open(told.downloads.p12)).status, 404)
  assert.doesNotMatch((await open(ENROLL)).body.toString(), /class="password"/)
})

test('Another site can neither look up nor claim nor finish: the browser has to prove the origin', async (context) => {
  const { service, code } = await invited(context)
  const foreign: readonly Headers[] = [
    [],
    [
      ['Origin', 'https://evil.test'],
      ['Sec-Fetch-Site', 'cross-site'],
    ],
    [['Origin', 'null']],
    [
      ['Origin', 'https://ha.test'],
      ['Sec-Fetch-Site', 'same-site'],
    ],
    [
      ['Origin', 'http://ha.test'],
      ['X-Forwarded-Proto', 'http'],
    ],
  ]
  for (const headers of foreign) {
    for (const path of [ENROLL, `${ENROLL}/look`, `${ENROLL}/done`]) {
      const answer = await postJson(service, path, { code, nonce: 'one' }, headers)
      assert.equal(answer.status, 403, JSON.stringify(headers))
      assert.equal(header(answer, 'X-Certlatch'), 'refused')
      assert.deepEqual(allHeaders(answer, 'Set-Cookie'), [])
    }
  }
  const labels = { outcome: 'deny', via: 'none', reason: 'cross-site' }
  assert.equal(await service.metric('certlatch_decisions_total', labels), 15)
})

test('Under another host of this service the invitation is unknown', async (context) => {
  const { service, code } = await invited(context)
  const headers: Headers = [
    ['Origin', 'https://other.test'],
    ['Sec-Fetch-Site', 'same-origin'],
    ['X-Forwarded-Host', 'other.test'],
  ]
  assert.equal((await postJson(service, ENROLL, { code, nonce: 'one' }, headers)).status, 404)
})

test('Wrong codes are limited to 60 per minute and address, a correct one never', async (context) => {
  const { service, code } = await invited(context)
  const guess = (from: string) =>
    postJson(service, `${ENROLL}/look`, { code: 'b'.repeat(20) }, [
      ...SAME_ORIGIN,
      ['X-Forwarded-For', from],
    ])
  for (let attempt = 0; attempt < 60; attempt += 1) {
    assert.equal((await guess('198.51.100.7')).status, 404)
  }
  const limited = await guess('198.51.100.7')
  assert.equal(limited.status, 429)
  assert.equal(header(limited, 'Retry-After'), '60')
  assert.equal((await guess('203.0.113.9')).status, 404)
  assert.equal((await postJson(service, `${ENROLL}/look`, { code })).status, 200)
})

test('A body that is too large, of another type, or not an object is malformed', async (context) => {
  const { service, code } = await invited(context)
  const send = (type: string, body: string) =>
    service.visit(`${ENROLL}/look`, [...SAME_ORIGIN, ['Content-Type', type]], {
      method: 'POST',
      body,
    })
  const json = JSON.stringify({ code })
  for (const [type, body] of [
    ['text/plain', json],
    ['application/json', `${json}${' '.repeat(16 * 1024)}`],
    ['application/json', '{'],
    ['application/json', '"text"'],
    ['application/json', '{"code":1}'],
    ['application/x-www-form-urlencoded', `code=${code}&code=${code}`],
  ] as const) {
    assert.equal((await send(type, body)).status, 400, `${type} ${body.slice(0, 30)}`)
  }
  assert.equal((await send('application/json; charset=utf-8', json)).status, 200)
})

test('A registered device is told which one it is, and one with a refused certificate to remove it', async (context) => {
  const { service, code } = await invited(context)
  const { certificate } = await addTestDevice(service.dataDir, 'Old phone')
  await service.refresh()
  const shown = certificateHeader(certificate, 'traefik')
  const page = (await service.visit(ENROLL, shown)).body.toString()
  assert.match(page, /This browser already has access, as “Old phone”/)
  const { cookie } = await claimed(service, code)
  const foreign = certificateHeader(makeLeaf(makeAuthority('Foreign')), 'traefik')
  const warned = await opened(service, ENROLL, [...NAVIGATION, ...foreign, ['Cookie', cookie]])
  assert.match(warned.body.toString(), /shows another certificate, which is refused here/)
})

test('On a host outside the cookie domain, no session is set or promised', async (context) => {
  const settings = { CERTLATCH_COOKIE_DOMAIN: 'example.org' }
  const { service, code } = await invited(context, { settings })
  const { cookie, open } = await claimed(service, code)
  assert.match(cookie, /^__Secure-certlatch-enroll=/)
  assert.match((await open(ENROLL)).body.toString(), /has access once its certificate is installed/)
})

test('Every outcome is counted, and no code appears in log or metrics', async (context) => {
  const { service, code } = await invited(context)
  const count = (outcome: string) => service.metric('certlatch_invitations_total', { outcome })
  for (const outcome of INVITATION_OUTCOMES) assert.equal(await count(outcome), 0)
  const { told, cookie } = await claimed(service, code)
  await claimed(service, code)
  await postJson(service, ENROLL, { code, nonce: 'two' })
  assert.deepEqual(
    [await count('collected'), await count('replayed'), await count('used')],
    [1, 1, 1],
  )
  const metrics = (await service.admin('/metrics')).body.toString()
  const [, ticket = ''] = /enroll=([^;]+)/.exec(cookie) ?? []
  for (const secret of [code, told.password, ticket]) {
    assert.ok(secret.length > 10)
    assert.ok(!service.logText().includes(secret))
    assert.ok(!metrics.includes(secret))
  }
})

test('With an external CA there is no enrollment', async (context) => {
  const external = { authorities: makeAuthority('Other').pem }
  const service = await startTestService(context, { external })
  assert.equal((await service.visit(ENROLL)).status, 404)
  assert.equal((await service.visit('/.certlatch/auth/reset')).status, 200)
})
