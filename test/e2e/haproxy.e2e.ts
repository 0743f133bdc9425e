import assert from 'node:assert/strict'
import { test } from 'node:test'
import { trailersSeen } from './contract/hostile-requests.ts'
import { HAPROXY } from './support/proxies.ts'
import { type Mutation, testProxy, type Unshown, withGate, without } from './support/run.ts'

const FILE = 'haproxy.cfg'
const LUA = 'certlatch.lua'

const OPENS = 'a good certificate is accepted and answered'
const NOT_OPEN = /opens: expected 200, got/
const LEAKS = 'certificate, secret and session never reach'
const IDENTITY = 'the application learns the user'
const PAGES_PASS = "certlatch's own pages pass"
const FORGED = "a client's X-Forwarded-Method"
const FORGED_ORIGIN = "a client's X-Forwarded-Host"
const HANDED_ON = "a client's certificate headers"
const NAMED = 'certlatch learns which proxy'
const TOO_LONG = 'headers that are too many'
const HANDSHAKE_FAILS = /alert|reset|hang up|disconnected/i

const MUTATIONS: readonly Mutation[] = [
  {
    ...without(FILE, 'hard-stop-after 5s'),
    shows: 'a restart or reload ends',
    because: /ended in time/,
  },
  {
    file: FILE,
    text: 'verify optional',
    becomes: 'verify none',
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    file: FILE,
    text: 'crt-ignore-err all ',
    becomes: '',
    shows: 'a certificate that is bad (expired)',
    because: HANDSHAKE_FAILS,
  },
  {
    file: FILE,
    text: 'alpn h2,http/1.1',
    becomes: 'alpn http/1.1',
    shows: OPENS,
    protocol: 'HTTP/2',
    because: /HTTP\/2 is not offered|protocol/i,
  },
  {
    ...without(FILE, 'http-request deny deny_status 421'),
    shows: 'another host name',
    because: /closed/,
  },
  {
    ...without(FILE, 'http-request del-header [^A-Za-z0-9-] -m reg'),
    shows: 'Remote_User of a client',
    because: NOT_OPEN,
  },
  {
    file: FILE,
    text: 'req.fhdr(host),lower,regsub(:[0-9]+$,)',
    becomes: 'req.hdr(host),field(1,:),lower',
    under: [{ file: FILE, text: '%[req.fhdr(host)]', becomes: '%[req.hdr(host)]' }],
    shows: 'of several hosts',
    because: /no other host/,
  },
  {
    file: FILE,
    text: 'tune.bufsize 98304\n  tune.maxrewrite 40960\n',
    becomes: '',
    shows: TOO_LONG,
    because: /no 5xx/,
  },
  {
    ...without(FILE, 'http-request return status 431'),
    under: [without(FILE, 'tune.http.maxhdr 1024')],
    shows: TOO_LONG,
    because: /there is an answer|ECONN/,
  },
  { ...without(FILE, 'http-request return status 414'), shows: TOO_LONG, because: /no 5xx/ },
  {
    ...without(FILE, 'http-request set-uri %[pathq]'),
    shows: 'the application is requested by path',
    because: /home\.example\/a/,
  },
  {
    ...without(FILE, 'http-request del-header client-cert\n'),
    becomes: '\n',
    shows: 'a good certificate in a header of any proxy',
    because: /refused: expected 403, got 200/,
  },
  {
    ...without(FILE, 'http-request del-header client-cert-chain'),
    shows: HANDED_ON,
    because: /no certificate for the application/,
  },
  {
    ...without(FILE, 'http-request del-header x-ssl-client-cert'),
    shows: HANDED_ON,
    because: NOT_OPEN,
  },
  {
    ...without(FILE, 'http-request set-header X-Certlatch-Proxy haproxy'),
    shows: NAMED,
    because: /the name of the proxy/,
  },
  {
    ...without(FILE, 'http-request del-header x-certlatch-proxy unless page'),
    shows: NAMED,
    because: /no name of the proxy for the application/,
  },
  {
    ...without(FILE, 'http-request set-header Client-Cert :: if'),
    shows: 'a certificate that is bad (large)',
    because: /refused: expected 403, got 200/,
  },
  {
    ...without(FILE, 'http-request set-header Client-Cert :%[ssl_c_der,base64]:'),
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    file: FILE,
    text: 'if { ssl_c_used }\n  http-request set-header Client-Cert :%[ssl_c_der,base64]: if {',
    becomes:
      'if { ssl_c_used } { ssl_c_verify 0 }\n  http-request set-header Client-Cert :%[ssl_c_der,base64]: if { ssl_c_verify 0 } {',
    shows: 'a certificate that is bad (expired)',
    because: /refused: expected 403, got 200/,
  },
  {
    ...without(FILE, 'http-request set-header X-Forwarded-Method %[method]'),
    shows: FORGED,
    because: NOT_OPEN,
  },
  {
    ...without(FILE, 'http-request set-header X-Forwarded-Proto https'),
    shows: FORGED_ORIGIN,
    because: NOT_OPEN,
  },
  {
    ...without(FILE, 'http-request set-header X-Forwarded-Host %[req.fhdr(host)]'),
    shows: FORGED_ORIGIN,
    because: NOT_OPEN,
  },
  {
    ...without(FILE, 'http-request set-header X-Forwarded-Uri %[pathq]'),
    shows: FORGED,
    because: NOT_OPEN,
  },
  {
    ...without(FILE, 'http-request set-header X-Forwarded-For %[src]'),
    shows: FORGED_ORIGIN,
    because: /X-Forwarded-for is sent once/,
  },
  { ...without(FILE, 'http-request lua.certlatch'), shows: OPENS, because: NOT_OPEN },
  {
    file: FILE,
    text: 'path_beg /.certlatch/auth/',
    becomes: 'path /.certlatch/auth/reset',
    shows: PAGES_PASS,
    because: /rescue\.js: expected 200, got 403/,
  },
  {
    file: FILE,
    text: 'lua.certlatch unless page',
    becomes: 'lua.certlatch',
    shows: PAGES_PASS,
    because: /reset: expected 200, got 403/,
  },
  {
    file: FILE,
    text: ' || page   # also: no answer',
    becomes: '',
    shows: PAGES_PASS,
    because: /reset: expected 200, got 503/,
  },
  {
    ...without(FILE, 'use_backend certlatch-pages if page'),
    shows: PAGES_PASS,
    because: /the application saw nothing/,
  },
  {
    ...without(FILE, 'http-request del-header authorization if page'),
    shows: 'a page is requested without',
    because: /no login goes with it/,
  },
  {
    ...without(FILE, 'http-request deny deny_status 503'),
    shows: 'certlatch down',
    because: /closed: the application saw nothing/,
  },
  {
    ...without(FILE, 'http-request del-header client-cert unless page'),
    shows: LEAKS,
    because: /nothing leaks[\s\S]*client-cert/i,
  },
  {
    ...without(FILE, 'http-response add-header Set-Cookie'),
    shows: "the session is delivered beside the application's cookies, with a 404",
    because: /set once, not 0/,
  },
  {
    ...without(FILE, 'timeout server 5s'),
    shows: 'certlatch silent',
    because: /silent: an answer comes/,
  },
  {
    file: FILE,
    text: '# http-request set-header X-Certlatch-Proxy-Secret the-value-of-CERTLATCH_PROXY_SECRET',
    becomes:
      '# # http-request set-header X-Certlatch-Proxy-Secret the-value-of-CERTLATCH_PROXY_SECRET',
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    ...without(LUA, 'remove_session(txn.http, cookies)'),
    shows: LEAKS,
    because: /nothing leaks[\s\S]*cookie/i,
  },
  {
    ...without(LUA, 'if value and value'),
    becomes: 'if false and value',
    shows: IDENTITY,
    because: /the user/,
  },
  {
    file: LUA,
    text: 'if answer.status == 200 then',
    becomes: 'if answer.status then',
    shows: 'without certificate and session',
    because: /refused: expected 403, got 200/,
  },
]

