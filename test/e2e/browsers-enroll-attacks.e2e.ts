// A script at the application's origin, in a browser that has collected an invitation there: it can get
// neither the page nor the packages, whatever it makes the browser load, and however.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { type EnrollBrowser, startEnrollBrowser } from './support/enroll-browser.ts'
import { programsMissing } from './support/tools.ts'

const ENROLL = '/.certlatch/auth/enroll'

/** A worker that takes control immediately, and keeps everything that it can read of navigations. */
const WORKER = `
addEventListener('install', () => skipWaiting())
addEventListener('activate', (event) => event.waitUntil(clients.claim()))
addEventListener('fetch', (event) => {
  if (event.request.mode === 'navigate') event.respondWith(keep(event))
})
async function keep(event) {
  const answer = await load(event)
  const text = await answer.clone().text()
  const { url } = event.request
  const kept = JSON.stringify({ url, status: answer.status, text })
  await (await caches.open('kept')).put('/kept?' + Math.random(), new Response(kept))
  return answer
}`

/** How a worker can load what the browser navigates to. */
const LOADS = [
  ['passes the request on', 'const load = ({ request }) => fetch(request)'],
  ['makes its own request', 'const load = ({ request }) => fetch(request.url)'],
  [
    'has the browser preload it',
    `addEventListener('activate', (event) => event.waitUntil(registration.navigationPreload.enable()))
const load = async ({ preloadResponse, request }) => (await preloadResponse) || fetch(request)`,
  ],
  [
    'has the browser preload it, with an empty header',
    `addEventListener('activate', (event) => event.waitUntil(registration.navigationPreload.enable().then(
  () => registration.navigationPreload.setHeaderValue(''))))
const load = async ({ preloadResponse, request }) => (await preloadResponse) || fetch(request)`,
  ],
] as const

const POLICIES = ['same-origin', 'same-origin-allow-popups', 'unsafe-none'] as const

interface Kept {
  readonly url: string
  readonly status: number
  readonly text: string
}

