import assert from 'node:assert/strict'
import cluster from 'node:cluster'
import { rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { test } from 'node:test'
import { StartError } from '../../src/server/start-error.ts'
import { dataPaths } from '../../src/store/data-directory.ts'
import { readRunning } from '../../src/store/running.ts'
import {
  addDeviceNow,
  certlatchNow,
  startTestCluster,
  type TestCluster,
  until,
} from '../support/cluster.ts'
import {
  type Answer,
  asked,
  type Connection,
  type Headers,
  header,
  present,
  requestBytes,
  seriesKey,
  sessionOf,
  temporaryFolder,
} from '../support/service.ts'

const workers = () => Object.values(cluster.workers ?? {}).flatMap((worker) => worker ?? [])

const NOTHING_SHOWN = { outcome: 'deny', via: 'none', reason: 'nothing-shown' }

async function askMany(service: TestCluster, count: number): Promise<void> {
  const answers = await Promise.all(Array.from({ length: count }, () => service.ask()))
  for (const { status } of answers) assert.equal(status, 403)
}

const QUESTION = requestBytes({ headers: asked() })

/** Connections that are kept open, each asked once and refused; every worker has one at least. */
async function connectToAll(service: TestCluster): Promise<readonly Connection[]> {
  const connections: Connection[] = []
  await until('each worker has a connection', async () => {
    const connection = await service.connect()
    connections.push(connection)
    assert.equal((await connection.send(QUESTION))?.status, 403)
    const refusals = service.log.lines().filter(({ msg }) => msg === 'refused')
    return new Set(refusals.map(({ worker }) => worker)).size === workers().length
  })
  // One that took many in a row would have to give some of them up.
  close(connections.splice(3, connections.length - 6))
  return connections
}

/** Asks on all of them at once; whether each of them answers so. */
async function allAnswer(connections: readonly Connection[], headers: Headers, status: number) {
  const question = requestBytes({ headers: asked(headers) })
  const answers = await Promise.all(connections.map((connection) => connection.send(question)))
  return answers.every((answer) => answer?.status === status)
}

const close = (connections: Iterable<Connection>): void => {
  for (const connection of connections) connection.close()
}

test('Metrics are the sum of what all workers have answered', async (context) => {
  const service = await startTestCluster(context)
  assert.equal(workers().length, 2)
  // Refusals are logged by whoever refused; both did.
  const connections = await connectToAll(service)
  const before = present(await service.metric('certlatch_decisions_total', NOTHING_SHOWN))
  assert.ok(before >= connections.length)
  await askMany(service, 30)
  const count = before + 30
  const { lastHour } = JSON.parse((await service.admin('/status')).body.toString())
  assert.equal(lastHour.refused, count)
  const series = await service.series()
  assert.equal(series.get(seriesKey('certlatch_decisions_total', NOTHING_SHOWN)), count)
  assert.equal(series.get('certlatch_decision_duration_seconds_count'), count)
  const bucket = { le: '+Inf' }
  assert.equal(series.get(seriesKey('certlatch_decision_duration_seconds_bucket', bucket)), count)
  assert.equal(series.get('certlatch_workers'), 2)
  assert.equal(series.get('certlatch_worker_restarts_total'), 0)
  for (const name of ['primary', 'worker-1', 'worker-2']) {
    const key = seriesKey('process_resident_memory_bytes', { process: name })
    assert.ok(present(series.get(key)) > 0, name)
  }
  close(connections)
})

test('One change of the files is one reload, and in force in all workers', async (context) => {
  const service = await startTestCluster(context)
  const connections = await connectToAll(service)
  const certificate = await addDeviceNow(service.dataDir, 'Phone of Ada')
  await until('all let it in', () => allAnswer(connections, certificate, 200))
  close(connections)
  await until('the primary tells of it', () =>
    service.log.lines().some(({ msg }) => msg === 'changed files are in force'),
  )
  assert.equal(await service.metric('certlatch_reloads_total'), 1)
  const told = service.log.lines().filter(({ msg }) => msg === 'changed files are in force')
  assert.equal(told.length, 1)
})

test('A session of one worker opens at all, and last seen is the latest of them', async (context) => {
  const service = await startTestCluster(context)
  const connections = await connectToAll(service)
  const certificate = await addDeviceNow(service.dataDir, 'Phone of Ada')
  let opened = await service.ask(certificate)
  await until('the device is known', async () => {
    opened = await service.ask(certificate)
    return opened.status === 200
  })
  const cookie = sessionOf(opened)
  await until('all workers know it', () => allAnswer(connections, [['Cookie', cookie]], 200))
  close(connections)
  const seen = (via: string) =>
    service.metric('certlatch_device_last_seen_timestamp_seconds', { device: 'Phone of Ada', via })
  await until('the primary knows it', async () => (await seen('session')) !== undefined)
  const now = Date.now() / 1000
  for (const via of ['certificate', 'session']) {
    const at = present(await seen(via))
    assert.ok(at > now - 30 && at <= now + 1, `${via}: ${at}`)
  }
  await service.stop()
  const [running] = await readRunning(dataPaths(service.dataDir).running)
  const [entry] = present(running).state.lastSeen
  assert.equal(present(entry).name, 'Phone of Ada')
  assert.ok(present(entry).sessionAt > 0)
})

test('device revoke answers when no worker lets the device in any more', async (context) => {
  const service = await startTestCluster(context)
  const environment = { CERTLATCH_DATA_DIR: service.dataDir }
  const connections = await connectToAll(service)
  const certificate = await addDeviceNow(service.dataDir, 'Phone of Ada')
  await until('all workers know it', () => allAnswer(connections, certificate, 200))
  const revoked = await certlatchNow(['device', 'revoke', 'Phone of Ada'], environment)
  assert.equal(revoked.exitCode, 0, revoked.stderr)
  assert.ok(await allAnswer(connections, certificate, 403))
  close(connections)
  const [running] = await readRunning(dataPaths(service.dataDir).running)
  assert.equal((await service.readiness()).crlNumber, present(running).state.crlNumber)
})

test('A rotated session key is confirmed by all workers', async (context) => {
  const service = await startTestCluster(context)
  const before = (await service.readiness()).keySet
  const rotated = await certlatchNow(['key', 'rotate'], { CERTLATCH_DATA_DIR: service.dataDir })
  assert.equal(rotated.exitCode, 0, rotated.stderr)
  const { keySet } = await service.readiness()
  assert.notEqual(keySet, before)
  assert.equal(await service.metric('certlatch_session_keys_info', { key_set: keySet }), 1)
})

test('A worker that is killed is replaced, others go on, and no count goes back', async (context) => {
  const service = await startTestCluster(context)
  const kept = await connectToAll(service)
  const before = present(await service.metric('certlatch_decisions_total', NOTHING_SHOWN))
  const [victim] = workers()
  present(victim).process.kill('SIGKILL')
  const answers = await Promise.all(kept.map((connection) => connection.send(QUESTION)))
  const answered = answers.filter((answer) => answer?.status === 403).length
  assert.ok(answered > 0 && answered < kept.length, `${answered} of ${kept.length}`)
  close(kept)
  await until('another one serves', async () => {
    const { status, checks } = await service.readiness()
    const check = checks.find(({ name }: { name: string }) => name === 'workers')
    const restarts = await service.metric('certlatch_worker_restarts_total')
    return status === 200 && check.ok && restarts === 1
  })
  await askMany(service, 20)
  const total = present(await service.metric('certlatch_decisions_total', NOTHING_SHOWN))
  assert.equal(total, before + answered + 20)
  assert.equal(workers().length, 2)
  const [told] = service.log.lines().filter(({ msg }) => msg === 'a worker has ended')
  assert.equal(present(told)['signal'], 'SIGKILL')
  assert.equal(present(told)['againInMilliseconds'], 100)
})

test('Of what one worker has taken alone another gets its share, and no question is lost', async (context) => {
  const service = await startTestCluster(context)
  const other = present(workers()[1])
  other.process.kill('SIGSTOP')
  const taken = await Promise.all(Array.from({ length: 24 }, () => service.connect()))
  for (const connection of taken) assert.equal((await connection.send(QUESTION))?.status, 403)
  other.process.kill('SIGCONT')
  const open = new Set(taken)
  const held = (worker: number) => {
    const labels = { process: `worker-${worker}`, type: 'TCPSocketWrap' }
    return service.metric('nodejs_active_resources', labels)
  }
  let ended = 0
  await until('each has a third of them at least', async () => {
    for (const connection of [...open]) {
      const answer = present(await connection.send(QUESTION))
      assert.equal(answer.status, 403)
      if (header(answer, 'Connection') !== 'close') continue
      ended += 1
      connection.close()
      open.delete(connection)
      open.add(await service.connect())
    }
    const counts = [await held(1), await held(2)]
    return counts.every((count) => count !== undefined && count >= 8)
  })
  assert.ok(ended >= 7, `${ended} were given up`)
  close(open)
})

test('While they stop, a connection that is kept loses no question', async (context) => {
  const service = await startTestCluster(context)
  let answered = 0
  const open = new Set<Connection>()
  const proxyConnection = async (): Promise<void> => {
    for (;;) {
      const connection = await service.connect().catch(() => undefined)
      if (connection === undefined) return
      open.add(connection)
      for (let isLast = false, first = true; !isLast; first = false) {
        const answer: Answer | undefined = await connection.send(QUESTION)
        if (answer === undefined) {
          // The connection was taken, and no worker had it yet, when the last one left.
          assert.ok(first, 'a question on a kept connection was lost')
          return
        }
        assert.equal(answer.status, 403)
        answered += 1
        isLast = header(answer, 'Connection') === 'close'
      }
      connection.close()
      open.delete(connection)
    }
  }
  const pool = Array.from({ length: 8 }, proxyConnection)
  await until('they are busy', () => answered > 200)
  const before = answered
  const stopped = service.stop()
  const { status, checks } = await service.readiness()
  assert.equal(status, 503)
  assert.equal(checks.find(({ name }: { name: string }) => name === 'running').detail, 'stopping')
  await stopped
  // As the end of the process would.
  close(open)
  await Promise.all(pool)
  assert.ok(answered > before + pool.length, 'it was answering until the end')
  assert.deepEqual(workers(), [])
  assert.deepEqual(
    service.log
      .lines()
      .map(({ msg }) => msg)
      .filter((msg) => msg !== 'refused' && msg !== 'refusals left out of the log')
      .slice(-2),
    ['stopping', 'stopped'],
  )
})

test('A port in use keeps all from starting, and leaves no process behind', async (context) => {
  const other = createServer().listen(0, '127.0.0.1')
  context.after(() => other.close())
  await new Promise((resolve) => other.once('listening', resolve))
  const address = other.address()
  assert.ok(typeof address === 'object' && address !== null)
  for (const name of ['CERTLATCH_LISTEN', 'CERTLATCH_ADMIN_LISTEN']) {
    const dataDir = await temporaryFolder()
    const settings = { [name]: `127.0.0.1:${address.port}`, CERTLATCH_DATA_DIR: dataDir }
    await assert.rejects(startTestCluster(context, { settings }), (error) => {
      assert.ok(error instanceof StartError)
      assert.deepEqual(error.problems, [
        `${name} 127.0.0.1:${address.port} is in use by another process: stop that one, or choose another port`,
      ])
      return true
    })
    assert.deepEqual(workers(), [])
    // It was there for commands to see before anybody could have been answered.
    const [told] = await readRunning(dataPaths(dataDir).running)
    if (name === 'CERTLATCH_LISTEN') {
      assert.equal(told?.state.listen, `127.0.0.1:${address.port}`)
      assert.notEqual(told.state.stoppedAt, undefined)
    }
  }
})

test('A change that is refused is told once by each process, and the state before stays', async (context) => {
  const service = await startTestCluster(context)
  await writeFile(dataPaths(service.dataDir).sessionKeys, 'nonsense')
  const refusals = () => service.log.lines().filter(({ level }) => level === 'error')
  await until('all have seen it', () => refusals().length === 3)
  const { status, checks } = await service.readiness()
  assert.equal(status, 200)
  assert.equal(checks.find(({ name }: { name: string }) => name === 'files').ok, false)
  assert.equal(await service.metric('certlatch_reload_failures_total'), 1)
})

const restarts = (service: TestCluster) => service.metric('certlatch_worker_restarts_total')

/** Kills all workers, one after another: the port that the system has chosen must not be closed. */
async function replaceAll(service: TestCluster): Promise<void> {
  const all = workers()
  for (const worker of all) {
    const before = present(await restarts(service))
    worker.process.kill('SIGKILL')
    await until('it is replaced', async () => {
      if (present(await restarts(service)) === before) return false
      return (await service.metric('certlatch_workers')) === all.length
    })
  }
}

test('While files are refused, who takes the place of a dead worker goes on with the state before', async (context) => {
  const service = await startTestCluster(context)
  const { sessionKeys, blocks } = dataPaths(service.dataDir)
  const ada = await addDeviceNow(service.dataDir, 'Phone of Ada')
  const bob = await addDeviceNow(service.dataDir, 'Phone of Bob')
  await service.refresh()
  await replaceAll(service)
  const opened = await service.ask(ada)
  const cookie = sessionOf(opened)
  const environment = { CERTLATCH_DATA_DIR: service.dataDir }
  const signedOut = await certlatchNow(['device', 'sign-out', 'Phone of Ada'], environment)
  assert.equal(signedOut.exitCode, 0, signedOut.stderr)
  const { keySet } = await service.readiness()

  await rm(blocks)
  await service.refresh()
  await writeFile(sessionKeys, 'nonsense')
  await service.refresh()
  await replaceAll(service)
  const { status, keySet: after, checks } = await service.readiness()
  assert.deepEqual([status, after], [200, keySet])
  assert.equal(checks.find(({ name }: { name: string }) => name === 'files').ok, false)
  const connections = await connectToAll(service)
  assert.ok(await allAnswer(connections, bob, 200))
  // The block is of a file that is gone.
  assert.ok(await allAnswer(connections, [['Cookie', cookie]], 403))
  close(connections)
})

test('A device comes for the first time on a day, whichever worker it comes to', async (context) => {
  const service = await startTestCluster(context)
  const certificate = await addDeviceNow(service.dataDir, 'Phone of Ada')
  await service.refresh()
  await replaceAll(service)
  const connections = await connectToAll(service)
  assert.ok(await allAnswer(connections.slice(0, 1), certificate, 200))
  const seen = { device: 'Phone of Ada', via: 'certificate' }
  await until('the primary knows it', async () => {
    return present(await service.metric('certlatch_device_last_seen_timestamp_seconds', seen)) > 0
  })
  // Told to the others before they are asked for their metrics.
  await service.series()
  assert.ok(await allAnswer(connections, certificate, 200))
  close(connections)
  const told = service.log.lines().filter(({ msg }) => msg === 'first opening of the day')
  assert.equal(told.length, 1)
})

test('CERTLATCH_WORKERS that is no number ends with exit code 2, and more than cores is warned of', async () => {
  const run = async (count: string) => {
    return certlatchNow(['serve'], {
      CERTLATCH_DATA_DIR: await temporaryFolder(),
      CERTLATCH_LISTEN: '127.0.0.1:0',
      CERTLATCH_ADMIN_LISTEN: '127.0.0.1:0',
      CERTLATCH_WORKERS: count,
    })
  }
  for (const nonsense of ['0', '-1', '2.5', 'many', '65', '1e1', ' 2']) {
    const { exitCode, stderr } = await run(nonsense)
    assert.equal(exitCode, 2)
    assert.match(stderr, /CERTLATCH_WORKERS is ".*": expected a number of processes from 1 to 64/)
  }
  const tooMany = availableParallelism() + 1
  const { exitCode, stdout } = await run(`${tooMany}`)
  assert.equal(exitCode, 0)
  assert.match(stdout, new RegExp(`CERTLATCH_WORKERS is ${tooMany}, and there `))
})
