import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { findGenerator, type Generator } from './load.ts'
import type { RunningServer } from './processes.ts'
import { type Sample, sample } from './rounds.ts'
import { makeScene } from './scene.ts'
import { inHundredths, median, spread } from './statistics.ts'
import type { Target } from './target.ts'
import { CERTLATCH, makeCertlatchTargets } from './targets.ts'

/**
 * This checkout beside another one, for what a change costs: `compare.js CHECKOUT [rounds]`. Both are
 * built, run with what their own images run with, and take turns.
 */
const [checkout = '', times = '12'] = process.argv.slice(2)
const WARM_UP_SECONDS = 4
const SLICE_SECONDS = 2

interface Side {
  readonly target: Target
  readonly server: RunningServer
  readonly samples: Sample[]
}

if (!existsSync(join(checkout, 'dist/src/cli/main.js'))) {
  process.stderr.write('error: name the folder of another checkout, built with npm run build\n')
  process.exit(2)
}
const folder = await mkdtemp(join(tmpdir(), 'certlatch-compare-'))
try {
  const generator = await findGenerator()
  const here = await targetsOf('here', undefined)
  const there = await targetsOf('there', resolve(checkout))
  process.stdout.write(`${CERTLATCH} beside ${checkout}, Node ${process.version}, ${times} rounds

| | CPU µs a request | there | ratio, round by round | requests a second | there | ratio | memory, MB | there |
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
    for (let round = 0; round < Number(times); round += 1) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        side.samples.push(await sample(side, generator, SLICE_SECONDS))
      }
    }
    const cells = [one.name, ...columns(sides, cpuOf, 1), ...columns(sides, perSecondOf, 0)]
    for (const { server } of sides) cells.push(((await server.memoryMegabytes()) ?? 0).toFixed(0))
    process.stdout.write(`| ${cells.join(' | ')} |\n`)
  } finally {
    for (const { server } of sides) await server.stop()
  }
}

const cpuOf = ({ cpuMicroseconds = Number.NaN }: Sample): number => cpuMicroseconds
const perSecondOf = ({ perSecond }: Sample): number => perSecond

/** The medians of both, and the ratio of the first to the second. */
function columns(sides: readonly Side[], of: (one: Sample) => number, digits: number): string[] {
  const [here = [], there = []] = sides.map(({ samples }) => samples.map(of))
  const ratios = here.map((value, index) => value / (there[index] ?? Number.NaN))
  return [
    ...[here, there].map((list) => median(list).toFixed(digits)),
    inHundredths(spread(ratios)),
  ]
}
