import type { OriginalRequest } from './original-request.ts'
import type { RequestHeaders } from './request-headers.ts'

const CHANGES_NOTHING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
/** `none`: typed, a bookmark, a link from elsewhere in the system. */
const OWN_DOING: ReadonlySet<string> = new Set(['same-origin', 'none'])

/**
 * Whether another site acts through the browser. A client certificate is ambient: any page can make
 * the browser send it along, and a WebSocket knows no CORS. Asked for requests that change state
 * and for WebSockets; a cross-site GET passes, for reading its answer is CORS's affair.
 */
export function isCrossSite(
  headers: RequestHeaders,
  request: OriginalRequest,
  allowedOrigins: ReadonlySet<string>,
): boolean {
  if (CHANGES_NOTHING.has(request.method) && !request.isWebSocket) return false
  const { origin, secFetchSite } = headers
  const listed = origin !== undefined && isListedOrigin(origin, allowedOrigins)
  // A form under `no-referrer` sends `Origin: null` though it is our own: Sec-Fetch-Site knows.
  if (secFetchSite !== undefined) return !OWN_DOING.has(secFetchSite) && !listed
  return origin !== undefined && !listed && !isOwnOrigin(origin, request)
}

/** Compared as text, of any scheme (`capacitor://localhost`): URL parsers lose those. */
export function isListedOrigin(origin: string, allowedOrigins: ReadonlySet<string>): boolean {
  const text = origin.toLowerCase()
  return text !== 'null' && allowedOrigins.has(text)
}

/** A preflight (Fetch standard §4.8) from a listed origin: browsers send it bare of credentials. */
export function isAllowedPreflight(
  headers: RequestHeaders,
  request: OriginalRequest,
  allowedOrigins: ReadonlySet<string>,
): boolean {
  const { origin, requestMethod } = headers
  if (request.method !== 'OPTIONS' || origin === undefined || requestMethod === undefined) {
    return false
  }
  return isListedOrigin(origin, allowedOrigins)
}

const ORIGIN = /^(https?|wss?):\/\/([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/
const DEFAULT_PORTS: Readonly<Record<string, string>> = { https: '443', http: '80' }

/** Some apps send the WebSocket's own address as Origin, so `wss` counts as `https`. */
export function isOwnOrigin(origin: string, { scheme, host, port }: OriginalRequest): boolean {
  const [, written = '', name = '', originPort] = ORIGIN.exec(origin.toLowerCase()) ?? []
  const originScheme = written.replace('ws', 'http')
  if (originScheme !== scheme || name.replace(/\.$/, '') !== host) return false
  // Without a port in X-Forwarded-Host the public one is unknown: behind NAT it may be any.
  const defaultPort = DEFAULT_PORTS[scheme]
  return port === undefined || (originPort ?? defaultPort) === port
}
