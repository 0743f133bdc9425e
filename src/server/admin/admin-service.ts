import type { Config } from '../../config/config.ts'
import type { TrustStore } from '../../store/trust-store.ts'
import type { LastSeen } from '../verify/last-seen.ts'
import { describeHolders } from './device-status.ts'
import type { Measured } from './gauges.ts'
import { createLastHour } from './last-hour.ts'
import type { Operations, Scraped } from './routes.ts'
import { describeStatus } from './status.ts'
import type { Tally } from './tally.ts'

/** What the endpoints of the admin listener report on. */
export interface Observed
  extends Pick<Measured, 'version' | 'nowSeconds' | 'readiness' | 'cacheEntries'> {
  readonly config: Config
  readonly tally: Tally
  readonly lastSeen: LastSeen
  readonly trust: TrustStore
  isDraining(): boolean
}

export interface Observation {
  readonly operations: Operations
  close(): void
}

const MINUTE_MILLISECONDS = 60_000

/** Creates what the admin listener serves; every value is read when it is requested. */
export function observe(observed: Observed): Observation {
  const { config, tally, lastSeen, trust, nowSeconds, readiness, isDraining } = observed
  const startedAt = nowSeconds()
  const lastHour = createLastHour(tally.decisions)
  const timer = setInterval(() => lastHour.tick(), MINUTE_MILLISECONDS)
  timer.unref()
  const measured: Measured = {
    ...observed,
    sessionMaxAgeSeconds: config.sessionMaxAgeSeconds,
    snapshot: () => trust.current,
    holders: () => describeHolders(trust.current, lastSeen.all(), nowSeconds()),
  }
  return {
    operations: {
      metrics: loadMetrics(tally, measured),
      readiness,
      status: () => describeStatus(measured, startedAt, lastHour.counts()),
      metricsToken: config.metricsToken,
      isDraining,
    },
    close: () => clearInterval(timer),
  }
}

/** Loads prom-client on the first scrape: 80 modules, and not every service is scraped. */
function loadMetrics(tally: Tally, measured: Measured): (accept: string) => Promise<Scraped> {
  const load = async () => {
    const { createRegistry, firstSamples, scrape } = await import('./metrics.ts')
    const registry = createRegistry(tally, measured)
    await firstSamples()
    return (accept: string) => scrape(registry, accept)
  }
  let loaded: ReturnType<typeof load> | undefined
  return async (accept) => {
    loaded ??= load().catch((error: unknown) => {
      // The next scrape tries again.
      loaded = undefined
      throw error
    })
    return (await loaded)(accept)
  }
}
