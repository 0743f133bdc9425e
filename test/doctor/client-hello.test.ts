import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect, createServer as createTcpServer, type Server } from 'node:net'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { createServer, type TlsOptions } from 'node:tls'
import fc from 'fast-check'
import { readCertificate } from '../../src/certificate/certificate.ts'
import { readName } from '../../src/certificate/name.ts'
import { readPemBlocks } from '../../src/certificate/pem.ts'
import {
  type ClearVersion,
  readServerFlight,
  type ServerFlight,
  writeClientHello,
} from '../../src/doctor/client-hello.ts'
import { freePort } from '../support/free-port.ts'
import { makeServerCertificate } from '../support/server-certificate.ts'
import { makeAuthority, present, temporaryFolder } from '../support/service.ts'

const server = makeServerCertificate('home.example', Math.floor(Date.now() / 1000))
const authorities = [makeAuthority('Household'), makeAuthority('Its successor, O=odd "name"')]
const bundle = authorities.map(({ pem }) => pem).join('')
const subjects = authorities.map(({ certificate }) => certificate.subject.comparable)

/** Sends a ClientHello, and reads until the flight is complete or the connection closes. */
async function greet(
  port: number,
  version: ClearVersion = 'TLS 1.2',
  name: string | undefined = 'home.example',
): Promise<ServerFlight> {
  const socket = connect({ port, host: '127.0.0.1' })
  let received = Buffer.alloc(0)
  socket.write(writeClientHello(version, name, randomBytes(32)))
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      const flight = readServerFlight(received)
      if (flight.kind === 'unfinished') return
      socket.destroy()
      resolve(flight)
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(readServerFlight(received)))
  })
}

async function listening<T extends Server>(context: TestContext, given: T): Promise<number> {
  given.listen(0, '127.0.0.1')
  await once(given, 'listening')
  context.after(() => given.close())
  return (given.address() as { port: number }).port
}

const tlsServer = (context: TestContext, options: TlsOptions) => {
  const made = createServer({ cert: server.certificate, key: server.key, ...options })
  made.on('tlsClientError', () => undefined)
  return listening(context, made)
}

const namesOf = (flight: ServerFlight): readonly (string | undefined)[] =>
  flight.kind === 'answered' ? flight.authorities.map((der) => readName(der)?.comparable) : []

