import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterEach, describe, test } from 'node:test'
import { requireReady } from '../../src/cli/commands/healthcheck.ts'
import { run } from '../../src/cli/main.ts'
import { problemOf } from '../support/command.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
})

async function serviceThat(listener: RequestListener, host = '127.0.0.1'): Promise<number> {
  const server = createServer(listener).listen(0, host)
  servers.push(server)
  await once(server, 'listening')
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  return address.port
}

const answering =
  (status: number, body: string): RequestListener =>
  (_request, response) => {
    response.writeHead(status).end(body)
  }

const READY = JSON.stringify({ ready: true, checks: [], keySet: '0f' })

/** Long enough for any answer here, and never waited for. */
const PATIENTLY = 10_000

const obstacleOf = (port: number, timeout = PATIENTLY) =>
  problemOf(requireReady({ host: '127.0.0.1', port }, timeout))

async function runHealthcheck(listen: string) {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  const environment = { CERTLATCH_ADMIN_LISTEN: listen }
  const exitCode = await run(['healthcheck'], environment, streams, () => Promise.resolve())
  streams.stdout.end()
  streams.stderr.end()
  return { exitCode, stdout: await text(streams.stdout), stderr: await text(streams.stderr) }
}

describe('certlatch healthcheck', () => {
  test('reports that a ready service is ready', async () => {
    const asked: string[] = []
    const port = await serviceThat((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      response.end(READY)
    })
    assert.deepEqual(await runHealthcheck(`127.0.0.1:${port}`), {
      exitCode: 0,
      stdout: 'ready\n',
      stderr: '',
    })
    assert.deepEqual(asked, ['GET /readyz'])
  })

  test('reports why a service is not ready, and fails', async () => {
    const checks = [
      { name: 'clock', ok: false, detail: 'the clock is wrong' },
      { name: 'files', ok: true, detail: 'fine' },
      { name: 'running', ok: false, detail: 'stopping' },
    ]
    const port = await serviceThat(answering(503, JSON.stringify({ ready: false, checks })))
    assert.deepEqual(await runHealthcheck(`127.0.0.1:${port}`), {
      exitCode: 1,
      stdout: '',
      stderr: 'error: not ready: clock: the clock is wrong; running: stopping\n',
    })
  })

  for (const body of [
    ...['', '<!doctype html>', 'null', '1', '{}', '{"ready":true}', '{"status":"ok"}'],
    READY.replace('true', 'false'),
  ]) {
    test(`does not take another program for a ready certlatch: ${JSON.stringify(body)}`, async () => {
      const port = await serviceThat(answering(200, body))
      assert.equal(
        await obstacleOf(port),
        `127.0.0.1:${port} answers 200: something other than certlatch listens there\nhint: check CERTLATCH_ADMIN_LISTEN`,
      )
    })
  }

  test('contacts a service that listens on every address on the loopback address', async () => {
    const port = await serviceThat(answering(200, READY))
    await requireReady({ host: '0.0.0.0', port }, PATIENTLY)
  })

  test('works over IPv6', async (context) => {
    let port: number
    try {
      port = await serviceThat(answering(404, ''), '::1')
    } catch {
      context.skip('this machine has no IPv6')
      return
    }
    for (const host of ['::1', '::', '0:0:0:0:0:0:0:0']) {
      assert.equal(
        await problemOf(requireReady({ host, port }, PATIENTLY)),
        `[::1]:${port} answers 404: something other than certlatch listens there\nhint: check CERTLATCH_ADMIN_LISTEN`,
      )
    }
  })

  for (const body of [
    '',
    'no',
    '{}',
    '{"checks":[]}',
    '{"checks":1}',
    '{"checks":[null]}',
    'null',
  ]) {
    test(`reports a 503 that does not say why: ${JSON.stringify(body)}`, async () => {
      const port = await serviceThat(answering(503, body))
      assert.equal(await obstacleOf(port), 'not ready: the answer does not say why')
    })
  }

  test('times out if no answer arrives', async () => {
    const port = await serviceThat(() => undefined)
    assert.equal(
      await obstacleOf(port, 20),
      `127.0.0.1:${port} does not answer within 20 ms\nhint: look at the log of certlatch serve`,
    )
  })

  test('times out if an answer does not end', async () => {
    const port = await serviceThat((_request, response) => {
      response.writeHead(200).write('{')
    })
    assert.equal(
      await obstacleOf(port, 100),
      `127.0.0.1:${port} does not answer within 100 ms\nhint: look at the log of certlatch serve`,
    )
  })

  test('reports that the connection was cut', async () => {
    const port = await serviceThat((request) => {
      request.socket.destroy()
    })
    assert.equal(
      await obstacleOf(port),
      `127.0.0.1:${port} cannot be reached (ECONNRESET)\nhint: check CERTLATCH_ADMIN_LISTEN`,
    )
  })

  test('reports that nothing is listening', async () => {
    const port = await serviceThat(answering(200, ''))
    servers.splice(0)[0]?.close()
    assert.equal(
      await obstacleOf(port),
      `nothing listens at 127.0.0.1:${port}\nhint: is certlatch serve running with the same CERTLATCH_ADMIN_LISTEN?`,
    )
  })
})
