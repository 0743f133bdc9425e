import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { DIALECTS, type DialectName } from '../../../src/proxy/dialects.ts'
import { APPLICATION_COOKIES, type HeaderLine, NUMBER_HEADER, valuesOf } from './backend.ts'
import { keepAliveAgent, openTls, type Protocol, statusOf, tlsOptions } from './client.ts'
import {
  type Answer,
  type Gate,
  nextNumber,
  PROXY_SECRET,
  type Request,
  SESSION,
  type SocketAnswer,
} from './gate.ts'
import { base64Der, type Credential, type CredentialName, IDENTITIES } from './pki.ts'
import { findProgram, pause } from './tools.ts'

/** A sentence of the contract, and how it is shown at a running proxy. */
export interface Case {
  readonly name: string
  /** Without it, over every protocol that the proxy speaks. */
  readonly protocols?: readonly Protocol[]
  readonly proxies?: readonly DialectName[]
  /** It ends the proxy, and so gets one of its own. */
  readonly endsProxy?: true
  readonly run: (gate: Gate, protocol: Protocol) => Promise<void>
}

const ONCE: readonly Protocol[] = ['HTTP/1.1']
const BAD: readonly CredentialName[] = ['expired', 'foreign', 'revoked', 'wrong-usage', 'large']

const proxyOf = (gate: Gate): DialectName => gate.world.kind.dialect

const sessionLines = ({ headers }: Pick<Answer, 'headers'>): readonly string[] =>
  (headers['set-cookie'] ?? []).filter((line) => line.startsWith(SESSION))

function assertOpen(answer: Answer): asserts answer is Answer & { seen: object } {
  assert.equal(answer.status, 200, `opens: expected 200, got ${answer.status}`)
  assert.ok(answer.seen, 'opens: the application saw the request')
}

function assertRefused(answer: Answer): void {
  assert.equal(answer.status, 403, `refused: expected 403, got ${answer.status}`)
  assert.equal(answer.seen, undefined, 'refused: the application saw nothing of it')
  assert.deepEqual(sessionLines(answer), [], 'refused: no session is set')
  assert.deepEqual(answer.headers['x-certlatch'], ['refused'], "refused: in certlatch's words")
}

/** Nothing of it got to the application; how the proxy says so is its own affair. */
function assertClosed(answer: Pick<Answer, 'seen' | 'status'>): void {
  assert.equal(answer.seen, undefined, 'closed: the application saw nothing of it')
  assert.ok(answer.status >= 400, `closed: got ${answer.status}`)
}

const userSeen = ({ seen }: Answer | SocketAnswer): readonly string[] =>
  valuesOf(seen?.headers ?? [], 'remote-user').map((value) =>
    Buffer.from(value, 'latin1').toString('utf8'),
  )

/** Each header of the request to the application that carries what it must not. */
function leaks(gate: Gate, { seen }: Answer | SocketAnswer): readonly string[] {
  // A piece that stands in one line of the PEM, free of what is escaped.
  const lines = gate.world.pki.credential('ada').certificate.split('\n').slice(1, -2)
  const pieces = lines.flatMap((line) => line.match(/[A-Za-z0-9]{16,}/g) ?? [])
  const secrets = [...pieces, PROXY_SECRET, SESSION.slice(0, -1)]
  return (seen?.headers ?? [])
    .filter(([, value]) => secrets.some((secret) => value.includes(secret)))
    .map(([name]) => name)
}

/** The headers that proxies fill in from a certificate, with those beside them. */
const CERTIFICATE_HEADERS =
  /^(x-forwarded-tls-client-cert(-info)?|client-cert(-chain)?|x-ssl-client-cert)$/i

/** The certificate in the header of every proxy, in its encoding. */
export const forgedCertificateHeaders = (credential: Credential): readonly HeaderLine[] => [
  ['X-Forwarded-Tls-Client-Cert', base64Der(credential)],
  ['X-Forwarded-Tls-Client-Cert-Info', encodeURIComponent('Subject="CN=ada"')],
  ['Client-Cert', `:${base64Der(credential)}:`],
  ['Client-Cert-Chain', `:${base64Der(credential)}:`],
  ['X-SSL-Client-Cert', encodeURIComponent(credential.certificate)],
  ['X-Client-Cert', `:${base64Der(credential)}:`],
]

const FORGED_REQUEST: readonly HeaderLine[] = [
  ['X-Forwarded-Method', 'OPTIONS'],
  ['X-Forwarded-Uri', '/forged'],
]

const FORGED_ORIGIN: readonly HeaderLine[] = [
  ['X-Forwarded-Host', 'forged.example'],
  ['X-Forwarded-Proto', 'http'],
  ['X-Forwarded-For', '203.0.113.7'],
]

/** What certlatch was told in `X-Forwarded-…`, one value each. */
function told({ questions }: Answer, name: string): string | undefined {
  const [question] = questions
  const values = valuesOf(question?.headers ?? [], `x-forwarded-${name}`)
  assert.equal(values.length, 1, `X-Forwarded-${name} is sent once`)
  return values[0]
}

