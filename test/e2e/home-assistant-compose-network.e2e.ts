// Home Assistant where it can find devices, or where it runs already: the shipped docker-compose.yml with
// Home Assistant on the host network, and with one on another machine. Each is a line in .env.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { processEnvironment } from '../../src/config/load.ts'
import { addDevice, isOpen, onboard, startProject, targetOf, trialOf } from './compose-household.ts'
import { type Check, type Project, succeed } from './compose-project.ts'
import type { Target } from './support/client.ts'
import {
  type HomeAssistant,
  homeAssistantMissing,
  type OtherMachine,
  type Person,
  RELEASE,
  RELEASE_WITH_YAML,
  startHomeAssistant,
} from './support/home-assistant.ts'
import { connectAs, httpSettingsOf } from './support/home-assistant-client.ts'
import {
  type HouseholdDevice,
  makeServerFiles,
  type ServerFiles,
  send,
} from './support/home-assistant-household.ts'
import { findProgram, until } from './support/tools.ts'

const skip = processEnvironment()['CERTLATCH_E2E_SKIP_COMPOSE'] === '1' || homeAssistantMissing()

const LAN: OtherMachine & { readonly here: string } = {
  namespace: 'certlatch-e2e',
  address: '198.18.90.2',
  here: '198.18.90.1',
  proxy: '198.18.90.1',
}
const ip = (...args: readonly string[]) => execFileSync(findProgram('ip'), args)
const isAnswered = (host: string, port: number, from?: string) =>
  new Promise<boolean>((resolve) => {
    const socket = connect({ host, port, localAddress: from, timeout: 2_000 })
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('timeout', () => resolve(false))
  })
const answersOf = (checks: readonly Check[]) =>
  Object.fromEntries(checks.map(({ name, result }) => [name, result]))

/** What the doctor has to find with Home Assistant behind the gate. */
function assertInOrder(checks: readonly Check[]): void {
  const wrong = checks.filter(({ result }) => result === 'failed' || result === 'warning')
  assert.deepEqual(wrong, [])
  const { revoked, webhooks, 'rescue-module': rescue, 'trusted-proxy': trusted } = answersOf(checks)
  assert.deepEqual({ revoked, webhooks, rescue, trusted }, ALL_OK)
}
const ALL_OK = { revoked: 'ok', webhooks: 'ok', rescue: 'ok', trusted: 'ok' }

describe('Home Assistant on the host network', { skip, timeout: 900_000 }, () => {
  let folder: string
  let project: Project
  let target: Target
  let device: HouseholdDevice
  let person: Person

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'certlatch-compose-host-'))
    project = await startProject({
      server: makeServerFiles(folder),
      homeAssistant: RELEASE,
      settings: { HOME_ASSISTANT_NETWORK: 'host' },
    })
    target = await targetOf(project)
    device = await addDevice(folder, project, target)
  })
  after(async () => {
    await project?.end()
    await rm(folder, { recursive: true, force: true })
  })

  test('is set up through the gate, and its client library connects', async () => {
    person = await onboard(target, device)
    assert.ok((await connectAs(target, person, { credential: device })).length > 0)
    await assert.rejects(connectAs(target, person, {}), /cannot connect/)
  })

  test('certlatch doctor finds all in order', async () => {
    assertInOrder(await project.doctor())
  })

  test('it listens for devices at home', async () => {
    const mdns = /^ *\d+: [0-9A-F]{8}:14E9 /m
    assert.match(await readFile('/proc/net/udp', 'utf8'), mdns)
    const id = await project.container('homeassistant')
    const mode = await succeed('docker', 'inspect', '--format', '{{ .HostConfig.NetworkMode }}', id)
    assert.equal(mode.trim(), 'host')
  })

  test("its page is served at the bridge's gateway address alone", async () => {
    const listening = (await readFile('/proc/net/tcp', 'utf8'))
      .concat(await readFile('/proc/net/tcp6', 'utf8'))
      .split('\n')
      .filter((line) => /^ *\d+: [0-9A-F]+:1FBB \S+ 0A /.test(line))
    // 10.157.91.1:8123, as the kernel writes it.
    assert.deepEqual(
      listening.map((line) => line.trim().split(/\s+/)[1]),
      ['015B9D0A:1FBB'],
    )
    assert.equal(await isAnswered('127.0.0.1', 8123), false)
  })

  test('the setting is confirmed, so that nothing undoes it', async () => {
    const { stable } = await httpSettingsOf(target, person, { credential: device })
    assert.deepEqual(stable.server_host, ['10.157.91.1'])
    const { pending, revertAt, proxies } = await trialOf(target, person, device)
    assert.deepEqual([pending, revertAt, proxies], [null, null, ['10.157.91.2/32']])
  })

  test('it can neither listen in on the networks here nor speak for the proxy', async () => {
    const status = await project.compose('exec', '-T', 'homeassistant', 'cat', '/proc/1/status')
    const effective = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)$/m.exec(status)?.[1]}`)
    const NET_ADMIN = 12n
    const NET_RAW = 13n
    assert.equal(effective & ((1n << NET_ADMIN) | (1n << NET_RAW)), 0n)
    const ask = `import urllib.request as r
