import type { DenyReason } from '../../decision.ts'

/**
 * What a person is told. Coarser than the reasons, so that a page helps whose device it is, and
 * tells a stranger no more than what he has shown himself: what a page says of a certificate's
 * standing, it says only to who has proved to hold its key.
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
  // A rule that is stricter than the path's own has closed it: a certificate may open that too.
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
  // All alike, so that no one can find out which cookie was once valid.
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
