import { setTimeout } from 'node:timers/promises'
import { Counter, collectDefaultMetrics, type Histogram, Registry } from 'prom-client'
import { MINT_CAUSES } from '../../decision.ts'
import { type Measured, type Reading, registerGauges } from './gauges.ts'
import { asOpenMetrics, prefersOpenMetrics } from './open-metrics.ts'
import type { Scraped } from './routes.ts'
import { DURATION_BUCKETS, INVITATION_OUTCOMES, type Tally } from './tally.ts'

const DURATION = 'certlatch_decision_duration_seconds'

/**
 * A histogram that reads its buckets from the tally on scrape; prom-client's own takes only single
 * observations. Of a metric, the registry uses only its name and `get`.
 */
function registerDuration(registry: Registry, { duration }: Tally): void {
  const get = async () => {
    let below = 0
    const bounded = DURATION_BUCKETS.map((le, index) => {
      below += duration.buckets[index] ?? 0
      return { labels: { le }, value: below, metricName: `${DURATION}_bucket` }
    })
    return {
      name: DURATION,
      help: 'Time from reading an auth request to its decision; a high p99 means a busy machine or many new certificates',
      type: 'histogram',
      aggregator: 'sum',
      values: [
        ...bounded,
        { labels: { le: '+Inf' }, value: duration.count, metricName: `${DURATION}_bucket` },
        { labels: {}, value: duration.sum, metricName: `${DURATION}_sum` },
        { labels: {}, value: duration.count, metricName: `${DURATION}_count` },
      ],
    }
  }
  registry.registerMetric({ name: DURATION, get } as unknown as Histogram)
}

/** All metrics of certlatch, and those of Node.js about the process. */
export function createRegistry(tally: Tally, measured: Measured): Registry {
  const registry = new Registry()
  registerDuration(registry, tally)
  registerCounters(registry, tally)
  registerGauges(registry, measured)
  collectDefaultMetrics({ register: registry })
  for (const name of MISNAMED) registry.removeSingleMetric(name)
  return registry
}

/** Waits for samples of the event loop, one every 10 ms: without any, its metrics are NaN or 292 years. */
export const firstSamples = (): Promise<void> => setTimeout(50)

/** The metrics in the format that this Accept header prefers. */
export async function scrape(registry: Registry, accept: string): Promise<Scraped> {
  const text = await registry.metrics()
  return prefersOpenMetrics(accept)
    ? { type: Registry.OPENMETRICS_CONTENT_TYPE, text: asOpenMetrics(text) }
    : { type: Registry.PROMETHEUS_CONTENT_TYPE, text }
}

/** Gauges with the suffix of counters; the same numbers exist by type without `_total`. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
] as const

function counter(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly string[],
  read: () => readonly Reading[],
): void {
  new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      for (const [labels, value] of read()) this.inc({ ...labels }, value)
    },
  })
}

function registerCounters(registry: Registry, tally: Tally): void {
  counter(
    registry,
    'certlatch_decisions_total',
    'Decisions by outcome, what they are based on and, for refusals, why; docs/reasons.md says what to do',
    ['outcome', 'via', 'reason'],
    () =>
      [...tally.decisions].map(([key, value]) => {
        const [via = '', reason = ''] = key.split(' ')
        return [{ outcome: reason === 'none' ? 'allow' : 'deny', via, reason }, value]
      }),
  )
  counter(
    registry,
    'certlatch_sessions_minted_total',
    'Cookies set: a certificate opened or extended a session, or a cookie was renewed',
    ['cause'],
    () => MINT_CAUSES.map((cause) => [{ cause }, tally.minted[cause]]),
  )
  counter(
    registry,
    'certlatch_invitations_total',
    'Invitations looked up or collected: how many devices enrolled themselves, and how many codes were tried',
    ['outcome'],
    () => INVITATION_OUTCOMES.map((outcome) => [{ outcome }, tally.invitations[outcome]]),
  )
  const plain = (name: string, help: string, read: () => number) =>
    counter(registry, name, help, [], () => [[{}, read()]])
  plain(
    'certlatch_verdict_cache_hits_total',
    'Certificates and cookies whose signature was already verified',
    () => tally.cache.hits,
  )
  plain(
    'certlatch_verdict_cache_misses_total',
    'Certificates and cookies whose signature had to be checked; far more than devices means probing',
    () => tally.cache.misses,
  )
  plain(
    'certlatch_reloads_total',
    'Times that changed files (CA, CRL, keys, devices, rules) were loaded',
    () => tally.reloads,
  )
  plain(
    'certlatch_reload_failures_total',
    'Times that a changed file was refused and the previous files kept; the log says what is wrong',
    () => tally.reloadFailures,
  )
}