try: print(r.urlopen(r.Request('http://10.157.90.3:9180/verify', headers={'X-Forwarded-Method': 'GET',
  'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'home.example', 'X-Forwarded-Uri': '/'})).status)
except r.HTTPError as e: print(e.code, e.headers['X-Certlatch'])`
    const said = await project.compose('exec', '-T', 'homeassistant', 'python3', '-c', ask)
    assert.equal(said.trim(), '403 refused')
    const log = await project.compose('logs', '--no-log-prefix', 'certlatch')
    assert.match(log, /"untrusted-proxy".*"client":"10\.157\.90\.(?![23]")/)
  })

  test('where the address is not there yet it does not start, rather than listen everywhere', async () => {
    const trust = ['python3', '/first-start/trust-proxy.py', '/config', '10.157.91.2', '192.0.2.99']
    const run = ['run', '--rm', '--no-deps', '-T', '--entrypoint', '', 'homeassistant']
    const { code, stderr } = await project.tryCompose(...run, ...trust)
    assert.equal(code, 1)
    assert.match(stderr, /cannot listen at 192\.0\.2\.99:8123/)
  })

  test('back on the bridge the same phone gets in, and back on the host again', async () => {
    for (const network of [undefined, 'host']) {
      await project.edit({ HOME_ASSISTANT_NETWORK: network })
      await project.up()
      target = await targetOf(project)
      await until('the phone gets in', () => isOpen(target, device), 60_000)
      assert.ok((await connectAs(target, person, { credential: device })).length > 0)
      const { stable } = await httpSettingsOf(target, person, { credential: device })
      assert.deepEqual(stable.server_host, network && ['10.157.91.1'])
    }
  })

  test('with Caddy as well', async () => {
    await project.edit({ CERTLATCH_PROXY: 'caddy' })
    await project.up()
    target = await targetOf(project)
    await until('the phone gets in', () => isOpen(target, device), 60_000)
    assertInOrder(await project.doctor())
  })

  test('a release that takes no setting but from configuration.yaml is not started', async () => {
    await project.pullHomeAssistant(RELEASE_WITH_YAML)
    await project.compose('up', '--detach', '--no-deps', 'homeassistant')
    const log = () => project.compose('logs', '--no-log-prefix', 'homeassistant')
    await until('it says why', async () => (await log()).includes('has to be 2026.8 or newer'))
    assert.equal(await isAnswered('10.157.91.1', 8123), false)
    assert.equal(await isAnswered('127.0.0.1', 8123), false)
  })
})

describe('Home Assistant on another machine', { skip, timeout: 900_000 }, () => {
  let folder: string
  let server: ServerFiles
  let project: Project
  let homeAssistant: HomeAssistant
  let target: Target
  let device: HouseholdDevice

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'certlatch-compose-elsewhere-'))
    server = makeServerFiles(folder)
    connectMachine()
    homeAssistant = await startHomeAssistant(join(folder, 'elsewhere'), {
      machine: LAN,
      extraModule: '/.certlatch/auth/rescue.js',
    })
    await homeAssistant.onboard()
    project = await startProject({
      server,
      // For the test that takes the line below out again.
      homeAssistant: RELEASE,
      settings: { HOME_ASSISTANT_URL: `http://${LAN.address}:${homeAssistant.port}` },
    })
    target = await targetOf(project)
    device = await addDevice(folder, project, target)
  })
  after(async () => {
    await project?.end()
    await homeAssistant?.close()
    disconnectMachine()
    await rm(folder, { recursive: true, force: true })
  })

  test('is what a device with a certificate gets, and a webhook', async () => {
    assert.equal((await send(target, { credential: device })).status, 200)
    assert.equal((await send(target)).status, 403)
    const webhook = { method: 'POST', path: '/api/webhook/0123456789abcdef' } as const
    assert.equal((await send(target, webhook)).status, 200)
    assert.doesNotMatch(homeAssistant.log(), /reverse proxy/)
  })

  test('certlatch doctor finds all in order', async () => {
    assertInOrder(await project.doctor())
  })

  test('there is no container of Home Assistant beside it', async () => {
    const services = (await project.compose('ps', '--all', '--services')).trim().split('\n')
    assert.deepEqual(services.sort(), ['certlatch', 'prometheus', 'proxy'])
  })

  test('the container comes with its own when the line is taken out, and goes when it is back', async () => {
    const url = `http://${LAN.address}:${homeAssistant.port}`
    for (const [line, count] of [
      [undefined, 1],
      [url, 0],
    ] as const) {
      await project.edit({ HOME_ASSISTANT_URL: line })
      await project.up()
      const id = await project.container('homeassistant')
      assert.equal(id === '' ? 0 : 1, count)
    }
  })

  test('with Caddy as well', async () => {
    await project.edit({ CERTLATCH_PROXY: 'caddy' })
    await project.up()
    target = await targetOf(project)
    await until('the phone gets in', () => isOpen(target, device), 60_000)
    assertInOrder(await project.doctor())
  })
})

/** A cable to another machine, in a network that is there for measurements only (RFC 2544). */
function connectMachine(): void {
  disconnectMachine()
  const { namespace, address, here } = LAN
  const [near, far] = ['certlatch-e2e-a', 'certlatch-e2e-b']
  ip('netns', 'add', namespace)
  ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', namespace)
  ip('address', 'add', `${here}/30`, 'dev', near)
  ip('link', 'set', near, 'up')
  ip('-n', namespace, 'address', 'add', `${address}/30`, 'dev', far)
  for (const device of [far, 'lo']) ip('-n', namespace, 'link', 'set', device, 'up')
  ip('-n', namespace, 'route', 'add', 'default', 'via', here)
}

function disconnectMachine(): void {
  try {
    ip('netns', 'delete', LAN.namespace)
  } catch {
    // There is none, but after a run that was killed.
  }
}
