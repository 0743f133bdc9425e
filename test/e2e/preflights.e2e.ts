// Which preflights pass without authentication at each proxy: none with a body (but see UNTOLD),
// and none that changes the protocol, whether certlatch is told, or the proxy refuses or removes
// it.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type HeaderLine, NUMBER_HEADER, type Seen, valuesOf } from './support/backend.ts'
import { HOST, openTls, statusOf } from './support/client.ts'
import { type Gate, nextNumber, startGate, startWorld, type World } from './support/gate.ts'
import { CADDY, HAPROXY, NGINX, TRAEFIK } from './support/proxies.ts'

const FRIEND = 'https://cast.example'
const POLICY = `version: 1\nallow_origins: ${FRIEND}\n`
const PREFLIGHT: readonly HeaderLine[] = [
  ['Origin', FRIEND],
  ['Access-Control-Request-Method', 'POST'],
]

/** What follows the headers of an OPTIONS, with the headers that say so. */
const MORE: Readonly<Record<string, readonly [headers: readonly HeaderLine[], body: string]>> = {
  'a body': [[['Content-Length', '5']], 'hello'],
  'a body of one byte': [[['Content-Length', '1']], 'h'],
  'a body in chunks': [[['Transfer-Encoding', 'chunked']], '5\r\nhello\r\n0\r\n\r\n'],
  'an upgrade to h2c': [
    [
      ['Connection', 'Upgrade, HTTP2-Settings'],
      ['Upgrade', 'h2c'],
      ['HTTP2-Settings', 'AAMAAABkAAQAAP__'],
    ],
    '',
  ],
  'an upgrade to a WebSocket without a key': [
    [
      ['Connection', 'Upgrade'],
      ['Upgrade', 'websocket'],
    ],
    '',
  ],
}

/** No length header lets Traefik's rules detect the body: SECURITY.md says that it passes there. */
const UNTOLD = 'a body in chunks'

async function sendBytes(gate: Gate, headers: readonly HeaderLine[], body: string) {
  const number = nextNumber()
  const socket = await openTls(gate.target, undefined)
  const ends = headers.some(([name]) => name === 'Connection')
  const lines = [
    'OPTIONS /x HTTP/1.1',
    `Host: ${HOST}`,
    `${NUMBER_HEADER}: ${number}`,
    ...[...PREFLIGHT, ...headers].map(([name, value]) => `${name}: ${value}`),
    ...(ends ? [] : ['Connection: close']),
  ]
  const status = await statusOf(socket, `${lines.join('\r\n')}\r\n\r\n${body}`)
  socket.destroy()
  return { status, seen: gate.world.backend.find(number) }
}

/** Whether an application could read a body, or change the protocol. */
function hasMore({ headers }: Seen): boolean {
  const [length = '0'] = valuesOf(headers, 'content-length')
  const others = ['transfer-encoding', 'upgrade'].flatMap((name) => valuesOf(headers, name))
  return length !== '0' || others.length > 0
}

for (const kind of [TRAEFIK, CADDY, NGINX, HAPROXY]) {
  describe(`Behind ${kind.dialect}`, () => {
    let world: World
    let gate: Gate
    const folder = mkdtempSync(join(tmpdir(), 'certlatch-preflights-'))
    before(async () => {
      const policy = join(folder, 'policy.yaml')
      writeFileSync(policy, POLICY)
      world = await startWorld(kind, 'external', { CERTLATCH_POLICY_FILE: policy })
      gate = await startGate(world)
    })
    after(async () => {
      await gate?.close()
      await world?.close()
      rmSync(folder, { recursive: true })
    })

    for (const protocol of ['HTTP/1.1', 'HTTP/2'] as const) {
      test(`a bare preflight of a listed site passes [${protocol}]`, async () => {
        const answer = await gate.send({ protocol, method: 'OPTIONS', headers: PREFLIGHT })
        assert.equal(answer.status, 200)
        // Over HTTP/2 our client only signals afterwards that there is no body.
        assert.ok(answer.seen && (protocol === 'HTTP/2' || !hasMore(answer.seen)))
      })

      test(`an OPTIONS of any other site does not [${protocol}]`, async () => {
        const headers: readonly HeaderLine[] = [
          ['Origin', 'https://evil.example'],
          ...PREFLIGHT.slice(1),
        ]
        const answer = await gate.send({ protocol, method: 'OPTIONS', headers })
        assert.equal(answer.status, 403)
        assert.equal(answer.seen, undefined)
      })
    }

    for (const [what, [headers, body]] of Object.entries(MORE)) {
      test(`${what}: does not reach the application unauthenticated [HTTP/1.1]`, async () => {
        const { status, seen } = await sendBytes(gate, headers, body)
        const passes = seen !== undefined && hasMore(seen)
        assert.equal(passes, kind === TRAEFIK && what === UNTOLD, `${status}`)
      })
    }

    test('a body of unknown length does not reach the application unauthenticated [HTTP/2]', async () => {
      const answer = await gate.send({
        protocol: 'HTTP/2',
        method: 'OPTIONS',
        headers: PREFLIGHT,
        body: Buffer.from('hello'),
      })
      const passes = answer.seen !== undefined && hasMore(answer.seen)
      assert.equal(passes, kind === TRAEFIK, `${answer.status}`)
    })
  })
}
