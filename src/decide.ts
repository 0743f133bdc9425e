import { timingSafeEqual } from 'node:crypto'
import { type CertificateId, isSameCertificate } from './certificate/certificate-id.ts'
import { certificateStandingProblem, standingProblem, type TrustSet } from './certificate/trust.ts'
import type { CertificateVerdict, VerifiedCertificate } from './certificate/verify.ts'
import type { Allow, Decision, Deny, DenyReason, Identity } from './decision.ts'
import { isPermitted, type Policy, type Rule, ruleFor } from './policy/policy.ts'
import { isPassingPreflight } from './policy/preflight.ts'
import { isCrossSite } from './proxy/cross-site.ts'
import type { DialectName } from './proxy/dialects.ts'
import type { Networks } from './proxy/networks.ts'
import { type OriginalRequest, readOriginalRequest } from './proxy/original-request.ts'
import { type RequestHeaders, repeatsTheProxy } from './proxy/request-headers.ts'
import type { Problem, Result } from './result.ts'
import { cookieValues } from './session/cookie.ts'
import { verifiesAt } from './session/key-ring.ts'
import {
  claimsProblem,
  openSession,
  renewSession,
  type SessionClaims,
  type SessionLifetime,
  type SessionProblem,
  type VerifiedToken,
} from './session/token.ts'

/** An auth request of the proxy, as far as the decision needs it. */
export interface AuthRequest {
  /** Whether the connection comes from a trusted proxy's address. */
  readonly fromTrustedAddress: boolean
  readonly headers: RequestHeaders
}

/** The holder of a certificate: a device of the registry, or a name that an external CA certified. */
export type Recognized = Result<
  Holder,
  Problem<'unknown-device' | 'no-identity' | 'certificate-superseded'>
>

interface Holder {
  readonly identity: Identity
  /** The name for the session to remember; `undefined` where the registry is looked up again. */
  readonly name: string | undefined
}

/** Everything that a decision is based on. The two verifying functions may cache their results. */
export interface Grounds {
  /** The proxy whose headers are read. */
  readonly proxy: DialectName
  readonly proxySecret: Buffer | undefined
  readonly policy: Policy
  /** Their addresses in X-Forwarded-For are never the client's. */
  readonly trustedProxies: Networks
  readonly trust: TrustSet
  readonly cookieName: string
  /** If set, a session is valid for the whole domain. */
  readonly cookieDomain: string | undefined
  readonly lifetime: SessionLifetime
  /** Reads and verifies a certificate header. Dates and revocation are checked here, on each request. */
  verifyCertificate(headerValue: string, forwardedFor?: string): CertificateVerdict | 'absent'
  verifyToken(token: string): VerifiedToken
  recognize(certificate: CertificateReference, nowSeconds: number): Recognized
  /** Unix seconds at which all sessions of this name were signed out; `undefined`: never. */
  signedOutAt(device: string): number | undefined
}

/** What identifies a certificate's holder, from the certificate itself or from a session. */
export interface CertificateReference extends CertificateId {
  readonly name: string | undefined
  /** Known where the certificate itself was shown. */
  readonly sha256?: string
  readonly notAfter?: number
  /** For a session: when its certificate was last shown, Unix seconds. */
  readonly certificateSeenAt?: number
}

/** One request to decide on, with everything that the decision depends on except the rule. */
interface Case {
  readonly request: OriginalRequest
  readonly headers: RequestHeaders
  /** What a session is bound to, see `sessionScope`. */
  readonly host: string
  readonly grounds: Grounds
  readonly nowSeconds: number
}

/**
 * Decides whether a request may pass. The order of the checks is the contract: the first one that
 * fails gives the reason, and what nothing allows is denied.
 */
