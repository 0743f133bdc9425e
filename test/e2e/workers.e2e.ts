import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { addDeviceNow } from '../support/cluster.ts'
import {
  type Answer,
  asked,
  type Connection,
  exchange,
  header,
  openConnection,
  present,
  readMetrics,
  requestBytes,
  seriesKey,
  temporaryFolder,
} from '../support/service.ts'
import { repositoryFolder, until } from './support/tools.ts'

const MAIN = join(repositoryFolder(), 'dist/src/cli/main.js')
const WORKERS = 3
const CONNECTIONS = 24

type Service = Awaited<ReturnType<typeof serve>>

/** `certlatch serve` as a person starts it: the first process of a group of its own. */
async function spawnService(context: TestContext) {
  const dataDir = await temporaryFolder()
  const environment = {
    CERTLATCH_DATA_DIR: dataDir,
    CERTLATCH_LISTEN: '127.0.0.1:0',
    CERTLATCH_ADMIN_LISTEN: '127.0.0.1:0',
    CERTLATCH_WORKERS: String(WORKERS),
  }
  const child = spawn(process.execPath, [MAIN, 'serve'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  const pid = present(child.pid)
  const ended = once(child, 'exit')
  context.after(() => void (child.exitCode ?? child.signalCode ?? process.kill(-pid, 'SIGKILL')))
  const workers = async () => {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'latin1')
    return children.split(' ').filter(Boolean).map(Number)
  }
  return { dataDir, environment, child, pid, ended, workers }
}

async function serve(context: TestContext) {
  const service = await spawnService(context)
  const { child } = service
  const lines: string[] = []
  const told = createInterface({ input: child.stdout })
  told.on('line', (line) => lines.push(line))
  const isReady = (line: string) => line.includes('"msg":"ready"')
  await until('it is ready', () => lines.some(isReady))
  const { listen, admin } = JSON.parse(present(lines.find(isReady)))
  const portOf = (address: string) => Number(address.slice(address.lastIndexOf(':') + 1))
  const operations = (target: string) =>
    exchange(portOf(admin), { target, headers: [['Host', 'certlatch']] })
  return {
    ...service,
    lines,
    port: portOf(listen),
    readiness: async () => (await operations('/readyz')).status,
    series: async () => readMetrics((await operations('/metrics')).body.toString()),
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/**
 * Connections as a proxy keeps them, each with one question after another until it is told. Or, where
 * they are not kept, each with a single one.
 */
function load({ port }: Service, { isKept = true } = {}) {
  const counts = { answered: 0, lost: 0, lostFirst: 0, hung: 0, unmet: 0 }
  let isOver = false
  const question = requestBytes({ headers: asked() })
  const one = async () => {
    while (!isOver) {
      const connection = await openConnection(port).catch(() => undefined)
      if (connection === undefined) {
        counts.unmet += 1
        await new Promise((resolve) => setTimeout(resolve, 20))
        continue
      }
      const deadline = { hit: false }
      for (let isLast = false, isFirst = true; !isLast && !isOver; isFirst = false) {
        const timer = setTimeout(() => {
          deadline.hit = true
          connection.close()
        }, 3_000)
        const answer: Answer | undefined = await connection.send(question)
        clearTimeout(timer)
        if (answer === undefined)
          counts[deadline.hit ? 'hung' : isFirst ? 'lostFirst' : 'lost'] += 1
        else {
          assert.equal(answer.status, 403)
          counts.answered += 1
        }
        isLast = !isKept || answer === undefined || header(answer, 'Connection') === 'close'
      }
      connection.close()
    }
  }
  const all = Array.from({ length: CONNECTIONS }, one)
  return {
    counts,
    end: async () => {
      isOver = true
      await Promise.all(all)
    },
  }
}

const DECISIONS = seriesKey('certlatch_decisions_total', {
  ...{ outcome: 'deny', via: 'none', reason: 'nothing-shown' },
})

test('kill -9 of a worker under load costs its own connections one question each', async (context) => {
  const service = await serve(context)
  const proxy = load(service)
  const newcomers = load(service, { isKept: false })
  await until('they are busy', () => proxy.counts.answered > 2_000)
  const [victim] = await service.workers()
  const counted: number[] = []
  const count = async () => void counted.push(present((await service.series()).get(DECISIONS)))
  await count()
  process.kill(present(victim), 'SIGKILL')
  for (let round = 0; round < 10; round += 1) await count()
  await until('another one serves', async () => {
    const workers = await service.workers()
    return workers.length === WORKERS && (await service.readiness()) === 200
  })
  const { answered, lost } = proxy.counts
  await until('it goes on', () => proxy.counts.answered > answered + 2_000)
  await Promise.all([proxy.end(), newcomers.end()])
  await count()
  const told = { kept: proxy.counts, new: newcomers.counts, counted: counted.at(-1) }
  context.diagnostic(JSON.stringify(told))
  assert.deepEqual(
    counted,
    counted.toSorted((one, other) => one - other),
  )
  assert.ok(lost <= CONNECTIONS, `${lost} lost`)
  assert.equal(proxy.counts.lost, lost, 'after the replacement none was')
  // A connection ends, at the worst; a proxy asks again then. None is left without a word.
  for (const { unmet, hung } of [proxy.counts, newcomers.counts]) {
    assert.deepEqual({ unmet, hung }, { unmet: 0, hung: 0 })
  }
  assert.ok(newcomers.counts.lostFirst < CONNECTIONS)
  const all = proxy.counts.answered + newcomers.counts.answered
  const missing = all - present(counted.at(-1))
  assert.ok(missing < all / 2, `${missing} were not counted`)
  assert.equal((await service.series()).get('certlatch_worker_restarts_total'), 1)
})

test('A worker that hangs is told of, and replaced', async (context) => {
  const service = await serve(context)
  const [victim] = await service.workers()
  process.kill(present(victim), 'SIGSTOP')
  await until('it is missed', async () => (await service.readiness()) === 503)
  await until('another one serves', async () => (await service.readiness()) === 200, 30_000)
  assert.ok(!isAlive(present(victim)))
  const [told] = service.lines.filter((line) => line.includes('"msg":"a worker has ended"'))
  assert.match(present(told), /it has said nothing for 15 seconds, and was killed/)
})

test('Without a death every question is counted once', async (context) => {
  const service = await serve(context)
  const proxy = load(service)
  await until('they are busy', () => proxy.counts.answered > 3_000)
  await proxy.end()
  assert.equal((await service.series()).get(DECISIONS), proxy.counts.answered)
  assert.equal(proxy.counts.lost, 0)
})

test('A revocation is in force in all workers within a second', async (context) => {
  const service = await serve(context)
  const certificate = await addDeviceNow(service.dataDir, 'Phone of Ada')
  const question = requestBytes({ headers: asked(certificate) })
  const connections = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => openConnection(service.port)),
  )
  const askOn = async (connection: Connection, index: number) => {
    const answer = await connection.send(question)
    // A worker that has more than its share gives some up.
    if (answer !== undefined && header(answer, 'Connection') === 'close') {
      connection.close()
      connections[index] = await openConnection(service.port)
    }
    return answer
  }
  const ask = () => Promise.all(connections.map(askOn))
  await until('all let it in', async () => (await ask()).every((answer) => answer?.status === 200))
  const command = spawn(process.execPath, [MAIN, 'device', 'revoke', 'Phone of Ada'], {
    env: service.environment,
    stdio: 'ignore',
  })
  const ended = once(command, 'exit')
  let lastOpenAt = Date.now()
  for (let isOpen = true; isOpen; ) {
    const at = Date.now()
    isOpen = (await ask()).some((answer) => answer?.status === 200)
    if (isOpen) lastOpenAt = at
  }
  const { mtimeMs } = await stat(join(service.dataDir, 'public/ca.crl'))
  context.diagnostic(`the last one was let in ${Math.round(lastOpenAt - mtimeMs)} ms after`)
  assert.ok(lastOpenAt - mtimeMs < 1_000)
  assert.deepEqual(await ended, [0, null])
  for (const connection of connections) connection.close()
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} to all processes, as of a terminal or systemd, loses no question on a kept connection`, async (context) => {
    const service = await serve(context)
    const workers = await service.workers()
    const proxy = load(service)
    await until('they are busy', () => proxy.counts.answered > 1_000)
    process.kill(-service.pid, signal)
    assert.deepEqual(await service.ended, [0, null])
    await proxy.end()
    context.diagnostic(JSON.stringify(proxy.counts))
    assert.equal(proxy.counts.lost, 0)
    assert.equal(proxy.counts.hung, 0)
    assert.deepEqual(workers.filter(isAlive), [])
    assert.ok(service.lines.some((line) => line.includes('"msg":"stopped"')))
  })
}

test('SIGTERM to all processes while they start is a stop like any other', async (context) => {
  const { pid, ended, workers } = await spawnService(context)
  await until('a worker is born', async () => (await workers()).length > 0)
  process.kill(-pid, 'SIGTERM')
  assert.deepEqual(await ended, [0, null])
})

test('No worker outlives its primary', async (context) => {
  const service = await serve(context)
  const workers = await service.workers()
  assert.equal(workers.filter(isAlive).length, WORKERS)
  process.kill(service.pid, 'SIGKILL')
  await until('all have ended', () => !workers.some(isAlive))
})
