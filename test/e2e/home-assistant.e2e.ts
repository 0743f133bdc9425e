// Home Assistant for real: its own page in a real browser, its own client library, and a phone app's
// requests, behind each proxy with its shipped files.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  type Browser,
  keepPicture,
  signIn,
  untilConnected,
  untilShown,
  untilWorkerIsActive,
} from './support/browser.ts'
import { chromiumMissing, startChromium } from './support/browser-chromium.ts'
import {
  DOORBELL,
  homeAssistantMissing,
  type Person,
  WEBHOOK_ID,
} from './support/home-assistant.ts'
import { registration } from './support/home-assistant-app.ts'
import { connectAs } from './support/home-assistant-client.ts'
import {
  type Household,
  type HouseholdDevice,
  send,
  sessionOf,
  startHousehold,
} from './support/home-assistant-household.ts'
import {
  CERTIFICATE_ON_NAVIGATIONS_ONLY,
  NO_VEIL,
  type Question,
} from './support/home-assistant-recorder.ts'
import { RESCUE } from './support/home-assistant-used.ts'
import { CADDY, HAPROXY, NGINX, TRAEFIK } from './support/proxies.ts'
import { until } from './support/tools.ts'

const missing = homeAssistantMissing()

/** The auth requests for WebSockets. */
const socketsOf = (questions: readonly Question[]) =>
  questions.filter(({ headers }) => headers['upgrade'] === 'websocket')

