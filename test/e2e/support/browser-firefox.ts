import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import { freePort } from '../../support/free-port.ts'
import { type Browser, type BrowserOptions, byScript, REMOTE_VALUE } from './browser.ts'
import { makeCertificateStore } from './browser-chromium.ts'
import { findProgram, programsMissing, until } from './tools.ts'

/** What is missing to run it, as a reason to skip a test. */
export const firefoxMissing = (): string | false =>
  programsMissing('firefox-esr', 'certutil', 'pk12util')

const SETTINGS = {
  'security.default_personal_cert': 'Select Automatically',
  'network.dns.localDomains': 'home.example,elsewhere.example',
  // Into the folder that is named below.
  'browser.download.folderList': 2,
  // It makes no requests to its maker.
  'app.update.enabled': false,
  'browser.safebrowsing.downloads.remote.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,',
  'toolkit.telemetry.enabled': false,
}

/** Firefox with the certificate in its profile, steered by WebDriver BiDi. */
export async function startFirefox(options: BrowserOptions): Promise<Browser> {
  const { folder, server, device, width = 1280, height = 800 } = options
  const profile = join(folder, 'profile')
  mkdirSync(profile, { recursive: true })
  makeCertificateStore(profile, server.serverAuthorityFile, device)
  const settings = { ...SETTINGS, 'browser.download.dir': join(folder, 'downloads') }
  const lines = Object.entries(settings).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
  )
  writeFileSync(join(profile, 'user.js'), lines.join(''))
  const port = await freePort()
  const child = spawn(
    findProgram('firefox-esr'),
    [
      ...['--headless', '--no-remote', '--profile', profile],
      ...['--remote-debugging-port', String(port), '--width', String(width)],
      ...['--height', String(height)],
    ],
    { env: { PATH: process.env['PATH'] ?? '', HOME: folder }, stdio: 'ignore' },
  )
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  try {
    return await steer(port, end)
  } catch (error) {
    await end()
    throw error
  }
}

async function steer(port: number, end: () => Promise<void>): Promise<Browser> {
  const { command, close } = await connect(port)
  await command('session.new', { capabilities: {} })
  const { contexts } = (await command('browsingContext.getTree', {})) as {
    readonly contexts: readonly { readonly context: string }[]
  }
  const context = contexts[0]?.context ?? ''
  const evaluate = async (expression: string): Promise<unknown> => {
    const answer = (await command('script.evaluate', {
      expression: REMOTE_VALUE(expression),
      target: { context },
      awaitPromise: true,
    })) as { readonly result?: { readonly value?: string }; readonly exceptionDetails?: unknown }
    const { value } = answer.result ?? {}
    if (value === undefined) throw new Error(JSON.stringify(answer.exceptionDetails ?? answer))
    return JSON.parse(value)
  }
  return {
    name: 'firefox',
    open: async (url) => {
      await command('browsingContext.navigate', { context, url, wait: 'interactive' })
    },
    reload: async () => {
      await command('browsingContext.reload', { context, wait: 'interactive' })
    },
    evaluate,
    ...byScript(evaluate),
    picture: async () => {
      const { data } = (await command('browsingContext.captureScreenshot', { context })) as {
        readonly data: string
      }
      return Buffer.from(data, 'base64')
    },
    close: async () => {
      // It writes its profile before it exits.
      await command('browser.close', {}).catch(() => undefined)
      close()
      await end()
    },
  }
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

async function connect(port: number) {
  let socket: WebSocket | undefined
  await until(
    'Firefox can be steered',
    async () => {
      const opened = new WebSocket(`ws://127.0.0.1:${port}/session`)
      const isOpen = await Promise.race([
        once(opened, 'open').then(() => true),
        once(opened, 'error').then(() => false),
      ]).catch(() => false)
      if (isOpen) socket = opened
      return isOpen
    },
    30_000,
  )
  const waiting = new Map<number, Waiting>()
  const fail = () => {
    for (const { reject } of waiting.values()) reject(new Error('Firefox has ended'))
    waiting.clear()
  }
  socket?.on('error', fail).on('close', fail)
  socket?.on('message', (message) => {
    const told = JSON.parse(String(message))
    const question = waiting.get(told.id)
    waiting.delete(told.id)
    if (told.type === 'success') question?.resolve(told.result)
    if (told.type === 'error') question?.reject(new Error(`${told.error}: ${told.message}`))
  })
  let last = 0
  const command = (method: string, params: object): Promise<unknown> =>
    new Promise((resolve, reject) => {
      last += 1
      waiting.set(last, { resolve, reject })
      socket?.send(JSON.stringify({ id: last, method, params }))
    })
  return { command, close: () => socket?.terminate() }
}
