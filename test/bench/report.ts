import { type BehindPace, type Passage, writePassages } from './behind.ts'
import type { Micro } from './micro.ts'
import { type Profile, writeProfiles } from './profile.ts'
import type { Measured, Pace, Result } from './rounds.ts'
import type { Connections } from './single.ts'
import { type Starts, writeStarts } from './starts.ts'
import { inHundredths } from './statistics.ts'

/** All results of a run; the JSON file beside the Markdown contains this. */
export interface Report {
  readonly date: string
  readonly versions: Readonly<Record<string, string>>
  readonly machine: string
  readonly generator: string
  readonly pinned: boolean
  readonly pace: Pace
  readonly load: Measured
  /** The obvious way first, then certlatch, then the least there can be. */
  readonly profiles: readonly Profile[]
  readonly behind: readonly Passage[]
  readonly behindPace: BehindPace
  readonly micro: readonly Micro[]
  readonly start: Starts
  readonly connections: { readonly allowed: Connections; readonly refused: Connections }
}

/** For people. */
export function writeMarkdown(report: Report): string {
  const { load, pace, versions } = report
  const words = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return `# Benchmark of ${report.date}

${words.join(', ')}; ${report.machine}; ${report.generator}; ${
    report.pinned ? 'server and generator each on a core of their own' : 'nothing pinned'
  }; ${pace.rounds} rounds of ${pace.sliceSeconds} s after ${pace.warmUpSeconds} s of warm-up.

Ratios are against a bare \`node:http\` server that answers an empty 200, run again every two targets: median (least to most) of the rounds. "By CPU" is the bare server's CPU time a request over this one's: it moves less than requests a second while others use the machine. The second bare server is the noise: a difference smaller than its own from 1 means nothing.

| \`/verify\` | requests/s | of bare | of bare, by CPU | CPU µs | p50 ms | p99 ms | memory MB, idle → loaded | known |
|---|---|---|---|---|---|---|---|---|
| bare node:http | ${row(load.bare)} | | |
${load.results.map(resultRow).join('\n')}

p50 and p99 are at saturation, so mostly queueing. "Known": what certlatch remembered of the signatures that it was asked for.

${disturbance(load)}

${writeProfiles(report.profiles)}
${writePassages(report.behind, report.behindPace)}

| one call | µs, median | least |
|---|---|---|
${report.micro.map(({ name, median, least }) => `| ${name} | ${two(median)} | ${two(least)} |`).join('\n')}

${writeStarts(report.start)}

| | |
|---|---|
| ${connectionRow('allowed', report.connections.allowed)} |
| ${connectionRow('refused', report.connections.refused)} |
`
}

function row({ requestsPerSecond, cpuMicroseconds, p50, p99 }: Measured['bare']): string {
  const cpu = optional(cpuMicroseconds, (value) => value.toFixed(1))
  return `${Math.round(requestsPerSecond)} | 1 | 1 | ${cpu} | ${two(p50)} | ${two(p99)}`
}

function resultRow(result: Result): string {
  const cells = [
    result.name,
    Math.round(result.requestsPerSecond),
    inHundredths(result.ratio),
    optional(result.cpuRatio, inHundredths),
    optional(result.cpuMicroseconds, (value) => value.toFixed(1)),
    two(result.p50),
    two(result.p99),
    optional(result.memory, ({ idle, loaded }) => `${Math.round(idle)} → ${Math.round(loaded)}`),
    optional(result.hitShare, (share) => `${Math.round(share * 100)} %`, ''),
  ]
  return `| ${cells.join(' | ')} |`
}

function disturbance({ disturbed, slices }: Measured): string {
  if (disturbed === 0) return `In all ${slices} slices the server had its core to itself.`
  const verdict =
    disturbed > slices / 4 ? ' Too many: requests per second of this run mean nothing.' : ''
  return `In ${disturbed} of ${slices} slices the server got less than 90 % of its core: others used it, or the generator could not keep up.${verdict}`
}

function connectionRow(what: string, { requests, opened, bodyBytes }: Connections): string {
  return `connections for ${requests} ${what} requests, one after another; bytes of body each | ${opened}; ${bodyBytes / requests}`
}

const two = (value: number): string => value.toFixed(2)
function optional<T>(value: T | undefined, write: (value: T) => string, otherwise = '–'): string {
  return value === undefined ? otherwise : write(value)
}
