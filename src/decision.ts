import type { SessionClaims } from './session/token.ts'

/** What the answer rests on: a certificate shown now, one remembered, a rule alone, or nothing. */
export type Via = 'certificate' | 'session' | 'rule' | 'none'

/**
 * Every way out, with what can have led there. The same strings are the metric's label, the log's
 * field, the tests' expectation; the table makes each series exist from the start.
 */
export const DENY_REASONS = {
  'malformed-http': ['none'],
  'untrusted-proxy': ['none'],
  'proxy-mismatch': ['none'],
  'malformed-request': ['none'],
  'header-alias': ['none'],
  'header-repeated': ['none'],
  'ambiguous-path': ['none'],
  'policy-deny': ['none'],
  'cross-site': ['none'],
  'certificate-malformed': ['certificate'],
  'certificate-untrusted': ['certificate', 'session'],
  'certificate-expired': ['certificate'],
  'certificate-not-yet-valid': ['certificate', 'session'],
  'certificate-issuer-expired': ['certificate', 'session'],
  'certificate-revoked': ['certificate'],
  'certificate-blocked': ['certificate', 'session'],
  'certificate-superseded': ['certificate', 'session'],
  'certificate-wrong-usage': ['certificate'],
  'certificate-unknown-extension': ['certificate'],
  'certificate-unsupported-algorithm': ['certificate'],
  'certificate-weak': ['certificate'],
  'certificate-crl-stale': ['certificate', 'session'],
  'certificate-crl-missing': ['certificate', 'session'],
  'certificate-rate-limited': ['certificate'],
  'unknown-device': ['certificate', 'session'],
  'no-identity': ['certificate', 'session'],
  'not-permitted': ['certificate', 'session'],
  'session-malformed': ['session'],
  'session-forged': ['session'],
  'session-expired': ['session'],
  'session-not-yet-valid': ['session'],
  'session-wrong-host': ['session'],
  'session-key-retired': ['session'],
  'session-revoked': ['session'],
  'session-signed-out': ['session'],
  'session-not-accepted': ['session'],
  'no-credentials': ['none'],
  'internal-error': ['none'],
} as const satisfies Readonly<Record<string, readonly Via[]>>

export type DenyReason = keyof typeof DENY_REASONS

/** Who was let in. */
export interface Identity {
  /** The device's name; for an external CA, whom its certificate names. */
  readonly device: string
  /** The application's user: the device's owner if it has one. */
  readonly user: string
}

/** Why a session is opened anew. */
export const MINT_CAUSES = ['opened', 'shown-again', 'renewed'] as const
export type MintCause = (typeof MINT_CAUSES)[number]

export interface Allow {
  readonly allow: true
  readonly via: 'certificate' | 'session' | 'rule'
  /** `undefined` where a rule opened without asking who comes. */
  readonly identity: Identity | undefined
  /** The session to put into the one Set-Cookie. */
  readonly setSession: { readonly claims: SessionClaims; readonly cause: MintCause } | undefined
}

export interface Deny {
  readonly allow: false
  readonly via: 'certificate' | 'session' | 'none'
  readonly reason: DenyReason
}

export type Decision = Allow | Deny
