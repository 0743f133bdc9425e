import { createHmac, timingSafeEqual } from 'node:crypto'
import type { CertificateId } from '../certificate/certificate-id.ts'
import type { Problem, Result } from '../result.ts'
import type { KeyRing, SessionKey } from './key-ring.ts'

/** Why a session cookie is not accepted. */
export type SessionProblem =
  | 'session-malformed'
  | 'session-forged'
  | 'session-expired'
  | 'session-not-yet-valid'
  | 'session-wrong-host'
  | 'session-key-retired'

/**
 * What a token states; the MAC covers all of it. The id is that of the certificate that its session was
 * started with.
 */
export interface SessionClaims extends CertificateId {
  /** SHA-256 of the certificate's DER, base64url: for people and logs, never for a decision. */
  readonly certificateSha256: string
  /** The name in a certificate of an external CA; `undefined` where the registry has it. */
  readonly name: string | undefined
  /** Its CRL distribution points, as in `VerifiedCertificate`. */
  readonly distributionPoints: readonly string[] | undefined
  /** The host that it was issued for, or the cookie's domain. */
  readonly host: string
  /** Unix seconds. */
  readonly issuedAt: number
  readonly certificateSeenAt: number
  /** The end that renewing by cookie cannot move. */
  readonly sessionEnd: number
  readonly expiresAt: number
}

export type VerifiedToken = Result<
  { claims: SessionClaims; key: SessionKey },
  Problem<SessionProblem>
>

const VERSION = 'v1'
/** Far longer than any token that certlatch issues: no MAC is computed for more. */
export const MAX_TOKEN_LENGTH = 2048
/** Digits of the MAC: 32 bytes, base64url. */
export const MAC_LENGTH = 43
const TOKEN = /^v1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$/

/**
 * The payload's fields, in this order, as a JSON array: shorter than an object in a cookie that
 * travels with every request, and no key can be repeated or missing.
 */
type Payload = readonly [
  keyId: string,
  certificateSha256: string,
  issuerKeyHash: string,
  serial: string,
  name: string | null,
  distributionPoints: readonly string[] | null,
  host: string,
  issuedAt: number,
  certificateSeenAt: number,
  sessionEnd: number,
  expiresAt: number,
]

const macOf = (signed: string, { key }: SessionKey): Buffer =>
  createHmac('sha256', key).update(signed).digest()

/** `v1.<payload>.<mac>`, the MAC over everything before the last dot. */
export function mintToken(claims: SessionClaims, key: SessionKey): string {
  const payload: Payload = [
    key.id,
    claims.certificateSha256,
    claims.issuerKeyHash,
    claims.serial,
    claims.name ?? null,
    claims.distributionPoints ?? null,
    claims.host,
    claims.issuedAt,
    claims.certificateSeenAt,
    claims.sessionEnd,
    claims.expiresAt,
  ]
  const signed = `${VERSION}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`
  return `${signed}.${macOf(signed, key).toString('base64url')}`
}

/**
 * Verifies that one of the keys signed this token. The MAC is computed over the bytes as received and
 * compared in constant time, before anything inside is read. Dates, host and revocation are not
 * checked, so the result may be cached as long as the keys stay the same.
 */
export function verifyToken(token: string, ring: KeyRing): VerifiedToken {
  if (token.length > MAX_TOKEN_LENGTH || !TOKEN.test(token)) return refuse('session-malformed')
  const lastDot = token.lastIndexOf('.')
  const signed = token.slice(0, lastDot)
  const mac = Buffer.from(token.slice(lastDot + 1), 'base64url')
  // 32 bytes have 43 base64url digits of which the last carries two unused bits: one spelling only.
  if (mac.toString('base64url') !== token.slice(lastDot + 1)) return refuse('session-malformed')
  const key = ring.keys.find((candidate) => timingSafeEqual(macOf(signed, candidate), mac))
  if (key === undefined) return refuse('session-forged')
  const claims = readPayload(signed.slice(VERSION.length + 1), key)
  return claims === undefined ? refuse('session-malformed') : { ok: true, claims, key }
}

const refuse = (problem: SessionProblem): VerifiedToken => ({ ok: false, problem })

