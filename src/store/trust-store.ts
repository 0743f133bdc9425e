import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { readRegistryFolder } from './device-registry.ts'
import { type Look, lookAtFiles } from './file-look.ts'
import { describeFileError, errorCode } from './files.ts'
import type { PolicySource } from './rules.ts'
import { compileSnapshot, type Snapshot, type Source, type Sources } from './snapshot.ts'

/** A file or folder, and how messages call it: with the setting that names it, if one does. */
interface NamedPath {
  readonly path: string
  readonly name: string
}

/** Which files make a snapshot. */
export interface TrustFiles {
  readonly authorities: NamedPath
  /** `undefined`: none is configured. */
  readonly revocationLists: NamedPath | undefined
  readonly sessionKeys: NamedPath
  /** `undefined` with an external CA. */
  readonly devices: NamedPath | undefined
  /** Files that need not be there. */
  readonly adopted: NamedPath
  readonly blocks: NamedPath
  readonly undelivered: NamedPath
  /** `undefined`: none is configured. */
  readonly policy: (NamedPath & Pick<PolicySource, 'trustedProxies'>) | undefined
  readonly staleRevocationList: 'deny' | 'allow'
}

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
  const seen = await lookAtFiles(filePaths(files), files.devices?.path, undefined)
  const read = await readSources(files)
  if (!read.ok) return read
  const compiled = compileSnapshot(read.sources, files.staleRevocationList, undefined)
  if (!compiled.ok) return compiled
  return { ok: true, store: watch(files, events, compiled.snapshot, seen, read.sources) }
}

const filePaths = (files: TrustFiles): readonly (string | undefined)[] =>
  [
    ...[files.authorities, files.revocationLists, files.sessionKeys, files.devices],
    ...[files.adopted, files.blocks, files.undelivered, files.policy],
  ].map((file) => file?.path)

type ReadSources =
  | { readonly ok: true; readonly sources: Sources }
  | { readonly ok: false; readonly problems: readonly string[] }

async function readSources(files: TrustFiles): Promise<ReadSources> {
  const problems: string[] = []
  const attempt = async <T>(
    file: NamedPath | undefined,
    read: (path: string) => Promise<T>,
  ): Promise<T | undefined> => {
    try {
      return file && (await read(file.path))
    } catch (error) {
      problems.push(`${file?.name} ${describeFileError(error)}`)
      return undefined
    }
  }
  const source = async (file: NamedPath | undefined): Promise<Source | undefined> => {
    const content = await attempt(file, readRegularFile)
    return file && content && { name: file.name, content }
  }
  const optional = async (file: NamedPath): Promise<Source | undefined> => {
    const content = await attempt(file, readIfThere)
    return content && { name: file.name, content }
  }
  const authorities = await source(files.authorities)
  const revocationLists = await source(files.revocationLists)
  const sessionKeys = await source(files.sessionKeys)
  const adopted = await optional(files.adopted)
  const blocks = await optional(files.blocks)
  const undelivered = await optional(files.undelivered)
  const rules = await source(files.policy)
  const entries = await attempt(files.devices, readRegistryFolder)
  if (problems.length > 0 || authorities === undefined || sessionKeys === undefined) {
    return { ok: false, problems }
  }
  const devices = files.devices && entries && { name: files.devices.name, files: entries }
  const policy = files.policy && rules && { ...files.policy, ...rules, parse: await policyParser() }
  return {
    ok: true,
    sources: {
      ...{ authorities, revocationLists, sessionKeys, devices },
      ...{ adopted, blocks, undelivered, policy },
    },
  }
}

export async function policyParser(): Promise<PolicySource['parse']> {
  return (await import('../policy/parse.ts')).parsePolicy
}

/** What is no regular file (a pipe) might never end. */
export async function readRegularFile(path: string): Promise<Buffer> {
  if (!(await stat(path)).isFile()) throw Object.assign(new Error(path), { code: 'EISDIR' })
  return await readFile(path)
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readRegularFile(path)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Equal for two readings exactly if they found the same. */
function digest(read: ReadSources): string {
  const parts = read.ok ? contents(read.sources) : read.problems
  const joined = createHash('sha256')
  for (const part of parts) joined.update(`${part.length}:`).update(part)
  return joined.digest('base64')
}

function contents(sources: Sources): readonly (Buffer | string)[] {
  const { authorities, revocationLists, sessionKeys, devices, policy } = sources
  const { adopted, blocks, undelivered } = sources
  const entries = devices === undefined ? [] : [...devices.files].flat()
  // What is missing must differ from what is empty, and each from its neighbour.
  const optional = [revocationLists, adopted, blocks, undelivered, policy].flatMap((source) =>
    source === undefined ? ['-'] : ['+', source.content],
  )
  return [authorities.content, sessionKeys.content, ...optional, ...entries]
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
    return []
  }
  return {
    get current() {
      return current
    },
    /** Answers what is wrong with them; then what was in force stays, but what closes more counts. */
    take: (sources: Sources): readonly string[] => {
      const problems = take(sources)
      if (problems.length > 0 && closesMore(sources, good)) {
        // A rule with a slip of the pen must not keep a lost phone in.
        const { revocationLists, blocks } = sources
        take({ ...good, revocationLists, blocks })
      }
      return problems
    },
  }
}

function watch(
  files: TrustFiles,
  events: TrustEvents,
  first: Snapshot,
  firstLook: Look,
  firstSources: Sources,
): TrustStore {
  const held = holdSnapshot(files.staleRevocationList, events, first, firstSources)
  let problems: readonly string[] = []
  let seen = firstLook
  let readDigest = digest({ ok: true, sources: firstSources })
  let underWay: Promise<void> = Promise.resolve()
  let lookingSince: number | undefined
  let lookedAt = performance.now()
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
    const found = read.ok ? held.take(read.sources) : read.problems
    if (found.length > 0) report(found)
    else problems = []
  }
  const safely = () =>
    lookAgain().catch((error) => report([`the files could not be read again: ${String(error)}`]))
  // One look after another: one that is under way may have read before the caller's change.
  const refresh = (): Promise<void> => {
    underWay = underWay.then(safely).then(() => {
      lookedAt = performance.now()
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

/** Whether CRLs or blocks are other ones than those in force. */
function closesMore({ revocationLists, blocks }: Sources, good: Sources): boolean {
  const isOther = (one: Source | undefined, other: Source | undefined) =>
    one !== undefined && (other === undefined || !one.content.equals(other.content))
  return isOther(revocationLists, good.revocationLists) || isOther(blocks, good.blocks)
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
