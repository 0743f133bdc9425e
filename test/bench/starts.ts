import { question, type RunningServer } from './processes.ts'
import { inHundredths, type Spread, spread } from './statistics.ts'
import type { Target } from './target.ts'

/** The same of both servers, with what certlatch's is of the other one's in the same round. */
export interface Compared {
  readonly certlatch: Spread
  readonly bare: Spread
  readonly ratio: Spread
}

/** From spawning the process to its first expected answer, in milliseconds, and more of those starts. */
export interface Starts extends Compared {
  readonly times: number
  /** CPU time until then, in milliseconds: it moves less when others use the machine. */
  readonly cpuMilliseconds: Compared
  /** Resident megabytes a second later. */
  readonly memory: Compared
  /** The same once certlatch's metrics were scraped, which loads what writes them. */
  readonly memoryScraped: Compared
}

const IDLE_MILLISECONDS = 1_000

interface Start {
  readonly milliseconds: number
  readonly cpuMilliseconds: number
  readonly memory: number
  readonly memoryScraped: number
}

/** Starts both servers in turn, so many times each. */
export async function measureStarts(
  { certlatch, bare }: { readonly certlatch: Target; readonly bare: Target },
  times: number,
): Promise<Starts> {
  const rounds: { certlatch: Start; bare: Start }[] = []
  for (let time = 0; time < times; time += 1) {
    rounds.push({ certlatch: await measureOne(certlatch), bare: await measureOne(bare) })
  }
  const compare = (what: keyof Start): Compared => ({
    certlatch: spread(rounds.map((round) => round.certlatch[what])),
    bare: spread(rounds.map((round) => round.bare[what])),
    ratio: spread(rounds.map((round) => round.certlatch[what] / round.bare[what])),
  })
  return {
    times,
    ...compare('milliseconds'),
    cpuMilliseconds: compare('cpuMilliseconds'),
    memory: compare('memory'),
    memoryScraped: compare('memoryScraped'),
  }
}

async function measureOne(target: Target): Promise<Start> {
  const server = await target.start()
  try {
    const cpuMilliseconds = ((await server.cpuSeconds()) ?? Number.NaN) * 1_000
    const memory = await memoryWhenIdle(server)
    const { adminPort } = target
    if (adminPort !== undefined) await question(adminPort, {}, undefined, '/metrics')
    return {
      milliseconds: server.startMilliseconds,
      cpuMilliseconds,
      memory,
      memoryScraped: adminPort === undefined ? memory : await memoryWhenIdle(server),
    }
  } finally {
    await server.stop()
  }
}

async function memoryWhenIdle(server: RunningServer): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, IDLE_MILLISECONDS))
  return (await server.memoryMegabytes()) ?? Number.NaN
}

/** A table for people. */
export function writeStarts(starts: Starts): string {
  const row = (name: string, { certlatch, bare, ratio }: Compared): string => {
    const leastOfBare = (certlatch.least / bare.least).toFixed(2)
    const cells = [name, inWhole(certlatch), inWhole(bare), inHundredths(ratio), leastOfBare]
    return `| ${cells.join(' | ')} |`
  }
  return `| ${starts.times} starts each, in turn: median (least to most) | certlatch | bare node:http | ratio, round by round | least of least |
|---|---|---|---|---|
${row('from the start of the process to its first 200, ms', starts)}
${row('CPU time until then, ms', starts.cpuMilliseconds)}
${row('memory idle, MB', starts.memory)}
${row('memory idle once the metrics were scraped, MB', starts.memoryScraped)}`
}

const inWhole = ({ median: middle, least, most }: Spread): string =>
  `**${Math.round(middle)}** (${Math.round(least)}–${Math.round(most)})`
