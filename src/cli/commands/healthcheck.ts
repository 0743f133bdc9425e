import { get } from 'node:http'
import { text } from 'node:stream/consumers'
import type { ListenAddress } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'

const TIMEOUT_MILLISECONDS = 3_000

const HELP = `Usage: certlatch healthcheck

Asks the service at CERTLATCH_ADMIN_LISTEN whether it is ready, for three seconds at most.
Exit code 0: it is. 1: it is not, or does not answer. 2: a setting is wrong.

Example:
  $ CERTLATCH_ADMIN_LISTEN=127.0.0.1:9181 certlatch healthcheck
  ready`

export const healthcheck: Command = {
  help: () => HELP,
  run: runHealthcheck,
}

async function runHealthcheck({ environment, terminal }: Invocation): Promise<ExitCode> {
  const loaded = loadConfig(environment)
  if (!loaded.ok) {
    for (const problem of loaded.problems) terminal.tell(problem)
    return 2
  }
  const obstacle = await readinessObstacle(loaded.config.adminListen, TIMEOUT_MILLISECONDS)
  if (obstacle === undefined) {
    terminal.print('ready')
    return 0
  }
  terminal.tell(obstacle)
  return 1
}

/** Why the service at this address is not ready, in one line; `undefined` if it is. */
export async function readinessObstacle(
  address: ListenAddress,
  timeoutMilliseconds: number,
): Promise<string | undefined> {
  const host = reachable(address.host)
  const place = host.includes(':') ? `[${host}]:${address.port}` : `${host}:${address.port}`
  try {
    const signal = AbortSignal.timeout(timeoutMilliseconds)
    const { status, body } = await ask(host, address.port, signal)
    if (status === 200) return undefined
    if (status === 503) return `not ready: ${failedChecks(body)}`
    return `${place} answers ${status}: something else than certlatch listens there; look at CERTLATCH_ADMIN_LISTEN`
  } catch (error) {
    const { name, code } = error as NodeJS.ErrnoException
    if (name === 'AbortError') return `${place} does not answer within ${timeoutMilliseconds} ms`
    if (code === 'ECONNREFUSED') {
      return `nothing listens at ${place}; is certlatch serve running with the same CERTLATCH_ADMIN_LISTEN?`
    }
    return `${place} cannot be asked (${code ?? name}); look at CERTLATCH_ADMIN_LISTEN`
  }
}

/** Who listens on every address is asked on the loopback one. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return /^[0:]+$/.test(host) ? '::1' : host
}

interface Answer {
  readonly status: number | undefined
  readonly body: string
}

/** The signal bounds the whole exchange, a body that never ends too. */
function ask(host: string, port: number, signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = get({ host, port, path: '/readyz', agent: false, signal }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode, body }), reject)
    })
    request.on('error', reject)
  })
}

/** The details of the checks that failed, from the body of `/readyz`. */
function failedChecks(body: string): string {
  try {
    const checks: readonly Check[] = JSON.parse(body).checks
    const failed = checks.filter(({ ok }) => ok !== true)
    return failed.map(({ name, detail }) => `${name}: ${detail}`).join('; ') || UNEXPLAINED
  } catch {
    return UNEXPLAINED
  }
}

const UNEXPLAINED = 'the answer does not say why'

interface Check {
  readonly name: unknown
  readonly ok: unknown
  readonly detail: unknown
}
