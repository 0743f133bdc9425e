import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { repository } from '../support/repository.ts'
import { findGenerator, type Generator } from './load.ts'
import { canPin, type RunningServer } from './processes.ts'
import { type Sample, sample } from './rounds.ts'
import { makeScene } from './scene.ts'
import { inHundredths, median, spread } from './statistics.ts'
import type { Target } from './target.ts'
import { makeCertlatchTargets, PROGRAM } from './targets.ts'

/**
 * Compares this checkout with another, to show what a change costs: `compare.js CHECKOUT [ROUNDS]`. Both
 * must be built; each runs with the settings of its own image, and they take turns.
 */
const [checkout = '', rounds = '12'] = process.argv.slice(2)
const WARM_UP_SECONDS = 4
const SLICE_SECONDS = 2

interface Side {
  readonly target: Target
  readonly server: RunningServer
  readonly samples: (Sample & { readonly memory: number })[]
}

if (checkout === '' || !existsSync(join(checkout, PROGRAM)) || !(Number(rounds) > 0)) {
  process.stderr.write(`usage: compare.js CHECKOUT [ROUNDS]
CHECKOUT is the folder of another checkout, built with npm run build
`)
  process.exit(2)
}
const folder = await mkdtemp(join(tmpdir(), 'certlatch-compare-'))
try {
  const generator = await findGenerator()
  const here = await targetsOf('here', undefined)
  const there = await targetsOf('there', resolve(checkout))
  const pinned = (await canPin()) ? 'pinned' : 'not pinned'
  process.stdout.write(`Here: ${repository()}. There: ${checkout}. Node ${process.version}; ${generator.name}; ${pinned}; ${rounds} rounds.
Ratios are here to there, round by round: of CPU time less is better, of requests more.

| | CPU µs a request here | there | ratio | requests a second here | there | ratio | most MB here | there |
|---|---|---|---|---|---|---|---|---|
`)
  for (const [index, target] of here.entries()) {
    const other = there[index]
    if (other !== undefined) await compare(target, other, generator)
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function targetsOf(name: string, root: string | undefined): Promise<readonly Target[]> {
  const own = join(folder, name)
  await mkdir(own)
  return (await makeCertlatchTargets(own, makeScene(), root)).all
}

async function compare(one: Target, other: Target, generator: Generator): Promise<void> {
  const sides: Side[] = []
  try {
    for (const target of [one, other]) {
      const side = { target, server: await target.start(), samples: [] }
      sides.push(side)
      await sample(side, generator, WARM_UP_SECONDS)
    }
    for (let round = 0; round < Number(rounds); round += 1) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        const slice = await sample(side, generator, SLICE_SECONDS)
        const memory = (await side.server.memoryMegabytes()) ?? Number.NaN
        side.samples.push({ ...slice, memory })
      }
    }
    const memory = sides.map(({ samples }) => Math.max(...samples.map((one) => one.memory)))
    const cells = [
      one.name,
      ...columns(sides, ({ cpuMicroseconds = Number.NaN }) => cpuMicroseconds, 1),
      ...columns(sides, ({ perSecond }) => perSecond, 0),
      ...memory.map((megabytes) => megabytes.toFixed(0)),
    ]
    process.stdout.write(`| ${cells.join(' | ')} |\n`)
  } finally {
    for (const { server } of sides) await server.stop()
  }
}

/** The medians of both, and the ratio of the first to the second. */
function columns(sides: readonly Side[], of: (one: Sample) => number, digits: number): string[] {
  const [here = [], there = []] = sides.map(({ samples }) => samples.map(of))
  const ratios = here.map((value, index) => value / (there[index] ?? Number.NaN))
  return [
    ...[here, there].map((list) => median(list).toFixed(digits)),
    inHundredths(spread(ratios)),
  ]
}
