import { type CertificateId, certificateKey } from './certificate-id.ts'
import { coversCertificate, type RevocationList } from './revocation.ts'
import type { CertificateProblem, Issuer, VerifiedCertificate } from './verify.ts'

/** Everything that the standing of certificates depends on; one immutable snapshot. */
export interface TrustSet {
  readonly issuers: readonly Issuer[]
  /** The same by `keyHash`: a renewed CA certificate may have the previous one's key. */
  readonly issuersByKeyHash: ReadonlyMap<string, readonly Issuer[]>
  /** By the issuer's `keyHash`. */
  readonly revocationLists: ReadonlyMap<string, RevocationList>
  /** Whether certificates of an issuer without a CRL are refused. */
  readonly revocationListRequired: boolean
  /** What a CRL past its nextUpdate means. */
  readonly staleRevocationList: 'deny' | 'allow'
  /** Certificates that are refused whatever the CRLs say, by `certificateKey`. */
  readonly blocked: ReadonlySet<string>
  /** Certificates that the registry marks as revoked, even if a CRL from a backup lacks them. */
  readonly revoked: ReadonlySet<string>
}

/** How far a CA's clock may be ahead before its CRL counts as issued in the future. */
export const CLOCK_TOLERANCE_SECONDS = 300

export function groupByKeyHash(issuers: readonly Issuer[]): ReadonlyMap<string, readonly Issuer[]> {
  const groups = new Map<string, readonly Issuer[]>()
  for (const issuer of issuers) {
    groups.set(issuer.keyHash, [...(groups.get(issuer.keyHash) ?? []), issuer])
  }
  return groups
}

/** Whether the list is past its nextUpdate, or before its thisUpdate. */
export function isStale(list: RevocationList, nowSeconds: number): boolean {
  return nowSeconds > list.nextUpdate || nowSeconds + CLOCK_TOLERANCE_SECONDS < list.thisUpdate
}

/** The fields of a certificate that its standing depends on. */
export type CertificateStanding = CertificateId & Pick<VerifiedCertificate, 'distributionPoints'>

/**
 * Why a certificate with this issuer key and serial number is refused now; `undefined` if it is not.
 * Checked for a certificate that is shown, and for the one that a session was started with.
 */
export function standingProblem(
  certificate: CertificateStanding,
  trust: TrustSet,
  nowSeconds: number,
): CertificateProblem | undefined {
  const { issuerKeyHash, serial, distributionPoints } = certificate
  const issuers = trust.issuersByKeyHash.get(issuerKeyHash)
  if (issuers === undefined) return 'certificate-untrusted'
  const list = trust.revocationLists.get(issuerKeyHash)
  if (list?.serials.has(serial)) return 'certificate-revoked'
  if (trust.revoked.size > 0 || trust.blocked.size > 0) {
    const key = certificateKey(certificate)
    if (trust.revoked.has(key)) return 'certificate-revoked'
    if (trust.blocked.has(key)) return 'certificate-blocked'
  }
  const unexpired = issuers.filter(({ certificate }) => nowSeconds <= certificate.notAfter)
  if (unexpired.length === 0) return 'certificate-issuer-expired'
  if (!unexpired.some(({ certificate }) => nowSeconds >= certificate.notBefore)) {
    return 'certificate-not-yet-valid'
  }
  if (list === undefined)
    return trust.revocationListRequired ? 'certificate-crl-missing' : undefined
  if (isStale(list, nowSeconds) && trust.staleRevocationList === 'deny') {
    return 'certificate-crl-stale'
  }
  return coversCertificate(list, distributionPoints) ? undefined : 'certificate-crl-missing'
}

/** Why a certificate that is shown is refused now: for a reason above, or for its own dates. */
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
