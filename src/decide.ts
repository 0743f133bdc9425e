import { timingSafeEqual } from 'node:crypto'
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

/** What was asked, as far as the decision goes: who asks, and with which headers. */
export interface Question {
  /** Whether the connection comes from an address that may ask. */
  readonly fromTrustedAddress: boolean
  readonly headers: RequestHeaders
}

/** A device of the registry, or whom an external CA's certificate names. */
export type Recognised =
  | {
      readonly ok: true
      readonly identity: Identity
      /** What a session must remember of it; `undefined` where the registry is asked again. */
      readonly name: string | undefined
    }
  | {
      readonly ok: false
      readonly reason: 'unknown-device' | 'no-identity' | 'certificate-superseded'
    }

/** Everything that the decision rests on; the two verifying functions may remember what they said. */
export interface Grounds {
  /** The proxy whose headers are read. */
  readonly proxy: DialectName
  readonly proxySecret: Buffer | undefined
  readonly policy: Policy
  /** Whose addresses in X-Forwarded-For are not the client's. */
  readonly trustedProxies: Networks
  readonly trust: TrustSet
  readonly cookieName: string
  /** With it, a session holds for the whole domain. */
  readonly cookieDomain: string | undefined
  readonly lifetime: SessionLifetime
  /** Reads and verifies a certificate header: dates and revocation are judged here, each time. */
  verifyCertificate(headerValue: string, forwardedFor?: string): CertificateVerdict | 'absent'
  verifyToken(token: string): VerifiedToken
  recognise(certificate: CertificateReference, nowSeconds: number): Recognised
  /** Unix seconds at which all sessions of this name were ended; `undefined`: never. */
  signedOutAt(device: string): number | undefined
}

/** Of a certificate, what tells whose it is; shown now, or remembered by a session. */
export interface CertificateReference {
  readonly issuerKeyHash: string
  readonly serial: string
  readonly name: string | undefined
  /** Known where the certificate itself was shown. */
  readonly sha256?: string
  readonly notAfter?: number
  /** Of a session: when its certificate was last shown, Unix seconds. */
  readonly certificateSeenAt?: number
}

/**
 * The whole product: may this request pass? The order of the checks is the contract; the first one
 * that speaks against the request answers, and what nothing speaks for stays outside.
 */
export function decide(question: Question, grounds: Grounds, nowSeconds: number): Decision {
  const { headers } = question
  if (!question.fromTrustedAddress || !hasProxySecret(headers, grounds)) {
    return deny('untrusted-proxy')
  }
  if (isOtherProxy(headers, grounds)) return deny('proxy-mismatch')
  if (repeatsTheProxy(headers)) return deny('header-repeated')
  const request = readOriginalRequest(headers)
  if (request === undefined) return deny('malformed-request')
  if (headers.alias) return deny('header-alias')

  const rule = ruleFor(grounds.policy, request, headers.forwardedFor, grounds.trustedProxies)
  const decision = decideByRule(rule, request, headers, grounds, nowSeconds)
  if (decision.allow || rule.insteadOf === undefined) return decision
  // Only what the path's several readings have closed is said to be their fault.
  const literally = decideByRule(rule.insteadOf, request, headers, grounds, nowSeconds)
  return literally.allow ? deny('ambiguous-path') : decision
}

function decideByRule(
  rule: Rule,
  request: OriginalRequest,
  headers: RequestHeaders,
  grounds: Grounds,
  nowSeconds: number,
): Decision {
  const { policy, trustedProxies } = grounds
  if (rule.access === 'deny') return deny('policy-deny')
  if (rule.access === 'open') return OPEN
  if (isPassingPreflight(rule, request, headers, policy, trustedProxies)) return OPEN
  if (isCrossSite(headers, request, policy.allowedOrigins)) return deny('cross-site')

  const host = sessionScope(request.host, grounds.cookieDomain)
  const shown =
    headers.certificate === undefined
      ? 'absent'
      : grounds.verifyCertificate(headers.certificate, headers.forwardedFor)
  if (shown !== 'absent')
    return decideByCertificate(shown, rule, headers, host, grounds, nowSeconds)
  return decideBySession(rule, headers, host, grounds, nowSeconds)
}

/**
 * What a session is bound to: the cookie's domain for the hosts below it; otherwise the host alone,
 * whose browser would take no cookie of another domain.
 */
function sessionScope(host: string, cookieDomain: string | undefined): string {
  if (cookieDomain === undefined) return host
  return host === cookieDomain || host.endsWith(`.${cookieDomain}`) ? cookieDomain : host
}

const deny = (reason: DenyReason, via: Deny['via'] = 'none'): Deny => ({
  allow: false,
  via,
  reason,
})

const OPEN: Allow = { allow: true, via: 'rule', identity: undefined, setSession: undefined }

function hasProxySecret({ proxySecret }: RequestHeaders, grounds: Grounds): boolean {
  if (grounds.proxySecret === undefined) return true
  const given = Buffer.from(proxySecret ?? '', 'latin1')
  return given.length === grounds.proxySecret.length && timingSafeEqual(given, grounds.proxySecret)
}

/**
 * Another proxy hands on what a client writes into the header that is read of this one. Where the
 * name came twice, one of the two is the client's.
 */
