import type { Rule } from './policy/policy.ts'
import type { SessionClaims } from './session/token.ts'

/** What the decision is based on: a certificate, a session, the rule alone, or nothing at all. */
export type Via = 'certificate' | 'session' | 'rule' | 'none'

/**
 * Every reason to deny, with the `via` it can come with. The same strings are the metric's label and
 * the log's field; the metrics create every series of this table at startup.
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

/** The holder of the credentials that were accepted. */
export interface Identity {
  /** The device's name; with an external CA, the name in its certificate. */
  readonly device: string
  /** The application's user: the device's owner if it has one. */
  readonly user: string
}

/** Why a session cookie is set. */
export const MINT_CAUSES = ['opened', 'shown-again', 'renewed'] as const
export type MintCause = (typeof MINT_CAUSES)[number]

export interface Allow {
  readonly allow: true
  readonly via: 'certificate' | 'session' | 'rule'
  /** `undefined` where the rule allows any client. */
  readonly identity: Identity | undefined
  /** The session for the Set-Cookie header; `undefined`: set none. */
  readonly setSession: { readonly claims: SessionClaims; readonly cause: MintCause } | undefined
  /** The rule that applied. */
  readonly rule: Rule
}

export interface Deny {
  readonly allow: false
  readonly via: 'certificate' | 'session' | 'none'
  readonly reason: DenyReason
  /** The rule that applied; `undefined` if the request was denied before any rule was. */
  readonly rule?: Rule | undefined
  /** When the certificate expired, Unix seconds; only with `certificate-expired`. */
  readonly notAfter?: number | undefined
}

export type Decision = Allow | Deny