export function decide(auth: AuthRequest, grounds: Grounds, nowSeconds: number): Decision {
  const { headers } = auth
  if (!auth.fromTrustedAddress || !hasProxySecret(headers, grounds)) {
    return deny('untrusted-proxy', 'none')
  }
  if (isOtherProxy(headers, grounds)) return deny('proxy-mismatch', 'none')
  if (repeatsTheProxy(headers)) return deny('header-repeated', 'none')
  const request = readOriginalRequest(headers)
  if (request === undefined) return deny('malformed-request', 'none')
  if (headers.alias) return deny('header-alias', 'none')

  const host = sessionScope(request.host, grounds.cookieDomain)
  const asked: Case = { request, headers, host, grounds, nowSeconds }
  const rule = ruleFor(grounds.policy, request, headers.forwardedFor, grounds.trustedProxies)
  const decision = decideByRule(rule, asked)
  if (decision.allow || rule.insteadOf === undefined) return decision
  // The path is the reason only if its literal reading would have been allowed.
  const literally = decideByRule(rule.insteadOf, asked)
  return literally.allow ? deny('ambiguous-path', 'none', rule) : decision
}

function decideByRule(rule: Rule, asked: Case): Decision {
  const { request, headers, grounds } = asked
  const { policy, trustedProxies } = grounds
  if (rule.access === 'deny') return deny('policy-deny', 'none', rule)
  if (rule.access === 'open') return allowByRule(rule)
  if (isPassingPreflight(rule, request, headers, policy, trustedProxies)) return allowByRule(rule)
  if (isCrossSite(headers, request, policy.allowedOrigins)) return deny('cross-site', 'none', rule)

  const shown =
    headers.certificate === undefined
      ? 'absent'
      : grounds.verifyCertificate(headers.certificate, headers.forwardedFor)
  return shown === 'absent' ? decideBySession(rule, asked) : decideByCertificate(shown, rule, asked)
}

/**
 * The cookie domain for itself and the hosts below it. For any other host, the host alone: its
 * browser would not accept a cookie for another domain.
 */
function sessionScope(host: string, cookieDomain: string | undefined): string {
  if (cookieDomain === undefined) return host
  return host === cookieDomain || host.endsWith(`.${cookieDomain}`) ? cookieDomain : host
}

const deny = (reason: DenyReason, via: Deny['via'], rule?: Rule, notAfter?: number): Deny => ({
  allow: false,
  via,
  reason,
  rule,
  notAfter,
})

const allowByRule = (rule: Rule): Allow => ({
  allow: true,
  via: 'rule',
  identity: undefined,
  setSession: undefined,
  rule,
})

function hasProxySecret({ proxySecret }: RequestHeaders, grounds: Grounds): boolean {
  if (grounds.proxySecret === undefined) return true
  const given = Buffer.from(proxySecret ?? '', 'latin1')
  return given.length === grounds.proxySecret.length && timingSafeEqual(given, grounds.proxySecret)
}

/**
 * A proxy other than the configured one would pass on what a client writes into the header that we
 * read. If the name was sent twice, one of the two is the client's.
 */
const isOtherProxy = ({ proxy, repeated }: RequestHeaders, grounds: Grounds): boolean =>
  proxy !== undefined && proxy !== grounds.proxy && !repeated.has('proxy')

/** A certificate that is shown decides alone: if it is bad, the cookie is not considered. */
function decideByCertificate(verdict: CertificateVerdict, rule: Rule, asked: Case): Decision {
  if (!verdict.ok) return deny(verdict.problem, 'certificate', rule)
  const { grounds, nowSeconds } = asked
  const { verified } = verdict
  const problem = certificateStandingProblem(verified, grounds.trust, nowSeconds)
  if (problem !== undefined) {
    const notAfter = problem === 'certificate-expired' ? verified.notAfter : undefined
    return deny(problem, 'certificate', rule, notAfter)
  }
  const recognized = grounds.recognize(verified, nowSeconds)
  if (!recognized.ok) return deny(recognized.problem, 'certificate', rule)
  if (!isPermitted(rule, recognized.identity)) return deny('not-permitted', 'certificate', rule)
  return {
    allow: true,
    via: 'certificate',
    identity: recognized.identity,
    setSession: sessionFor(verified, recognized, asked),
    rule,
  }
}

/**
 * The session to set for a good certificate, unless the request already carries one for it. A
 * session that saw the certificate more than half a TTL ago is replaced, so that showing the
 * certificate always postpones the session's end.
 */
