import { NGINX } from './support/proxies.ts'
import { type Mutation, testProxy, type Unshown, without } from './support/run.ts'

const MAIN = 'nginx.conf'
const HTTP = 'http.conf'
const SERVER = 'server.conf'
const ASK = 'ask.conf'
const PROTECT = 'protect.conf'
const PAGE = 'page.conf'

const OPENS = 'a good certificate is accepted and answered'
const NOT_OPEN = /opens: expected 200, got/
const LEAKS = 'certificate, secret and session never reach'
const IDENTITY = 'the application learns the user'
const FORGED = "a client's X-Forwarded-Method"
const FORGED_ORIGIN = "a client's X-Forwarded-Host"
const HANDED_ON = "a client's certificate headers"
const NAMED = 'certlatch learns which proxy'
const SOCKET = 'a WebSocket opens with a session'
const DELIVERED = "the session is delivered beside the application's cookies, with a 404"
const THOUSAND = '1,000 requests'

const PLACES = `  internal;
  include /etc/nginx/certlatch/ask.conf;
`

const DEFAULT_SERVER = `  server {
    listen 443 ssl http2 default_server;   # <--
    ssl_reject_handshake on;
    return 421;
  }
`

const PAGES_PASS = "certlatch's own pages pass"

const MUTATIONS: readonly Mutation[] = [
  {
    ...without(HTTP, '~^/\\.certlatch/auth/      @pages;'),
    shows: PAGES_PASS,
    because: /reset: expected 200, got (403|404)/,
  },
  {
    ...without(SERVER, 'location ^~ /.certlatch/auth/ {'),
    shows: PAGES_PASS,
    because: /reset: expected 200, got (403|404)/,
  },
  {
    ...without(PAGE, 'auth_request off;'),
    shows: PAGES_PASS,
    because: /reset: expected 200, got 403/,
  },
  {
    ...without(PAGE, 'proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;'),
    shows: 'a page is requested without',
    because: /no certificate goes with it/,
  },
  {
    ...without(PAGE, 'proxy_set_header Authorization "";'),
    shows: 'a page is requested without',
    because: /no login goes with it/,
  },
  {
    ...without(PAGE, 'proxy_set_header X-Forwarded-Host $host;'),
    shows: PAGES_PASS,
    because: /reset: expected 200, got 403/,
  },
  {
    ...without(PAGE, 'proxy_set_header X-Forwarded-Proto $scheme;'),
    shows: PAGES_PASS,
    because: /reset: expected 200, got 403/,
  },
  {
    ...without(MAIN, 'worker_shutdown_timeout 5s;'),
    shows: 'a restart or reload ends',
    because: /ended in time/,
  },
  { ...without(HTTP, 'keepalive 16;'), shows: THOUSAND, because: /connections: \d{3,}/ },
  { file: MAIN, text: DEFAULT_SERVER, becomes: '', shows: 'another host name', because: /closed/ },
  { ...without(SERVER, 'ssl_verify_client optional;'), shows: OPENS, because: NOT_OPEN },
  {
    ...without(ASK, 'client_max_body_size 0;'),
    shows: 'an upload of 20 MB',
    because: /opens: expected 200, got (500|413)|EPIPE|ECONNRESET/,
  },
  {
    ...without(PROTECT, 'client_max_body_size 0;'),
    shows: 'an upload of 20 MB',
    because: /opens: expected 200, got (500|413)|EPIPE|ECONNRESET/,
  },
  {
    ...without(SERVER, 'recursive_error_pages on;'),
    shows: 'a refused page explains',
    because: /in certlatch's words/,
  },
  {
    ...without(SERVER, 'error_page 495 = $certlatch_unverified;'),
    shows: 'a certificate that is bad (expired)',
    because: /refused: expected 403, got 400/,
  },
  {
    ...without(SERVER, 'error_page 403 = /_certlatch_page;'),
    shows: 'a refused page explains',
    because: /in certlatch's words/,
  },
  {
    file: SERVER,
    text: `${PLACES}  proxy_method HEAD;`,
    becomes: '  include /etc/nginx/certlatch/ask.conf;\n  proxy_method HEAD;',
    shows: 'the internal locations of the auth requests',
    because: /_certlatch: expected 404/,
  },
  {
    ...without(SERVER, 'proxy_method HEAD;'),
    shows: '100 refusals',
    because: /connections: \d{2,}/,
  },
  {
    ...without(SERVER, 'proxy_set_header X-Forwarded-Method $request_method;'),
    shows: FORGED,
    because: /OPTIONS/,
  },
  {
    ...without(SERVER, 'proxy_set_header X-Certlatch-Page "";'),
    shows: 'X-Certlatch-Page and',
    because: NOT_OPEN,
  },
  {
    file: SERVER,
    text: `${PLACES}  proxy_set_header X-Forwarded-Method $certlatch_method;`,
    becomes: `  include /etc/nginx/certlatch/ask.conf;
  proxy_set_header X-Forwarded-Method $certlatch_method;`,
    shows: 'the internal locations of the auth requests',
    because: /_certlatch_page: expected 404/,
  },
  {
    file: SERVER,
    text: 'X-Forwarded-Method $certlatch_method;',
    becomes: 'X-Forwarded-Method $request_method;',
    shows: 'a refused POST',
    because: /does not say "reload"/,
  },
  {
    ...without(SERVER, 'proxy_set_header X-Certlatch-Page 1;'),
    shows: 'a refusal is counted once',
    because: /counted once/,
  },
  {
    ...without(ASK, 'proxy_http_version 1.1;'),
    shows: THOUSAND,
    because: /connections: \d{3,}/,
  },
  {
    ...without(ASK, 'proxy_set_header Connection "";'),
    shows: THOUSAND,
    because: /connections: \d{3,}/,
  },
  {
    ...without(ASK, 'proxy_read_timeout 5s;'),
    shows: 'certlatch silent',
    because: /silent: an answer comes/,
  },
  {
    ...without(ASK, 'proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;'),
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    ...without(ASK, 'proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;'),
    shows: 'a good certificate in a header of any proxy',
    because: /refused: expected 403, got 200/,
  },
  {
    file: ASK,
    text: '# proxy_set_header X-Certlatch-Proxy-Secret the-value-of-CERTLATCH_PROXY_SECRET;',
    becomes: '# # proxy_set_header X-Certlatch-Proxy-Secret the-value-of-CERTLATCH_PROXY_SECRET;',
    shows: OPENS,
    because: NOT_OPEN,
  },
  {
    ...without(ASK, 'proxy_set_header X-Forwarded-Proto $scheme;'),
    shows: FORGED_ORIGIN,
    because: /http/,
  },
  {
    ...without(ASK, 'proxy_set_header X-Forwarded-Host $host;'),
    shows: FORGED_ORIGIN,
    because: /forged\.example|opens/,
  },
  {
    file: ASK,
    text: 'X-Forwarded-Host $host;',
    becomes: 'X-Forwarded-Host $http_host;',
    shows: 'the host that certlatch is told',
    because: /the host that certlatch is told/,
  },
  {
    ...without(ASK, 'proxy_set_header X-Forwarded-Uri $request_uri;'),
    shows: FORGED,
    because: /certlatch is told what is handed on/,
  },
  {
    ...without(ASK, 'proxy_set_header X-Forwarded-For $remote_addr;'),
    shows: FORGED_ORIGIN,
    because: /203\.0\.113\.7/,
  },
  {
    file: ASK,
    text: 'proxy_buffer_size 32k;\nproxy_buffers 4 32k;\nproxy_busy_buffers_size 32k;',
    becomes: '',
    shows: 'cookies of 6 kB',
    because: /opens: expected 200, got 500/,
  },
  {
    ...without(SERVER, 'auth_request /_certlatch;'),
    shows: 'without certificate and session',
    because: /refused: expected 403, got 200/,
  },
  {
    ...without(PROTECT, 'auth_request_set $certlatch_cookie $upstream_http_set_cookie;'),
    becomes: 'set $certlatch_cookie "";',
    shows: DELIVERED,
    because: /set once, not 0/,
  },
  {
    file: PROTECT,
    text: 'add_header Set-Cookie $certlatch_cookie always;',
    becomes: 'add_header Set-Cookie $certlatch_cookie;',
    shows: DELIVERED,
    because: /set once, not 0/,
  },
  {
    ...without(PROTECT, 'proxy_set_header Upgrade $http_upgrade;'),
    shows: SOCKET,
    because: /WebSocket opens/,
  },
  {
    ...without(PROTECT, 'proxy_set_header Connection $certlatch_connection;'),
    shows: SOCKET,
    because: /WebSocket opens/,
  },
  {
    ...without(PROTECT, 'proxy_set_header Host $host;'),
    shows: FORGED_ORIGIN,
    because: /the host for the application/,
  },
  {
    ...without(PROTECT, 'proxy_set_header X-Forwarded-Proto $scheme;'),
    shows: FORGED_ORIGIN,
    because: /the scheme for the application/,
  },
  {
    ...without(PROTECT, 'proxy_set_header X-Forwarded-Host $host;'),
    shows: FORGED_ORIGIN,
    because: /the host for the application/,
  },
  {
    ...without(PROTECT, 'proxy_set_header X-Forwarded-For $remote_addr;'),
    shows: FORGED_ORIGIN,
    because: /the address for the application/,
  },
  {
    ...without(PROTECT, 'proxy_set_header Remote-User $certlatch_user;'),
    shows: IDENTITY,
    because: /the user/,
  },
  {
    ...without(PROTECT, 'proxy_set_header X-Certlatch-Device $certlatch_device;'),
    shows: IDENTITY,
    because: /the device/,
  },
  {
    ...without(PROTECT, 'proxy_set_header X-Certlatch-Via $certlatch_via;'),
    shows: IDENTITY,
    because: /certificate/,
  },
  {
    ...without(PROTECT, 'proxy_set_header Cookie $certlatch_rest;'),
    shows: LEAKS,
    because: /nothing leaks[\s\S]*Cookie/i,
  },
  {
    ...without(PROTECT, 'proxy_set_header X-SSL-Client-Cert "";'),
    shows: HANDED_ON,
    because: /no certificate for the application/,
  },
  {
    ...without(ASK, 'proxy_set_header X-Forwarded-Tls-Client-Cert "";'),
    shows: HANDED_ON,
    because: NOT_OPEN,
  },
  {
    ...without(ASK, 'proxy_set_header X-Forwarded-Tls-Client-Cert-Info "";'),
    shows: HANDED_ON,
    because: /no foreign certificate for certlatch/,
  },
  {
    ...without(ASK, 'proxy_set_header Client-Cert "";'),
    shows: HANDED_ON,
    because: NOT_OPEN,
  },
  {
    ...without(ASK, 'proxy_set_header Client-Cert-Chain "";'),
    shows: HANDED_ON,
    because: /no foreign certificate for certlatch/,
  },
  {
    ...without(PROTECT, 'proxy_set_header X-Forwarded-Tls-Client-Cert "";'),
    shows: HANDED_ON,
    because: /no certificate for the application/,
  },
  {
    ...without(PROTECT, 'proxy_set_header X-Forwarded-Tls-Client-Cert-Info "";'),
    shows: HANDED_ON,
    because: /no certificate for the application/,
  },
  {
    ...without(PROTECT, 'proxy_set_header Client-Cert "";'),
    shows: HANDED_ON,
    because: /no certificate for the application/,
  },
  {
    ...without(PROTECT, 'proxy_set_header Client-Cert-Chain "";'),
    shows: HANDED_ON,
    because: /no certificate for the application/,
  },
  {
    ...without(ASK, 'proxy_set_header X-Certlatch-Proxy nginx;'),
    shows: NAMED,
    because: /the name of the proxy/,
  },
  {
    ...without(PROTECT, 'proxy_set_header X-Certlatch-Proxy "";'),
    shows: NAMED,
    because: /no name of the proxy for the application/,
  },
  {
    ...without(PROTECT, 'proxy_buffering off;'),
    shows: 'an event stream passes',
    because: /event by event/,
  },
  {
    ...without(PROTECT, 'proxy_request_buffering off;'),
    shows: 'an upload that pauses',
    because: /has seen its beginning/,
  },
]