const rules: readonly Case[] = [
  {
    name: 'a good certificate opens and is answered with the session cookie, once',
    run: async (gate, protocol) => {
      const answer = await gate.send({ protocol, credential: 'ada' })
      assertOpen(answer)
      assert.equal(sessionLines(answer).length, 1, 'the session is set once')
      // Traefik writes the attributes anew, in its own order.
      const [line = ''] = sessionLines(answer)
      for (const attribute of ['Path=/', 'Secure', 'HttpOnly', 'SameSite=Lax']) {
        assert.ok(line.split('; ').includes(attribute), `the session has ${attribute}`)
      }
      assert.doesNotMatch(line, /Domain/i)
      assert.equal(answer.questions.length, 1, 'certlatch is asked once')
    },
  },
  {
    name: 'the session cookie alone opens the page',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const answer = await gate.send({ protocol, cookie })
      assertOpen(answer)
      assert.deepEqual(sessionLines(answer), [], 'a session in its first half is not renewed')
    },
  },
  {
    name: 'without certificate and session nothing opens',
    run: async (gate, protocol) => assertRefused(await gate.send({ protocol })),
  },
  ...BAD.map(
    (credential): Case => ({
      name: `a certificate that is bad (${credential}) closes, whatever the cookie says`,
      run: async (gate, protocol) => {
        const cookie = await gate.session('ada')
        assertRefused(await gate.send({ protocol, credential, cookie }))
        assertRefused(await gate.send({ protocol, credential }))
      },
    }),
  ),
  {
    name: 'a session opens a WebSocket; nothing, or a bad certificate, does not',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = await gate.session('ada')
      const opened = await gate.openSocket({ cookie })
      assert.equal(opened.status, 101, 'the WebSocket opens')
      assert.equal(await opened.echo('hello'), 'echo: hello')
      opened.close()
      for (const shown of [{}, { credential: 'revoked', cookie } as const]) {
        const refused = await gate.openSocket(shown)
        assert.equal(refused.status, 403, 'the WebSocket is refused')
        assert.equal(refused.seen, undefined, 'the application saw nothing of it')
      }
    },
  },
  {
    name: 'a WebSocket opens by certificate, and the application learns who it is and no more',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = `theirs=1; ${await gate.session('ada')}`
      const opened = await gate.openSocket({ credential: 'ada', cookie })
      assert.equal(opened.status, 101, 'the WebSocket opens')
      opened.close()
      assert.deepEqual(userSeen(opened), [IDENTITIES.ada], 'the user on a WebSocket')
      assert.deepEqual(leaks(gate, opened), [], 'nothing leaks')
      assert.deepEqual(valuesOf(opened.seen?.headers ?? [], 'cookie'), ['theirs=1'])
    },
  },
  {
    name: 'a revoked certificate takes its session with it, on the next request',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = await gate.session('lost')
      assertOpen(await gate.send({ cookie }))
      await gate.world.certlatch.hasRevocationList(gate.world.pki.revoke('lost'))
      assertRefused(await gate.send({ cookie }))
      assertRefused(await gate.send({ cookie, protocol: 'HTTP/2' }))
      const socket = await gate.openSocket({ cookie })
      assert.equal(socket.status, 403, 'nor a WebSocket')
      assertOpen(await gate.send({ cookie: await gate.session('ada') }))
    },
  },
]

const cookies: readonly Case[] = [
  {
    name: "the session is delivered beside the application's cookies, with a 200",
    run: async (gate, protocol) => {
      const { headers } = await gate.send({ protocol, credential: 'ada' })
      assertBeside(headers['set-cookie'] ?? [])
    },
  },
  {
    name: "the session is delivered beside the application's cookies, with a 404",
    run: async (gate, protocol) => {
      const answer = await gate.send({ protocol, credential: 'ada', path: '/missing' })
      assert.equal(answer.status, 404)
      assertBeside(answer.headers['set-cookie'] ?? [])
    },
  },
  {
    name: 'the session is delivered with a 101',
    protocols: ONCE,
    // Traefik drops it (3.7.15): the page around the WebSocket brings it.
    proxies: ['caddy', 'nginx', 'haproxy'],
    run: async (gate) => {
      const opened = await gate.openSocket({ credential: 'ada' })
      opened.close()
      const lines = opened.setCookie.filter((line) => line.startsWith(SESSION))
      assert.equal(lines.length, 1, 'the session is set once')
    },
  },
  {
    name: 'certificate, secret and session stay out of the application; its own cookies get in',
    run: async (gate, protocol) => {
      const session = await gate.session('ada')
      for (const cookie of [
        `theirs=1; ${session}; more="a b"`,
        `${session}; theirs=1; more="a b"`,
        `theirs=1; more="a b"; ${session}`,
        `${SESSION}tossed; ${session}; theirs=1; ${SESSION}another; more="a b"`,
      ]) {
        const answer = await gate.send({ protocol, credential: 'ada', cookie })
        assertOpen(answer)
        assert.deepEqual(leaks(gate, answer), [], 'nothing leaks')
        const left = valuesOf(answer.seen.headers, 'cookie').join('; ')
        assert.equal(left.replaceAll(/;[ ;]*/g, '; '), 'theirs=1; more="a b"', 'its own cookies')
        assert.doesNotMatch(left, /^[; ]/, 'its own cookies do not begin with a semicolon')
      }
      const bare = await gate.send({ protocol, cookie: session })
      assertOpen(bare)
      assert.deepEqual(leaks(gate, bare), [], 'nothing leaks')
    },
  },
  {
    name: 'cookies of 6 kB pass',
    run: async (gate, protocol) => {
      const theirs = `theirs=${'x'.repeat(6_000)}`
      const cookie = `${theirs}; ${await gate.session('ada')}`
      const answer = await gate.send({ protocol, cookie })
      assertOpen(answer)
      assert.deepEqual(valuesOf(answer.seen.headers, 'cookie'), [theirs])
    },
  },
]

