import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer as createHttp, type RequestListener } from 'node:http'
import { createSecureServer, type ServerHttp2Session } from 'node:http2'
import { createServer as createHttps } from 'node:https'
import type { Server } from 'node:net'
import { createServer as createTcp } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Client, clauseOf, createClient, LIMITS } from '../../src/doctor/client.ts'
import { type Observation, request } from '../../src/doctor/probe.ts'
import type { Target } from '../../src/doctor/target.ts'
import { parseAnswer } from '../../src/doctor/wire.ts'
import { checkNamed, factsOf } from '../support/doctor.ts'
import { freePort } from '../support/free-port.ts'
import { makeServerCertificate } from '../support/server-certificate.ts'
import { present } from '../support/service.ts'

const certificate = makeServerCertificate('home.example', Math.floor(Date.now() / 1000))
const OTHER_NAMES = 'it is for DNS:home.example, IP Address:127.0.0.1'
const tlsOptions = { cert: certificate.certificate, key: certificate.key }
/** Short, where a test waits for it. */
const SOON = { ...LIMITS, probeMilliseconds: 150 }

const targetAt = (port: number, more: Partial<Target> = {}): Target => ({
  ...{ authority: 'home.example', host: 'home.example' },
  ...{ connectHost: '127.0.0.1', connectPort: port, plainPort: 80 },
  serverAuthorities: certificate.certificate,
  ...{ certificate: certificate.certificate, key: certificate.key },
  application: undefined,
  ...more,
})

async function listen(context: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    server.close()
    if ('closeAllConnections' in server)
      (server as { closeAllConnections(): void }).closeAllConnections()
  })
  return (server.address() as { port: number }).port
}

function clientAt(context: TestContext, target: Target, limits = LIMITS): Client {
  const client = createClient(target, limits)
  context.after(() => client.close())
  return client
}

const https = async (context: TestContext, listener: RequestListener, limits = LIMITS) =>
  clientAt(context, targetAt(await listen(context, createHttps(tlsOptions, listener))), limits)

const problemOf = (seen: Observation): string => (seen.kind === 'none' ? seen.problem : seen.kind)

test('An application that hangs, before or within its answer, costs the time of one probe', async (context) => {
  const client = await https(
    context,
    (req, res) => {
      if (req.url === '/half') res.write('half of')
    },
    SOON,
  )
  for (const path of ['/', '/half']) {
    assert.match(problemOf(await client.ask(request('x', { path }))), /^no answer within /)
  }
})

test('A request over HTTP/2 times out too, whatever the garbage collector does meanwhile', {
  timeout: 10_000,
}, async (context) => {
  const port = await listen(context, createSecureServer(tlsOptions) as unknown as Server)
  const client = clientAt(context, targetAt(port), SOON)
  const asked = client.ask(request('x', { protocol: 'HTTP/2' }))
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const collecting = setInterval(collect, 20)
  assert.match(problemOf(await asked), /^no answer within /)
  clearInterval(collecting)
})

test('A server that pushes answers and then closes the session gives no answer', async (context) => {
  const server = createSecureServer(tlsOptions)
  server.on('sessionError', () => undefined)
  server.on('stream', (stream) => {
    stream.on('error', () => undefined)
    if (stream.pushAllowed) stream.pushStream({ ':path': '/x' }, (_, pushed) => pushed?.end('x'))
    stream.session?.goaway(2)
    stream.respond({ ':status': 403 })
    stream.end()
  })
  const port = await listen(context, server as unknown as Server)
  const client = clientAt(context, targetAt(port))
  assert.equal((await client.ask(request('x', { protocol: 'HTTP/2' }))).kind, 'none')
})

test('A connection that is closed before the end of its answer gives no answer', async (context) => {
  const client = await https(context, (req, res) => {
    res.writeHead(200, { 'Content-Length': 10 })
    res.write('half')
    setImmediate(() => req.socket.destroy())
  })
  assert.match(problemOf(await client.ask(request('x'))), /^the connection was closed/)
})

