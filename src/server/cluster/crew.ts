import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { DestinationStream } from 'pino'
import type { ListenAddress, Values } from '../../config/config.ts'
import type { SeenCertificate } from '../../store/running.ts'
import type { Origin } from '../../store/trust-store.ts'
import type { Log } from '../log.ts'
import { StartError } from '../start-error.ts'
import { type Member, surplusConnections } from './aggregate.ts'
import { type Hand, hire } from './hand.ts'
import type { ProcessMetrics, StartOrder, WorkerReport } from './messages.ts'

export interface CrewOptions {
  readonly count: number
  readonly values: Values
  readonly listen: ListenAddress
  readonly log: Log
  readonly logDestination: DestinationStream
  /** Who was seen so far, for a worker that comes later. */
  seen(): readonly SeenCertificate[]
  /** Of what is in force now, likewise. */
  origin(): Origin
  onReport(report: WorkerReport): void
  /** Before the first of them: `members` are those who have said anything by then. */
  onHiring(members: () => readonly Member[]): void
  /** The last word of a worker that has ended. */
  onEnded(report: WorkerReport): void
}

/** The workers, as many as there should be. */
export interface Crew {
  readonly address: AddressInfo
  readonly restarts: number
  members(): readonly Member[]
  restore(seen: readonly SeenCertificate[]): void
  /** Asks all for what they know by now; who does not answer in time is left out. */
  gather(): Promise<readonly ProcessMetrics[]>
  /** Lets all answer what is under way, and end. */
  stop(): Promise<void>
}

const FIRST_DELAY_MILLISECONDS = 100
const LONGEST_DELAY_MILLISECONDS = 30_000
/** Whoever has lived so long did not die of how it was started. */
const SETTLED_MILLISECONDS = 60_000

/** How long to wait before the next start, after so many short lives in a row. */
export function restartDelay(shortLives: number): number {
  const doubled = FIRST_DELAY_MILLISECONDS * 2 ** Math.min(shortLives, 16)
  return Math.min(doubled, LONGEST_DELAY_MILLISECONDS)
}

/**
 * The workers leave one after another within this time: a connection that waits when one leaves is
 * taken by the next. To the last one happens what happens to a single process.
 */
const ROLLING_MILLISECONDS = 1_000

interface Place {
  readonly number: number
  hand: Hand | undefined
  shortLives: number
  timer: NodeJS.Timeout | undefined
}

const orderOf = ({ values, seen, origin }: CrewOptions, number: number): StartOrder => ({
  ...{ number, values, seen: seen(), origin: origin() },
})

/** Starts all workers; throws a StartError, and leaves none behind, if one of them cannot serve. */
export async function startCrew(options: CrewOptions): Promise<Crew> {
  const { count, log } = options
  const places: readonly Place[] = Array.from({ length: count }, (_, index) => ({
    ...{ number: index + 1, hand: undefined, shortLives: 0, timer: undefined },
  }))
  let hasStarted = false
  let restarts = 0
  let stopping = false

  const fill = (place: Place): Hand => {
    const { number } = place
    const onReport = (report: WorkerReport) => {
      options.onReport(report)
      // Also none: what it was to end before may have ended by itself.
      const connections = surplusConnections(report.connections, members())
      if (!stopping) hand.send({ kind: 'shed', connections })
    }
    const hand = hire({ ...options, onReport, number, order: () => orderOf(options, number) })
    place.hand = hand
    void hand.ended.then((end) => {
      place.hand = undefined
      if (hand.report !== undefined) options.onEnded(hand.report)
      const neverServed = !hasStarted && hand.member()?.isServing !== true
      if (stopping || neverServed) return
      const delay = restartDelay(place.shortLives)
      place.shortLives = hand.ageMilliseconds() < SETTLED_MILLISECONDS ? place.shortLives + 1 : 0
      log.error({ worker: number, ...end, againInMilliseconds: delay }, 'a worker has ended')
      place.timer = setTimeout(() => {
        restarts += 1
        fill(place)
      }, delay)
    })
    return hand
  }
  const hands = () => places.flatMap(({ hand }) => hand ?? [])
  const heard = () => hands().filter(({ report }) => report !== undefined)
  const members = () => hands().flatMap((hand) => hand.member() ?? [])
  const stop = async () => {
    stopping = true
    for (const { timer } of places) clearTimeout(timer)
    const all = hands()
    await Promise.all(
      all.map(async (hand, index) => {
        if (index > 0) await delay((index * ROLLING_MILLISECONDS) / all.length)
        await hand.stop()
      }),
    )
  }

  options.onHiring(members)
  try {
    const [address] = await Promise.all(places.map((place) => firstServing(fill(place))))
    if (address === undefined) throw new Error('a crew has at least one worker')
    hasStarted = true
    return {
      address,
      get restarts() {
        return restarts
      },
      members,
      restore: (seen) => {
        for (const hand of hands()) hand.send({ kind: 'seen', seen })
      },
      gather: async () =>
        (await Promise.all(heard().map((hand) => hand.ask()))).filter((told) => told !== undefined),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** At the first start whatever keeps a worker from serving keeps the service from it. */
async function firstServing(hand: Hand): Promise<AddressInfo> {
  const address = await Promise.race([hand.serving, hand.ended])
  if ('port' in address) return address
  const { problems, code, signal } = address
  const died = `a worker has ended before it served (${signal ?? code})`
  throw new StartError(problems ?? [died], signal ?? undefined)
}