function assertBeside(lines: readonly string[]): void {
  const own = lines.filter((line) => line.startsWith(SESSION))
  const theirs = lines.filter((line) => !line.startsWith(SESSION))
  assert.equal(own.length, 1, `the session is set once, not ${own.length} times`)
  assert.deepEqual(
    theirs.map((line) => line.replace('Httponly', 'HttpOnly')),
    APPLICATION_COOKIES,
    "the application's cookies are kept",
  )
}

/** Other spellings of `Remote-User`, and whether the request still opens where they are sent. */
const ALIASES: readonly (readonly [name: string, opens: (proxy: DialectName) => boolean])[] = [
  ['Remote_User', () => true],
  ['remote.user', () => true],
  // Caddy hands this one on: certlatch refuses it.
  ['Remote~User', (proxy) => proxy !== 'caddy'],
]

const identity: readonly Case[] = [
  {
    name: "the application learns who it is, whatever a client's own Remote-User says (Caddy CVE-2026-30851 GHSA-7r4p-vjf4-gxv4)",
    run: async (gate, protocol) => {
      const forged: readonly HeaderLine[] = [
        ['Remote-User', 'forged'],
        ['REMOTE-USER', 'forged again'],
        ['X-Certlatch-Device', 'forged'],
        ['X-Certlatch-Via', 'forged'],
      ]
      for (const name of ['ada', 'grace'] as const) {
        const cookie = await gate.session(name)
        for (const shown of [{ credential: name }, { cookie }] as const) {
          for (const headers of [[], forged]) {
            const answer = await gate.send({ protocol, ...shown, headers })
            assertOpen(answer)
            assert.deepEqual(userSeen(answer), [IDENTITIES[name]], 'the user')
            const via = valuesOf(answer.seen.headers, 'x-certlatch-via')
            assert.deepEqual(via, ['cookie' in shown ? 'session' : 'certificate'])
            const device = valuesOf(answer.seen.headers, 'x-certlatch-device')
            assert.equal(device.length, 1, 'the device is named once')
            assert.deepEqual(
              Buffer.from(device[0] ?? '', 'latin1').toString('utf8'),
              IDENTITIES[name],
              'the device',
            )
          }
        }
      }
    },
  },
  ...ALIASES.map(
    ([alias, opens]): Case => ({
      name: `${alias} of a client gets nowhere (Traefik CVE-2026-54763 CVE-2026-88011, Caddy CVE-2026-52845, oauth2-proxy CVE-2025-64484)`,
      run: async (gate, protocol) => {
        const cookie = await gate.session('ada')
        const headers: readonly HeaderLine[] = [[alias, 'forged']]
        const answer = await gate.send({ protocol, cookie, headers })
        if (!opens(proxyOf(gate))) return assertRefused(answer)
        assertOpen(answer)
        const alike = answer.seen.headers.filter(
          ([name]) => name.toLowerCase().replace(/[^a-z]/g, '') === 'remoteuser',
        )
        assert.equal(alike.length, 1, 'one header of that name, however it is spelled')
        assert.deepEqual(userSeen(answer), [IDENTITIES.ada], 'the user')
      },
    }),
  ),
]

