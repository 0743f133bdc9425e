import { LRUCache } from 'lru-cache'
import type { CertificateVerdict } from '../../certificate/verify.ts'
import { clientAddress, clientKey } from '../../proxy/client-address.ts'
import type { Networks } from '../../proxy/networks.ts'

type Verdict = CertificateVerdict | 'absent'

/**
 * Bounds the CPU time that is spent on certificates never seen before: verifying one takes as long as
 * twenty decisions by cookie. There are three tiers:
 *
 * - While all checks together take less than a quarter of a core, every certificate is checked.
 * - Beyond that, a client is rate-limited once it has used its own allowance.
 * - Beyond half a core, so is every client that never showed a good certificate. Otherwise an attacker
 *   with many addresses could slow down requests that have a cookie.
 *
 * So during an attack, and only then, a new device may be denied on its first visit: if it shares the
 * attacker's address or, when there are many of those, if no device has used its address before.
 * Cookies need no budget, and a certificate that was good once is always checked. The limits apply per
 * process.
 */
export interface VerificationBudget {
  /** Returns the check's verdict, or `undefined` if there is no time for it now. */
  spend(
    forwardedFor: string | undefined,
    certificateKey: string,
    check: () => Verdict,
  ): Verdict | undefined
}

/**
 * Milliseconds of checks that may accumulate, and how many are refilled per second. The burst is for a
 * household whose devices all arrive at once, and it is also what the first moment of a flood costs all
 * other clients. A process that has just started is nearly busy with the decisions of 5,000 requests a
 * second, so 20 ms of checks delay the rest by 100 ms, and 100 ms of checks by 500 ms (stress.ts).
 */
interface Allowance {
  readonly most: number
  readonly perSecond: number
}

/** Up to this, every certificate is checked. */
const QUARTER_CORE: Allowance = { most: 20, perSecond: 250 }
/** Beyond this, only the certificates of known good clients are checked. */
const HALF_CORE: Allowance = { most: 40, perSecond: 500 }
/**
 * Fifty certificates at once and a hundred a second: more than any household has. Checks made
 * while a quarter of a core suffices are not charged.
 */
const PER_CLIENT: Allowance = { most: 10, perSecond: 25 }

/** Clients whose use is tracked; an evicted one starts with a full allowance. */
const CLIENTS = 10_000
const KNOWN_GOOD_CERTIFICATES = 2_000
/** Each may use its own allowance beyond half a core. Most addresses serve a single household. */
const KNOWN_GOOD_CLIENTS = 1_000

export function createVerificationBudget(
  trustedProxies: Networks,
  nowMilliseconds: () => number,
): VerificationBudget {
  const quarterCore = createTokenBucket(QUARTER_CORE, nowMilliseconds())
  const halfCore = createTokenBucket(HALF_CORE, nowMilliseconds())
  const buckets = new LRUCache<string, TokenBucket>({ max: CLIENTS })
  const knownGoodCertificates = new LRUCache<string, true>({ max: KNOWN_GOOD_CERTIFICATES })
  const knownGoodClients = new LRUCache<string, true>({ max: KNOWN_GOOD_CLIENTS })
  return {
    spend(forwardedFor, certificateKey, check) {
      const startedAt = nowMilliseconds()
      const client = clientKey(clientAddress(forwardedFor, trustedProxies))
      const bucket = buckets.get(client) ?? createTokenBucket(PER_CLIENT, startedAt)
      const isPlenty = quarterCore.hasSome(startedAt)
      const mayUseBucket = knownGoodClients.has(client) || halfCore.hasSome(startedAt)
      const isNewAllowed = isPlenty || (mayUseBucket && bucket.hasSome(startedAt))
      if (!isNewAllowed && !knownGoodCertificates.has(certificateKey)) return undefined
      const verdict = check()
      const endedAt = nowMilliseconds()
      if (!isPlenty) bucket.take(endedAt - startedAt, endedAt)
      quarterCore.take(endedAt - startedAt, endedAt)
      halfCore.take(endedAt - startedAt, endedAt)
      buckets.set(client, bucket)
      if (verdict !== 'absent' && verdict.ok) {
        knownGoodCertificates.set(certificateKey, true)
        knownGoodClients.set(client, true)
      }
      return verdict
    },
  }
}

interface TokenBucket {
  hasSome(now: number): boolean
  take(milliseconds: number, now: number): void
}

/**
 * A check may overdraw the bucket, and is paid for by the refill. The debt is capped, so that a flood
 * does not keep other clients waiting long after it has ended.
 */
function createTokenBucket({ most, perSecond }: Allowance, createdAt: number): TokenBucket {
  let amount = most
  let at = createdAt
  const refill = (now: number): void => {
    amount = Math.min(most, amount + ((now - at) / 1000) * perSecond)
    at = now
  }
  return {
    hasSome: (now) => {
      refill(now)
      return amount > 0
    },
    take: (milliseconds, now) => {
      refill(now)
      amount = Math.max(-most, amount - milliseconds)
    },
  }
}
