import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createContext, runInContext } from 'node:vm'
import { REFUSAL_SCRIPT, RESET_SCRIPT, rescueModule } from '../../src/server/pages/scripts.ts'
import {
  addTestDevice,
  allHeaders,
  certificateHeader,
  type Headers,
  header,
  sessionOf,
  startTestService,
} from '../support/service.ts'

const RESET = '/.certlatch/auth/reset'
const RESCUE = '/.certlatch/auth/rescue.js'
const SESSION = '/.certlatch/auth/session'

async function serviceWithDevice(context: TestContext) {
  const service = await startTestService(context, { settings: { CERTLATCH_SESSION_TTL: '20m' } })
  const { certificate } = await addTestDevice(service.dataDir)
  await service.refresh()
  const shown = certificateHeader(certificate, 'traefik')
  const get = (target: string, method = 'GET', headers: Headers = []) =>
    service.visit(target, headers, { method })
  return { service, certificate, shown, get }
}

test('Reset page and rescue module pass the gate for every client, by GET and HEAD', async (context) => {
  const { shown, get } = await serviceWithDevice(context)
  for (const [path, type] of [
    [RESET, 'text/html; charset=utf-8'],
    [RESCUE, 'text/javascript; charset=utf-8'],
  ] as const) {
    const answers = [
      await get(path),
      await get(path, 'GET', shown),
      await get(`${path}?v=2`),
      await get(path, 'GET', [['Cookie', '__Host-certlatch=x']]),
    ]
    for (const answer of answers) {
      assert.equal(answer.status, 200)
      assert.equal(header(answer, 'Content-Type'), type)
      assert.equal(header(answer, 'Cache-Control'), 'no-store')
      assert.equal(header(answer, 'X-Content-Type-Options'), 'nosniff')
      assert.equal(header(answer, 'Cross-Origin-Resource-Policy'), 'same-origin')
      assert.deepEqual(allHeaders(answer, 'Set-Cookie'), [])
      assert.deepEqual(allHeaders(answer, 'Remote-User'), [])
      assert.deepEqual(answer.body, answers[0]?.body)
    }
    const head = await get(path, 'HEAD')
    assert.equal(head.status, 200)
    assert.equal(header(head, 'Content-Length'), String(answers[0]?.body.length))
  }
})

test('Other methods are not allowed there', async (context) => {
  const { get, shown } = await serviceWithDevice(context)
  for (const path of [RESET, RESCUE]) {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'get']) {
      const answer = await get(path, method, shown).catch(() => undefined)
      if (method === 'get') continue
      assert.equal(answer?.status, 405)
      assert.equal(answer && header(answer, 'Allow'), 'GET, HEAD')
    }
  }
})

test('A session that no answer sets is neither counted nor logged', async (context) => {
  const { service, get, shown } = await serviceWithDevice(context)
  const sameOrigin: Headers = [
    ['Origin', 'https://ha.test'],
    ['Sec-Fetch-Site', 'same-origin'],
  ]
  const minted = () => service.metric('certlatch_sessions_minted_total', { cause: 'opened' })
  const answer = await get(SESSION, 'POST', [...shown, ...sameOrigin])
  assert.equal(answer.status, 405)
  assert.deepEqual(allHeaders(answer, 'Set-Cookie'), [])
  assert.equal(await minted(), 0)
  assert.doesNotMatch(service.logText(), /session opened/)
  const key = `${Buffer.alloc(32, 7).toString('base64url')} verifies-until=1000\n`
  await writeFile(service.config.sessionKeysFile, key)
  await service.refresh()
  const keyless = await get(SESSION, 'GET', shown)
  assert.equal(keyless.status, 204)
  assert.deepEqual(allHeaders(keyless, 'Set-Cookie'), [])
  assert.equal(await minted(), 0)
  assert.doesNotMatch(service.logText(), /session opened/)
})

