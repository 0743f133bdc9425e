import { setTimeout as wait } from 'node:timers/promises'
import { type Look, lookAtFiles } from './file-signature.ts'
import { compileSnapshot, type Snapshot, type Sources } from './snapshot.ts'
import {
  type ClosingSources,
  digest,
  filePaths,
  type ReadSources,
  readSources,
  type TrustFiles,
} from './snapshot-sources.ts'

/** What happened to the files while the service runs. */
export interface TrustEvents {
  readonly onReplaced: (snapshot: Snapshot) => void
  /** Told once for each new problem; the snapshot in force stays. */
  readonly onProblem: (problems: readonly string[]) => void
}

export interface TrustStore {
  readonly current: Snapshot
  /** What is wrong with the files as they are now; empty while they are the ones in force. */
  readonly problems: readonly string[]
  /** Looks at the files at once, and answers when that is done. */
  refresh(): Promise<void>
  /**
   * A look at the files, if the last one is so long ago that this process must have stood still
   * (a paused container, a sleeping laptop); `undefined` as long as it has not. Takes a second at most.
   */
  catchUp(nowMilliseconds: number): Promise<unknown> | undefined
  close(): void
}

/** Bind mounts and Kubernetes' swapped links give no file events, so the files are asked. */
const POLL_MILLISECONDS = 400
/** After that long without a look what is known may be old. */
const STANDSTILL_MILLISECONDS = 2_000
const CATCH_UP_MILLISECONDS = 1_000
/** A look that takes longer hangs: a dead network file system, most likely. */
const HANGING_MILLISECONDS = 5_000

export type OpenedTrustStore =
  | { readonly ok: true; readonly store: TrustStore }
  | { readonly ok: false; readonly problems: readonly string[] }

/** Reads and checks the files; answers all problems if they are not fit to serve with. */
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

/** What is in force, and how other files come to be. */
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
  const takeWhatCloses = (sources: ClosingSources) => {
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
     * Returns what is wrong with them. Unless that concerns single CRLs alone, the previous snapshot
     * stays then, but what revokes access counts.
     */
    take: (read: ReadSources): readonly string[] => {
      const problems = read.ok ? take(read.sources) : read.problems
      // A rule with a slip of the pen must not keep a lost phone in, nor a CRL that is none the blocks.
      if (problems.length > 0) takeWhatCloses(read.ok ? read.sources : read.closing)
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
  // When it began: what it has not come to yet may change, or this process stand still, before it ends.
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
  const safely = () =>
    lookAgain().catch((error) => report([`the files could not be read again: ${String(error)}`]))
  // One look after another: one that is under way may have read before the caller's change.
  const refresh = (): Promise<void> => {
    underWay = underWay.then(async () => {
      const begun = performance.now()
      await safely()
      lookedAt = begun
    })
    return underWay
  }
  const catchUp = sharing(() => Promise.race([refresh(), aMoment()]))
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
      // Whatever is read next is compiled, and then says what is wrong, if anything still is.
      readDigest = ''
      report(['the files do not answer: changes are not seen'])
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
    // Files that do not answer must not stop the service too; that is told elsewhere.
    catchUp: (nowMilliseconds) =>
      nowMilliseconds - lookedAt < STANDSTILL_MILLISECONDS || hanging ? undefined : catchUp(),
    close: () => clearInterval(timer),
  }
}

const aMoment = (): Promise<unknown> => wait(CATCH_UP_MILLISECONDS, undefined, { ref: false })

/** One for all who ask while it is under way. */
function sharing(work: () => Promise<unknown>): () => Promise<unknown> {
  let underWay: Promise<unknown> | undefined
  return () => {
    underWay ??= work().finally(() => {
      underWay = undefined
    })
    return underWay
  }
}
