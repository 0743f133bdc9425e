import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import {
  addTestDevice,
  asked,
  certificateHeader,
  exchange,
  type Headers,
  header,
  openConnection,
  present,
  requestBytes,
  sessionOf,
  startTestService,
  type TestService,
} from '../support/service.ts'

async function serviceWithCookie(context: TestContext) {
  const service = await startTestService(context)
  const { certificate } = await addTestDevice(service.dataDir)
  await service.refresh()
  return { service, certificate, cookie: sessionOf(await service.askWith(certificate)) }
}

const malformed = (service: TestService) =>
  service.metric('certlatch_decisions_total', {
    outcome: 'deny',
    via: 'none',
    reason: 'malformed-http',
  })

/** Everything that certlatch answers until it closes the connection. */
async function answersTo(service: TestService, bytes: Buffer | string) {
  const connection = await openConnection(service.port)
  connection.socket.write(bytes)
  return connection.readToEnd()
}

const HEAD = requestBytes({ headers: asked() }).toString('latin1')

const GARBAGE: Readonly<Record<string, string | Buffer>> = {
  'garbage bytes': Buffer.from([0, 255, 1, 254, 13, 10, 13, 10]),
  'a TLS handshake': Buffer.from('16030100c8010000c40303', 'hex'),
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'another version': 'GET /verify HTTP/7.3\r\n\r\n',
  'an unknown method': 'VERIFY /verify HTTP/1.1\r\n\r\n',
  'a space in the target': 'GET /ver ify HTTP/1.1\r\n\r\n',
  'a header without colon': 'GET /verify HTTP/1.1\r\nHost\r\n\r\n',
  'a control character in a header': 'GET /verify HTTP/1.1\r\nCookie: a\u0001b\r\n\r\n',
  'a NUL in a header': 'GET /verify HTTP/1.1\r\nCookie: a\u0000b\r\n\r\n',
  'a space before the colon': 'GET /verify HTTP/1.1\r\nX-Forwarded-Uri : /\r\n\r\n',
  'a bad Content-Length': 'POST /verify HTTP/1.1\r\nContent-Length: many\r\n\r\n',
  'two Content-Lengths': 'POST /verify HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
  'Content-Length beside chunks':
    'POST /verify HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
  'an unknown coding': 'POST /verify HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n',
  'headers of more than 48 KiB': `GET /verify HTTP/1.1\r\nCookie: ${'c'.repeat(49 * 1024)}\r\n\r\n`,
  'a target of more than 48 KiB': `GET /verify?${'q'.repeat(49 * 1024)} HTTP/1.1\r\n\r\n`,
  CONNECT: 'CONNECT ha.test:443 HTTP/1.1\r\nHost: ha.test:443\r\n\r\n',
}

for (const [what, bytes] of Object.entries(GARBAGE)) {
  test(`${what}: one empty 403, counted as malformed-http, and the service survives`, async (context) => {
    const service = await startTestService(context)
    const [answer, ...more] = await answersTo(service, bytes)
    assert.equal(present(answer).status, 403)
    assert.equal(present(answer).body.length, 0)
    assert.equal(header(present(answer), 'Connection'), 'close')
    assert.equal(header(present(answer), 'Cache-Control'), 'no-store')
    assert.deepEqual(more, [])
    assert.equal(await malformed(service), 1)
    const told = service.logLines().find(({ reason }) => reason === 'malformed-http')
    assert.equal(told?.['peer'], '127.0.0.1')
    assert.match(String(told?.['code']), /^(HPE_\w+|CONNECT)$/)
    assert.equal((await service.ask()).status, 403)
    assert.equal(await malformed(service), 1)
  })
}

test('Garbage after an auth request: the request is answered, then the garbage', async (context) => {
  const { service, cookie } = await serviceWithCookie(context)
  const question = requestBytes({ headers: asked([['Cookie', cookie]]) }).toString('latin1')
  const answers = await answersTo(service, `${question}\u0000\u0001garbage\r\n\r\n`)
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 403],
  )
  assert.equal(await malformed(service), 1)
})

test('A broken body after an auth request grants no further access', async (context) => {
  const service = await startTestService(context)
  const chunked = requestBytes({
    method: 'POST',
    headers: asked([['Transfer-Encoding', 'chunked']]),
  }).toString('latin1')
  const answers = await answersTo(service, `${chunked}not-a-size\r\n`)
  assert.ok(answers.length >= 1)
  for (const { status } of answers) assert.equal(status, 403)
})

