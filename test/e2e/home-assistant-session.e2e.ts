// A whole session of Home Assistant's page, of a phone app and of an automation, recorded as the
// gate sees it: test/vectors/home-assistant-session.json. Run with CERTLATCH_E2E_RECORD=1 to
// rewrite the file; otherwise each request must be of a kind that the file contains.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  type Browser,
  keepPicture,
  reloadUnderWorker,
  signIn,
  untilConnected,
} from './support/browser.ts'
import { chromiumMissing, startChromium } from './support/browser-chromium.ts'
import { homeAssistantMissing, type Person, WEBHOOK_ID } from './support/home-assistant.ts'
import { registration } from './support/home-assistant-app.ts'
import {
  type Household,
  type HouseholdDevice,
  send,
  startHousehold,
} from './support/home-assistant-household.ts'
import {
  kindOf,
  type RecordedRequest,
  readRecording,
  writeRecording,
} from './support/home-assistant-recording.ts'
import { TRAEFIK } from './support/proxies.ts'
import { pause, until } from './support/tools.ts'

/** Home Assistant's panels; the media browser has `%2F` in its own addresses. */
const PANELS = [
  '/home/overview',
  '/map',
  '/logbook',
  '/history',
  '/calendar',
  '/media-browser/browser',
  '/media-browser/browser/app%2Cmedia-source%3A%2F%2Fmedia_source',
  '/config/dashboard',
  '/config/integrations/dashboard',
  '/config/areas/dashboard',
  '/profile/general',
]

/** Has the page load the pictures that a dashboard shows: no bearer, a token in the address. */
const LOAD_PICTURES = `
Promise.all(['camera.demo_camera', 'media_player.living_room'].map((entity) => new Promise((ended) => {
  const image = new Image()
  image.onload = ended
  // Home Assistant gets some of them from the internet.
  image.onerror = ended
  image.src = document.querySelector('home-assistant').hass.states[entity].attributes.entity_picture
})))`

const SIGN_OUT = `document.querySelector('home-assistant').hass.auth.revoke()`

const skip = homeAssistantMissing() || chromiumMissing()

describe('A whole session with Home Assistant', { skip, timeout: 300_000 }, () => {
  let household: Household
  let person: Person
  let device: HouseholdDevice
  let browser: Browser | undefined
  const requests: RecordedRequest[] = []

  before(async () => {
    household = await startHousehold(TRAEFIK)
    person = await household.homeAssistant.onboard()
    device = await household.addDevice("Ada's laptop")
  })
  after(async () => {
    await browser?.close()
    await household?.close()
  })

  const keep = (from: RecordedRequest['from']) => {
    for (const { method, uri, headers } of household.recorder.questions()) {
      requests.push({ from, method, uri, headers })
    }
    household.recorder.forget()
  }

  test('is never refused a page, from sign-in through every panel to sign-out', async () => {
    const folder = join(household.folder, 'chromium')
    const page = await startChromium({ folder, server: household.server, device })
    browser = page
    await signIn(page, household.address)
    // Before that the page may reload itself, which aborts a navigation.
    await reloadUnderWorker(page)
    for (const panel of PANELS) {
      await page.open(household.address + panel)
      await untilConnected(page)
      // Its own requests come once it is there.
      await pause(700)
    }
    await keepPicture(page, 'last-panel')
    await page.evaluate(LOAD_PICTURES)
    await page.evaluate(SIGN_OUT)
    const isRevoked = () =>
      household.recorder.questions().filter(({ method }) => method === 'POST').length > 3
    await until('the sign-out reaches Home Assistant', isRevoked)
    const refused = household.recorder.questions().filter(({ status }) => status >= 400)
    assert.deepEqual(refused, [])
    keep('browser')
  })

  test("includes a phone app's registration and reports, and an automation's webhook", async () => {
    const bearer = ['Authorization', `Bearer ${person.accessToken}`] as const
    const registered = await send(household.target, {
      ...registration(bearer),
      credential: device,
    })
    assert.equal(registered.status, 201)
    const { webhook_id: id } = JSON.parse(registered.body) as { readonly webhook_id: string }
    await send(household.target, {
      method: 'POST',
      path: `/api/webhook/${id}`,
      body: Buffer.from(JSON.stringify({ type: 'get_config' })),
    })
    keep('app')
    await send(household.target, { method: 'POST', path: `/api/webhook/${WEBHOOK_ID}` })
    keep('automation')
  })

  test('has every kind of request in its recording', () => {
    const about =
      'What the gate was asked in a whole session with Home Assistant 2026.11.0 (frontend ' +
      '20261028.4) in Chromium 156 behind Traefik 3.7.15; of many alike the first two, of a query ' +
      'the names only.'
    if (process.env['CERTLATCH_E2E_RECORD'] !== undefined) writeRecording(about, requests)
    const known = new Set(readRecording().map(kindOf))
    const unknown = requests.filter((request) => !known.has(kindOf(request)))
    assert.deepEqual(unknown, [])
  })
})
