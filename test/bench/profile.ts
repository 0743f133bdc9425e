import { once } from 'node:events'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Generator } from './load.ts'
import type { Target } from './target.ts'

/** Percent of a server's CPU time, by what it was spent on. */
export interface Profile {
  readonly name: string
  readonly shares: Readonly<Record<Part, number>>
}

export const PARTS = [
  'writing to the socket',
  'Node.js: HTTP, streams, events',
  'koa and what it brings',
  'crypto',
  'lru-cache',
  'prom-client',
  'its own code',
  'collecting garbage',
  'native code, not told apart',
] as const

type Part = (typeof PARTS)[number]

/** What V8 writes; times in microseconds. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** Where a server spends its time at full load. */
export async function profile(
  target: Target,
  folder: string,
  generator: Generator,
  seconds: number,
): Promise<Profile> {
  const profiles = join(folder, 'profiles', target.name.replace(/[^a-z]+/gi, '-'))
  await mkdir(profiles, { recursive: true })
  // V8 writes the profile when the process exits normally.
  const onSignal = "data:text/javascript,process.on('SIGUSR2',()=>process.exit())"
  const server = await target.start([
    '--cpu-prof',
    '--cpu-prof-interval=200',
    `--cpu-prof-dir=${profiles}`,
    `--import=${onSignal}`,
  ])
  await generator.load(server.port, target.requests, seconds)
  server.process.kill('SIGUSR2')
  await once(server.process, 'exit')
  const [file = ''] = await readdir(profiles)
  return {
    name: target.name,
    shares: shareOut(JSON.parse(await readFile(join(profiles, file), 'utf8'))),
  }
}

function shareOut({ nodes, samples, timeDeltas }: CpuProfile): Profile['shares'] {
  const parts = new Map(nodes.map(({ id, callFrame }) => [id, partOf(callFrame)]))
  const spent = new Map<Part, number>()
  for (const [index, id] of samples.entries()) {
    const part = parts.get(id)
    if (part !== undefined) spent.set(part, (spent.get(part) ?? 0) + (timeDeltas[index] ?? 0))
  }
  const total = [...spent.values()].reduce((sum, time) => sum + time, 0)
  const share = (part: Part) => (100 * (spent.get(part) ?? 0)) / total
  return Object.fromEntries(PARTS.map((part) => [part, share(part)])) as Profile['shares']
}

const IN_URL: readonly (readonly [RegExp, Part])[] = [
  [/^node:internal\/crypto|^node:crypto/, 'crypto'],
  [/^node:/, 'Node.js: HTTP, streams, events'],
  [/\/node_modules\/lru-cache\//, 'lru-cache'],
  [/\/node_modules\/prom-client\//, 'prom-client'],
  [/\/node_modules\//, 'koa and what it brings'],
  [/^file:/, 'its own code'],
]
const BY_NAME: Readonly<Record<string, Part | undefined>> = {
  '(garbage collector)': 'collecting garbage',
  writeLatin1String: 'writing to the socket',
  writeUtf8String: 'writing to the socket',
  writev: 'writing to the socket',
  writeBuffer: 'writing to the socket',
}

function partOf({ functionName, url }: CpuProfile['nodes'][number]['callFrame']): Part | undefined {
  if (functionName === '(idle)') return undefined
  const found = IN_URL.find(([pattern]) => pattern.test(url))
  return found?.[1] ?? BY_NAME[functionName] ?? 'native code, not told apart'
}

/** One column for each server. */
export function writeProfiles(profiles: readonly Profile[]): string {
  const row = (part: Part) =>
    `| ${part} | ${profiles.map(({ shares }) => `${shares[part].toFixed(1)} %`).join(' | ')} |`
  return `Where the CPU time goes (\`--cpu-prof\`, self time):

| | ${profiles.map(({ name }) => name).join(' | ')} |
|---|${'---|'.repeat(profiles.length)}
${PARTS.map(row).join('\n')}
`
}
