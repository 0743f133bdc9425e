// What happens to an idle Home Assistant page without the rescue module, and to a Home Assistant
// whose proxy is not configured.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { isConnected, keepPicture, untilConnected, untilShown } from './support/browser.ts'
import { chromiumMissing } from './support/browser-chromium.ts'
import { homeAssistantMissing, RELEASE_WITH_YAML } from './support/home-assistant.ts'
import { type Household, send, startHousehold } from './support/home-assistant-household.ts'
import {
  CERTIFICATE_ON_NAVIGATIONS_ONLY,
  NO_CERTIFICATE,
  NO_VEIL,
} from './support/home-assistant-recorder.ts'
import {
  DROP_THE_SOCKET,
  HAS_LOGIN,
  RESCUE,
  RESET,
  SPINNER,
  socketsOf,
  useHousehold,
} from './support/home-assistant-used.ts'
import { TRAEFIK } from './support/proxies.ts'
import { pause, repositoryFolder, until } from './support/tools.ts'

const skip = homeAssistantMissing() || chromiumMissing()

describe('A page of an older Home Assistant without the rescue module', {
  skip,
  timeout: 300_000,
}, () => {
  const home = useHousehold(TRAEFIK, { homeAssistant: { release: RELEASE_WITH_YAML } })

  test('spins when certlatch refuses it, and the reset page ends that', async () => {
    await home.prepare()
    home.recorder.veil(CERTIFICATE_ON_NAVIGATIONS_ONLY)
    await home.open('/')
    await untilShown(home.page, SPINNER)
    await keepPicture(home.page, 'spinner')
    await pause(4_000)
    assert.equal(await isConnected(home.page), false)
    await home.open(RESET)
    await untilConnected(home.page)
    assert.equal(await home.page.evaluate(HAS_LOGIN), true)
  })
})

describe('A session under an open page of Home Assistant', { skip, timeout: 300_000 }, () => {
  const options = {
    settings: { CERTLATCH_SESSION_TTL: '20s', CERTLATCH_SESSION_MAX_AGE: '60s' },
    homeAssistant: { extraModule: RESCUE },
  }
  // A worker fetches longer than these sessions live, and would not be installed.
  const home = useHousehold(TRAEFIK, options, { needsWorker: false })

  test('stays alive while the page is open, and when it ends the page says so', async () => {
    await home.open('/')
    await untilConnected(home.page)
    const shownAt = Date.now()
    home.recorder.veil(NO_CERTIFICATE)
    home.recorder.forget()
    // Longer than a session of 20 s lives without renewal.
    await pause(30_000)
    assert.ok(
      home.recorder.questions().some(({ minted }) => minted),
      'it was renewed',
    )
    await home.page.evaluate(DROP_THE_SOCKET)
    await until('a WebSocket by the session', () => socketsOf(home.recorder.questions()).length > 0)
    await untilConnected(home.page)
    await pause(shownAt + 62_000 - Date.now())
    await home.page.evaluate(DROP_THE_SOCKET)
    await untilShown(home.page, /The session of this device is over/)
    await keepPicture(home.page, 'session-over')
    home.recorder.veil(NO_VEIL)
    await home.page.click('.button')
    await untilConnected(home.page)
  })
})

describe('Home Assistant without its proxy configured', { skip, timeout: 60_000 }, () => {
  let household: Household
  before(async () => {
    household = await startHousehold(TRAEFIK, { homeAssistant: { behindProxy: false } })
  })
  after(() => household?.close())

  test('answers 400 by itself, and logs the reason, as docs/operations.md says', async () => {
    const device = await household.addDevice("Ada's phone")
    const { status, headers } = await send(household.target, { credential: device })
    assert.equal(status, 400)
    // Not certlatch's refusal.
    assert.equal(headers['x-certlatch'], undefined)
    const [, sentence = ''] =
      /`(A request from a reverse proxy[^`]*)`/.exec(troubleshooting()) ?? []
    assert.ok(sentence.length > 20)
    await until('its log says so', () => household.homeAssistant.log().includes(sentence))
  })
})

const troubleshooting = () =>
  readFileSync(join(repositoryFolder(), 'docs/operations.md'), 'utf8').replace(/\s+/g, ' ')
