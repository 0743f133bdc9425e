import { isMethod, type OriginalRequest } from './original-request.ts'
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
  if (origin !== undefined && isListedOrigin(origin, allowedOrigins)) return false
  if (secFetchSite !== undefined && !OWN_DOING.has(secFetchSite)) return true
  // Not even `same-origin` makes another origin ours: Safari said it of a cross-site POST that was
  // reloaded (WebKit, mended in March 2026).
  if (origin === undefined || isOwnOrigin(origin, request)) return false
  // A form under `no-referrer` sends `Origin: null` though it is our own: Sec-Fetch-Site knows.
  return origin !== 'null' || secFetchSite === undefined
}

/** Compared as text, of any scheme (`capacitor://localhost`): URL parsers lose those. */
export function isListedOrigin(origin: string, allowedOrigins: ReadonlySet<string>): boolean {
  if (allowedOrigins.size === 0) return false
  const text = origin.toLowerCase()
  return text !== 'null' && allowedOrigins.has(text)
}

/**
 * The method that a preflight (Fetch standard §4.8) of a listed origin asks about; `undefined` if it is
 * none. Browsers send it bare of credentials, with no body and to change no protocol; what has one or
 * does so may do more to an application than ask.
 */
export function preflightMethod(
  headers: RequestHeaders,
  request: OriginalRequest,
  allowedOrigins: ReadonlySet<string>,
): string | undefined {
  const { origin, requestMethod, upgrade } = headers
  if (request.method !== 'OPTIONS' || origin === undefined || requestMethod === undefined) {
    return undefined
  }
  if (request.isWebSocket || upgrade !== undefined || hasBody(headers)) return undefined
  return isListedOrigin(origin, allowedOrigins) && isMethod(requestMethod)
    ? requestMethod
    : undefined
}

const hasBody = ({ contentLength, transferEncoding }: RequestHeaders): boolean =>
  transferEncoding !== undefined || (contentLength !== undefined && contentLength !== '0')

const ORIGIN = /^(https?|wss?):\/\/([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/
const DEFAULT_PORTS: Readonly<Record<string, string>> = { https: '443', http: '80' }

/** Some apps send the WebSocket's own address as Origin, so `wss` counts as `https`. */
export function isOwnOrigin(origin: string, { scheme, host, port }: OriginalRequest): boolean {
  const [, written = '', name = '', originPort] = ORIGIN.exec(origin.toLowerCase()) ?? []
  const originScheme = written.replace('ws', 'http')
  if (originScheme !== scheme || name.replace(/\.$/, '') !== host) return false
  // Without a port in X-Forwarded-Host the public one is unknown: behind NAT it may be any.
  const defaultPort = DEFAULT_PORTS[scheme]
  return port === undefined || Number(originPort ?? defaultPort) === Number(port)
}
