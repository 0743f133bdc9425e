import { createHmac, timingSafeEqual } from 'node:crypto'
import type { KeyRing, SessionKey } from './key-ring.ts'

/** Why a session cookie does not open. */
export type SessionProblem =
  | 'session-malformed'
  | 'session-forged'
  | 'session-expired'
  | 'session-not-yet-valid'
  | 'session-wrong-host'
  | 'session-key-retired'
  | 'session-revoked'
  | 'session-signed-out'
  | 'session-not-accepted'

/** What a token says; every word of it is under the MAC. */
export interface SessionClaims {
  /** SHA-256 of the certificate's DER, base64url: for people and logs, never for a decision. */
  readonly certificateSha256: string
  /** With the serial number: which certificate opened this session. */
  readonly issuerKeyHash: string
  readonly serial: string
  /** Whom the certificate of an external CA named; `undefined` where the registry knows. */
  readonly name: string | undefined
  /** Its CRL distribution points, as in `VerifiedCertificate`. */
  readonly distributionPoints: readonly string[] | undefined
  /** The host that it was minted for, or the cookie's domain. */
  readonly host: string
  /** Unix seconds. */
  readonly issuedAt: number
  readonly certificateSeenAt: number
  /** The end that no renewal by cookie can move. */
  readonly sessionEnd: number
  readonly expiresAt: number
}

export type VerifiedToken =
  | { readonly ok: true; readonly claims: SessionClaims; readonly key: SessionKey }
  | { readonly ok: false; readonly problem: SessionProblem }

const VERSION = 'v1'
/** Far above any token that we mint; what is longer is not worth a MAC. */
export const MAX_TOKEN_LENGTH = 2048
/** Digits at its end: 32 bytes, base64url. */
export const MAC_LENGTH = 43
const TOKEN = /^v1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$/

/**
 * The payload's fields, in this order, as a JSON array: shorter than an object in a cookie that
 * travels with every request, and without keys there is nothing to repeat or to leave out.
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
 * Whether one of our keys made this token. The MAC is compared over the bytes as received, in
 * constant time, before anything inside is read. Dates, host and revocation are not looked at: this
 * answer may be cached as long as the keys stay the same.
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

/** Only ever given what one of our keys has signed: a wrong shape is another version's, or a bug. */
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

/** What the clocks of replicas may differ by. */
const CLOCK_TOLERANCE_SECONDS = 60

/** What the token's own words say against it now and for this host. */
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
  // Lowering the TTL ends longer sessions; a clock that was ahead when it was opened is another matter.
  return claims.issuedAt > nowSeconds + CLOCK_TOLERANCE_SECONDS
    ? 'session-not-yet-valid'
    : 'session-expired'
}

/** The claims of a session that a certificate shown at `nowSeconds` opens. */
export function openSession(
  certificate: Pick<
    SessionClaims,
    'certificateSha256' | 'issuerKeyHash' | 'serial' | 'name' | 'distributionPoints'
  > & {
    readonly notAfter: number
  },
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
 * The claims of the session that replaces this one when only the cookie is shown, or `undefined`
 * while it has more than half a TTL to live, or a renewal would win less than a quarter of the TTL.
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
