import { isMethod, type OriginalRequest } from './original-request.ts'
import type { RequestHeaders } from './request-headers.ts'

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
/** `none`: typed, from a bookmark, or from another program. */
const NOT_CROSS_SITE: ReadonlySet<string> = new Set(['same-origin', 'none'])

/**
 * Whether another site sends this request through the client's browser. A client certificate is
 * ambient: any page can make the browser send it, and CORS does not apply to WebSockets. Only requests
 * that change state and WebSockets count: CORS already decides who may read the answer to a GET.
 */
export function isCrossSite(
  headers: RequestHeaders,
  request: OriginalRequest,
  allowedOrigins: ReadonlySet<string>,
): boolean {
  if (SAFE_METHODS.has(request.method) && !request.isWebSocket) return false
  const { origin, secFetchSite } = headers
  if (origin !== undefined && isListedOrigin(origin, allowedOrigins)) return false
  if (secFetchSite !== undefined && !NOT_CROSS_SITE.has(secFetchSite)) return true
  // `same-origin` does not make another origin trusted: Safari sent it with a cross-site POST that was
  // reloaded (WebKit, fixed in March 2026).
  if (origin === undefined || isOwnOrigin(origin, request)) return false
  // A form of this site under `no-referrer` sends `Origin: null`: then Sec-Fetch-Site decides.
  return origin !== 'null' || secFetchSite === undefined
}

/** Compared as text: URL parsers drop the origin of schemes such as `capacitor://localhost`. */
export function isListedOrigin(origin: string, allowedOrigins: ReadonlySet<string>): boolean {
  if (allowedOrigins.size === 0) return false
  const text = origin.toLowerCase()
  return text !== 'null' && allowedOrigins.has(text)
}

/**
 * Returns the method that a preflight (Fetch standard §4.8) of a listed origin announces; `undefined`
 * if the request is not one. Browsers send preflights without a body and without Upgrade; a request
 * with either may change something in an application.
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

/** Some apps send the WebSocket's own URL as Origin, so `wss` counts as `https`. */
export function isOwnOrigin(origin: string, { scheme, host, port }: OriginalRequest): boolean {
  const [, written = '', name = '', originPort] = ORIGIN.exec(origin.toLowerCase()) ?? []
  const originScheme = written.replace('ws', 'http')
  if (originScheme !== scheme || name.replace(/\.$/, '') !== host) return false
  // Without a port in X-Forwarded-Host the public port is unknown: behind NAT it may be any.
  const defaultPort = DEFAULT_PORTS[scheme]
  return port === undefined || Number(originPort ?? defaultPort) === Number(port)
}
