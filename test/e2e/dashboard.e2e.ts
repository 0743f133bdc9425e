/** A household lives behind a real gate, and Grafana's own components draw the dashboard of it. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { dataPaths } from '../../src/store/data-directory.ts'
import { dashboardText, type Panel, readDashboard } from '../support/dashboard.ts'
import { freePort } from '../support/free-port.ts'
import { dataFolder, runCommand, startCertlatch } from './support/certlatch.ts'
import { HOST } from './support/client.ts'
import { type Gate, type Request, startGate, startWorld, type World } from './support/gate.ts'
import { openSession, sendTimes } from './support/gate-requests.ts'
import {
  type Cut,
  type Drawn,
  type Grafana,
  grafanaMissing,
  startGrafana,
  type Variant,
} from './support/grafana/rendered.ts'
import { type Monitoring, startMonitoring } from './support/monitoring.ts'
import type { Credential } from './support/pki.ts'
import { CADDY } from './support/proxies.ts'
import { issueUntil } from './support/registered.ts'
import { pause, until } from './support/tools.ts'

const DAY = 86_400
const nowSeconds = () => Math.floor(Date.now() / 1000)

const VARIANTS: readonly Variant[] = [
  { width: 1600, theme: 'light' },
  { width: 1600, theme: 'dark' },
  { width: 1280, theme: 'light' },
  { width: 390, theme: 'light' },
  { width: 390, theme: 'dark' },
]

describe("the dashboard, drawn by Grafana's own components", { skip: grafanaMissing() }, () => {
  let world: World
  let gate: Gate
  let monitoring: Monitoring
  let grafana: Grafana
  const ended: (() => Promise<void>)[] = []
  let from = 0
  let to = 0

  before(async () => {
    const adminPort = await freePort()
    const settings = {
      CERTLATCH_LISTEN: `127.0.0.1:${await freePort()}`,
      CERTLATCH_PAGES_LISTEN: `127.0.0.1:${await freePort()}`,
      CERTLATCH_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
      // Short enough for a device to live on its cookie alone within the run.
      CERTLATCH_SESSION_TTL: '60s',
      CERTLATCH_SESSION_MAX_AGE: '75s',
    }
    world = await startWorld(CADDY, 'own', settings)
    ended.unshift(() => world.close())
    gate = await startGate(world)
    ended.unshift(() => gate.close())
    from = nowSeconds() - 5
    monitoring = await startMonitoring(world.folder, adminPort)
    ended.unshift(() => monitoring.close())
    await live(async () => {
      await world.certlatch.close()
      const restarted = await startCertlatch(world.folder, 'caddy', undefined, settings)
      ended.unshift(() => restarted.close())
    })
    to = nowSeconds()
    grafana = await startGrafana(monitoring.address, 1)
    ended.unshift(() => grafana.close())
  })

  after(async () => {
    for (const end of ended) await end()
  })

  const send = (times: number, status: number, request: Request) =>
    sendTimes(gate, times, status, request)
  const open = (credential: Credential) => openSession(gate, credential)

  async function run(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runCommand(world.certlatch.environment, ...args)
    assert.equal(code, 0, stderr)
    return stdout
  }

  const post = (path: string, fields: object) =>
    gate.send({
      method: 'POST',
      path: `/.certlatch/auth/enroll${path}`,
      headers: [
        ['Origin', `https://${HOST}`],
        ['Sec-Fetch-Site', 'same-origin'],
        ['Content-Type', 'application/json'],
      ],
      body: Buffer.from(JSON.stringify(fields)),
    })

  async function invite(name: string): Promise<string> {
    const told = await run('device', 'invite', name, '--url', `https://${HOST}`, '--json')
    return JSON.parse(told).invitation.code
  }

  /** A minute of a household's life: what it does, and what is done to it. */
  async function live(restart: () => Promise<void>): Promise<void> {
    const issue = (days: number, name?: string) =>
      issueUntil(world.folder, nowSeconds() + Math.round(days * DAY), name)
    const ada = await issue(900, "Ada's phone 📱")
    const kitchen = await issue(12.4, 'Kitchen tablet')
    const laptop = await issue(340, "Grace's laptop")
    const lost = await issue(600, 'Lost phone')
    const old = await issue(-2, 'Old television in the guest room')
    const car = await issue(2.2, 'Car')
    const unknown = await issue(1)
    await until('the devices are known', async () => {
      const [sample] = await monitoring.query('certlatch_devices{state="active"}')
      return (sample?.values[0] ?? 0) >= 5
    })
    const cookie = await open(ada)
    const cookieOfCar = await open(car)
    /** What goes on all the time. */
    const seconds = async (count: number, more: () => Promise<unknown> = async () => undefined) => {
      for (let second = 0; second < count; second += 1) {
        const started = Date.now()
        await send(4 + (second % 5), 200, { cookie })
        await send(1, 200, { cookie: cookieOfCar })
        if (second % 3 === 0) await send(2, 200, { credential: laptop })
        if (second % 4 === 0) await send(1, 200, { credential: kitchen })
        if (second % 4 === 2) await send(1, 200, { credential: ada })
        await more()
        await pause(Math.max(0, started + 1000 - Date.now()))
      }
    }
    await seconds(6)
    await seconds(4, () => send(12, 403, {}))
    const cookieOfLost = await open(lost)
    await seconds(3, () => send(2, 200, { credential: lost }))
    await run('device', 'revoke', 'Lost phone')
    await seconds(4, async () => {
      await send(2, 403, { credential: lost })
      await send(1, 403, { cookie: cookieOfLost })
    })
    const code = await invite("Grace's phone")
    assert.equal((await post('/look', { code })).status, 200)
    assert.equal((await post('', { code, nonce: 'one' })).status, 200)
    assert.equal((await post('', { code, nonce: 'two' })).status, 409)
    await invite('Doorbell')
    await seconds(3, () => post('/look', { code: 'abcdefghjkmnpqrstuvw' }))
    await seconds(4, async () => {
      await send(1, 403, { credential: old })
      await send(1, 403, { credential: unknown })
    })
    await seconds(3, async () => {
      await send(1, 403, { headers: [['Remote~User', 'admin']] })
      await send(2, 403, { cookie: '__Host-certlatch=v1.e30.e30' })
    })
    await restart()
    await seconds(6, () => send(1, 403, {}))
    await run('key', 'rotate')
    writeFileSync(dataPaths(dataFolder(world.folder)).revocationList, 'no CRL')
    await seconds(6, () => send(1, 403, {}))
  }

  /** What has more rows than there is room for is scrolled, on a phone. */
  const LISTS = ['Firing alerts', 'Last seen, and by what', 'What to do']

  for (const variant of VARIANTS) {
    const { width, theme } = variant
    describe(`${width} pixels wide, ${theme}`, () => {
      let drawn: Drawn
      before(async () => {
        const name = `dashboard-${width}-${theme}`
        drawn = await grafana.draw(dashboardText(), name, variant, { from, to })
        assert.equal(drawn.failed, undefined)
      })

      test('every panel is drawn without an error, and with data', () => {
        assert.deepEqual(drawn.errors, [])
        assert.deepEqual(drawn.empty, [])
        assert.deepEqual(drawn.complaints, [])
        const titles = panels.map(({ title }) => title)
        assert.deepEqual(Object.keys(drawn.texts).sort(), titles.sort())
      })

      test('no text is cut', () => {
        const isScrolled = ({ by, panel }: Cut) =>
          width < 600 && by === 'scrolled' && LISTS.includes(panel)
        assert.deepEqual(
          drawn.cut.filter((cut) => !isScrolled(cut)),
          [],
        )
      })

      test('the panels tell what has happened, in words that a person understands', () => {
        for (const [title, ...lines] of TOLD) {
          const shown = drawn.texts[title]?.split('\n') ?? []
          for (const line of lines) {
            const isShown = shown.some((it) =>
              typeof line === 'string' ? it === line : line.test(it),
            )
            assert.ok(isShown, `${title} has no ${line}: ${shown.join(' | ')}`)
          }
        }
      })

      test('what has changed is marked in time', () => {
        const counts = new Map(drawn.events.map(({ name, count }) => [name, count]))
        assert.equal(counts.get('Starts'), 2)
        assert.equal(counts.get('Revocations'), 1)
        assert.equal(counts.get('Refused files'), 1)
        assert.ok((counts.get('Reloads') ?? 0) >= 2)
      })
    })
  }

  test('what is wrong on a dashboard is found', async () => {
    const spoiled = panels.map((panel) => {
      if (panel.title === 'CPU') return withQuery(panel, 'rate(process_cpu_seconds_total')
      if (panel.title === 'Memory') return withQuery(panel, 'process_virtual_memory_of_none')
      const { legend } = panel.options ?? {}
      const table = { ...(legend as object), displayMode: 'table', calcs: ['max'] }
      return legend ? { ...panel, options: { ...panel.options, legend: table } } : panel
    })
    const text = JSON.stringify({ ...readDashboard(), panels: spoiled })
    const variant = { width: 1600, theme: 'light' } as const
    const drawn = await grafana.draw(text, 'dashboard-spoiled', variant, { from, to })
    assert.deepEqual(
      drawn.errors.map(([title]) => title),
      ['CPU'],
    )
    assert.deepEqual([...drawn.empty].sort(), ['CPU', 'Memory'])
    assert.ok(drawn.cut.some(({ panel }) => panel === 'Refusals by reason per minute'))
  })
})