const STRUCTURE = 'Without it HAProxy does not start, or serves nothing.'

const UNSHOWN: readonly Unshown[] = [
  {
    file: FILE,
    text: 'acl preflight req.hdr(access-control-request-method) -m found\n  acl bare req.body_size eq 0\n  http-request wait-for-body time 2s if METH_OPTIONS preflight\n  http-request deny deny_status 403 if METH_OPTIONS preflight !bare',
    reason: 'Matters for preflights with a body or an upgrade: see preflights.e2e.ts.',
  },
  { file: FILE, text: 'global\n  user haproxy\n  group haproxy\n  lua-load', reason: STRUCTURE },
  {
    file: FILE,
    text: 'stats socket',
    reason: 'For what ends open streams after a revocation: devices.e2e.ts shows it.',
  },
  {
    file: FILE,
    text: 'defaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n  timeout http-request 10s\n',
    reason: 'HAProxy warns without them: slow connections would be kept forever.',
  },
  {
    file: FILE,
    text: 'timeout tunnel 1h',
    reason: 'Without it a WebSocket ends after 60 s of silence, longer than a test should take.',
  },
  { file: FILE, text: 'frontend home\n', reason: STRUCTURE },
  {
    file: FILE,
    text: 'http-request del-header remote-       -m beg',
    reason: 'The action takes the one that certlatch sets; here for Remote-Groups and the like.',
  },
  {
    file: FILE,
    text: 'http-request del-header x-certlatch-  -m beg',
    reason: 'certlatch reads X-Certlatch-Page only under nginx, and the secret is overwritten.',
  },
  {
    file: FILE,
    text: 'http-request del-header x-forwarded-  -m beg',
    reason: 'Those that are read are overwritten; here for -Prefix, -Port and the like.',
  },
  {
    file: FILE,
    text: 'http-request del-header x-forwarded-tls-client-cert\n  http-request del-header x-forwarded-tls-client-cert-info',
    reason: 'The prefix takes them too; spelled out so that no change of that lets them in.',
  },
  {
    file: FILE,
    text: 'tune.http.maxhdr 1024',
    reason: 'Without it more than a hundred headers are a 400, not a 431.',
  },
  { file: FILE, text: 'default_backend homeassistant', reason: STRUCTURE },
  { file: FILE, text: 'listen certlatch\n  bind unix@', reason: STRUCTURE },
  {
    file: FILE,
    text: 'retries 1\n  retry-on conn-failure empty-response',
    reason: 'A restart of certlatch that meets a kept connection: a race that no test should run.',
  },
  { file: FILE, text: 'server certlatch 127.0.0.1:9180', reason: STRUCTURE },
  { file: FILE, text: 'backend certlatch-pages\n', reason: STRUCTURE },
  { file: FILE, text: 'server certlatch 127.0.0.1:9182', reason: STRUCTURE },
  {
    file: FILE,
    text: 'timeout server 15s',
    reason: 'As that of 60 s; a claim takes the lock of the data directory, which may take ten.',
  },
  {
    file: FILE,
    text: 'backend homeassistant\n  server homeassistant 127.0.0.1:8123',
    reason: STRUCTURE,
  },
]

const world = testProxy(HAPROXY, MUTATIONS, UNSHOWN)

test("A client's trailers do reach the application, as SECURITY.md says", async () => {
  await withGate(world(), [], async (gate) => {
    assert.deepEqual(await trailersSeen(gate), [['remote-user', 'admin']])
  })
})

test('A WebSocket that another site opens over HTTP/2 is refused: it has no key (RFC 8441)', async () => {
  await withGate(world(), [], async (gate) => {
    const { status } = await gate.send({
      protocol: 'HTTP/2',
      method: 'CONNECT',
      path: '/api/websocket',
      credential: 'ada',
      headers: [
        [':protocol', 'websocket'],
        ['Sec-WebSocket-Version', '13'],
        ['Origin', 'https://elsewhere.example'],
        ['Sec-Fetch-Site', 'cross-site'],
        ['Sec-Fetch-Mode', 'websocket'],
      ],
    })
    assert.equal(status, 403)
  })
})