const forgeries: readonly Case[] = [
  {
    name: 'a good certificate in a header of any proxy, sent by a client, opens nothing',
    run: async (gate, protocol) => {
      const headers = forgedCertificateHeaders(gate.world.pki.credential('ada'))
      assertRefused(await gate.send({ protocol, headers }))
      for (const line of headers) {
        assertRefused(await gate.send({ protocol, headers: [line] }))
        assertRefused(await gate.send({ protocol, headers: [line, line] }))
      }
      assertRefused(await gate.send({ protocol, credential: 'revoked', headers }))
    },
  },
  {
    name: 'a certificate header of a client is not handed to the application, nor one of another proxy to certlatch',
    run: async (gate, protocol) => {
      const headers = forgedCertificateHeaders(gate.world.pki.credential('ada'))
      const cookie = await gate.session('ada')
      const { certificateHeader } = DIALECTS[proxyOf(gate)]
      for (const credential of [undefined, 'ada'] as const) {
        const shown = { cookie, ...(credential && { credential }) }
        const answer = await gate.send({ protocol, ...shown, headers })
        assertOpen(answer)
        const kept = answer.seen.headers.filter(([name]) => CERTIFICATE_HEADERS.test(name))
        assert.deepEqual(kept, [], 'no certificate for the application')
        const asked = answer.questions.flatMap((question) => question.headers)
        const foreign = asked.filter(
          ([name]) => CERTIFICATE_HEADERS.test(name) && name.toLowerCase() !== certificateHeader,
        )
        assert.deepEqual(foreign, [], 'no foreign certificate for certlatch')
      }
    },
  },
  {
    name: 'certlatch is told which proxy asks, whatever a client says, and the application is not',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const names = Object.keys(DIALECTS)
      const forged: readonly (readonly HeaderLine[])[] = [
        [],
        ...names.map((name): readonly HeaderLine[] => [['X-Certlatch-Proxy', name]]),
        names.map((name) => ['x-certlatch-proxy', name]),
        [['X_Certlatch_Proxy', 'envoy']],
        [['X-CERTLATCH-PROXY', '']],
        ...(protocol === 'HTTP/1.1' ? [[['Connection', 'X-Certlatch-Proxy, close'] as const]] : []),
      ]
      for (const headers of forged) {
        for (const shown of [{ cookie }, { credential: 'ada' }] as const) {
          const answer = await gate.send({ protocol, ...shown, headers })
          assertOpen(answer)
          const told = answer.questions.map((one) => valuesOf(one.headers, 'x-certlatch-proxy'))
          assert.deepEqual(told, [[proxyOf(gate)]], 'the name of the proxy')
          const handedOn = answer.seen.headers.filter(([name]) => /certlatch.proxy$/i.test(name))
          assert.deepEqual(handedOn, [], 'no name of the proxy for the application')
        }
      }
    },
  },
  {
    name: 'what a client says in X-Forwarded-Method and -Uri is not believed (oauth2-proxy CVE-2026-40575 GHSA-7x63-xv5r-3p2x)',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const path = '/real/%63onfig?a=b'
      const request = { protocol, cookie, path, method: 'PUT', headers: FORGED_REQUEST }
      const answer = await gate.send(request)
      assertOpen(answer)
      assert.equal(told(answer, 'method'), 'PUT')
      assert.equal(told(answer, 'uri'), answer.seen.url, 'certlatch is told what is handed on')
      // Traefik decodes what needs no encoding.
      assert.match(answer.seen.url, /^\/real\/(c|%63)onfig\?a=b$/)
      assert.equal(answer.seen.method, 'PUT')
    },
  },
  {
    name: 'what a client says in X-Forwarded-Host, -Proto and -For is not believed',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const answer = await gate.send({ protocol, cookie, headers: FORGED_ORIGIN })
      assertOpen(answer)
      assert.equal(told(answer, 'host'), 'home.example')
      assert.equal(told(answer, 'proto'), 'https')
      assert.equal(told(answer, 'for'), '127.0.0.1')
      const seen = (name: string) => valuesOf(answer.seen.headers, name)
      assert.deepEqual(seen('x-forwarded-for'), ['127.0.0.1'], 'the address for the application')
      assert.deepEqual(seen('x-forwarded-proto'), ['https'], 'the scheme for the application')
      assert.deepEqual(seen('x-forwarded-host'), ['home.example'], 'the host for the application')
      assert.deepEqual(seen('host'), ['home.example'], 'the host for the application')
    },
  },
  {
    name: 'X_Forwarded_Proto and X.Forwarded.Uri of a client get nowhere (Traefik CVE-2026-39858 GHSA-5m6w-wvh7-57vm)',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const headers: readonly HeaderLine[] = [
        ['X_Forwarded_Proto', 'http'],
        ['X.Forwarded.Uri', '/forged'],
      ]
      const answer = await gate.send({ protocol, cookie, headers })
      assertOpen(answer)
      const odd = answer.questions[0]?.headers.filter(([name]) => /[_.]/.test(name))
      assert.deepEqual(odd, [], 'certlatch is not asked with them')
    },
  },
  {
    name: 'a Connection header cannot take the certificate or the user away (Traefik CVE-2024-45410 GHSA-62c8-mh53-4cqv)',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = await gate.session('ada')
      const names = [
        ...Object.values(DIALECTS).map(({ certificateHeader }) => certificateHeader),
        ...['Remote-User', 'X-Forwarded-Method', 'X-Forwarded-Uri', 'X-Forwarded-Host'],
      ]
      for (const name of [...names, names.join(', '), names.join(', ').toLowerCase()]) {
        const headers: readonly HeaderLine[] = [['Connection', `close, ${name}`]]
        const answer = await gate.send({ credential: 'ada', headers })
        assertOpen(answer)
        assert.deepEqual(userSeen(answer), [IDENTITIES.ada], 'the user')
        const revoked = await gate.send({ credential: 'revoked', cookie, headers })
        assertRefused(revoked)
        assertRefused(await gate.send({ headers }))
      }
    },
  },
  {
    name: 'X-Certlatch-Page and X-Certlatch-Proxy-Secret of a client change nothing',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const headers: readonly HeaderLine[] = [
        ['X-Certlatch-Page', '1'],
        ['X-Certlatch-Proxy-Secret', 'guessed-by-the-client'],
      ]
      assertOpen(await gate.send({ protocol, cookie, headers }))
      assertRefused(await gate.send({ protocol, headers }))
    },
  },
]

