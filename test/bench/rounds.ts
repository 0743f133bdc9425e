import type { Generator, Slice } from './load.ts'
import type { RunningServer } from './processes.ts'
import { median, type Spread, spread } from './statistics.ts'
import type { Target } from './target.ts'
import type { Targets } from './targets.ts'

/** How long and how often; see the README for why short slices. */
export interface Pace {
  readonly warmUpSeconds: number
  readonly sliceSeconds: number
  readonly rounds: number
}

/** One target through all rounds: medians, with the extremes of the ratio. */
export interface Result {
  readonly name: string
  readonly requestsPerSecond: number
  /** Relative to the bare server's requests per second just before and after. */
  readonly ratio: Spread
  readonly cpuMicroseconds: number | undefined
  /** The bare server's CPU time a request, over this one's: 1 is as cheap. */
  readonly cpuRatio: Spread | undefined
  /** Milliseconds, at saturation: mostly queueing. */
  readonly p50: number
  readonly p99: number
  readonly memory: { readonly idle: number; readonly loaded: number } | undefined
  /** The share of verifications answered from the cache; `undefined` for other servers. */
  readonly hitShare: number | undefined
}

export interface Measured {
  readonly bare: Pick<Result, 'requestsPerSecond' | 'cpuMicroseconds' | 'p50' | 'p99'>
  readonly results: readonly Result[]
  /** Slices in which the server did not get its core to itself, and all slices. */
  readonly disturbed: number
  readonly slices: number
}

/** A server that gets less of its core than this under load shares it with another process. */
const UNDISTURBED_SHARE = 0.9
/** The bare server runs again after this many targets. */
const TARGETS_BETWEEN = 2

export interface Sample {
  readonly perSecond: number
  readonly cpuMicroseconds: number | undefined
  readonly coreShare: number | undefined
  readonly p50: number
  readonly p99: number
}

interface Running {
  readonly target: Target
  readonly server: RunningServer
  readonly idleMemory: number | undefined
}

/** All targets in turn, the bare server between them, round after round. */
export async function measureRounds(
  { bare, all }: Targets,
  generator: Generator,
  { warmUpSeconds, sliceSeconds, rounds }: Pace,
  tell: (line: string) => void,
): Promise<Measured> {
  const running: Running[] = []
  try {
    for (const target of [bare, ...all]) {
      const one = await start(target)
      running.push(one)
      // Measure at once: Node 20 stays slower (process.nextTick, by a fifth) in a process that has
      // answered little and was idle for ten seconds, because V8 then discards its optimizations.
      await sample(one, generator, warmUpSeconds)
    }
    const [reference, ...others] = running
    if (reference === undefined) throw new Error('no bare server')
    const bareSamples: Sample[] = []
    const pairs = new Map<Running, Pair[]>(others.map((one) => [one, []]))
    for (let round = 1; round <= rounds; round += 1) {
      tell(`round ${round} of ${rounds}`)
      let before = await sample(reference, generator, sliceSeconds)
      bareSamples.push(before)
      for (let first = 0; first < others.length; first += TARGETS_BETWEEN) {
        const group = others.slice(first, first + TARGETS_BETWEEN)
        const samples: Sample[] = []
        for (const one of group) samples.push(await sample(one, generator, sliceSeconds))
        const after = await sample(reference, generator, sliceSeconds)
        bareSamples.push(after)
        for (const [index, one] of group.entries()) {
          pairs.get(one)?.push({ sample: samples[index] as Sample, before, after })
        }
        before = after
      }
    }
    const results: Result[] = []
    for (const [one, list] of pairs) results.push(await summarise(one, list))
    const everything = [...bareSamples, ...[...pairs.values()].flat().map((pair) => pair.sample)]
    return {
      bare: middle(bareSamples),
      results,
      disturbed: everything.filter(({ coreShare = 1 }) => coreShare < UNDISTURBED_SHARE).length,
      slices: everything.length,
    }
  } finally {
    for (const { server } of running) await server.stop()
  }
}

interface Pair {
  readonly sample: Sample
  readonly before: Sample
  readonly after: Sample
}

async function start(target: Target): Promise<Running> {
  const server = await target.start()
  return { target, server, idleMemory: await server.memoryMegabytes() }
}

/** One slice; throws if an answer is not the expected one, or a connection fails. */
export async function sample(
  { target, server }: Pick<Running, 'target' | 'server'>,
  generator: Generator,
  seconds: number,
): Promise<Sample> {
  const before = await server.cpuSeconds()
  const slice = await generator.load(server.port, target.requests, seconds)
  const after = await server.cpuSeconds()
  check(target, slice)
  const cpu = before === undefined || after === undefined ? undefined : after - before
  return {
    perSecond: slice.requests / slice.seconds,
    cpuMicroseconds: cpu && (cpu * 1e6) / slice.requests,
    coreShare: cpu && cpu / slice.seconds,
    p50: slice.p50,
    p99: slice.p99,
  }
}

/** A number that was reached by other answers than the expected ones is none. */
function check({ name, ask: { status } }: Target, { requests, refused, broken }: Slice): void {
  const wrong = status < 400 ? refused : requests - refused
  if (wrong > 0) throw new Error(`${name}: ${wrong} of ${requests} answers were not ${status}`)
  if (broken > 0) throw new Error(`${name}: ${broken} connections failed`)
}

async function summarise({ target, server, idleMemory }: Running, pairs: readonly Pair[]) {
  const samples = pairs.map((pair) => pair.sample)
  const { requestsPerSecond, ...medians } = middle(samples)
  const loaded = await server.memoryMegabytes()
  const cpuRatios = pairs.flatMap(({ sample: own, before, after }) => {
    const times = [before.cpuMicroseconds, after.cpuMicroseconds, own.cpuMicroseconds]
    const [first, second, mine] = times
    return first && second && mine ? [(first + second) / 2 / mine] : []
  })
  const result: Result = {
    name: target.name,
    requestsPerSecond,
    ratio: spread(
      pairs.map((p) => (2 * p.sample.perSecond) / (p.before.perSecond + p.after.perSecond)),
    ),
    ...medians,
    cpuRatio: cpuRatios.length === 0 ? undefined : spread(cpuRatios),
    memory: idleMemory && loaded ? { idle: idleMemory, loaded } : undefined,
    hitShare: target.adminPort === undefined ? undefined : await readHitShare(target.adminPort),
  }
  return result
}

/** Shows that a target measures what its name says. */
async function readHitShare(adminPort: number): Promise<number | undefined> {
  const metrics = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
  const read = (what: string): number =>
    Number(new RegExp(`^certlatch_verdict_cache_${what}_total (\\S+)$`, 'm').exec(metrics)?.[1])
  const [hits, misses] = [read('hits'), read('misses')]
  return hits + misses === 0 ? undefined : hits / (hits + misses)
}

function middle(samples: readonly Sample[]): Measured['bare'] {
  const cpu = samples.flatMap(({ cpuMicroseconds }) => cpuMicroseconds ?? [])
  return {
    requestsPerSecond: median(samples.map(({ perSecond }) => perSecond)),
    cpuMicroseconds: cpu.length === 0 ? undefined : median(cpu),
    p50: median(samples.map(({ p50 }) => p50)),
    p99: median(samples.map(({ p99 }) => p99)),
  }
}