test('Probes over HTTP/2 that start together share one session, and closing the client ends it', async (context) => {
  const server = createSecureServer(tlsOptions, (_, res) => res.end())
  let opened = 0
  const ended: Promise<unknown>[] = []
  server.on('session', (session) => {
    opened += 1
    ended.push(once(session, 'close'))
  })
  const port = await listen(context, server as unknown as Server)
  const client = clientAt(context, targetAt(port))
  const probes = Array.from({ length: 8 }, () => request('x', { protocol: 'HTTP/2' }))
  const seen = await Promise.all(probes.map((probe) => client.ask(probe)))
  assert.ok(seen.every(({ kind }) => kind === 'answer'))
  assert.equal(opened, 1)
  client.close()
  await Promise.all(ended)
})

test('Closing the client ends a connection on which the TLS handshake is not answered', {
  timeout: 10_000,
}, async (context) => {
  let ended: Promise<unknown> | undefined
  const silent = createTcp((socket) => {
    socket.resume()
    ended = once(socket, 'close')
  })
  const client = clientAt(context, targetAt(await listen(context, silent)), SOON)
  const seen = await client.ask(request('x', { protocol: 'HTTP/2' }))
  assert.match(problemOf(seen), /^no answer within /)
  client.close()
  await ended
})

test('After the server has ended the session, the next probe over HTTP/2 opens another', async (context) => {
  const server = createSecureServer(tlsOptions, (_, res) => res.end())
  const sessions: ServerHttp2Session[] = []
  server.on('session', (session) => sessions.push(session))
  const port = await listen(context, server as unknown as Server)
  const client = clientAt(context, targetAt(port))
  const probe = request('x', { protocol: 'HTTP/2' })
  assert.equal((await client.ask(probe)).kind, 'answer')
  sessions[0]?.close()
  // The socket has been closed by both sides then.
  if (sessions[0]?.destroyed === false) await once(sessions[0], 'close')
  assert.equal((await client.ask(probe)).kind, 'answer')
  assert.equal(sessions.length, 2)
})

test('Of an endless answer 64 kB are read, over HTTP/1.1 and HTTP/2', async (context) => {
  const endless: RequestListener = (_, res) => {
    const more = () => {
      while (!res.destroyed && res.write('x'.repeat(10_000)));
    }
    res.on('drain', more)
    more()
  }
  const client = await https(context, endless)
  const secure = createSecureServer(tlsOptions, endless as never)
  context.after(() => secure.close())
  secure.listen(0, '127.0.0.1')
  await once(secure, 'listening')
  const other = clientAt(context, targetAt((secure.address() as { port: number }).port))
  for (const [who, protocol] of [
    [client, 'HTTP/1.1'],
    [other, 'HTTP/2'],
  ] as const) {
    const seen = await who.ask(request('x', { protocol }))
    assert.equal(seen.kind === 'answer' && seen.body.length, 64 * 1024)
  }
})

test('A redirect is an answer, and is not followed', async (context) => {
  let count = 0
  const client = await https(context, (req, res) => {
    count += 1
    res.writeHead(302, { Location: req.url }).end()
  })
  const seen = await client.ask(request('x'))
  assert.equal(seen.kind === 'answer' && seen.status, 302)
  assert.equal(count, 1)
})

test('A connection that the server has closed meanwhile is opened again', async (context) => {
  let connections = 0
  const server = createHttps(tlsOptions, (req, res) => {
    res.end(() => setImmediate(() => req.socket.destroy()))
  })
  server.on('secureConnection', () => {
    connections += 1
  })
  const client = clientAt(context, targetAt(await listen(context, server)))
  for (let times = 0; times < 20; times += 1) {
    assert.equal((await client.ask(request('x'))).kind, 'answer')
  }
  assert.ok(connections > 1)
})

test('What is sent is what was planned: path, host, repeated headers, trailer, WebSocket', async (context) => {
  const client = await https(context, (req, res) => {
    req.resume()
    req.on('end', () => {
      const { method, url, headers, rawTrailers, headersDistinct } = req
      res.end(
        JSON.stringify({
          method,
          url,
          host: headers.host,
          twice: headersDistinct['x-a'],
          rawTrailers,
        }),
      )
    })
  })
  const headers = [
    ['X-A', '1'],
    ['X-A', '2'],
  ] as const
  const path = '/a/../%2e\\b'
  const seen = await client.ask(
    request('x', { method: 'POST', path, host: 'other.example', headers, trailer: ['X-T', '3'] }),
  )
  assert.deepEqual(seen.kind === 'answer' && JSON.parse(seen.body), {
    ...{ method: 'POST', url: path, host: 'other.example', twice: ['1', '2'] },
    rawTrailers: ['X-T', '3'],
  })
})

