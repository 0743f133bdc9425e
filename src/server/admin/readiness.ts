import type { RevocationList } from '../../certificate/revocation.ts'
import { isStale } from '../../certificate/trust.ts'
import { signingKey } from '../../session/key-ring.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { TrustStore } from '../../store/trust-store.ts'
import {
  activeAuthorities,
  activeRevocationLists,
  authoritiesOf,
  authorityName,
} from './active-authorities.ts'
import type { Check, Readiness } from './routes.ts'

/** The words of every message about it, here and in the commands. */
export const CLOCK_IS_WRONG = 'the clock is wrong: according to it, the CA is not valid yet'

/** Returns whether the time is before every CA's notBefore: the machine booted with a wrong clock. */
export function isClockWrong({ trust }: Snapshot, nowSeconds: number): boolean {
  return trust.issuers.every(({ certificate }) => nowSeconds < certificate.notBefore)
}

/**
 * Reports whether requests should be sent here. A stale CRL or a refused file change is a failed check,
 * but does not make the service unready: other replicas would have the same files.
 */
export function readiness(
  trust: TrustStore,
  stateFileProblem: string | undefined,
  nowSeconds: number,
  draining: boolean,
): Readiness {
  const snapshot = trust.current
  const clockIsWrong = isClockWrong(snapshot, nowSeconds)
  const checks: readonly Check[] = [
    check('clock', !clockIsWrong, 'plausible', CLOCK_IS_WRONG),
    filesCheck(trust),
    authorityCheck(snapshot, nowSeconds),
    revocationCheck(snapshot, nowSeconds),
    renewalCheck(snapshot, nowSeconds),
    keyCheck(snapshot, nowSeconds),
    check(
      'commands',
      stateFileProblem === undefined,
      'can see what is loaded here',
      stateFileProblem ?? '',
    ),
    check('running', !draining, 'taking requests', 'stopping'),
  ]
  return {
    ready: !clockIsWrong && !draining,
    checks,
    keySet: snapshot.keyRing.fingerprint,
    crlNumber: loadedNumber(snapshot, nowSeconds),
  }
}

const check = (name: string, ok: boolean, good: string, bad: string): Check => ({
  name,
  ok,
  detail: ok ? good : bad,
})

function filesCheck({ problems, current }: TrustStore): Check {
  const isPart = problems.every((problem) => current.problems.includes(problem))
  const what = isPart ? 'the files are loaded except for this' : 'the previous files are kept'
  const bad = `${what}: ${problems.join('; ')}`
  return check('files', problems.length === 0, 'the current files are loaded', bad)
}

/** What has expired or soon will, although the files are unchanged; for the operator. */
export function agingProblems(snapshot: Snapshot, nowSeconds: number): readonly string[] {
  const expired = expiredAuthorities(snapshot, nowSeconds)
  const checks = [revocationCheck, renewalCheck, keyCheck]
    .map((make) => make(snapshot, nowSeconds))
    .filter(({ ok }) => !ok)
    .map(({ name, detail }) => `${name}: ${detail}`)
  return expired === undefined ? checks : [`ca: ${expired}`, ...checks]
}

function authorityCheck(snapshot: Snapshot, nowSeconds: number): Check {
  const expired = expiredAuthorities(snapshot, nowSeconds)
  if (expired === undefined) return { name: 'ca', ok: true, detail: 'valid' }
  const ok = activeAuthorities(snapshot, nowSeconds).some(({ notAfter }) => nowSeconds <= notAfter)
  return check('ca', ok, `valid; ${expired}`, expired)
}

function expiredAuthorities(snapshot: Snapshot, nowSeconds: number): string | undefined {
  const expired = authoritiesOf(snapshot).filter(({ notAfter }) => nowSeconds > notAfter)
  if (expired.length === 0) return undefined
  return `expired, with all its certificates: ${expired.map(({ name }) => name).join('; ')}`
}

function keyCheck({ keyRing }: Snapshot, nowSeconds: number): Check {
  const ok = signingKey(keyRing, nowSeconds) !== undefined
  const bad = 'no key can sign: certificates are accepted, but no session is set'
  return check('keys', ok, 'a key can sign', bad)
}

function revocationCheck(snapshot: Snapshot, nowSeconds: number): Check {
  const { trust } = snapshot
  const lists = activeRevocationLists(snapshot, nowSeconds)
  if (lists.length === 0) {
    return { name: 'crl', ok: true, detail: 'none is configured: nothing can be revoked' }
  }
  const stale = lists.filter((list) => isStale(list, nowSeconds))
  const answer = trust.staleRevocationList === 'deny' ? 'refused' : 'still accepted'
  const bad = `${stale.length} of ${lists.length} out of date: certificates of that CA are ${answer}`
  return check('crl', stale.length === 0, 'up to date', bad)
}

/** A CRL's successor is due when this fraction of its validity is left. */
const LAST_PART = 1 / 5

/** Checks that an external CA's CRLs are renewed in time. The built-in CA's last as long as the CA. */
function renewalCheck(snapshot: Snapshot, nowSeconds: number): Check {
  const lists = snapshot.registry === undefined ? activeRevocationLists(snapshot, nowSeconds) : []
  const isDue = ({ thisUpdate, nextUpdate }: RevocationList) =>
    nowSeconds > nextUpdate - (nextUpdate - thisUpdate) * LAST_PART
  const due = lists.filter((list) => !isStale(list, nowSeconds) && isDue(list))
  const expiries = due.map(({ issuerKeyHash, nextUpdate }) => {
    const name = authorityName(snapshot, issuerKeyHash)
    return `the one of "${name}" expires at ${new Date(nextUpdate * 1000).toISOString()}`
  })
  const bad = `install a new CRL: ${expiries.join('; ')}`
  return check('crl-renewal', due.length === 0, 'none is due', bad)
}

/**
 * The cRLNumber by which commands know what is loaded, decimal: of the built-in CAs the highest, because
 * a previous CA without its key keeps its CRL; of external CAs the lowest. The CRL of an expired CA is
 * not renewed.
 */
export function loadedNumber(snapshot: Snapshot, nowSeconds: number): string | undefined {
  const lists = activeRevocationLists(snapshot, nowSeconds)
  const numbers = lists.flatMap(({ number }) => number ?? []).sort((a, b) => (a < b ? -1 : 1))
  return numbers.at(snapshot.registry === undefined ? 0 : -1)?.toString()
}
