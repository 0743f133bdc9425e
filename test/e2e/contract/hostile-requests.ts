import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type HeaderLine, valuesOf } from '../support/backend.ts'
import { openTls, statusOf } from '../support/client.ts'
import { type Answer, type Gate, nextNumber, type Request, SESSION } from '../support/gate.ts'
import {
  assertClosed,
  assertOpen,
  assertRefused,
  type Case,
  ONCE,
  rawHead,
  sendRaw,
} from './case.ts'

const ODD_STARTS = [
  'GET /%',
  'GET /%zz',
  'GET /a\\b',
  'GET /../../etc',
  'GET /%2e%2e/b',
  'GET //evil.example/',
  'GET /a#b',
  'GET /\xff',
  'GET *',
  'OPTIONS *',
  'OPTIONS /',
  'TRACE /',
  'HEAD /',
  'get /',
  'GET /_certlatch',
  'GET /_certlatch_page',
  'GET /verify',
  'GET /.certlatch/auth/..%2F..%2Fverify',
  'GET http://home.example/',
  'GET https://home.example/',
  'CONNECT home.example:443',
] as const

/** What the application sees after a body, from a client whose session is accepted. */
export async function trailersSeen(gate: Gate): Promise<readonly HeaderLine[]> {
  const cookie = await gate.session('ada')
  const more = `Cookie: ${cookie}\r\nTransfer-Encoding: chunked\r\nTrailer: Remote-User\r\n`
  const head = rawHead('POST /upload', 'home.example', more)
  const body = '5\r\nhello\r\n0\r\nRemote-User: admin\r\n\r\n'
  const { status, seen } = await sendRaw(gate, (number) => `${head(number)}${body}`)
  assert.equal(status, 200)
  assert.ok(seen)
  return seen.trailers
}

const TRIES = 5
const CUT_OFF = ['EPIPE', 'ECONNRESET']

/**
 * The answer, or nothing. A proxy may answer and close while the client still writes; the reset that
 * follows can then overtake the answer, so over HTTP/1.1 the request is sent again.
 */
