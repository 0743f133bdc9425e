import { setTimeout } from 'node:timers/promises'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { MINT_CAUSES } from '../../decision.ts'
import { type Measured, registerGauges } from './gauges.ts'
import { type Reading, registerIn } from './metric.ts'
import { asOpenMetrics, prefersOpenMetrics } from './open-metrics.ts'
import type { Scraped } from './routes.ts'
import { DURATION_BUCKETS, INVITATION_OUTCOMES, type Tally } from './tally.ts'

function registerDuration(registry: Registry, { duration }: Tally): void {
  registerIn(registry, 'histogram')(
    'certlatch_decision_duration_seconds',
    'Time from reading an auth request to its decision; a high p99 means a busy machine or many new certificates',
    () => {
      let below = 0
      const buckets = DURATION_BUCKETS.map((le, index): Reading => {
        below += duration.buckets[index] ?? 0
        return [{ le }, below, '_bucket']
      })
      return [
        ...buckets,
        [{ le: '+Inf' }, duration.count, '_bucket'],
        [{}, duration.sum, '_sum'],
        [{}, duration.count, '_count'],
      ]
    },
  )
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

function registerCounters(registry: Registry, tally: Tally): void {
  const counter = registerIn(registry, 'counter')
  counter(
    'certlatch_decisions_total',
    'Decisions by outcome, what they are based on and, for refusals, why; docs/reasons.md says what to do',
    () =>
      [...tally.decisions].map(([key, value]) => {
        const [via = '', reason = ''] = key.split(' ')
        return [{ outcome: reason === 'none' ? 'allow' : 'deny', via, reason }, value]
      }),
  )
  counter(
    'certlatch_sessions_minted_total',
    'Cookies set: a certificate opened or extended a session, or a cookie was renewed',
    () => MINT_CAUSES.map((cause) => [{ cause }, tally.minted[cause]]),
  )
  counter(
    'certlatch_invitations_total',
    'Invitations looked up or collected: how many devices enrolled themselves, and how many codes were tried',
    () => INVITATION_OUTCOMES.map((outcome) => [{ outcome }, tally.invitations[outcome]]),
  )
  counter(
    'certlatch_verdict_cache_hits_total',
    'Certificates and cookies whose signature was already verified',
    () => tally.cache.hits,
  )
  counter(
    'certlatch_verdict_cache_misses_total',
    'Certificates and cookies whose signature had to be checked; far more than devices means probing',
    () => tally.cache.misses,
  )
  counter(
    'certlatch_reloads_total',
    'Times that changed files (CA, CRL, keys, devices, rules) were loaded',
    () => tally.reloads,
  )
  counter(
    'certlatch_reload_failures_total',
    'Times that a changed file was refused and the previous files kept; the log says what is wrong',
    () => tally.reloadFailures,
  )
}