test('Only the exact raw path is a page: no detour sets a cookie or grants access', async (context) => {
  const { get, shown } = await serviceWithDevice(context)
  const asked: Headers = [['X-Forwarded-Method', 'GET'], ['X-Forwarded-Uri', '/'], ...shown]
  for (const target of [
    '/.certlatch/auth/',
    '/.certlatch/auth',
    '/.certlatch/auth/reset/',
    '/.certlatch/auth/Reset',
    '/.certlatch/auth/rescue.js/',
    '/.certlatch/auth/rescue',
    '/.certlatch/auth/..%2F..%2Fverify',
    '/.certlatch/auth/../../verify',
    '/.certlatch/auth/reset/../../../verify',
    '/.certlatch/auth/reset%3f/../../../verify',
    '/.certlatch/auth/reset;/verify',
    '/.certlatch/auth/reset%00',
    '/.certlatch/auth/%72eset',
    '/%2ecertlatch/auth/reset',
    '//.certlatch/auth/reset',
    '/x/../.certlatch/auth/reset',
    '/.certlatch\\auth\\reset',
  ]) {
    const answer = await get(target, 'GET', asked)
    assert.equal(answer.status, 404, target)
    assert.deepEqual(allHeaders(answer, 'Set-Cookie'), [], target)
  }
})

test('The reset page allows its own style and its one script, and says what to do without', async (context) => {
  const { get } = await serviceWithDevice(context)
  const answer = await get(RESET)
  const page = answer.body.toString()
  const policy = header(answer, 'Content-Security-Policy') ?? ''
  assert.ok(policy.startsWith("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; "))
  assert.ok(policy.includes(`script-src 'sha256-${hash('sha256', RESET_SCRIPT, 'base64')}'`))
  assert.ok(page.includes(`<script>${RESET_SCRIPT}</script>`))
  assert.match(page, /<noscript>/)
  assert.doesNotMatch(RESET_SCRIPT + REFUSAL_SCRIPT + rescueModule(60), /localStorage|caches\b/)
})

test('The rescue module is served with the time after which the session should be renewed', async (context) => {
  const { get } = await serviceWithDevice(context)
  assert.match((await get(RESCUE)).body.toString(), /^const ASK_EVERY = 300000 /)
})

// --- the scripts, in a browser as small as they need it ------------------------------------------

interface Browser {
  /** What has been done, in order. */
  readonly done: string[]
  now: number
  /** What the page's own memory has, `undefined` if it may not be used. */
  storage: Map<string, string> | undefined
  visible: boolean
  /** Home Assistant's connection; `undefined` if its page has not loaded. */
  connected: boolean | undefined
  /** What the gate says to a fetch. */
  gate: 'refuses' | 'opens' | 'open but down' | 'unreachable' | 'silent'
  /** Whether the page is Home Assistant's. */
  hasApp: boolean
  click(): boolean
  becomeVisible(): void
  becomeOnline(): void
  /** Lets time pass, in steps as fine as the timers. */
  pass(milliseconds: number): Promise<void>
}

const settle = async () => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
}

interface FetchOptions {
  readonly cache: string
  readonly signal: AbortSignal
}

interface Setting {
  readonly workers?: readonly ('willing' | 'stuck')[] | 'none' | 'broken'
  readonly controlled?: boolean
  readonly storage?: Map<string, string> | undefined
  readonly connected?: boolean | undefined
  readonly gate?: Browser['gate']
  readonly visible?: boolean
  readonly hasApp?: boolean
  readonly now?: number
  /** Whether Home Assistant's page says that it could not connect. */
  readonly failed?: boolean
  /** Where the button leads. */
  readonly button?: string
}

