import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import type { Browser, BrowserOptions } from './browser.ts'
import { findProgram, programsMissing } from './tools.ts'

declare global {
  // Playwright's types name these of the browser's, and no program here has them.
  interface Node {
    readonly nodeType: number
  }
  interface HTMLElement extends Node {
    readonly hidden: boolean
  }
  interface SVGElement extends Node {
    readonly id: string
  }
  interface HTMLElementTagNameMap {
    readonly div: HTMLElement
  }
}

export interface Chromium extends Browser {
  readonly context: BrowserContext
  readonly page: Page
  /** Continues in a new tab; the previous one is closed. */
  openTab(): Promise<void>
}

/** What is missing to run it, as a reason to skip a test. */
export const chromiumMissing = (): string | false =>
  programsMissing('chromium', 'certutil', 'pk12util')

/** Debian's Chromium reads it at its start; the machine's administrator writes it. */
const POLICY_FOLDER = '/etc/chromium/policies/managed'
const CHOOSES_BY_ITSELF = {
  AutoSelectCertificateForUrls: [JSON.stringify({ pattern: 'https://[*.]example', filter: {} })],
}

/** Chromium with the certificate in its own store, which it presents without asking. */
export async function startChromium(options: BrowserOptions): Promise<Chromium> {
  const { folder, server, device, width = 1280, height = 800 } = options
  mkdirSync(folder, { recursive: true })
  const home = mkdtempSync(join(folder, 'home-'))
  makeCertificateStore(join(home, '.pki', 'nssdb'), server.serverAuthorityFile, device)
  const policy = join(POLICY_FOLDER, `zz-certlatch-e2e-${process.pid}.json`)
  mkdirSync(POLICY_FOLDER, { recursive: true })
  writeFileSync(policy, JSON.stringify(CHOOSES_BY_ITSELF))
  const removePolicy = () => rmSync(policy, { force: true })
  process.once('exit', removePolicy)
  const context = await chromium.launchPersistentContext(join(folder, 'profile'), {
    executablePath: findProgram('chromium'),
    headless: true,
    viewport: { width, height },
    env: { PATH: process.env['PATH'] ?? '', HOME: home, LANG: 'C.UTF-8' },
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--host-resolver-rules=MAP *.example 127.0.0.1',
    ],
  })
  await addCookies(context, join(folder, 'cookies.json'))
  let page = context.pages()[0] ?? (await context.newPage())
  return {
    name: 'chromium',
    context,
    get page() {
      return page
    },
    openTab: async () => {
      const before = page
      page = await context.newPage()
      await before.close()
    },
    open: async (address) => {
      await page.goto(address, { waitUntil: 'domcontentloaded' })
    },
    reload: async () => {
      // From within the page: a reload from outside breaks the tab permanently ("Not attached to an
      // active page") if the page, taken over by its worker, reloads itself at that moment.
      await page.evaluate('(window.isLeft = true, location.reload())').catch(() => undefined)
      await page.waitForFunction('window.isLeft !== true && document.readyState !== "loading"')
    },
    evaluate: (expression) => page.evaluate(expression),
    fill: (selector, text) => page.fill(selector, text),
    click: (selector) => page.click(selector),
    picture: () => page.screenshot(),
    close: async () => {
      writeFileSync(join(folder, 'cookies.json'), JSON.stringify(await context.cookies()))
      await context.close()
      removePolicy()
      process.off('exit', removePolicy)
    },
  }
}

/**
 * The cookies that this browser had when it was closed, should its profile lack any: Chromium writes
 * them each half minute, and at its end only if it is given the time.
 */
async function addCookies(context: BrowserContext, file: string): Promise<void> {
  if (!existsSync(file)) return
  const kept: Awaited<ReturnType<typeof context.cookies>> = JSON.parse(readFileSync(file, 'utf8'))
  const names = new Set((await context.cookies()).map(({ name }) => name))
  await context.addCookies(kept.filter(({ name }) => !names.has(name)))
}

/** What Chromium and Firefox keep certificates in. */
export function makeCertificateStore(
  folder: string,
  authorityFile: string,
  device: BrowserOptions['device'],
): void {
  mkdirSync(folder, { recursive: true })
  const store = `sql:${folder}`
  const run = (program: string, ...args: readonly string[]) =>
    execFileSync(findProgram(program), args, { stdio: ['ignore', 'pipe', 'pipe'] })
  // If a store exists, certutil asks for its password endlessly.
  if (!existsSync(join(folder, 'cert9.db'))) {
    run('certutil', '-N', '-d', store, '--empty-password')
  }
  run('certutil', '-A', '-d', store, '-n', 'web', '-t', 'C,,', '-i', authorityFile)
  if (device !== undefined) {
    run('pk12util', '-i', device.package, '-d', store, '-W', device.password)
  }
}
