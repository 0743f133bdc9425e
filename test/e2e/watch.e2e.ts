/** A household lives behind a real gate for a minute, and a real Prometheus watches it. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { dataPaths } from '../../src/store/data-directory.ts'
import { queriesOf, readDashboard } from '../support/dashboard.ts'
import { freePort } from '../support/free-port.ts'
import { type Certlatch, runCommand } from './support/certlatch.ts'
import { HOST } from './support/client.ts'
import { type Gate, type Request, startGate, startWorld, type World } from './support/gate.ts'
import { openSession, sendTimes } from './support/gate-requests.ts'
import { type Monitoring, startMonitoring } from './support/monitoring.ts'
import type { Credential } from './support/pki.ts'
import { CADDY } from './support/proxies.ts'
import { issueUntil } from './support/registered.ts'
import { pause, until } from './support/tools.ts'

const DAY = 86_400
/** Short enough for a device to live on its cookie alone within the run. */
const MAX_AGE_SECONDS = 30

let world: World
let gate: Gate
let monitoring: Monitoring
let certlatch: Certlatch

before(async () => {
  const adminPort = await freePort()
  world = await startWorld(CADDY, 'own', {
    CERTLATCH_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
    CERTLATCH_PAGES_LISTEN: '127.0.0.1:0',
    CERTLATCH_SESSION_TTL: `${MAX_AGE_SECONDS}s`,
    CERTLATCH_SESSION_MAX_AGE: `${MAX_AGE_SECONDS}s`,
  })
  certlatch = world.certlatch
  gate = await startGate(world)
  monitoring = await startMonitoring(world.folder, adminPort)
})

after(async () => {
  await monitoring?.close()
  await gate?.close()
  await world?.close()
})

// --- the household --------------------------------------------------------------------------------

const paths = () => dataPaths(join(world.folder, 'data'))
const nowSeconds = () => Math.floor(Date.now() / 1000)

const issue = (notAfter: number, name?: string) => issueUntil(world.folder, notAfter, name)

async function value(expression: string): Promise<number | undefined> {
  const [sample] = await monitoring.query(expression)
  return sample?.values[0]
}

/** Every counted answer as `via reason`, as Prometheus has it. */
async function counted(): Promise<ReadonlyMap<string, number>> {
  const samples = await monitoring.query('certlatch_decisions_total')
  return new Map(
    samples.map(({ labels, values }) => [
      `${labels['outcome']} ${labels['via']} ${labels['reason']}`,
      values[0] ?? Number.NaN,
    ]),
  )
}

const send = (times: number, status: number, request: Request) =>
  sendTimes(gate, times, status, request)
const open = (credential: Credential) => openSession(gate, credential)

/** What the script below sends, as it has to be counted. */
const SCRIPT: Readonly<Record<string, number>> = {
  'allow certificate none': 1 + 5 + 3,
  'allow session none': 20 + 2,
  'deny certificate certificate-revoked': 4,
  'deny session session-revoked': 3,
  'deny certificate certificate-expired': 6,
  'deny certificate unknown-device': 5,
  'deny none header-alias': 10,
  'deny none no-credentials': 7 + 230,
  'deny session session-malformed': 3,
  'deny none untrusted-proxy': 2,
}

let openedAt = 0
let cookie = ''
let baseline: ReadonlyMap<string, number>