/** Runs a script as a page that has just been loaded would. */
async function load(script: string, setting: Setting = {}): Promise<Browser> {
  const { workers = ['willing'], controlled = false } = setting
  const listeners = new Map<string, (event: object) => void>()
  const timers: { at: number; every: number | undefined; run: () => void; id: number }[] = []
  const browser: Browser = {
    done: [],
    now: setting.now ?? 1_800_000_000_000,
    storage: 'storage' in setting ? setting.storage : new Map(),
    visible: setting.visible ?? true,
    connected: setting.connected,
    gate: setting.gate ?? 'refuses',
    hasApp: setting.hasApp ?? true,
    click: () => {
      let isPrevented = false
      const preventDefault = () => {
        isPrevented = true
      }
      listeners.get('click')?.({ preventDefault })
      return isPrevented
    },
    becomeVisible: () => {
      browser.visible = true
      listeners.get('visibilitychange')?.({})
    },
    becomeOnline: () => listeners.get('online')?.({}),
    pass: async (milliseconds) => {
      const until = browser.now + milliseconds
      for (;;) {
        await settle()
        const [next] = [...timers].sort((one, other) => one.at - other.at)
        if (next === undefined || next.at > until) break
        browser.now = Math.max(browser.now, next.at)
        if (next.every === undefined) timers.splice(timers.indexOf(next), 1)
        else next.at += next.every
        next.run()
      }
      browser.now = until
      await settle()
    },
  }
  const registration = (kind: 'willing' | 'stuck') => ({
    unregister: async () => {
      browser.done.push('unregister')
      if (kind === 'stuck') throw new Error('stuck')
      return true
    },
  })
  const serviceWorker = {
    controller: controlled ? {} : null,
    getRegistrations: async () => {
      if (workers === 'broken') throw new Error('broken')
      return Array.isArray(workers) ? workers.map(registration) : []
    },
  }
  const addEventListener = (name: string, listener: (event: object) => void) =>
    listeners.set(name, listener)
  let nextId = 0
  const addTimer = (run: () => void, after: number, every?: number) => {
    nextId += 1
    timers.push({ at: browser.now + after, every, run, id: nextId })
    return nextId
  }
  const fetchFromGate = (path: string, { cache, signal }: FetchOptions) => {
    browser.done.push(`fetch ${path} ${cache}`)
    if (browser.gate === 'unreachable') return Promise.reject(new TypeError('unreachable'))
    if (browser.gate === 'silent') {
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(new Error('aborted'))),
      )
    }
    const refused = browser.gate === 'refuses' ? 'refused' : null
    return Promise.resolve({
      status: { refuses: 403, opens: 404, 'open but down': 502 }[browser.gate],
      headers: { get: (name: string) => (name === 'X-Certlatch' ? refused : null) },
    })
  }
  const page = {
    navigator: workers === 'none' ? {} : { serviceWorker },
    location: {
      reload: () => browser.done.push('reload'),
      replace: (url: string) => browser.done.push(`replace ${url}`),
      assign: (url: string) => browser.done.push(`assign ${url}`),
    },
    document: {
      get visibilityState() {
        return browser.visible ? 'visible' : 'hidden'
      },
      addEventListener,
      querySelector: (selector: string) => {
        if (selector === '.button') {
          return { addEventListener, getAttribute: () => setting.button ?? '' }
        }
        if (selector === 'ha-init-page') {
          return setting.failed === undefined ? null : { error: setting.failed }
        }
        if (!browser.hasApp) return null
        const { connected } = browser
        return connected === undefined ? {} : { hass: { connected } }
      },
    },
    get sessionStorage() {
      const { storage } = browser
      if (storage === undefined) throw new Error('not allowed')
      return {
        getItem: (key: string) => storage.get(key) ?? null,
        setItem: (key: string, value: string) => storage.set(key, value),
        removeItem: (key: string) => storage.delete(key),
      }
    },
    Date: { now: () => browser.now },
    AbortController,
    addEventListener,
    fetch: fetchFromGate,
    setInterval: (run: () => void, every: number) => addTimer(run, every, every),
    setTimeout: (run: () => void, after: number) => addTimer(run, after),
    clearTimeout: (id: number) => {
      const at = timers.findIndex((timer) => timer.id === id)
      if (at !== -1) timers.splice(at, 1)
    },
  }
  runInContext(`'use strict'; ${script}`, createContext(page))
  await settle()
  return browser
}

test('The refusal page waits for the button, which unregisters the workers and reloads', async () => {
  for (const [workers, expected] of [
    [
      ['willing', 'willing'],
      ['unregister', 'unregister', 'reload'],
    ],
    [['stuck'], ['unregister', 'reload']],
    ['none', ['reload']],
    ['broken', ['reload']],
  ] as const) {
    const browser = await load(REFUSAL_SCRIPT, { workers })
    assert.deepEqual(browser.done, [])
    assert.equal(browser.click(), true)
    await settle()
    assert.deepEqual(browser.done, expected)
  }
})