describe("A script at the application's origin", { skip: programsMissing('chromium') }, () => {
  let enroll: EnrollBrowser
  let site = ''
  before(async () => {
    enroll = await startEnrollBrowser()
    site = enroll.site
    const { backend } = enroll.world
    const html = { 'Content-Type': 'text/html' }
    backend.serve('/', '<!doctype html><title>The application</title>', html)
    for (const policy of POLICIES) {
      const headers = { ...html, 'Cross-Origin-Opener-Policy': policy }
      backend.serve(`/${policy}`, '<!doctype html><title>Isolated</title>', headers)
    }
    LOADS.forEach(([, load], index) => {
      const headers = { 'Content-Type': 'text/javascript' }
      backend.serve(`/worker-${index}.js`, `${WORKER}\n${load}`, headers)
    })
  })
  after(() => enroll?.close())

  /** Collects an invitation, and returns its password and a tab with the application. */
  async function collected(page: Page) {
    await page.goto(await enroll.invite())
    await page.click('#claim button')
    await page.waitForSelector('#claimed')
    const password = (await page.textContent('.password')) ?? ''
    assert.match(password, /^[a-z2-9-]{24}$/)
    const application = await page.context().newPage()
    await application.goto(`${site}/`)
    return { password, application }
  }

  /** What a script can read in a window that it opens at this address. */
  const readWindow = (application: Page, path = ENROLL): Promise<unknown> =>
    application.evaluate(`new Promise((resolve) => {
      const opened = window.open('${path}')
      let read = ''
      const timer = setInterval(() => {
        try { read += opened.document.documentElement.innerHTML } catch (error) { read += error }
      }, 5)
      setTimeout(() => resolve(read, clearInterval(timer)), 2000)
    })`)

  const register = async (application: Page, script: string): Promise<unknown> => {
    const scope = await application.evaluate(
      `navigator.serviceWorker.register('${script}').then(({ scope }) => scope, String)`,
    )
    await application
      .waitForFunction('navigator.serviceWorker.controller !== null', undefined, { timeout: 3_000 })
      .catch(() => undefined)
    return scope
  }

  test('can neither fetch, frame nor read the page and the packages', async () => {
    await enroll.withPage({}, async (page) => {
      const { password, application } = await collected(page)
      const fetched = await application.evaluate(`(async () => {
        const paths = ['', '/certificate.p12', '/certificate-file.p12', '/certificate-modern.p12', '/profile.mobileconfig']
        let all = ''
        for (const path of paths) for (const mode of ['cors', 'same-origin', 'no-cors']) {
          const answer = await fetch('${ENROLL}' + path, { credentials: 'include', mode, cache: 'force-cache' })
          if (path !== '' && answer.ok) all += '${password}'
          all += await answer.text()
        }
        return all
      })()`)
      assert.ok(!String(fetched).includes(password), 'by fetch')
      for (const element of ['iframe', 'object', 'embed']) {
        const framed = await application.evaluate(`new Promise((resolve) => {
          const frame = document.createElement('${element}')
          frame['${element === 'object' ? 'data' : 'src'}'] = '${ENROLL}'
          const read = () => {
            try { resolve(frame.contentDocument.body.innerHTML) } catch (error) { resolve(String(error)) }
          }
          frame.onload = read
          setTimeout(read, 2000)
          document.body.append(frame)
        })`)
        assert.ok(!String(framed).includes(password), `by ${element}`)
      }
      assert.ok(!String(await readWindow(application)).includes(password), 'by a window')
    })
  })

  test('finds nothing in the answers to its own forms', async () => {
    await enroll.withPage({}, async (page) => {
      const { password, application } = await collected(page)
      for (const [path, field] of [
        [ENROLL, 'code'],
        [`${ENROLL}/look`, 'code'],
      ]) {
        const read = await application.evaluate(`new Promise((resolve) => {
          const opened = window.open('about:blank', 'form')
          const form = document.createElement('form')
          Object.assign(form, { method: 'post', action: '${path}', target: 'form' })
          form.innerHTML = '<input name="${field}" value="${'a'.repeat(20)}"><input name="nonce" value="x">'
          document.body.append(form)
          form.submit()
          setTimeout(() => {
            try { resolve(opened.document.body.innerHTML) } catch (error) { resolve(String(error)) }
          }, 1500)
        })`)
        assert.ok(!String(read).includes(password), path)
      }
    })
  })

  // A worker for a script's own folder can set any policy for a page; here the application does it.
  for (const policy of POLICIES) {
    test(`can't read the page in a window from a page with the opener policy ${policy}`, async () => {
      await enroll.withPage({}, async (page) => {
        const { password, application } = await collected(page)
        await application.goto(`${site}/${policy}`)
        assert.equal(await application.title(), 'Isolated')
        const read = String(await readWindow(application))
        assert.ok(!read.includes(password))
      })
    })
  }

  for (const [index, [name]] of LOADS.entries()) {
    test(`can't read anything with a worker that ${name}`, async () => {
      await enroll.withPage({ acceptDownloads: true }, async (page) => {
        const { password, application } = await collected(page)
        const scope = await register(application, `/worker-${index}.js`)
        assert.equal(scope, `${site}/`)
        for (const path of ['/certificate.p12', '/profile.mobileconfig', '']) {
          await application.goto(`${site}${ENROLL}${path}`).catch(() => undefined)
        }
        await application.goto(`${site}/`)
        const kept = (await application.evaluate(`(async () => {
          const cache = await caches.open('kept')
          const answers = await Promise.all((await cache.keys()).map((key) => cache.match(key)))
          return Promise.all(answers.map((answer) => answer.json()))
        })()`)) as readonly Kept[]
        const own = kept.filter(({ url }) => url.includes(ENROLL))
        assert.ok(own.length > 0, 'the worker saw the requests')
        assert.ok(own.every(({ text }) => !text.includes(password)))
        assert.ok(own.every(({ url, status }) => !url.includes('certificate') || status === 404))
      })
    })
  }

  test("finds no code in the tab's history, whether the code was used or not", async () => {
    await enroll.withPage({}, async (page) => {
      const url = await enroll.invite()
      const [, code = ''] = url.split('#')
      const inHistory = () =>
        page.evaluate(
          'JSON.stringify(navigation.entries().map(({ url }) => url)) + document.referrer',
        )
      await page.goto(url)
      await page.waitForSelector('#claim')
      await page.goto(`${site}/`)
      assert.ok(!String(await inHistory()).includes(code), 'before')
      await page.goBack()
      await page.click('#claim button')
      await page.waitForSelector('#claimed')
      await page.click('form[action$="/done"] button')
      await page.waitForURL(`${site}/`)
      assert.ok(!String(await inHistory()).includes(code), 'after')
    })
  })

  test('cannot register a certlatch script as a worker', async () => {
    await enroll.withPage({}, async (page) => {
      const { application } = await collected(page)
      const said = await register(application, '/.certlatch/auth/rescue.js')
      assert.match(String(said), /Content Security Policy|Error/)
    })
  })

  test('an honest worker that was there before is unregistered, and the page shows the steps', async () => {
    await enroll.withPage({}, async (page) => {
      const { application } = await collected(page)
      await register(application, '/worker-0.js')
      await application.close()
      // The page that the worker fetches shows no certificate, so the page reloads itself.
      await page.goto(`${site}${ENROLL}`)
      await page.waitForSelector('#claimed')
      const left = await page.evaluate('navigator.serviceWorker.getRegistrations()')
      assert.deepEqual(left, [])
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.click('#guide-linux a[href$="/certificate.p12"]'),
      ])
      assert.match(download.suggestedFilename(), /\.p12$/)
    })
  })
})
