import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { type BehindPace, measureBehind } from './behind.ts'
import { findGenerator } from './load.ts'
import type { Micro } from './micro.ts'
import { canPin, pinned } from './processes.ts'
import { type Profile, profile } from './profile.ts'
import { type Report, writeMarkdown } from './report.ts'
import { measureRounds, type Pace } from './rounds.ts'
import { makeScene } from './scene.ts'
import { countConnections } from './single.ts'
import { soak, writeSoaked } from './soak.ts'
import { measureStarts } from './starts.ts'
import { makeTargets } from './targets.ts'

const REPOSITORY = join(import.meta.dirname, '../../..')
const SEQUENTIAL_REQUESTS = 1_000

const THOROUGH: Pace = { warmUpSeconds: 4, sliceSeconds: 3, rounds: 5 }
const QUICK: Pace = { warmUpSeconds: 1, sliceSeconds: 1, rounds: 1 }
const THOROUGH_BEHIND: BehindPace = {
  ...THOROUGH,
  proxies: ['caddy', 'traefik', 'nginx'],
  rounds: 7,
  sliceSeconds: 2,
  perSecond: 500,
  latencySeconds: 5,
}
const QUICK_BEHIND: BehindPace = {
  ...QUICK,
  proxies: ['traefik'],
  perSecond: 500,
  latencySeconds: 2,
}

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    soak: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '10' },
  },
})
const tell = (line: string): void => {
  process.stderr.write(`${line}\n`)
}

const folder = await mkdtemp(join(tmpdir(), 'certlatch-bench-'))
try {
  if (options.soak) {
    const generator = await findGenerator()
    const soaked = await soak(folder, makeScene(), generator, Number(options.minutes) * 60, tell)
    process.stdout.write(`\n${writeSoaked(soaked)}`)
  } else {
    const report = await measure(folder, options.quick)
    const markdown = writeMarkdown(report)
    process.stdout.write(`\n${markdown}`)
    if (!options.quick) tell(`\nwritten: ${await keep(report, markdown)}`)
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function measure(folder: string, quick: boolean): Promise<Report> {
  const pace = quick ? QUICK : THOROUGH
  const times = quick ? 5 : 10
  const generator = await findGenerator()
  const scene = makeScene()
  const targets = await makeTargets(folder, scene, tell)
  tell('starting and connecting')
  const start = await measureStarts({ ...targets, certlatch: targets.knownCookie }, times)
  const connections = {
    allowed: await countConnections(targets.knownCookie, SEQUENTIAL_REQUESTS),
    refused: await countConnections(targets.refused, SEQUENTIAL_REQUESTS),
  }
  tell('single calls')
  const micro = await measureMicro()
  tell('warming up')
  const load = await measureRounds(targets, generator, pace, tell)
  tell('where the time goes')
  const profiles: Profile[] = []
  for (const target of [targets.naive, targets.knownCookie, targets.bare]) {
    profiles.push(await profile(target, folder, generator, pace.warmUpSeconds + pace.sliceSeconds))
  }
  tell('through proxies')
  const behindPace = quick ? QUICK_BEHIND : THOROUGH_BEHIND
  const behind = await measureBehind(folder, scene, generator, behindPace, tell)
  return {
    date: new Date().toISOString().slice(0, 10),
    versions: await readVersions(),
    machine: `${availableParallelism()} cores, ${process.platform} ${process.arch}`,
    generator: generator.name,
    pinned: await canPin(),
    pace,
    load,
    profiles,
    behind,
    behindPace,
    micro,
    start,
    connections,
  }
}

/** In its own process, on the servers' core. */
async function measureMicro(): Promise<readonly Micro[]> {
  const script = join(import.meta.dirname, 'micro.js')
  const [program = '', ...words] = await pinned(0, [process.execPath, script])
  const { stdout } = await promisify(execFile)(program, words)
  return JSON.parse(stdout)
}

async function readVersions(): Promise<Readonly<Record<string, string>>> {
  const read = async (path: string): Promise<string> =>
    JSON.parse(await readFile(join(REPOSITORY, path), 'utf8')).version
  const versions: Record<string, string> = {
    certlatch: await read('package.json'),
    Node: process.versions.node,
  }
  for (const name of ['koa', 'lru-cache', 'prom-client']) {
    versions[name] = await read(`node_modules/${name}/package.json`)
  }
  return versions
}

/** Two files named by the day and Node's version; gives the Markdown's path from the repository. */
async function keep(report: Report, markdown: string): Promise<string> {
  const [major] = process.versions.node.split('.')
  const path = join('test/bench/results', `${report.date}-node${major}`)
  await mkdir(join(REPOSITORY, 'test/bench/results'), { recursive: true })
  await writeFile(join(REPOSITORY, `${path}.md`), markdown)
  await writeFile(join(REPOSITORY, `${path}.json`), `${JSON.stringify(report, undefined, 2)}\n`)
  return `${path}.md`
}