for (const kind of [TRAEFIK, CADDY, NGINX, HAPROXY]) {
  describe(`Home Assistant behind ${kind.dialect}`, { skip: missing, timeout: 300_000 }, () => {
    let household: Household
    let person: Person
    let device: HouseholdDevice

    before(async () => {
      household = await startHousehold(kind, {
        policy: 'version: 1\npreset: home-assistant\n',
        homeAssistant: { extraModule: RESCUE },
      })
      person = await household.homeAssistant.onboard()
      device = await household.addDevice("Ada's laptop")
    })
    after(() => household?.close())

    test('its client library connects with a certificate', async () => {
      const states = await connectAs(household.target, person, { credential: device })
      assert.ok(states.length > 10, `${states.length} states`)
    })

    test('its client library connects with only the session', async () => {
      const session = await sessionOf(household.target, device)
      const states = await connectAs(household.target, person, { session })
      assert.ok(states.length > 10, `${states.length} states`)
    })

    test('its client library is refused without credentials, and with a tampered session', async () => {
      await assert.rejects(connectAs(household.target, person, {}), /cannot connect/)
      const session = await sessionOf(household.target, device)
      const changed = session.slice(0, -2) + (session.endsWith('AA') ? 'BB' : 'AA')
      await assert.rejects(
        connectAs(household.target, person, { session: changed }),
        /cannot connect/,
      )
    })

    test('a phone app registers with its certificate, and reports by its webhook without one', async () => {
      const register = registration(['Authorization', `Bearer ${person.accessToken}`])
      const post = (path: string, told: unknown) =>
        send(household.target, {
          method: 'POST',
          path,
          headers: [['Content-Type', 'application/json']],
          body: Buffer.from(JSON.stringify(told)),
        })
      assert.equal((await send(household.target, register)).status, 403)
      const { status, body } = await send(household.target, { ...register, credential: device })
      assert.equal(status, 201)
      const { webhook_id: id } = JSON.parse(body) as { readonly webhook_id: string }
      const answer = await post(`/api/webhook/${id}`, { type: 'get_config' })
      assert.equal(answer.status, 200)
      assert.equal(JSON.parse(answer.body).location_name, 'Home')
      assert.deepEqual(answer.headers['set-cookie'] ?? [], [])
      // What else there is stays closed.
      for (const path of [
        `/api/webhook/${id}/%2e%2e/%2e%2e/states`,
        '/api/states',
        '/auth/token',
      ]) {
        assert.equal((await post(path, {})).status, 403, path)
      }
    })

    test("an automation's webhook arrives without a certificate", async () => {
      const path = `/api/webhook/${WEBHOOK_ID}`
      assert.equal((await send(household.target, { method: 'POST', path })).status, 200)
      await until('the automation has run', async () => {
        const doorbell = await household.homeAssistant.ask(`/api/states/${DOORBELL}`, person)
        return (doorbell as { readonly state: string }).state === 'on'
      })
    })

    const skip =
      chromiumMissing() || (kind === TRAEFIK || kind === CADDY ? false : 'one of the two')
    describe('in Chromium', { skip }, () => {
      let browser: Browser | undefined
      const stop = async () => {
        await browser?.close()
        browser = undefined
      }
      const start = async (name: string, more: { device?: HouseholdDevice; width?: number }) => {
        const folder = join(household.folder, name)
        await stop()
        browser = await startChromium({ folder, server: household.server, ...more })
        household.recorder.forget()
        return browser
      }
      after(stop)

      test('with a certificate: sign-in, dashboard, WebSocket, service worker', async () => {
        const page = await start('laptop', { device })
        await signIn(page, household.address)
        await untilShown(page, DASHBOARD)
        await keepPicture(page, `${kind.dialect}-dashboard`)
        await untilWorkerIsActive(page).catch((error: Error) => {
          // One file that fails is enough for the browser to drop the worker.
          const failed = household.recorder.questions().filter(({ status }) => status !== 200)
          throw new Error(`${error.message}: ${JSON.stringify(failed)}`, { cause: error })
        })
        const questions = household.recorder.questions()
        const [socket] = socketsOf(questions)
        assert.ok(socket?.shown.includes('certificate'), 'the WebSocket came with the certificate')
        assert.deepEqual(refusedOf(questions), [])
        assert.ok(questions.length > 500, 'the worker has asked for its files')
      })

      test('restarted without the certificate: page and WebSocket with only the session', async () => {
        const page = await start('laptop', {})
        await page.open(`${household.address}/`)
        await untilConnected(page).catch((error: Error) => {
          const asked = household.recorder.questions().map(({ uri, shown, status }) => {
            return `${uri} with ${shown.join(' and ') || 'nothing'}: ${status}`
          })
          throw new Error(`${error.message}\n${asked.join('\n')}`, { cause: error })
        })
        await untilShown(page, DASHBOARD)
        // Past the worker's cache, too.
        await page.evaluate(
          `navigator.serviceWorker.getRegistration().then((it) => it.unregister())`,
        )
        await page.reload()
        await untilConnected(page)
        await untilWorkerIsActive(page)
        const questions = household.recorder.questions()
        assert.ok(socketsOf(questions).length > 1)
        assert.deepEqual(refusedOf(questions), [])
        assert.deepEqual(withCertificate(questions), [])
      })

      test('a phone that sends its certificate only with navigations signs in and connects', async () => {
        household.recorder.veil(CERTIFICATE_ON_NAVIGATIONS_ONLY)
        try {
          const page = await start('phone', { device, width: 390 })
          await signIn(page, household.address)
          await untilShown(page, DASHBOARD)
          await keepPicture(page, `${kind.dialect}-phone`)
          await untilWorkerIsActive(page)
          const questions = household.recorder.questions()
          assert.deepEqual(socketsOf(questions)[0]?.shown, ['session'])
          assert.deepEqual(refusedOf(questions), [])
        } finally {
          household.recorder.veil(NO_VEIL)
        }
      })
    })
  })
}

/** What the page shows when its WebSocket has brought the demonstration's devices. */
const DASHBOARD = /Living Room|Kitchen/i

const refusedOf = (questions: readonly Question[]) =>
  questions.filter(({ status }) => status >= 400)

const withCertificate = (questions: readonly Question[]) =>
  questions.filter(({ shown }) => shown.includes('certificate'))
