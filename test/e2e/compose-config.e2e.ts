// What `docker compose config` makes of the shipped files and of lines in .env. Needs no Docker engine.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { processEnvironment } from '../../src/config/load.ts'
import { composeCommand, REPOSITORY } from './compose-project.ts'

const EXAMPLE = readFileSync(join(REPOSITORY, '.env.example'), 'utf8')
const MINIMUM = 'DOMAIN=home.example.org\n'
const WATCHED = 'COMPOSE_PROFILES=watch\n'
const SCALE = 'COMPOSE_FILE=docker-compose.yml:deploy/compose/scale.yml\n'

/** Each line that .env.example offers in a comment. */
const OFFERS = [...EXAMPLE.matchAll(/^# ([A-Z_]+=.*)$/gm)].map(([, line = '']) => line)

const [program, ...first] = await composeCommand()
const skip = program !== 'docker' && !existsSync(program) && 'docker compose is missing'

const { PATH, HOME } = processEnvironment()

describe('docker compose config', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'certlatch-config-'))
  after(() => rmSync(folder, { recursive: true }))

  /** As in the folder of the repository, and in an environment that sets nothing. */
  const config = (env: string) =>
    new Promise<{ readonly stdout: string; readonly stderr: string }>((resolve) => {
      const file = join(folder, '.env')
      writeFileSync(file, env)
      const args = [...first, '--env-file', file, 'config', '--format', 'json']
      const options = { cwd: REPOSITORY, env: { PATH, HOME } }
      execFile(program, args, options, (_, stdout, stderr) => resolve({ stdout, stderr }))
    })

  const projectOf = async (env: string) => {
    const { stdout, stderr } = await config(env)
    assert.equal(stderr, '')
    return JSON.parse(stdout)
  }
  const namesOf = async (env: string) => Object.keys((await projectOf(env)).services).sort()

  test('is silent with .env.example as it is', async () => {
    assert.deepEqual(await namesOf(EXAMPLE), [
      'certlatch',
      'grafana',
      'homeassistant',
      'prometheus',
      'proxy',
    ])
  })

  test('is silent with a name alone, and leaves out who watches', async () => {
    assert.deepEqual(await namesOf(MINIMUM), ['certlatch', 'homeassistant', 'proxy'])
  })

  for (const offer of OFFERS) {
    test(`is silent with ${offer}`, async () => {
      await projectOf(`${EXAMPLE}${offer}\n`)
    })
  }

  test('builds the image, and never asks a registry for one of that name', async () => {
    const { image, build, pull_policy: policy } = (await projectOf(MINIMUM)).services.certlatch
    assert.deepEqual([image, build.context, policy], ['certlatch', REPOSITORY, 'build'])
  })

  test('takes a released image as it is named, and never builds one in its place', async () => {
    const name = `registry.example/certlatch:0.1.0@sha256:${'0'.repeat(64)}`
    const { certlatch } = (await projectOf(`${MINIMUM}RELEASED_IMAGE=${name}\n`)).services
    assert.deepEqual([certlatch.image, certlatch.build], [name, undefined])
  })

  for (const [proxy, image, folderOfProxy] of [
    ['traefik', 'traefik:', 'deploy/traefik/compose'],
    ['caddy', 'caddy:', 'deploy/caddy/compose'],
  ] as const) {
    test(`makes ${proxy} the proxy, and certlatch expects it`, async () => {
      const { services } = await projectOf(`${MINIMUM}CERTLATCH_PROXY=${proxy}\n`)
      assert.ok(services.proxy.image.startsWith(image))
      assert.equal(services.certlatch.environment.CERTLATCH_PROXY, proxy)
      const sources = services.proxy.volumes.map(({ source }: { source: string }) => source)
      assert.ok(sources.includes(join(REPOSITORY, folderOfProxy)), String(sources))
      assert.deepEqual(services.proxy.cap_drop, ['ALL'])
      assert.equal(services.proxy.read_only, true)
    })
  }

  test('gives Home Assistant no port, wherever it runs', async () => {
    for (const line of [
      '',
      'HOME_ASSISTANT_NETWORK=host',
      'HOME_ASSISTANT_URL=http://192.0.2.30:8123',
    ]) {
      const { homeassistant } = (await projectOf(`${MINIMUM}${line}\n`)).services
      assert.equal(homeassistant.ports, undefined, line)
    }
  })

  test('starts no Home Assistant beside one elsewhere, and pulls no image of it', async () => {
    const env = `${MINIMUM}HOME_ASSISTANT_URL=http://192.0.2.30:8123\n`
    const { homeassistant, proxy } = (await projectOf(env)).services
    assert.deepEqual([homeassistant.scale, homeassistant.pull_policy], [0, 'never'])
    assert.equal(proxy.environment.HOME_ASSISTANT_URL, 'http://192.0.2.30:8123')
  })

  test('puts three certlatch behind Traefik, and before Home Assistant on the host network', async () => {
    const env = `${MINIMUM}${WATCHED}${SCALE}HOME_ASSISTANT_NETWORK=host\n`
    const { certlatch, proxy } = (await projectOf(env)).services
    assert.equal(certlatch.scale, 3)
    assert.equal(proxy.environment.HOME_ASSISTANT_URL, 'http://10.157.91.1:8123')
  })

  for (const [what, line, error] of [
    ['no name', 'COMPOSE_PROFILES=watch', /DOMAIN.*set it in \.env/],
    [
      'a proxy that has no files here',
      `${MINIMUM}CERTLATCH_PROXY=nginx`,
      /proxy\/compose\.nginx\.yml/,
    ],
    ['an unknown network', `${MINIMUM}HOME_ASSISTANT_NETWORK=lan`, /home-assistant-lan\.yml/],
    [
      'Home Assistant in two places',
      `${MINIMUM}HOME_ASSISTANT_NETWORK=host\nHOME_ASSISTANT_URL=http://192.0.2.30:8123`,
      /set either HOME_ASSISTANT_URL or HOME_ASSISTANT_NETWORK in \.env, not both/,
    ],
    [
      'the file for Caddy that is gone',
      `${MINIMUM}COMPOSE_FILE=docker-compose.yml:deploy/compose/caddy.yml`,
      /deploy\/compose\/caddy\.yml/,
    ],
  ] as const) {
    test(`refuses ${what}`, async () => {
      const { stdout, stderr } = await config(`${line}\n`)
      assert.equal(stdout, '')
      assert.match(stderr, error)
    })
  }
})