test('Behind a service worker the refusal page reloads by itself, once in 60 s', async () => {
  const storage = new Map<string, string>()
  const show = async (now: number) =>
    (await load(REFUSAL_SCRIPT, { controlled: true, storage, now })).done.includes('reload')
  const noon = 1_800_000_000_000
  assert.equal(await show(noon), true)
  assert.equal(await show(noon + 1_000), false)
  assert.equal(await show(noon + 59_000), false)
  assert.equal(await show(noon + 60_000), true)
  assert.equal(await show(noon + 61_000), false)
  // A clock that was put back does not keep it waiting.
  assert.equal(await show(noon - 86_400_000), true)
})

test('If it could not remember that, the refusal page waits for the button', async () => {
  const browser = await load(REFUSAL_SCRIPT, { controlled: true, storage: undefined })
  assert.deepEqual(browser.done, [])
  browser.click()
  await settle()
  assert.deepEqual(browser.done, ['unregister', 'reload'])
})

test('If the button leads elsewhere, it goes there past the workers', async () => {
  const browser = await load(REFUSAL_SCRIPT, { button: '/' })
  assert.equal(browser.click(), true)
  await settle()
  assert.deepEqual(browser.done, ['unregister', 'assign /'])
})

test('The reset page unregisters the workers and goes to the start page', async () => {
  assert.deepEqual((await load(RESET_SCRIPT)).done, ['unregister', 'replace /'])
  assert.deepEqual((await load(RESET_SCRIPT, { workers: 'none' })).done, ['replace /'])
})

const MODULE = rescueModule(3600)
const FETCH = 'fetch /.certlatch/auth/session no-store'
const count = ({ done }: Browser, what: string) => done.filter((entry) => entry === what).length

test('Disconnected and refused, the rescue module reloads the page, past the worker', async () => {
  const browser = await load(MODULE)
  assert.deepEqual(browser.done, [FETCH, 'unregister', 'reload'])
})

test('The probe says whether this browser has access, and renews its session', async (context) => {
  const { service, get, shown } = await serviceWithDevice(context)
  const refused = await get(SESSION)
  assert.deepEqual([refused.status, header(refused, 'X-Certlatch')], [403, 'refused'])
  const opened = await get(SESSION, 'GET', shown)
  assert.equal(opened.status, 204)
  const cookie: Headers = [['Cookie', sessionOf(opened)]]
  const known = await get(SESSION, 'GET', cookie)
  assert.deepEqual([known.status, allHeaders(known, 'Set-Cookie')], [204, []])
  service.clock.now += 660_000
  const renewed = await get(SESSION, 'GET', cookie)
  assert.deepEqual([renewed.status, allHeaders(renewed, 'Set-Cookie').length], [204, 1])
})

test('No rule opens the probe, and a stricter rule counts', async (context) => {
  for (const [access, status] of [
    ['open', 403],
    ['certificate-or-session', 204],
    ['certificate', 403],
    ['deny', 403],
  ] as const) {
    const { get, shown, session } = await withRule(context, access)
    assert.equal((await get(SESSION)).status, 403, access)
    const bySession = await get(SESSION, 'GET', [['Cookie', session]])
    assert.equal(bySession.status, access === 'open' ? 204 : status, access)
    assert.equal((await get(SESSION, 'GET', shown)).status, access === 'deny' ? 403 : 204, access)
  }
})

test('On a public page only rules that deny count', async (context) => {
  for (const access of ['open', 'certificate-or-session', 'certificate', 'deny'] as const) {
    const { get } = await withRule(context, access)
    assert.equal((await get(RESET)).status, access === 'deny' ? 403 : 200, access)
  }
})

/** A service whose only rule is for everything there is. */
async function withRule(context: TestContext, access: string) {
  const { service: first, certificate } = await serviceWithDevice(context)
  const { dataDir } = first
  const session = sessionOf(await first.askWith(certificate))
  const policy = join(dataDir, 'policy.yaml')
  const dangerous = access === 'open' ? '\n    dangerous: true' : ''
  await writeFile(policy, `version: 1\nrules:\n  - access: ${access}${dangerous}\n`)
  const settings = { CERTLATCH_POLICY_FILE: policy }
  const service = await startTestService(context, { dataDir, settings })
  const get = (target: string, method = 'GET', headers: Headers = []) =>
    service.visit(target, headers, { method })
  return { get, session, shown: certificateHeader(certificate, 'traefik') }
}

