import { text } from 'node:stream/consumers'
import type { ListenAddress } from '../config/config.ts'

/** Not imported, for the reason in http-server.ts: a container's healthcheck runs every ten seconds. */
const { get } = process.getBuiltinModule('node:http')

/** What a page of the admin listener answered, or why it could not be asked. */
export type Asked =
  | { readonly ok: true; readonly place: string; readonly status: number; readonly body: string }
  | { readonly ok: false; readonly problem: string; readonly hint: string }

export interface Page {
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
  const place = host.includes(':') ? `[${host}]:${address.port}` : `${host}:${address.port}`
  try {
    const signal = AbortSignal.timeout(timeoutMilliseconds)
    return { ok: true, place, ...(await ask(host, address.port, page, signal)) }
  } catch (error) {
    return { ok: false, ...describeFailure(error, place, timeoutMilliseconds) }
  }
}

export interface Obstacle {
  readonly problem: string
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
  return { problem: `${place} cannot be asked (${code ?? name})`, hint: CHECK_ADDRESS }
}

/** Describes an answer with a status that the page does not have. */
export const unexpectedStatus = (place: string, status: number): Obstacle =>
  status === 401
    ? {
        problem: `${place} wants another token`,
        hint: 'set CERTLATCH_METRICS_TOKEN as the service has it',
      }
    : {
        problem: `${place} answers ${status}: something other than certlatch listens there`,
        hint: CHECK_ADDRESS,
      }

/** A service that listens on every address is reached on the loopback address. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return /^[0:]+$/.test(host) ? '::1' : host
}

type Answer = Pick<Extract<Asked, { ok: true }>, 'status' | 'body'>

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