/** Sends bytes over TLS and answers the status and what became of the request. */
async function sendRaw(
  gate: Gate,
  head: (number: string) => string,
  credential?: CredentialName,
): Promise<Pick<Answer, 'status' | 'seen' | 'questions'>> {
  const number = nextNumber()
  const socket = await openTls(gate.target, credential && gate.world.pki.credential(credential))
  const status = await statusOf(socket, head(number))
  return {
    status,
    seen: gate.world.backend.find(number),
    questions: gate.world.relay.questions(number),
  }
}

const rawHead =
  (start: string, host: string, more = '') =>
  (number: string) =>
    `${start} HTTP/1.1\r\nHost: ${host}\r\n${NUMBER_HEADER}: ${number}\r\n${more}Connection: close\r\n\r\n`

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

/** What the application sees behind a body, of a client whose session opens. */
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

const hostile: readonly Case[] = [
  {
    name: 'no odd request line gets to the application (Authelia CVE-2021-32637 GHSA-68wm-pfjf-wqp6)',
    protocols: ONCE,
    run: async (gate) => {
      for (const start of ODD_STARTS) {
        const { seen } = await sendRaw(gate, rawHead(start, 'home.example'))
        assert.equal(seen, undefined, `${start}: the application saw nothing of it`)
      }
    },
  },
  {
    name: 'no malformed cookie opens (authentik CVE-2026-25748 GHSA-fj56-5763-j8pp)',
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
    name: 'the host is compared without regard to case (Authelia CVE-2026-48794, tinyauth CVE-2026-77560)',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      assertOpen(await gate.send({ protocol, cookie, host: 'HOME.example' }))
    },
  },
  {
    name: 'another host name gets no further, certificate or not',
    run: async (gate, protocol) => {
      for (const host of ['other.example', 'home.example.evil.example', 'localhost']) {
        const cookie = await gate.session('ada')
        assertClosed(await gate.send({ protocol, credential: 'ada', cookie, host }))
      }
    },
  },
  {
    name: 'the host that certlatch is told is the one that the proxy went by, in an absolute request too',
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
    name: 'of several hosts the application is told none but its own, in a list, a second line or the target',
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
        // nginx takes what follows a port for part of it, and tells the name alone.
        const told = answer.seen?.headers ?? []
        const hosts = told.filter(([name]) => /^(host|x-forwarded-host)$/i.test(name))
        for (const [, value] of hosts) assert.doesNotMatch(value, /evil/, `no other host: ${host}`)
        if (answer.seen !== undefined) assert.equal(answer.seen.url, '/', 'the target')
      }
    },
  },
  {
    name: 'the application is asked by path, whatever form the target had',
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
    name: 'headers that are too many or too long are refused with a 4xx, and the proxy lives',
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
          const answer = await gate.send({ protocol, ...shown, ...request }).catch(() => undefined)
          assert.ok(answer !== undefined || protocol === 'HTTP/2', 'there is an answer')
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
    name: 'a handshake without server name, or with another, gives no way round (Traefik CVE-2026-32305, CVE-2026-48491 GHSA-5r4w-85f3-pw66)',
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
    name: 'a resumed TLS session shows the certificate it began with, or none is resumed (nginx CVE-2025-23419, Apache CVE-2025-23048)',
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
    name: 'nothing is offered over HTTP/3 (Traefik CVE-2026-53622 GHSA-9cr8-q42q-g8m7, Caddy issue 7953)',
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

const OFFERED = /Acceptable client certificate CA names\n.*The household/

const handshake: readonly Case[] = [
  {
    name: 'a browser is told whose certificates to offer',
    protocols: ONCE,
    run: async (gate) => {
      const address = `127.0.0.1:${gate.target.port}`
      const args = ['s_client', '-connect', address, '-servername', 'home.example']
      const text = await new Promise<string>((resolve) => {
        execFile(findProgram('openssl'), args, (_, out) => resolve(out)).stdin?.end()
      })
      assert.match(text, OFFERED, 'offered: the names of our CA')
    },
  },
  {
    name: 'the places of the question cannot be asked from outside',
    protocols: ONCE,
    proxies: ['nginx'],
    run: async (gate) => {
      const cookie = await gate.session('ada')
      for (const path of ['/_certlatch', '/_certlatch_page']) {
        const { status } = await gate.send({ cookie, path })
        assert.equal(status, 404, `${path}: expected 404, got ${status}`)
      }
    },
  },
]

const endings: readonly Case[] = [
  {
    name: 'a restart or reload ends open WebSockets and event streams within seconds',
    protocols: ONCE,
    endsProxy: true,
    run: async (gate) => {
      const cookie = await gate.session('ada')
      const socket = await gate.openSocket({ cookie })
      assert.equal(await socket.echo('open'), 'echo: open')
      const stream = await openEvents(gate, cookie)
      const { endingSignal, endsWithin } = gate.world.kind
      gate.process.kill(endingSignal)
      let ended: readonly string[] = []
      const both = [
        socket.closed.then(() => {
          ended = [...ended, 'WebSocket']
        }),
        stream.closed.then(() => {
          ended = [...ended, 'event stream']
        }),
      ]
      await Promise.race([Promise.all(both), pause(endsWithin)])
      assert.deepEqual([...ended].sort(), ['WebSocket', 'event stream'], 'ended in time')
    },
  },
]

/** An event stream that is left open. */
export async function openEvents(
  gate: Gate,
  cookie: string,
): Promise<{ readonly closed: Promise<void>; close(): void }> {
  const head = rawHead('GET /events', 'home.example', `Cookie: ${cookie}\r\n`)
  const socket = await openTls(gate.target, undefined)
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  // `Connection: close` ends the connection after the answer, which has no end of its own.
  socket.write(head(nextNumber()))
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => chunk.includes('first') && resolve())
  })
  return { closed, close: () => socket.destroy() }
}

