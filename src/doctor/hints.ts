import { DIALECTS, type DialectName } from '../proxy/dialects.ts'
import { isRefusal } from './answers.ts'
import { type Facts, proxyOf } from './facts.ts'

const OTHERWISE = "compare the proxy's configuration with the one in deploy/"

/** What to change, in each proxy's own terms. */
const HINTS = {
  'request-certificate': {
    traefik:
      'Traefik: tls.options.default.clientAuth with clientAuthType: RequestClientCert and caFiles',
    caddy: 'Caddy: tls { client_auth { mode request; trust_pool file …/ca.crt } } in this site',
    nginx: 'nginx: ssl_verify_client optional; and ssl_client_certificate …/ca.crt; in this server',
    haproxy:
      'HAProxy: ca-file …/ca.crt verify optional crt-ignore-err all ca-ignore-err all on the bind line',
  },
  'read-authorities': {
    traefik: 'Traefik reads caFiles once: name ca.crt there, then touch dynamic.yml or restart it',
    caddy: 'Caddy reads trust_pool once: name ca.crt there, then caddy reload --force',
    nginx: 'nginx reads ssl_client_certificate once: name ca.crt there, then nginx -s reload',
    haproxy: 'HAProxy reads ca-file once: name ca.crt there, then reload it',
  },
  'all-names': {
    traefik:
      'Traefik: name the TLS options "default", so that they apply to every server name, and to none at all',
    caddy: 'Caddy: the site that answers there needs the same client_auth, or should not be there',
    nginx: 'nginx: listen … ssl default_server; with ssl_reject_handshake on; for every other name',
    haproxy:
      'HAProxy: one bind line with verify optional for all names; it requests a certificate whatever the name is',
  },
  'auth-request': {
    traefik:
      'Traefik: the router of the application needs middlewares: [from-client, client-certificate, certlatch]',
    caddy:
      'Caddy: in route { }, the reverse_proxy that calls /verify? comes before the one to the application',
    nginx:
      'nginx: auth_request /_certlatch; in the server (server.conf), and auth_request off in no location that leads to the application',
    haproxy:
      'HAProxy: http-request lua.certlatch, and http-request deny unless { var(txn.certlatch_allowed) -m bool }',
  },
  'refusal-page': {
    traefik:
      'Traefik passes the answer of forwardAuth on by itself: look for an errors middleware on the router',
    caddy: 'Caddy passes on what handle_response does not match: match only status 200 there',
    nginx: 'nginx: error_page 403 = /_certlatch_page; and recursive_error_pages on;',
    haproxy:
      'HAProxy: certlatch.lua passes the refusal on; look for an errorfile or http-error for 403',
  },
  'pass-certificate': {
    traefik:
      'Traefik: passTLSClientCert with pem: true before forwardAuth, and trustForwardHeader: true',
    caddy:
      'Caddy: header_up Client-Cert :{http.request.tls.client.certificate_der_base64}: in the auth request',
    nginx: 'nginx: proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert; in ask.conf',
    haproxy: 'HAProxy: http-request set-header Client-Cert :%[ssl_c_der,base64]: if { ssl_c_used }',
  },
  'session-cookie': {
    traefik:
      'Traefik: addAuthCookiesToResponse: [__Host-certlatch] in forwardAuth, with the exact name',
    caddy: 'Caddy: copy_response_headers { include Set-Cookie } in handle_response',
    nginx:
      'nginx: auth_request_set $certlatch_cookie $upstream_http_set_cookie; and add_header Set-Cookie $certlatch_cookie always;',
    haproxy:
      'HAProxy: http-response add-header Set-Cookie %[var(txn.certlatch_cookie)] if { var(txn.certlatch_cookie) -m found }',
  },
  'pass-cookie': {
    traefik: 'Traefik: forwardAuth passes Cookie on unless authRequestHeaders omits it',
    caddy: 'Caddy: no header_up -Cookie in the reverse_proxy that calls /verify',
    nginx: 'nginx: no proxy_set_header Cookie in ask.conf',
    haproxy: 'HAProxy: no del-header cookie before http-request lua.certlatch',
  },
  'overwrite-certificate': {
    traefik:
      'Traefik: X-Forwarded-Tls-Client-Cert: "" in from-client, before passTLSClientCert, for the pages as well',
    caddy:
      'Caddy: request_header -Client-Cert and header_up Client-Cert :{http.request.tls.client.certificate_der_base64}:, for the pages as well',
    nginx:
      'nginx: proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert; in ask.conf and page.conf',
    haproxy: 'HAProxy: http-request del-header client-cert before set-header Client-Cert',
  },
  'overwrite-request': {
    traefik:
      'Traefik: no forwardedHeaders.insecure, and X-Forwarded-Method: "" and X-Forwarded-Uri: "" in from-client',
    caddy:
      'Caddy: header_up X-Forwarded-Method {method} and X-Forwarded-Uri {uri} in the auth request, and no trusted_proxies',
    nginx: 'nginx: all of proxy_set_header X-Forwarded-Method, -Proto, -Host and -Uri in ask.conf',
    haproxy: 'HAProxy: http-request del-header x-forwarded- -m beg before the set-header lines',
  },
  'overwrite-address': {
    traefik:
      'Traefik: no forwardedHeaders.insecure, and in trustedIPs only a proxy that overwrites X-Forwarded-For',
    caddy: 'Caddy: no trusted_proxies, or only a proxy that overwrites X-Forwarded-For',
    nginx:
      'nginx: proxy_set_header X-Forwarded-For $remote_addr; and no $proxy_add_x_forwarded_for',
    haproxy:
      'HAProxy: http-request del-header x-forwarded- -m beg, then set-header X-Forwarded-For %[src]',
  },
  'overwrite-internal': {
    traefik:
      'Traefik: X-Certlatch-Page: "" and X-Certlatch-Proxy: traefik in from-client, and X-Certlatch-Proxy-Secret if you have one',
    caddy:
      'Caddy: request_header -X-Certlatch-* first in route { }, and header_up X-Certlatch-Proxy caddy',
    nginx:
      'nginx: proxy_set_header X-Certlatch-Page ""; in the location /_certlatch, and X-Certlatch-Proxy nginx; in ask.conf',
    haproxy:
      'HAProxy: http-request del-header x-certlatch- -m beg before set-header X-Certlatch-Proxy',
  },
  aliases: {
    traefik: 'Traefik: aliasHeadersStrategy: delete at the entry point (3.7.12 or newer)',
    caddy: 'Caddy: 2.11.4 or newer drops them; look for expected_underscore_headers',
    nginx:
      'nginx: underscores_in_headers off; and ignore_invalid_headers on; which are the defaults',
    haproxy: 'HAProxy: http-request del-header [^A-Za-z0-9-] -m reg',
  },
  'only-its-host': {
    traefik: 'Traefik: a rule such as Host(`home.example.org`) for each router',
    caddy: 'Caddy: name the host in the address of the site, not :443',
    nginx:
      'nginx: server_name for this server, another one as default_server, and $host in X-Forwarded-Host',
    haproxy:
      'HAProxy: http-request deny deny_status 421 unless { req.fhdr(host),lower,regsub(:[0-9]+$,) home.example.org }',
  },
  'no-http3': {
    traefik: 'Traefik: no http3 at the entry point',
    caddy: 'Caddy: servers { protocols h1 h2 }',
    nginx: 'nginx: no listen … quic, and no add_header Alt-Svc',
    haproxy: 'HAProxy: no quic4@ bind, and no alt-svc header',
  },
  'own-pages': {
    traefik:
      'Traefik: the router certlatch-pages, PathPrefix(`/.certlatch/auth/`) with the higher priority, to CERTLATCH_PAGES_LISTEN',
    caddy:
      'Caddy: @pages path /.certlatch/auth/* and its reverse_proxy to CERTLATCH_PAGES_LISTEN, first in route { }',
    nginx: 'nginx: location ^~ /.certlatch/auth/ { include page.conf; } to CERTLATCH_PAGES_LISTEN',
    haproxy: 'HAProxy: acl page path_beg /.certlatch/auth/ and use_backend certlatch-pages if page',
  },
  'no-verify': {
    traefik:
      'Traefik: no router leads to CERTLATCH_LISTEN; that of the pages leads to CERTLATCH_PAGES_LISTEN',
    caddy: 'Caddy: no reverse_proxy to CERTLATCH_LISTEN except the one that rewrites to /verify?',
    nginx:
      'nginx: internal; in the locations of the auth requests, and no other one that leads to CERTLATCH_LISTEN',
    haproxy:
      'HAProxy: no use_backend to CERTLATCH_LISTEN; that of the pages leads to CERTLATCH_PAGES_LISTEN',
  },
  'old-tls': {
    traefik: 'Traefik: minVersion: VersionTLS12 in the TLS options',
    caddy: 'Caddy: protocols tls1.2 tls1.3 in tls { }',
    nginx: 'nginx: ssl_protocols TLSv1.2 TLSv1.3;',
    haproxy: 'HAProxy: ssl-min-ver TLSv1.2 on the bind line',
  },
} as const satisfies Readonly<Record<string, Readonly<Record<DialectName, string>>>>

