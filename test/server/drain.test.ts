import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  type Answer,
  addTestDevice,
  asked,
  exchange,
  header,
  openConnection,
  present,
  requestBytes,
  sessionOf,
  startTestService,
} from '../support/service.ts'

async function serviceWithQuestion(context: TestContext) {
  const service = await startTestService(context)
  const { certificate } = await addTestDevice(service.dataDir)
  await service.refresh()
  const cookie = sessionOf(await service.askWith(certificate))
  return { service, question: requestBytes({ headers: asked([['Cookie', cookie]]) }) }
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code

test('During shutdown, no auth request on a kept-alive connection is lost', async (context) => {
  const { service, question } = await serviceWithQuestion(context)
  let answered = 0
  let ended = false
  // A proxy's pool: connections that are kept as long as certlatch keeps them.
  const proxyConnection = async (): Promise<void> => {
    for (;;) {
      const connection = await openConnection(service.port).catch((error: unknown) => {
        assert.ok(['ECONNREFUSED', 'ECONNRESET'].includes(codeOf(error) ?? ''))
        return undefined
      })
      if (connection === undefined) return
      for (let asked = 0, last = false; !last; asked += 1) {
        assert.ok(!ended, 'a connection was kept beyond the end')
        const answer: Answer | undefined = await connection.send(question)
        if (answer === undefined) {
          // The system had taken the connection, certlatch not yet, when the listener closed.
          assert.equal(asked, 0, 'an auth request on a kept connection was lost')
          return
        }
        assert.equal(answer.status, 200)
        answered += 1
        last = header(answer, 'Connection') === 'close'
      }
      connection.close()
    }
  }
  const pool = Array.from({ length: 8 }, proxyConnection)
  while (answered < 200) await new Promise((resolve) => setImmediate(resolve))
  const before = answered
  await service.stop()
  ended = true
  await Promise.all(pool)
  assert.ok(answered > before + pool.length, 'it was answering until the end')
})

test('During shutdown, answers close their connection and /readyz says so', async (context) => {
  const { service, question } = await serviceWithQuestion(context)
  const kept = await openConnection(service.port)
  const before = present(await kept.send(question))
  assert.notEqual(header(before, 'Connection'), 'close')
  const stopped = service.stop()
  const readiness = await service.readiness()
  assert.equal(readiness.status, 503)
  assert.deepEqual(readiness.checks['running'], { name: 'running', ok: false, detail: 'stopping' })
  assert.equal(header(present(await kept.send(question)), 'Connection'), 'close')
  const refused = await service.ask()
  assert.equal(refused.status, 403)
  assert.equal(header(refused, 'Connection'), 'close')
  assert.deepEqual(await kept.readToEnd(), [])
  await stopped
  const told = service.logLines().map(({ msg }) => msg)
  assert.deepEqual(told.slice(-3), ['stopping', 'refused', 'stopped'])
  for (const port of [service.port, service.adminPort]) {
    await assert.rejects(openConnection(port), (error) => codeOf(error) === 'ECONNREFUSED')
  }
})

test('Without connections it stops at once', async (context) => {
  const service = await startTestService(context)
  const before = performance.now()
  await service.stop()
  assert.ok(performance.now() - before < 900)
})

test('Idle connections are kept for the drain, then closed', async (context) => {
  const { service, question } = await serviceWithQuestion(context)
  const idle = await openConnection(service.port)
  await idle.send(question)
  const stopped = service.stop()
  assert.deepEqual(await idle.readToEnd(), [])
  await stopped
})

test('An incomplete auth request delays shutdown only by some seconds', async (context) => {
  const service = await startTestService(context)
  const slow = await openConnection(service.port)
  slow.socket.write('GET /verify HTTP/1.1\r\nHost: ')
  await exchange(service.port, { headers: asked() })
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const stopped = service.stop()
  // Each pass lets what waits for a timer set it.
  let over = false
  const closed = slow.readToEnd().then((answers) => {
    over = true
    return answers
  })
  let seconds = 0
  for (; !over && seconds < 60; seconds += 1) {
    for (let pass = 0; pass < 20; pass += 1) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    context.mock.timers.tick(1000)
  }
  assert.ok(seconds >= 5 && seconds <= 8, `${seconds} s`)
  assert.deepEqual(await closed, [])
  await stopped
})

test('Auth requests in progress at shutdown are answered', async (context) => {
  const { service, question } = await serviceWithQuestion(context)
  const connections = await Promise.all(
    Array.from({ length: 20 }, () => openConnection(service.port)),
  )
  const half = question.length >> 1
  for (const { socket } of connections) socket.write(question.subarray(0, half))
  await service.ask()
  const stopped = service.stop()
  const rest = question.subarray(half)
  const answers = await Promise.all(connections.map((connection) => connection.send(rest)))
  for (const answer of answers) assert.equal(present(answer).status, 200)
  await stopped
})
