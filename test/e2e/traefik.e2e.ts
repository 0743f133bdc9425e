import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startGate } from './support/gate.ts'
import { TRAEFIK } from './support/proxies.ts'
import { type Mutation, testProxy, type Unshown, without } from './support/run.ts'

const STATIC = 'traefik.yml'
const DYNAMIC = 'dynamic.yml'

/** Behind another proxy, entry points that believe it let a client's own X-Forwarded-… in. */
const BELIEVING = [
  {
    file: STATIC,
    text: '    http:\n',
    becomes: '    forwardedHeaders: { insecure: true }\n    http:\n',
  },
]
const OPENS = 'a good certificate is accepted and answered'
const NOT_OPEN = /opens: expected 200, got 403/
const LEAKS = 'certificate, secret and session never reach'
const HANDED_ON = "a client's certificate headers"
const NAMED = 'certlatch learns which proxy'
const PAGES_PASS = "certlatch's own pages pass"
const IDENTITY = 'the application learns the user'

const MUTATIONS: readonly Mutation[] = [
  {
    file: STATIC,
    text: 'address: ":443"',
    becomes: 'http3: {}\n    address: ":443"',
    shows: 'nothing is served over HTTP/3',
    because: /no (Alt-Svc|UDP port)/,
  },
  {
    file: STATIC,
    text: 'aliasHeadersStrategy: delete',
    becomes: 'aliasHeadersStrategy: keep',
    shows: 'Remote_User of a client',
    because: NOT_OPEN,
  },
  {
    file: STATIC,
    text: 'readTimeout: 0 ',
    // The default of 60 s does the same, later.
    becomes: 'readTimeout: 2s ',
    shows: 'an upload that pauses',
    because: /upload: expected 200/,
  },
  {
    file: STATIC,
    text: 'graceTimeOut: 1s ',
    becomes: 'graceTimeOut: 10s ',
    shows: 'a restart or reload ends',
    because: /ended in time/,
  },
  {
    file: DYNAMIC,
    text: '    default: ',
    becomes: '    household: ',
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    file: DYNAMIC,
    text: 'clientAuthType: RequestClientCert',
    becomes: 'clientAuthType: NoClientCert',
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    ...without(DYNAMIC, 'caFiles: [/var/lib/certlatch/public/ca.crt]'),
    becomes: '# caFiles: [/var/lib/certlatch/public/ca.crt]',
    shows: 'a browser is told',
    because: /offered/,
  },
  {
    ...without(DYNAMIC, 'X-Forwarded-Tls-Client-Cert: ""'),
    under: BELIEVING,
    shows: 'a good certificate in a header of any proxy',
    because: /refused: expected 403, got 200/,
  },
  {
    ...without(DYNAMIC, 'X-Forwarded-Tls-Client-Cert-Info: ""'),
    under: BELIEVING,
    shows: HANDED_ON,
    because: /no certificate for the application/,
  },
  {
    file: DYNAMIC,
    text: '\n          Client-Cert: ""',
    becomes: '',
    shows: HANDED_ON,
    because: NOT_OPEN,
  },
  {
    ...without(DYNAMIC, 'Client-Cert-Chain: ""'),
    shows: HANDED_ON,
    because: /no certificate for the application/,
  },
  { ...without(DYNAMIC, 'X-SSL-Client-Cert: ""'), shows: HANDED_ON, because: NOT_OPEN },
  {
    ...without(DYNAMIC, 'X-Certlatch-Proxy: traefik'),
    shows: NAMED,
    because: /the name of the proxy/,
  },
  {
    ...without(DYNAMIC, '- X-Certlatch-Proxy\n'),
    shows: NAMED,
    because: /no name of the proxy for the application/,
  },
  {
    ...without(STATIC, 'maxHeaderBytes: 32768'),
    shows: 'headers that are too many',
    because: /at the proxy/,
  },
  {
    ...without(DYNAMIC, 'X-Forwarded-Method: ""'),
    under: BELIEVING,
    shows: "a client's X-Forwarded-Method",
    because: /OPTIONS/,
  },
  {
    ...without(DYNAMIC, 'X-Forwarded-Uri: ""'),
    under: BELIEVING,
    shows: "a client's X-Forwarded-Method",
    because: /certlatch is told what is handed on/,
  },
  {
    file: DYNAMIC,
    text: '# X-Certlatch-Proxy-Secret: the-value-of-CERTLATCH_PROXY_SECRET',
    becomes: '# # X-Certlatch-Proxy-Secret: the-value-of-CERTLATCH_PROXY_SECRET',
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    file: DYNAMIC,
    text: 'pem: true',
    becomes: 'pem: false',
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    file: DYNAMIC,
    text: 'trustForwardHeader: true',
    becomes: 'trustForwardHeader: false',
    shows: OPENS,
    because: NOT_OPEN,
  },
  { ...without(DYNAMIC, '- Remote-User\n'), shows: IDENTITY, because: /the user/ },
  { ...without(DYNAMIC, '- X-Certlatch-Device\n'), shows: IDENTITY, because: /the device/ },
  { ...without(DYNAMIC, '- X-Certlatch-Via\n'), shows: IDENTITY, because: /certificate/ },
  { ...without(DYNAMIC, '- Cookie\n'), shows: LEAKS, because: /nothing leaks[\s\S]*Cookie/i },
  {
    ...without(DYNAMIC, '- X-Forwarded-Tls-Client-Cert\n'),
    shows: LEAKS,
    because: /nothing leaks[\s\S]*X-Forwarded-Tls-Client-Cert/i,
  },
  {
    ...without(DYNAMIC, '- X-Certlatch-Proxy-Secret\n'),
    shows: LEAKS,
    because: /nothing leaks[\s\S]*X-Certlatch-Proxy-Secret/i,
  },
  {
    ...without(DYNAMIC, 'addAuthCookiesToResponse: [__Host-certlatch]'),
    shows: "the session is delivered beside the application's cookies, with a 200",
    because: /set once, not 0/,
  },
  {
    file: DYNAMIC,
    text: 'rule: Host(`home.example`) ',
    becomes: 'rule: HostRegexp(`.+`) ',
    shows: 'another host name',
    because: /closed/,
  },
  {
    file: DYNAMIC,
    text: 'middlewares: [from-client, client-certificate, certlatch]',
    becomes: 'middlewares: [from-client, certlatch, client-certificate]',
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    file: DYNAMIC,
    text: 'middlewares: [from-client, client-certificate, certlatch]',
    becomes: 'middlewares: [client-certificate, from-client, certlatch]',
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    file: DYNAMIC,
    text: 'middlewares: [from-client, client-certificate, certlatch]',
    becomes: 'middlewares: [from-client, client-certificate]',
    shows: 'without certificate and session',
    because: /refused: expected 403, got 200/,
  },
  {
    file: DYNAMIC,
    text: 'PathPrefix(`/.certlatch/auth/`)',
    becomes: 'Path(`/.certlatch/auth/reset`)',
    shows: PAGES_PASS,
    because: /rescue\.js: expected 200, got 403/,
  },
  {
    ...without(DYNAMIC, 'priority: 1000000'),
    shows: PAGES_PASS,
    because: /reset: expected 200, got 403/,
  },
  {
    file: DYNAMIC,
    text: 'Authorization: ""',
    becomes: 'X-Unused: ""',
    shows: 'a page is requested without',
    because: /no login goes with it/,
  },
  {
    file: DYNAMIC,
    text: 'middlewares: [from-client, for-pages, client-certificate]',
    becomes: 'middlewares: [for-pages, client-certificate]',
    shows: PAGES_PASS,
    because: /reset: expected 200, got 403/,
  },
  {
    file: DYNAMIC,
    text: 'middlewares: [from-client, for-pages, client-certificate]',
    becomes: 'middlewares: [from-client, for-pages]',
    shows: 'a judged page is judged',
    because: /expected 204, got 403/,
  },
]