/** What to change at the recognized proxy. */
export function hintFor(topic: keyof typeof HINTS, facts: Facts): string {
  const proxy = proxyOf(facts)
  return proxy === undefined ? OTHERWISE : HINTS[topic][proxy]
}

/** A hint if CERTLATCH_PROXY has another dialect than the recognized proxy. */
export function dialectHint(facts: Facts): string | undefined {
  const { here, looks } = facts
  const configured = here?.config.dialect
  if (configured === undefined || looks === undefined || configured.name === looks) return undefined
  const sharesHeader = configured.certificateHeader === DIALECTS[looks].certificateHeader
  if (sharesHeader && !isRefusedUnexpectedly(facts)) return undefined
  return `CERTLATCH_PROXY is ${configured.name}, and the proxy looks like ${SPELLED[looks]}: set CERTLATCH_PROXY=${looks}`
}

/**
 * Between two proxies with the same header, only this shows the mismatch: certlatch refuses a proxy that
 * gives another name (`proxy-mismatch`). Otherwise one may be in front of the other.
 */
const isRefusedUnexpectedly = ({ here, first }: Facts): boolean =>
  isRefusal(first.certificate) && here !== undefined && here.certificateDenial() === undefined

const SPELLED: Readonly<Record<DialectName, string>> = {
  traefik: 'Traefik',
  caddy: 'Caddy',
  haproxy: 'HAProxy',
  nginx: 'nginx',
}
