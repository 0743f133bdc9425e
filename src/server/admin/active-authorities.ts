import { describeName } from '../../certificate/name.ts'
import type { Snapshot } from '../../store/snapshot.ts'

/** The CAs that are trusted, each once however many certificates its key has. */
interface Authority {
  readonly keyHash: string
  readonly name: string
  /** Of its last certificate, Unix seconds. */
  readonly notAfter: number
}

export function authoritiesOf({ trust }: Snapshot): readonly Authority[] {
  return [...trust.issuersByKeyHash].map(([keyHash, issuers]) => ({
    keyHash,
    name: issuers.map(({ certificate }) => describeName(certificate.subject))[0] ?? keyHash,
    notAfter: Math.max(...issuers.map(({ certificate }) => certificate.notAfter)),
  }))
}

/**
 * Those that have not ended; if all have, all of them. The file of a renewed CA goes on naming the
 * one before, whose end is nobody's concern when the successor is in its dates.
 */
export function livingAuthorities(snapshot: Snapshot, nowSeconds: number): readonly Authority[] {
  const all = authoritiesOf(snapshot)
  const living = all.filter(({ notAfter }) => nowSeconds <= notAfter)
  return living.length > 0 ? living : all
}

/** The CRLs of those. */
export function livingLists(snapshot: Snapshot, nowSeconds: number) {
  const { revocationLists } = snapshot.trust
  return livingAuthorities(snapshot, nowSeconds).flatMap(
    ({ keyHash }) => revocationLists.get(keyHash) ?? [],
  )
}

/**
 * When the first CA ends whose end locks somebody out. Of our own CAs one that no device's
 * certificate in use is from ends unnoticed, unless it is the one that signs now.
 */
export function firstAuthorityEnd(
  snapshot: Snapshot,
  reliedUpon: ReadonlySet<string>,
  nowSeconds: number,
): number {
  const living = livingAuthorities(snapshot, nowSeconds)
  const last = Math.max(...living.map(({ notAfter }) => notAfter))
  const isOwn = snapshot.registry !== undefined
  const concerned = living.filter(
    ({ keyHash, notAfter }) => !isOwn || reliedUpon.has(keyHash) || notAfter === last,
  )
  return Math.min(...concerned.map(({ notAfter }) => notAfter))
}
