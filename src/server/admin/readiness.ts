import type { RevocationList } from '../../certificate/revocation.ts'
import { isStale } from '../../certificate/trust.ts'
import { signingKey } from '../../session/key-ring.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { TrustStore } from '../../store/trust-store.ts'
import { authoritiesOf, livingAuthorities, livingLists } from './active-authorities.ts'
import type { Check, Readiness } from './routes.ts'

/** Whether it is earlier than the beginning of every CA: a machine that booted in the past. */
export function isClockWrong({ trust }: Snapshot, nowSeconds: number): boolean {
  return trust.issuers.every(({ certificate }) => nowSeconds < certificate.notBefore)
}

/**
 * Whether requests should be sent here. A stale CRL or a refused file change is told as a check
 * that is not ok, and does not take the service out: another replica would have the same files.
 */
export function readiness(
  trust: TrustStore,
  runningFileProblem: string | undefined,
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
      ok: runningFileProblem === undefined,
      detail: runningFileProblem ?? 'can see what is in force here',
    },
    { name: 'running', ok: !draining, detail: draining ? 'stopping' : 'taking requests' },
  ]
  return {
    ready: !clockIsWrong && !draining,
    checks,
    keySet: snapshot.keyRing.fingerprint,
    crlNumber: lowestNumber(snapshot),
  }
}

function filesCheck({ problems, current }: TrustStore): Check {
  if (problems.length === 0) {
    return { name: 'files', ok: true, detail: 'the files as they are now are in force' }
  }
  const isPart = problems.every((problem) => current.problems.includes(problem))
  const what = isPart ? 'the files are in force but for this' : 'the state before stays in force'
  return { name: 'files', ok: false, detail: `${what}: ${problems.join('; ')}` }
}

/** What an operator should be told of a snapshot that was good once, and may have aged. */
export function agingProblems(snapshot: Snapshot, nowSeconds: number): readonly string[] {
  const ended = endedAuthorities(snapshot, nowSeconds)
  const checks = [revocationCheck, renewalCheck, keyCheck]
    .map((check) => check(snapshot, nowSeconds))
    .filter(({ ok }) => !ok)
    .map(({ name, detail }) => `${name}: ${detail}`)
  return ended === undefined ? checks : [`ca: ${ended}`, ...checks]
}

function authorityCheck(snapshot: Snapshot, nowSeconds: number): Check {
  const ended = endedAuthorities(snapshot, nowSeconds)
  if (ended === undefined) return { name: 'ca', ok: true, detail: 'in its dates' }
  const ok = livingAuthorities(snapshot, nowSeconds).some(({ notAfter }) => nowSeconds <= notAfter)
  return { name: 'ca', ok, detail: ok ? `in its dates; another ${ended}` : ended }
}

function endedAuthorities(snapshot: Snapshot, nowSeconds: number): string | undefined {
  const ended = authoritiesOf(snapshot).filter(({ notAfter }) => nowSeconds > notAfter)
  if (ended.length === 0) return undefined
  return `has ended, with all its certificates: ${ended.map(({ name }) => name).join('; ')}`
}

function keyCheck({ keyRing }: Snapshot, nowSeconds: number): Check {
  const ok = signingKey(keyRing, nowSeconds) !== undefined
  return {
    name: 'keys',
    ok,
    detail: ok ? 'one signs' : 'none may sign: certificates open, and are not remembered',
  }
}

function revocationCheck(snapshot: Snapshot, nowSeconds: number): Check {
  const { trust } = snapshot
  const lists = livingLists(snapshot, nowSeconds)
  if (lists.length === 0) {
    return { name: 'crl', ok: true, detail: 'none is configured: nothing can be revoked' }
  }
  const stale = lists.filter((list) => isStale(list, nowSeconds))
  const answer = trust.staleRevocationList === 'deny' ? 'refused' : 'let in all the same'
  return {
    name: 'crl',
    ok: stale.length === 0,
    detail:
      stale.length === 0
        ? 'up to date'
        : `${stale.length} of ${lists.length} out of date: certificates of that CA are ${answer}`,
  }
}

/** What is left of a CRL's life when its successor should be there. */
const LAST_PART = 1 / 5

/** Whether the successors of an external CA's CRLs come in time; ours last as long as the CA. */
function renewalCheck(snapshot: Snapshot, nowSeconds: number): Check {
  const lists = snapshot.registry === undefined ? livingLists(snapshot, nowSeconds) : []
  const isDue = ({ thisUpdate, nextUpdate }: RevocationList) =>
    nowSeconds > nextUpdate - (nextUpdate - thisUpdate) * LAST_PART
  const due = lists.filter((list) => !isStale(list, nowSeconds) && isDue(list))
  const ends = due.map(({ issuerKeyHash, nextUpdate }) => {
    const name = authoritiesOf(snapshot).find(({ keyHash }) => keyHash === issuerKeyHash)?.name
    return `that of "${name}" runs out at ${new Date(nextUpdate * 1000).toISOString()}`
  })
  return {
    name: 'crl-renewal',
    ok: due.length === 0,
    detail: due.length === 0 ? 'none is due' : `bring a new CRL: ${ends.join('; ')}`,
  }
}

/** Of the CRLs in force, decimal. */
export function lowestNumber({ trust }: Snapshot): string | undefined {
  const lists = [...trust.revocationLists.values()]
  const newest = Math.max(...lists.map(({ thisUpdate }) => thisUpdate))
  // The list of a CA that had ended when the newest was written is not written anew.
  const living = lists.filter(({ nextUpdate }) => nextUpdate >= newest)
  const numbers = living.flatMap(({ number }) => number ?? [])
  return numbers.sort((a, b) => (a < b ? -1 : 1))[0]?.toString()
}
