import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'
import { usageError } from '../administration/command-error.ts'
import type { Config } from '../config/config.ts'
import { quote } from '../config/text.ts'
import { writeCertificateHeader } from '../proxy/encodings.ts'
import { isMethod, readHost } from '../proxy/original-request.ts'
import { createHeaderReader, type RequestHeaders } from '../proxy/request-headers.ts'

/** A request as the command line describes it. */
export interface Described {
  readonly url: string
  readonly method: string
  /** The client's address; `undefined`: unknown. */
  readonly from: string | undefined
  readonly certificate: Buffer | undefined
  /** The value of a Cookie header. */
  readonly cookie: string | undefined
  /** The origin of the page that sends it; `undefined`: typed, or a link. */
  readonly origin: string | undefined
}

const ORIGIN =
  /^(?:null|[a-z][a-z0-9+.-]*:\/\/[a-z0-9._-]+(?::[0-9]{1,5})?|[a-z][a-z0-9+.-]*:\/\/\[[0-9a-f:.]+\](?::[0-9]{1,5})?)$/i
const URL_PARTS = /^(https?|wss?):\/\/([^/?#]+)([^#]*)/i

/** Returns the headers of the auth request that a trusted proxy would send about this request. */
export function authRequestHeaders(described: Described, config: Config): RequestHeaders {
  const { method, from, certificate, cookie, origin } = described
  // Not with a URL parser, which would normalize the very path that is to be checked.
  const [, scheme = '', authority = '', target = ''] = URL_PARTS.exec(described.url) ?? []
  if (authority === '') {
    throw usageError(
      `${quote(described.url)} is not a URL such as https://home.example.org/api/states`,
    )
  }
  if (!isMethod(method)) throw usageError(`--method is ${quote(method)}: expected one such as GET`)
  if (from !== undefined && isIP(from) === 0) {
    throw usageError(`--from is ${quote(from)}: expected an IP address`)
  }
  if (origin !== undefined && !ORIGIN.test(origin)) {
    throw usageError(
      `--origin is ${quote(origin)}: expected one such as https://other.example.org, or null`,
    )
  }
  const host = sentHost(authority)
  const lines: (readonly [string, string])[] = [
    ['X-Forwarded-Method', method],
    ['X-Forwarded-Proto', scheme.toLowerCase()],
    ['X-Forwarded-Host', host],
    ['X-Forwarded-Uri', asSent(target.startsWith('/') ? target : `/${target}`)],
  ]
  if (from !== undefined) lines.push(['X-Forwarded-For', from])
  const isWebSocket = /^wss?$/i.test(scheme)
  if (isWebSocket) lines.push(['Sec-WebSocket-Key', 'ZXhwbGFpbmVkIGhlcmUuLg=='])
  if (origin !== undefined) {
    lines.push(['Origin', origin])
    // Browsers send it to https alone, and Chromium with no WebSocket.
    if (/^https$/i.test(scheme)) lines.push(['Sec-Fetch-Site', site(origin, `https://${host}`)])
    if (method === 'OPTIONS') lines.push(['Access-Control-Request-Method', 'POST'])
  }
  if (cookie !== undefined) lines.push(['Cookie', cookie])
  if (certificate !== undefined) {
    lines.push([
      config.dialect.certificateHeader,
      writeCertificateHeader(certificate, config.dialect.encoding),
    ])
  }
  if (config.proxySecret !== undefined) {
    lines.push(['X-Certlatch-Proxy-Secret', config.proxySecret])
  }
  return createHeaderReader(config.dialect).read(lines.flat())
}

/** Returns the value of Sec-Fetch-Site: every other origin counts as cross-site, subdomains too. */
const site = (origin: string, own: string): string =>
  origin.toLowerCase() === own.toLowerCase() ? 'same-origin' : 'cross-site'

/** Returns host and port as a browser sends them. */
function sentHost(authority: string): string {
  if (authority.includes('@')) {
    throw usageError(
      'the URL has a user name before its host, which no browser sends',
      'leave it out',
    )
  }
  const [, name = '', port = ''] = /^(.*?)((?::[0-9]*)?)$/.exec(authority) ?? []
  const host = `${/[^ -~]/.test(name) ? domainToASCII(name) : name}${port}`
  if (readHost(host) === undefined) throw usageError(`${quote(authority)} is not a host name`)
  return host
}

/** Percent-encodes what is not ASCII, as a browser does. */
function asSent(target: string): string {
  return target.replace(/[^\0-~]+/gu, (text) => encodeURIComponent(text))
}
