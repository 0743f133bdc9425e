import { coversCertificate, type RevocationList } from './revocation.ts'
import type { CertificateProblem, Issuer, VerifiedCertificate } from './verify.ts'

/** Everything that decides whether an issuer's certificates stand today; one immutable snapshot. */
export interface TrustSet {
  readonly issuers: readonly Issuer[]
  /** The same by `keyHash`: a renewed CA certificate may carry the key of the one before. */
  readonly issuersByKeyHash: ReadonlyMap<string, readonly Issuer[]>
  /** By the issuer's `keyHash`. */
  readonly revocationLists: ReadonlyMap<string, RevocationList>
  /** Whether an issuer without a CRL closes. */
  readonly revocationListRequired: boolean
  /** What a CRL past its nextUpdate means. */
  readonly staleRevocationList: 'deny' | 'allow'
  /** Certificates that do not open whatever the CRLs say: `<issuer key hash>/<serial>`. */
  readonly blocked: ReadonlySet<string>
  /** What our own records call revoked, even where a CRL from a restored backup does not. */
  readonly revoked: ReadonlySet<string>
}

/** A CA's clock may run this far ahead of ours before its CRL counts as one from the future. */
export const CLOCK_TOLERANCE_SECONDS = 300

export function groupByKeyHash(issuers: readonly Issuer[]): ReadonlyMap<string, readonly Issuer[]> {
  const groups = new Map<string, readonly Issuer[]>()
  for (const issuer of issuers) {
    groups.set(issuer.keyHash, [...(groups.get(issuer.keyHash) ?? []), issuer])
  }
  return groups
}

/** Whether the list's dates leave it without a say today. */
export function isStale(list: RevocationList, nowSeconds: number): boolean {
  return nowSeconds > list.nextUpdate || nowSeconds + CLOCK_TOLERANCE_SECONDS < list.thisUpdate
}

/** Of a certificate, what its standing is asked with. */
export type CertificateStanding = Pick<
  VerifiedCertificate,
  'issuerKeyHash' | 'serial' | 'distributionPoints'
>

/**
 * What speaks today against any certificate with this issuer key and serial number: asked for a
 * certificate that is shown, and for the one that a session remembers. `undefined`: nothing.
 */
export function standingProblem(
  { issuerKeyHash, serial, distributionPoints }: CertificateStanding,
  trust: TrustSet,
  nowSeconds: number,
): CertificateProblem | undefined {
  const issuers = trust.issuersByKeyHash.get(issuerKeyHash)
  if (issuers === undefined) return 'certificate-untrusted'
  const list = trust.revocationLists.get(issuerKeyHash)
  if (list?.serials.has(serial)) return 'certificate-revoked'
  if (trust.revoked.size > 0 || trust.blocked.size > 0) {
    const key = `${issuerKeyHash}/${serial}`
    if (trust.revoked.has(key)) return 'certificate-revoked'
    if (trust.blocked.has(key)) return 'certificate-blocked'
  }
  const notEnded = issuers.filter(({ certificate }) => nowSeconds <= certificate.notAfter)
  if (notEnded.length === 0) return 'certificate-issuer-expired'
  if (!notEnded.some(({ certificate }) => nowSeconds >= certificate.notBefore)) {
    return 'certificate-not-yet-valid'
  }
  if (list === undefined)
    return trust.revocationListRequired ? 'certificate-crl-missing' : undefined
  if (isStale(list, nowSeconds) && trust.staleRevocationList === 'deny') {
    return 'certificate-crl-stale'
  }
  return coversCertificate(list, distributionPoints) ? undefined : 'certificate-crl-missing'
}

/** What speaks today against a certificate that is shown: the above, and its own dates. */
export function certificateStandingProblem(
  verified: VerifiedCertificate,
  trust: TrustSet,
  nowSeconds: number,
): CertificateProblem | undefined {
  const problem = standingProblem(verified, trust, nowSeconds)
  if (problem !== undefined) return problem
  if (nowSeconds < verified.notBefore) return 'certificate-not-yet-valid'
  return nowSeconds > verified.notAfter ? 'certificate-expired' : undefined
}
