/** What the documents say of the newest benchmark in test/bench/results/. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './repository.ts'

const RESULTS = join(repository(), 'test/bench/results')

interface Spread {
  readonly median: number
}

interface Report {
  readonly date: string
  readonly versions: Readonly<Record<string, string>>
  readonly load: {
    readonly slices: number
    readonly disturbed: number
    readonly results: readonly {
      readonly name: string
      readonly requestsPerSecond: number
      readonly cpuMicroseconds: number
      readonly ratio: Spread & { readonly least: number; readonly most: number }
      readonly memory: { readonly idle: number; readonly loaded: number }
    }[]
  }
  readonly behind: readonly {
    readonly proxy: string
    readonly asks: string
    readonly ofBare: {
      readonly requests: Spread
      readonly p50More: number
      readonly p99More: number
    }
  }[]
  readonly micro: readonly (Spread & { readonly name: string })[]
  readonly start: { readonly certlatch: Spread }
  readonly connections: {
    readonly allowed: { readonly requests: number; readonly opened: number }
  }
}

/** The last one by date. */
function newest(pattern: RegExp): string {
  const name = readdirSync(RESULTS)
    .filter((file) => pattern.test(file))
    .sort()
    .at(-1)
  if (name === undefined) throw new Error(`test/bench/results has no ${pattern}`)
  return name
}

function readReport() {
  const name = newest(/node\d+\.json$/)
  const report: Report = JSON.parse(readFileSync(join(RESULTS, name), 'utf8'))
  const found = <Entry>(list: readonly Entry[], is: (entry: Entry) => boolean, what: string) => {
    const entry = list.find(is)
    if (entry === undefined) throw new Error(`${name} has no ${what}`)
    return entry
  }
  return {
    report,
    path: `test/bench/results/${name.replace(/json$/, 'md')}`,
    load: (what: string) => found(report.load.results, (entry) => entry.name === what, what),
    call: (what: string) => found(report.micro, (entry) => entry.name === what, what).median,
    behind: (proxy: string, asks: string) =>
      found(
        report.behind,
        (entry) => entry.proxy === proxy && entry.asks === asks,
        `${proxy} that asks ${asks}`,
      ).ofBare,
  }
}

/** Memory under 10,000 idle connections, which the stress test alone makes. */
function readStress() {
  const name = newest(/-stress\.md$/)
  const [, megabytes] =
    /^\| 10,000 idle connections \|[^|]*\|[^|]*\|[^|]*\| (\d+) \|/m.exec(
      readFileSync(join(RESULTS, name), 'utf8'),
    ) ?? []
  if (megabytes === undefined) throw new Error(`${name} has no idle connections`)
  return { path: `test/bench/results/${name}`, megabytes }
}

const ratio = (value: number): string => value.toFixed(2)
/** With a true minus sign, and no minus before a zero. */
const difference = (value: number): string => value.toFixed(2).replace(/^-(?=.*[1-9])/, '−')
const thousands = (value: number): string =>
  `${Math.round(value / 1000) * 1000}`.replace(/(?=(?:\d{3})+$)\B/g, ',')

const KNOWN = 'cookie, known'
const PROXIES = ['caddy', 'traefik', 'nginx'] as const

/** What certlatch answers and needs, with auth requests like Traefik's and Caddy's. */
function known({ load }: ReturnType<typeof readReport>) {
  return [load(KNOWN), load(`${KNOWN}, asked by Caddy`)] as const
}

export function performanceSummary(): string {
  const read = readReport()
  const [first] = known(read)
  const ratios = PROXIES.map((proxy) => read.behind(proxy, 'certlatch').requests.median)
  const least = ratio(Math.min(...ratios))
  const most = ratio(Math.max(...ratios))
  return [
    `One certlatch on one core answers ${thousands(first.requestsPerSecond)} auth requests a second, and uses`,
    `${Math.round(first.memory.loaded)} MB under that load. Behind a real proxy it reaches ${least} to ${most} of the throughput of an empty HTTP`,
    `server in its place. [The figures and how they were measured](docs/scaling.md#performance).`,
  ].join('\n')
}

