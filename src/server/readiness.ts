import { isStale } from '../certificate/trust.ts'
import { signingKey } from '../session/key-ring.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { TrustStore } from '../store/trust-store.ts'
import { authoritiesOf, livingAuthorities, livingLists } from './authorities.ts'
import type { Check, Readiness } from './routes/operations.ts'

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
    {
      name: 'files',
      ok: trust.problems.length === 0,
      detail:
        trust.problems.length === 0
          ? 'the files as they are now are in force'
          : `the state before stays in force: ${trust.problems.join('; ')}`,
    },
    authorityCheck(snapshot, nowSeconds),
    revocationCheck(snapshot, nowSeconds),
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

/** What an operator should be told of a snapshot that was good once, and may have aged. */
export function agingProblems(snapshot: Snapshot, nowSeconds: number): readonly string[] {
  const ended = endedAuthorities(snapshot, nowSeconds)
  const checks = [revocationCheck, keyCheck]
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

/** Of the CRLs in force, decimal. */
export function lowestNumber({ trust }: Snapshot): string | undefined {
  const lists = [...trust.revocationLists.values()]
  const newest = Math.max(...lists.map(({ thisUpdate }) => thisUpdate))
  // The list of a CA that had ended when the newest was written is not written anew.
  const living = lists.filter(({ nextUpdate }) => nextUpdate >= newest)
  const numbers = living.flatMap(({ number }) => number ?? [])
  return numbers.sort((a, b) => (a < b ? -1 : 1))[0]?.toString()
}
