import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CADDY } from './support/proxies.ts'
import { type Mutation, testProxy, type Unshown, withGate, without } from './support/run.ts'
import { pause } from './support/tools.ts'

const FILE = 'Caddyfile'
const OPENS = 'a good certificate is accepted and answered'
const NOT_OPEN = /opens: expected 200, got/
const LEAKS = 'certificate, secret and session never reach'
const HANDED_ON = "a client's certificate headers"
const NAMED = 'certlatch learns which proxy'
const IDENTITY = 'the application learns the user'

const MUTATIONS: readonly Mutation[] = [
  {
    ...without(FILE, 'grace_period 5s'),
    shows: 'a restart or reload ends',
    because: /ended in time/,
  },
  {
    ...without(FILE, 'protocols h1 h2'),
    shows: 'nothing is served over HTTP/3',
    because: /no (Alt-Svc|UDP port)/,
  },
  {
    file: FILE,
    text: 'mode request',
    // The default where a trust pool is given: without a certificate there is no HTTP at all.
    becomes: 'mode require_and_verify',
    shows: 'without certificate and session',
    because: /alert|reset|hang up|disconnected/i,
  },
  {
    ...without(FILE, 'trust_pool file'),
    shows: 'a browser is told',
    because: /offered/,
  },
  {
    ...without(FILE, 'method GET\n\t\t\trewrite'),
    becomes: 'rewrite',
    shows: 'an upload of 20 MB',
    because: /every byte of it|opens|socket|reset/i,
  },
  { ...without(FILE, 'rewrite /verify?'), shows: OPENS, because: NOT_OPEN },
  {
    ...without(FILE, 'header_up Client-Cert :{http.request.tls.client.certificate_der_base64}:'),
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    file: FILE,
    text: 'request_header -Client-Cert\n',
    becomes: '# request_header -Client-Cert\n',
    shows: HANDED_ON,
    because: /no certificate for the application/,
  },
  {
    ...without(FILE, 'request_header -Client-Cert-Chain'),
    shows: HANDED_ON,
    because: /no certificate for the application/,
  },
  {
    file: FILE,
    text: 'request_header -X-Forwarded-Tls-Client-Cert\n',
    becomes: '# request_header -X-Forwarded-Tls-Client-Cert\n',
    shows: HANDED_ON,
    because: NOT_OPEN,
  },
  {
    ...without(FILE, 'request_header -X-Forwarded-Tls-Client-Cert-Info'),
    shows: HANDED_ON,
    because: /no certificate for the application/,
  },
  {
    ...without(FILE, 'request_header -X-SSL-Client-Cert'),
    shows: HANDED_ON,
    because: NOT_OPEN,
  },
  {
    ...without(FILE, 'request_header -X-Certlatch-*'),
    shows: NAMED,
    because: /no name of the proxy for the application/,
  },
  {
    ...without(FILE, 'header_up X-Certlatch-Proxy caddy'),
    shows: NAMED,
    because: /the name of the proxy/,
  },
  {
    file: FILE,
    text: 'header_up X-Certlatch-Proxy caddy',
    becomes: 'header_up X-Certlatch-Proxy caddy\n\t\t\theader_up -X-Certlatch-*',
    shows: NAMED,
    because: /opens|the name of the proxy/,
  },
  {
    file: FILE,
    text: '# header_up X-Certlatch-Proxy-Secret the-value-of-CERTLATCH_PROXY_SECRET',
    becomes: '# # header_up X-Certlatch-Proxy-Secret the-value-of-CERTLATCH_PROXY_SECRET',
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    ...without(FILE, 'header_up X-Forwarded-Method {method}'),
    shows: "a client's X-Forwarded-Method",
    because: /OPTIONS/,
  },
  {
    ...without(FILE, 'header_up X-Forwarded-Uri {uri}'),
    shows: "a client's X-Forwarded-Method",
    because: /certlatch is told what is handed on/,
  },
  {
    ...without(FILE, 'response_header_timeout 5s'),
    shows: 'certlatch silent',
    because: /silent: an answer comes/,
  },
  { ...without(FILE, 'user {rp.header.Remote-User}'), shows: IDENTITY, because: /the user/ },
  {
    ...without(FILE, 'device {rp.header.X-Certlatch-Device}'),
    shows: IDENTITY,
    because: /the device/,
  },
  { ...without(FILE, 'via {rp.header.X-Certlatch-Via}'), shows: IDENTITY, because: /certificate/ },
  {
    file: FILE,
    text: 'copy_response_headers {\n\t\t\t\t\tinclude Set-Cookie\n\t\t\t\t}',
    becomes: '',
    shows: "the session is delivered beside the application's cookies, with a 200",
    because: /set once, not 0/,
  },
  {
    ...without(FILE, 'header_up Cookie "(^|;)'),
    shows: LEAKS,
    because: /nothing leaks[\s\S]*Cookie/i,
  },
  {
    ...without(FILE, 'header_up Cookie "^[; \\t]+" ""'),
    shows: LEAKS,
    because: /its own cookies/,
  },
  { ...without(FILE, 'header_up Remote-User'), shows: IDENTITY, because: /the user/ },
  { ...without(FILE, 'header_up X-Certlatch-Device'), shows: IDENTITY, because: /the device/ },
  { ...without(FILE, 'header_up X-Certlatch-Via'), shows: IDENTITY, because: /certificate/ },
  {
    file: FILE,
    text: '@pages path /.certlatch/auth/*',
    becomes: '@pages path /.certlatch/auth/reset',
    shows: "certlatch's own pages pass",
    because: /rescue\.js: expected 200, got 403/,
  },
  {
    ...without(FILE, 'header_up -Authorization'),
    shows: 'a page is requested without',
    because: /no login goes with it/,
  },
  {
    file: FILE,
    text: 'request_header -Client-Cert\n',
    becomes: '# request_header -Client-Cert\n',
    shows: HANDED_ON,
    because: /no certificate for the application/,
  },
]