const isOtherProxy = ({ proxy, repeated }: RequestHeaders, grounds: Grounds): boolean =>
  proxy !== undefined && proxy !== grounds.proxy && !repeated.has('proxy')

/** A certificate that was shown decides alone: a bad one closes whatever the cookie says. */
function decideByCertificate(
  verdict: CertificateVerdict,
  rule: Rule,
  headers: RequestHeaders,
  host: string,
  grounds: Grounds,
  nowSeconds: number,
): Decision {
  if (!verdict.ok) return deny(verdict.problem, 'certificate')
  const { verified } = verdict
  const problem = certificateStandingProblem(verified, grounds.trust, nowSeconds)
  if (problem !== undefined) return deny(problem, 'certificate')
  const recognised = grounds.recognise(verified, nowSeconds)
  if (!recognised.ok) return deny(recognised.reason, 'certificate')
  if (!isPermitted(rule, recognised.identity)) return deny('not-permitted', 'certificate')
  return {
    allow: true,
    via: 'certificate',
    identity: recognised.identity,
    setSession: sessionFor(verified, recognised, headers, host, grounds, nowSeconds),
  }
}

/**
 * The session that a good certificate opens, unless the request carries one of its own already.
 * One that saw the certificate more than half a TTL ago is replaced, so that showing the certificate
 * always moves the session's end.
 */
function sessionFor(
  verified: VerifiedCertificate,
  { identity, name }: Extract<Recognised, { ok: true }>,
  headers: RequestHeaders,
  host: string,
  grounds: Grounds,
  nowSeconds: number,
): Allow['setSession'] {
  if (grounds.cookieDomain !== undefined && host !== grounds.cookieDomain) return undefined
  const sessions = readSessions(headers, host, grounds, nowSeconds)
  const own = sessions.find(
    (session) =>
      session.ok &&
      session.claims.issuerKeyHash === verified.issuerKeyHash &&
      session.claims.serial === verified.serial &&
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
 * Any good one of our cookies opens: a neighbour can toss cookies of our name at us, and must not
 * lock the owner out. If all are bad, the first one's problem counts.
 */
function decideBySession(
  rule: Rule,
  headers: RequestHeaders,
  host: string,
  grounds: Grounds,
  nowSeconds: number,
): Decision {
  const sessions = readSessions(headers, host, grounds, nowSeconds)
  if (sessions.length > 0 && rule.access === 'certificate') {
    return deny('session-not-accepted', 'session')
  }
  let first: Decision | undefined
  for (const session of sessions) {
    const decision = session.ok
      ? decideByClaims(session.claims, rule, grounds, nowSeconds)
      : deny(session.problem, 'session')
    if (decision.allow) return decision
    first ??= decision
  }
  return first ?? deny('no-credentials')
}

/** A session dies with its certificate: what speaks against that one is asked on every request. */
function decideByClaims(
  claims: SessionClaims,
  rule: Rule,
  grounds: Grounds,
  nowSeconds: number,
): Decision {
  const problem = standingProblem(claims, grounds.trust, nowSeconds)
  if (problem !== undefined) {
    return deny(problem === 'certificate-revoked' ? 'session-revoked' : problem, 'session')
  }
  const recognised = grounds.recognise(claims, nowSeconds)
  if (!recognised.ok) return deny(recognised.reason, 'session')
  if (isSignedOut(claims, recognised.identity, grounds)) {
    return deny('session-signed-out', 'session')
  }
  if (!isPermitted(rule, recognised.identity)) return deny('not-permitted', 'session')
  const renewed = renewSession(claims, grounds.lifetime, nowSeconds)
  return {
    allow: true,
    via: 'session',
    identity: recognised.identity,
    setSession: renewed && { claims: renewed, cause: 'renewed' },
  }
}

/** Renewing does not help a session that was ended: when its certificate was seen stays the same. */
function isSignedOut(claims: SessionClaims, { device }: Identity, grounds: Grounds): boolean {
  const signedOutAt = grounds.signedOutAt(device)
  return signedOutAt !== undefined && claims.certificateSeenAt <= signedOutAt
}

type ReadSession =
  | { readonly ok: true; readonly claims: SessionClaims }
  | { readonly ok: false; readonly problem: SessionProblem }

/** Our cookies, judged by their MAC, host and dates. */
function readSessions(
  headers: RequestHeaders,
  host: string,
  grounds: Grounds,
  nowSeconds: number,
): readonly ReadSession[] {
  if (headers.cookie === undefined) return []
  const tokens = cookieValues(headers.cookie, grounds.cookieName)
  if (tokens === undefined) return [{ ok: false, problem: 'session-malformed' }]
  return tokens.map((token) => readSession(token, host, grounds, nowSeconds))
}

function readSession(
  token: string,
  host: string,
  grounds: Grounds,
  nowSeconds: number,
): ReadSession {
  const verified = grounds.verifyToken(token)
  if (!verified.ok) return verified
  const problem = verifiesAt(verified.key, nowSeconds)
    ? claimsProblem(verified.claims, host, grounds.lifetime, nowSeconds)
    : 'session-key-retired'
  return problem === undefined ? verified : { ok: false, problem }
}
