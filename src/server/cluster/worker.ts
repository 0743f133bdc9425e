import { setTimeout as delay } from 'node:timers/promises'
import { Registry } from 'prom-client'
import { type Config, parseConfig } from '../../config/config.ts'
import { deviceKey } from '../../store/device-registry.ts'
import type { SeenCertificate } from '../../store/running.ts'
import { type Gate, openGate } from '../gate.ts'
import { createLastSeen, type LastSeen } from '../last-seen.ts'
import { connectionCount } from '../lifecycle.ts'
import { listenOn } from '../listeners.ts'
import { createLog } from '../log.ts'
import { createTally, registerProcess } from '../metrics.ts'
import { readiness } from '../readiness.ts'
import { StartError } from '../start-error.ts'
import type { FromWorker, StartOrder, ToWorker, WorkerReport } from './messages.ts'

/** How a worker speaks to its primary. */
export interface Channel {
  /** Answers once it is on its way. */
  send(message: FromWorker): Promise<void>
  /** Says goodbye; the process ends with it. */
  close(): void
}

/** How much a worker that is killed can take with it into the grave. */
const REPORT_MILLISECONDS = 1_000

/** A look at the files that takes longer hangs. */
const HANGING_MILLISECONDS = 5_000

/** Does what the primary says; answers what to call with each message. */
export function createWorker(channel: Channel): (message: ToWorker) => void {
  let opened: Opened | undefined
  const obey = async (message: ToWorker): Promise<void> => {
    if (message.kind === 'start') opened = await open(message.order, channel)
    else if (message.kind === 'listen') await opened?.listen(message.address)
    else if (message.kind === 'stop') {
      await opened?.stop()
      channel.close()
    }
  }
  let underWay: Promise<void> = Promise.resolve()
  return (message) => {
    if (message.kind === 'seen') opened?.restore(message.seen)
    if (message.kind === 'ask') void opened?.answer(message.question)
    if (message.kind === 'shed') opened?.shed(message.connections)
    // Starting, listening and stopping come one after the other.
    underWay = underWay
      .then(() => obey(message))
      .catch(async (error: unknown) => {
        if (!(error instanceof StartError)) throw error
        await channel.send({ kind: 'unfit', problems: error.problems })
        channel.close()
      })
  }
}

interface Opened {
  listen(address: Config['listen']): Promise<void>
  restore(seen: readonly SeenCertificate[]): void
  shed(connections: number): void
  answer(question: number): Promise<void>
  stop(): Promise<void>
}

async function open(order: StartOrder, channel: Channel): Promise<Opened> {
  const { number, values, seen, origin } = order
  const config = configOf(values)
  const destination = { write: (line: string) => void channel.send({ kind: 'log', line }) }
  const log = createLog(config.logLevel, destination, config.logFormat).child({ worker: number })
  const nowSeconds = () => Math.floor(Date.now() / 1000)
  const tally = createTally()
  const lastSeen = createLastSeen()
  lastSeen.restore(seen)
  const metrics = new Registry()
  registerProcess(metrics, { process: `worker-${number}` })
  // The primary reads the same files and tells of them once; what only this process finds, it tells.
  const filesLog = log.child({}, { level: 'error' })
  const events = { onReplaced: () => void send(), onRefused: () => void send() }
  const kept = { tally, lastSeen, origin }
  const gate = await openGate({ config, log, filesLog, ...kept, nowSeconds, ...events })
  const takeNews = newsOf(lastSeen)
  const report = async (): Promise<WorkerReport> => ({
    connections: await connectionCount(gate.server),
    tally,
    cacheEntries: gate.cacheEntries(),
    readiness: readiness(gate.trust, undefined, nowSeconds(), gate.isDraining()),
    blocksNumber: gate.trust.current.blocks.number,
    seen: takeNews(),
  })
  const send = async () => channel.send({ kind: 'report', report: await report() })
  await send()
  const timer = setInterval(() => void send(), REPORT_MILLISECONDS)
  timer.unref()
  return {
    listen: (address) => listen(gate, address, channel),
    restore: (others) => lastSeen.restore(others),
    shed: gate.shed,
    answer: async (question) => {
      const told = await metrics.getMetricsAsJSON()
      await channel.send({ kind: 'answer', question, report: await report(), metrics: told })
    },
    stop: async () => {
      await gate.drain()
      clearInterval(timer)
      gate.trust.close()
      await send()
    },
  }
}

function configOf(values: StartOrder['values']): Config {
  const parsed = parseConfig(values)
  if (!parsed.ok) throw new StartError(parsed.problems)
  return parsed.config
}

async function listen(gate: Gate, address: Config['listen'], channel: Channel): Promise<void> {
  // What came after the first look, and was confirmed by all others, must hold here as well. Files
  // that do not answer keep nobody else from serving either.
  await Promise.race([gate.trust.refresh(), delay(HANGING_MILLISECONDS, undefined, { ref: false })])
  const actual = await listenOn(gate.server, 'CERTLATCH_LISTEN', address)
  await channel.send({ kind: 'serving', address: actual })
}

/** Answers, each time, what is new since the last time. */
function newsOf(lastSeen: LastSeen): () => readonly SeenCertificate[] {
  const told = new Map<string, string>()
  return () => {
    const all = lastSeen.all().map((entry) => {
      const { issuerKeyHash, serial, certificateAt, sessionAt } = entry
      return { entry, key: deviceKey(issuerKeyHash, serial), at: `${certificateAt} ${sessionAt}` }
    })
    const news = all.filter(({ key, at }) => told.get(key) !== at)
    told.clear()
    for (const { key, at } of all) told.set(key, at)
    return news.map(({ entry }) => entry)
  }
}