const STRUCTURE = 'Its contents are tested.'

const UNSHOWN: readonly Unshown[] = [
  {
    file: FILE,
    text: '@preflight {\n\t\t\tmethod OPTIONS\n\t\t\theader Access-Control-Request-Method *\n\t\t}\n\t\trequest_header @preflight -Upgrade\n\t\trequest_body @preflight {\n\t\t\tset {vars.nothing}',
    reason: 'Matters for preflights with a body or an upgrade: see preflights.e2e.ts.',
  },
  {
    file: FILE,
    text: 'rewrite /verify?\n\t\t\theader_up X-Certlatch-Proxy caddy\n\t\t\theader_up Client-Cert :',
    reason: 'The mutations above change these lines here too.',
  },
  {
    file: FILE,
    text: 'reverse_proxy @pages 127.0.0.1:9182 { # <--\n\t\t\theader_up X-Certlatch-Proxy caddy\n\t\t\theader_up Client-Cert :{http.request.tls.client.certificate_der_base64}:',
    reason: 'As for the auth request.',
  },
  { file: FILE, text: 'servers {', reason: STRUCTURE },
  { file: FILE, text: 'home.example {', reason: 'Without an address there is no site.' },
  { file: FILE, text: 'tls {\n\t\tclient_auth {', reason: STRUCTURE },
  {
    file: FILE,
    text: 'route {',
    reason: 'Two reverse_proxy stand in the order written anyway; any directive added may not.',
  },
  { file: FILE, text: 'reverse_proxy 127.0.0.1:9180 {', reason: STRUCTURE },
  {
    file: FILE,
    text: 'header_up -Connection\n\t\t\theader_up -Upgrade',
    reason: 'certlatch answers an upgrade like any request; other services would wait forever.',
  },
  {
    file: FILE,
    text: 'transport http {\n\t\t\t\tdial_timeout 2s',
    reason: 'A refused connection fails at once; only an address that swallows packets shows it.',
  },
  {
    file: FILE,
    text: '@allowed status 200\n\t\t\thandle_response @allowed {\n\t\t\t\tvars {',
    reason: 'Without it every answer, the good one too, goes to the client.',
  },
  { file: FILE, text: 'reverse_proxy 127.0.0.1:8123 {', reason: STRUCTURE },
  {
    file: FILE,
    text: 'stream_timeout 12h',
    reason: 'Half a day is too long for a test; the one below uses two seconds.',
  },
]

const world = testProxy(CADDY, MUTATIONS, UNSHOWN)

test('stream_timeout ends a busy WebSocket', async () => {
  const shorter = { file: FILE, text: 'stream_timeout 12h', becomes: 'stream_timeout 2s' }
  await withGate(world(), [shorter], async (gate) => {
    const socket = await gate.openSocket({ cookie: await gate.session('ada') })
    const busy = setInterval(() => socket.echo('still here').catch(() => undefined), 200)
    const ended = await Promise.race([socket.closed.then(() => true), pause(4_000)])
    clearInterval(busy)
    assert.equal(ended, true, 'ended in time')
  })
})
