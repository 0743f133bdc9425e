import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { freePort } from '../../support/free-port.ts'
import { findProgram, repositoryFolder, until } from './tools.ts'

/** What Home Assistant's webhook received, one alert each. */
export interface ToldAlert {
  readonly status: 'firing' | 'resolved'
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly values: readonly number[]
}

/** A real Prometheus and a real Alertmanager with the shipped files, and a recipient. */
export interface Monitoring {
  /** Prometheus' address. */
  readonly address: string
  readonly told: readonly ToldAlert[]
  query(expression: string): Promise<readonly Sample[]>
  /** Over the last minutes, in steps of a second. */
  queryRange(expression: string, seconds: number): Promise<readonly Sample[]>
  /** Names of the alerts that fire now. */
  firing(): Promise<ReadonlySet<string>>
  close(): Promise<void>
}

const shipped = (name: string): string =>
  readFileSync(join(repositoryFolder(), 'deploy/prometheus', name), 'utf8')

/** Exactly one place of each text becomes another. */
function changed(text: string, changes: readonly (readonly [string, string])[]): string {
  return changes.reduce((now, [from, to]) => {
    if (!now.includes(from)) throw new Error(`the shipped file has no ${from}`)
    return now.replaceAll(from, to)
  }, text)
}

export async function startMonitoring(folder: string, adminPort: number): Promise<Monitoring> {
  const [prometheusPort, alertmanagerPort] = [await freePort(), await freePort()]
  const told: ToldAlert[] = []
  const phone = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      if (request.url?.startsWith('/api/webhook/')) told.push(...JSON.parse(body).alerts)
      response.end()
    })
  }).listen(0, '127.0.0.1')
  await once(phone, 'listening')
  const address = phone.address()
  const phonePort = typeof address === 'object' ? (address?.port ?? 0) : 0
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
  write(
    'prometheus.yml',
    changed(shipped('prometheus.yml'), [
      ['15s', '1s'],
      ['127.0.0.1:9093', `127.0.0.1:${alertmanagerPort}`],
      ['127.0.0.1:9181', `127.0.0.1:${adminPort}`],
    ]),
  )
  // The expressions are the shipped ones; only how long they have to hold is shorter. Until the first
  // scrape, which takes some seconds to come, `up` is absent.
  const rules = shipped('certlatch.rules.yml')
    .replace(/(?<=alert: CertlatchDown\n.*\n +for: )\d+m$/m, '8s')
    .replace(/for: \d+m$/gm, 'for: 1s')
  write('certlatch.rules.yml', rules)
  write(
    'alertmanager.yml',
    changed(shipped('alertmanager.yml'), [
      ['127.0.0.1:8123', `127.0.0.1:${phonePort}`],
      ['group_wait: 10s', 'group_wait: 1s'],
      ['group_interval: 5m', 'group_interval: 2s'],
    ]),
  )
  const start = (program: string, ...args: readonly string[]) =>
    spawn(findProgram(program), args, { cwd: folder, stdio: 'ignore' })
  const children = [
    start(
      'prometheus-alertmanager',
      '--config.file=alertmanager.yml',
      '--storage.path=alertmanager',
      '--cluster.listen-address=',
      `--web.listen-address=127.0.0.1:${alertmanagerPort}`,
    ),
    start(
      'prometheus',
      '--config.file=prometheus.yml',
      '--storage.tsdb.path=prometheus',
      `--web.listen-address=127.0.0.1:${prometheusPort}`,
    ),
  ]
  const prometheus = `http://127.0.0.1:${prometheusPort}`
  const api = `${prometheus}/api/v1`
  const monitoring: Monitoring = {
    address: prometheus,
    told,
    query: (query) => ask(`${api}/query`, { query }),
    queryRange: (query, seconds) => {
      const end = Date.now() / 1000
      const range = { start: String(end - seconds), end: String(end), step: '1' }
      return ask(`${api}/query_range`, { query, ...range })
    },
    firing: async () => {
      const { data } = (await (await fetch(`${api}/alerts`)).json()) as {
        data: { alerts: readonly { state: string; labels: { alertname: string } }[] }
      }
      const firing = data.alerts.filter(({ state }) => state === 'firing')
      return new Set(firing.map(({ labels }) => labels.alertname))
    },
    close: async () => {
      phone.close()
      phone.closeAllConnections()
      await Promise.all(children.map(end))
    },
  }
  for (const [name, port] of [
    ['Prometheus', prometheusPort],
    ['Alertmanager', alertmanagerPort],
  ] as const) {
    await until(
      `${name} is ready`,
      () =>
        fetch(`http://127.0.0.1:${port}/-/ready`).then(
          ({ ok }) => ok,
          () => false,
        ),
      20_000,
    )
  }
  return monitoring
}

interface QueryAnswer {
  readonly status: string
  readonly error?: string
  readonly data: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>
      readonly value?: readonly [number, string]
      readonly values?: readonly (readonly [number, string])[]
    }[]
  }
}

async function ask(url: string, parameters: Record<string, string>): Promise<readonly Sample[]> {
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(parameters) })
  const { status, error, data } = (await response.json()) as QueryAnswer
  if (status !== 'success') throw new Error(`${parameters['query']}: ${error}`)
  return data.result.map(({ metric, value, values }) => ({
    labels: metric,
    values: (values ?? (value ? [value] : [])).map(([, text]) => Number(text)),
  }))
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
