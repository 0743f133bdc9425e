import { deviceKey } from '../../store/device-registry.ts'
import type { SeenCertificate } from '../../store/running.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { LastSeen, Seen } from '../last-seen.ts'
import type { Tally } from '../metrics.ts'
import type { Check, Readiness } from '../routes/operations.ts'
import type { InForce } from '../running-file.ts'
import type { WorkerReport } from './messages.ts'

/** A worker as the primary knows it. */
export interface Member {
  readonly number: number
  readonly isServing: boolean
  readonly report: WorkerReport
  readonly silentMilliseconds: number
}

/**
 * Makes `total` the sum of what others have counted. Reloads are left alone: one change of the files
 * is one reload, however many processes take it over.
 */
export function sumInto(total: Tally, parts: readonly Tally[]): void {
  const sum = (read: (part: Tally) => number) =>
    parts.reduce((before, part) => before + read(part), 0)
  for (const key of new Set(parts.flatMap(({ decisions }) => [...decisions.keys()]))) {
    total.decisions.set(
      key,
      sum(({ decisions }) => decisions.get(key) ?? 0),
    )
  }
  for (const cause of Object.keys(total.minted) as (keyof Tally['minted'])[]) {
    total.minted[cause] = sum(({ minted }) => minted[cause])
  }
  total.cache.hits = sum(({ cache }) => cache.hits)
  total.cache.misses = sum(({ cache }) => cache.misses)
  const { duration } = total
  duration.sum = sum((part) => part.duration.sum)
  duration.count = sum((part) => part.duration.count)
  for (const index of duration.buckets.keys()) {
    duration.buckets[index] = sum((part) => part.duration.buckets[index] ?? 0)
  }
}

const DAY_SECONDS = 86_400
const dayOf = ({ certificateAt, sessionAt }: Seen): number =>
  Math.floor(Math.max(certificateAt, sessionAt) / DAY_SECONDS)

/**
 * Notes that a worker has let somebody in, unless another one has done so later. Answers whether that
 * was a device's first time on that day; of certificates that are in no registry there may be any number.
 */
export function noteSeen(
  lastSeen: LastSeen,
  { registry }: Snapshot,
  entry: SeenCertificate,
): boolean {
  const { issuerKeyHash, serial, name, sha256, notAfter } = entry
  const certificate = {
    ...{ issuerKeyHash, serial, name },
    ...(sha256 !== undefined && { sha256 }),
    ...(notAfter !== undefined && { notAfter }),
  }
  const isListed = registry?.byCertificate.has(deviceKey(issuerKeyHash, serial)) === true
  const slot = isListed ? lastSeen.ofDevice(certificate, name) : lastSeen.ofOther(certificate, name)
  const before = dayOf(slot)
  slot.certificateAt = Math.max(slot.certificateAt, entry.certificateAt)
  slot.sessionAt = Math.max(slot.sessionAt, entry.sessionAt)
  return isListed && dayOf(slot) > before
}

/** What holds in every process: a command that waits for a change must wait for the last of them. */
export function lowestInForce(own: InForce, members: readonly Member[]): InForce {
  const all = [
    own,
    ...members.map(({ report: { readiness, blocksNumber } }) => ({ ...readiness, blocksNumber })),
  ]
  return {
    crlNumber: lowestNumber(all.map(({ crlNumber }) => crlNumber)),
    blocksNumber: Math.min(...all.map(({ blocksNumber }) => blocksNumber)),
    keySet: commonKeySet(all.map(({ keySet }) => keySet)),
  }
}

/** What keeps the files as they are now from being in force: all read the same, so one's word will do. */
export function problemsOf(
  own: { readonly problems: readonly string[] },
  members: readonly Member[],
): readonly string[] {
  if (own.problems.length > 0) return own.problems
  return members.flatMap(({ number, report }) =>
    report.readiness.checks
      .filter(({ name, ok }) => name === 'files' && !ok)
      .map(({ detail }) => `worker ${number}: ${detail}`),
  )
}

/** Decimal; `undefined`, which is no CRL at all, is the lowest. */
function lowestNumber(numbers: readonly (string | undefined)[]): string | undefined {
  return numbers.reduce((one, other) => {
    if (one === undefined || other === undefined) return undefined
    return BigInt(one) <= BigInt(other) ? one : other
  })
}

/** While they differ this is none of theirs, so that nobody takes it for the one that he waits for. */
function commonKeySet(keySets: readonly string[]): string {
  const different = [...new Set(keySets)]
  return different.length === 1 ? (different[0] ?? '') : different.join('+')
}

/** A worker whose word is older than that has stopped answering requests as well. */
const SILENCE_MILLISECONDS = 5_000

/** Whether all processes together are fit to be asked: a check passes if it passes everywhere. */
export function joinReadiness(
  own: Readiness,
  members: readonly Member[],
  wanted: number,
): Readiness {
  const serving = members.filter(({ isServing }) => isServing)
  const silent = serving.filter(
    ({ silentMilliseconds }) => silentMilliseconds > SILENCE_MILLISECONDS,
  )
  const checks = own.checks.map((check) => joinCheck(check, members))
  const { crlNumber, keySet } = lowestInForce({ ...own, blocksNumber: 0 }, members)
  const areReady = serving.every(({ report }) => report.readiness.ready)
  return {
    ready: own.ready && areReady && serving.length > 0 && silent.length === 0,
    checks: [...checks, workersCheck(serving, silent, wanted)],
    keySet,
    crlNumber,
  }
}

function joinCheck(own: Check, members: readonly Member[]): Check {
  if (!own.ok) return own
  for (const { number, report } of members) {
    const theirs = report.readiness.checks.find(({ name }) => name === own.name)
    if (theirs?.ok === false) return { ...theirs, detail: `worker ${number}: ${theirs.detail}` }
  }
  return own
}

function workersCheck(
  serving: readonly Member[],
  silent: readonly Member[],
  wanted: number,
): Check {
  const numbers = silent.map(({ number }) => number).join(', ')
  return {
    name: 'workers',
    ok: serving.length === wanted && silent.length === 0,
    detail:
      silent.length === 0
        ? `${serving.length} of ${wanted} serve`
        : `${serving.length} of ${wanted} serve; not heard of for seconds: ${numbers}`,
  }
}

/** Fewer than that, or a quarter, is chance. */
const FEW_CONNECTIONS = 4

/** Older words are of a worker that hangs: what others end for it they would get back. */
const HEARD_MILLISECONDS = 2_500

/**
 * How many of its connections a worker has to end. All accept from one socket, and who is awake takes
 * what a proxy opens at once and then keeps: without this, often one of two workers answers everything.
 */
export function surplusConnections(own: number, members: readonly Member[]): number {
  const shares = members
    .filter(
      ({ isServing, silentMilliseconds }) => isServing && silentMilliseconds < HEARD_MILLISECONDS,
    )
    .map(({ report }) => report.connections)
  if (shares.length === 0) return 0
  const share = shares.reduce((sum, connections) => sum + connections, 0) / shares.length
  const surplus = Math.floor(own - share)
  return surplus > Math.max(FEW_CONNECTIONS, share / 4) ? surplus : 0
}