async function answerTo(gate: Gate, request: Request): Promise<Answer | undefined> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    try {
      return await gate.send(request)
    } catch (error) {
      if (request.protocol === 'HTTP/2') return undefined
      if (!CUT_OFF.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
  return undefined
}

export const HOSTILE_REQUESTS: readonly Case[] = [
  {
    name: 'no odd request line reaches the application (Authelia CVE-2021-32637 GHSA-68wm-pfjf-wqp6)',
    protocols: ONCE,
    run: async (gate) => {
      for (const start of ODD_STARTS) {
        const { seen } = await sendRaw(gate, rawHead(start, 'home.example'))
        assert.equal(seen, undefined, `${start}: the application saw nothing of it`)
      }
    },
  },
  {
    name: 'no malformed cookie is accepted (authentik CVE-2026-25748 GHSA-fj56-5763-j8pp)',
    run: async (gate, protocol) => {
      const session = await gate.session('ada')
      const [, token = ''] = session.split('=')
      for (const cookie of [
        SESSION,
        `${SESSION}v1`,
        `${SESSION}v1..`,
        `${SESSION}"${token}"`,
        `${SESSION}${token.slice(0, -1)}`,
        `${SESSION}${token}x`,
        `${SESSION}${token.replace('v1.', 'v2.')}`,
        `${SESSION.toLowerCase()}${token}`,
        `${SESSION}%00`,
        `x${session}`,
        ';;;=;',
      ]) {
        assertRefused(await gate.send({ protocol, cookie }))
      }
    },
  },
  {
    name: 'the host is compared case-insensitively (Authelia CVE-2026-48794, tinyauth CVE-2026-77560)',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      assertOpen(await gate.send({ protocol, cookie, host: 'HOME.example' }))
    },
  },
  {
    name: 'another host name is rejected, with or without a certificate',
    run: async (gate, protocol) => {
      for (const host of ['other.example', 'home.example.evil.example', 'localhost']) {
        const cookie = await gate.session('ada')
        assertClosed(await gate.send({ protocol, credential: 'ada', cookie, host }))
      }
    },
  },
  {
    name: 'the host that certlatch is told is the one that the proxy used for routing, in an absolute request too',
    protocols: ONCE,
    run: async (gate) => {
      const head = rawHead('GET https://home.example/', 'other.example')
      const { questions, status } = await sendRaw(gate, head, 'ada')
      for (const { headers } of questions) {
        const hosts = valuesOf(headers, 'x-forwarded-host')
        assert.deepEqual(hosts, ['home.example'], 'the host that certlatch is told')
      }
      assert.ok(questions.length > 0 || status >= 400, 'or it is refused at once')
    },
  },
  {
    name: 'of several hosts the application is told only its own, whether in a list, a second line or the target',
    protocols: ONCE,
    run: async (gate) => {
      const lines = (...hosts: readonly string[]) => hosts.join('\r\nHost: ')
      for (const [target, host] of [
        ['/', 'evil.example,home.example'],
        ['/', 'evil.example, home.example'],
        ['/', 'home.example,evil.example'],
        ['/', 'home.example:443,evil.example'],
        ['/', 'evil.example:home.example'],
        ['/', lines('evil.example', 'home.example')],
        ['/', lines('home.example', 'evil.example')],
        ['https://evil.example/', 'home.example'],
        ['https://evil.example/', lines('home.example', 'evil.example')],
      ] as const) {
        const answer = await sendRaw(gate, rawHead(`GET ${target}`, host), 'ada')
        // nginx ignores what follows a port, and passes on only the name.
        const told = answer.seen?.headers ?? []
        const hosts = told.filter(([name]) => /^(host|x-forwarded-host)$/i.test(name))
        for (const [, value] of hosts) assert.doesNotMatch(value, /evil/, `no other host: ${host}`)
        if (answer.seen !== undefined) assert.equal(answer.seen.url, '/', 'the target')
      }
    },
  },
  {
    name: 'the application is requested by path, whatever form the target had',
    protocols: ONCE,
    run: async (gate) => {
      for (const target of ['https://home.example/a?b', 'http://home.example/a?b']) {
        const { seen } = await sendRaw(gate, rawHead(`GET ${target}`, 'home.example'), 'ada')
        if (seen === undefined) continue
        assert.equal(seen.url, '/a?b')
        assert.deepEqual(valuesOf(seen.headers, 'host'), ['home.example'])
      }
    },
  },
  {
    name: 'headers that are too many or too long are refused with a 4xx, and the proxy survives',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const many = (count: number): readonly HeaderLine[] =>
        Array.from({ length: count }, (_, index) => [`X-H${index}`, 'v'])
      const long = (bytes: number): readonly HeaderLine[] => [['X-Long', 'x'.repeat(bytes)]]
      const headers = [
        ...[97, 200, 1_100, 3_000].map(many),
        ...[50_000, 150_000, 300_000].map(long),
      ]
      const path = (bytes: number) => `/${'a'.repeat(bytes)}`
      const requests: readonly Request[] = [
        ...headers.map((lines) => ({ headers: lines })),
        ...[8_000, 9_000, 14_000, 50_000, 100_000, 300_000].map((bytes) => ({ path: path(bytes) })),
      ]
      for (const request of requests) {
        for (const shown of [{}, { cookie }] as const) {
          // Over HTTP/2 a proxy may end the connection instead, or Node not send it at all.
          const answer = await answerTo(gate, { protocol, ...shown, ...request })
          assert.ok(
            answer !== undefined || protocol === 'HTTP/2',
            'there is an answer to one of five attempts',
          )
          if (answer === undefined) continue
          assert.ok(answer.status < 500, `no 5xx: ${answer.status}`)
          assert.ok(answer.status === 200 || answer.status >= 400, `a 4xx, not ${answer.status}`)
          if (!('cookie' in shown)) assertClosed(answer)
          const { path = '', headers: [[, value = ''] = []] = [] } = request
          if (path.length + value.length < 50_000) continue
          assert.deepEqual(answer.questions, [], 'it is refused at the proxy')
        }
      }
      assertOpen(await gate.send({ protocol, cookie }))
      assert.equal(gate.process.exitCode ?? gate.process.signalCode, null, 'the proxy lives')
    },
  },
  {
    name: "a client's trailers do not reach the application",
    protocols: ONCE,
    // HAProxy 2.6 hands them on: SECURITY.md says so.
    proxies: ['traefik', 'caddy', 'nginx'],
    run: async (gate) => assert.deepEqual(await trailersSeen(gate), []),
  },
  {
    name: 'a handshake without server name, or with another, is no way around (Traefik CVE-2026-32305, CVE-2026-48491 GHSA-5r4w-85f3-pw66)',
    protocols: ONCE,
    run: async (gate) => {
      for (const servername of ['', 'other.example', 'x.home.example']) {
        for (const name of ['ada', 'revoked', undefined] as const) {
          const number = nextNumber()
          const credential = name && gate.world.pki.credential(name)
          const open = { servername, rejectUnauthorized: false }
          const socket = await openTls(gate.target, credential, open).catch(() => undefined)
          if (socket === undefined) continue
          const status = await statusOf(socket, rawHead('GET /', 'home.example')(number))
          const seen = gate.world.backend.find(number)
          if (name !== 'ada') assert.equal(seen, undefined, `${servername}: closed`)
          else if (status === 200) assert.ok(seen)
          else assert.ok(status !== 403, 'the certificate is asked for, or nothing is served')
        }
      }
    },
  },
  {
    name: 'a resumed TLS session has the certificate it started with, or none is resumed (nginx CVE-2025-23419, Apache CVE-2025-23048)',
    protocols: ONCE,
    run: async (gate) => {
      const { pki, backend } = gate.world
      const cookie = await gate.session('ada')
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const first = await openTls(gate.target, pki.credential('revoked'), { maxVersion })
        let session = first.getSession()
        first.on('session', (given) => {
          session = given
        })
        const refused = await statusOf(first, rawHead('GET /', 'home.example')(nextNumber()))
        assert.equal(refused, 403)
        const number = nextNumber()
        const more = { maxVersion, ...(session && { session }) }
        const second = await openTls(gate.target, undefined, more)
        const isResumed = second.isSessionReused()
        const head = rawHead('GET /', 'home.example', `Cookie: ${cookie}\r\n`)
        const status = await statusOf(second, head(number))
        assert.equal(status, isResumed ? 403 : 200, `${maxVersion}, resumed: ${isResumed}`)
        assert.equal(backend.find(number) === undefined, isResumed)
      }
    },
  },
  {
    name: 'nothing is served over HTTP/3 (Traefik CVE-2026-53622 GHSA-9cr8-q42q-g8m7, Caddy issue 7953)',
    run: async (gate, protocol) => {
      const answer = await gate.send({ protocol, credential: 'ada' })
      assert.equal(answer.headers['alt-svc'], undefined, 'no Alt-Svc')
      const port = gate.target.port.toString(16).toUpperCase().padStart(4, '0')
      for (const table of ['/proc/net/udp', '/proc/net/udp6']) {
        assert.doesNotMatch(readFileSync(table, 'latin1'), new RegExp(`:${port} `), 'no UDP port')
      }
    },
  },
]
