import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { processEnvironment } from '../../src/config/load.ts'
import { codeBlocks } from '../support/markdown.ts'
import { makeServerCertificate } from '../support/server-certificate.ts'
import {
  composeCommand,
  DOMAIN,
  endEngine,
  makeTools,
  REPOSITORY,
  run,
  succeed,
  until,
} from './compose-project.ts'
import { base64Der, type Credential } from './support/pki.ts'
import { findProgram } from './support/tools.ts'

const skip = processEnvironment()['CERTLATCH_E2E_SKIP_COMPOSE'] === '1'

const SHIPPED = join(REPOSITORY, 'deploy/traefik/labels')
/** Projects of their own, so that no certlatch of this machine is touched. */
const GATE = 'certlatch-e2e-labels'
const EXISTING = 'certlatch-e2e-existing'
const OTHER = 'other.example'

/** An application that answers what reached it. */
const ECHO = `require('http').createServer((q, s) => s.end(JSON.stringify(q.headers))).listen(80)`

/** What a person runs already: Traefik, and two applications that it finds by their labels. */
const EXISTING_COMPOSE = `services:
  traefik:
    image: traefik:v3.7
    command:
      - --providers.docker.exposedByDefault=false
      - --providers.docker.network=${EXISTING}_proxy
      - --entrypoints.websecure.address=:443
      - --entrypoints.websecure.http.tls=true
    ports: ["127.0.0.1::443"]
    networks: [proxy]
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock:ro
      - ./certificates:/dynamic/certificates:ro
      - ./certificates.yml:/dynamic/certificates.yml:ro
${['homeassistant', 'other']
  .map(
    (name) => `  ${name}:
    image: node:26-trixie-slim
    init: true
    command: [node, --eval, "${ECHO}"]
    networks: [proxy]
    labels:
      traefik.enable: "true"
      traefik.http.routers.${name}.rule: Host(\`${name === 'other' ? OTHER : DOMAIN}\`)
      traefik.http.routers.${name}.entrypoints: websecure
      traefik.http.services.${name}.loadbalancer.server.port: "80"
`,
  )
  .join('')}networks:
  proxy: {}
