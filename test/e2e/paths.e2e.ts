// What proxies do to a path before the auth request, and what they forward, compared with what the
// rules promise: whatever an application may read in the bytes that it gets, no rule that denies
// was bypassed.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { readRequestPath } from '../../src/proxy/request-path.ts'
import { NUMBER_HEADER, valuesOf } from './support/backend.ts'
import { HOST, openTls, statusOf } from './support/client.ts'
import {
  type Gate,
  nextNumber,
  type ProxyKind,
  startGate,
  startWorld,
  type World,
} from './support/gate.ts'
import { climbing, spelled } from './support/path-tricks.ts'
import { CADDY, HAPROXY, NGINX, TRAEFIK } from './support/proxies.ts'
import type { AskedQuestion } from './support/relay.ts'

const RULES = `version: 1
rules:
  - {name: closed, path: [/closed, /closed/*], access: deny}
  - {name: graces, path: [/graces, /graces/*], owner: grace, access: certificate-or-session}
  - {name: open, path: [/open, /open/*], access: open}
`

/** Transformations that an application may apply to a path, in any order, before it resolves it. */
const READINGS: readonly ((path: string) => string)[] = [
  (path) => path.replace(/%([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(Number(`0x${hex}`))),
  (path) => path.replaceAll('\\', '/'),
  (path) => path.replace(/;[^/]*/g, ''),
  (path) => path.replace(/\/{2,}/g, '/'),
  (path) => path.replace(/[?#].*$/s, ''),
  (path) => path.replace(/\0.*$/s, ''),
  (path) => posix.normalize(path),
  (path) =>
    path
      .split('/')
      .map((segment) => segment.trim())
      .join('/'),
  (path) => path.replace(/^https?:\/\/[^/]*/i, ''),
  (path) => path.replace(/\xc0\xae|\xe0\x80\xae/g, '.').replace(/\xc0\xaf/g, '/'),
]

/** Everything that an application may take this path for. */
function readingsOf(url: string): ReadonlySet<string> {
  const [path = ''] = url.split('?')
  const found = new Set([path])
  for (const reading of found) {
    for (const read of READINGS) if (found.size < 20_000) found.add(read(reading))
  }
  return found
}

const leadsTo = (url: string, place: string): boolean =>
  [...readingsOf(url)].some((path) => path === `/${place}` || path.startsWith(`/${place}/`))

/** Anything but `/open` and the paths below it is denied without a certificate. */
const leadsOut = (url: string): boolean =>
  [...readingsOf(url)].some((path) => path !== '/open' && !path.startsWith('/open/'))

interface Sent {
  readonly status: number
  /** As the application got it; `undefined`: it got nothing. */
  readonly handedOn: string | undefined
  readonly asked: readonly string[]
}

type Send = (gate: Gate, target: string, credential?: 'ada') => Promise<Sent>

/** The bytes of the target as they are, which no proper client would send. */
const sendBytes: Send = async (gate, target, credential) => {
  const { backend, relay, pki } = gate.world
  const number = nextNumber()
  const socket = await openTls(gate.target, credential && pki.credential(credential))
  const lines = [`GET ${target} HTTP/1.1`, `Host: ${HOST}`, `${NUMBER_HEADER}: ${number}`]
  const status = await statusOf(socket, `${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n`)
  const asked = relay.questions(number).map(uriOf)
  return { status, handedOn: backend.find(number)?.url, asked }
}

/** A proxy may end the stream over a path that it does not like. */
const sendHttp2: Send = async (gate, path, credential) => {
  const request = { protocol: 'HTTP/2', path, ...(credential && { credential }) } as const
  const answer = await gate.send(request).catch(() => undefined)
  const { status = 0, seen, questions = [] } = answer ?? {}
  return { status, handedOn: seen?.url, asked: questions.map(uriOf) }
}

const uriOf = ({ headers }: AskedQuestion): string =>
  valuesOf(headers, 'x-forwarded-uri').join(', ')

const WAYS: Readonly<Record<string, Send>> = { 'HTTP/1.1': sendBytes, 'HTTP/2': sendHttp2 }

for (const kind of [TRAEFIK, CADDY, NGINX, HAPROXY] satisfies readonly ProxyKind[]) {
  describe(`Behind ${kind.dialect}`, () => {
    let world: World
    let gate: Gate
    const folder = mkdtempSync(join(tmpdir(), 'certlatch-paths-'))
    before(async () => {
      const policy = join(folder, 'policy.yaml')
      writeFileSync(policy, RULES)
      world = await startWorld(kind, 'external', { CERTLATCH_POLICY_FILE: policy })
      gate = await startGate(world)
    })
    after(async () => {
      await gate?.close()
      await world?.close()
      rmSync(folder, { recursive: true })
    })

    test('an open rule allows access, also if the path is written in another plain way', async () => {
      for (const target of ['/open/x', '/%6fpen/x', '/open/%78?y', '/open/a%20b', '/open/é']) {
        const { status, handedOn } = await sendBytes(gate, encodeURI(target).replaceAll('%25', '%'))
        assert.equal(status, 200, target)
        assert.ok(handedOn, target)
      }
    })

    for (const [protocol, send] of Object.entries(WAYS)) {
      test(`without a certificate nothing is passed on that could be read as anything but open [${protocol}]`, async () => {
        const places = ['closed', 'graces', 'x']
        const targets = [
          ...places.flatMap((place) => climbing('open', `${place}/x`)),
          ...places.flatMap(spelled),
        ]
        let refused = 0
        for (const target of targets) {
          const { handedOn, status } = await send(gate, target)
          if (status === 403) refused += 1
          if (handedOn === undefined) assert.notEqual(status, 200, target)
          else assert.ok(!leadsOut(handedOn), `${target} was handed on as ${handedOn}`)
        }
        assert.ok(refused > targets.length / 2, `${refused} of ${targets.length} refused`)
      })

      test(`with a certificate nothing is passed on that could be read as closed to it [${protocol}]`, async () => {
        for (const place of ['closed', 'graces']) {
          const targets = [...climbing('open', `${place}/x`), ...spelled(place)]
          let refused = 0
          for (const target of targets) {
            const { handedOn, status } = await send(gate, target, 'ada')
            if (status === 403) refused += 1
            if (handedOn === undefined) continue
            assert.ok(!leadsTo(handedOn, place), `${target} was handed on as ${handedOn}`)
          }
          assert.ok(refused > targets.length / 2, `${refused} of ${targets.length} refused`)
        }
      })

      test(`paths with an encoded slash work beside rules for other paths [${protocol}]`, async () => {
        const path = '/media-browser/browser/app%2Cmedia-source%3A%2F%2F'
        const { status, handedOn } = await send(gate, path, 'ada')
        assert.equal(status, 200)
        assert.equal(handedOn, path)
      })

      test(`the application receives the path that certlatch decided about [${protocol}]`, async () => {
        const targets = ['/open/x', '/elsewhere', ...climbing('open', 'x'), ...spelled('elsewhere')]
        let handed = 0
        for (const target of targets) {
          const { handedOn, asked } = await send(gate, target, 'ada')
          if (handedOn === undefined) continue
          handed += 1
          assert.equal(literalOf(handedOn), literalOf(asked[0] ?? ''), target)
        }
        assert.ok(handed > 5, `${handed} handed on`)
      })
    }
  })
}

/** HAProxy forwards a URL unchanged (RFC 9112 §3.2.2), and its auth request has the path. */
const literalOf = (url: string): string =>
  readRequestPath(url.replace(/^https?:\/\/[^/]*/i, '').split('?')[0] ?? '').literal
