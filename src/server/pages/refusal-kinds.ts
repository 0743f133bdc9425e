import type { DenyReason } from '../../decision.ts'

/**
 * What a refusal page explains. It is coarser than the reasons: enough to help the device's owner, and
 * nothing that a stranger does not know already. Details about a certificate are shown only to a client
 * that has proved that it holds the key.
 */
export const REFUSAL_KINDS = [
  'no-certificate',
  'unsuitable-certificate',
  'expired-certificate',
  'withdrawn-certificate',
  'replaced-certificate',
  'session-over',
  'another-site',
  'closed',
  'closed-to-this',
  'odd-request',
  'at-the-server',
] as const
export type RefusalKind = (typeof REFUSAL_KINDS)[number]

const KINDS: Readonly<Record<DenyReason, RefusalKind>> = {
  'malformed-http': 'odd-request',
  'untrusted-proxy': 'at-the-server',
  'proxy-mismatch': 'at-the-server',
  'malformed-request': 'odd-request',
  'header-alias': 'odd-request',
  'header-repeated': 'odd-request',
  // A stricter rule than the path's own denied it; a certificate may satisfy that rule.
  'ambiguous-path': 'closed-to-this',
  'policy-deny': 'closed',
  'not-permitted': 'closed',
  'cross-site': 'another-site',
  'certificate-malformed': 'unsuitable-certificate',
  'certificate-untrusted': 'unsuitable-certificate',
  'certificate-expired': 'expired-certificate',
  'certificate-not-yet-valid': 'at-the-server',
  'certificate-issuer-expired': 'at-the-server',
  'certificate-revoked': 'withdrawn-certificate',
  'certificate-blocked': 'withdrawn-certificate',
  'certificate-superseded': 'replaced-certificate',
  'certificate-wrong-usage': 'unsuitable-certificate',
  'certificate-unknown-extension': 'unsuitable-certificate',
  'certificate-unsupported-algorithm': 'unsuitable-certificate',
  'certificate-weak': 'unsuitable-certificate',
  'certificate-crl-stale': 'at-the-server',
  'certificate-crl-missing': 'at-the-server',
  'certificate-rate-limited': 'at-the-server',
  'unknown-device': 'unsuitable-certificate',
  'no-identity': 'unsuitable-certificate',
  // All the same, so that no one can find out which cookie was once valid.
  'session-malformed': 'session-over',
  'session-forged': 'session-over',
  'session-expired': 'session-over',
  'session-not-yet-valid': 'session-over',
  'session-wrong-host': 'session-over',
  'session-key-retired': 'session-over',
  'session-signed-out': 'session-over',
  'session-revoked': 'withdrawn-certificate',
  'session-not-accepted': 'no-certificate',
  'no-credentials': 'no-certificate',
  'internal-error': 'at-the-server',
}

export const refusalKind = (reason: DenyReason): RefusalKind => KINDS[reason]
