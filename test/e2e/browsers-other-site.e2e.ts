// Another site in a real browser, which holds certificate and session of the household: what that
// site can make it do, and what not.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freePort } from '../support/free-port.ts'
import { keepPicture, untilShown, untilThere } from './support/browser.ts'
import { type Chromium, chromiumMissing, startChromium } from './support/browser-chromium.ts'
import { homeAssistantMissing } from './support/home-assistant.ts'
import {
  FRIENDLY_HOST,
  type Household,
  OTHER_HOST,
  startHousehold,
} from './support/home-assistant-household.ts'
import { type Question, REFUSE_ALL } from './support/home-assistant-recorder.ts'
import { CADDY, TRAEFIK } from './support/proxies.ts'
import { until } from './support/tools.ts'

const skip = homeAssistantMissing() || chromiumMissing()

interface Site {
  readonly elsewhere: string
  /** The same under a name that the household's policy lists. */
  readonly friend: string
  close(): void
}

const siteOn = (port: number) => ({
  elsewhere: `https://${OTHER_HOST}:${port}`,
  friend: `https://${FRIENDLY_HOST}:${port}`,
})

/** A site that has nothing to do with the household, but for a visitor. */
async function startSite(household: Household, port: number): Promise<Site> {
  const { serverCertificateFile, serverKeyFile } = household.server
  const options = { cert: readFileSync(serverCertificateFile), key: readFileSync(serverKeyFile) }
  const server = createServer(options, (_, res) => {
    res.setHeader('Content-Type', 'text/html')
    res.end('<!doctype html><title>Elsewhere</title><body>Elsewhere')
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    ...siteOn(port),
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

for (const kind of [TRAEFIK, CADDY]) {
  describe(`Another site, with the household behind ${kind.dialect}`, {
    skip,
    timeout: 300_000,
  }, () => {
    let household: Household
    let site: Site
    let browser: Chromium

    before(async () => {
      const port = await freePort()
      const policy = `version: 1\nallow_origins: ['${siteOn(port).friend}']\n`
      household = await startHousehold(kind, { policy })
      site = await startSite(household, port)
      await household.homeAssistant.onboard()
      const device = await household.addDevice("Ada's laptop")
      const folder = join(household.folder, 'chromium')
      browser = await startChromium({ folder, server: household.server, device })
      await browser.open(`${household.address}/manifest.json`)
    })
    after(async () => {
      await browser?.close()
      site?.close()
      await household?.close()
    })

    /** Opens the site, runs the script there, and returns the auth requests for the path. */
    async function visit(
      address: string,
      path: string,
      script: (target: string) => string,
    ): Promise<{ readonly asked: readonly Question[]; readonly result: unknown }> {
      // The previous page may still be navigating elsewhere.
      await browser.openTab()
      await browser.open(`${address}/`)
      household.recorder.forget()
      const target = household.address + path
      const result = await browser.evaluate(`(async () => { ${script(target)} })()`)
      const asked = () => household.recorder.questions().filter(({ uri }) => uri === path)
      await until(`the gate is asked about ${path}`, () => asked().length > 0)
      return { asked: asked(), result }
    }

    const only = (asked: readonly Question[]): Question => {
      assert.equal(asked.length, 1)
      const [question] = asked
      if (question === undefined) throw new Error('nothing was asked')
      assert.ok(question.shown.includes('certificate'), 'the browser has shown the certificate')
      return question
    }

    test('cannot post a form: it is refused, and the page says so', async () => {
      const { asked } = await visit(site.elsewhere, '/auth/token', POST_A_FORM)
      const question = only(asked)
      assert.deepEqual([question.method, question.status], ['POST', 403])
      assert.equal(question.headers['sec-fetch-site'], 'cross-site')
      await untilShown(browser, /Another site wanted to change something here/)
      await keepPicture(browser, `${kind.dialect}-another-site`)
    })

    test('cannot post by fetch with credentials', async () => {
      const { asked } = await visit(site.elsewhere, '/auth/token', POST_BY_FETCH)
      const question = only(asked)
      assert.deepEqual([question.method, question.status], ['POST', 403])
    })

    test('cannot send anything that needs a preflight', async () => {
      const { asked, result } = await visit(site.elsewhere, '/api/services', POST_JSON)
      assert.deepEqual([...new Set(asked.map(({ method }) => method))], ['OPTIONS'])
      assert.equal(result, 'TypeError')
    })

    test('cannot open a WebSocket', async () => {
      const { asked, result } = await visit(site.elsewhere, '/api/websocket', OPEN_WEBSOCKET)
      assert.equal(only(asked).status, 403)
      assert.equal(result, 'closed')
    })

    test('can embed an image, but cannot read what it fetches', async () => {
      const image = await visit(site.elsewhere, '/static/icons/favicon-192x192.png', LOAD_IMAGE)
      assert.equal(only(image.asked).status, 200)
      assert.equal(image.result, 'loaded')
      const fetched = await visit(site.elsewhere, '/manifest.json', GET_BY_FETCH)
      assert.equal(only(fetched.asked).status, 200)
      assert.equal(fetched.result, 'TypeError')
    })

    test('can link to the page', async () => {
      const { asked } = await visit(site.elsewhere, '/', FOLLOW_A_LINK)
      const [question] = asked
      assert.deepEqual([question?.headers['sec-fetch-site'], question?.status], ['cross-site', 200])
      await untilThere(browser, 'input[name=password]')
    })

    test('can do all of that if the policy lists it', async () => {
      const form = await visit(site.friend, '/auth/token', POST_A_FORM)
      assert.equal(only(form.asked).status, 200)
      const posted = await visit(site.friend, '/auth/token', POST_BY_FETCH)
      assert.equal(only(posted.asked).status, 200)
      const socket = await visit(site.friend, '/api/websocket', OPEN_WEBSOCKET)
      assert.equal(only(socket.asked).status, 200)
      assert.equal(socket.result, 'auth_required')
    })

    test('has its preflight pass without certificate and session only if it is listed', async () => {
      // Chromium shows the certificate there, which it need not; Firefox does not.
      household.recorder.veil(REFUSE_ALL)
      const preflight = async (address: string) => {
        const { asked } = await visit(address, '/api/services', POST_JSON)
        return asked.map(({ method, shown, status }) => [method, shown.length, status])
      }
      assert.deepEqual(await preflight(site.friend), [['OPTIONS', 0, 200]])
      assert.deepEqual(await preflight(site.elsewhere), [['OPTIONS', 0, 403]])
    })
  })
}

const POST_A_FORM = (target: string) => `
  const form = document.createElement('form')
  form.method = 'POST'
  form.action = '${target}'
  document.body.append(form)
  form.submit()`

const POST_BY_FETCH = (target: string) =>
  `
  await fetch('${target}', { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'x' })`

const POST_JSON = (target: string) => `
  const headers = { 'Content-Type': 'application/json' }
  const request = { method: 'POST', headers, credentials: 'include', body: '{}' }
  return fetch('${target}', request).then(({ status }) => status, ({ name }) => name)`

const GET_BY_FETCH = (target: string) => `
  return fetch('${target}', { credentials: 'include' }).then(() => 'read', ({ name }) => name)`

const LOAD_IMAGE = (target: string) => `
  return new Promise((ended) => {
    const image = new Image()
    image.onload = () => ended('loaded')
    image.onerror = () => ended('failed')
    image.src = '${target}'
  })`

const OPEN_WEBSOCKET = (target: string) => `
  return new Promise((ended) => {
    const socket = new WebSocket('${target.replace('https', 'wss')}')
    socket.onmessage = ({ data }) => ended(JSON.parse(data).type)
    socket.onclose = () => ended('closed')
  })`

const FOLLOW_A_LINK = (target: string) => `
  const link = document.createElement('a')
  link.href = '${target}'
  document.body.append(link)
  link.click()`
