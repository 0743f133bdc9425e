// A phone's browser on the enrolment page: from the link to the application, with and without JavaScript,
// in each language, and axe-core finds no problem. With CERTLATCH_E2E_PICTURES it saves pictures there.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { type EnrollBrowser, startEnrollBrowser } from './support/enroll-browser.ts'
import { programsMissing } from './support/tools.ts'

// Its types are of a browser's program; only its text is needed.
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

interface AxeResults {
  readonly violations: readonly {
    readonly id: string
    readonly nodes: readonly { readonly html: string }[]
  }[]
}

const PICTURES = process.env['CERTLATCH_E2E_PICTURES']
const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1'
const ANDROID =
  'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36'

describe('In Chromium', { skip: programsMissing('chromium') }, () => {
  let enroll: EnrollBrowser
  let site = ''
  before(async () => {
    enroll = await startEnrollBrowser()
    site = enroll.site
    if (PICTURES !== undefined) mkdirSync(PICTURES, { recursive: true })
  })
  after(() => enroll?.close())

  const invite = () => enroll.invite()
  const withPage: EnrollBrowser['withPage'] = (options, work) => enroll.withPage(options, work)

  /** What axe-core finds wrong; by `evaluate`, because the page runs no script but its own. */
  async function assertAccessible(page: Page): Promise<void> {
    await page.evaluate(AXE)
    const found = (await page.evaluate('axe.run()')) as AxeResults
    const told = found.violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`,
    )
    assert.deepEqual(told, [])
  }

  async function picture(page: Page, name: string): Promise<void> {
    if (PICTURES === undefined) return
    await page.screenshot({ path: join(PICTURES, `enroll-${name}.png`), fullPage: true })
  }

  const LOOKS = [
    ['phone-light', { viewport: { width: 390, height: 844 }, colorScheme: 'light' }],
    ['phone-dark', { viewport: { width: 390, height: 844 }, colorScheme: 'dark' }],
    ['desktop-light', { viewport: { width: 1280, height: 800 }, colorScheme: 'light' }],
    ['desktop-dark', { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' }],
  ] as const

  for (const [look, options] of LOOKS) {
    test(`the link leads to the application: ${look}`, async () => {
      const url = await invite()
      await withPage({ ...options, userAgent: IPHONE }, async (page) => {
        await page.goto(url)
        await page.waitForSelector('#claim')
        assert.equal(page.url(), url, 'the code stays in the address')
        assert.match(await page.title(), /^Set up “Ada's phone \d+”$/)
        await assertAccessible(page)
        await picture(page, `${look}-1-invited`)
        await page.click('#claim button')
        await page.waitForSelector('#claimed')
        assert.equal(page.url(), `${site}/.certlatch/auth/enroll`)
        assert.equal(await page.isVisible('#guide-iphone ol'), true)
        assert.equal(await page.isVisible('#guide-android ol'), false)
        await assertAccessible(page)
        await picture(page, `${look}-2-steps`)
        await page.click('summary:has-text("Show password")')
        assert.match((await page.textContent('.password')) ?? '', /^[a-z2-9-]{24}$/)
        await page.reload()
        await page.waitForSelector('#claimed')
        const answered = page.waitForResponse(`${site}/`)
        await page.click('form[action$="/done"] button')
        assert.equal((await answered).status(), 200, 'the session opens the application')
      })
    })
  }

  test('it works without JavaScript too: the code is typed', async () => {
    const [, code = ''] = (await invite()).split('#')
    await withPage({ javaScriptEnabled: false, userAgent: ANDROID }, async (page) => {
      await page.goto(`${site}/.certlatch/auth/enroll`)
      await page.fill('#code', code.toUpperCase().replace(/(.{4})/g, '$1 '))
      await picture(page, 'no-script-1-code')
      await page.click('#look button')
      await page.click('#claim button')
      assert.equal(await page.isVisible('#guide-android ol'), true)
      await picture(page, 'no-script-2-steps')
      const answered = page.waitForResponse(`${site}/`)
      await page.click('form[action$="/done"] button')
      assert.equal((await answered).status(), 200)
    })
  })

  test('a visitor without a certificate can type the code on the refusal page', async () => {
    const [, code = ''] = (await invite()).split('#')
    await withPage({}, async (page) => {
      await page.goto(`${site}/lovelace`)
      await assertAccessible(page)
      await picture(page, 'refused')
      await page.fill('#code', code)
      await page.click('form.invited button')
      await page.waitForSelector('#claim')
    })
  })

  const SPOKEN = [
    ['en', 'phone-light', 'This invitation has already been used', 'This invitation has ended'],
    ['de', 'phone-dark', 'Diese Einladung wurde schon benutzt', 'Diese Einladung gilt nicht mehr'],
    ['fr', 'desktop-light', 'Cette invitation a déjà servi', 'Cette invitation n’est plus valable'],
    ['nl', 'desktop-dark', 'Deze uitnodiging is al gebruikt', 'Deze uitnodiging geldt niet meer'],
  ] as const

  for (const [locale, look, used, ended] of SPOKEN) {
    test(`every page is in the visitor's language: ${locale}, ${look}`, async () => {
      const options = { ...LOOKS.find(([name]) => name === look)?.[1], locale }
      const title = (page: Page, text: string) => page.waitForSelector(`h1:text-is("${text}")`)
      const url = await invite()
      const late = await enroll.invite('1s')
      const seen = async (page: Page, name: string) => {
        assert.equal(await page.getAttribute('html', 'lang'), locale)
        await assertAccessible(page)
        await picture(page, `${locale}-${name}`)
      }
      await withPage({ ...options, userAgent: ANDROID }, async (page) => {
        await page.goto(`${site}/lovelace`)
        await seen(page, '0-refused')
        await page.goto(`${site}/.certlatch/auth/enroll`)
        await seen(page, '1-code')
        await page.goto(url)
        await page.waitForSelector('#claim')
        await seen(page, '2-invited')
        await page.click('#claim button')
        await page.waitForSelector('#claimed')
        await page.click('details:has(.password) summary')
        await seen(page, '3-steps')
      })
      await withPage(options, async (page) => {
        await page.goto(url)
        await title(page, used)
        await seen(page, '4-used')
        await page.goto(late)
        await title(page, ended)
        await seen(page, '5-ended')
        const none = 'a'.repeat(20)
        await page.goto(`${site}/.certlatch/auth/enroll%23${none}`)
        await page.waitForURL(`${site}/.certlatch/auth/enroll#${none}`)
        await page.waitForSelector('#look:not([hidden])')
        await seen(page, '6-unknown')
        await page.fill('#code', 'k7fm')
        await page.click('#look button')
        await page.waitForURL(`${site}/.certlatch/auth/enroll#k7fm`)
        await page.waitForSelector('#look:not([hidden])')
        await seen(page, '7-malformed')
      })
      await withPage({ ...options, javaScriptEnabled: false }, async (page) => {
        await page.goto(`${site}/.certlatch/auth/enroll`)
        await page.fill('#code', url)
        await page.click('#look button')
        await title(page, used)
        await picture(page, `${locale}-8-used-without-script`)
      })
    })
  }

  test('inside another app on an iPhone the page points to Safari instead of showing the button', async () => {
    const url = await invite()
    const userAgent = IPHONE.replace('Version/26.1', 'CriOS/142.0')
    await withPage({ userAgent, viewport: { width: 390, height: 844 } }, async (page) => {
      await page.goto(url)
      await page.waitForSelector('#safari')
      assert.equal(await page.isVisible('#claim button'), false)
      assert.equal(await page.getAttribute('#safari', 'href'), `x-safari-${url}`)
      await picture(page, 'not-safari')
    })
  })

  test('inside another app on Android the link can be copied, instead of the button', async () => {
    const url = await invite()
    const userAgent = ANDROID.replace('Android 10; K', 'Android 15; Pixel 9; wv')
    await withPage({ userAgent, viewport: { width: 390, height: 844 } }, async (page) => {
      await page.goto(url)
      await page.waitForSelector('[data-show="in-app"] button')
      assert.equal(await page.isVisible('#claim button'), false)
      await picture(page, 'in-app')
    })
  })
})
