import { describeName } from '../../certificate/name.ts'
import type { Snapshot } from '../../store/snapshot.ts'

/** A trusted CA: one per key, however many certificates that key has. */
interface Authority {
  readonly keyHash: string
  readonly name: string
  /** When its last certificate expires, Unix seconds. */
  readonly notAfter: number
}

/** The name of the CA with this key. */
export function authorityName({ trust }: Snapshot, keyHash: string): string {
  const [issuer] = trust.issuersByKeyHash.get(keyHash) ?? []
  return issuer === undefined ? keyHash : describeName(issuer.certificate.subject)
}

export function authoritiesOf(snapshot: Snapshot): readonly Authority[] {
  return [...snapshot.trust.issuersByKeyHash].map(([keyHash, issuers]) => ({
    keyHash,
    name: authorityName(snapshot, keyHash),
    notAfter: Math.max(...issuers.map(({ certificate }) => certificate.notAfter)),
  }))
}

/**
 * The CAs that have not expired, or all if every one has. The file of a renewed CA still contains its
 * predecessor, whose expiry does not matter while the successor is valid.
 */
export function activeAuthorities(snapshot: Snapshot, nowSeconds: number): readonly Authority[] {
  const all = authoritiesOf(snapshot)
  const active = all.filter(({ notAfter }) => nowSeconds <= notAfter)
  return active.length > 0 ? active : all
}

/** The CRLs of the active CAs. */
export function activeRevocationLists(snapshot: Snapshot, nowSeconds: number) {
  const { revocationLists } = snapshot.trust
  return activeAuthorities(snapshot, nowSeconds).flatMap(
    ({ keyHash }) => revocationLists.get(keyHash) ?? [],
  )
}

/**
 * When the first of the CAs expires that devices depend on. A predecessor of the built-in CA does not
 * count once no device uses its certificates.
 */
export function firstAuthorityExpiry(
  snapshot: Snapshot,
  issuersInUse: ReadonlySet<string>,
  nowSeconds: number,
): number {
  const active = activeAuthorities(snapshot, nowSeconds)
  const last = Math.max(...active.map(({ notAfter }) => notAfter))
  const isBuiltIn = snapshot.registry !== undefined
  const relevant = active.filter(
    ({ keyHash, notAfter }) => !isBuiltIn || issuersInUse.has(keyHash) || notAfter === last,
  )
  return Math.min(...relevant.map(({ notAfter }) => notAfter))
}