const PAGES = {
  '/.certlatch/auth/reset': /unregisterWorkers/,
  '/.certlatch/auth/rescue.js': /home-assistant/,
} as const

/** Ways from the pages to the place where a certificate header is believed. */
const DETOURS = [
  '/.certlatch/auth/..%2F..%2Fverify',
  '/.certlatch/auth/%2e%2e/%2e%2e/verify',
  '/.certlatch/auth/../../verify',
  '/.certlatch/auth/reset/../../../verify',
  '/.certlatch/auth/reset/..%2f..%2f..%2fverify',
  '/.certlatch/auth/reset/..;/..;/..;/verify',
  '/.certlatch/auth/reset%3f/../../../verify',
  '/.certlatch/auth/reset%00/../../../verify',
  '/.certlatch/auth/reset%23/../../../../verify',
  '/.certlatch/auth/rescue.js/..%5c..%5c..%5cverify',
  '/.certlatch/auth/rescue.js?/../../../verify',
  '//.certlatch/auth/reset/../../../verify',
  '/verify/../.certlatch/auth/reset',
  '/verify?/../.certlatch/auth/reset',
  '/verify%3f/../.certlatch/auth/reset',
  '/.certlatch/auth/../../metrics',
  '/.certlatch/auth/..%2f..%2fstatus',
  '/.certlatch/auth//../../verify',
  '/.certlatch//auth/../../verify',
  '/.certlatch/auth/enroll/../../../verify',
  '/verify',
] as const

/** With every header that certlatch would go by, if a client could send it. */
const forgedHeaders = (gate: Gate): readonly HeaderLine[] => [
  ...forgedCertificateHeaders(gate.world.pki.credential('ada')),
  ['X-Forwarded-Method', 'GET'],
  ['X-Forwarded-Uri', '/'],
  ['X-Forwarded-Host', 'home.example'],
  ['X-Forwarded-Proto', 'https'],
  ['X-Certlatch-Page', '1'],
]

const SESSION_PAGE = '/.certlatch/auth/session'

const pages: readonly Case[] = [
  {
    name: "certlatch's own pages pass the gate, whatever is shown or not",
    run: async (gate, protocol) => {
      const { refusals } = gate.world.certlatch
      const before = await refusals()
      for (const [path, content] of Object.entries(PAGES)) {
        const shown = [undefined, 'ada', ...BAD] as const
        for (const credential of shown) {
          for (const method of ['GET', 'HEAD']) {
            const answer = await gate.send({
              protocol,
              path,
              method,
              ...(credential && { credential }),
            })
            assert.equal(answer.status, 200, `${path}: expected 200, got ${answer.status}`)
            assert.equal(answer.seen, undefined, 'the application saw nothing of it')
            assert.deepEqual(answer.questions, [], 'no question was asked')
            assert.deepEqual(sessionLines(answer), [], 'no session is set')
            if (method === 'GET') assert.match(answer.body, content)
            assert.deepEqual(answer.headers['cache-control'], ['no-store'])
          }
        }
      }
      assert.equal(await refusals(), before, 'nobody was refused')
    },
  },
  {
    name: 'another method than that of a page is for certlatch as well, and not allowed',
    run: async (gate, protocol) => {
      const body = Buffer.from('x')
      for (const path of Object.keys(PAGES)) {
        for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
          // Node sends a body over HTTP/2 with these two only.
          const carries = method === 'POST' || method === 'PUT'
          const answer = await gate.send({ protocol, path, method, ...(carries && { body }) })
          assert.equal(answer.status, 405, `${method}: expected 405, got ${answer.status}`)
          assert.equal(answer.seen, undefined, 'the application saw nothing of it')
        }
      }
    },
  },
  {
    name: 'a judged page is judged by the certificate that the proxy saw, and opens a session',
    run: async (gate, protocol) => {
      assertRefused(await gate.send({ protocol, path: SESSION_PAGE }))
      const opened = await gate.send({ protocol, path: SESSION_PAGE, credential: 'ada' })
      assert.equal(opened.status, 204, `expected 204, got ${opened.status}`)
      assert.equal(sessionLines(opened).length, 1, 'a session is set')
      const cookie = await gate.session('ada')
      assert.equal((await gate.send({ protocol, path: SESSION_PAGE, cookie })).status, 204)
      for (const credential of BAD) {
        assertRefused(await gate.send({ protocol, path: SESSION_PAGE, credential, cookie }))
      }
    },
  },
  {
    name: "a page is asked for without a client's certificate headers and login",
    run: async (gate, protocol) => {
      const { certificateHeader } = DIALECTS[proxyOf(gate)]
      const headers: readonly HeaderLine[] = [
        ...forgedHeaders(gate),
        ['Authorization', 'Bearer of-the-application'],
      ]
      for (const path of [...Object.keys(PAGES), SESSION_PAGE]) {
        const answer = await gate.send({ protocol, path, headers })
        assert.equal(answer.status, path === SESSION_PAGE ? 403 : 200)
        assert.deepEqual(sessionLines(answer), [], 'no session is set')
        assert.equal(answer.visits.length, 1, 'certlatch was asked for it')
        const sent = answer.visits.flatMap((visit) => visit.headers)
        const kept = sent.filter(([name, value]) => {
          const isCertificate = name.toLowerCase() === certificateHeader
          return isCertificate && value.length > 10
        })
        assert.deepEqual(kept, [], 'no certificate goes with it')
        const logins = sent.filter(([name]) => name.toLowerCase() === 'authorization')
        assert.deepEqual(logins, [], 'no login goes with it')
      }
    },
  },
  {
    name: 'no detour by a page, with a forged certificate, yields a session (Traefik CVE-2026-40912 GHSA-6jwx-7vp4-9847)',
    run: async (gate, protocol) => {
      for (const path of DETOURS) {
        for (const method of ['GET', 'HEAD', 'POST']) {
          const answer = await gate.send({ protocol, path, method, headers: forgedHeaders(gate) })
          assert.deepEqual(sessionLines(answer), [], `${path}: no session is set`)
          assert.equal(answer.headers['remote-user'], undefined, `${path}: nobody is named`)
          assert.equal(answer.seen, undefined, `${path}: the application saw nothing of it`)
        }
      }
    },
  },
]