test('CONNECT followed by more bytes is refused too', async (context) => {
  const service = await startTestService(context)
  const connect = 'CONNECT ha.test:443 HTTP/1.1\r\nHost: ha.test\r\n\r\n'
  const answers = await answersTo(service, connect + HEAD)
  assert.deepEqual(
    answers.map(({ status }) => status),
    [403],
  )
})

test('Auth requests in older versions of HTTP are handled like any other', async (context) => {
  const { service, cookie } = await serviceWithCookie(context)
  const headers = asked([['Cookie', cookie]]).map(([name, value]) => `${name}: ${value}\r\n`)
  const old = await answersTo(service, `GET /verify HTTP/1.0\r\n${headers.join('')}\r\n`)
  assert.deepEqual(
    old.map(({ status }) => status),
    [200],
  )
  const [oldest] = await answersTo(service, 'GET /verify\r\n\r\n')
  assert.equal(present(oldest).status, 403)
})

test('An auth request without a Host header is handled like any other', async (context) => {
  const { service, cookie } = await serviceWithCookie(context)
  const headers = asked([['Cookie', cookie]]).filter(([name]) => name !== 'Host')
  assert.equal((await exchange(service.port, { headers })).status, 200)
})

test('Expect and Upgrade are headers like any other', async (context) => {
  const { service, cookie } = await serviceWithCookie(context)
  const upgrade: Headers = [
    ['Connection', 'Upgrade'],
    ['Upgrade', 'websocket'],
    ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ['Sec-WebSocket-Version', '13'],
  ]
  const cases: readonly Headers[] = [
    [['Expect', '100-continue']],
    [['Expect', 'the-unexpected']],
    upgrade,
    [
      ['Connection', 'Upgrade, HTTP2-Settings'],
      ['Upgrade', 'h2c'],
      ['HTTP2-Settings', 'AAMAAABk'],
    ],
    [['Connection', 'close']],
    [['TE', 'trailers']],
  ]
  for (const more of cases) {
    assert.equal((await service.ask(more)).status, 403, JSON.stringify(more))
    const allowed = await service.ask([['Cookie', cookie], ...more])
    assert.equal(allowed.status, 200, JSON.stringify(more))
  }
  assert.equal(await malformed(service), 0)
})

test('A connection carries many auth requests, also pipelined, each answered in turn', async (context) => {
  const { service, cookie } = await serviceWithCookie(context)
  const allowed = requestBytes({ headers: asked([['Cookie', cookie]]) }).toString('latin1')
  const last = requestBytes({ headers: asked([['Connection', 'close']]) }).toString('latin1')
  const answers = await answersTo(service, allowed + HEAD + allowed + HEAD + last)
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 403, 200, 403, 403],
  )
})

test('Up to 200 headers are all read, and more are refused: none is dropped silently', async (context) => {
  const { service, cookie } = await serviceWithCookie(context)
  const own: Headers = [...asked(), ['Cookie', cookie]]
  const padding = (count: number): Headers =>
    Array.from({ length: count - own.length }, (_, index) => [`X-${index}`, 'x'])
  const statusOf = async (headers: Headers) => (await exchange(service.port, { headers })).status
  assert.equal(await statusOf([...padding(200), ...own]), 200)
  // A look-alike after hundreds of other headers does not slip through.
  assert.equal(await statusOf([...padding(199), ...own, ['Remote_User', 'admin']]), 403)
  const counts = [201, 202, 224, 225, 2_500, 4_000]
  for (const count of counts) {
    assert.equal(await statusOf([...own, ...padding(count)]), 403, `${count}`)
    assert.equal(await statusOf([...padding(count), ...own]), 403, `${count}`)
  }
  // Node 26 reports more headers than its limit as malformed; older ones drop them, and we notice.
  const tooMany = await service.metric('certlatch_decisions_total', {
    outcome: 'deny',
    via: 'none',
    reason: 'malformed-request',
  })
  assert.equal(present(tooMany) + present(await malformed(service)), counts.length * 2)
})

test('A client that resets, or an incomplete request that ends, leaves no trace', async (context) => {
  const service = await startTestService(context)
  const reset = await openConnection(service.port)
  reset.socket.write('GET /verify HTTP/1.1\r\nHost')
  reset.socket.resetAndDestroy()
  const half = await openConnection(service.port)
  half.socket.end('GET /verify HTTP/1.1\r\nHost')
  for (const { status } of await half.readToEnd()) assert.equal(status, 403)
  const afterGarbage = await openConnection(service.port)
  afterGarbage.socket.write('garbage\r\n\r\n')
  afterGarbage.socket.resetAndDestroy()
  assert.equal((await service.ask()).status, 403)
})

