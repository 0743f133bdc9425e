import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { DialectName } from '../../../src/proxy/dialects.ts'
import type { Pki } from './pki.ts'
import { repositoryFolder, until } from './tools.ts'

export const PROXY_SECRET = 'only-the-proxy-knows-this'

/** `certlatch serve` in its own process. */
export interface Certlatch {
  /** Its settings, for commands on the same directory. */
  readonly environment: Readonly<Record<string, string>>
  readonly port: number
  /** The address of its own pages. */
  readonly pagesPort: number
  /** Waits until the CRL with this number is loaded. */
  hasRevocationList(number: string): Promise<void>
  /** How many refusals it has counted. */
  refusals(): Promise<number>
  close(): Promise<void>
}

export const dataFolder = (folder: string): string => join(folder, 'data')
const program = (): string => join(repositoryFolder(), 'dist/src/cli/main.js')

/** With an external CA, or with its own if there is none. */
export async function startCertlatch(
  folder: string,
  dialect: DialectName,
  external: Pki | undefined,
  settings: Readonly<Record<string, string>> = {},
): Promise<Certlatch> {
  const environment = {
    CERTLATCH_DATA_DIR: dataFolder(folder),
    CERTLATCH_PROXY: dialect,
    CERTLATCH_LISTEN: '127.0.0.1:0',
    CERTLATCH_ADMIN_LISTEN: '127.0.0.1:0',
    CERTLATCH_PAGES_LISTEN: '127.0.0.1:0',
    CERTLATCH_PROXY_SECRET: PROXY_SECRET,
    ...(external && {
      CERTLATCH_CA_FILE: external.authorityFile,
      CERTLATCH_CRL_FILE: external.revocationListFile,
    }),
    ...settings,
  }
  const child = spawn(process.execPath, [program(), 'serve'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const { listen, admin, pages } = await whenReady(child)
  const operations = `http://${admin}`
  return {
    environment,
    port: portOf(listen),
    pagesPort: portOf(pages),
    hasRevocationList: (number) =>
      until(`CRL ${number} is loaded`, async () => {
        const answer = await fetch(`${operations}/readyz`)
        return ((await answer.json()) as { crlNumber?: string }).crlNumber === number
      }),
    refusals: async () => {
      const metrics = await (await fetch(`${operations}/metrics`)).text()
      const lines = metrics.matchAll(/^certlatch_decisions_total\{.*outcome="deny".*\} (\d+)$/gm)
      return [...lines].reduce((sum, [, value]) => sum + Number(value), 0)
    },
    close: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Starts a certlatch command, as a person would type it beside the service. */
export const startCommand = (
  environment: Readonly<Record<string, string | undefined>>,
  ...args: readonly string[]
) =>
  spawn(process.execPath, [program(), ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })

/** Runs a certlatch command to its end. */
export async function runCommand(
  environment: Readonly<Record<string, string | undefined>>,
  ...args: readonly string[]
): Promise<Ended> {
  const child = startCommand(environment, ...args)
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  return { code, stdout, stderr }
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1))

type Ready = Readonly<Record<'listen' | 'admin' | 'pages', string>>

function whenReady(child: ReturnType<typeof spawn>): Promise<Ready> {
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8')
      for (const line of output.split('\n').slice(0, -1)) {
        const entry = JSON.parse(line)
        if (entry.msg === 'ready') resolve(entry)
      }
      output = output.slice(output.lastIndexOf('\n') + 1)
    })
    child.once('exit', (code) => reject(new Error(`certlatch ended with code ${code}: ${output}`)))
  })
}
