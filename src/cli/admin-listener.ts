import { get } from 'node:http'
import { text } from 'node:stream/consumers'
import type { ListenAddress } from '../config/config.ts'

/** What a page of the admin listener answered, or in one line why it could not be asked. */
export type Asked =
  | { readonly ok: true; readonly place: string; readonly status: number; readonly body: string }
  | { readonly ok: false; readonly obstacle: string }

export interface Page {
  readonly path: '/readyz' | '/status'
  readonly token: string | undefined
}

/** Asks the service that listens at this address. */
export async function askAdminListener(
  address: ListenAddress,
  page: Page,
  timeoutMilliseconds: number,
): Promise<Asked> {
  const host = reachable(address.host)
  const place = host.includes(':') ? `[${host}]:${address.port}` : `${host}:${address.port}`
  try {
    const signal = AbortSignal.timeout(timeoutMilliseconds)
    return { ok: true, place, ...(await ask(host, address.port, page, signal)) }
  } catch (error) {
    return { ok: false, obstacle: obstacleOf(error, place, timeoutMilliseconds) }
  }
}

function obstacleOf(error: unknown, place: string, timeoutMilliseconds: number): string {
  const { name, code } = error as NodeJS.ErrnoException
  if (name === 'AbortError') return `${place} does not answer within ${timeoutMilliseconds} ms`
  if (code === 'ECONNREFUSED') {
    return `nothing listens at ${place}; is certlatch serve running with the same CERTLATCH_ADMIN_LISTEN?`
  }
  return `${place} cannot be asked (${code ?? name}); look at CERTLATCH_ADMIN_LISTEN`
}

/** What to say where a page comes with a status that certlatch does not give. */
export const somethingElse = (place: string, status: number): string =>
  `${place} answers ${status}: something else than certlatch listens there; look at CERTLATCH_ADMIN_LISTEN`

/** Who listens on every address is asked on the loopback one. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return /^[0:]+$/.test(host) ? '::1' : host
}

type Answer = Pick<Extract<Asked, { ok: true }>, 'status' | 'body'>

/** The signal bounds the whole exchange, a body that never ends too. */
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
