/** The proxies that certlatch understands: the configuration names one, and it is never guessed. */
export type DialectName = 'traefik' | 'caddy' | 'haproxy' | 'nginx'

/** How the proxy encodes the certificate in its header. */
export type CertificateEncoding =
  | 'traefik-list'
  | 'rfc9440'
  /** The same, and `::` for no certificate (Caddy). */
  | 'rfc9440-or-empty'
  | 'url-escaped-pem'

export interface Dialect {
  readonly name: DialectName
  /** The header that carries the client's certificate, in lower case. */
  readonly certificateHeader: string
  readonly encoding: CertificateEncoding
  /**
   * Whether a 200 carries the client's `Cookie` header without the session. Traefik
   * (`authResponseHeaders`) and nginx (`$upstream_http_cookie`) forward it to the application; Caddy and
   * HAProxy edit the header themselves.
   */
  readonly returnsCookie: boolean
  /** Whether the proxy fetches the refusal page by a second request with `X-Certlatch-Page` (nginx). */
  readonly asksForPage: boolean
}

/** What each proxy sends, as recorded from Traefik 3.7.15, Caddy 2.11.7, HAProxy 2.6.12, nginx 1.22.1. */
export const DIALECTS: Readonly<Record<DialectName, Dialect>> = {
  traefik: {
    name: 'traefik',
    certificateHeader: 'x-forwarded-tls-client-cert',
    encoding: 'traefik-list',
    returnsCookie: true,
    asksForPage: false,
  },
  caddy: {
    name: 'caddy',
    certificateHeader: 'client-cert',
    encoding: 'rfc9440-or-empty',
    returnsCookie: false,
    asksForPage: false,
  },
  haproxy: {
    name: 'haproxy',
    certificateHeader: 'client-cert',
    encoding: 'rfc9440',
    returnsCookie: false,
    asksForPage: false,
  },
  nginx: {
    name: 'nginx',
    certificateHeader: 'x-ssl-client-cert',
    encoding: 'url-escaped-pem',
    returnsCookie: true,
    asksForPage: true,
  },
}
