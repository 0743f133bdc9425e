import { join } from 'node:path'
import { FRONTS, type Front } from './fronts.ts'
import { type Generator, loadAtRate, type Slice } from './load.ts'
import { freePort, type RunningServer, startProgram, startServer } from './processes.ts'
import { type Headers, headersOf, type Scene, settingsOf, writeFiles } from './scene.ts'
import { median } from './statistics.ts'
import { requestsFile } from './target.ts'
import { BARE, CERTLATCH } from './targets.ts'

/** One way through one proxy: medians of all rounds. */
export interface Passage {
  readonly proxy: string
  /** Whom the proxy asks. */
  readonly asks: 'nobody' | 'bare node:http' | 'certlatch'
  readonly requestsPerSecond: number
  /** Milliseconds at the fixed rate. */
  readonly p50: number
  readonly p99: number
  /** CPU time a request of proxy, whom it asks, and application together. */
  readonly cpuMicroseconds: number | undefined
}

export interface BehindPace {
  readonly rounds: number
  readonly sliceSeconds: number
  readonly perSecond: number
}

interface Way {
  readonly proxy: Front['name']
  readonly asks: Passage['asks']
  readonly port: number
  readonly servers: readonly RunningServer[]
  readonly samples: { readonly load: Slice; readonly rate: Slice; readonly cpu: number }[]
}

/** Every proxy that this machine has, asking nobody, a bare server and certlatch, in turn. */
export async function measureBehind(
  folder: string,
  scene: Scene,
  generator: Generator,
  { rounds, sliceSeconds, perSecond }: BehindPace,
  tell: (line: string) => void,
): Promise<readonly Passage[]> {
  const passages: Passage[] = []
  const headers = clientHeaders(scene)
  const requests = await requestsFile(folder, 'through a proxy', [headers], PATH)
  for (const front of FRONTS) {
    const started: RunningServer[] = []
    try {
      const ways = await startWays(front, join(folder, front.name), scene, headers, started)
      for (const way of ways) await generator.load(way.port, requests, sliceSeconds)
      for (let round = 1; round <= rounds; round += 1) {
        for (const way of ways) {
          const before = await cpuOf(way)
          const load = await generator.load(way.port, requests, sliceSeconds)
          const cpu = (await cpuOf(way)) - before
          const rate = await loadAtRate(way.port, requests, perSecond, sliceSeconds)
          check(way, load)
          check(way, rate)
          way.samples.push({ load, rate, cpu })
        }
      }
      passages.push(...ways.map(summarise))
    } catch (error) {
      tell(`left out: ${front.name} (${String(error).split('\n')[0]})`)
    } finally {
      for (const server of started) await server.stop()
    }
  }
  return passages
}

const PATH = '/api/states/light.kitchen?v=2'

/** What the client sends itself: all else is the proxy's to say. */
function clientHeaders(scene: Scene): Headers {
  const all = Object.entries(headersOf({ session: scene.mintSession() }))
  return Object.fromEntries(all.filter(([name]) => !name.startsWith('X-Forwarded-')))
}

async function startWays(
  front: Front,
  folder: string,
  scene: Scene,
  headers: Headers,
  started: RunningServer[],
): Promise<readonly Way[]> {
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
  const startWay = async (asks: Passage['asks'], asked?: RunningServer): Promise<Way> => {
    const port = await freePort()
    const command = await front.prepare({
      folder: join(folder, asks.replace(/[^a-z]/g, '')),
      port,
      asks: asked?.port,
      application: application.port,
    })
    const ask = { headers, status: 200, path: PATH }
    const proxy = keep(await startProgram(command, port, { HOME: folder }, ask))
    const servers = asked === undefined ? [proxy, application] : [proxy, asked, application]
    return { proxy: front.name, asks, port, servers, samples: [] }
  }
  // First, for it finds out whether the program is there at all; the folder is made on the way.
  return [
    await startWay('nobody'),
    await startWay('bare node:http', await startBare()),
    await startWay('certlatch', await startCertlatch()),
  ]
}

async function cpuOf({ servers }: Way): Promise<number> {
  const times = await Promise.all(servers.map((server) => server.cpuSeconds()))
  return times.reduce<number>((sum, time) => sum + (time ?? Number.NaN), 0)
}

function check({ proxy, asks }: Way, { requests, refused, broken }: Slice): void {
  if (refused + broken === 0) return
  throw new Error(`asking ${asks}: ${refused} of ${requests} refused, ${broken} broken (${proxy})`)
}

function summarise({ proxy, asks, samples }: Way): Passage {
  const cpu = median(samples.map((sample) => (sample.cpu * 1e6) / sample.load.requests))
  return {
    proxy,
    asks,
    requestsPerSecond: median(samples.map(({ load }) => load.requests / load.seconds)),
    p50: median(samples.map(({ rate }) => rate.p50)),
    p99: median(samples.map(({ rate }) => rate.p99)),
    cpuMicroseconds: Number.isNaN(cpu) ? undefined : cpu,
  }
}

/** A table of it, with what asking costs against the same proxy that asks nobody, or a bare server. */
export function writePassages(passages: readonly Passage[], { perSecond }: BehindPace): string {
  if (passages.length === 0) return ''
  const rows = passages.map((passage) => {
    const of = (asks: Passage['asks']) =>
      passages.find((other) => other.proxy === passage.proxy && other.asks === asks)
    const [open, bare] = [of('nobody'), of('bare node:http')]
    const ratio = (other: Passage | undefined) =>
      other === undefined ? '–' : (passage.requestsPerSecond / other.requestsPerSecond).toFixed(2)
    const added = (what: 'p50' | 'p99') =>
      open === undefined
        ? '–'
        : `${passage[what].toFixed(2)} (+${(passage[what] - open[what]).toFixed(2)})`
    const cells = [
      passage.proxy,
      passage.asks,
      Math.round(passage.requestsPerSecond),
      ratio(open),
      passage.asks === 'nobody' ? '' : ratio(bare),
      passage.cpuMicroseconds === undefined ? '–' : Math.round(passage.cpuMicroseconds),
      added('p50'),
      added('p99'),
    ]
    return `| ${cells.join(' | ')} |`
  })
  return `
Through a real proxy, HTTP without TLS, a known cookie; proxy, whom it asks and application share one core, the generator has the other. Latency is at ${perSecond} requests a second, each measured from when it was due; in brackets what it is more than without asking.

| proxy | asks | requests/s | of asking nobody | of asking a bare server | CPU µs, all processes | p50 ms | p99 ms |
|---|---|---|---|---|---|---|---|
${rows.join('\n')}
`
}
