import { isIPv6 } from 'node:net'
import { LRUCache } from 'lru-cache'
import type { CertificateVerdict } from '../../certificate/verify.ts'
import { clientAddress } from '../../proxy/client-address.ts'
import { ipv6Prefix, type Networks } from '../../proxy/networks.ts'

type Verdict = CertificateVerdict | 'absent'

/**
 * Keeps certificates that nobody has seen before from taking the time of all others: checking one
 * takes as long as twenty decisions by cookie. Nobody is turned away while all checks together take
 * less than a quarter of a core; beyond that, only clients that have used up what is theirs; and
 * beyond half a core all that no good certificate came from before, or an attacker with many addresses
 * would take the time of those who have a cookie. So what is lost, and only as long as that goes on, is
 * the first visit of a new device: at the address of an attacker, or, if he has many addresses, at one
 * where no device was before. Cookies cost nothing here, and a certificate that was good once is always
 * checked again. All of this holds for one process.
 */
export interface VerificationBudget {
  /** What the check says, or `undefined` where there is no time for it now. */
  spend(
    forwardedFor: string | undefined,
    certificateKey: string,
    check: () => Verdict,
  ): Verdict | undefined
}

/**
 * Milliseconds of checking that may pile up, and how many come back each second. What may pile up is for
 * a household that comes in all at once; it is also what the first moment of a flood costs everybody
 * else: a process that has just started is busy with little more than the decisions of 5,000 a second,
 * so what waits behind 20 ms of checks waits for 100 ms, and behind 100 ms for 500 ms (stress.ts).
 */
interface Allowance {
  readonly most: number
  readonly perSecond: number
}

const TOGETHER: Allowance = { most: 20, perSecond: 250 }
const AT_THE_MOST: Allowance = { most: 40, perSecond: 500 }
/**
 * Some fifty certificates at once and a hundred a second: no household has so many. What is checked while
 * there is time for all is not counted.
 */
const EACH: Allowance = { most: 10, perSecond: 25 }

/** Of how many clients it is known what they have used up; who is forgotten begins anew. */
const CLIENTS = 10_000
const PROVEN = 2_000
/** Each of them could take what is its own beyond the half; nobody but its household is behind most. */
const HOMES = 1_000

export function createVerificationBudget(
  trustedProxies: Networks,
  nowMilliseconds: () => number,
): VerificationBudget {
  const together = createPurse(TOGETHER, nowMilliseconds())
  const atTheMost = createPurse(AT_THE_MOST, nowMilliseconds())
  const purses = new LRUCache<string, TokenBucket>({ max: CLIENTS })
  const proven = new LRUCache<string, true>({ max: PROVEN })
  /** Clients from which a good certificate came. */
  const homes = new LRUCache<string, true>({ max: HOMES })
  return {
    spend(forwardedFor, certificateKey, check) {
      const startedAt = nowMilliseconds()
      const client = nameOf(clientAddress(forwardedFor, trustedProxies))
      const purse = purses.get(client) ?? createPurse(EACH, startedAt)
      const isPlenty = together.hasSome(startedAt)
      const mayTakeIts = homes.has(client) || atTheMost.hasSome(startedAt)
      const isNewAllowed = isPlenty || (mayTakeIts && purse.hasSome(startedAt))
      if (!isNewAllowed && !proven.has(certificateKey)) return undefined
      const verdict = check()
      const endedAt = nowMilliseconds()
      if (!isPlenty) purse.take(endedAt - startedAt, endedAt)
      together.take(endedAt - startedAt, endedAt)
      atTheMost.take(endedAt - startedAt, endedAt)
      purses.set(client, purse)
      if (verdict !== 'absent' && verdict.ok) {
        proven.set(certificateKey, true)
        homes.set(client, true)
      }
      return verdict
    },
  }
}

/** Whoever comes over IPv6 has a whole /64 to come from. */
function nameOf(client: string | undefined): string {
  if (client === undefined) return 'unknown'
  return isIPv6(client) ? ipv6Prefix(client) : client
}

interface TokenBucket {
  hasSome(now: number): boolean
  take(milliseconds: number, now: number): void
}

/**
 * One check may take more than is left: the time to come pays for it. Debts end: what a flood has taken
 * beyond that must not keep others out long after it.
 */
function createPurse({ most, perSecond }: Allowance, createdAt: number): TokenBucket {
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