test('The session cookie is sent only with the probes that need it', async (context) => {
  const client = await https(context, (req, res) => res.end(req.headers.cookie ?? 'none'))
  client.useCookie('a=b')
  for (const [shown, body] of [
    ['nothing', 'none'],
    ['certificate', 'none'],
    ['cookie', 'a=b'],
  ] as const) {
    const seen = await client.ask(request('x', { shown }))
    assert.equal(seen.kind === 'answer' && seen.body, body)
  }
})

test('There are no more requests than the limit, and none after the time limit of the run', async (context) => {
  let count = 0
  const listener: RequestListener = (_, res) => {
    count += 1
    res.end()
  }
  const few = await https(context, listener, { ...LIMITS, mostRequests: 5 })
  const seen = await Promise.all(Array.from({ length: 9 }, () => few.ask(request('x'))))
  assert.equal(count, 5)
  assert.equal(seen.filter(({ kind }) => kind === 'none').length, 4)
  assert.equal(few.asked, 5)
  const late = await https(context, listener, { ...LIMITS, runMilliseconds: 0 })
  assert.match(problemOf(await late.ask(request('x'))), /time limit of the run/)
})

test('Unreachable servers are recognised: refused, closed at once, no TLS, another certificate', async (context) => {
  const cases = [
    [await freePort(), /refused/],
    [
      await listen(
        context,
        createTcp((socket) => socket.destroy()),
      ),
      /closed/,
    ],
    [
      await listen(
        context,
        createTcp((socket) => socket.end('220 mail ESMTP\r\n')),
      ),
      /does not speak TLS/,
    ],
    [
      await listen(
        context,
        createTcp(() => undefined),
      ),
      /no answer within/,
    ],
  ] as const
  for (const [port, says] of cases) {
    const client = clientAt(context, targetAt(port), SOON)
    for (const probe of [{ kind: 'tls', label: '' } as const, request('x')]) {
      const seen = await client.ask(probe)
      assert.match(problemOf(seen), says)
      const isUnknown = /refused|no answer/.test(problemOf(seen)) || undefined
      assert.equal(seen.kind === 'none' && seen.isUnknown, isUnknown)
    }
  }
  const port = await listen(
    context,
    createHttps(tlsOptions, (_, res) => res.end()),
  )
  const seen = await clientAt(context, targetAt(port, { host: 'other.example' })).ask({
    kind: 'tls',
    label: '',
  })
  assert.equal(seen.kind === 'server' && seen.problem, OTHER_NAMES)
  const strange = clientAt(context, targetAt(port, { serverAuthorities: undefined }))
  const own = await strange.ask({ kind: 'tls', label: '' })
  assert.equal(own.kind === 'server' && own.problem, 'it is self-signed, and not trusted here')
  assert.equal((await strange.ask(request('x'))).kind, 'none')
})

test('With only HTTP/2 the server is found, and HTTP/1.1 is reported as missing', async (context) => {
  const server = createSecureServer(tlsOptions, (_, res) => res.end())
  const client = clientAt(context, targetAt(await listen(context, server as unknown as Server)))
  assert.equal((await client.ask({ kind: 'tls', label: '' })).kind, 'server')
  assert.match(problemOf(await client.ask(request('x'))), /^HTTP\/1\.1 is not offered/)
})

test("The server's certificate is compared with the URL, not with the address that is connected to", async (context) => {
  const port = await listen(
    context,
    createHttps(tlsOptions, (_, res) => res.end()),
  )
  // The certificate is valid for home.example and 127.0.0.1.
  for (const [host, problem] of [
    ['127.0.0.1', undefined],
    ['192.0.2.1', OTHER_NAMES],
    ['::1', OTHER_NAMES],
  ] as const) {
    const client = clientAt(context, targetAt(port, { host, authority: host }))
    const seen = await client.ask({ kind: 'tls', label: '' })
    assert.equal(seen.kind === 'server' ? seen.problem : seen.kind, problem)
    const kind = problem === undefined ? 'answer' : 'none'
    assert.equal((await client.ask(request('x'))).kind, kind)
  }
})