`

interface Visit {
  readonly host?: string
  /** The name in the handshake, if that is another one. */
  readonly serverName?: string
  readonly path?: string
  readonly method?: string
  readonly shown?: Credential
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

describe('beside an existing Traefik, by labels', { skip, timeout: 600_000 }, () => {
  let folder: string
  let port: number
  let gate: (...args: readonly string[]) => Promise<string>
  let existing: (...args: readonly string[]) => Promise<string>
  let device: Credential
  const certificates: Record<string, string> = {}

  /** What the application saw, or else only the status. */
  async function visit(given: Visit) {
    const { host = DOMAIN, serverName = host, path = '/', method = 'GET', shown } = given
    return new Promise<{ status: number; cookies: readonly string[]; body: string }>(
      (resolve, reject) => {
        const sent = request({
          ...{ host: '127.0.0.1', port, servername: serverName, ca: certificates[serverName] },
          ...{ path, method, agent: false, cert: shown?.certificate, key: shown?.key },
          headers: {
            Host: host,
            ...(given.body && { 'Content-Length': given.body.length }),
            ...given.headers,
          },
        })
        sent.on('error', reject).on('response', async (answer) => {
          const cookies = answer.headers['set-cookie'] ?? []
          resolve({ status: answer.statusCode ?? 0, cookies, body: await text(answer) })
        })
        // Until Traefik hears of it, it asks a container that is gone, and waits.
        sent.setTimeout(2_000, () => sent.destroy(new Error('silence')))
        sent.end(given.body)
      },
    )
  }

  const statusOf = async (given: Visit) =>
    (await visit(given).catch(() => undefined))?.status ?? 'no answer'

  /** Waits for an answer of Traefik, whose port is another one after each replacement. */
  const answers = (expected: number, given: Visit = {}) =>
    until(
      async () => {
        const published = await existing('port', 'traefik', '443').catch(() => '')
        port = Number(published.trim().split(':').at(-1))
        return (await statusOf(given)) === expected
      },
      `${given.host ?? DOMAIN} answers ${expected}`,
    )

  const up = ['up', '--detach', '--wait', '--wait-timeout', '120'] as const

  before(async () => {
    await makeTools([])
    folder = await mkdtemp(join(tmpdir(), 'certlatch-labels-'))
    const file = (name: string) => join(folder, name)
    const [program, ...first] = await composeCommand()
    const compose = (...project: readonly string[]) => {
      return (...args: readonly string[]) => succeed(program, ...first, ...project, ...args)
    }

    // As README.md says: one line of .env, certlatch.yml beside Traefik's file, and its four blocks.
    const example = await readFile(join(SHIPPED, '.env.example'), 'utf8')
    await writeFile(file('.env'), example.replace('=home.example.org\n', `=${DOMAIN}\n`))
    await writeFile(file('build.yml'), 'services: { certlatch: { build: { network: host } } }\n')
    gate = compose(
      ...['--project-name', GATE, '--project-directory', SHIPPED, '--env-file', file('.env')],
      ...['--file', join(SHIPPED, 'compose.yml'), '--file', file('build.yml')],
    )

    await mkdir(file('certificates'))
    for (const name of [DOMAIN, OTHER]) {
      const { certificate, key } = makeServerCertificate(name, Math.floor(Date.now() / 1000))
      certificates[name] = certificate
      await writeFile(file(`certificates/${name}.crt`), certificate)
      await writeFile(file(`certificates/${name}.key`), key)
    }
    const pairs = [DOMAIN, OTHER].map(
      (name) =>
        `    - { certFile: /dynamic/certificates/${name}.crt, keyFile: /dynamic/certificates/${name}.key }\n`,
    )
    await writeFile(file('certificates.yml'), `tls:\n  certificates:\n${pairs.join('')}`)
    await writeFile(file('compose.yml'), EXISTING_COMPOSE)
    await writeFile(file('certlatch.yml'), await readFile(join(SHIPPED, 'certlatch.yml'), 'utf8'))
    const page = await readFile(join(SHIPPED, 'README.md'), 'utf8')
    // The other one is for a traefik.yml.
    const blocks = codeBlocks(page, 'yaml').filter((block) => block.startsWith('services:'))
    assert.equal(blocks.length, 3)
    const added = blocks.map(async (block, index) => {
      const path = file(`added-${index}.yml`)
      // A list replaces the one before it where files are merged; a person adds to it.
      const [command = ''] = EXISTING_COMPOSE.match(/(?<=command:\n)(?: {6}- --.*\n)+/) ?? []
      const whole = block.replace('    command:\n', `    command:\n${command}`)
      await writeFile(path, whole.replaceAll(/certlatch-alone(?=_(gate|public))/g, GATE))
      return ['--file', path]
    })
    existing = compose(
      ...['--project-name', EXISTING, '--project-directory', folder],
      ...['--file', file('compose.yml'), ...(await Promise.all(added)).flat()],
    )
    await clear()
    await gate(...up, '--build')
    await existing(...up)
    await answers(403)
    const add = ['certlatch', 'device', 'add', "Ada's phone", '--format', 'pem', '--out', '-']
    const pem = await gate('exec', '-T', 'certlatch', ...add)
    device = { certificate: pem.slice(pem.indexOf('-----BEGIN CERTIFICATE')), key: pem }
    await until(async () => (await statusOf({ shown: device })) === 200, 'the device is known')
  })

  async function clear(): Promise<void> {
    await existing('down', '--volumes', '--timeout', '2')
    await gate('down', '--volumes', '--timeout', '5')
  }

  after(async () => {
    await clear()
    await rm(folder, { recursive: true, force: true })
    await endEngine()
  })

  it('is found to be in order by certlatch doctor', async () => {
    const doctor = `certlatch doctor --connect 10.157.92.2:443 --server-ca /dev/stdin --json https://${DOMAIN}`
    const inside = `echo '${certificates[DOMAIN]}' | ${doctor}`
    const { checks, failed } = JSON.parse(await gate('exec', '-T', 'certlatch', 'sh', '-c', inside))
    const wrong = checks.filter(
      ({ name, result }: { name: string; result: string }) =>
        // That of these tests ends soon.
        name !== 'server-certificate' && (result === 'failed' || result === 'warning'),
    )
    assert.deepEqual([failed, wrong], [0, []])
  })

  it('asks for a certificate at the protected host, and at no other', async () => {
    const namesOffered = (name: string) =>
      new Promise<string>((resolve) => {
        const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', name, '-tls1_2']
        execFile(findProgram('openssl'), args, (_, out) => resolve(out)).stdin?.end()
      })
    assert.match(
      await namesOffered(DOMAIN),
      /Acceptable client certificate CA names\n.*Certlatch Device CA/,
    )
    assert.match(await namesOffered(OTHER), /No client certificate CA names sent/)
    assert.equal(await statusOf({ host: OTHER }), 200)
  })

  it('grants access to the certificate and to its session, and tells the application who it is', async () => {
    const { body, cookies } = await visit({ shown: device })
    assert.equal(JSON.parse(body)['remote-user'], "Ada's phone")
    assert.doesNotMatch(body, /tls-client-cert|x-certlatch-proxy/)
    assert.equal(cookies.length, 1)
    const cookie = `${cookies[0]?.split(';')[0]}; theme=dark`
    const again = JSON.parse((await visit({ headers: { Cookie: cookie } })).body)
    assert.deepEqual([again['cookie'], again['x-certlatch-via']], ['theme=dark', 'session'])
  })

  it('answers 421 where the name of the handshake is not the host', async () => {
    assert.equal(await statusOf({ serverName: OTHER, shown: device }), 421)
    assert.equal(await statusOf({ host: OTHER, serverName: DOMAIN }), 421)
  })

  it('refuses a certificate that a client writes into a header', async () => {
    for (const [name, value] of [
      ['X-Forwarded-Tls-Client-Cert', base64Der(device)],
      ['Client-Cert', `:${base64Der(device)}:`],
      ['X-SSL-Client-Cert', encodeURIComponent(device.certificate)],
    ] as const) {
      assert.equal(await statusOf({ headers: { [name]: value } }), 403, name)
    }
  })

  it("passes certlatch's own pages, and neither /verify nor /metrics", async () => {
    assert.equal(await statusOf({ path: '/.certlatch/auth/reset' }), 200)
    for (const path of ['/verify', '/metrics', '/.certlatch/auth/../../verify']) {
      assert.equal(await statusOf({ path }), 403, path)
    }
  })

  it('lets a webhook through, and no preflight with a body or an upgrade', async () => {
    assert.equal(await statusOf({ path: '/api/webhook/0123456789abcdef' }), 200)
    const preflight = { method: 'OPTIONS', path: '/api/webhook/0123456789abcdef', shown: device }
    const asks = { 'Access-Control-Request-Method': 'POST' }
    assert.equal(await statusOf({ ...preflight, headers: asks }), 200)
    assert.equal(await statusOf({ ...preflight, headers: asks, body: 'hello' }), 418)
    const upgrade = { ...asks, Upgrade: 'h2c', Connection: 'Upgrade' }
    assert.equal(await statusOf({ ...preflight, headers: upgrade }), 418)
  })

  it('stays closed while certlatch is down, and serves the other host all the same', async () => {
    await gate('stop', 'certlatch')
    await answers(404, { shown: device })
    assert.equal(await statusOf({ path: '/api/webhook/0123456789abcdef' }), 404)
    assert.equal(await statusOf({ host: OTHER }), 200)
    await gate(...up)
    await answers(403)
    assert.equal(await statusOf({ shown: device }), 200)
  })

  it('works again after either side was replaced, in any order', async () => {
    for (const [what, replace] of [
      ['certlatch', () => gate(...up, '--force-recreate')],
      ['all of the others', () => existing(...up, '--force-recreate')],
      ['Traefik', () => existing(...up, '--force-recreate', 'traefik')],
      ['certlatch again', () => gate(...up, '--force-recreate')],
    ] as const) {
      await replace()
      await answers(403)
      assert.equal(await statusOf({ shown: device }), 200, what)
    }
  })

  it('works again after certlatch was taken down, and Traefik replaced meanwhile', async () => {
    const [program, ...first] = await composeCommand()
    const files = ['--project-name', GATE, '--project-directory', SHIPPED]
    const environment = ['--env-file', join(folder, '.env')]
    const down = await run(program, ...first, ...files, ...environment, 'down')
    assert.match(down.stderr, /still in use|active endpoints/)
    await existing(...up, '--force-recreate')
    await answers(200, { host: OTHER })
    assert.equal(await statusOf({ shown: device }), 404)
    await gate(...up)
    await answers(403)
    assert.equal(await statusOf({ shown: device }), 200)
  })
})