const panels = readDashboard().panels.filter(({ type }) => type !== 'row')

const withQuery = (panel: Panel, expr: string): Panel => ({
  ...panel,
  targets: (panel.targets ?? []).map((target) => ({ ...target, expr })),
})

/** Lines that a panel has to show. */
const TOLD: readonly (readonly [title: string, ...lines: (string | RegExp)[]])[] = [
  ['Gate', 'up'],
  ['Next expiry', 'Old television in the guest room', 'expired'],
  [
    'Firing alerts',
    'DeviceCertificateEndsSoon Kitchen tablet',
    'DeviceLivesOnItsCookie Car',
    'HeadersForged header-alias',
    /^ReloadFailed files 127\.0\.0\.1:\d+$/,
    'critical',
    'warning',
  ],
  ['Decisions per minute', 'allowed by certificate', 'allowed by session', 'refused'],
  ['Last seen, and by what', "Grace's laptop", /^00:0[01]:\d\d$/, 'expired', '2 days', '12 days'],
  ['On the cookie alone', 'Car', /^[5-9]\d%$/],
  ['Devices by state', 'active', 'expired', 'invited', 'revoked'],
  ['Invitations, in the time shown', 'waiting', 'collected', 'used', 'unknown', '3'],
  ['Devices that expire next', 'Kitchen tablet', '12 days', "Grace's laptop", '340 days'],
  ['CA and CRL', 'CA', 'CRL', /^36\d\d days$/],
  ['What each instance has loaded', /^127\.0\.0\.1:\d+ \d+\.\d+\.\d+$/, /^[0-9a-f]{6}$/],
  ['Refusals by reason, in the time shown', 'no-credentials', 'certificate-revoked'],
]
