// Home Assistant's page when the gate refuses: a service worker keeps it, and it would spin
// forever. The rescue module, the refusal page and the reset page bring it back, or say what is
// wrong.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { keepPicture, textOf, untilConnected, untilShown } from './support/browser.ts'
import { chromiumMissing } from './support/browser-chromium.ts'
import { homeAssistantMissing, RELEASE, RELEASE_WITH_YAML } from './support/home-assistant.ts'
import {
  CERTIFICATE_ON_NAVIGATIONS_ONLY,
  NO_VEIL,
  type Question,
  REFUSE_ALL,
} from './support/home-assistant-recorder.ts'
import {
  DROP_THE_SOCKET,
  HAS_LOGIN,
  HAS_WORKER,
  RESCUE,
  RESET,
  SPINNER,
  socketsOf,
  useHousehold,
} from './support/home-assistant-used.ts'
import { CADDY, TRAEFIK } from './support/proxies.ts'
import { pause, until } from './support/tools.ts'

const skip = homeAssistantMissing() || chromiumMissing()

const ADAPTIVE = { CERTLATCH_DENIAL: 'adaptive' }
/**
 * With the newer worker the browser itself requests the page; the older one requests it without the
 * certificate.
 */
const NEW = { release: RELEASE, firstPage: [200, 'document'] }
const OLD = { release: RELEASE_WITH_YAML, firstPage: [400, 'empty'] }
const VARIANTS = [
  { kind: TRAEFIK, settings: {}, width: 1280, status: 403, ...NEW },
  { kind: CADDY, settings: ADAPTIVE, width: 390, status: 400, ...OLD },
] as const

for (const { kind, settings, width, status, release, firstPage } of VARIANTS) {
  const title = `a refused page of Home Assistant ${release} behind ${kind.dialect}, refusals with ${status}`
  describe(title, { skip, timeout: 300_000 }, () => {
    const options = { settings, homeAssistant: { extraModule: RESCUE, release } }
    const home = useHousehold(kind, options, { width })
    const picture = (name: string) => keepPicture(home.page, `${kind.dialect}-${name}`)

    test('Session gone, certificate on real navigations only: the dashboard comes back untouched', async () => {
      await home.prepare()
      home.recorder.veil(CERTIFICATE_ON_NAVIGATIONS_ONLY)
      await home.open('/')
      await untilConnected(home.page, 20_000)
      const questions = home.recorder.questions()
      assert.ok(questions.some(({ minted }) => minted))
      assert.deepEqual(socketsOf(questions).at(-1)?.shown, ['session'])
      assert.equal(await home.page.evaluate(HAS_LOGIN), true)
      await picture('rescued')
    })

    test('The same for an open page that loses its WebSocket', async () => {
      await home.prepare()
      home.recorder.veil(CERTIFICATE_ON_NAVIGATIONS_ONLY)
      await home.page.evaluate(DROP_THE_SOCKET)
      await until('the page is reloaded', () => home.recorder.questions().some(isNavigation))
      await untilConnected(home.page, 20_000)
      assert.deepEqual(socketsOf(home.recorder.questions()).at(-1)?.shown, ['session'])
    })

    test('A page that the worker has not cached comes back as well', async () => {
      await home.prepare('/history')
      home.recorder.veil(CERTIFICATE_ON_NAVIGATIONS_ONLY)
      await home.open('/logbook')
      await untilConnected(home.page, 20_000)
      const pages = home.recorder.questions().filter(isPage)
      assert.deepEqual([pages[0]?.status, pages[0]?.headers['sec-fetch-dest']], firstPage)
      assert.ok(pages.some(({ status: seen, minted }) => seen === 200 && minted))
    })

    test('Everything refused: the refusal page, never the spinner, and no one is logged out', async () => {
      await home.prepare()
      home.recorder.veil(REFUSE_ALL)
      await home.open('/')
      await untilShown(home.page, /No certificate was shown/)
      await picture('refused')
      assert.equal(await home.page.evaluate(HAS_WORKER), false)
      await pause(5_000)
      assert.match(await textOf(home.page), /No certificate was shown/)
      assert.equal(await home.page.evaluate(HAS_LOGIN), true)
      home.recorder.veil(NO_VEIL)
      await home.page.click('.button')
      await untilConnected(home.page)
    })

    test('Everything refused, for an open page that loses its WebSocket: the refusal page', async () => {
      await home.prepare('/history')
      home.recorder.veil(REFUSE_ALL)
      await home.page.evaluate(DROP_THE_SOCKET)
      await untilShown(home.page, /No certificate was shown/)
      assert.doesNotMatch(await textOf(home.page), SPINNER)
      assert.equal(await home.page.evaluate(HAS_LOGIN), true)
    })

    test('The reset page loads the start page from the network', async () => {
      await home.prepare()
      home.recorder.veil(CERTIFICATE_ON_NAVIGATIONS_ONLY)
      await home.open(RESET)
      await untilConnected(home.page)
      assert.ok(home.recorder.questions().some(isNavigation))
      assert.equal(await home.page.evaluate(HAS_LOGIN), true)
    })

    const onlyAdaptive = { skip: status === 400 ? false : 'only where refusals are adaptive' }
    test(
      'A refusal where Home Assistant fetches its token is a 401, and logs no one out',
      onlyAdaptive,
      async () => {
        await home.prepare()
        home.recorder.veil(({ method, uri }) =>
          method === 'POST' && uri === '/auth/token' ? ['certificate', 'session'] : [],
        )
        await home.page.evaluate(`
        document.querySelector('home-assistant').hass.auth.data.expires = 0
        ${DROP_THE_SOCKET}`)
        const isRefused = ({ uri, status }: Question) => uri === '/auth/token' && status === 401
        await until('the token is refused', () => home.recorder.questions().some(isRefused), 30_000)
        await pause(1_000)
        assert.equal(await home.page.evaluate(HAS_LOGIN), true)
        home.recorder.veil(NO_VEIL)
        await untilConnected(home.page, 60_000)
      },
    )
  })
}

/** A page that the browser itself loads. */
const isNavigation = ({ headers }: Question) => headers['sec-fetch-dest'] === 'document'

/** A page, whichever client loads it. */
const isPage = ({ headers }: Question) => headers['sec-fetch-mode'] === 'navigate'
