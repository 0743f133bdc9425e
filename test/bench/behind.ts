import { join } from 'node:path'
import { freePort } from '../support/free-port.ts'
import { FRONTS, type Front } from './fronts.ts'
import { type Generator, loadAtRate, type Slice, type TimedSlice } from './load.ts'
import { type Oauth, prepareOauth } from './peers.ts'
import { type RunningServer, startProgram, startServer } from './processes.ts'
import { type Headers, headersOf, type Scene, settingsOf, writeFiles } from './scene.ts'
import { inHundredths, median, percentile, type Spread, spread } from './statistics.ts'
import { requestsFile } from './target.ts'
import { BARE, CERTLATCH } from './targets.ts'

/** One way through one proxy: medians of all rounds, and latencies of all requests of all rounds. */
export interface Passage {
  readonly proxy: string
  /** Where the proxy sends its auth requests. */
  readonly asks: 'nothing' | 'bare node:http' | 'certlatch' | 'oauth2-proxy'
  readonly requestsPerSecond: number
  /** Milliseconds at the fixed rate. */
  readonly p50: number
  readonly p99: number
  /** CPU time per request of proxy, auth service and application together. */
  readonly cpuMicroseconds: number
  /** Relative to the same proxy without auth requests, and to a bare server, in the same round. */
  readonly ofNothing: Comparison
  readonly ofBare: Comparison
}

interface Comparison {
  readonly requests: Spread
  readonly cpu: Spread
  /** Milliseconds more. */
  readonly p50More: number
  readonly p99More: number
}

export interface BehindPace {
  readonly proxies: readonly Front['name'][]
  readonly warmUpSeconds: number
  readonly rounds: number
  readonly sliceSeconds: number
  /** The number of requests behind the latencies. */
  readonly perSecond: number
  readonly latencySeconds: number
}

/** Connections and the generator itself are new in the first moment. */
const LEAD_IN_SECONDS = 0.5

interface Way {
  readonly proxy: Front['name']
  readonly asks: Passage['asks']
  readonly port: number
  readonly requests: string
  readonly servers: readonly RunningServer[]
  readonly samples: Sample[]
}

type Sample = Pick<Passage, 'requestsPerSecond' | 'cpuMicroseconds'> & Pick<TimedSlice, 'latencies'>

/** Each installed proxy in turn: without auth requests, with a bare server, and with certlatch. */
export async function measureBehind(
  folder: string,
  scene: Scene,
  generator: Generator,
  pace: BehindPace,
  tell: (line: string) => void,
): Promise<readonly Passage[]> {
  const { proxies, warmUpSeconds, rounds, sliceSeconds, perSecond, latencySeconds } = pace
  const passages: Passage[] = []
  const oauth = await prepareOauth(folder).catch(() => undefined)
  for (const front of FRONTS.filter(({ name }) => proxies.includes(name))) {
    const started: RunningServer[] = []
    try {
      const warmUp = async ({ port, requests }: Way) => {
        await generator.load(port, requests, warmUpSeconds)
      }
      const ways = await startWays(front, join(folder, front.name), scene, oauth, started, warmUp)
      for (let round = 1; round <= rounds; round += 1) {
        for (const way of ways) {
          const before = await cpuOf(way)
          const load = await generator.load(way.port, way.requests, sliceSeconds)
          const cpu = (await cpuOf(way)) - before
          const { port, requests } = way
          const rate = await loadAtRate(port, requests, perSecond, latencySeconds, LEAD_IN_SECONDS)
          check(way, load)
          check(way, rate)
          way.samples.push({
            requestsPerSecond: load.requests / load.seconds,
            cpuMicroseconds: (cpu * 1e6) / load.requests,
            latencies: rate.latencies,
          })
        }
      }
      passages.push(...summarise(ways))
    } catch (error) {
      tell(
        `left out: ${front.name} (${String(error).split('\n')[0]}); test/bench/tools.sh brings it`,
      )
    } finally {
      for (const server of started) await server.stop()
    }
  }
  return passages
}

const PATH = '/api/states/light.kitchen?v=2'

/** What the client sends itself: all else is the proxy's to say. */
function clientHeaders(headers: Headers): Headers {
  const all = Object.entries(headers)
  return Object.fromEntries(all.filter(([name]) => !name.startsWith('X-Forwarded-')))
}

/** A target for a proxy's auth requests. */
interface Asked {
  readonly server: RunningServer
  readonly path: string
}