export function performanceTable(): string {
  const read = readReport()
  const { load, call, behind, report, path } = read
  const of = (...names: readonly string[]) =>
    names.map((name) => ratio(load(name).ratio.median)).join(', ')
  const through = (asks: string) =>
    PROXIES.map((proxy) => ratio(behind(proxy, asks).requests.median)).join(', ')
  const later = (which: 'p50More' | 'p99More') =>
    PROXIES.map((proxy) => difference(behind(proxy, 'certlatch')[which])).join(', ')
  const own = report.load.results.filter(({ name }) => !/^(?:bare|naive|nginx|oauth2)/.test(name))
  const idle = own.map(({ memory }) => Math.round(memory.idle))
  const loaded = own.map(({ memory }) => Math.round(memory.loaded))
  const noise = load('bare node:http again (noise)').ratio
  const { disturbed, slices } = report.load
  const stress = readStress()
  const rows = [
    ['**`/verify`, requests a second, compared with the bare server**', ''],
    ['a known cookie: as Traefik sends it, as Caddy does', of(KNOWN, `${KNOWN}, asked by Caddy`)],
    ['the same under the rules of a household', of(`${KNOWN}, under rules`)],
    ['a path that a rule makes public', of('open by a rule: nothing shown')],
    [
      'refused: nothing shown, a forged cookie, a bad certificate, the latter two known',
      of(
        'refused: nothing shown',
        'refused: forged cookie, known',
        'refused: bad certificate, known',
      ),
    ],
    [
      'oauth2-proxy at its best, and as it comes, with a log line for each request',
      of('oauth2-proxy, its own session', 'oauth2-proxy as it comes, with a log line for each'),
    ],
    ['a naive koa server; nginx with Lua, which needs no service', of('naive koa', 'nginx + Lua')],
    ['**Through Caddy, Traefik, nginx, compared with the bare server in the same place**', ''],
    ['requests a second: certlatch', through('certlatch')],
    ['requests a second: oauth2-proxy', through('oauth2-proxy')],
    ['median latency at 500 requests a second, ms more', later('p50More')],
    ['99th percentile, ms more', later('p99More')],
    ['**Single figures**', ''],
    [
      'a certificate never seen before',
      `${call('certificate header, never seen before').toFixed(0)} µs`,
    ],
    ['a certificate already known', `${call('certificate header, known').toFixed(2)} µs`],
    ['start to first answer', `${report.start.certlatch.median.toFixed(0)} ms`],
    ['memory idle', `${Math.min(...idle)} to ${Math.max(...idle)} MB`],
    [
      'memory under load: a known cookie from Traefik',
      `${Math.round(load(KNOWN).memory.loaded)} MB`,
    ],
    ['memory under load: the most of all loads', `${Math.max(...loaded)} MB`],
    ['memory with 10,000 idle connections', `${stress.megabytes} MB`],
    [
      `connections for ${report.connections.allowed.requests.toLocaleString('en-US')} requests one after another`,
      String(report.connections.allowed.opened),
    ],
  ]
  return [
    `On a machine with 2 cores and Node ${report.versions['Node']} ([the full report](../${path})):`,
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([what, figure]) => `| ${what} | ${figure} |`),
    '',
    `A second bare server in the same run came to ${ratio(noise.median)} (${ratio(noise.least)} to ${ratio(noise.most)}): that is the noise. Other`,
    `processes took the core in ${disturbed} of ${slices} slices. Behind a proxy, three processes share a core and rounds`,
    'differ by a tenth: the report has the ranges. What a device with a cookie notices while others do their',
    `worst is in [a table of its own](../${stress.path}).`,
  ].join('\n')
}

/** A sign-in to Home Assistant and the load of its page, as test/vectors has recorded it in full. */
const SIGN_IN = 145
const NEW_CERTIFICATE = 'certificate header, never seen before'

export function costTable(): string {
  const read = readReport()
  const [traefik, caddy] = known(read)
  const microseconds = traefik.cpuMicroseconds
  const newMicroseconds = microseconds + read.call(NEW_CERTIFICATE)
  const milliseconds = (value: number, digits: number) => `${(value / 1000).toFixed(digits)} ms`
  const share = (perSecond: number, each: number, digits = 0) =>
    `${((perSecond * each) / 1e4).toFixed(digits)} %`
  const crowd = 200 * SIGN_IN
  const rows = [
    [
      'signing in to Home Assistant and loading its page',
      SIGN_IN,
      `${milliseconds(SIGN_IN * microseconds, 0)}, once`,
    ],
    ['an open dashboard, its WebSocket connected', 'one in 15 minutes', 'nothing'],
    [
      'a camera picture every second on each of 100 screens',
      '100 a second',
      share(100, microseconds, 1),
    ],
    [
      'a device returns with a certificate that is not remembered',
      1,
      milliseconds(newMicroseconds, 1),
    ],
    [
      'a stranger presents 1,000 bad certificates a second',
      '1,000 a second',
      share(1000, newMicroseconds),
    ],
    [
      '200 people load that page within one second',
      crowd.toLocaleString('en-US'),
      share(crowd, microseconds),
    ],
  ]
  return [
    `One certlatch on one core answers ${thousands(traefik.requestsPerSecond)} auth requests a second with a known cookie from Traefik,`,
    `and ${thousands(caddy.requestsPerSecond)} from Caddy: ${Math.round(microseconds)} and ${Math.round(caddy.cpuMicroseconds)} µs of CPU each. From there it is arithmetic:`,
    '',
    '| What happens | Auth requests | Of one core |',
    '|---|---|---|',
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
  ].join('\n')
}
