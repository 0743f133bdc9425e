// Home Assistant's page in browsers of the other two families: Firefox, and WebKitGTK for Safari.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import {
  type Browser,
  keepPicture,
  reloadUnderWorker,
  signIn,
  untilConnected,
  untilShown,
  untilWorkerIsActive,
} from './support/browser.ts'
import { firefoxMissing, startFirefox } from './support/browser-firefox.ts'
import { startWebkit, webkitMissing } from './support/browser-webkit.ts'
import { homeAssistantMissing } from './support/home-assistant.ts'
import {
  type Household,
  type HouseholdDevice,
  startHousehold,
} from './support/home-assistant-household.ts'
import {
  CERTIFICATE_ON_NAVIGATIONS_ONLY,
  NO_CERTIFICATE,
  NO_VEIL,
  REFUSE_ALL,
} from './support/home-assistant-recorder.ts'
import {
  DROP_THE_SOCKET,
  HAS_LOGIN,
  RESCUE,
  RESET,
  socketsOf,
} from './support/home-assistant-used.ts'
import { TRAEFIK } from './support/proxies.ts'
import { until } from './support/tools.ts'

const PHONE = "Ada's phone"

const BROWSERS = [
  { title: 'Firefox', start: startFirefox, missing: firefoxMissing },
  { title: 'WebKitGTK', start: startWebkit, missing: webkitMissing },
] as const

for (const { title, start, missing } of BROWSERS) {
  const skip = homeAssistantMissing() || missing()
  describe(`Home Assistant in ${title}`, { skip, timeout: 300_000 }, () => {
    let household: Household
    let device: HouseholdDevice
    let browser: Browser

    before(async () => {
      household = await startHousehold(TRAEFIK, { homeAssistant: { extraModule: RESCUE } })
      await household.homeAssistant.onboard()
      device = await household.addDevice(PHONE)
      const folder = join(household.folder, 'browser')
      browser = await start({ folder, server: household.server, device })
    })
    beforeEach(() => household.recorder.veil(NO_VEIL))
    after(async () => {
      await browser?.close()
      await household?.close()
    })

    test('sign-in, worker and WebSocket, with the certificate on navigations only', async () => {
      household.recorder.veil(CERTIFICATE_ON_NAVIGATIONS_ONLY)
      await signIn(browser, household.address)
      await untilShown(browser, /Living Room/)
      await keepPicture(browser, 'dashboard')
      await untilWorkerIsActive(browser)
      const questions = household.recorder.questions()
      assert.deepEqual(socketsOf(questions)[0]?.shown, ['session'])
      assert.deepEqual(
        questions.filter(({ status }) => status >= 400),
        [],
      )
    })

    test('a reload under the worker, with the session only', async () => {
      await reloadUnderWorker(browser)
      household.recorder.veil(NO_CERTIFICATE)
      household.recorder.forget()
      await browser.reload()
      const isAsked = () => socketsOf(household.recorder.questions()).length > 0
      await until('a WebSocket is opened', isAsked, 30_000)
      await untilConnected(browser)
      assert.deepEqual(socketsOf(household.recorder.questions())[0]?.shown, ['session'])
    })

    test('session over: an open page comes back untouched', async () => {
      household.recorder.veil(CERTIFICATE_ON_NAVIGATIONS_ONLY)
      await household.signOut(PHONE)
      household.recorder.forget()
      await browser.evaluate(DROP_THE_SOCKET)
      const isBack = () => household.recorder.questions().some(({ minted }) => minted)
      await until('the certificate was shown again', isBack, 30_000)
      await untilConnected(browser)
      assert.deepEqual(socketsOf(household.recorder.questions())[0]?.shown, ['session'])
    })

    test('everything refused: the refusal page; then the reset page brings it back', async () => {
      household.recorder.veil(REFUSE_ALL)
      await browser.open(`${household.address}/history`)
      await untilShown(browser, /No certificate was shown/)
      await keepPicture(browser, 'refused')
      assert.equal(await browser.evaluate(HAS_LOGIN), true)
      household.recorder.veil(CERTIFICATE_ON_NAVIGATIONS_ONLY)
      await browser.open(household.address + RESET)
      await untilConnected(browser)
    })
  })
}
