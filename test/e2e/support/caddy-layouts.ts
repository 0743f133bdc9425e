import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { codeBlocks } from '../../support/markdown.ts'
import type { Places, ProxyKind } from './gate.ts'
import { CADDY, caddyWhereabouts } from './proxies.ts'
import { repositoryFolder } from './tools.ts'

/** A host of the same Caddy that certlatch has nothing to do with. */
export const OTHER = 'third.example'

const [GLOBAL = '', SITE = ''] = codeBlocks(
  readFileSync(join(repositoryFolder(), 'deploy/caddy/README.md'), 'utf8'),
  'caddyfile',
)
// Without `skip_install_trust`, Caddy's CA would end up among this machine's.
assert.match(GLOBAL, /^\{\n/)

/** A Caddyfile with another site, and the lines of the page; `tls` as it was. */
export const existingCaddy = (tls: (places: Places) => string): ProxyKind => ({
  ...CADDY,
  files: ['certlatch.caddy'],
  fill: (places) => caddyWhereabouts('certlatch.caddy', places),
  others: (places) => ({
    Caddyfile: `${GLOBAL.replace('{\n', `{\n\tadmin off\n\tskip_install_trust\n\tdefault_bind 127.0.0.1\n\thttp_port ${places.sparePort}\n`)}
${OTHER}:${places.port} {
	tls ${tls(places)}
	reverse_proxy 127.0.0.1:${places.applicationPort}
}
${SITE.replace('home.example.org {', `home.example:${places.port} {`)
  .replace('tls {', `tls ${tls(places)} {`)
  .replace('192.168.1.30:8123', `127.0.0.1:${places.applicationPort}`)}`,
  }),
})
