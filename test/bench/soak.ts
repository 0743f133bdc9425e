import type { Generator } from './load.ts'
import { startMixture } from './mixture.ts'
import { question } from './processes.ts'
import type { Scene } from './scene.ts'

export interface Soaked {
  readonly seconds: number
  readonly requests: number
  /** Resident memory in megabytes after each minute, the first without load. */
  readonly memory: readonly number[]
}

const SLICE_SECONDS = 5
const MINUTE_SLICES = 12

/** Everything that certlatch answers, in turn, for a long time: memory must stay flat. */
export async function soak(
  folder: string,
  scene: Scene,
  generator: Generator,
  seconds: number,
  tell: (line: string) => void,
): Promise<Soaked> {
  const mixture = await startMixture(folder, scene)
  const { server, adminPort, known, manyCookies, forged, certificate, refused, badCertificates } =
    mixture
  const kinds = [known, manyCookies, known, certificate, refused, forged, badCertificates]
  try {
    // As Prometheus does all the time: what writes the metrics is part of the memory.
    const scrape = () => question(adminPort, {}, undefined, '/metrics')
    await scrape()
    const memory = [(await server.memoryMegabytes()) ?? Number.NaN]
    let requests = 0
    const slices = Math.max(1, Math.round(seconds / SLICE_SECONDS))
    for (let slice = 1; slice <= slices; slice += 1) {
      const kind = kinds[slice % kinds.length] ?? known
      const result = await generator.load(server.port, kind, SLICE_SECONDS)
      if (result.broken > 0) throw new Error(`${result.broken} connections failed`)
      requests += result.requests
      if (slice % MINUTE_SLICES !== 0 && slice !== slices) continue
      await scrape()
      memory.push((await server.memoryMegabytes()) ?? Number.NaN)
      tell(`${slice * SLICE_SECONDS} s: ${memory.at(-1)?.toFixed(0)} MB`)
    }
    return { seconds: slices * SLICE_SECONDS, requests, memory }
  } finally {
    await server.stop()
  }
}

export function writeSoaked({ seconds, requests, memory }: Soaked): string {
  const [idle = Number.NaN, ...loaded] = memory
  const list = loaded.map((megabytes) => Math.round(megabytes)).join(', ')
  return `${requests} requests in ${seconds} s, as fast as they are answered: cookies known and new, certificates, refusals, forged cookies, new bad certificates in turn.
Resident memory in MB: ${Math.round(idle)} before, then after each minute ${list}; at most ${Math.round(Math.max(...loaded))}.
`
}
