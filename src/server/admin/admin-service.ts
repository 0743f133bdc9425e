import type { Config } from '../../config/config.ts'
import type { TrustStore } from '../../store/trust-store.ts'
import type { LastSeen } from '../verify/last-seen.ts'
import { describePeople } from './device-status.ts'
import { createLastHour } from './last-hour.ts'
import { createRegistry, type Tally } from './metrics.ts'
import type { Operations, Readiness } from './routes.ts'
import { describeStatus } from './status.ts'

/** What the endpoints of the admin listener report on. */
export interface Observed {
  readonly config: Config
  readonly version: string
  readonly tally: Tally
  readonly lastSeen: LastSeen
  readonly trust: TrustStore
  nowSeconds(): number
  isDraining(): boolean
  readiness(): Readiness
  cacheEntries(): number
}

export interface Observation {
  readonly operations: Operations
  close(): void
}

const MINUTE_MILLISECONDS = 60_000

/** Creates what the admin listener serves; every value is read when it is requested. */
export function observe(observed: Observed): Observation {
  const { config, version, tally, lastSeen, trust, nowSeconds, readiness } = observed
  const startedAt = nowSeconds()
  const lastHour = createLastHour(tally.decisions)
  const timer = setInterval(() => lastHour.tick(), MINUTE_MILLISECONDS)
  timer.unref()
  const people = () => describePeople(trust.current, lastSeen.all(), nowSeconds())
  const registry = createRegistry(tally, {
    version,
    sessionMaxAgeSeconds: config.sessionMaxAgeSeconds,
    nowSeconds,
    snapshot: () => trust.current,
    readiness,
    people,
    cacheEntries: observed.cacheEntries,
  })
  const status = () =>
    describeStatus({
      version,
      nowSeconds: nowSeconds(),
      startedAt,
      readiness: readiness(),
      snapshot: trust.current,
      people: people(),
      lastHour: lastHour.counts(),
    })
  return {
    operations: {
      metrics: () => registry.metrics(),
      readiness,
      status,
      metricsToken: config.metricsToken,
      isDraining: observed.isDraining,
    },
    close: () => clearInterval(timer),
  }
}
