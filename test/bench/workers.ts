import { join } from 'node:path'
import { freePort } from '../support/free-port.ts'
import type { Generator } from './load.ts'
import { type RunningServer, startServer } from './processes.ts'
import type { Pace } from './rounds.ts'
import { headersOf, type Scene, settingsOf, writeFiles } from './scene.ts'
import { median, type Spread, spread } from './statistics.ts'
import { requestsFile } from './target.ts'
import { CERTLATCH } from './targets.ts'

/** The same service in one process and in two, nothing pinned, the generator on the same cores. */
export interface Workers {
  readonly requestsPerSecond: { readonly one: number; readonly two: number }
  readonly ratio: Spread
}

export async function measureWorkers(
  folder: string,
  scene: Scene,
  generator: Generator,
  { warmUpSeconds, sliceSeconds, rounds }: Pace,
): Promise<Workers> {
  // Longer slices: within the first second of each the workers share out its connections.
  const seconds = 2 * sliceSeconds
  const headers = headersOf({ session: scene.mintSession() })
  const requests = await requestsFile(folder, 'workers', [headers])
  const started: RunningServer[] = []
  const start = async (workers: string): Promise<RunningServer> => {
    const [port, adminPort] = [await freePort(), await freePort()]
    const files = await writeFiles(join(folder), scene)
    const settings = {
      ...settingsOf(files, 'traefik', port, adminPort),
      CERTLATCH_WORKERS: workers,
    }
    const ask = { headers, status: 200 }
    const server = await startServer(CERTLATCH, ['serve'], port, settings, ask, { everyCore: true })
    started.push(server)
    await generator.load(port, requests, warmUpSeconds, 'any')
    return server
  }
  try {
    const [one, two] = [await start('1'), await start('2')]
    const perSecond = async ({ port }: RunningServer): Promise<number> => {
      const slice = await generator.load(port, requests, seconds, 'any')
      if (slice.refused + slice.broken > 0) throw new Error('not all were let in')
      return slice.requests / slice.seconds
    }
    const pairs: { readonly one: number; readonly two: number }[] = []
    for (let round = 1; round <= rounds; round += 1) {
      pairs.push({ one: await perSecond(one), two: await perSecond(two) })
    }
    return {
      requestsPerSecond: {
        one: median(pairs.map((pair) => pair.one)),
        two: median(pairs.map((pair) => pair.two)),
      },
      ratio: spread(pairs.map((pair) => pair.two / pair.one)),
    }
  } finally {
    for (const server of started) await server.stop()
  }
}
