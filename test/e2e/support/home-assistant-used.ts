import { join } from 'node:path'
import { after, afterEach, before } from 'node:test'
import { reloadUnderWorker, signIn, untilConnected, untilWorkerIsActive } from './browser.ts'
import { type Chromium, startChromium } from './browser-chromium.ts'
import { type ProxyKind, SESSION } from './gate.ts'
import {
  type Household,
  type HouseholdOptions,
  startHousehold,
} from './home-assistant-household.ts'
import { NO_VEIL, type Question } from './home-assistant-recorder.ts'

export const RESCUE = '/.certlatch/auth/rescue.js'
export const RESET = '/.certlatch/auth/reset'
export const SPINNER = /Unable to connect to Home Assistant/
export const DROP_THE_SOCKET = `document.querySelector('home-assistant').hass.connection.socket.close()`
export const HAS_LOGIN = `localStorage.getItem('hassTokens') !== null`
export const HAS_WORKER = `navigator.serviceWorker.getRegistration().then((it) => it !== undefined)`

interface Use {
  readonly width?: number
  /** Whether its worker must be in charge; it takes a minute to fetch all its files. */
  readonly needsWorker?: boolean
}

/** A household whose page has been used: signed in, and its worker in charge. */
export function useHousehold(
  kind: ProxyKind,
  options: HouseholdOptions,
  { width, needsWorker = true }: Use = {},
) {
  let household: Household
  let page: Chromium
  before(async () => {
    household = await startHousehold(kind, options)
    await household.homeAssistant.onboard()
    const device = await household.addDevice("Ada's phone")
    const folder = join(household.folder, 'chromium')
    page = await startChromium({
      folder,
      server: household.server,
      device,
      ...(width !== undefined && { width }),
    })
    await signIn(page, household.address)
    if (needsWorker) await untilWorkerIsActive(page)
  })
  afterEach(() => household?.recorder.veil(NO_VEIL))
  after(async () => {
    await page?.close()
    await household?.close()
  })
  return {
    get page() {
      return page
    },
    get recorder() {
      return household.recorder
    },
    open: (path: string) => page.open(household.address + path),
    /** A page that is served by its worker, and then has no session. */
    prepare: async (path = '/') => {
      // What a tab remembers of its reloads ends with it.
      await page.openTab()
      await page.open(household.address + path)
      await untilConnected(page)
      await reloadUnderWorker(page)
      await page.context.clearCookies({ name: SESSION.slice(0, -1) })
      household.recorder.forget()
    },
  }
}

export const socketsOf = (questions: readonly Question[]) =>
  questions.filter(({ headers, status }) => headers['upgrade'] === 'websocket' && status === 200)
