import { text } from 'node:stream/consumers'
import type { Config } from '../config/config.ts'
import { type ListenAddress, writeAddress } from '../config/values.ts'
import type { Problem, Result } from '../result.ts'
import type { Status } from '../server/admin/status.ts'

/** Not imported, for the reason in http-server.ts: a container's healthcheck runs every ten seconds. */
const { get } = process.getBuiltinModule('node:http')

/** What a page of the admin listener answered, or why it could not be requested. */
export type Asked = Result<Answer & { place: string }, Obstacle>

interface Answer {
  readonly status: number
  readonly body: string
}

interface Page {
  readonly path: '/readyz' | '/status'
  readonly token: string | undefined
}

/** Requests a page from the service that listens at this address. */
export async function askAdminListener(
  address: ListenAddress,
  page: Page,
  timeoutMilliseconds: number,
): Promise<Asked> {
  const host = reachableHost(address.host)
  const place = writeAddress({ ...address, host })
  try {
    const signal = AbortSignal.timeout(timeoutMilliseconds)
    return { ok: true, place, ...(await ask(host, address.port, page, signal)) }
  } catch (error) {
    return { ok: false, ...describeFailure(error, place, timeoutMilliseconds) }
  }
}

export interface Obstacle extends Problem {
  readonly hint: string
}

const CHECK_ADDRESS = 'check CERTLATCH_ADMIN_LISTEN'

function describeFailure(error: unknown, place: string, timeoutMilliseconds: number): Obstacle {
  const { name, code } = error as NodeJS.ErrnoException
  if (name === 'AbortError') {
    return {
      problem: `${place} does not answer within ${timeoutMilliseconds} ms`,
      hint: 'look at the log of certlatch serve',
    }
  }
  if (code === 'ECONNREFUSED') {
    return {
      problem: `nothing listens at ${place}`,
      hint: 'is certlatch serve running with the same CERTLATCH_ADMIN_LISTEN?',
    }
  }
  return { problem: `${place} cannot be reached (${code ?? name})`, hint: CHECK_ADDRESS }
}

/** Describes an answer with a status that this page never has. */
export const unexpectedStatus = (place: string, status: number): Obstacle =>
  status === 401
    ? {
        problem: `${place} requires another token`,
        hint: 'set CERTLATCH_METRICS_TOKEN as the service has it',
      }
    : {
        problem: `${place} answers ${status}: something other than certlatch listens there`,
        hint: CHECK_ADDRESS,
      }

/** Requests the service's status. */
export async function askStatus(
  { adminListen, metricsToken }: Config,
  timeoutMilliseconds: number,
): Promise<Result<{ status: Status }, Obstacle>> {
  const page = { path: '/status', token: metricsToken } as const
  const asked = await askAdminListener(adminListen, page, timeoutMilliseconds)
  if (!asked.ok) return asked
  const status = asked.status === 200 ? readStatus(asked.body) : undefined
  if (status !== undefined) return { ok: true, status }
  return { ok: false, ...unexpectedStatus(asked.place, asked.status) }
}

function readStatus(body: string): Status | undefined {
  try {
    const value = JSON.parse(body)
    return value?.schemaVersion === 1 ? value : undefined
  } catch {
    return undefined
  }
}

/** A service that listens on every address is reached on the loopback address. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return /^[0:]+$/.test(host) ? '::1' : host
}

/** The signal bounds the whole exchange, including a body that never ends. */
function ask(
  host: string,
  port: number,
  { path, token }: Page,
  signal: AbortSignal,
): Promise<Answer> {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` }
  return new Promise((resolve, reject) => {
    const request = get({ host, port, path, headers, agent: false, signal }, (response) => {
      const { statusCode = 0 } = response
      text(response).then((body) => resolve({ status: statusCode, body }), reject)
    })
    request.on('error', reject)
  })
}
