import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { DEFAULT_IDENTITY, type IdentityKind } from '../../certificate/identity.ts'
import {
  type CertificateVerdict,
  type Issuer,
  verifyCertificate,
} from '../../certificate/verify.ts'
import type { CertificateReference } from '../../decide.ts'
import type { CertificateEncoding } from '../../proxy/dialects.ts'
import { readCertificateHeader } from '../../proxy/encodings.ts'
import type { KeyRing } from '../../session/key-ring.ts'
import {
  MAC_LENGTH,
  MAX_TOKEN_LENGTH,
  type VerifiedToken,
  verifyToken,
} from '../../session/token.ts'
import type { VerificationBudget } from './verification-budget.ts'

/** Good and bad verdicts are cached separately, so that bad ones evict no good ones. */
const GOOD_CERTIFICATES = 2_000
const BAD_CERTIFICATES = 500
const SESSIONS = 2_000
const BAD_TOKENS = 500

/** Hits and misses, counted for the metrics. */
export interface CacheTally {
  hits: number
  misses: number
}

/**
 * The verifying functions of one snapshot, with a cache that is discarded with the snapshot. It holds
 * only what neither time nor revocation can change: those are checked on every request.
 */
export interface VerdictCache {
  /** `forwardedFor` identifies the client whose budget a check is charged to. */
  verifyCertificate(headerValue: string, forwardedFor?: string): CertificateVerdict | 'absent'
  verifyToken(token: string): VerifiedToken
  /** Returns the reference if it was verified before. Only for the log, so it is not counted. */
  knownCertificate(headerValue: string): CertificateReference | undefined
  knownToken(token: string): CertificateReference | undefined
  readonly entries: number
}

/**
 * Keys of certificates are hashes: a fixed size whatever a client sends, and no slice that keeps a
 * whole header alive (V8 would: 1.6 kB an entry instead of 0.1).
 */
const keyOf = (value: string): string => hash('sha256', value, 'base64')

/** The MAC, or whatever a malformed token has there: a key that saves hashing the token (0.5 µs). */
const macOf = (token: string): string => token.slice(-MAC_LENGTH)

/** A copy that does not keep alive the header it was sliced from. */
const detached = (token: string): string => Buffer.from(token, 'latin1').toString('latin1')

/** The whole token is compared: a different token may have the same MAC. */
interface KnownToken<Verdict extends VerifiedToken> {
  readonly token: string
  readonly verdict: Verdict
}

type GoodToken = Extract<VerifiedToken, { ok: true }>

const RATE_LIMITED: CertificateVerdict = { ok: false, problem: 'certificate-rate-limited' }

/** `identity`: the kinds of names in a certificate that can identify its holder. */
export function createVerdictCache(
  issuers: readonly Issuer[],
  keyRing: KeyRing,
  encoding: CertificateEncoding,
  tally: CacheTally,
  budget: VerificationBudget,
  identity: readonly IdentityKind[] = DEFAULT_IDENTITY,
): VerdictCache {
  const good = new LRUCache<string, CertificateVerdict>({ max: GOOD_CERTIFICATES })
  const bad = new LRUCache<string, CertificateVerdict | 'absent'>({ max: BAD_CERTIFICATES })
  const sessions = new LRUCache<string, KnownToken<GoodToken>>({ max: SESSIONS })
  const badTokens = new LRUCache<string, KnownToken<VerifiedToken>>({ max: BAD_TOKENS })

  const remember = (shown: string, verdict: VerifiedToken): void => {
    // Longer tokens are cheap to refuse, and clients would decide how much memory the cache takes.
    if (shown.length > MAX_TOKEN_LENGTH) return
    const token = detached(shown)
    if (verdict.ok) sessions.set(macOf(token), { token, verdict })
    else badTokens.set(macOf(token), { token, verdict })
  }

  return {
    verifyCertificate(headerValue, forwardedFor) {
      if (headerValue === '') return 'absent'
      const key = keyOf(headerValue)
      const known = good.get(key) ?? bad.get(key)
      if (known !== undefined) {
        tally.hits += 1
        return known
      }
      const check = () => verifyHeader(headerValue, encoding, issuers, identity)
      const verdict = budget.spend(forwardedFor, key, check)
      // Not cached: the next attempt may find budget.
      if (verdict === undefined) return RATE_LIMITED
      tally.misses += 1
      if (verdict !== 'absent' && verdict.ok) good.set(key, verdict)
      else bad.set(key, verdict)
      return verdict
    },
    verifyToken(token) {
      const mac = macOf(token)
      const known = sessions.get(mac)
      if (known?.token === token) {
        tally.hits += 1
        return known.verdict
      }
      const knownBad = badTokens.get(mac)
      if (knownBad?.token === token) {
        tally.hits += 1
        return knownBad.verdict
      }
      tally.misses += 1
      const verdict = verifyToken(token, keyRing)
      remember(token, verdict)
      return verdict
    },
    knownCertificate(headerValue) {
      const verdict = good.peek(keyOf(headerValue))
      return verdict?.ok ? verdict.verified : undefined
    },
    knownToken(token) {
      const known = sessions.peek(macOf(token))
      return known?.token === token ? known.verdict.claims : undefined
    },
    get entries() {
      return good.size + bad.size + sessions.size + badTokens.size
    },
  }
}

function verifyHeader(
  headerValue: string,
  encoding: CertificateEncoding,
  issuers: readonly Issuer[],
  identity: readonly IdentityKind[],
): CertificateVerdict | 'absent' {
  const shown = readCertificateHeader(headerValue, encoding)
  if (shown.kind === 'absent') return 'absent'
  return shown.kind === 'malformed'
    ? { ok: false, problem: 'certificate-malformed' }
    : verifyCertificate(shown.der, issuers, identity)
}