async function startWays(
  front: Front,
  folder: string,
  scene: Scene,
  oauth: Oauth | undefined,
  started: RunningServer[],
  warmUp: (way: Way) => Promise<void>,
): Promise<readonly Way[]> {
  const headers = clientHeaders(headersOf({ session: scene.mintSession() }))
  const keep = (server: RunningServer) => {
    started.push(server)
    return server
  }
  const startBare = async () => {
    const port = await freePort()
    return keep(await startServer(BARE, [String(port)], port, {}, { headers, status: 200 }))
  }
  const startCertlatch = async () => {
    const [port, adminPort] = [await freePort(), await freePort()]
    const settings = settingsOf(await writeFiles(folder, scene), front.name, port, adminPort)
    return keep(await startServer(CERTLATCH, ['serve'], port, settings, { headers, status: 403 }))
  }
  const application = await startBare()
  const startWay = async (
    asks: Passage['asks'],
    asked?: Asked,
    shown: Headers = headers,
  ): Promise<Way> => {
    const port = await freePort()
    const wayFolder = join(folder, asks.replace(/[^a-z0-9]/g, ''))
    const command = await front.prepare({
      folder: wayFolder,
      port,
      asks: asked && { port: asked.server.port, path: asked.path },
      application: application.port,
    })
    const ask = { headers: shown, status: 200, path: PATH }
    const proxy = keep(await startProgram(command, port, { HOME: folder }, ask))
    const servers = asked === undefined ? [proxy, application] : [proxy, asked.server, application]
    const requests = await requestsFile(wayFolder, asks, [shown], PATH)
    const way: Way = { proxy: front.name, asks, port, requests, servers, samples: [] }
    // Load it at once: a process that waited before its first load stays slower (README.md).
    await warmUp(way)
    return way
  }
  const path = '/verify'
  // First, for it finds out whether the program is there at all; the folder is made on the way.
  const ways = [
    await startWay('nothing'),
    await startWay('bare node:http', { server: await startBare(), path }),
    await startWay('certlatch', { server: await startCertlatch(), path }),
  ]
  if (oauth === undefined) return ways
  const shown = clientHeaders({ ...headersOf({}), Cookie: `theme=dark; ${oauth.cookie}` })
  const ask = { headers: shown, status: oauth.status, path: oauth.path }
  const server = keep(await oauth.start(ask))
  return [...ways, await startWay('oauth2-proxy', { server, path: oauth.path }, shown)]
}

async function cpuOf({ servers }: Way): Promise<number> {
  const times = await Promise.all(servers.map((server) => server.cpuSeconds()))
  return times.reduce<number>((sum, time) => sum + (time ?? Number.NaN), 0)
}

function check({ proxy, asks }: Way, { requests, refused, broken }: Slice): void {
  if (refused + broken === 0) return
  throw new Error(`asking ${asks}: ${refused} of ${requests} refused, ${broken} broken (${proxy})`)
}

function summarise(ways: readonly Way[]): readonly Passage[] {
  const samplesOf = (asks: Passage['asks']) => ways.find((way) => way.asks === asks)?.samples ?? []
  const [nothing, bare] = [samplesOf('nothing'), samplesOf('bare node:http')]
  return ways.map(({ proxy, asks, samples }) => ({
    proxy,
    asks,
    requestsPerSecond: median(samples.map(({ requestsPerSecond }) => requestsPerSecond)),
    p50: latency(samples, 0.5),
    p99: latency(samples, 0.99),
    cpuMicroseconds: median(samples.map(({ cpuMicroseconds }) => cpuMicroseconds)),
    ofNothing: compare(samples, nothing),
    ofBare: compare(samples, bare),
  }))
}

/** Over all rounds together: in a single one the slowest hundredth is only about ten requests. */
const latency = (samples: readonly Sample[], share: number): number =>
  percentile(
    samples.flatMap(({ latencies }) => latencies),
    share,
  )

/** Ratios round by round: the machine drifts from one to the next. */
function compare(samples: readonly Sample[], others: readonly Sample[]): Comparison {
  const each = (of: (one: Sample, other: Sample) => number): readonly number[] =>
    samples.flatMap((one, round) => {
      const other = others[round]
      return other === undefined ? [] : [of(one, other)]
    })
  return {
    requests: spread(each((one, other) => one.requestsPerSecond / other.requestsPerSecond)),
    cpu: spread(each((one, other) => other.cpuMicroseconds / one.cpuMicroseconds)),
    p50More: latency(samples, 0.5) - latency(others, 0.5),
    p99More: latency(samples, 0.99) - latency(others, 0.99),
  }
}

/**
 * A table with the cost of auth requests, relative to the same proxy without any and to a bare
 * server.
 */
export function writePassages(passages: readonly Passage[], pace: BehindPace): string {
  if (passages.length === 0) return ''
  const { perSecond, latencySeconds, rounds } = pace
  const rows = passages.map((passage) => {
    const { proxy, asks, requestsPerSecond, cpuMicroseconds, ofNothing, ofBare } = passage
    const isOpen = asks === 'nothing'
    const added = (what: 'p50' | 'p99') => {
      const more = [ofNothing, ofBare].map((comparison) => signed(comparison[`${what}More`]))
      return isOpen ? passage[what].toFixed(2) : `${passage[what].toFixed(2)} (${more.join(', ')})`
    }
    const cells = [
      proxy,
      asks,
      Math.round(requestsPerSecond),
      ofNothing.requests.median.toFixed(2),
      isOpen ? '' : inHundredths(ofBare.requests),
      isOpen ? '' : inHundredths(ofBare.cpu),
      Number.isNaN(cpuMicroseconds) ? '–' : Math.round(cpuMicroseconds),
      added('p50'),
      added('p99'),
    ]
    return `| ${cells.join(' | ')} |`
  })
  return `
Through a real proxy, HTTP without TLS, a known cookie; proxy, whom it asks and application share one core, the generator has the other. Ratios are of each round, and of these the median (least to most). Latency is at ${perSecond} requests a second, each measured from when it was due, ${perSecond * latencySeconds * rounds} for each line; in brackets what it is more than of asking nothing, and than of asking a bare server.

| proxy | asks | requests/s | of asking nothing | of asking a bare server | the same, by CPU | CPU µs, all processes | p50 ms | p99 ms |
|---|---|---|---|---|---|---|---|---|
${rows.join('\n')}
`
}

const signed = (milliseconds: number): string =>
  `${milliseconds < 0 ? '−' : '+'}${Math.abs(milliseconds).toFixed(2)}`
