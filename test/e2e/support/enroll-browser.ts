import assert from 'node:assert/strict'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { runCommand } from './certlatch.ts'
import { HOST } from './client.ts'
import { type Gate, startGate, startWorld, type World } from './gate.ts'
import { CADDY } from './proxies.ts'
import { findProgram } from './tools.ts'

/** Chromium without a certificate, in front of a gate that invites devices. */
export interface EnrollBrowser {
  readonly world: World
  readonly site: string
  /** Invites a new device, for a day by default, and returns the link. */
  invite(valid?: string): Promise<string>
  /** A fresh browser: no cookies, no workers. */
  withPage(options: BrowserContextOptions, work: (page: Page) => Promise<void>): Promise<void>
  close(): Promise<void>
}

export async function startEnrollBrowser(): Promise<EnrollBrowser> {
  const world = await startWorld(CADDY, 'own')
  const gate: Gate = await startGate(world)
  const site = `https://${HOST}:${gate.target.port}`
  const browser: Browser = await chromium.launch({
    executablePath: findProgram('chromium'),
    args: [
      ...['--no-sandbox', '--disable-gpu', `--host-resolver-rules=MAP ${HOST} 127.0.0.1`],
      // Chromium registers no service worker if the server's CA is unknown.
      '--ignore-certificate-errors',
    ],
  })
  let number = 0
  return {
    world,
    site,
    invite: async (valid = '1d') => {
      number += 1
      const name = `Ada's phone ${number}`
      const words = [
        'device',
        'invite',
        name,
        '--owner',
        'Ada',
        '--url',
        site,
        '--json',
        '--valid',
        valid,
      ]
      const { code, stdout, stderr } = await runCommand(world.certlatch.environment, ...words)
      assert.equal(code, 0, stderr)
      return JSON.parse(stdout).invitation.url
    },
    withPage: async (options, work) => {
      const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options })
      try {
        await work(await context.newPage())
      } finally {
        await context.close()
      }
    },
    close: async () => {
      await browser.close()
      await gate.close()
      await world.close()
    },
  }
}