test('The requests of a household and a prober are counted exactly', async () => {
  const ada = await issue(nowSeconds() + 300 * DAY, "Ada's phone 📱")
  const tablet = await issue(nowSeconds() + 10 * DAY, 'Tablet')
  const lost = await issue(nowSeconds() + 100 * DAY, 'Lost phone')
  const old = await issue(nowSeconds() - DAY, 'Old "laptop"\\')
  const unknown = await issue(nowSeconds() + DAY)
  await until(
    'Prometheus knows the devices',
    async () => (await value('certlatch_devices{state="active"}')) === 3,
  )
  baseline = await counted()

  cookie = await open(ada)
  openedAt = Date.now()
  await send(20, 200, { cookie })
  await send(5, 200, { credential: tablet })
  const lostCookie = await open(lost)
  await send(2, 200, { credential: lost })
  const revoke = await runCommand(certlatch.environment, 'device', 'revoke', 'Lost phone')
  assert.equal(revoke.code, 0, revoke.stderr)
  await send(4, 403, { credential: lost })
  await send(3, 403, { cookie: lostCookie })
  await send(6, 403, { credential: old })
  await send(5, 403, { credential: unknown })

  // Caddy itself takes away what is spelt with an underscore or a dot.
  await send(10, 403, { headers: [['Remote~User', 'admin']] })
  const forged = ada.certificate.replace(/-----[A-Z ]+-----|\s/g, '')
  await send(7, 403, {
    headers: [
      ['Client-Cert', `:${forged}:`],
      ['X-Forwarded-Tls-Client-Cert', forged],
      ['X-Certlatch-Proxy-Secret', 'a-wrong-guess'],
    ],
  })
  await send(3, 403, { cookie: '__Host-certlatch=v1.e30.e30' })
  await send(230, 403, {})
  // Who reaches the port itself has not the proxy's secret.
  for (let time = 0; time < 2; time += 1) {
    const answer = await fetch(`http://127.0.0.1:${certlatch.port}/verify`)
    assert.equal(answer.status, 403)
  }

  // The phone uses its cookie for more than half of the maximal age.
  await pause(Math.max(0, openedAt + (MAX_AGE_SECONDS * 1000) / 2 + 2_500 - Date.now()))
  await send(2, 200, { cookie })

  const expected = new Map(
    [...baseline].map(([key, count]) => [key, count + (SCRIPT[key] ?? 0)] as const),
  )
  for (const key of Object.keys(SCRIPT)) assert.ok(baseline.has(key), `${key} was there before`)
  await until(
    'Prometheus has seen everything',
    async () => (await counted()).get('allow session none') === expected.get('allow session none'),
  )
  assert.deepEqual(await counted(), expected)
  assert.equal(await value('certlatch_decision_duration_seconds_count'), sum(expected))
  const minted = 'certlatch_sessions_minted_total{cause="opened"}'
  // The tablet and the lost phone keep no cookie: they get one each time.
  assert.equal(await value(minted), 1 + 5 + 3)
})

const sum = (counts: ReadonlyMap<string, number>): number =>
  [...counts.values()].reduce((total, count) => total + count, 0)

test('increase() does not miss the first events', async () => {
  const seen = await value('sum(increase(certlatch_decisions_total{reason="header-alias"}[5m]))')
  assert.ok(seen !== undefined && seen >= 9.9, String(seen))
})

test('Devices are reported by name, with their credentials and their expiry', async () => {
  const seen = (via: string) =>
    value(`certlatch_device_last_seen_timestamp_seconds{device="Ada's phone 📱",via="${via}"}`)
  const byCertificate = (await seen('certificate')) ?? 0
  const bySession = (await seen('session')) ?? 0
  assert.ok(Math.abs(byCertificate - openedAt / 1000) <= 2)
  assert.ok(bySession - byCertificate >= MAX_AGE_SECONDS / 2)
  const ends = 'certlatch_device_certificate_not_after_timestamp_seconds'
  assert.equal(await value(`${ends}{device="Lost phone"}`), 0)
  const left = ((await value(`${ends}{device="Tablet"}`)) ?? 0) - nowSeconds()
  assert.ok(left > 9 * DAY && left < 10 * DAY)
  assert.ok(await value(`${ends}{device="Old \\"laptop\\"\\\\"} > 0`))
  for (const [state, count] of [
    ['active', 2],
    ['revoked', 1],
    ['expired', 1],
  ] as const) {
    assert.equal(await value(`certlatch_devices{state="${state}"}`), count, state)
  }
})

test('A wrong invitation code is counted by its outcome', async () => {
  const answer = await gate.send({
    method: 'POST',
    path: '/.certlatch/auth/enroll/look',
    headers: [
      ['Origin', `https://${HOST}`],
      ['Sec-Fetch-Site', 'same-origin'],
      ['Content-Type', 'application/json'],
    ],
    body: Buffer.from(JSON.stringify({ code: 'abcdefghjkmnpqrstuvw' })),
  })
  assert.equal(answer.status, 404, answer.body)
  await until(
    'Prometheus has seen it',
    async () => (await value('certlatch_invitations_total{outcome="unknown"}')) === 1,
  )
})

