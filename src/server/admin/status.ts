import { describeName } from '../../certificate/name.ts'
import { authorityName } from './active-authorities.ts'
import type { DeviceStatus, Presence } from './device-status.ts'
import type { Measured } from './gauges.ts'
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

/** `lastHour` is counted by `via reason`, as in the tally. */
export function describeStatus(
  measured: Measured,
  startedAt: number,
  lastHour: ReadonlyMap<string, number>,
): Status {
  const snapshot = measured.snapshot()
  const { devices, others } = measured.holders()
  return {
    schemaVersion: 1,
    version: measured.version,
    node: process.version,
    now: measured.nowSeconds(),
    startedAt,
    ...measured.readiness(),
    authorities: snapshot.trust.issuers.map(({ certificate }) => ({
      name: describeName(certificate.subject),
      notAfter: certificate.notAfter,
    })),
    revocationLists: [...snapshot.trust.revocationLists].map(([keyHash, list]) => ({
      authority: authorityName(snapshot, keyHash),
      number: list.number?.toString(),
      nextUpdate: list.nextUpdate,
      revoked: list.serials.size,
    })),
    devices,
    others,
    lastHour: describeAnswers(lastHour),
  }
}

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
