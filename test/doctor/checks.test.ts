import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Finding, GROUPS, type Unseen } from '../../src/doctor/check.ts'
import { CHECKS } from '../../src/doctor/checks.ts'
import type { Facts, Here, ServiceStatus } from '../../src/doctor/facts.ts'
import type { Observation, Probe, RequestProbe } from '../../src/doctor/probe.ts'
import { createPolicy } from '../../src/policy/policy.ts'
import type { RunningService } from '../../src/store/service-state-files.ts'
import {
  answer,
  askedOf,
  checkNamed,
  DENIAL,
  factsOf,
  hereOf,
  LET_IN,
  NO_ANSWER,
  REFUSED,
  SESSION,
} from '../support/doctor.ts'
import { configOf, NOON_SECONDS } from '../support/service.ts'

/** The service of `hereOf`, with changes. */
const serviceOf = (changes: Partial<ServiceStatus>): Partial<Here> => ({
  service: { ...(hereOf().service as ServiceStatus), ...changes },
})

const replica = (state: Partial<RunningService['state']>, isFresh = true): RunningService => ({
  ...{ id: '1', ageSeconds: 1, isFresh, hasEnded: false, version: '1' },
  state: {
    ...{ schemaVersion: 1, listen: 'l', host: 'h', version: '1.0.0', startedAt: 0 },
    ...{ stoppedAt: undefined, crlNumber: '1', blocksNumber: 0, keySet: 'k', lastSeen: [] },
    ...state,
  },
})

const first = (changes: Partial<Facts['first']>): Partial<Facts> => ({
  first: { ...factsOf().first, ...changes },
})

const DAY = 86_400
const rule = (name: string, changes: object) => ({
  ...{ name, access: 'open' as const, holders: [] },
  conditions: {
    hosts: undefined,
    paths: undefined,
    methods: undefined,
    from: undefined,
    ...changes,
  },
})
const HOOKS = createPolicy(
  [rule('hooks', { paths: { exact: new Set<string>(), below: ['/api/webhook/'] } })],
  [],
)
const withHooks = (): Partial<Facts> => ({
  here: hereOf({ isOpen: (_, path) => isOpen(path) }, HOOKS),
})
const isOpen = (path: string): boolean => path.startsWith('/api/webhook/')

const flight = (authorities: readonly Buffer[] | undefined): Observation => ({
  kind: 'flight',
  flight: {
    ...{ kind: 'answered', version: 'TLS 1.2' },
    ...{ requestsCertificate: authorities !== undefined, authorities: authorities ?? [] },
  },
})
const HOUSEHOLD = Buffer.from('30143112301006035504030c09686f757365686f6c64', 'hex')
const householdHere = hereOf({
  authorities: [{ name: 'CN=Household', comparable: '2.5.4.3="household"' }],
})

const NOT_RUNNING = { problem: 'nothing listens', hint: 'is it running?' }
const EXTERNAL = hereOf({
  config: configOf({ CERTLATCH_PROXY: 'caddy', CERTLATCH_CA_FILE: '/ca.crt' }).config,
})
/** Answers for certlatch's own pages, all there but that for enrollment. */
const pagesWithout = (enrollment: Observation) => (probe: Probe) =>
  probe.kind === 'request' && probe.path.endsWith('/enroll')
    ? enrollment
    : answer(200, {}, 'navigator.serviceWorker … home-assistant …')
const HAPROXY = hereOf({ config: configOf({ CERTLATCH_PROXY: 'haproxy' }).config })

interface Row {
  readonly check: string
  readonly what: string
  readonly facts?: Partial<Facts>
  readonly seen?: (probe: Probe) => Observation
  readonly finds?: RegExp
  readonly level?: (Finding | Unseen)['level']
  readonly hint?: RegExp
}

const isShown = (probe: Probe): boolean => probe.kind === 'request' && probe.shown !== 'nothing'
/** The answers of a correct gate: requests with credentials are allowed. */
const good = (probe: Probe): Observation => (isShown(probe) ? LET_IN : REFUSED)
const always = (seen: Observation) => () => seen
const to = (path: string, seen: Observation) => (probe: Probe) =>
  probe.kind === 'request' && probe.path === path ? seen : good(probe)
