import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { type CertificateVerdict, type Issuer, verifyCertificate } from '../certificate/verify.ts'
import type { CertificateReference } from '../decide.ts'
import type { CertificateEncoding } from '../proxy/dialects.ts'
import { readCertificateHeader } from '../proxy/encodings.ts'
import type { KeyRing } from '../session/key-ring.ts'
import { type VerifiedToken, verifyToken } from '../session/token.ts'

/** Remembered verdicts: good and bad certificates apart, so that bad ones push no good one out. */
const GOOD_CERTIFICATES = 2_000
const BAD_CERTIFICATES = 500
const SESSIONS = 10_000

/** What the cache did, counted for the metrics. */
export interface CacheTally {
  hits: number
  misses: number
}

/**
 * The verifying functions of one snapshot, with memory. It dies with the snapshot, and it holds
 * only what neither time nor revocation can change; those are judged on every request.
 */
export interface VerdictCache {
  verifyCertificate(headerValue: string): CertificateVerdict | 'absent'
  verifyToken(token: string): VerifiedToken
  /** Whose these are, if they were verified before; asked for the log, so it counts nothing. */
  knownCertificate(headerValue: string): CertificateReference | undefined
  knownToken(token: string): CertificateReference | undefined
  readonly entries: number
}

/**
 * Keys are hashes: a fixed size whatever a client sends, and no slice that keeps a whole header
 * alive (V8 would: 1.6 kB an entry instead of 0.1).
 */
const keyOf = (value: string): string => hash('sha256', value, 'base64')

export function createVerdictCache(
  issuers: readonly Issuer[],
  keyRing: KeyRing,
  encoding: CertificateEncoding,
  tally: CacheTally,
): VerdictCache {
  const good = new LRUCache<string, CertificateVerdict>({ max: GOOD_CERTIFICATES })
  const bad = new LRUCache<string, CertificateVerdict | 'absent'>({ max: BAD_CERTIFICATES })
  const sessions = new LRUCache<string, VerifiedToken>({ max: SESSIONS })

  return {
    verifyCertificate(headerValue) {
      if (headerValue === '') return 'absent'
      const key = keyOf(headerValue)
      const known = good.get(key) ?? bad.get(key)
      if (known !== undefined) {
        tally.hits += 1
        return known
      }
      tally.misses += 1
      const verdict = verifyHeader(headerValue, encoding, issuers)
      if (verdict !== 'absent' && verdict.ok) good.set(key, verdict)
      else bad.set(key, verdict)
      return verdict
    },
    verifyToken(token) {
      const key = keyOf(token)
      const known = sessions.get(key)
      if (known !== undefined) {
        tally.hits += 1
        return known
      }
      tally.misses += 1
      const verdict = verifyToken(token, keyRing)
      // Forged ones are not remembered: whoever sends them could push the good ones out.
      if (verdict.ok) sessions.set(key, verdict)
      return verdict
    },
    knownCertificate(headerValue) {
      const verdict = good.peek(keyOf(headerValue))
      return verdict?.ok ? verdict.verified : undefined
    },
    knownToken(token) {
      const verdict = sessions.peek(keyOf(token))
      return verdict?.ok ? verdict.claims : undefined
    },
    get entries() {
      return good.size + bad.size + sessions.size
    },
  }
}

function verifyHeader(
  headerValue: string,
  encoding: CertificateEncoding,
  issuers: readonly Issuer[],
): CertificateVerdict | 'absent' {
  const shown = readCertificateHeader(headerValue, encoding)
  if (shown.kind === 'absent') return 'absent'
  return shown.kind === 'malformed'
    ? { ok: false, problem: 'certificate-malformed' }
    : verifyCertificate(shown.der, issuers)
}
