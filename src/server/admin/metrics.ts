import { Counter, collectDefaultMetrics, type Histogram, Registry } from 'prom-client'
import {
  DENY_REASONS,
  type Decision,
  type DenyReason,
  MINT_CAUSES,
  type MintCause,
  type Via,
} from '../../decision.ts'
import type { CacheTally } from '../verify/verdict-cache.ts'
import { type Measured, type Reading, registerGauges } from './gauges.ts'

/** Upper bounds in seconds: most answers take tens of microseconds, a new certificate hundreds. */
const DURATION_BUCKETS = [
  0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1,
] as const

const ALLOWING: readonly Via[] = ['certificate', 'session', 'rule']

/**
 * Plain numbers while requests run, turned into labelled metrics on scrape: counting costs a request
 * nothing measurable, and no label can come from a client.
 */
export interface Tally {
  readonly decisions: Map<string, number>
  readonly minted: Record<MintCause, number>
  readonly invitations: Record<InvitationOutcome, number>
  readonly cache: CacheTally
  readonly duration: { sum: number; count: number; readonly buckets: number[] }
  reloads: number
  reloadFailures: number
}

/** Outcomes of requests with an invitation code. */
export const INVITATION_OUTCOMES = [
  'collected',
  'replayed',
  'unknown',
  'used',
  'ended',
  'malformed',
  'rate-limited',
  'read-only',
] as const
export type InvitationOutcome = (typeof INVITATION_OUTCOMES)[number]

const decisionKey = (via: Via, reason: DenyReason | 'none'): string => `${via} ${reason}`

/** All keys, built once: joining and hashing a string for each decision costs 0.1 µs. */
const DECISION_KEYS: ReadonlyMap<Via, ReadonlyMap<DenyReason | 'none', string>> = new Map(
  (['certificate', 'session', 'rule', 'none'] as const).map((via) => [
    via,
    new Map(
      [...(Object.keys(DENY_REASONS) as DenyReason[]), 'none' as const].map((reason) => [
        reason,
        decisionKey(via, reason),
      ]),
    ),
  ]),
)

/** Starts every series at 0, so that the first event of its kind counts as an increase. */
export function createTally(): Tally {
  const decisions = new Map<string, number>()
  for (const via of ALLOWING) decisions.set(decisionKey(via, 'none'), 0)
  for (const [reason, vias] of Object.entries(DENY_REASONS)) {
    for (const via of vias) decisions.set(decisionKey(via, reason as DenyReason), 0)
  }
  const [opened, shownAgain, renewed] = MINT_CAUSES
  return {
    decisions,
    minted: { [opened]: 0, [shownAgain]: 0, [renewed]: 0 } as Record<MintCause, number>,
    invitations: Object.fromEntries(INVITATION_OUTCOMES.map((outcome) => [outcome, 0])) as Record<
      InvitationOutcome,
      number
    >,
    cache: { hits: 0, misses: 0 },
    duration: { sum: 0, count: 0, buckets: DURATION_BUCKETS.map(() => 0) },
    reloads: 0,
    reloadFailures: 0,
  }
}

export function countDecision(tally: Tally, decision: Decision, seconds: number): void {
  const reason = decision.allow ? 'none' : decision.reason
  const key = DECISION_KEYS.get(decision.via)?.get(reason) ?? decisionKey(decision.via, reason)
  tally.decisions.set(key, (tally.decisions.get(key) ?? 0) + 1)
  if (decision.allow && decision.setSession) tally.minted[decision.setSession.cause] += 1
  const { duration } = tally
  duration.sum += seconds
  duration.count += 1
  const bucket = DURATION_BUCKETS.findIndex((bound) => seconds <= bound)
  if (bucket !== -1) duration.buckets[bucket] = (duration.buckets[bucket] ?? 0) + 1
}

const DURATION = 'certlatch_decision_duration_seconds'

/**
 * A histogram that reads its buckets from the tally on scrape; prom-client's own takes only single
 * observations. The registry uses nothing of a metric but its name and `get`.
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
