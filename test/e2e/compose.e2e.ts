import assert from 'node:assert/strict'
import { once } from 'node:events'
import { access, appendFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { processEnvironment } from '../../src/config/load.ts'
import { makeServerCertificate } from '../support/server-certificate.ts'
import type { Arrived } from './compose-home-assistant.ts'
import {
  type Check,
  DOMAIN,
  type Project,
  prepareProject,
  REPOSITORY,
  succeed,
  until,
} from './compose-project.ts'
import type { Credential } from './support/pki.ts'

const skip = processEnvironment()['CERTLATCH_E2E_SKIP_COMPOSE'] === '1'

/** What a visitor shows; PEM, and the pair of the Cookie header. */
interface Shown {
  readonly certificate?: string
  readonly key?: string
  readonly cookie?: string
  readonly accept?: string
}

interface Answer {
  readonly status: number | undefined
  /** `name=value` of each cookie that was set. */
  readonly cookies: readonly string[]
  readonly refused: boolean
  readonly body: string
}

/** The findings of `certlatch doctor --json`, except for this test's certificate, which expires soon. */
const wrongOf = (checks: readonly Check[]) =>
  checks.filter(
    ({ name, result }) =>
      name !== 'server-certificate' && (result === 'failed' || result === 'warning'),
  )

describe('Docker compose, as shipped', { skip, timeout: 600_000 }, () => {
  let project: Project
  let port: number
  let device: Credential
  let cookie: string

  const connection = (shown: Shown) => ({
    host: '127.0.0.1',
    port,
    servername: DOMAIN,
    ca: project.serverAuthority,
    agent: false,
    cert: shown.certificate,
    key: shown.key,
    headers: {
      Host: DOMAIN,
      ...(shown.cookie !== undefined && { Cookie: shown.cookie }),
      ...(shown.accept !== undefined && { Accept: shown.accept }),
    },
  })

  async function visit(shown: Shown, path = '/lovelace'): Promise<Answer> {
    const sent = request({ ...connection(shown), path }).end()
    const [response] = await once(sent, 'response')
    const lines: readonly string[] = response.headers['set-cookie'] ?? []
    return {
      status: response.statusCode,
      cookies: lines.map((line) => line.split(';')[0] ?? ''),
      refused: response.headers['x-certlatch'] === 'refused',
      body: await text(response),
    }
  }

  /** The status of the upgrade, and what came back for `hello`. */
  function openWebSocket(shown: Shown): Promise<{ status: number | undefined; echo?: string }> {
    return new Promise((resolve, reject) => {
      const { headers, ...options } = connection(shown)
      const socket = new WebSocket(`wss://127.0.0.1:${port}/api/websocket`, { ...options, headers })
      socket.on('open', () => socket.send('hello'))
      socket.on('message', (message) => {
        socket.close()
        resolve({ status: 101, echo: message.toString() })
      })
      socket.on('unexpected-response', (_, { statusCode }) => resolve({ status: statusCode }))
      socket.on('error', reject)
    })
  }

  async function start(): Promise<void> {
    await project.up()
    port = await project.port()
  }

  before(async () => {
    project = await prepareProject()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => void project.end().finally(() => process.exit(1)))
    }
    await start()
    device = await project.addDevice("Ada's phone 📱")
  })

  after(async () => {
    await project?.end()
  })

  it('comes up healthy on empty volumes, with nothing edited but .env', async () => {
    const lines = (await project.compose('ps', '--format', 'json')).trim().split('\n')
    const services = lines.map((line) => JSON.parse(line))
    assert.deepEqual(services.map(({ Service, Health }) => `${Service} ${Health}`).sort(), [
      'certlatch healthy',
      'homeassistant healthy',
      'prometheus healthy',
      'proxy healthy',
    ])
  })

  it('is monitored by Prometheus, on its own network', async () => {
    const query = ['promtool', 'query', 'instant', 'http://127.0.0.1:9090', 'up{job="certlatch"}']
    const asked = () => project.compose('exec', '-T', 'prometheus', ...query)
    await until(async () => / => 1 @/.test(await asked()), 'Prometheus has asked certlatch')
    const metrics = (network: string) =>
      project.runInImage(
        `certlatch-e2e_${network}`,
        `const signal = AbortSignal.timeout(2000)
         const asked = fetch('http://10.157.93.3:9181/metrics', { signal })
         console.log(await asked.then(({ status }) => status, () => 'out of reach'))`,
      )
    assert.equal((await metrics('watch')).trim(), '200')
    for (const network of ['gate', 'home', 'graphs']) {
      assert.equal((await metrics(network)).trim(), 'out of reach', network)
    }
  })

  it('passes certlatch doctor, run in its own container', async () => {
    const checks = await project.doctor()
    assert.deepEqual(wrongOf(checks), [])
    assert.equal(checks.find(({ name }) => name === 'revoked')?.result, 'ok')
  })

  it('refuses a client without a certificate', async () => {
    const answer = await visit({})
    assert.deepEqual([answer.status, answer.refused, answer.cookies], [403, true, []])
    assert.equal((await openWebSocket({})).status, 403)
  })

  it("words a refused page for Home Assistant's apps and for Safari", async () => {
    const { status, body } = await visit({ accept: 'text/html' })
    assert.equal(status, 400)
    assert.match(body, /client certificate/)
  })

  it('lets a webhook reach Home Assistant without a certificate, but nothing next to it', async () => {
    const { status, cookies } = await visit({}, '/api/webhook/0123456789abcdef')
    assert.deepEqual([status, cookies], [200, []])
    assert.equal((await visit({}, '/api/states')).status, 403)
    assert.equal((await visit({}, '/api/webhook/..%2Fstates')).status, 403)
  })

  it('accepts a certificate and answers with one cookie', async () => {
    // The service sees a new device within a second.
    await until(async () => (await visit(device)).status === 200, 'the device is known')
    const answer = await visit(device)
    assert.equal(answer.status, 200)
    assert.equal(answer.cookies.length, 1)
    cookie = answer.cookies[0] ?? ''
    assert.match(cookie, /^__Host-certlatch=v1\./)
  })

  it('lets Home Assistant see the name, but neither certificate nor cookie', async () => {
    const { body } = await visit({ ...device, cookie: `${cookie}; theme=dark` })
    const { headers }: Arrived = JSON.parse(body)
    const name = Buffer.from(String(headers['remote-user']), 'latin1').toString('utf8')
    assert.equal(name, "Ada's phone 📱")
    assert.equal(headers.cookie, 'theme=dark')
    assert.ok(!body.includes('tls-client-cert'), body)
  })

  it('accepts the cookie alone, for page and WebSocket', async () => {
    assert.equal((await visit({ cookie })).status, 200)
    assert.deepEqual(await openWebSocket({ cookie }), { status: 101, echo: 'hello' })
  })

  it('refuses a certificate of another CA, even with a good cookie', async () => {
    const stranger = makeServerCertificate('stranger', Math.floor(Date.now() / 1000))
    assert.equal((await visit({ ...stranger, cookie })).status, 403)
  })

  it("publishes only port 443, which is Traefik's", async () => {
    const published = async (service: string) => {
      const id = await project.container(service)
      const format = '{{ range $port, $_ := .HostConfig.PortBindings }}{{ $port }} {{ end }}'
      return (await succeed('docker', 'inspect', '--format', format, id)).trim()
    }
    const services = ['proxy', 'certlatch', 'homeassistant', 'prometheus']
    assert.deepEqual(await Promise.all(services.map(published)), ['443/tcp', '', '', ''])
    await assert.rejects(connectTo(9180), { code: 'ECONNREFUSED' })
    await assert.rejects(connectTo(8123), { code: 'ECONNREFUSED' })
  })

  it('keeps certlatch unreachable from Home Assistant', async () => {
    const reach = (host: string, toPort: number) =>
      project.tryCompose(
        ...['exec', '-T', 'homeassistant', 'node', '--eval'],
        `const s = require('node:net').connect(${toPort}, '${host}')
         s.setTimeout(2000, () => s.destroy(new Error('silence')))
         s.on('connect', () => process.exit(0)).on('error', () => process.exit(7))`,
      )
    const address = await addressOf('certlatch', 'gate')
    assert.match(address, /^10\./)
    assert.equal((await reach('certlatch', 9180)).code, 7)
    assert.equal((await reach(address, 9180)).code, 7)
    // The same request where it is allowed, to show that the way of sending it works.
    assert.equal((await reach('proxy', 443)).code, 0)
  })

  it('trusts only Traefik, not another container on the same network', async () => {
    const header = device.certificate.replace(/-----[^-]+-----|\s/g, '')
    const question = `
      const headers = {
        'X-Forwarded-Tls-Client-Cert': '${header}',
        'X-Forwarded-Method': 'GET',
        'X-Forwarded-Proto': 'https',
        'X-Forwarded-Host': '${DOMAIN}',
        'X-Forwarded-Uri': '/',
        'X-Forwarded-For': '192.0.2.1',
      }
      console.log((await fetch('http://${await addressOf('certlatch', 'gate')}:9180/verify', { headers })).status)`
    const proxy = `container:${await project.container('proxy')}`
    assert.equal((await project.runInImage(proxy, question)).trim(), '200')
    assert.equal((await project.runInImage('certlatch-e2e_gate', question)).trim(), '403')
  })

  it('gives Traefik only the public files, read-only', async () => {
    const exec = (...command: readonly string[]) =>
      project.tryCompose('exec', '-T', 'proxy', ...command)
    const { stdout } = await exec('ls', '/certlatch')
    assert.deepEqual(stdout.trim().split('\n'), ['ca.crl', 'ca.crt'])
    assert.notEqual((await exec('touch', '/certlatch/x')).code, 0)
    const format = '{{ range .Mounts }}{{ .Name }} {{ end }}'
    const id = await project.container('proxy')
    const mounts = (await succeed('docker', 'inspect', '--format', format, id)).split(/\s+/)
    assert.ok(mounts.includes('certlatch-e2e_public'))
    assert.ok(!mounts.includes('certlatch-e2e_private'))
  })

  for (const service of ['certlatch', 'proxy']) {
    it(`runs ${service} without privileges on a read-only file system`, async () => {
      const exec = (...command: readonly string[]) =>
        project.tryCompose('exec', '-T', service, ...command)
      const status = (await exec('cat', '/proc/1/status')).stdout
      assert.match(status, /^NoNewPrivs:\s+1$/m)
      assert.match(status, /^CapEff:\s+0+$/m)
      assert.match(status, /^CapBnd:\s+0+$/m)
      if (service === 'certlatch') {
        assert.match(status, /^Name:\s+(node|MainThread|node-MainThread)$/m)
        assert.match(status, /^Uid:\s+10001\s/m)
        assert.match(status, /^Gid:\s+10001\s/m)
      }
      for (const path of ['/x', '/usr/local/bin/x', '/tmp/x']) {
        const touched = await exec('touch', path)
        assert.match(touched.stderr, /Read-only file system/)
      }
    })
  }

  it('has the command on the path, for docker compose exec', async () => {
    const help = await project.compose('exec', '-T', 'certlatch', 'certlatch', '--help')
    assert.match(help, /^Usage: certlatch /)
  })

  it('has nothing in the image except what production needs', async () => {
    const list = (path: string) => project.compose('exec', '-T', 'certlatch', 'ls', path)
    assert.deepEqual((await list('/app')).trim().split('\n'), [
      'dist',
      'node_modules',
      'package.json',
    ])
    assert.equal((await list('/app/dist')).trim(), 'src')
    const modules = (await list('/app/node_modules')).trim().split('\n')
    assert.ok(modules.includes('koa'))
    for (const name of ['typescript', 'ws', 'fast-check']) assert.ok(!modules.includes(name), name)
  })

  it('keeps its keys across a restart, so that the cookie stays valid', async () => {
    await project.compose('restart', 'certlatch')
    await until(async () => (await visit({ cookie })).status === 200, 'certlatch answers again')
    assert.equal((await visit({})).status, 403)
  })

  it('stops cleanly on SIGTERM, within seconds', async () => {
    const id = await project.container('certlatch')
    const began = Date.now()
    await project.compose('stop', 'certlatch')
    const seconds = (Date.now() - began) / 1000
    const format = '{{ .State.ExitCode }}'
    assert.equal((await succeed('docker', 'inspect', '--format', format, id)).trim(), '0')
    assert.ok(seconds < 8, `${seconds} s`)
    // No connection opens now; until Traefik's system notices that the address is gone, nothing
    // answers.
    const answer = await Promise.race([visit({ cookie }), setTimeout(4_000, undefined)])
    assert.ok(answer === undefined || answer.status === 500)
  })

  it('comes back after down with its CA, its devices and the old cookie', async () => {
    const configuration = join(project.homeAssistantConfig, 'configuration.yaml')
    await appendFile(configuration, '# my own line\n')
    const began = Date.now()
    await project.compose('down')
    assert.ok(Date.now() - began < 20_000)
    await start()
    assert.equal((await visit({ cookie })).status, 200)
    assert.equal((await visit(device)).status, 200)
    assert.match(await readFile(configuration, 'utf8'), /# my own line\n$/)
    await access(join(project.homeAssistantConfig, 'automations.yaml'))
  })

  it('copies a package out of the container with the two lines that device add prints', async () => {
    const add = ['certlatch', 'device', 'add', "Grace's tablet", '--owner', 'Grace']
    const said = await project.compose('exec', '-T', 'certlatch', ...add)
    const [, place = ''] = /^docker compose cp certlatch:(\S+) \.$/m.exec(said) ?? []
    assert.match(place, /^\/data\/private\/packages\/[a-z0-9-]+\.p12$/, said)
    assert.match(said, new RegExp(`^docker compose exec certlatch rm ${place}$`, 'm'))
    const copy = join(project.homeAssistantConfig, 'package.p12')
    await project.compose('cp', `certlatch:${place}`, copy)
    assert.ok((await readFile(copy)).length > 0)
    await project.compose('exec', '-T', 'certlatch', 'rm', place)
  })

  it('refuses a revoked device from its next request on', async () => {
    const revoke = ['certlatch', 'device', 'revoke', "Ada's phone 📱"]
    const said = await project.compose('exec', '-T', 'certlatch', ...revoke)
    assert.match(said, /confirmed by 1 service/)
    assert.equal((await visit({ cookie })).status, 403)
    assert.equal((await visit(device)).status, 403)
  })

  it('is backed up and restored by the commands in docs/operations.md', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'certlatch-backup-'))
    const page = await readFile(join(REPOSITORY, 'docs/operations.md'), 'utf8')
    const lines = [...page.matchAll(/^docker compose .*certlatch-backup\.tar/gm)].map(String)
    assert.equal(lines.length, 2)
    const [backUp = '', restore = ''] = lines
    const before = await project.addDevice('A lamp')
    await until(async () => (await visit(before)).status === 200, 'the device is known')
    await project.shell(`cd ${folder}; ${backUp}`)
    await project.compose('down', '--volumes')
    await project.shell(`cd ${folder}; ${restore}`)
    await start()
    assert.equal((await visit(before)).status, 200)
    assert.equal((await visit(device)).status, 403)
    await rm(folder, { recursive: true })
  })

  it('closes open WebSockets within seconds when Traefik is restarted', async () => {
    const other = await project.addDevice('A display')
    await until(async () => (await visit(other)).status === 200, 'the device is known')
    const { headers, ...options } = connection(other)
    const socket = new WebSocket(`wss://127.0.0.1:${port}/api/websocket`, { ...options, headers })
    await once(socket, 'open')
    const closed = once(socket, 'close')
    await project.compose('restart', 'proxy')
    await Promise.race([closed, setTimeout(5_000).then(() => assert.fail('it is still open'))])
  })

  it('requests no server certificate when a file provides one', async () => {
    const log = await project.compose('logs', '--no-log-prefix', 'proxy')
    assert.doesNotMatch(log, /acme|ERR/i)
  })

  it('accepts the same devices and cookies with Caddy in place of Traefik', async () => {
    // A restart has changed Traefik's port.
    await start()
    const other = await project.addDevice('A tablet')
    await until(async () => (await visit(other)).status === 200, 'the device is known')
    const [cookieOfTraefik = ''] = (await visit(other)).cookies
    await project.edit({ CERTLATCH_PROXY: 'caddy' })
    await start()
    const answer = await visit(other)
    assert.equal(answer.status, 200)
    const shown = { cookie: cookieOfTraefik }
    assert.equal((await visit(shown)).status, 200)
    assert.deepEqual(await openWebSocket(shown), { status: 101, echo: 'hello' })
    const { headers } = JSON.parse((await visit(other)).body) as Arrived
    assert.equal(headers['x-certlatch-device'], 'A tablet')
    assert.equal((await visit({})).status, 403)
  })

  it('leaves nothing of Traefik running then, and certlatch doctor finds all in order', async () => {
    const images = (await project.compose('ps', '--all', '--format', '{{ .Image }}')).split('\n')
    assert.ok(images.some((image) => image.startsWith('caddy:')))
    assert.ok(!images.some((image) => image.startsWith('traefik:')))
    assert.deepEqual(wrongOf(await project.doctor()), [])
  })

  it('runs neither Prometheus nor Grafana without their profile', async () => {
    await project.compose('down', '--timeout', '5')
    await project.edit({ COMPOSE_PROFILES: undefined })
    await start()
    const services = (await project.compose('ps', '--all', '--services')).trim().split('\n')
    assert.deepEqual(services.sort(), ['certlatch', 'homeassistant', 'proxy'])
    assert.equal((await visit({})).status, 403)
  })

  async function addressOf(service: string, network: string): Promise<string> {
    const format = `{{ (index .NetworkSettings.Networks "certlatch-e2e_${network}").IPAddress }}`
    const id = await project.container(service)
    return (await succeed('docker', 'inspect', '--format', format, id)).trim()
  }
})

async function connectTo(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
}