test('A server without HTTP/2 is reported', async (context) => {
  const client = await https(context, (_, res) => res.end())
  assert.equal(
    problemOf(await client.ask(request('x', { protocol: 'HTTP/2' }))),
    'HTTP/2 is not offered',
  )
})

test('A resumed TLS session is distinguished from a new one', async (context) => {
  const options = { ...tlsOptions, requestCert: true, rejectUnauthorized: false }
  const port = await listen(
    context,
    createHttps(options, (_, res) => res.end()),
  )
  const client = clientAt(context, targetAt(port))
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const seen = await client.ask({ kind: 'resume', label: '', version })
    assert.equal(seen.kind === 'answer' && seen.isResumed, true)
  }
  assert.equal(client.asked, 4)
})

test('A QUIC server is recognised by its answer to a version that does not exist', async (context) => {
  const server = createSocket('udp4')
  context.after(() => server.close())
  server.bind(0, '127.0.0.1')
  await once(server, 'listening')
  const client = clientAt(context, targetAt(server.address().port))
  assert.match(problemOf(await client.ask({ kind: 'quic', label: '' })), /no QUIC/)
  server.on('message', (message, { port, address }) => {
    assert.ok(message.length >= 1200)
    server.send(Buffer.from([0x80, 0, 0, 0, 0, 0, 0]), port, address)
  })
  assert.equal((await client.ask({ kind: 'quic', label: '' })).kind, 'quic')
})

test('The application is probed at its own address, and plain HTTP at its port', async (context) => {
  const port = await listen(
    context,
    createHttp((req, res) => res.end(req.headers.host)),
  )
  const application = new URL(`http://127.0.0.1:${port}`)
  const target = targetAt(1, { application, plainPort: port })
  const client = clientAt(context, target)
  for (const [check, host] of [
    ['bypass', `127.0.0.1:${port}`],
    ['plain-http', `home.example:${port}`],
  ] as const) {
    const [probe] = checkNamed(check).plan?.(factsOf({ target })) ?? []
    const seen = await client.ask(present(probe))
    assert.equal(seen.kind === 'answer' && seen.body, host)
  }
})

test('No probe is sent once the run is stopped', async (context) => {
  const stop = new AbortController()
  const port = await listen(
    context,
    createHttps(tlsOptions, () => undefined),
  )
  const client = createClient(targetAt(port), LIMITS, stop.signal)
  context.after(() => client.close())
  const asked = client.ask(request('x'))
  stop.abort()
  for (const seen of [await asked, await client.ask(request('x'))]) {
    assert.match(problemOf(seen), /stopped/)
  }
})

test('An answer is parsed from its bytes, and anything but HTTP is reported as such', () => {
  const text = 'HTTP/1.1 400 Bad Request\r\nA: 1\r\na: 2\r\nodd\r\n\r\nbody\r\n'
  assert.deepEqual(parseAnswer(text), {
    ...{ kind: 'answer', status: 400, headers: { a: ['1', '2'] } },
    body: 'body\r\n',
  })
  assert.throws(() => parseAnswer('220 mail'), /not HTTP/)
  assert.throws(() => parseAnswer(''), /closed/)
})

const error = (code: string, message: string) => Object.assign(new Error(message), { code })

test('Every error is described as a clause, without a stack', () => {
  for (const [given, says] of [
    [error('ENOTFOUND', 'getaddrinfo ENOTFOUND x'), 'the name does not resolve'],
    [error('ECONNRESET', 'socket hang up'), 'the connection was closed without an answer'],
    [
      error('ERR_SSL_X', 'ssl3_read_bytes:sslv3 alert bad certificate:1605'),
      'the TLS alert "bad certificate"',
    ],
    [error('HPE_INVALID_CONSTANT', 'Parse Error'), 'the answer is not HTTP'],
    [error('EODD', 'Odd'), 'EODD'],
    [new Error('the connection was closed\nat x'), 'the connection was closed'],
  ] as const) {
    assert.equal(clauseOf(given), says)
  }
})
