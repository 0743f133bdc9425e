import cluster, { type Worker } from 'node:cluster'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { DestinationStream } from 'pino'
import type { ListenAddress } from '../../config/config.ts'
import type { Member } from './aggregate.ts'
import type { FromWorker, ProcessMetrics, StartOrder, ToWorker, WorkerReport } from './messages.ts'
import { watchSilence } from './silence.ts'

export interface HireOptions {
  readonly number: number
  /** Asked for once the worker can take it: what it says is as new as can be. */
  order(): StartOrder
  readonly logDestination: DestinationStream
  readonly listen: ListenAddress
  onReport(report: WorkerReport): void
}

/** How a worker ended. */
interface End {
  readonly pid: number | undefined
  readonly code: number | null
  readonly signal: string | null
  /** What it has said itself, or what was found of it. */
  readonly problems: readonly string[] | undefined
}

/** One worker, from its start to its end. */
export interface Hand {
  /** Its last one. */
  readonly report: WorkerReport | undefined
  readonly serving: Promise<AddressInfo>
  /** All that it has said was heard before. */
  readonly ended: Promise<End>
  /** `undefined`: it has not said anything yet. */
  member(): Member | undefined
  ageMilliseconds(): number
  send(message: ToWorker): void
  ask(): Promise<ProcessMetrics | undefined>
  stop(): Promise<void>
}

/** The same folder, and the same kind of file: TypeScript or what was made of it. */
const PROGRAM = fileURLToPath(import.meta.url).replace(/hand(\.[jt]s)$/, 'worker-process$1')

const ANSWER_MILLISECONDS = 1_000
/** Longer than a worker takes to drain: a second for its answers, and five for slow clients. */
const STOP_MILLISECONDS = 7_500

export function hire(options: HireOptions): Hand {
  const worker = fork()
  const startedAt = performance.now()
  let report: WorkerReport | undefined
  let reportedAt = startedAt
  let problems: readonly string[] | undefined
  let isServing = false
  let isStopping = false
  let announce: (address: AddressInfo) => void = () => {}
  const serving = new Promise<AddressInfo>((resolve) => {
    announce = resolve
  })

  const send = (message: ToWorker) => {
    // A worker that is gone is noticed by its end, not by what can no longer be sent to it.
    if (worker.isConnected()) worker.send(message, () => {})
  }
  const questions = createQuestions(send)
  const silence = watchSilence((seconds) => {
    problems = [`it has said nothing for ${seconds} seconds, and was killed`]
    worker.process.kill('SIGKILL')
  })
  const take = (taken: WorkerReport) => {
    const isFirst = report === undefined
    report = taken
    reportedAt = performance.now()
    silence.hear()
    options.onReport(taken)
    // From here on commands wait for this worker too; so it may serve.
    if (isFirst) send({ kind: 'listen', address: options.listen })
  }
  worker.on('message', (message: FromWorker) => {
    if (message.kind === 'hello') {
      send(isStopping ? { kind: 'stop' } : { kind: 'start', order: options.order() })
    }
    if (message.kind === 'log') options.logDestination.write(message.line)
    else if (message.kind === 'unfit') problems = message.problems
    else if (message.kind === 'serving') {
      isServing = true
      announce(message.address)
    } else if (message.kind !== 'hello') {
      take(message.report)
      if (message.kind === 'answer') questions.answer(message.question, message.metrics)
    }
  })
  const ended = whenEnded(worker).then((end) => {
    questions.giveUp()
    silence.close()
    return { ...end, problems }
  })
  return {
    get report() {
      return report
    },
    serving,
    ended,
    member: () =>
      report && {
        number: options.number,
        isServing,
        report,
        silentMilliseconds: performance.now() - reportedAt,
      },
    ageMilliseconds: () => performance.now() - startedAt,
    send,
    ask: () => questions.ask(),
    stop: async () => {
      isStopping = true
      const deadline = setTimeout(() => worker.process.kill('SIGKILL'), STOP_MILLISECONDS)
      send({ kind: 'stop' })
      await ended
      clearTimeout(deadline)
    },
  }
}

/**
 * All accept from one socket. If the primary took connections and handed them on in turn, one that is
 * on its way to a worker which is killed would have neither an answer nor an end.
 */
function fork(): Worker {
  cluster.schedulingPolicy = cluster.SCHED_NONE
  cluster.setupPrimary({ exec: PROGRAM, args: [], serialization: 'advanced' })
  return cluster.fork()
}

/** What a worker was asked and has not answered yet. */
function createQuestions(send: Hand['send']) {
  const asked = new Map<number, (told: ProcessMetrics | undefined) => void>()
  let last = 0
  return {
    ask: () => {
      last += 1
      const question = last
      return new Promise<ProcessMetrics | undefined>((resolve) => {
        const answer = (told: ProcessMetrics | undefined) => {
          clearTimeout(timer)
          asked.delete(question)
          resolve(told)
        }
        const timer = setTimeout(() => answer(undefined), ANSWER_MILLISECONDS)
        asked.set(question, answer)
        send({ kind: 'ask', question })
      })
    },
    answer: (question: number, told: ProcessMetrics) => asked.get(question)?.(told),
    giveUp: () => {
      for (const answer of asked.values()) answer(undefined)
    },
  }
}

const LAST_WORDS_MILLISECONDS = 500

/** After the end of the process, that of what it had written to us is waited for. */
async function whenEnded(worker: Worker): Promise<Omit<End, 'problems'>> {
  worker.on('error', () => {})
  const { pid } = worker.process
  // One that the system would not start never ends.
  if (pid === undefined) return { pid, code: null, signal: null }
  const heard = new Promise((resolve) => worker.once('disconnect', resolve))
  const { code, signal } = await new Promise<Pick<End, 'code' | 'signal'>>((resolve) =>
    worker.once('exit', (code, signal) => resolve({ code, signal })),
  )
  // Node forgets to tell of it where a connection was on its way to the worker.
  if (worker.isConnected()) await Promise.race([heard, delay(LAST_WORDS_MILLISECONDS)])
  return { pid, code, signal }
}
