import { PROXY_SECRET } from './certlatch.ts'
import type { Change, Places, ProxyKind } from './gate.ts'

const SECRET_PLACE = 'the-value-of-CERTLATCH_PROXY_SECRET'
const CERTLATCH = '127.0.0.1:9180'
const PAGES = '127.0.0.1:9182'
const APPLICATION = '127.0.0.1:8123'
const AUTHORITY_FILE = '/var/lib/certlatch/public/ca.crt'

/** What a person changes in the file: whereabouts, and the line of the secret, as its comment says. */
const whereabouts = (file: string, places: Places, comment: string): readonly Change[] => [
  { file, text: CERTLATCH, becomes: `127.0.0.1:${places.certlatchPort}` },
  { file, text: PAGES, becomes: `127.0.0.1:${places.pagesPort}` },
  { file, text: APPLICATION, becomes: `127.0.0.1:${places.applicationPort}` },
  { file, text: AUTHORITY_FILE, becomes: places.pki.authorityFile },
  { file, text: `# ${comment}`, becomes: comment.replace(SECRET_PLACE, PROXY_SECRET) },
]

export const TRAEFIK: ProxyKind = {
  dialect: 'traefik',
  files: ['traefik.yml', 'dynamic.yml'],
  fill: (places) => [
    { file: 'traefik.yml', text: '":443"', becomes: `"127.0.0.1:${places.port}"` },
    {
      file: 'traefik.yml',
      text: '/etc/traefik/dynamic.yml',
      becomes: `${places.folder}/dynamic.yml`,
    },
    ...whereabouts('dynamic.yml', places, `X-Certlatch-Proxy-Secret: ${SECRET_PLACE}`),
    {
      file: 'dynamic.yml',
      text: '/etc/traefik/server.crt',
      becomes: places.pki.serverCertificateFile,
    },
    { file: 'dynamic.yml', text: '/etc/traefik/server.key', becomes: places.pki.serverKeyFile },
  ],
  command: (folder) => ['traefik', `--configFile=${folder}/traefik.yml`],
  endingSignal: 'SIGTERM',
  endsWithin: 3_000,
}

/** What a person changes in a file for Caddy. */
export const caddyWhereabouts = (file: string, places: Places): readonly Change[] => {
  const secret = `header_up X-Certlatch-Proxy-Secret ${SECRET_PLACE}`
  // certlatch.caddy is told of the application where it is imported.
  return whereabouts(file, places, secret).filter(
    ({ text }) => file === 'Caddyfile' || text !== APPLICATION,
  )
}

export const CADDY: ProxyKind = {
  dialect: 'caddy',
  files: ['Caddyfile'],
  fill: (places) => [
    {
      file: 'Caddyfile',
      text: '\n{\n',
      becomes: `\n{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port ${places.sparePort}\n`,
    },
    { file: 'Caddyfile', text: '\nhome.example {', becomes: `\nhome.example:${places.port} {` },
    {
      file: 'Caddyfile',
      text: '\ttls {',
      becomes: `\ttls ${places.pki.serverCertificateFile} ${places.pki.serverKeyFile} {`,
    },
    ...caddyWhereabouts('Caddyfile', places),
  ],
  command: (folder) => ['caddy', 'run', '--config', `${folder}/Caddyfile`],
  endingSignal: 'SIGTERM',
  endsWithin: 7_000,
}

export const NGINX_FOLDER = '/etc/nginx/certlatch'

/** What a person changes in the files of the folder certlatch, wherever that is. */
export const nginxWhereabouts = (places: Places): readonly Change[] => [
  { file: 'http.conf', text: CERTLATCH, becomes: `127.0.0.1:${places.certlatchPort}` },
  { file: 'http.conf', text: PAGES, becomes: `127.0.0.1:${places.pagesPort}` },
  { file: 'http.conf', text: APPLICATION, becomes: `127.0.0.1:${places.applicationPort}` },
  { file: 'server.conf', text: AUTHORITY_FILE, becomes: places.pki.authorityFile },
  ...['ask.conf', 'page.conf'].map((file) => ({
    file,
    text: `# proxy_set_header X-Certlatch-Proxy-Secret ${SECRET_PLACE};`,
    becomes: `proxy_set_header X-Certlatch-Proxy-Secret ${PROXY_SECRET};`,
  })),
]

const TEMPORARY_PATHS = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']

/** Where nginx keeps what it cannot keep in memory, for a user who is not root. */
export const nginxScratch = (folder: string): string =>
  TEMPORARY_PATHS.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n  ')

export const NGINX: ProxyKind = {
  dialect: 'nginx',
  files: ['nginx.conf', 'http.conf', 'server.conf', 'ask.conf', 'protect.conf', 'page.conf'],
  fill: (places) => [
    { file: 'nginx.conf', text: 'listen 443 ', becomes: `listen 127.0.0.1:${places.port} ` },
    {
      file: 'nginx.conf',
      text: '/etc/nginx/server.crt',
      becomes: places.pki.serverCertificateFile,
    },
    { file: 'nginx.conf', text: '/etc/nginx/server.key', becomes: places.pki.serverKeyFile },
    {
      file: 'nginx.conf',
      text: '\nhttp {',
      becomes: `\nhttp {\n  access_log off;\n  ${nginxScratch(places.folder)}`,
    },
    ...nginxWhereabouts(places),
    { file: 'nginx.conf', text: NGINX_FOLDER, becomes: places.folder },
    { file: 'server.conf', text: NGINX_FOLDER, becomes: places.folder },
  ],
  command: (folder) => [
    'nginx',
    ...['-p', folder, '-e', 'stderr', '-c', `${folder}/nginx.conf`],
    ...['-g', `daemon off; pid ${folder}/nginx.pid; error_log stderr;`],
  ],
  endingSignal: 'SIGHUP',
  endsWithin: 7_000,
}

const SOCKET = '/run/haproxy/certlatch.sock'
const ADMIN_SOCKET = '/run/haproxy/admin.sock'

export const HAPROXY: ProxyKind = {
  dialect: 'haproxy',
  files: ['haproxy.cfg', 'certlatch.lua'],
  fill: (places) => [
    { file: 'haproxy.cfg', text: 'bind :443', becomes: `bind 127.0.0.1:${places.port}` },
    {
      file: 'haproxy.cfg',
      text: '/etc/haproxy/certlatch.lua',
      becomes: `${places.folder}/certlatch.lua`,
    },
    {
      file: 'haproxy.cfg',
      text: '/etc/haproxy/server.pem',
      becomes: places.pki.serverBundleFile,
    },
    { file: 'haproxy.cfg', text: SOCKET, becomes: `${places.folder}/ask.sock` },
    { file: 'haproxy.cfg', text: ADMIN_SOCKET, becomes: `${places.folder}/admin.sock` },
    ...whereabouts(
      'haproxy.cfg',
      places,
      `http-request set-header X-Certlatch-Proxy-Secret ${SECRET_PLACE}`,
    ),
    // Only root can switch to another user.
    ...(places.user === 'root'
      ? []
      : [
          { file: 'haproxy.cfg', text: '  group haproxy\n', becomes: '' },
          { file: 'haproxy.cfg', text: ' group haproxy level', becomes: ' level' },
          { file: 'haproxy.cfg', text: 'user haproxy', becomes: `user ${places.user}` },
        ]),
    { file: 'certlatch.lua', text: SOCKET, becomes: `${places.folder}/ask.sock` },
  ],
  command: (folder) => ['haproxy', '-db', '-f', `${folder}/haproxy.cfg`],
  endingSignal: 'SIGUSR1',
  endsWithin: 7_000,
}