const labelled = (label: string, seen: Observation) => (probe: Probe) =>
  probe.label === label ? seen : good(probe)

const server = (problem: string | undefined, days: number, lived = 90): Observation => ({
  ...{ kind: 'server', problem },
  notBefore: NOON_SECONDS - lived * DAY,
  notAfter: NOON_SECONDS + days * DAY,
})
const tlsSeen =
  (seen: Observation, old = false) =>
  (probe: Probe): Observation =>
    probe.kind === 'tls'
      ? seen
      : old
        ? flight(undefined)
        : { kind: 'flight', flight: { kind: 'refused', alert: 'protocol version' } }

const ROWS: readonly Row[] = [
  { check: 'name', what: 'it resolves' },
  {
    check: 'name',
    what: 'it does not',
    facts: { addressProblem: 'the name does not resolve' },
    finds: /home\.example: the name does not resolve/,
    hint: /--connect/,
  },
  {
    check: 'name',
    what: '--connect is given',
    facts: { target: { ...factsOf().target, connectHost: '192.0.2.1' } },
    finds: /was not looked up/,
    level: 'unseen',
  },
  { check: 'tls', what: 'only new versions', seen: tlsSeen(server(undefined, 90)) },
  {
    check: 'tls',
    what: 'old ones too',
    seen: tlsSeen(server(undefined, 90), true),
    finds: /TLS 1\.0 and TLS 1\.1/,
    level: 'warning',
  },
  { check: 'tls', what: 'none', seen: tlsSeen(NO_ANSWER), finds: /no TLS connection: no answer/ },
  { check: 'server-certificate', what: 'a good one', seen: tlsSeen(server(undefined, 90)) },
  {
    check: 'server-certificate',
    what: 'one of another name',
    seen: tlsSeen(server('it is for DNS:other.example', 90)),
    finds: /not valid for home\.example: it is for DNS:other/,
    hint: /--server-ca/,
  },
  {
    check: 'server-certificate',
    what: 'one that expires',
    seen: tlsSeen(server(undefined, 3)),
    finds: /expires in 3 days/,
    level: 'warning',
  },
  {
    check: 'server-certificate',
    what: 'one for twelve hours, before it is renewed',
    seen: tlsSeen(server(undefined, 0.17, 0.33)),
  },
  {
    check: 'server-certificate',
    what: 'one for twelve hours that has not been renewed',
    seen: tlsSeen(server(undefined, 0.04, 0.46)),
    finds: /expires in 0 days/,
    level: 'warning',
  },
  {
    check: 'server-certificate',
    what: 'no TLS: reported elsewhere',
    seen: tlsSeen(NO_ANSWER),
    finds: /no TLS connection/,
    level: 'unseen',
  },
  { check: 'plain-http', what: 'closed', seen: always(NO_ANSWER) },
  {
    check: 'plain-http',
    what: 'a redirect',
    seen: always(answer(308, { location: 'https://home.example/' })),
  },
  { check: 'plain-http', what: 'not found', seen: always(answer(404)) },
  {
    check: 'plain-http',
    what: 'the application',
    seen: always(answer(200)),
    finds: /port 80 answers 200/,
  },
  {
    check: 'plain-http',
    what: 'a redirect to itself',
    seen: always(answer(302, { location: 'http://home.example/' })),
    finds: /answers 302, and redirects to http:/,
  },
  { check: 'clock', what: 'right' },
  {
    check: 'clock',
    what: 'no Date',
    facts: first({ nothing: REFUSED }),
    finds: /has no Date/,
    level: 'unseen',
  },
  {
    check: 'clock',
    what: 'wrong',
    facts: first({ atSeconds: NOON_SECONDS - 500 }),
    finds: /differ by 500 s/,
    hint: /NTP/,
  },
  {
    check: 'certificate-request',
    what: 'the CA is named',
    facts: { here: householdHere },
    seen: always(flight([HOUSEHOLD])),
  },
  {
    check: 'certificate-request',
    what: 'another one is named',
    seen: always(flight([HOUSEHOLD, Buffer.from('ff', 'hex')])),
    finds:
      /does not name CN=Household, which is in ca\.crt; it names CN=household, one that cannot be read/,
    hint: /^Caddy: .*|^Caddy reads/,
  },
  {
    check: 'certificate-request',
    what: 'no CA',
    seen: always(flight([])),
    finds: /names no CA/,
    level: 'warning',
  },
  {
    check: 'certificate-request',
    what: 'none requested',
    seen: always(flight(undefined)),
    finds: /does not request/,
  },
  {
    check: 'certificate-request',
    what: 'only TLS 1.3',
    seen: always({ kind: 'flight', flight: { kind: 'refused', alert: 'protocol version' } }),
    finds: /only TLS 1\.3/,
    level: 'unseen',
  },
  {
    check: 'certificate-request',
    what: 'another alert',
    seen: always({ kind: 'flight', flight: { kind: 'refused', alert: 'internal error' } }),
    finds: /cannot be seen: the alert "internal error"/,
    level: 'warning',
  },
  {
    check: 'certificate-request',
    what: 'no TLS',
    seen: always({ kind: 'flight', flight: { kind: 'not TLS' } }),
    finds: /cannot be seen: no handshake/,
    level: 'warning',
  },
  {
    check: 'certificate-request',
    what: 'no answer: reported elsewhere',
    seen: always(NO_ANSWER),
    finds: /handshake is not answered/,
    level: 'unseen',
  },
  {
    check: 'other-names',
    what: 'refused',
    seen: (probe) => (probe.kind === 'hello' ? flight([]) : good(probe)),
  },
  { check: 'other-names', what: 'the handshake is refused', seen: always(NO_ANSWER) },
  {
    check: 'other-names',
    what: 'open',
    seen: always(LET_IN),
    finds: /without a server name, a request without credentials is allowed: 200/,
  },
  {
    check: 'other-names',
    what: 'not requested, and served',
    seen: (probe) => (probe.kind === 'hello' ? flight(undefined) : REFUSED),
    finds: /no certificate is requested, and the host is served/,
    level: 'warning',
  },
  {
    check: 'other-names',
    what: 'not requested, and misdirected',
    seen: (probe) => (probe.kind === 'hello' ? flight(undefined) : answer(421)),
  },
  { check: 'no-credentials', what: 'refused' },
  {
    check: 'no-credentials',
    what: 'allowed',
    seen: always(LET_IN),
    finds: /a request without credentials is allowed \(GET\)/,
    hint: /^Caddy: in route/,
  },
  {
    check: 'no-credentials',
    what: 'allowed, and a rule depends on the network',
    facts: { here: hereOf({}, createPolicy([rule('lan', { from: {} })], [])) },
    seen: always(LET_IN),
    finds: /allowed from here/,
    level: 'warning',
  },
  {
    check: 'no-credentials',
    what: 'a 502',
    seen: always(answer(502)),
    finds: /the proxy answers 502/,
    hint: /proxy's log/,
  },
  {
    check: 'no-credentials',
    what: "the proxy's 404",
    seen: always(answer(404, {}, '404 page not found\n')),
    finds: /does not know this host/,
  },
  {
    check: 'no-credentials',
    what: "the proxy's own 403",
    seen: always(answer(403, {}, '<center>nginx</center>')),
    finds: /is not certlatch's own: 403 from the proxy/,
    level: 'warning',
  },
  {
    check: 'no-credentials',
    what: 'the proxy requires a certificate',
    seen: always({ kind: 'none', problem: 'the TLS alert "certificate required"' }),
    finds: /no answer to a plain request: the TLS alert "certificate required"/,
    hint: /^the proxy must request the certificate, not require it: Caddy: tls \{ client_auth \{ mode request/,
  },
  {
    check: 'no-credentials',
    what: 'no answer',
    seen: always(NO_ANSWER),
    finds: /no answer to a plain request/,
  },
  { check: 'certificate', what: 'allowed' },
  {
    check: 'certificate',
    what: 'refused, correctly',
    facts: {
      hasAccess: false,
      here: hereOf({ certificateDenial: () => DENIAL }),
      ...first({ certificate: REFUSED }),
    },
    finds: /certlatch refuses the certificate: certificate-expired/,
    hint: /renew the certificate/,
  },
  {
    check: 'certificate',
    what: 'refused, although the files allow it',
    facts: { hasAccess: false, ...first({ certificate: REFUSED }) },
    finds: /does not pass it on intact/,
    hint: /^Caddy: header_up Client-Cert/,
  },
  {
    check: 'certificate',
    what: 'refused, because certlatch is configured for another proxy',
    facts: { hasAccess: false, looks: 'traefik', ...first({ certificate: REFUSED }) },
    finds: /does not pass it on intact/,
    hint: /CERTLATCH_PROXY is caddy, and the proxy looks like Traefik: set CERTLATCH_PROXY=traefik/,
  },
  {
    check: 'certificate',
    what: 'the application fails',
    facts: { hasAccess: false, ...first({ certificate: answer(500, {}, 'Oops') }) },
    finds: /the application answers 500/,
  },
  {
    check: 'certificate',
    what: 'the proxy does not reach the application',
    facts: { hasAccess: false, ...first({ certificate: answer(502) }) },
    finds: /is not accepted: 502 from the proxy/,
    hint: /^check whether the application is running, at the address/,
  },
  {
    check: 'certificate',
    what: 'the proxy does not reach certlatch',
    facts: { hasAccess: false, ...first({ certificate: answer(502), nothing: answer(502) }) },
    finds: /is not accepted: 502 from the proxy/,
    hint: /is certlatch serve running/,
  },
  {
    check: 'certificate',
    what: 'the application hangs',
    facts: { hasAccess: false, ...first({ certificate: NO_ANSWER }) },
    finds: /no answer to a request with the certificate: no answer within 3 s/,
  },
  { check: 'session-cookie', what: 'as it was set' },
  {
    check: 'session-cookie',
    what: 'as Traefik writes it',
    facts: first({
      certificate: answer(200, { 'set-cookie': SESSION.replace('HttpOnly', 'httponly') }),
    }),
  },
  {
    check: 'session-cookie',
    what: 'none',
    facts: first({ certificate: answer(200) }),
    finds: /no __Host-certlatch arrives/,
  },
  {
    check: 'session-cookie',
    what: 'twice',
    facts: first({ certificate: answer(200, { 'set-cookie': [SESSION, SESSION] }) }),
    finds: /arrives 2 times/,
  },
  {
    check: 'session-cookie',
    what: 'joined',
    facts: first({ certificate: answer(200, { 'set-cookie': `a=1, ${SESSION}` }) }),
    finds: /merged with another/,
  },
  {
    check: 'session-cookie',
    what: 'without its attributes',
    facts: first({
      certificate: answer(200, { 'set-cookie': '__Host-certlatch=v1.a.b; Path=/; Secure' }),
    }),
    finds: /lost HttpOnly, SameSite=Lax/,
  },
  { check: 'session', what: 'allowed' },
  {
    check: 'session',
    what: 'refused',
    seen: always(REFUSED),
    finds: /session alone is not accepted: 403, refused by certlatch/,
  },
  { check: 'websocket', what: 'open', seen: always(answer(101)) },
  { check: 'websocket', what: 'an application without one', seen: always(answer(404)) },
  {
    check: 'websocket',
    what: 'refused',
    seen: always(REFUSED),
    finds: /WebSocket with only the session is refused/,
  },
  {
    check: 'websocket',
    what: 'Home Assistant without one',
    facts: { isHomeAssistant: true },
    seen: always(answer(400)),
    finds: /WebSocket does not open: 400/,
  },
  { check: 'resumption', what: 'not resumed', seen: always({ ...REFUSED, isResumed: false }) },
  { check: 'resumption', what: 'resumed', seen: always({ ...LET_IN, isResumed: true }) },
  {
    check: 'resumption',
    what: 'forgotten',
    seen: always({ ...REFUSED, isResumed: true }),
    finds: /on a resumed TLSv1\.2 connection the certificate is gone/,
  },
  { check: 'protocols', what: 'alike' },
  {
    check: 'protocols',
    what: 'HTTP/2 is not offered',
    seen: (probe) =>
      (probe as RequestProbe).protocol === 'HTTP/2'
        ? { kind: 'none', problem: 'HTTP/2 is not offered' }
        : good(probe),
    finds: /HTTP\/2 is not offered/,
    level: 'unseen',
  },
  {
    check: 'protocols',
    what: 'the session over only one of them',
    seen: (probe) => {
      const { protocol, shown } = probe as RequestProbe
      return protocol === 'HTTP/2' && shown === 'cookie' ? REFUSED : good(probe)
    },
    finds: /the session: HTTP\/1\.1 gets 200, and HTTP\/2 gets 403/,
    hint: /header_up -Cookie/,
  },
  { check: 'forged-certificate', what: 'refused' },
  {
    check: 'forged-certificate',
    what: 'trusted',
    seen: labelled('X-SSL-Client-Cert (URL-escaped PEM)', LET_IN),
    finds: /X-SSL-Client-Cert \(URL-escaped PEM\) is trusted/,
    hint: /^Caddy: request_header -Client-Cert/,
  },
  {
    check: 'forged-certificate',
    what: 'trusted, because certlatch is configured for another proxy',
    facts: { looks: 'nginx' },
    seen: labelled('Client-Cert (RFC 9440)', LET_IN),
    finds: /is trusted/,
    hint: /set CERTLATCH_PROXY=nginx/,
  },
  { check: 'forged-spelling', what: 'refused' },
  {
    check: 'forged-spelling',
    what: 'a session is given',
    seen: labelled('Client-Cert as a trailer', answer(403, { 'set-cookie': SESSION })),
    finds: /as a trailer is trusted/,
  },
  { check: 'forged-request', what: 'no difference' },
  {
    check: 'forged-request',
    what: 'it reaches certlatch',
    seen: labelled('X-Forwarded-Host', REFUSED),
    finds: /a client's X-Forwarded-Host reaches/,
    hint: /trusted_proxies/,
  },
  {
    check: 'forged-request',
    what: 'an open path is named',
    facts: withHooks(),
    seen: (probe) => (isShown(probe) ? LET_IN : LET_IN),
    finds: /X-Forwarded-Uri reaches/,
  },
  {
    check: 'forged-request',
    what: 'it is needed',
    facts: { hasAccess: false },
    seen: labelled('X-Forwarded-Uri', LET_IN),
    finds: /X-Forwarded-Method, X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Uri reaches/,
  },
  { check: 'forged-address', what: 'refused' },
  {
    check: 'forged-address',
    what: 'trusted',
    seen: labelled('X-Real-Ip', LET_IN),
    finds: /X-Real-Ip is trusted/,
  },
  { check: 'forged-internal', what: 'no difference' },
  {
    check: 'forged-internal',
    what: 'the page is requested',
    seen: labelled('X-Certlatch-Page', REFUSED),
    finds: /X-Certlatch-Page of a client/,
  },
  {
    check: 'forged-internal',
    what: 'a user is trusted',
    seen: labelled('Remote-User', LET_IN),
    finds: /Remote-User of a client/,
  },
  { check: 'aliases', what: 'dropped' },
  {
    check: 'aliases',
    what: 'passed on',
    seen: labelled('Remote_User', REFUSED),
    finds: /passes on Remote_User,/,
    level: 'warning',
  },
  { check: 'other-hosts', what: 'misdirected', seen: always(answer(421)) },
  {
    check: 'other-hosts',
    what: 'redirected',
    seen: always(answer(302, { location: 'https://www.example/' })),
  },
  {
    check: 'other-hosts',
    what: 'served',
    seen: always(LET_IN),
    finds: /Host: certlatch-doctor\.invalid: 200, as if/,
  },
  {
    check: 'rules',
    what: 'as they are written',
    facts: withHooks(),
    seen: (probe) => (isOpen((probe as RequestProbe).path) ? answer(200) : REFUSED),
  },
  {
    check: 'rules',
    what: 'closed',
    facts: withHooks(),
    finds: /the rule hooks makes GET \/api\/webhook\/f+ public, but it is refused/,
  },
  {
    check: 'rules',
    what: 'a similar path is open',
    facts: withHooks(),
    seen: always(answer(404)),
    finds: /\/api\/webhookx can be reached without certlatch: 404/,
  },
  { check: 'detours', what: 'refused', facts: withHooks() },
  { check: 'detours', what: 'normalized', facts: withHooks(), seen: always(answer(301)) },
  {
    check: 'detours',
    what: "the proxy's 400",
    facts: withHooks(),
    seen: always(answer(400, {}, '400 Bad Request')),
  },
  {
    check: 'detours',
    what: "the application's 400",
    facts: withHooks(),
    seen: always(answer(400, {}, '400: Bad Request')),
    finds: /reaches the application without credentials: 400/,
  },
  { check: 'http3', what: 'none', seen: always(NO_ANSWER) },
  {
    check: 'http3',
    what: 'a server',
    seen: always({ kind: 'quic' }),
    finds: /UDP port 443/,
    level: 'warning',
  },
  {
    check: 'http3',
    what: 'offered',
    facts: first({ nothing: answer(403, { 'alt-svc': 'h3=":443"' }) }),
    finds: /Alt-Svc: h3/,
  },
  { check: 'caches', what: 'kept nowhere' },
  {
    check: 'caches',
    what: 'aged',
    facts: first({ nothing: answer(403, { ...REFUSED.headers, age: '4' }) }),
    finds: /comes from a cache \(Age\)/,
  },
  {
    check: 'caches',
    what: 'hit',
    facts: first({ certificate: answer(200, { 'cf-cache-status': 'HIT' }) }),
    finds: /cf-cache-status/,
  },
  {
    check: 'caches',
    what: 'a cacheable refusal',
    facts: first({ nothing: answer(403, { 'x-certlatch': 'refused' }) }),
    finds: /lacks Cache-Control/,
  },
  {
    check: 'caches',
    what: 'a cacheable session',
    facts: first({
      certificate: answer(200, { 'set-cookie': SESSION, 'cache-control': 'public' }),
    }),
    finds: /sets a session may be cached/,
  },
  {
    check: 'pages',
    what: 'there',
    seen: always(answer(200, {}, 'navigator.serviceWorker … home-assistant … <form>')),
  },
  {
    check: 'pages',
    what: 'refused',
    finds: /reset and .*rescue\.js and .*enroll cannot be reached: 403/,
  },
  {
    check: 'pages',
    what: 'the CA is external, so there is no enrollment',
    facts: { here: EXTERNAL },
    seen: pagesWithout(answer(404, {}, 'not found\n')),
  },
  {
    check: 'pages',
    what: 'the CA may be external, and certlatch itself has no enrollment page',
    facts: { here: undefined },
    seen: pagesWithout(answer(404, {}, 'not found\n')),
  },
  {
    check: 'pages',
    what: 'the CA may be external, but the 404 is not from certlatch',
    facts: { here: undefined },
    seen: pagesWithout(answer(404, {}, '404 page not found\n')),
    finds: /^\/\.certlatch\/auth\/enroll cannot be reached: 404 from the proxy/,
  },
  {
    check: 'pages',
    what: 'the CA is built in, and the enrollment page is missing',
    seen: pagesWithout(answer(404, {}, 'not found\n')),
    finds: /^\/\.certlatch\/auth\/enroll cannot be reached: 404/,
  },
  {
    check: 'pages',
    what: 'nothing behind the proxy',
    seen: always(answer(502)),
    finds: /cannot be reached: 502 from the proxy/,
    hint: /CERTLATCH_PAGES_LISTEN to which the proxy/,
  },
  { check: 'inner-paths', what: 'refused' },
  {
    check: 'inner-paths',
    what: 'metrics',
    seen: to('/metrics', answer(200, {}, '# HELP\ncertlatch_x 1\n')),
    finds: /\/metrics of certlatch can be reached/,
    hint: /CERTLATCH_ADMIN_LISTEN/,
  },
  {
    check: 'inner-paths',
    what: 'readyz',
    seen: to('/readyz', answer(200, {}, '{"keySet":1}')),
    finds: /\/readyz/,
  },
  {
    check: 'inner-paths',
    what: 'status',
    seen: to('/status', answer(200, {}, '{"lastHour":1}')),
    finds: /\/status/,
  },
  {
    check: 'inner-paths',
    what: 'verify',
    seen: to('/verify', answer(200, { 'remote-user': '' })),
    finds: /\/verify of/,
    hint: /^Caddy: no reverse_proxy/,
  },
  {
    check: 'inner-paths',
    what: 'a detour',
    seen: to('//verify', answer(403, { 'set-cookie': SESSION })),
    finds: /\/\/verify of/,
  },
  { check: 'trusted-proxy', what: 'known' },
  {
    check: 'trusted-proxy',
    what: 'unknown',
    facts: first({ certificate: answer(400, {}, '400: Bad Request') }),
    finds: /answers 400/,
    hint: /HTTP server/,
  },
  {
    check: 'rescue-module',
    what: 'there',
    facts: first({ certificate: answer(200, {}, 'import("/.certlatch/auth/rescue.js")') }),
  },
  {
    check: 'rescue-module',
    what: 'no page',
    facts: first({ certificate: answer(302) }),
    finds: /did not answer with its page/,
    level: 'unseen',
  },
  {
    check: 'rescue-module',
    what: 'not there',
    finds: /does not have the rescue module/,
    level: 'warning',
    hint: /extra_module_url/,
  },
  { check: 'webhooks', what: 'open', seen: always(answer(200)) },
  {
    check: 'webhooks',
    what: 'from a proxy that is not trusted',
    seen: always(answer(400, {}, '400: Bad Request')),
    finds: /answers 400/,
    level: 'unseen',
  },
  {
    check: 'webhooks',
    what: 'no answer',
    seen: always(NO_ANSWER),
    finds: /a webhook: no answer/,
    level: 'unseen',
  },
  {
    check: 'webhooks',
    what: 'closed',
    finds: /webhooks are refused/,
    level: 'warning',
    hint: /preset: home-assistant/,
  },
  {
    check: 'bypass',
    what: 'unreachable',
    facts: { target: { ...factsOf().target, application: new URL('http://192.0.2.9:8123') } },
    seen: always(NO_ANSWER),
  },
  {
    check: 'bypass',
    what: 'a name that does not resolve',
    facts: { target: { ...factsOf().target, application: new URL('http://ha.invalid:8123') } },
    seen: always({ kind: 'none', problem: 'the name does not resolve' }),
    finds: /^ha\.invalid: the name does not resolve$/,
    level: 'unseen',
  },
  {
    check: 'bypass',
    what: 'only from this machine',
    facts: { target: { ...factsOf().target, application: new URL('http://127.0.0.1:8123') } },
    seen: always(answer(200)),
    finds: /127\.0\.0\.1 is this machine/,
    level: 'unseen',
  },
  {
    check: 'bypass',
    what: 'open',
    facts: { target: { ...factsOf().target, application: new URL('http://192.0.2.9:8123') } },
    seen: always(answer(200)),
    finds: /answers at 192\.0\.2\.9:8123/,
  },
  { check: 'service', what: 'ready' },
  {
    check: 'service',
    what: 'does not run',
    facts: { here: hereOf({ service: undefined, serviceProblem: NOT_RUNNING }) },
    finds: /nothing listens/,
    hint: /is it running/,
  },
  {
    check: 'service',
    what: 'not ready',
    facts: {
      here: hereOf(
        serviceOf({ ready: false, checks: [{ name: 'files', ok: false, detail: 'broken' }] }),
      ),
    },
    finds: /not ready: files: broken/,
  },
  {
    check: 'service',
    what: 'ready with files that it could not load',
    facts: {
      here: hereOf(
        serviceOf({
          checks: [
            { name: 'clock', ok: true, detail: 'plausible' },
            { name: 'files', ok: false, detail: 'the previous files are kept' },
          ],
        }),
      ),
    },
    finds: /^the service is ready, but files: the previous files are kept$/,
    level: 'warning',
    hint: /certlatch status/,
  },
  { check: 'dates', what: 'good' },
  {
    check: 'dates',
    what: 'the CA expires soon',
    facts: {
      here: hereOf(
        serviceOf({ authorities: [{ name: 'CN=A', notAfter: NOON_SECONDS + 5 * DAY }] }),
      ),
    },
    finds: /CN=A expires in 5 days/,
    level: 'warning',
  },
  {
    check: 'dates',
    what: 'the CRL is out of date',
    facts: { here: hereOf(serviceOf({ revocationLists: [{ authority: 'CN=A', nextUpdate: 1 }] })) },
    finds: /CRL of CN=A is out of date/,
  },
  {
    check: 'replicas',
    what: 'agree',
    facts: { here: hereOf({ running: [replica({}), replica({ keySet: 'old' }, false)] }) },
  },
  {
    check: 'replicas',
    what: 'other keys in the files',
    facts: { here: hereOf({ keySet: 'other' }) },
    finds: /other session keys than the files/,
  },
  {
    check: 'replicas',
    what: 'other keys',
    facts: { here: hereOf({ running: [replica({}), replica({ keySet: 'x' })] }) },
    finds: /different session keys/,
  },
  {
    check: 'replicas',
    what: 'other CRLs',
    facts: { here: hereOf({ running: [replica({}), replica({ crlNumber: '2' })] }) },
    finds: /different CRLs/,
  },
  {
    check: 'replicas',
    what: 'another version',
    facts: { here: hereOf({ version: '2.0.0' }) },
    finds: /version 1\.0\.0, this command 2\.0\.0/,
    level: 'warning',
  },
  {
    check: 'replicas',
    what: 'several versions',
    facts: { here: hereOf({ running: [replica({}), replica({ version: '0.9.0' })] }) },
    finds: /different versions/,
    level: 'warning',
  },
  { check: 'proxy-name', what: 'fits' },
  {
    check: 'proxy-name',
    what: 'HAProxy and Caddy use the same header, and the certificate is accepted',
    facts: { looks: 'haproxy' },
  },
  {
    check: 'proxy-name',
    what: 'Caddy names itself, and certlatch expects HAProxy',
    facts: { here: HAPROXY, hasAccess: false, ...first({ certificate: REFUSED }) },
    finds: /does not match/,
    hint: /CERTLATCH_PROXY is haproxy, .* looks like Caddy: set CERTLATCH_PROXY=caddy/,
  },
  {
    check: 'proxy-name',
    what: 'the same, but the files refuse the certificate anyway',
    facts: {
      here: { ...HAPROXY, certificateDenial: () => DENIAL },
      ...first({ certificate: REFUSED }),
    },
  },
  {
    check: 'proxy-name',
    what: 'it does not look like any',
    facts: { looks: undefined },
    finds: /not recognized/,
    level: 'unseen',
  },
  {
    check: 'proxy-name',
    what: 'another one',
    facts: { looks: 'traefik' },
    finds: /does not match/,
    hint: /set CERTLATCH_PROXY=traefik/,
  },
  { check: 'revoked', what: 'at once' },
  {
    check: 'revoked',
    what: 'late',
    facts: { revokedAfterMilliseconds: 2_500 },
    finds: /only after 2\.5 s/,
    level: 'warning',
  },
  {
    check: 'revoked',
    what: 'never',
    facts: { revokedAfterMilliseconds: undefined },
    finds: /still accepted after 5 s/,
  },
]

for (const {
  check: name,
  what,
  facts: changes,
  seen = good,
  finds,
  level = 'failed',
  hint,
} of ROWS) {
  test(`${name}, ${what}: ${finds === undefined ? 'no finding' : level}`, () => {
    const check = checkNamed(name)
    const facts = factsOf(changes)
    const findings = [check.judge(facts, askedOf(check, facts, seen)) ?? []].flat()
    if (finds === undefined) {
      assert.deepEqual(findings, [])
      return
    }
    const [found, ...more] = findings
    assert.deepEqual(more, [])
    assert.match(found?.text ?? '', finds)
    assert.equal(found?.level, level)
    if (hint !== undefined) assert.match(found && 'hint' in found ? (found.hint ?? '') : '', hint)
  })
}

test('No check has the name of a group', () => {
  assert.deepEqual(
    CHECKS.filter(({ name }) => name in GROUPS),
    [],
  )
})

test('Every check is tested both passing and failing', () => {
  const shown = (isWrong: boolean) =>
    new Set(ROWS.filter(({ finds }) => (finds !== undefined) === isWrong).map(({ check }) => check))
  const names = CHECKS.map(({ name }) => name).sort()
  assert.deepEqual([...shown(true)].sort(), names)
  assert.deepEqual([...shown(false)].sort(), names)
  assert.equal(new Set(names).size, names.length)
})
