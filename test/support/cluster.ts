import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { run } from '../../src/cli/main.ts'
import type { Values } from '../../src/config/config.ts'
import { startCluster } from '../../src/server/cluster/start-cluster.ts'
import {
  addTestDevice,
  asked,
  captureLog,
  certificateHeader,
  configOf,
  exchange,
  type Headers,
  openConnection,
  readMetrics,
  seriesKey,
  temporaryFolder,
} from './service.ts'

export type TestCluster = Awaited<ReturnType<typeof startTestCluster>>

/** A primary in this process, and workers that are processes of their own, by the real clock. */
export async function startTestCluster(
  context: Pick<TestContext, 'after'>,
  options: { readonly settings?: Values; readonly count?: number } = {},
) {
  const values = {
    CERTLATCH_LISTEN: '127.0.0.1:0',
    CERTLATCH_ADMIN_LISTEN: '127.0.0.1:0',
    CERTLATCH_DATA_DIR: await temporaryFolder(),
    ...options.settings,
  }
  const { config, warnings } = configOf(values)
  const log = captureLog()
  const { count = 2 } = options
  const started = { config, warnings, values, count, version: '0.0.0-test' }
  const service = await startCluster({ ...started, logDestination: log.destination })
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= service.stop()
    return stopped
  }
  context.after(stop)
  const { port } = service.address
  const admin = (target: string) =>
    exchange(service.adminAddress.port, { target, headers: [['Host', 'certlatch:9181']] })
  const series = async () => readMetrics((await admin('/metrics')).body.toString())
  return {
    ...{ dataDir: config.dataDir, port, log, admin, series, stop },
    adminPort: service.adminAddress.port,
    refresh: () => service.refresh(),
    /** Each on a connection of its own. */
    ask: (headers?: Headers) => exchange(port, { headers: asked(headers) }),
    connect: () => openConnection(port),
    metric: async (name: string, labels: Readonly<Record<string, string>> = {}) =>
      (await series()).get(seriesKey(name, labels)),
    readiness: async () => {
      const { status, body } = await admin('/readyz')
      return { status, ...JSON.parse(body.toString()) }
    },
  }
}

/** Enters a device whose certificate is good now, whatever the date. */
export async function addDeviceNow(dataDir: string, name: string): Promise<Headers> {
  const now = Math.floor(Date.now() / 1000)
  const dates = { notBefore: now - 60, notAfter: now + 86_400 }
  const { certificate } = await addTestDevice(dataDir, name, undefined, dates)
  return certificateHeader(certificate, 'traefik')
}

/** Runs `certlatch` in this process, by the real clock. */
export async function certlatchNow(argv: readonly string[], environment: NodeJS.ProcessEnv) {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  const outputs = Promise.all([text(streams.stdout), text(streams.stderr)])
  const exitCode = await run(argv, environment, streams, () => Promise.resolve())
  streams.stdout.end()
  streams.stderr.end()
  const [stdout, stderr] = await outputs
  return { exitCode, stdout, stderr }
}

/** Looks again and again, as often as the machine can, until something is so. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const begun = performance.now()
  while (!(await isSo())) {
    if (performance.now() - begun > 20_000) throw new Error(`not so after 20 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
