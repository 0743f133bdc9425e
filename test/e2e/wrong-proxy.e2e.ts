import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { DIALECTS, type DialectName } from '../../src/proxy/dialects.ts'
import { type HeaderLine, valuesOf } from './support/backend.ts'
import type { Protocol } from './support/client.ts'
import {
  type Answer,
  type Change,
  type Gate,
  type ProxyKind,
  SESSION,
  startWorld,
  type World,
} from './support/gate.ts'
import { base64Der, type Credential } from './support/pki.ts'
import { CADDY, HAPROXY, NGINX, TRAEFIK } from './support/proxies.ts'
import { withGate, without } from './support/run.ts'

/**
 * CERTLATCH_PROXY names another proxy than the one in use: set in haste, or forgotten while the old
 * one was left running. A client that only knows a device's certificate must not get in by writing
 * it into the header that certlatch then reads.
 */
const KINDS: readonly ProxyKind[] = [TRAEFIK, CADDY, NGINX, HAPROXY]
const PROTOCOLS: readonly Protocol[] = ['HTTP/1.1', 'HTTP/2']

/** What makes a configuration name its proxy. */
const NAMING: Readonly<Record<DialectName, Change>> = {
  traefik: without('dynamic.yml', 'X-Certlatch-Proxy: traefik'),
  caddy: without('Caddyfile', 'header_up X-Certlatch-Proxy caddy'),
  nginx: without('ask.conf', 'proxy_set_header X-Certlatch-Proxy nginx;'),
  haproxy: without('haproxy.cfg', 'http-request set-header X-Certlatch-Proxy haproxy'),
}

/** As a client may write a name so that some program takes it for this one. */
const spellingsOf = (name: string): readonly string[] => [
  name,
  name.toUpperCase(),
  name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase()),
  name.replaceAll('-', '_'),
  name.replaceAll('-', '.'),
  name.replaceAll('-', '~'),
  name.replace('-', '_'),
]

const encodedFor = (dialect: DialectName, credential: Credential): string => {
  switch (DIALECTS[dialect].encoding) {
    case 'traefik-list':
      return base64Der(credential)
    case 'rfc9440':
    case 'rfc9440-or-empty':
      return `:${base64Der(credential)}:`
    case 'url-escaped-pem':
      return encodeURIComponent(credential.certificate)
  }
}

/** Every certificate header in every spelling, with what `dialect` would read from it. */
function forgeries(dialect: DialectName, credential: Credential): readonly HeaderLine[][] {
  const value = encodedFor(dialect, credential)
  const names = new Set(Object.values(DIALECTS).map(({ certificateHeader }) => certificateHeader))
  const lines = [...names].flatMap((name) =>
    spellingsOf(name).map((spelling): HeaderLine => [spelling, value]),
  )
  const own: HeaderLine = ['X-Certlatch-Proxy', dialect]
  const [read = own] = lines.filter(([name]) => name === DIALECTS[dialect].certificateHeader)
  return [
    ...lines.map((line) => [line]),
    ...lines.map((line) => [line, own]),
    [read, read],
    [['X-Certlatch-Proxy', ''], read],
    [['X_Certlatch_Proxy', dialect], read],
    [...lines, own],
  ]
}

function assertStaysOutside({ status, headers, seen }: Answer, sent: readonly HeaderLine[]): void {
  const what = sent.map(([name]) => name).join(', ')
  assert.equal(seen, undefined, `${what}: the application saw nothing of it`)
  assert.equal(status, 403, what)
  assert.equal(headers['remote-user'], undefined, what)
  const cookies = (headers['set-cookie'] ?? []).filter((line) => line.startsWith(SESSION))
  assert.deepEqual(cookies, [], `${what}: no session is set`)
}

async function tryAll(gate: Gate, configured: DialectName): Promise<void> {
  const sent = forgeries(configured, gate.world.pki.credential('ada'))
  for (const protocol of PROTOCOLS) {
    for (const headers of sent) {
      assertStaysOutside(await gate.send({ protocol, headers }), headers)
      if (protocol === 'HTTP/2') continue
      const names = headers.map(([name]) => name).join(', ')
      const dropping: HeaderLine = ['Connection', `X-Certlatch-Proxy, ${names}, close`]
      assertStaysOutside(await gate.send({ headers: [...headers, dropping] }), headers)
    }
  }
}

for (const kind of KINDS) {
  for (const { dialect: configured } of KINDS.filter((other) => other !== kind)) {
    describe(`${kind.dialect} sends auth requests while CERTLATCH_PROXY is ${configured}`, () => {
      let world: World
      before(async () => {
        world = await startWorld(kind, 'external', { CERTLATCH_PROXY: configured })
      })
      after(() => world?.close())

      test('a certificate whose key the client does not have grants no access, in any header and spelling', () =>
        withGate(world, [], (gate) => tryAll(gate, configured)))

      test('nor does it with an older configuration, in which the proxy does not send its name', () =>
        withGate(world, [NAMING[kind.dialect]], (gate) => tryAll(gate, configured)))

      test('the device itself is refused too, so that the mistake is noticed', async () => {
        await withGate(world, [], async (gate) => {
          const answer = await gate.send({ credential: 'ada' })
          assertStaysOutside(answer, [])
          const names = answer.questions.map((one) => valuesOf(one.headers, 'x-certlatch-proxy'))
          for (const name of names) assert.deepEqual(name, [kind.dialect])
        })
      })
    })
  }
}
