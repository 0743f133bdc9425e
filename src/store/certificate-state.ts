import type { Issuer } from '../certificate/verify.ts'
import { type DeviceCertificate, isInvited } from './device-registry.ts'

/** The states of a device's certificate: only `active` and `invited` ones are accepted. */
export const CERTIFICATE_STATES = [
  'untrusted-ca',
  'revoked',
  'blocked',
  'rejected',
  'expired',
  'replaced',
  'not-yet-valid',
  'active',
  'invited',
] as const
export type CertificateState = (typeof CERTIFICATE_STATES)[number]

/** What is known of a certificate besides its own entry. */
export interface CertificateFacts {
  /** The trusted CA certificates with the issuer's key; empty if that CA is not trusted. */
  readonly issuers: readonly Issuer[]
  /** Whether its CA's CRL lists it, or its entry is marked so. */
  readonly isRevoked: boolean
  readonly isBlocked: boolean
}

/**
 * The state of a certificate: if several apply, the first of them in CERTIFICATE_STATES.
 * `invited` is an active certificate that still waits in an invitation.
 */
export function certificateState(
  certificate: Pick<
    DeviceCertificate,
    'notBefore' | 'notAfter' | 'endsAt' | 'unfit' | 'invitation'
  >,
  { issuers, isRevoked, isBlocked }: CertificateFacts,
  nowSeconds: number,
): CertificateState {
  const { notBefore, notAfter, endsAt, unfit } = certificate
  if (issuers.length === 0) return 'untrusted-ca'
  if (isRevoked) return 'revoked'
  if (isBlocked) return 'blocked'
  if (unfit !== undefined) return 'rejected'
  const issuerNotAfter = Math.max(...issuers.map((issuer) => issuer.certificate.notAfter))
  if (nowSeconds > notAfter || nowSeconds > issuerNotAfter) return 'expired'
  if (endsAt !== undefined && nowSeconds >= endsAt) return 'replaced'
  if (nowSeconds < notBefore) return 'not-yet-valid'
  return isInvited(certificate) ? 'invited' : 'active'
}