function sessionFor(
  verified: VerifiedCertificate,
  { identity, name }: Holder,
  asked: Case,
): Allow['setSession'] {
  const { host, grounds, nowSeconds } = asked
  if (grounds.cookieDomain !== undefined && host !== grounds.cookieDomain) return undefined
  const own = readSessions(asked).find(
    (session) =>
      session.ok &&
      isSameCertificate(session.claims, verified) &&
      !isSignedOut(session.claims, identity, grounds),
  )
  const lastSeen = own?.ok ? own.claims.certificateSeenAt : undefined
  if (lastSeen !== undefined && nowSeconds - lastSeen <= grounds.lifetime.ttlSeconds / 2) {
    return undefined
  }
  const certificate = { ...verified, certificateSha256: verified.sha256, name }
  return {
    claims: openSession(certificate, host, grounds.lifetime, nowSeconds),
    cause: own === undefined ? 'opened' : 'shown-again',
  }
}

/**
 * One good session cookie is enough: a neighboring site can set cookies of our name, and must not
 * be able to lock the owner out. If all are bad, the first one gives the reason.
 */
function decideBySession(rule: Rule, asked: Case): Decision {
  const sessions = readSessions(asked)
  if (sessions.length > 0 && rule.access === 'certificate') {
    return deny('session-not-accepted', 'session', rule)
  }
  let first: Decision | undefined
  for (const session of sessions) {
    const decision = session.ok
      ? decideByClaims(session.claims, rule, asked)
      : deny(session.problem, 'session', rule)
    if (decision.allow) return decision
    first ??= decision
  }
  return first ?? deny('no-credentials', 'none', rule)
}

/** A session is as good as its certificate, whose standing is checked on every request. */
function decideByClaims(
  claims: SessionClaims,
  rule: Rule,
  { grounds, nowSeconds }: Case,
): Decision {
  const problem = standingProblem(claims, grounds.trust, nowSeconds)
  if (problem !== undefined) {
    const reason = problem === 'certificate-revoked' ? 'session-revoked' : problem
    return deny(reason, 'session', rule)
  }
  const recognized = grounds.recognize(claims, nowSeconds)
  if (!recognized.ok) return deny(recognized.problem, 'session', rule)
  if (isSignedOut(claims, recognized.identity, grounds)) {
    return deny('session-signed-out', 'session', rule)
  }
  if (!isPermitted(rule, recognized.identity)) return deny('not-permitted', 'session', rule)
  const renewed = renewSession(claims, grounds.lifetime, nowSeconds)
  return {
    allow: true,
    via: 'session',
    identity: recognized.identity,
    setSession: renewed && { claims: renewed, cause: 'renewed' },
    rule,
  }
}

/** Renewal cannot undo a sign-out: a renewed session keeps the time its certificate was seen. */
function isSignedOut(claims: SessionClaims, { device }: Identity, grounds: Grounds): boolean {
  const signedOutAt = grounds.signedOutAt(device)
  return signedOutAt !== undefined && claims.certificateSeenAt <= signedOutAt
}

type ReadSession = Result<{ claims: SessionClaims }, Problem<SessionProblem>>

/** The session cookies of the request, checked for MAC, key, host and dates. */
function readSessions(asked: Case): readonly ReadSession[] {
  const { headers, grounds } = asked
  if (headers.cookie === undefined) return []
  const tokens = cookieValues(headers.cookie, grounds.cookieName)
  if (tokens === undefined) return [{ ok: false, problem: 'session-malformed' }]
  return tokens.map((token) => readSession(token, asked))
}

function readSession(token: string, { host, grounds, nowSeconds }: Case): ReadSession {
  const verified = grounds.verifyToken(token)
  if (!verified.ok) return verified
  const problem = verifiesAt(verified.key, nowSeconds)
    ? claimsProblem(verified.claims, host, grounds.lifetime, nowSeconds)
    : 'session-key-retired'
  return problem === undefined ? verified : { ok: false, problem }
}