test('Every query of every panel returns data', async () => {
  const empty: string[] = []
  for (const { title, refId, expr } of queriesOf(readDashboard())) {
    // What shows only what has happened has zeros where nothing has.
    const filled = expr
      .replace(/ > 0$/, '')
      .replaceAll('$__rate_interval', '10s')
      .replaceAll('$__range', '5m')
      .replaceAll('$instance', '.*')
      .replaceAll('$device', '.*')
    const samples = await monitoring.queryRange(filled, 60)
    const hasData = samples.some(({ values }) => values.some(Number.isFinite))
    if (!hasData) empty.push(`${title} (${refId}): ${filled}`)
  }
  assert.deepEqual(empty, [])
})

test('The panels show what the counters say, to within a scrape interval', async () => {
  const panel = queriesOf(readDashboard()).find(({ title }) =>
    title.startsWith('Refusals by reason, in'),
  )
  assert.ok(panel)
  const filled = panel.expr.replaceAll('$__range', '5m').replaceAll('$instance', '.*')
  const shown = await monitoring.query(filled)
  const expected = new Map<string, number>()
  for (const [key, count] of Object.entries(SCRIPT)) {
    const [outcome, , reason = ''] = key.split(' ')
    if (outcome === 'deny') expected.set(reason, count)
  }
  for (const [reason, count] of expected) {
    const [value = 0] = shown.find(({ labels }) => labels['reason'] === reason)?.values ?? []
    // increase() extrapolates to both ends of its range, at most by half an interval.
    assert.ok(Math.abs(value - count) <= count * 0.1 + 1, `${reason}: ${value}, not ${count}`)
  }
  assert.equal(shown.length, expected.size)
})

test('certlatch status shows the same', async () => {
  const { code, stdout } = await runCommand(certlatch.environment, 'status', '--json')
  assert.equal(code, 0)
  const told = JSON.parse(stdout)
  const reasons = new Map<string, number>()
  for (const [key, count] of await counted()) {
    const [outcome, , reason = ''] = key.split(' ')
    if (outcome === 'deny' && count > 0) reasons.set(reason, (reasons.get(reason) ?? 0) + count)
  }
  assert.deepEqual(
    new Map(
      told.lastHour.reasons.map((entry: { reason: string; count: number }) => [
        entry.reason,
        entry.count,
      ]),
    ),
    reasons,
  )
})

test('Home Assistant is told what is wrong, in words that say what to do', async () => {
  const { revocationList } = paths()
  writeFileSync(revocationList, 'no CRL')
  const provoked = [
    'CertlatchHeadersForged',
    'CertlatchPortReached',
    'CertlatchManyStrangers',
    'CertlatchDeviceCertificateEndsSoon',
    'CertlatchDeviceCertificateEnds',
    'CertlatchDeviceLivesOnItsCookie',
    'CertlatchReloadFailed',
  ]
  const toldNames = () => new Set(monitoring.told.map(({ labels }) => labels['alertname']))
  await until(
    'each alert has arrived',
    () => provoked.every((name) => toldNames().has(name)),
    20_000,
  ).catch(async (error) => {
    const firing = [...(await monitoring.firing())]
    assert.fail(`${error.message}; firing ${firing.join()}; told ${[...toldNames()].join()}`)
  })
  const { told } = monitoring
  const cookieOnly = told.find(
    ({ labels }) => labels['alertname'] === 'CertlatchDeviceLivesOnItsCookie',
  )
  assert.match(String(cookieOnly?.annotations['summary']), /^Ada's phone 📱 has not shown/)
  for (const { annotations } of told) {
    assert.ok(annotations['summary'])
    assert.ok(annotations['runbook'])
  }
  const quiet = ['CertlatchDown', 'CertlatchNotReady', 'CertlatchBug', 'CertlatchReplicasDisagree']
  for (const name of quiet) {
    const wrongly = told.filter(({ labels }) => labels['alertname'] === name)
    assert.deepEqual(wrongly, [])
  }
})

test('Home Assistant is told if certlatch is gone, too', async () => {
  await certlatch.close()
  await until(
    'CertlatchDown has arrived',
    () => monitoring.told.some(({ labels }) => labels['alertname'] === 'CertlatchDown'),
    20_000,
  )
})
