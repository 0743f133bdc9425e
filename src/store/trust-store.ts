import { setTimeout as wait } from 'node:timers/promises'
import type { Problems, Result } from '../result.ts'
import { type Look, lookAtFiles } from './file-signature.ts'
import { compileSnapshot, type Snapshot, type Sources } from './snapshot.ts'
import {
  digest,
  filePaths,
  type ReadSources,
  type RevokingSources,
  readSources,
  type TrustFiles,
} from './snapshot-sources.ts'

/** What happens to the files while the service runs. */
export interface TrustEvents {
  readonly onReplaced: (snapshot: Snapshot) => void
  /** Called once for each new problem; the current snapshot stays. */
  readonly onProblem: (problems: readonly string[]) => void
}

export interface TrustStore {
  readonly current: Snapshot
  /** What is wrong with the files as they are now; empty if they are loaded. */
  readonly problems: readonly string[]
  /** Checks the files at once; resolves when that is done. */
  refresh(): Promise<void>
  /**
   * Resolves once the files are checked again after this process was suspended (a paused container, a
   * sleeping laptop), within a second at most; `undefined` if it was not.
   */
  catchUp(nowMilliseconds: number): Promise<unknown> | undefined
  close(): void
}

/** Polling, because bind mounts and Kubernetes' swapped links give no file events. */
const POLL_MILLISECONDS = 400
/** After this long without a check the snapshot may be stale. */
const STANDSTILL_MILLISECONDS = 2_000
const CATCH_UP_MILLISECONDS = 1_000
/** A check that takes longer hangs, most likely on a dead network file system. */
const HANGING_MILLISECONDS = 5_000

export type OpenedTrustStore = Result<{ store: TrustStore }, Problems>

/** Reads and checks the files; returns all problems if they cannot be used. */
export async function openTrustStore(
  files: TrustFiles,
  events: TrustEvents,
): Promise<OpenedTrustStore> {
  const begun = performance.now()
  const seen = await lookAtFiles(filePaths(files), files.devices?.path, undefined)
  const read = await readSources(files)
  if (!read.ok) return { ok: false, problems: read.problems }
  const compiled = compileSnapshot(read.sources, files.staleRevocationList, undefined)
  if (!compiled.ok) return compiled
  return { ok: true, store: watch(files, events, compiled.snapshot, { seen, begun }, read.sources) }
}

/** Holds the current snapshot, and replaces it when the files are good. */
function holdSnapshot(
  stale: TrustFiles['staleRevocationList'],
  { onReplaced }: TrustEvents,
  first: Snapshot,
  firstSources: Sources,
) {
  let current = first
  let good = firstSources
  const take = (sources: Sources): readonly string[] => {
    const compiled = compileSnapshot(sources, stale, current)
    if (!compiled.ok) return compiled.problems
    good = sources
    current = compiled.snapshot
    onReplaced(current)
    return current.problems
  }
  const takeRevocations = (sources: RevokingSources) => {
    for (const part of ['revocationLists', 'blocks'] as const) {
      const source = sources[part]
      const isOther = source !== undefined && good[part]?.content.equals(source.content) !== true
      if (isOther) take({ ...good, [part]: source })
    }
  }
  return {
    get current() {
      return current
    },
    /**
     * Loads the files; returns what is wrong with them. Unless only single CRLs are wrong, the
     * previous snapshot stays, except that new revocations and blocks are applied.
     */
    take: (read: ReadSources): readonly string[] => {
      const problems = read.ok ? take(read.sources) : read.problems
      // A typo in a rule must not hold up a revocation, nor a broken CRL the blocks.
      if (problems.length > 0) takeRevocations(read.ok ? read.sources : read.revoking)
      return problems
    },
  }
}

function watch(
  files: TrustFiles,
  events: TrustEvents,
  first: Snapshot,
  firstLook: { readonly seen: Look; readonly begun: number },
  firstSources: Sources,
): TrustStore {
  const held = holdSnapshot(files.staleRevocationList, events, first, firstSources)
  let problems = first.problems
  let { seen } = firstLook
  let readDigest = digest({ ok: true, sources: firstSources })
  let underWay: Promise<void> = Promise.resolve()
  let lookingSince: number | undefined
  // The start of the check: files may change, or this process be suspended, before its end.
  let lookedAt = firstLook.begun
  let hanging = false

  const report = (found: readonly string[]) => {
    problems = found
    events.onProblem(found)
  }
  const lookAgain = async () => {
    const now = await lookAtFiles(filePaths(files), files.devices?.path, seen)
    if (now === seen) return
    const read = await readSources(files)
    seen = now
    const readNow = digest(read)
    if (readNow === readDigest) return
    readDigest = readNow
    const found = held.take(read)
    if (found.length > 0) report(found)
    else problems = []
  }
  // One check after another: a running one may have read before the caller's change.
  const refresh = (): Promise<void> => {
    underWay = underWay.then(async () => {
      const begun = performance.now()
      await lookAgain().catch((error: unknown) => {
        report([`the files could not be read again: ${String(error)}`])
      })
      lookedAt = begun
    })
    return underWay
  }
  let catchingUp: Promise<unknown> | undefined
  const timer = setInterval(() => {
    const now = performance.now()
    if (lookingSince === undefined) {
      lookingSince = now
      void refresh().finally(() => {
        lookingSince = undefined
        hanging = false
      })
    } else if (!hanging && now - lookingSince > HANGING_MILLISECONDS) {
      hanging = true
      // Forces the next reading to be compiled, which reports what is still wrong.
      readDigest = ''
      report(['reading the files takes too long: changes are not noticed'])
    }
  }, POLL_MILLISECONDS)
  timer.unref()
  return {
    get current() {
      return held.current
    },
    get problems() {
      return problems
    },
    refresh,
    catchUp: (nowMilliseconds) => {
      // If the files hang, the service keeps answering; `problems` reports the hang.
      if (nowMilliseconds - lookedAt < STANDSTILL_MILLISECONDS || hanging) return undefined
      catchingUp ??= Promise.race([refresh(), aMoment()]).finally(() => {
        catchingUp = undefined
      })
      return catchingUp
    },
    close: () => clearInterval(timer),
  }
}

const aMoment = (): Promise<unknown> => wait(CATCH_UP_MILLISECONDS, undefined, { ref: false })
