import type { RevocationList } from '../../certificate/revocation.ts'
import { isStale } from '../../certificate/trust.ts'
import { signingKey } from '../../session/key-ring.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { TrustStore } from '../../store/trust-store.ts'
import { activeAuthorities, activeRevocationLists, authoritiesOf } from './active-authorities.ts'
import type { Check, Readiness } from './routes.ts'

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
    {
      name: 'clock',
      ok: !clockIsWrong,
      detail: clockIsWrong ? 'earlier than the CA certificate: the clock is wrong' : 'plausible',
    },
    filesCheck(trust),
    authorityCheck(snapshot, nowSeconds),
    revocationCheck(snapshot, nowSeconds),
    renewalCheck(snapshot, nowSeconds),
    keyCheck(snapshot, nowSeconds),
    {
      name: 'commands',
      ok: stateFileProblem === undefined,
      detail: stateFileProblem ?? 'can see what is loaded here',
    },
    { name: 'running', ok: !draining, detail: draining ? 'stopping' : 'taking requests' },
  ]
  return {
    ready: !clockIsWrong && !draining,
    checks,
    keySet: snapshot.keyRing.fingerprint,
    crlNumber: lowestNumber(snapshot, nowSeconds),
  }
}

function filesCheck({ problems, current }: TrustStore): Check {
  if (problems.length === 0) {
    return { name: 'files', ok: true, detail: 'the current files are loaded' }
  }
  const isPart = problems.every((problem) => current.problems.includes(problem))
  const what = isPart ? 'the files are loaded except for this' : 'the previous files are kept'
  return { name: 'files', ok: false, detail: `${what}: ${problems.join('; ')}` }
}

/** What has expired or soon will, although the files are unchanged; for the operator. */
export function agingProblems(snapshot: Snapshot, nowSeconds: number): readonly string[] {
  const expired = expiredAuthorities(snapshot, nowSeconds)
  const checks = [revocationCheck, renewalCheck, keyCheck]
    .map((check) => check(snapshot, nowSeconds))
    .filter(({ ok }) => !ok)
    .map(({ name, detail }) => `${name}: ${detail}`)
  return expired === undefined ? checks : [`ca: ${expired}`, ...checks]
}

function authorityCheck(snapshot: Snapshot, nowSeconds: number): Check {
  const expired = expiredAuthorities(snapshot, nowSeconds)
  if (expired === undefined) return { name: 'ca', ok: true, detail: 'in its dates' }
  const ok = activeAuthorities(snapshot, nowSeconds).some(({ notAfter }) => nowSeconds <= notAfter)
  return { name: 'ca', ok, detail: ok ? `in its dates; another ${expired}` : expired }
}

function expiredAuthorities(snapshot: Snapshot, nowSeconds: number): string | undefined {
  const expired = authoritiesOf(snapshot).filter(({ notAfter }) => nowSeconds > notAfter)
  if (expired.length === 0) return undefined
  return `has expired, with all its certificates: ${expired.map(({ name }) => name).join('; ')}`
}

function keyCheck({ keyRing }: Snapshot, nowSeconds: number): Check {
  const ok = signingKey(keyRing, nowSeconds) !== undefined
  return {
    name: 'keys',
    ok,
    detail: ok ? 'one signs' : 'none may sign: certificates are accepted, but no session is set',
  }
}

function revocationCheck(snapshot: Snapshot, nowSeconds: number): Check {
  const { trust } = snapshot
  const lists = activeRevocationLists(snapshot, nowSeconds)
  if (lists.length === 0) {
    return { name: 'crl', ok: true, detail: 'none is configured: nothing can be revoked' }
  }
  const stale = lists.filter((list) => isStale(list, nowSeconds))
  const answer = trust.staleRevocationList === 'deny' ? 'refused' : 'still accepted'
  return {
    name: 'crl',
    ok: stale.length === 0,
    detail:
      stale.length === 0
        ? 'up to date'
        : `${stale.length} of ${lists.length} out of date: certificates of that CA are ${answer}`,
  }
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
    const name = authoritiesOf(snapshot).find(({ keyHash }) => keyHash === issuerKeyHash)?.name
    return `that of "${name}" expires at ${new Date(nextUpdate * 1000).toISOString()}`
  })
  return {
    name: 'crl-renewal',
    ok: due.length === 0,
    detail: due.length === 0 ? 'none is due' : `bring a new CRL: ${expiries.join('; ')}`,
  }
}

/** The lowest cRLNumber of the loaded CRLs, decimal. The CRL of an expired CA is not renewed. */
export function lowestNumber(snapshot: Snapshot, nowSeconds: number): string | undefined {
  const lists = activeRevocationLists(snapshot, nowSeconds)
  const numbers = lists.flatMap(({ number }) => number ?? [])
  return numbers.sort((a, b) => (a < b ? -1 : 1))[0]?.toString()
}