/** Reads only what one of the keys signed: a wrong shape comes from another version, or is a bug. */
function readPayload(encoded: string, key: SessionKey): SessionClaims | undefined {
  let payload: unknown
  try {
    payload = JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
  if (!isPayload(payload) || payload[0] !== key.id) return undefined
  return {
    certificateSha256: payload[1],
    issuerKeyHash: payload[2],
    serial: payload[3],
    name: payload[4] ?? undefined,
    distributionPoints: payload[5] ?? undefined,
    host: payload[6],
    issuedAt: payload[7],
    certificateSeenAt: payload[8],
    sessionEnd: payload[9],
    expiresAt: payload[10],
  }
}

function isPayload(value: unknown): value is Payload {
  if (!Array.isArray(value) || value.length !== 11) return false
  const isName = value[4] === null || typeof value[4] === 'string'
  const points: unknown = value[5]
  if (points !== null && !isTextList(points)) return false
  const texts = [...value.slice(0, 4), value[6]]
  return (
    isName &&
    texts.every((text) => typeof text === 'string') &&
    value.slice(7).every((time) => Number.isSafeInteger(time))
  )
}

const isTextList = (value: unknown): boolean =>
  Array.isArray(value) && value.every((text) => typeof text === 'string')

/** How long sessions live, in seconds. */
export interface SessionLifetime {
  readonly ttlSeconds: number
  readonly maxAgeSeconds: number
}

/** How far the clocks of replicas may differ. */
const CLOCK_TOLERANCE_SECONDS = 60

/** Returns why the token's claims do not hold now or for this host; `undefined` if they do. */
export function claimsProblem(
  claims: SessionClaims,
  host: string,
  { ttlSeconds, maxAgeSeconds }: SessionLifetime,
  nowSeconds: number,
): SessionProblem | undefined {
  if (claims.host !== host) return 'session-wrong-host'
  if (nowSeconds >= claims.expiresAt || nowSeconds >= claims.sessionEnd) return 'session-expired'
  if (nowSeconds >= claims.certificateSeenAt + maxAgeSeconds) return 'session-expired'
  if (claims.expiresAt <= nowSeconds + ttlSeconds + CLOCK_TOLERANCE_SECONDS) return undefined
  // A lower TTL ends longer sessions; a session from a clock that is ahead is another case.
  return claims.issuedAt > nowSeconds + CLOCK_TOLERANCE_SECONDS
    ? 'session-not-yet-valid'
    : 'session-expired'
}

type CertificateClaim = keyof CertificateId | 'certificateSha256' | 'name' | 'distributionPoints'

/** The claims of the session that a certificate shown at `nowSeconds` starts. */
export function openSession(
  certificate: Pick<SessionClaims, CertificateClaim> & { readonly notAfter: number },
  host: string,
  { ttlSeconds, maxAgeSeconds }: SessionLifetime,
  nowSeconds: number,
): SessionClaims {
  const sessionEnd = Math.min(nowSeconds + maxAgeSeconds, certificate.notAfter)
  return {
    certificateSha256: certificate.certificateSha256,
    issuerKeyHash: certificate.issuerKeyHash,
    serial: certificate.serial,
    name: certificate.name,
    distributionPoints: certificate.distributionPoints,
    host,
    issuedAt: nowSeconds,
    certificateSeenAt: nowSeconds,
    sessionEnd,
    expiresAt: Math.min(nowSeconds + ttlSeconds, sessionEnd),
  }
}

/**
 * The claims of the session that replaces this one when only the cookie is shown; `undefined` while more
 * than half a TTL is left, or if renewing would gain less than a quarter of the TTL.
 */
export function renewSession(
  claims: SessionClaims,
  { ttlSeconds, maxAgeSeconds }: SessionLifetime,
  nowSeconds: number,
): SessionClaims | undefined {
  if (nowSeconds < claims.expiresAt - ttlSeconds / 2) return undefined
  const sessionEnd = Math.min(claims.sessionEnd, claims.certificateSeenAt + maxAgeSeconds)
  const expiresAt = Math.min(nowSeconds + ttlSeconds, sessionEnd)
  if (expiresAt - claims.expiresAt < ttlSeconds / 4) return undefined
  return { ...claims, issuedAt: nowSeconds, sessionEnd, expiresAt }
}
