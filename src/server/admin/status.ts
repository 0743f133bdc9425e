import { describeName } from '../../certificate/name.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { DeviceStatus, HolderOverview, Presence } from './device-status.ts'
import type { Readiness } from './routes.ts'

/** The content of `/status`; all times in Unix seconds, and 0 for never. */
export interface Status extends Readiness {
  readonly schemaVersion: 1
  readonly version: string
  readonly node: string
  readonly now: number
  readonly startedAt: number
  readonly authorities: readonly { readonly name: string; readonly notAfter: number }[]
  readonly revocationLists: readonly {
    readonly authority: string
    readonly number: string | undefined
    readonly nextUpdate: number
    readonly revoked: number
  }[]
  readonly devices: readonly DeviceStatus[]
  /** All unregistered certificates together. */
  readonly others: Presence
  readonly lastHour: Answers
}

/** What was answered in the last hour, or since the start if that was later. */
interface Answers {
  readonly allowed: number
  readonly refused: number
  /** Refusals by reason, the most frequent first; reasons that did not occur are left out. */
  readonly reasons: readonly { readonly reason: string; readonly count: number }[]
}

export interface StatusFacts {
  readonly version: string
  readonly nowSeconds: number
  readonly startedAt: number
  readonly readiness: Readiness
  readonly snapshot: Snapshot
  readonly holders: HolderOverview
  /** By `via reason`, as in the tally; for allowed requests the reason is `none`. */
  readonly lastHour: ReadonlyMap<string, number>
}

export function describeStatus(facts: StatusFacts): Status {
  const { snapshot, holders } = facts
  const { issuers, issuersByKeyHash, revocationLists } = snapshot.trust
  return {
    schemaVersion: 1,
    version: facts.version,
    node: process.version,
    now: facts.nowSeconds,
    startedAt: facts.startedAt,
    ...facts.readiness,
    authorities: issuers.map(({ certificate }) => ({
      name: describeName(certificate.subject),
      notAfter: certificate.notAfter,
    })),
    revocationLists: [...revocationLists].map(([keyHash, { number, nextUpdate, serials }]) => ({
      authority: issuersByKeyHash.get(keyHash)?.map(nameOf)[0] ?? keyHash,
      number: number?.toString(),
      nextUpdate,
      revoked: serials.size,
    })),
    devices: holders.devices,
    others: holders.others,
    lastHour: describeAnswers(facts.lastHour),
  }
}

const nameOf = ({ certificate }: Snapshot['trust']['issuers'][number]): string =>
  describeName(certificate.subject)

function describeAnswers(counts: ReadonlyMap<string, number>): Answers {
  const byReason = new Map<string, number>()
  for (const [key, count] of counts) {
    const [, reason = ''] = key.split(' ')
    if (count > 0) byReason.set(reason, (byReason.get(reason) ?? 0) + count)
  }
  const allowed = byReason.get('none') ?? 0
  byReason.delete('none')
  const reasons = [...byReason]
    .map(([reason, count]) => ({ reason, count }))
    .sort((one, other) => other.count - one.count)
  return {
    allowed,
    refused: reasons.reduce((sum, { count }) => sum + count, 0),
    reasons,
  }
}