test('Headers that are far too long are read to their end, so that the proxy gets the answer, and counted once', async (context) => {
  const service = await startTestService(context)
  const before = await malformed(service)
  const { socket, readToEnd } = await openConnection(service.port)
  let failure: Error | undefined
  socket.on('error', (error) => {
    failure = error
  })
  const piece = Buffer.alloc(60_000, 'x')
  socket.write('GET /verify HTTP/1.1\r\nX-Long: ')
  for (let written = 0; written < 5; written += 1) {
    await new Promise<void>((resolve) => socket.write(piece, () => resolve()))
  }
  socket.end('\r\n\r\n')
  const answers = await readToEnd()
  assert.deepEqual(
    answers.map(({ status }) => status),
    [403],
  )
  assert.equal(failure, undefined)
  assert.equal(await malformed(service), (before ?? 0) + 1)
})

// --- any bytes ------------------------------------------------------------------------------------

const FACTS = [
  'X-Forwarded-Method',
  'X-Forwarded-Proto',
  'X-Forwarded-Host',
  'X-Forwarded-Uri',
  'X-Forwarded-For',
  'X-Forwarded-Tls-Client-Cert',
  'Cookie',
  'Origin',
  'Sec-Fetch-Site',
  'Sec-Fetch-Mode',
  'Sec-WebSocket-Key',
  'Accept',
  'Access-Control-Request-Method',
  'Remote_User',
  'X-Certlatch-Page',
  'Expect',
  'Content-Length',
  'Transfer-Encoding',
  'Connection',
  'Upgrade',
]

const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code))
const anyBytes = fc.string({ unit: byte, maxLength: 40 })
const visible = fc.string({
  unit: fc.integer({ min: 32, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 60,
})

test('Whatever headers, methods and targets arrive, /verify answers 200 or 403', async (context) => {
  const { service, cookie, certificate } = await serviceWithCookie(context)
  const [[, goodCertificate]] = certificateHeader(certificate, 'traefik') as [
    readonly [string, string],
  ]
  const plausible = fc.constantFrom(
    cookie,
    `${cookie}; ${cookie}`,
    goodCertificate,
    'GET',
    'POST',
    'https',
    'ha.test',
    '/',
    '/a?b=c',
    '198.51.100.7',
    'https://ha.test',
    'null',
    'same-origin',
    'navigate',
    '%2F%00',
    '__Host-certlatch=v1.e30.x',
    '100-continue',
    '0',
    'chunked',
    'Upgrade',
    'websocket',
  )
  const pair = fc.tuple(
    fc.oneof(fc.constantFrom(...FACTS), anyBytes),
    fc.oneof({ weight: 3, arbitrary: plausible }, { weight: 2, arbitrary: visible }, anyBytes),
  )
  const question = fc.record({
    method: fc.oneof(fc.constantFrom('GET', 'HEAD', 'POST', 'OPTIONS', 'CONNECT'), anyBytes),
    query: fc.oneof(
      fc.constant(''),
      anyBytes.map((text) => `?${text}`),
    ),
    withFacts: fc.boolean(),
    withCookie: fc.boolean(),
    more: fc.array(pair, { maxLength: 6 }),
  })
  const seen = new Set<number>()
  await fc.assert(
    fc.asyncProperty(question, async ({ method, query, withFacts, withCookie, more }) => {
      const headers: Headers = [
        ...(withFacts ? asked() : []),
        ...(withCookie ? ([['Cookie', cookie]] as const) : []),
        ...more,
        ['Connection', 'close'],
      ]
      const bytes = requestBytes({ method, target: `/verify${query}`, headers })
      const connection = await openConnection(service.port)
      // Ending our side ends a body that never comes.
      connection.socket.end(bytes)
      const answers = await connection.readToEnd(method === 'HEAD')
      assert.ok(answers.length > 0, 'no answer')
      for (const { status } of answers) {
        seen.add(status)
        assert.ok(status === 200 || status === 403, `${status}`)
      }
    }),
    { numRuns: 400 },
  )
  assert.deepEqual([...seen].sort(), [200, 403])
})

test('Whatever bytes arrive, the service answers 403 or nothing, and survives', async (context) => {
  const service = await startTestService(context)
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const connection = await openConnection(service.port)
      connection.socket.end(Buffer.from(bytes))
      for (const { status } of await connection.readToEnd()) assert.equal(status, 403)
    }),
    { numRuns: 200 },
  )
  assert.equal((await service.ask()).status, 403)
})