const outages: readonly Case[] = [
  {
    name: 'certlatch down: closed, with a 5xx',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      await gate.world.relay.set('down')
      try {
        for (const shown of [{ cookie }, { credential: 'ada' }, {}] as const) {
          const answer = await gate.send({ protocol, ...shown })
          assertClosed(answer)
          assert.ok(answer.status >= 500, `a 5xx, not ${answer.status}`)
        }
        const socket = protocol === 'HTTP/1.1' ? await gate.openSocket({ cookie }) : undefined
        if (socket) assertClosed(socket)
      } finally {
        await gate.world.relay.set('up')
      }
      assertOpen(await gate.send({ protocol, cookie }))
    },
  },
  {
    name: 'certlatch silent: closed after five seconds, with a 5xx',
    protocols: ONCE,
    // Traefik's limit is 30 s, and fixed.
    proxies: ['caddy', 'nginx', 'haproxy'],
    run: async (gate) => {
      const cookie = await gate.session('ada')
      await gate.world.relay.set('silent')
      try {
        const answer = await Promise.race([gate.send({ cookie }), pause(6_500)])
        assert.ok(answer, 'silent: an answer comes')
        assertClosed(answer)
        assert.ok(answer.status >= 500, `a 5xx, not ${answer.status}`)
      } finally {
        await gate.world.relay.set('up')
      }
    },
  },
  {
    name: '1,000 requests one after another need no more than 5 connections to certlatch',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = await gate.session('ada')
      const before = gate.world.relay.connections
      await sendMany(gate, 1_000, { cookie }, assertOpen)
      const opened = gate.world.relay.connections - before
      assert.ok(opened <= 5, `connections: ${opened}`)
    },
  },
  {
    name: '100 refusals one after another need no more than 5 connections to certlatch',
    protocols: ONCE,
    run: async (gate) => {
      const before = gate.world.relay.connections
      await sendMany(gate, 100, {}, assertRefused)
      const opened = gate.world.relay.connections - before
      assert.ok(opened <= 5, `connections: ${opened}`)
    },
  },
  {
    name: 'a refusal is counted once',
    run: async (gate, protocol) => {
      const { certlatch } = gate.world
      const before = await certlatch.refusals()
      assertRefused(await gate.send({ protocol }))
      assert.equal(await certlatch.refusals(), before + 1, 'counted once')
    },
  },
]

async function sendMany(
  gate: Gate,
  count: number,
  shown: Request,
  check: (answer: Answer) => void,
): Promise<void> {
  const agent = keepAliveAgent()
  for (let sent = 0; sent < count; sent += 1) check(await gate.send({ ...shown, agent }))
  agent.destroy()
}

