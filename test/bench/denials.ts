import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../support/free-port.ts'
import { findGenerator, loadAtRate } from './load.ts'
import { type RunningServer, startServer } from './processes.ts'
import { headersOf, makeScene, settingsOf, writeFiles } from './scene.ts'
import { requestsFile } from './target.ts'
import { CERTLATCH } from './targets.ts'
import { FRIEND, plainRefusal, type WorstInput, worstInputs } from './worst.ts'

// What the dearest requests without credentials cost, in CPU time against a plain refusal, and what
// a device with a cookie notices of 500 of them a second. Fails if one costs more than ten.
// `node dist/test/bench/denials.js [parts of rows' names]`, some six minutes.

const MOST_PLAIN_REFUSALS = 10
/** wrk takes whole seconds. */
const LOAD_SECONDS = 1
const PEST_PER_SECOND = 500
const PROBE_PER_SECOND = 200
const PROBE_SECONDS = 1
/** At this rate there is time to check every certificate. */
const BUDGETED_PER_SECOND = 1_000

const [, , ...parts] = process.argv
const POLICY = `version: 1\npreset: home-assistant\nenable: [cast-media]\nallow_origins: ${FRIEND}\n`
const scene = makeScene()
const generator = await findGenerator()
const folder = await mkdtemp(join(tmpdir(), 'certlatch-denials-'))
const known = headersOf({ session: scene.mintSession() })

async function startCertlatch(): Promise<RunningServer> {
  const policyFile = join(folder, 'policy.yaml')
  await writeFile(policyFile, POLICY)
  const files = { ...(await writeFiles(folder, scene)), CERTLATCH_POLICY_FILE: policyFile }
  const [port, adminPort] = [await freePort(), await freePort()]
  const settings = settingsOf(files, 'traefik', port, adminPort)
  return startServer(CERTLATCH, ['serve'], port, settings, { headers: known, status: 200 })
}

async function writeText(requests: readonly string[]): Promise<string> {
  const file = join(folder, 'worst')
  await writeFile(file, requests.join('\0'), 'latin1')
  return file
}

/** Microseconds of the server's CPU per request, at full load. */
async function costOf(server: RunningServer, { requests, status }: WorstInput): Promise<number> {
  const file = await writeText(requests)
  const before = await server.cpuSeconds()
  const slice = await generator.load(server.port, file, LOAD_SECONDS)
  const spent = Number(await server.cpuSeconds()) - Number(before)
  const letIn = slice.requests - slice.refused
  if (letIn !== (status === 200 ? slice.requests : 0)) throw new Error(`${letIn} were let in`)
  return (spent / slice.requests) * 1_000_000
}

async function warmCostOf(server: RunningServer, row: WorstInput): Promise<number> {
  await costOf(server, row)
  return costOf(server, row)
}

/** The same at a load below saturation; an idle process spends more on each request. */
async function costAtRate(server: RunningServer, requests: readonly string[]): Promise<number> {
  const file = await writeText(requests)
  const before = await server.cpuSeconds()
  const slice = await loadAtRate(server.port, file, BUDGETED_PER_SECOND, 2)
  const spent = Number(await server.cpuSeconds()) - Number(before)
  return (spent / slice.requests) * 1_000_000
}

const probe = async (server: RunningServer, pest: readonly string[]) => {
  const file = await writeText(pest)
  const knownFile = await requestsFile(folder, 'known', [known])
  const running = loadAtRate(server.port, file, PEST_PER_SECOND, PROBE_SECONDS)
  const slice = await loadAtRate(server.port, knownFile, PROBE_PER_SECOND, PROBE_SECONDS)
  await running
  if (slice.refused + slice.broken > 0) throw new Error('the known cookie is refused')
  return `${slice.p50.toFixed(2)} | ${slice.p99.toFixed(2)}`
}

const server = await startCertlatch()
try {
  const plainRow: WorstInput = { name: 'a plain refusal', requests: plainRefusal }
  await warmCostOf(server, plainRow)
  process.stdout.write(
    '| request | µs | plain refusals | p50 ms | p99 ms |\n|---|---|---|---|---|\n',
  )
  for (const row of [plainRow, ...worstInputs(scene)]) {
    if (parts.length > 0 && !parts.some((part) => row.name.includes(part))) continue
    // Again for each row: the machine's speed drifts.
    const plain = await costOf(server, plainRow)
    const cost = row.isBudgeted
      ? plain + (await costAtRate(server, row.requests)) - (await costAtRate(server, plainRefusal))
      : await warmCostOf(server, row)
    const times = cost / plain
    const cells = [row.name, cost.toFixed(0), times.toFixed(1), await probe(server, row.requests)]
    process.stdout.write(`| ${cells.join(' | ')} |\n`)
    if (times > MOST_PLAIN_REFUSALS) process.exitCode = 1
  }
} finally {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}