const REFUSED_TO_START = 'Without it nginx does not start.'
const SHOWN_BY_HEADER = 'Without it the variable is unknown, and nginx does not start.'

const PREFLIGHT = 'Matters for preflights with a body or an upgrade: see preflights.e2e.ts.'

const UNSHOWN: readonly Unshown[] = [
  { file: ASK, text: 'proxy_set_header Upgrade $http_upgrade;', reason: PREFLIGHT },
  {
    file: HTTP,
    text: 'map $request_method:$http_access_control_request_method $certlatch_preflight {\n  default 0;\n  ~^OPTIONS:. 1;',
    reason: PREFLIGHT,
  },
  {
    file: SERVER,
    text: '  if ($certlatch_preflight) { return 418; }\n  include /etc/nginx/certlatch/protect.conf;\n}\nlocation @unverified {\n  if ($certlatch_preflight) { return 418; }\n  include /etc/nginx/certlatch/protect.conf;\n}\nerror_page 418 = @preflight;\nlocation @preflight {\n  include /etc/nginx/certlatch/protect.conf;\n  proxy_pass_request_body off;\n  proxy_set_header Content-Length "";',
    reason: PREFLIGHT,
  },
  {
    file: HTTP,
    text: 'map $uri $certlatch_unverified {\n  default ',
    reason: 'As error_page 495.',
  },
  { file: SERVER, text: 'location @pages {', reason: 'As the line of the map.' },
  {
    file: HTTP,
    text: 'upstream certlatch_pages {\n  server 127.0.0.1:9182;                 # <--\n  keepalive 4;',
    reason: 'Without it the name certlatch_pages leads nowhere.',
  },
  {
    file: PAGE,
    text: 'proxy_pass http://certlatch_pages;',
    reason: 'Without it there is no page.',
  },
  {
    file: PAGE,
    text: 'proxy_http_version 1.1;\nproxy_set_header Connection "";\nproxy_request_buffering off;                                   # a body is a few bytes, or refused\nproxy_connect_timeout 2s;\nproxy_read_timeout 15s;',
    reason: 'A connection of its own for a page is no loss; here so that all go one way.',
  },
  {
    file: PAGE,
    text: 'proxy_set_header X-Certlatch-Proxy nginx;\nproxy_set_header X-Forwarded-Tls-Client-Cert "";               # what other proxies send\nproxy_set_header X-Forwarded-Tls-Client-Cert-Info "";\nproxy_set_header Client-Cert "";\nproxy_set_header Client-Cert-Chain "";',
    reason: 'As in ask.conf.',
  },
  {
    file: PAGE,
    text: 'proxy_set_header Host $host;',
    reason: 'certlatch goes by X-Forwarded-Host.',
  },
  {
    file: PAGE,
    text: 'proxy_set_header X-Forwarded-For $remote_addr;',
    reason: 'As in ask.conf; here it is for the log and the limit of wrong codes.',
  },
  { file: MAIN, text: 'events {}\n\nhttp {\n  include /etc', reason: REFUSED_TO_START },
  { file: HTTP, text: 'map $http_upgrade', reason: REFUSED_TO_START },
  {
    file: HTTP,
    text: 'upstream certlatch {\n  server',
    reason: 'Without it the name certlatch leads nowhere.',
  },
  {
    file: HTTP,
    text: 'upstream certlatch_application {\n  server 127.0.0.1:8123; ',
    reason: 'Without it the name certlatch_application leads nowhere.',
  },
  {
    file: MAIN,
    text: '  server {\n    listen 443 ssl http2;  ',
    reason: 'Without it nothing is served.',
  },
  {
    file: MAIN,
    text: '    ssl_certificate     /etc/nginx/server.crt;   # <--\n    ssl_certificate_key',
    reason: REFUSED_TO_START,
  },
  {
    file: MAIN,
    text: '    include /etc/nginx/certlatch/server.conf;',
    reason: 'Without it nothing of server.conf is there.',
  },
  {
    file: SERVER,
    text: 'set_real_ip_from unix:;',
    reason: 'It undoes what another configuration says: nginx-layouts.e2e.ts shows it.',
  },
  {
    file: ASK,
    text: 'auth_request off;',
    reason: 'nginx makes no auth request for one, so far.',
  },
  { file: SERVER, text: 'ssl_client_certificate', reason: REFUSED_TO_START },
  {
    file: MAIN,
    text: 'server_name home.example;',
    reason: 'nginx refuses a Host that is not the name of the handshake by itself here.',
  },
  { file: SERVER, text: 'location ~ ^/ {', reason: 'Without it nginx serves its own files.' },
  { file: SERVER, text: 'location @unverified {', reason: 'As error_page 495.' },
  { file: SERVER, text: 'location = /_certlatch {', reason: 'As auth_request.' },
  { file: SERVER, text: 'location = /_certlatch_page {', reason: 'As error_page 403.' },
  {
    file: ASK,
    text: 'proxy_pass http://certlatch/verify;',
    reason: 'Without it nothing is asked, and every request is a 500 or a 404.',
  },
  {
    file: ASK,
    text: 'proxy_connect_timeout 2s;',
    reason: 'A refused connection fails at once; only an address that swallows packets shows it.',
  },
  {
    file: ASK,
    text: 'proxy_pass_request_body off;\nproxy_set_header Content-Length "";',
    reason: 'nginx 1.22 has not read the body yet when it asks; here so that it never matters.',
  },
  { file: PROTECT, text: 'auth_request_set $certlatch_method', reason: SHOWN_BY_HEADER },
  { file: PROTECT, text: 'auth_request_set $certlatch_rest', reason: SHOWN_BY_HEADER },
  { file: PROTECT, text: 'auth_request_set $certlatch_user', reason: SHOWN_BY_HEADER },
  { file: PROTECT, text: 'auth_request_set $certlatch_device', reason: SHOWN_BY_HEADER },
  { file: PROTECT, text: 'auth_request_set $certlatch_via', reason: SHOWN_BY_HEADER },
  {
    file: PROTECT,
    text: 'proxy_pass http://certlatch_application;',
    reason: 'Without it nginx serves its own files.',
  },
  {
    file: PROTECT,
    text: 'proxy_http_version 1.1;',
    reason: 'The application of these tests takes an upgrade over HTTP/1.0, against RFC 6455.',
  },
  {
    file: PROTECT,
    text: 'proxy_read_timeout 1h;',
    reason: 'The default ends a WebSocket after 60 s of silence, longer than a test should take.',
  },
]

testProxy(NGINX, MUTATIONS, UNSHOWN)
