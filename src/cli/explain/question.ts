import { isIP } from 'node:net'
import { AdministrationError } from '../../administration/problem.ts'
import { writePem } from '../../certificate/pem.ts'
import type { Config } from '../../config/config.ts'
import { quote } from '../../config/text.ts'
import type { Dialect } from '../../proxy/dialects.ts'
import { createHeaderReader, type RequestHeaders } from '../../proxy/request-headers.ts'

/** A request as a person describes it. */
export interface Described {
  readonly url: string
  readonly method: string
  /** The client's address; `undefined`: unknown. */
  readonly from: string | undefined
  readonly certificate: Buffer | undefined
  /** The value of a Cookie header. */
  readonly cookie: string | undefined
}

const URL_PARTS = /^(https?|wss?):\/\/([^/?#]+)([^#]*)/i

/** The question that a trusted proxy would ask about this request. */
export function questionHeaders(described: Described, config: Config): RequestHeaders {
  const { method, from, certificate, cookie } = described
  // Not by a URL parser, which would tidy up the very path that is in question.
  const [, scheme = '', authority = '', target = ''] = URL_PARTS.exec(described.url) ?? []
  if (authority === '') {
    throw new AdministrationError(
      `${quote(described.url)} is not a URL such as https://home.example.org/api/states`,
      2,
    )
  }
  if (from !== undefined && isIP(from) === 0) {
    throw new AdministrationError(`--from is ${quote(from)}: expected an IP address`, 2)
  }
  const lines: (readonly [string, string])[] = [
    ['X-Forwarded-Method', method],
    ['X-Forwarded-Proto', scheme.toLowerCase()],
    ['X-Forwarded-Host', authority],
    ['X-Forwarded-Uri', asSent(target.startsWith('/') ? target : `/${target}`)],
  ]
  if (from !== undefined) lines.push(['X-Forwarded-For', from])
  if (/^wss?$/i.test(scheme)) lines.push(['Sec-WebSocket-Key', 'ZXhwbGFpbmVkIGhlcmUuLg=='])
  if (cookie !== undefined) lines.push(['Cookie', cookie])
  if (certificate !== undefined) {
    lines.push([config.dialect.certificateHeader, encode(certificate, config.dialect)])
  }
  if (config.proxySecret !== undefined) {
    lines.push(['X-Certlatch-Proxy-Secret', config.proxySecret])
  }
  return createHeaderReader(config.dialect).read(lines.flat())
}

/** What is not ASCII, as a browser writes it into the request. */
function asSent(target: string): string {
  return target.replace(/[^\0-~]+/gu, (text) => encodeURIComponent(text))
}

function encode(der: Buffer, { encoding }: Dialect): string {
  const base64 = der.toString('base64')
  switch (encoding) {
    case 'traefik-list':
      return base64
    case 'rfc9440':
      return `:${base64}:`
    case 'url-escaped-pem':
      return encodeURIComponent(writePem('CERTIFICATE', der))
  }
}
