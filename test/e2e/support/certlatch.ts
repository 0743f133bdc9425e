import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { DialectName } from '../../../src/proxy/dialects.ts'
import type { Pki } from './pki.ts'
import { repositoryFolder, until } from './tools.ts'

export const PROXY_SECRET = 'only-the-proxy-knows-this'

/** `certlatch serve`, as a process of its own. */
export interface Certlatch {
  readonly port: number
  /** Waits until the CRL with this number is in force. */
  hasRevocationList(number: string): Promise<void>
  /** How many refusals it has counted. */
  refusals(): Promise<number>
  close(): Promise<void>
}

export const startCertlatch = (
  folder: string,
  dialect: DialectName,
  pki: Pki,
): Promise<Certlatch> =>
  serve({
    CERTLATCH_DATA_DIR: join(folder, 'data'),
    CERTLATCH_PROXY: dialect,
    CERTLATCH_CA_FILE: pki.authorityFile,
    CERTLATCH_CRL_FILE: pki.revocationListFile,
  })

/** `certlatch serve` with these settings, on ports of the system's choice. */
export async function serve(settings: Readonly<Record<string, string>>): Promise<Certlatch> {
  const child = spawn(
    process.execPath,
    [join(repositoryFolder(), 'dist/src/cli/main.js'), 'serve'],
    {
      env: {
        CERTLATCH_LISTEN: '127.0.0.1:0',
        CERTLATCH_ADMIN_LISTEN: '127.0.0.1:0',
        CERTLATCH_PROXY_SECRET: PROXY_SECRET,
        ...settings,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const { listen, admin } = await whenReady(child)
  const operations = `http://${admin}`
  return {
    port: Number(listen.slice(listen.lastIndexOf(':') + 1)),
    hasRevocationList: (number) =>
      until(`CRL ${number} is in force`, async () => {
        const answer = await fetch(`${operations}/readyz`)
        return ((await answer.json()) as { crlNumber?: string }).crlNumber === number
      }),
    refusals: async () => {
      const text = await (await fetch(`${operations}/metrics`)).text()
      const lines = text.matchAll(/^certlatch_decisions_total\{.*outcome="deny".*\} (\d+)$/gm)
      return [...lines].reduce((sum, [, value]) => sum + Number(value), 0)
    },
    close: async () => {
      if (child.exitCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}

function whenReady(child: ReturnType<typeof spawn>): Promise<{ listen: string; admin: string }> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      for (const line of text.split('\n').slice(0, -1)) {
        const entry = JSON.parse(line)
        if (entry.msg === 'ready') resolve(entry)
      }
      text = text.slice(text.lastIndexOf('\n') + 1)
    })
    child.once('exit', (code) => reject(new Error(`certlatch ended with code ${code}: ${text}`)))
  })
}