test('A client that may not send auth requests is refused there too: another address, another secret, repeated headers', async (context) => {
  const settings = { CERTLATCH_PROXY_SECRET: 'a secret of the proxy'.replaceAll(' ', '-') }
  const service = await startTestService(context, { settings })
  const secret: Headers = [['X-Certlatch-Proxy-Secret', settings.CERTLATCH_PROXY_SECRET]]
  assert.equal((await service.visit(RESET)).status, 403)
  assert.equal((await service.visit(RESET, secret)).status, 200)
  for (const headers of [
    [
      ['X-Forwarded-Host', 'ha.test'],
      ['X-Forwarded-Host', 'evil.test'],
    ],
    [['X-Forwarded-Host', 'ha test']],
    [['X_Forwarded_Host', 'evil.test']],
    [
      ['X-Forwarded-Tls-Client-Cert', 'a'],
      ['X-Forwarded-Tls-Client-Cert', 'b'],
    ],
  ] as const) {
    const answer = await service.visit(RESET, [...secret, ...headers])
    assert.equal(answer.status, 403, JSON.stringify(headers))
    assert.equal(header(answer, 'X-Certlatch'), 'refused')
  }
  const strangers = await startTestService(context, {
    settings: { CERTLATCH_TRUSTED_PROXIES: '192.0.2.1' },
  })
  assert.equal((await strangers.visit(RESET)).status, 403)
  assert.equal(await strangers.metric('certlatch_decisions_total', UNTRUSTED), 1)
})

const UNTRUSTED = { outcome: 'deny', via: 'none', reason: 'untrusted-proxy' }

test('What a client writes into the headers of an auth request means nothing there', async (context) => {
  const { get, shown } = await serviceWithDevice(context)
  const headers: Headers = [
    ['X-Forwarded-Method', 'GET'],
    ['X-Forwarded-Method', 'POST'],
    ['X-Forwarded-Uri', '/verify'],
    ['X-Certlatch-Page', '1'],
  ]
  assert.equal((await get(RESET, 'GET', headers)).status, 200)
  assert.equal((await get(SESSION, 'GET', headers)).status, 403)
  assert.equal((await get(SESSION, 'GET', [...headers, ...shown])).status, 204)
})

test('No other listener serves the pages, nor the page listener anything else', async (context) => {
  const { service, get } = await serviceWithDevice(context)
  for (const target of ['/verify', '/metrics', '/status', '/healthz', '/readyz']) {
    assert.equal((await get(target)).status, 404)
  }
  assert.equal((await service.ask([], { target: RESET })).status, 404)
  assert.equal((await service.admin(RESET)).status, 404)
})

test('Disconnected but not refused, it probes less and less often, in the end every 30 s', async () => {
  for (const gate of ['opens', 'unreachable'] as const) {
    const browser = await load(MODULE, { gate })
    await browser.pass(10_000)
    assert.equal(count(browser, FETCH), 3)
    await browser.pass(50_000)
    assert.equal(count(browser, FETCH), 6)
    await browser.pass(3_600_000)
    assert.equal(count(browser, FETCH), 126)
    assert.equal(count(browser, 'reload'), 0)
    browser.becomeOnline()
    await settle()
    assert.equal(count(browser, FETCH), 127)
    browser.gate = 'refuses'
    await browser.pass(2_000)
    assert.equal(count(browser, 'reload'), 1)
  }
})

test('Allowed, but on a page that could not connect, it reloads the page and leaves the worker', async () => {
  const browser = await load(MODULE, { gate: 'opens', failed: true })
  assert.deepEqual(browser.done, [FETCH, 'reload'])
  const later = await load(MODULE, { gate: 'opens', failed: true, storage: browser.storage })
  await later.pass(59_000)
  assert.equal(count(later, 'reload'), 0)
  await later.pass(2_000)
  assert.equal(count(later, 'reload'), 1)
})

