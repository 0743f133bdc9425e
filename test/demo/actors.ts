import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { DialectName } from '../../src/proxy/dialects.ts'
import { PROXY_SECRET, runCommand } from '../e2e/support/certlatch.ts'
import { shippedEnvironment, shippedNodeOptions } from '../support/shipped-environment.ts'
import { createApplication } from './application.ts'

const CERTLATCH = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

export async function startApplication() {
  const server = createApplication()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    close: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

export type Certlatch = Awaited<ReturnType<typeof startCertlatch>>

/** Starts `certlatch serve` in its own process, on ports that the system chooses. */
export async function startCertlatch(dataDir: string, dialect: DialectName) {
  const environment = {
    PATH: process.env['PATH'],
    ...shippedEnvironment(),
    CERTLATCH_DATA_DIR: dataDir,
    CERTLATCH_PROXY: dialect,
    CERTLATCH_PROXY_SECRET: PROXY_SECRET,
    CERTLATCH_LISTEN: '127.0.0.1:0',
    CERTLATCH_ADMIN_LISTEN: '127.0.0.1:0',
    CERTLATCH_PAGES_LISTEN: '127.0.0.1:0',
  }
  const child = spawn(process.execPath, [...shippedNodeOptions(), CERTLATCH, 'serve'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  process.once('exit', () => child.kill())
  const lines: string[] = []
  let partial = ''
  const ready = new Promise<{ listen: string; pages: string }>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      partial += chunk.toString('utf8')
      const whole = partial.split('\n')
      partial = whole.pop() ?? ''
      lines.push(...whole)
      for (const line of whole) {
        const entry = JSON.parse(line)
        if (entry.msg === 'ready') resolve(entry)
      }
    })
    child.once('exit', (code) => reject(new Error(`certlatch ended with code ${code}`)))
  })
  const { listen, pages } = await ready
  return {
    port: portOf(listen),
    pagesPort: portOf(pages),
    /** Runs another command of certlatch on the same directory. */
    command: (...args: readonly string[]) => runCommand(environment, ...args),
    /** Waits until certlatch has taken this many certificates into its registry. */
    refreshed: (certificates: number) =>
      poll(async () => lines.some((line) => JSON.parse(line).certificates === certificates)),
    close: async () => {
      child.removeAllListeners('exit')
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
    },
  }
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1))

const TRIES = 100
const PAUSE_MILLISECONDS = 50

async function poll(isDone: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    if (await isDone()) return
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS))
  }
  throw new Error('certlatch did not take the new files within five seconds')
}