describe('Our own ClientHello', () => {
  test('learns which CAs a server requests certificates from', async (context) => {
    const asking = { requestCert: true, rejectUnauthorized: false, ca: bundle }
    const port = await tlsServer(context, asking)
    const flight = await greet(port)
    assert.equal(flight.kind === 'answered' && flight.requestsCertificate, true)
    assert.deepEqual(namesOf(flight), subjects)
    assert.deepEqual(namesOf(await greet(port, 'TLS 1.2', undefined)), subjects)
  })

  test('learns that none is requested', async (context) => {
    const flight = await greet(await tlsServer(context, {}))
    assert.deepEqual(flight, {
      kind: 'answered',
      version: 'TLS 1.2',
      requestsCertificate: false,
      authorities: [],
    })
  })

  test('is refused by a TLS 1.3 only server, with the alert for that', async (context) => {
    const flight = await greet(await tlsServer(context, { minVersion: 'TLSv1.3' }))
    assert.deepEqual(flight, { kind: 'refused', alert: 'protocol version' })
  })

  for (const version of ['TLS 1.0', 'TLS 1.1'] as const) {
    test(`detects whether ${version} is supported`, async (context) => {
      const old = { minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' } as const
      const spoken = await greet(await tlsServer(context, old), version)
      assert.equal(spoken.kind === 'answered' && spoken.version, version)
      const refused = await greet(await tlsServer(context, { minVersion: 'TLSv1.2' }), version)
      assert.equal(refused.kind, 'refused')
    })
  }

  test('reports that a server does not speak TLS', async (context) => {
    const talking = createTcpServer((socket) => socket.end('220 mail.example ESMTP\r\n'))
    assert.deepEqual(await greet(await listening(context, talking)), { kind: 'not TLS' })
    const silent = createTcpServer((socket) => socket.end())
    assert.deepEqual(await greet(await listening(context, silent)), { kind: 'unfinished' })
  })

  test('is understood by openssl s_server, with many CAs in several records', async (context) => {
    const folder = await temporaryFolder()
    const many = Array.from({ length: 8 }, (_, index) => makeAuthority(`${index}`.repeat(60)))
    const files = {
      cert: server.certificate,
      key: server.key,
      ca: many.map(({ pem }) => pem).join(''),
    }
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    const port = await freePort()
    const args = ['s_server', '-accept', `127.0.0.1:${port}`, '-cert', 'cert', '-key', 'key']
    const more = ['-CAfile', 'ca', '-verify', '1', '-max_send_frag', '512', '-quiet']
    const child = spawn('openssl', [...args, ...more], { cwd: folder, stdio: 'ignore' })
    context.after(() => child.kill())
    const flight = await retried(() => greet(port))
    assert.deepEqual(
      namesOf(flight),
      many.map(({ certificate }) => certificate.subject.comparable),
    )
  })
})

async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await work()
    } catch (error) {
      if (tries === 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

// --- bytes ------------------------------------------------------------------------------------------

const record = (type: number, content: Buffer): Buffer =>
  Buffer.concat([Buffer.from([type, 3, 3, content.length >> 8, content.length & 255]), content])
const message = (type: number, body: Buffer): Buffer =>
  Buffer.concat([Buffer.from([type, 0, body.length >> 8, body.length & 255]), body])
const HELLO = message(2, Buffer.concat([Buffer.from([3, 3]), Buffer.alloc(36)]))
const DONE = message(14, Buffer.alloc(0))
const request = (names: readonly Buffer[]): Buffer => {
  const list = Buffer.concat(
    names.map((name) => Buffer.concat([Buffer.from([name.length >> 8, name.length & 255]), name])),
  )
  const head = Buffer.from([1, 64, 0, 2, 4, 3, list.length >> 8, list.length & 255])
  return message(13, Buffer.concat([head, list]))
}

describe("A server's TLS messages", () => {
  test('may be cut into records anywhere, and are complete only at the end', () => {
    const [der] = readPemBlocks(bundle, 'CERTIFICATE', true) ?? []
    const subject = present(readCertificate(present(der))).subject.der
    const all = Buffer.concat([HELLO, request([subject]), DONE])
    fc.assert(
      fc.property(fc.integer({ min: 1, max: all.length }), (cut) => {
        const parts = [all.subarray(0, cut), all.subarray(cut)].filter(({ length }) => length > 0)
        const bytes = Buffer.concat(parts.map((part) => record(22, part)))
        assert.deepEqual(readServerFlight(bytes), {
          ...{ kind: 'answered', version: 'TLS 1.2', requestsCertificate: true },
          authorities: [subject],
        })
        for (const length of [0, 1, 4, 5, cut, bytes.length - 1]) {
          assert.equal(readServerFlight(bytes.subarray(0, length)).kind, 'unfinished')
        }
      }),
    )
  })

  test('are handled without an exception, whatever their bytes', () => {
    const garbage = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => record(22, Buffer.from(bytes))),
      fc
        .tuple(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ maxLength: 100 }))
        .map(([one, two]) =>
          record(22, Buffer.concat([HELLO, message(13, Buffer.from(one)), Buffer.from(two), DONE])),
        ),
    )
    const kinds = ['unfinished', 'not TLS', 'refused', 'answered']
    fc.assert(
      fc.property(garbage, (bytes) => {
        assert.ok(kinds.includes(readServerFlight(Buffer.from(bytes)).kind))
      }),
      { numRuns: 2_000 },
    )
  })

  const cases: readonly (readonly [string, Buffer, ServerFlight['kind']])[] = [
    ['an HTTP answer', Buffer.from('HTTP/1.1 400 Bad Request\r\n'), 'not TLS'],
    ['a record of no length', Buffer.from([22, 3, 3, 0, 0]), 'not TLS'],
    ['a record too long', Buffer.from([22, 3, 3, 255, 255]), 'not TLS'],
    ['another version of the record', Buffer.from([22, 2, 0, 0, 1, 0]), 'not TLS'],
    ['an alert of three bytes', record(21, Buffer.from([2, 40, 0])), 'not TLS'],
    ['a fatal alert', record(21, Buffer.from([2, 40])), 'refused'],
    ['an alert that no list has', record(21, Buffer.from([2, 200])), 'refused'],
    ['close notify', record(21, Buffer.from([1, 0])), 'refused'],
    [
      'a warning about the name, and the answer',
      Buffer.concat([record(21, Buffer.from([1, 112])), record(22, Buffer.concat([HELLO, DONE]))]),
      'answered',
    ],
    ['another first message', record(22, message(11, Buffer.alloc(3))), 'not TLS'],
    ['a ServerHello without version', record(22, message(2, Buffer.alloc(1))), 'not TLS'],
    ['a version that is none', record(22, message(2, Buffer.from([9, 9]))), 'not TLS'],
    [
      'a CertificateRequest without its lists',
      record(22, Buffer.concat([HELLO, message(13, Buffer.alloc(0)), DONE])),
      'not TLS',
    ],
    [
      'a CertificateRequest with a name that is cut',
      record(22, Buffer.concat([HELLO, message(13, Buffer.from([0, 0, 0, 0, 3, 0, 9, 1])), DONE])),
      'not TLS',
    ],
    [
      'a CertificateRequest with half a length',
      record(22, Buffer.concat([HELLO, message(13, Buffer.from([0, 0, 0, 0, 1, 0])), DONE])),
      'not TLS',
    ],
  ]
  for (const [what, bytes, kind] of cases) {
    test(`${what}: ${kind}`, () => assert.equal(readServerFlight(bytes).kind, kind))
  }
})