test('A page that is still connecting, or whose server is down, is not reloaded', async () => {
  for (const setting of [
    { gate: 'opens', failed: false },
    { gate: 'open but down', failed: true },
    { gate: 'unreachable', failed: true },
  ] as const) {
    const browser = await load(MODULE, setting)
    await browser.pass(600_000)
    assert.equal(count(browser, 'reload'), 0, JSON.stringify(setting))
  }
})

test('A fetch without an answer is aborted after ten seconds, and never runs twice at once', async () => {
  const browser = await load(MODULE, { gate: 'silent' })
  await browser.pass(9_000)
  assert.equal(count(browser, FETCH), 1)
  await browser.pass(3_000)
  assert.equal(count(browser, FETCH), 2)
})

test('Connected, it probes every quarter of the TTL, and leaves the page alone', async () => {
  const browser = await load(MODULE, { connected: true })
  assert.equal(count(browser, FETCH), 1)
  await browser.pass(899_000)
  assert.equal(count(browser, FETCH), 1)
  await browser.pass(2_000)
  assert.equal(count(browser, FETCH), 2)
  await browser.pass(3_600_000)
  assert.equal(count(browser, FETCH), 6)
  assert.equal(count(browser, 'reload'), 0)
  browser.connected = false
  await browser.pass(2_000)
  assert.equal(count(browser, 'reload'), 1)
})

test('It probes when the page becomes visible, and not while it is hidden', async () => {
  const browser = await load(MODULE, { connected: true, visible: false })
  await browser.pass(7_200_000)
  assert.deepEqual(browser.done, [])
  browser.becomeVisible()
  await settle()
  assert.deepEqual(browser.done, [FETCH])
  browser.becomeVisible()
  await settle()
  assert.deepEqual(browser.done, [FETCH, FETCH])
  browser.visible = false
  browser.connected = false
  await browser.pass(600_000)
  assert.equal(count(browser, 'reload'), 0)
})

test('It reloads at most once a minute, and after three reloads without a connection waits 15 minutes', async () => {
  const storage = new Map<string, string>()
  const noon = 1_800_000_000_000
  const minute = 60_000
  const loads = async (now: number) => count(await load(MODULE, { storage, now }), 'reload') === 1
  assert.equal(await loads(noon), true)
  assert.equal(await loads(noon + 59_000), false)
  assert.equal(await loads(noon + minute), true)
  assert.equal(await loads(noon + 2 * minute), true)
  const givenUp = await load(MODULE, { storage, now: noon + 2.5 * minute })
  await givenUp.pass(10 * minute)
  assert.equal(count(givenUp, FETCH), 21)
  assert.equal(count(givenUp, 'reload'), 0)
  for (const later of [3, 10, 16.9]) assert.equal(await loads(noon + later * minute), false)
  assert.equal(await loads(noon + 17 * minute), true)
  assert.equal(await loads(noon + 18 * minute), true)
})

test('A connection makes it forget earlier reloads', async () => {
  const storage = new Map<string, string>()
  const noon = 1_800_000_000_000
  for (const minutes of [0, 1, 2]) await load(MODULE, { storage, now: noon + minutes * 60_000 })
  const connected = await load(MODULE, { storage, now: noon + 180_000, connected: true })
  assert.equal(storage.size, 0)
  connected.connected = false
  await connected.pass(2_000)
  assert.equal(count(connected, 'reload'), 1)
})

test('If it cannot store its reloads, or finds them corrupted, it does not reload', async () => {
  const browser = await load(MODULE, { storage: undefined })
  assert.deepEqual(browser.done, [FETCH])
  browser.connected = true
  await browser.pass(2_000)
  const spoiled = new Map([['certlatch-rescue', '{']])
  assert.equal(count(await load(MODULE, { storage: spoiled }), 'reload'), 0)
})

test("On a page that is not Home Assistant's it only keeps the session alive", async () => {
  const browser = await load(MODULE, { hasApp: false })
  await browser.pass(901_000)
  assert.deepEqual(browser.done, [FETCH, FETCH])
})

test('A connection that is established during the probe is left alone', async () => {
  const browser = await load(MODULE, { gate: 'opens' })
  browser.gate = 'refuses'
  const passing = browser.pass(2_000)
  browser.connected = true
  await passing
  assert.equal(count(browser, 'reload'), 0)
})
