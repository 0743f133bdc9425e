// nginx as people have it already: a configuration of their own, that of Nginx Proxy Manager, and that of the
// NGINX SSL proxy app of Home Assistant, each rebuilt in shape, with the lines of our pages pasted in.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { codeBlocks } from '../../support/markdown.ts'
import { PROXY_SECRET } from './certlatch.ts'
import type { Places, ProxyKind } from './gate.ts'
import { NGINX, NGINX_FOLDER, nginxScratch, nginxWhereabouts } from './proxies.ts'
import { repositoryFolder } from './tools.ts'

/** A host of the same nginx that certlatch has nothing to do with. */
export const OTHER = 'third.example'

const page = (name: string): string =>
  readFileSync(join(repositoryFolder(), 'deploy/nginx', name), 'utf8')

/** What the command lines of a page make, with this machine's addresses in it. */
function typed(block: string, places: Places): Readonly<Record<string, string>> {
  const folder = mkdtempSync(join(tmpdir(), 'certlatch-typed-'))
  try {
    const lines = block.replaceAll('/opt/certlatch/', `${repositoryFolder()}/`)
    execFileSync('bash', ['--norc', '-euc', lines], {
      cwd: folder,
      env: { PATH: process.env['PATH'], CERTLATCH_PROXY_SECRET: PROXY_SECRET },
    })
    const names = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.conf'))
      .map(({ parentPath, name }) => join(parentPath, name))
    return Object.fromEntries(
      names.map((path) => [
        path.slice(folder.length + 1),
        here(readFileSync(path, 'utf8'), places),
      ]),
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The addresses and folders of the pages, where they are on this machine. */
const here = (text: string, places: Places): string =>
  text
    .replaceAll(/ (?:10\.157\.92\.3|192\.168\.1\.40):9180/g, ` 127.0.0.1:${places.certlatchPort}`)
    .replaceAll(/ (?:10\.157\.92\.3|192\.168\.1\.40):9182/g, ` 127.0.0.1:${places.pagesPort}`)
    .replaceAll(
      /(?:192\.168\.1\.30|homeassistant\.local\.hass\.io):8123/g,
      `127.0.0.1:${places.applicationPort}`,
    )
    .replaceAll(/\/(?:certlatch|share\/certlatch)\/ca\.crt/g, places.pki.authorityFile)
    .replaceAll(/(?<= )\/(?=(?:data|share)\/)/g, `${places.folder}/`)
    // certlatch has one in these tests.
    .replace(/# (proxy_set_header X-Certlatch-Proxy-Secret) .*/, `$1 ${PROXY_SECRET};`)

const certificate = ({ pki }: Places): string =>
  `ssl_certificate ${pki.serverCertificateFile}; ssl_certificate_key ${pki.serverKeyFile};`

const main = (places: Places, http: string): string => `events {}
http {
  access_log off;
  ${nginxScratch(places.folder)}
${http}
}
`

// --- an existing nginx -------------------------------------------------------------------------------

const [OWN_HTTP = '', OWN_SERVER = ''] = codeBlocks(page('README.md'), 'nginx')

export const OWN: ProxyKind = {
  ...NGINX,
  files: NGINX.files.filter((name) => name !== 'nginx.conf'),
  placedIn: 'certlatch',
  fill: (places) => [
    ...nginxWhereabouts(places),
    { file: 'server.conf', text: NGINX_FOLDER, becomes: `${places.folder}/certlatch` },
  ],
  others: (places) => {
    const inFolder = (text: string) => text.replaceAll(NGINX_FOLDER, `${places.folder}/certlatch`)
    const application = `http://127.0.0.1:${places.applicationPort}`
    return {
      'nginx.conf': main(
        places,
        `
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  client_max_body_size 10m;
  ${inFolder(OWN_HTTP)}
  server { listen 127.0.0.1:${places.port} ssl http2 default_server; ssl_reject_handshake on; }
  server {
    listen 127.0.0.1:${places.port} ssl http2;
    server_name ${OTHER};
    ${certificate(places)}
    location / { proxy_pass ${application}; }
  }
  server {
    listen 127.0.0.1:${places.port} ssl http2;
    server_name home.example;
    ${certificate(places)}
    client_max_body_size 50m;
    add_header X-Frame-Options SAMEORIGIN;
    location ~* \\.js$ { proxy_pass ${application}; }
    ${inFolder(OWN_SERVER)}
    location / {
      proxy_pass ${application};
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
    location /local/ { proxy_pass ${application}; }
    location = /exact { proxy_pass ${application}; }
    location ^~ /before/ { proxy_pass ${application}; }
  }`,
      ),
    }
  },
}

// --- Nginx Proxy Manager ----------------------------------------------------------------------------

const NPM_PAGE = page('nginx-proxy-manager.md')
const NPM_FILES = codeBlocks(NPM_PAGE, 'sh').find((block) => block.includes('http_top.conf')) ?? ''
const [NPM_PASTED = ''] = codeBlocks(NPM_PAGE, 'nginx')

/** The shape of its main file, and of what it makes of a proxy host with "Cache Assets" on. */
export const NPM: ProxyKind = {
  ...NGINX,
  files: [],
  fill: () => [],
  others: (places) => ({
    ...typed(NPM_FILES, places),
    'nginx.conf': main(
      places,
      `
  keepalive_timeout 90s;
  proxy_connect_timeout 90s;
  proxy_read_timeout 90s;
  client_max_body_size 2000m;
  proxy_http_version 1.1;
  proxy_set_header X-Forwarded-Scheme $scheme;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header Accept-Encoding "";
  proxy_cache_path ${places.folder}/cache keys_zone=public-cache:1m;
  map $host $forward_scheme { default http; }
  map $http_x_forwarded_proto $x_forwarded_proto { "http" http; "https" https; default $scheme; }
  set_real_ip_from 127.0.0.0/8; # there: all private networks
  real_ip_header X-Real-IP;
  real_ip_recursive on;
  include ${places.folder}/data/nginx/custom/http_top[.]conf;
  server { listen 127.0.0.1:${places.port} ssl; server_name localhost; ssl_reject_handshake on; return 444; }
  include ${places.folder}/data/nginx/proxy_host/*.conf;
  include ${places.folder}/data/nginx/custom/http[.]conf;`,
    ),
    'proxy.conf': `add_header X-Served-By $host;
proxy_set_header Host $host;
proxy_set_header X-Forwarded-Proto $x_forwarded_proto;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Real-IP $remote_addr;
proxy_pass $forward_scheme://$server:$port$request_uri;
`,
    'data/nginx/proxy_host/1.conf': npmHost(places, 'home.example', here(NPM_PASTED, places)),
    'data/nginx/proxy_host/2.conf': npmHost(places, OTHER, ''),
  }),
}

const npmHost = (places: Places, name: string, pasted: string): string => `server {
  set $forward_scheme http;
  set $server "127.0.0.1";
  set $port ${places.applicationPort};
  listen 127.0.0.1:${places.sparePort};
  listen 127.0.0.1:${places.port} ssl http2;
  server_name ${name};
  location ^~ /.well-known/acme-challenge/ { auth_basic off; auth_request off; allow all; root ${places.folder}; }
  ssl_session_cache shared:SSL:5m;
  ${certificate(places)}
  location ~* ^.*\\.(css|js|png)$ {
    proxy_cache public-cache;
    proxy_cache_key $host$request_uri;
    proxy_ignore_headers Set-Cookie Cache-Control Expires;
    proxy_cache_valid any 30m;
    include ${places.folder}/proxy.conf;
  }
  add_header Strict-Transport-Security "max-age=63072000" always;
  if ($scheme = http) { return 301 https://$host$request_uri; }
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $http_connection;
  proxy_http_version 1.1;
  ${pasted}
  location /custom { proxy_pass http://127.0.0.1:${places.applicationPort}; }
  location / { include ${places.folder}/proxy.conf; }
  include ${places.folder}/data/nginx/custom/server_proxy[.]conf;
}
`

// --- the NGINX SSL proxy app of Home Assistant ------------------------------------------------------

const APP_FILES =
  codeBlocks(page('ssl-proxy-app.md'), 'sh').find((block) => block.includes('nginx_proxy')) ?? ''

export const APP: ProxyKind = {
  ...NGINX,
  files: [],
  fill: () => [],
  others: (places) => ({
    // ca.crt is that of these tests.
    ...typed(
      APP_FILES.replace(' data/public/ca.crt', '').replaceAll(
        'deploy/nginx/',
        '/opt/certlatch/deploy/nginx/',
      ),
      places,
    ),
    'nginx.conf': main(
      places,
      `
  map_hash_bucket_size 128;
  server_names_hash_bucket_size 128;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  map $http_host $forward_host { default $http_host; '' $host; }
  server {
    server_name _;
    listen 127.0.0.1:${places.port} ssl http2 default_server;
    ssl_reject_handshake on;
    return 444;
  }
  server { server_name home.example; listen 127.0.0.1:${places.sparePort}; return 301 https://$host$request_uri; }
  server {
    server_name home.example;
    ssl_session_timeout 1d;
    ssl_session_cache shared:MozSSL:10m;
    ssl_session_tickets off;
    ${certificate(places)}
    listen 127.0.0.1:${places.port} ssl http2;
    add_header Strict-Transport-Security "max-age=31536000; includeSubDomains" always;
    proxy_buffering off;
    client_max_body_size 1m;
    include ${places.folder}/share/nginx_proxy_default*.conf;
    location / {
      proxy_pass http://127.0.0.1:${places.applicationPort};
      proxy_set_header Origin $http_origin;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Host $forward_host;
      proxy_redirect http:// https://;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-Host $forward_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
  include ${places.folder}/share/nginx_proxy/*.conf;`,
    ),
    // Another server of the same person's.
    'share/nginx_proxy/other.conf': `server {
  listen 127.0.0.1:${places.port} ssl http2;
  server_name ${OTHER};
  ${certificate(places)}
  location / { proxy_pass http://127.0.0.1:${places.applicationPort}; }
}
`,
  }),
}
