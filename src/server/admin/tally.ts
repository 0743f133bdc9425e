import {
  DENY_REASONS,
  type Decision,
  type DenyReason,
  MINT_CAUSES,
  type MintCause,
  type Via,
} from '../../decision.ts'
import type { CacheTally } from '../verify/verdict-cache.ts'

/** Upper bounds in seconds: most answers take tens of microseconds, a new certificate hundreds. */
export const DURATION_BUCKETS = [
  0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1,
] as const

const ALLOWING: readonly Via[] = ['certificate', 'session', 'rule']

/**
 * Plain numbers while requests run, turned into labeled metrics on scrape: counting costs a request
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
  return {
    decisions,
    minted: zeros(MINT_CAUSES),
    invitations: zeros(INVITATION_OUTCOMES),
    cache: { hits: 0, misses: 0 },
    duration: { sum: 0, count: 0, buckets: DURATION_BUCKETS.map(() => 0) },
    reloads: 0,
    reloadFailures: 0,
  }
}

const zeros = <Name extends string>(names: readonly Name[]) =>
  Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>

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