const bodies: readonly Case[] = [
  {
    name: 'an upload of 20 MB passes',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const body = randomBytes(20_000_000)
      const answer = await gate.send({ protocol, cookie, method: 'POST', path: '/upload', body })
      assertOpen(answer)
      assert.equal(answer.body, createHash('sha256').update(body).digest('hex'), 'every byte of it')
      assert.equal(answer.seen.method, 'POST')
      assert.equal(answer.questions[0]?.headers.length !== 0, true)
    },
  },
  {
    name: 'an upload that pauses for three seconds passes, and begins before it is complete',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = await gate.session('ada')
      const number = nextNumber()
      const status = await slowUpload(gate, cookie, number, async () => {
        await pause(3_000)
        // nginx's other way would be to wait for all of it.
        assert.ok(gate.world.backend.find(number), 'upload: the application has seen its beginning')
      })
      assert.equal(status, 200, `upload: expected 200, got ${status}`)
    },
  },
  {
    name: 'a refused POST stays refused, and says so',
    run: async (gate, protocol) => {
      const body = Buffer.from('{"turn":"on"}')
      const method = 'POST'
      assertRefused(await gate.send({ protocol, method, body }))
      // One that another site makes the browser send: as a GET it would be let in.
      const cookie = await gate.session('ada')
      const headers: readonly HeaderLine[] = [
        ['Sec-Fetch-Site', 'cross-site'],
        ['Accept', 'text/html'],
      ]
      for (const shown of [{ cookie }, { credential: 'ada' }] as const) {
        const answer = await gate.send({ protocol, method, body, headers, ...shown })
        assertRefused(answer)
        assert.doesNotMatch(answer.body, /http-equiv="refresh"/, 'the page does not say "reload"')
      }
    },
  },
  {
    name: 'a refused page says so in words, for a GET and for a bad certificate',
    run: async (gate, protocol) => {
      for (const [shown, words] of REFUSED_IN_WORDS) {
        const answer = await gate.send({ protocol, headers: HTML, ...shown })
        assertRefused(answer)
        assert.match(answer.body, words, "certlatch's own page")
        assert.match((answer.headers['content-security-policy'] ?? []).join(), /default-src 'none'/)
      }
    },
  },
  {
    name: 'an event stream passes, event by event',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = await gate.session('ada')
      const events = await readEvents(gate, cookie)
      assert.deepEqual(events, ['first', 'second'], 'event by event')
    },
  },
  {
    name: 'HEAD passes as HEAD',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const answer = await gate.send({ protocol, cookie, method: 'HEAD' })
      assertOpen(answer)
      assert.equal(answer.seen.method, 'HEAD')
    },
  },
]

const HTML: readonly HeaderLine[] = [['Accept', 'text/html']]

const REFUSED_IN_WORDS: readonly (readonly [Request, RegExp])[] = [
  [{}, /No certificate was shown/],
  [{ credential: 'expired' }, /The certificate of this device has expired/],
  [{ credential: 'foreign' }, /This certificate is not accepted here/],
  [{ credential: 'revoked' }, /The certificate of this device was withdrawn/],
]

function slowUpload(
  gate: Gate,
  cookie: string,
  number: string,
  between: () => Promise<void>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      ...tlsOptions(gate.target, undefined),
      method: 'POST',
      path: '/upload',
      agent: false,
      headers: { Host: 'home.example', Cookie: cookie, [NUMBER_HEADER]: number },
    })
    outgoing.on('response', (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
    outgoing.on('error', () => resolve(0))
    outgoing.write('the beginning')
    between().then(() => outgoing.end('the end'), reject)
  })
}

/** Reads the first event, only then has the second one sent, and reads that. */
function readEvents(gate: Gate, cookie: string): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      ...tlsOptions(gate.target, undefined),
      path: '/events',
      agent: false,
      headers: { Host: 'home.example', Cookie: cookie },
    })
    let text = ''
    const finish = () => {
      clearTimeout(deadline)
      outgoing.destroy()
      resolve([...text.matchAll(/data: (\w+)/g)].map(([, event]) => event ?? ''))
    }
    const deadline = setTimeout(finish, 1_500)
    outgoing.on('response', (answer) => {
      answer.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8')
        if (text.includes('second')) finish()
        else if (text.includes('first')) gate.world.backend.emit()
      })
      answer.on('error', () => undefined)
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** Shown at a certlatch with CERTLATCH_DENIAL=adaptive. */
export const ADAPTIVE_CASES: readonly Case[] = [
  {
    name: 'adaptive: a refused page is a 400, a refused token request a 401, all else a 403',
    run: async (gate, protocol) => {
      const body = Buffer.from('grant_type=refresh_token')
      const token = { method: 'POST', path: '/auth/token', body } as const
      const cookie = await gate.session('ada')
      assertOpen(await gate.send({ protocol, cookie, headers: HTML }))
      for (const shown of [{}, ...BAD.map((credential) => ({ credential, cookie }))]) {
        for (const [request, status] of [
          [{ headers: HTML }, 400],
          [token, 401],
          [{}, 403],
          [{ path: '/api/websocket' }, 403],
          [{ method: 'POST', path: '/auth/login_flow', body }, 403],
        ] as const) {
          const answer = await gate.send({ protocol, ...request, ...shown })
          assert.equal(answer.status, status, `adaptive: expected ${status}, got ${answer.status}`)
          assert.match(answer.body, /client certificate/)
          assert.equal(answer.seen, undefined, 'the application saw nothing of it')
          assert.deepEqual(sessionLines(answer), [], 'no session is set')
          assert.deepEqual(answer.headers['x-certlatch'], ['refused'], "in certlatch's words")
        }
      }
    },
  },
]

export const CASES: readonly Case[] = [
  ...rules,
  ...cookies,
  ...identity,
  ...forgeries,
  ...hostile,
  ...handshake,
  ...pages,
  ...outages,
  ...bodies,
  ...endings,
]
