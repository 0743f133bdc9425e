import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PERSON } from './home-assistant.ts'
import type { HouseholdDevice, ServerFiles } from './home-assistant-household.ts'
import { pause, until } from './tools.ts'

/** One window of a real browser. Elements are found through all shadow roots. */
export interface Browser {
  readonly name: string
  open(address: string): Promise<void>
  reload(): Promise<void>
  /** The value of an expression in the page; a promise is waited for. */
  evaluate(expression: string): Promise<unknown>
  fill(selector: string, text: string): Promise<void>
  click(selector: string): Promise<void>
  picture(): Promise<Buffer>
  close(): Promise<void>
}

export interface BrowserOptions {
  /** The folder with all its files: if it is kept between two starts, so is its profile. */
  readonly folder: string
  readonly server: ServerFiles
  /** What it has in its store; none: it has no certificate to show. */
  readonly device?: HouseholdDevice | undefined
  readonly width?: number
  readonly height?: number
}

/** A function that finds an element in any shadow root. */
const FIND = `
((selector) => {
  const search = (root) => {
    const found = root.querySelector(selector)
    if (found) return found
    for (const element of root.querySelectorAll('*')) {
      const inside = element.shadowRoot && search(element.shadowRoot)
      if (inside) return inside
    }
    return null
  }
  return search(document)
})`

/** An expression whose value, a promise's too, arrives as JSON. */
export const REMOTE_VALUE = (expression: string): string =>
  `(async () => JSON.stringify((await (${expression})) ?? null))()`

/** Input by script, for a driver without its own input: elements cannot tell the difference. */
export const byScript = (evaluate: (expression: string) => Promise<unknown>) => ({
  fill: async (selector: string, text: string) => {
    await evaluate(`((element) => {
      element.focus()
      element.value = ${JSON.stringify(text)}
      for (const name of ['input', 'change']) {
        element.dispatchEvent(new Event(name, { bubbles: true, composed: true }))
      }
    })(${FIND}(${JSON.stringify(selector)}))`)
  },
  click: async (selector: string) => {
    await evaluate(`${FIND}(${JSON.stringify(selector)}).click()`)
  },
})

const IS_CONNECTED = `document.querySelector('home-assistant')?.hass?.connected === true`

const IS_NEW_UNDER_WORKER = 'window.isLeft !== true && navigator.serviceWorker.controller !== null'

/** The text of the page, shadow roots and all. */
const TEXT = `
((root) => {
  const read = (node) => {
    if (node.nodeType === 3) return node.textContent
    if (['STYLE', 'SCRIPT', 'TEMPLATE'].includes(node.nodeName)) return ''
    return [...(node.shadowRoot?.childNodes ?? []), ...node.childNodes].map(read).join(' ')
  }
  return read(root)
})(document.body).replace(/\\s+/g, ' ')`

export const textOf = async (browser: Browser): Promise<string> =>
  String((await browser.evaluate(TEXT).catch(() => '')) ?? '')

/** True where Home Assistant's page has its WebSocket. */
export const isConnected = async (browser: Browser): Promise<boolean> =>
  // A page that is just being left has no answer.
  (await browser.evaluate(IS_CONNECTED).catch(() => false)) === true

export async function untilConnected(browser: Browser, milliseconds = 30_000): Promise<void> {
  try {
    await until('the dashboard is connected', () => isConnected(browser), milliseconds)
  } catch (error) {
    await keepPicture(browser, 'not-connected')
    throw new Error(`${browser.name} shows: ${(await textOf(browser)).slice(0, 500)}`, {
      cause: error,
    })
  }
}

/** Waits for a text on the page. */
export async function untilShown(
  browser: Browser,
  text: RegExp,
  milliseconds = 20_000,
): Promise<void> {
  let shown = ''
  const isThere = async () => {
    shown = await textOf(browser)
    return text.test(shown)
  }
  await until(`the page shows ${text}`, isThere, milliseconds).catch((error: Error) => {
    throw new Error(`${browser.name} shows: ${shown.slice(0, 500)}`, { cause: error })
  })
}

/** Through Home Assistant's own form, to the dashboard. */
export async function signIn(browser: Browser, address: string): Promise<void> {
  await browser.open(`${address}/`)
  await fillSignIn(browser)
}

/** The same where the form is about to be shown. */
export async function fillSignIn(browser: Browser): Promise<void> {
  await untilThere(browser, 'input[name=password]')
  await browser.fill('input[name=username]', PERSON.username)
  await browser.fill('input[name=password]', PERSON.password)
  await browser.click('.action ha-button')
  await untilConnected(browser)
}

export const untilThere = (browser: Browser, selector: string): Promise<void> =>
  until(
    `${browser.name} has ${selector}`,
    async () =>
      (await browser
        .evaluate(`${FIND}(${JSON.stringify(selector)}) !== null`)
        .catch(() => false)) === true,
    30_000,
  )

/** Waits until the worker that serves Home Assistant's page has all its files. */
export async function untilWorkerIsActive(browser: Browser): Promise<void> {
  let loadedAt = Date.now()
  await until(
    'the service worker is active',
    async () => {
      const state = await browser.evaluate(WORKER_STATE).catch(() => 'loading')
      // Where its installation was interrupted, the page tries again when it is loaded again.
      if (state === 'none' && Date.now() - loadedAt > 30_000) {
        await browser.reload()
        loadedAt = Date.now()
      }
      return state === 'active'
    },
    150_000,
  )
}

const WORKER_STATE = `navigator.serviceWorker.getRegistration().then((it) =>
  it === undefined ? 'none' : it.active != null && !it.installing ? 'active' : 'installing')`

/**
 * Home Assistant's page reloads itself when a worker takes it over. A page that is loaded while the
 * worker is active has it from the start, and does not reload.
 */
export async function reloadUnderWorker(browser: Browser): Promise<void> {
  await untilWorkerIsActive(browser)
  await browser.evaluate('(window.isLeft = true)').catch(() => undefined)
  await browser.reload()
  await until(
    'the page came under the service worker',
    async () =>
      (await browser.evaluate(IS_NEW_UNDER_WORKER).catch(() => false)) === true &&
      (await isConnected(browser)),
    60_000,
  )
}

/** A picture for a person to look at, where CERTLATCH_E2E_PICTURES names a folder. */
export async function keepPicture(browser: Browser, name: string): Promise<void> {
  const folder = process.env['CERTLATCH_E2E_PICTURES']
  if (folder === undefined) return
  mkdirSync(folder, { recursive: true })
  // What has just appeared is still fading in.
  await pause(700)
  writeFileSync(join(folder, `${browser.name}-${name}.png`), await browser.picture())
}