const PAGE_ROUTE = `certlatch-pages:
      rule: Host(\`home.example\`) && PathPrefix(\`/.certlatch/auth/\`)`

const STRUCTURE = 'Without it there is no route, and Traefik answers 404 or nothing.'

const UNSHOWN: readonly Unshown[] = [
  {
    file: DYNAMIC,
    text: "for-pages:                                   # the application's login is not for certlatch\n      headers:\n        customRequestHeaders:",
    reason: 'As its line.',
  },
  { file: STATIC, text: 'global: ', reason: 'It keeps Traefik from asking for newer versions.' },
  { file: STATIC, text: 'entryPoints:\n  websecure:', reason: STRUCTURE },
  { file: STATIC, text: '    http:\n      tls: {}', reason: 'Without it there is no TLS at all.' },
  { file: STATIC, text: 'transport:\n      respondingTimeouts:', reason: 'As readTimeout.' },
  { file: STATIC, text: 'lifeCycle:', reason: 'As graceTimeOut.' },
  { file: STATIC, text: 'providers:\n  file:\n    filename:', reason: STRUCTURE },
  { file: STATIC, text: 'watch: true', reason: 'The default; written out for readers.' },
  {
    file: DYNAMIC,
    text: 'tls:\n  certificates:\n    - certFile: /etc/traefik/server.crt          # <--\n      keyFile',
    reason: 'Without it Traefik shows a certificate of its own that no client accepts.',
  },
  { file: DYNAMIC, text: '  options:\n', reason: 'As "default".' },
  { file: DYNAMIC, text: 'clientAuth:', reason: 'As clientAuthType.' },
  {
    file: DYNAMIC,
    text: 'http:\n  middlewares:\n    from-client: ',
    reason: 'Without a middleware that it names a route is not there.',
  },
  { file: DYNAMIC, text: 'headers:\n        customRequestHeaders:', reason: 'As its lines.' },
  {
    file: DYNAMIC,
    text: 'Remote-User: ""',
    reason: 'authResponseHeaders takes it too; here for routes that do not ask certlatch.',
  },
  {
    file: DYNAMIC,
    text: 'X-Certlatch-Page: ""',
    reason: 'certlatch reads it only under nginx; here so that no client can ever send it.',
  },
  { file: DYNAMIC, text: 'client-certificate:\n      passTLSClientCert:', reason: 'As "pem".' },
  {
    file: DYNAMIC,
    text: 'certlatch:\n      forwardAuth:\n        address:',
    reason: 'Without a middleware that it names a route is not there.',
  },
  { file: DYNAMIC, text: 'authResponseHeaders:\n', reason: 'As its lines.' },
  {
    file: DYNAMIC,
    text: 'maxResponseBodySize',
    reason: "Only a warning in Traefik's log reports that it is missing.",
  },
  { file: DYNAMIC, text: 'routers:\n    homeassistant:', reason: STRUCTURE },
  { file: DYNAMIC, text: PAGE_ROUTE, reason: 'Its parts are shown.' },
  {
    file: DYNAMIC,
    text: 'longer\n      entryPoints: [websecure]',
    reason: 'As at the other route.',
  },
  {
    file: DYNAMIC,
    text: '      service: certlatch-pages\n',
    reason: STRUCTURE,
  },
  {
    file: DYNAMIC,
    text: 'for-pages:                                   # the login of the application is not for certlatch\n      headers:\n        customRequestHeaders:',
    reason: 'Without a middleware that it names a route is not there.',
  },
  {
    file: DYNAMIC,
    text: `    certlatch-pages:
      loadBalancer:
        servers:
          - url: http://127.0.0.1:9182`,
    reason: STRUCTURE,
  },
  {
    file: DYNAMIC,
    text: 'entryPoints: [websecure]',
    reason: 'The only entry point; it keeps the route off any that is added.',
  },
  { file: DYNAMIC, text: '      service: homeassistant\n', reason: STRUCTURE },
  {
    file: DYNAMIC,
    text: '  services:\n    homeassistant:\n      loadBalancer:\n        servers:\n          - url:',
    reason: STRUCTURE,
  },
]

const world = testProxy(TRAEFIK, MUTATIONS, UNSHOWN)

test('Without the CA file nothing is served at all: certlatch has to start first', async () => {
  const text = 'caFiles: [/var/lib/certlatch/public/ca.crt]'
  // The place that is filled in has to be there: in a comment.
  const becomes = 'caFiles: [/nowhere/ca.crt] # /var/lib/certlatch/public/ca.crt'
  const missing = { file: DYNAMIC, text, becomes }
  await assert.rejects(
    startGate(world(), [missing], 2_000),
    /did not start[\s\S]*invalid certificate\(s\) content/,
  )
})
