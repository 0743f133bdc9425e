import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { processEnvironment } from '../../src/config/load.ts'
import { DOMAIN, type Project, prepareProject, succeed, until } from './compose-project.ts'
import type { Credential } from './support/pki.ts'

const skip = processEnvironment()['CERTLATCH_E2E_SKIP_COMPOSE'] === '1'

interface Shown {
  readonly certificate?: string
  readonly key?: string
  readonly cookie?: string
}

interface Answer {
  readonly status: number | undefined
  readonly cookie: string | undefined
  readonly milliseconds: number
}

describe('Three replicas behind Traefik', { skip, timeout: 600_000 }, () => {
  let project: Project
  let port: number
  let replicas: readonly string[]
  let device: Credential
  let cookie: string

  async function visit({ certificate, key, cookie: shown }: Shown): Promise<Answer> {
    const began = performance.now()
    const sent = request({
      ...{ host: '127.0.0.1', port, servername: DOMAIN, path: '/lovelace' },
      ...{ ca: project.serverAuthority, cert: certificate, key, agent: false },
      headers: { Host: DOMAIN, ...(shown !== undefined && { Cookie: shown }) },
    }).end()
    const [response] = await once(sent, 'response')
    await text(response)
    const lines: readonly string[] = response.headers['set-cookie'] ?? []
    return {
      status: response.statusCode,
      cookie: lines[0]?.split(';')[0],
      milliseconds: performance.now() - began,
    }
  }

  const scale = async (count: number) => {
    await project.up('--scale', `certlatch=${count}`)
    replicas = (await project.container('certlatch')).split(/\s+/)
  }

  async function addressOf(id: string): Promise<string> {
    const format = '{{ (index .NetworkSettings.Networks "certlatch-e2e_replicas").IPAddress }}'
    return (await succeed('docker', 'inspect', '--format', format, id)).trim()
  }

  /** The number of auth requests that a replica has decided. */
  async function decided(id: string): Promise<number> {
    const ask = "console.log(await (await fetch('http://127.0.0.1:9181/metrics')).text())"
    const node = ['node', '--input-type=module', '--eval', ask]
    const metrics = await succeed('docker', 'exec', id, ...node)
    const lines = metrics.matchAll(/^certlatch_decisions_total\{.*\} (\d+)$/gm)
    return [...lines].reduce((sum, [, value]) => sum + Number(value), 0)
  }

  /** Visits with the cookie, one after another in each of eight lanes, until `meanwhile` is over. */
  async function visitWhile(meanwhile: () => Promise<unknown>): Promise<readonly Answer[]> {
    const answers: Answer[] = []
    const state = { over: false }
    const lane = async () => {
      while (!state.over) answers.push(await visit({ cookie }))
    }
    const lanes = Array.from({ length: 8 }, lane)
    await meanwhile().finally(() => {
      state.over = true
    })
    await Promise.all(lanes)
    return answers
  }

  function assertAllOpened(answers: readonly Answer[], withinMilliseconds: number): void {
    assert.ok(answers.length > 100, `${answers.length} answers`)
    const refused = answers.filter(({ status }) => status !== 200)
    assert.deepEqual(refused, [])
    const slowest = Math.max(...answers.map(({ milliseconds }) => milliseconds))
    assert.ok(slowest < withinMilliseconds, `${slowest} ms`)
  }

  before(async () => {
    project = await prepareProject({ shape: 'scale' })
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => void project.end().finally(() => process.exit(1)))
    }
    await project.compose('build')
    await scale(3)
    port = await project.port()
    device = await project.addDevice("Ada's phone")
    // Each service loads the new device in its own time, and Traefik uses them in turn.
    await until(async () => {
      const visits = [await visit(device), await visit(device), await visit(device)]
      cookie = visits[0]?.cookie ?? ''
      return visits.every(({ status }) => status === 200)
    }, 'all three know the device')
  })

  after(async () => {
    await project?.end()
  })

  it('start together on empty volumes, each at an address that Traefik knows', async () => {
    const addresses = await Promise.all(replicas.map(addressOf))
    assert.deepEqual([...addresses].sort(), ['10.157.95.4', '10.157.95.5', '10.157.95.6'])
  })

  it('each accept the cookie that one of them has set', async () => {
    assert.match(cookie, /^__Host-certlatch=v1\./)
    const addresses = await Promise.all(replicas.map(addressOf))
    const question = `
      const headers = {
        'Cookie': '${cookie}',
        'X-Forwarded-Method': 'GET',
        'X-Forwarded-Proto': 'https',
        'X-Forwarded-Host': '${DOMAIN}',
        'X-Forwarded-Uri': '/',
        'X-Forwarded-For': '192.0.2.1',
      }
      for (const address of ${JSON.stringify(addresses)}) {
        console.log((await fetch('http://' + address + ':9180/verify', { headers })).status)
      }`
    const proxy = `container:${await project.container('proxy')}`
    assert.equal((await project.runInImage(proxy, question)).trim(), '200\n200\n200')
    // Another container of the network is not believed.
    const stranger = await project.runInImage('certlatch-e2e_home', question).catch(() => 'silence')
    assert.equal(stranger, 'silence')
  })

  it('take turns', async () => {
    const earlier = await Promise.all(replicas.map(decided))
    for (let count = 0; count < 30; count += 1) {
      assert.equal((await visit({ cookie })).status, 200)
    }
    const later = await Promise.all(replicas.map(decided))
    for (const [index, count] of later.entries()) {
      assert.ok(count - (earlier[index] ?? 0) >= 5, `${earlier} ${later}`)
    }
  })

  it('are each monitored by Prometheus, on their own network', async () => {
    const query = async (expression: string) => {
      const words = ['promtool', 'query', 'instant', 'http://127.0.0.1:9090', expression]
      return (await project.compose('exec', '-T', 'prometheus', ...words)).trim()
    }
    const up = 'count(up{job="certlatch"} == 1)'
    await until(async () => / => 3 @/.test(await query(up)), 'Prometheus has asked all three')
    // The monitoring that reports a missing or differing replica can see them all.
    assert.match(await query('count(certlatch_session_keys_info)'), / => 3 @/)
    assert.match(await query('count(count by (key_set) (certlatch_session_keys_info))'), / => 1 @/)
    const alerts = 'ALERTS{alertname=~"CertlatchDown|CertlatchReplicasDisagree"}'
    assert.equal(await query(alerts), '')
    const ask = `
      const signal = AbortSignal.timeout(2000)
      const asked = fetch('http://10.157.96.4:9181/metrics', { signal })
      console.log(await asked.then(({ status }) => status, () => 'out of reach'))`
    const metrics = async (network: string) =>
      (await project.runInImage(`certlatch-e2e_${network}`, ask)).trim()
    assert.equal(await metrics('home'), 'out of reach')
    assert.equal(await metrics('graphs'), 'out of reach')
  })

  it("learn the client's address, not Traefik's", async () => {
    assert.equal((await visit({})).status, 403)
    const log = await project.compose('logs', '--no-log-prefix', 'certlatch')
    const refusals = log.split('\n').filter((line) => line.includes('"no-credentials"'))
    assert.ok(refusals.length > 0)
    for (const line of refusals) {
      const { client } = JSON.parse(line)
      assert.match(client, /^(?!127\.|10\.157\.95\.)\d/)
    }
  })

  it('lose no request when one of them is killed, nor when it comes back', async () => {
    const [first = ''] = replicas
    const answers = await visitWhile(async () => {
      await setTimeout(1_000)
      await succeed('docker', 'kill', first)
      await setTimeout(4_000)
      await succeed('docker', 'start', first)
      await setTimeout(3_000)
    })
    assertAllOpened(answers, 3_000)
    await scale(3)
  })

  it('lose no request when one of them hangs', async () => {
    const [, second = ''] = replicas
    const answers = await visitWhile(async () => {
      await setTimeout(1_000)
      await succeed('docker', 'pause', second)
      await setTimeout(5_000)
      await succeed('docker', 'unpause', second)
      await setTimeout(1_000)
    })
    assertAllOpened(answers, 7_000)
  })

  it('lose no request when scaled down', async () => {
    assertAllOpened(await visitWhile(() => scale(1)), 3_000)
    assertAllOpened(await visitWhile(() => scale(3)), 3_000)
  })

  it('keep accepting the cookie across a key rotation', async () => {
    const rotate = ['exec', '-T', 'certlatch', 'certlatch', 'key', 'rotate']
    assert.match(await project.compose(...rotate), /confirmed by 3 services/)
    const answers = await visitWhile(() => setTimeout(7_000))
    assertAllOpened(answers, 3_000)
  })

  it('refuse a revoked device, all three from its next request on', async () => {
    const revoke = ['exec', '-T', 'certlatch', 'certlatch', 'device', 'revoke', "Ada's phone"]
    assert.match(await project.compose(...revoke), /confirmed by 3 services/)
    for (let count = 0; count < 12; count += 1) {
      assert.equal((await visit({ cookie })).status, 403)
      assert.equal((await visit(device)).status, 403)
    }
  })
})
