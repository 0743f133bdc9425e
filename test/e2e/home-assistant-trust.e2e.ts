// How the first-start script of the compose files has Home Assistant believe its proxy: by Home
// Assistant's own code, on what its own storage may hold.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  homeAssistantMissing,
  RELEASE,
  RELEASE_WITH_YAML,
  spawnPython,
} from './support/home-assistant.ts'
import { repositoryFolder } from './support/tools.ts'

const PROXY = '10.157.91.2'
const SCRIPT = readFileSync(
  join(repositoryFolder(), 'deploy/compose/homeassistant/trust-proxy.py'),
  'utf8',
)

/** Its settings, as far as they differ from case to case. */
interface Slot {
  readonly server_port: number
  readonly use_x_forwarded_for?: boolean
  readonly trusted_proxies?: readonly string[]
  readonly error?: string | null
}

const PLAIN: Slot = { server_port: 8123 }
const OWN: Slot = {
  server_port: 8124,
  use_x_forwarded_for: true,
  trusted_proxies: ['192.0.2.7/32'],
}
const OWN_AND_PROXY: Slot = { ...OWN, trusted_proxies: ['192.0.2.7/32', `${PROXY}/32`] }
const WHOLE_NETWORK: Slot = { ...OWN, trusted_proxies: ['10.157.91.0/28'] }
const NOT_SWITCHED_ON: Slot = { ...OWN, use_x_forwarded_for: false }
const PLAIN_AND_PROXY: Slot = {
  ...PLAIN,
  use_x_forwarded_for: true,
  trusted_proxies: [`${PROXY}/32`],
}

const CASES: readonly {
  readonly name: string
  readonly stable?: Slot
  readonly pending?: Slot
  readonly expected: { readonly stable: Slot; readonly pending?: Slot }
}[] = [
  { name: 'nothing at all', expected: { stable: PLAIN_AND_PROXY } },
  { name: 'no proxy', stable: PLAIN, expected: { stable: PLAIN_AND_PROXY } },
  { name: 'another proxy', stable: OWN, expected: { stable: OWN_AND_PROXY } },
  { name: 'the network of the proxy', stable: WHOLE_NETWORK, expected: { stable: WHOLE_NETWORK } },
  {
    name: 'another proxy, but not switched on',
    stable: NOT_SWITCHED_ON,
    expected: { stable: OWN_AND_PROXY },
  },
  {
    name: 'the proxy on trial, as an import from configuration.yaml leaves it',
    stable: PLAIN,
    pending: PLAIN_AND_PROXY,
    expected: { stable: PLAIN_AND_PROXY },
  },
  {
    name: 'the proxy after a trial that was not confirmed',
    stable: PLAIN,
    pending: { ...PLAIN_AND_PROXY, error: 'not_promoted' },
    expected: { stable: PLAIN_AND_PROXY },
  },
  {
    name: 'a change of a person on trial, which stays so',
    stable: PLAIN,
    pending: OWN,
    expected: { stable: PLAIN_AND_PROXY, pending: OWN },
  },
  {
    name: 'the proxy, and a change of a person on trial',
    stable: PLAIN_AND_PROXY,
    pending: OWN,
    expected: { stable: PLAIN_AND_PROXY, pending: OWN },
  },
]

describe('The script that makes Home Assistant trust its proxy', {
  skip: homeAssistantMissing(),
  timeout: 300_000,
}, () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'certlatch-trust-'))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  const run = async (place: string, release: string) => {
    const child = spawnPython(place, release, '-c', SCRIPT, '/config', PROXY)
    child.stderr.on('data', (chunk: Buffer) => process.stderr.write(chunk))
    const [code] = await once(child, 'exit')
    return code
  }

  for (const [index, { name, stable, pending, expected }] of CASES.entries()) {
    test(`finds ${name}`, async () => {
      const place = join(folder, String(index))
      const file = join(place, '.storage', 'http')
      mkdirSync(join(place, '.storage'), { recursive: true })
      if (stable) writeFileSync(file, stored(stable, pending))
      assert.equal(await run(place, RELEASE), 0)
      const { data } = JSON.parse(readFileSync(file, 'utf8'))
      assert.deepEqual(partOf(data.stable), partOf(expected.stable))
      assert.deepEqual(
        data.pending && partOf(data.pending),
        expected.pending ? partOf(expected.pending) : null,
      )
    })
  }

  test('tells an older Home Assistant that it is one, and writes nothing', async () => {
    const place = join(folder, 'older')
    mkdirSync(place)
    assert.equal(await run(place, RELEASE_WITH_YAML), 1)
    assert.throws(() => readFileSync(join(place, '.storage', 'http')), { code: 'ENOENT' })
  })
})

/** The file, with every field that Home Assistant wants in it. */
function stored(stable: Slot, pending: Slot | undefined): string {
  const whole = (slot: Slot) => ({
    cors_allowed_origins: [],
    login_attempts_threshold: -1,
    ip_ban_enabled: true,
    ssl_profile: 'intermediate_v6',
    use_x_frame_options: true,
    created_at: '2026-11-01T00:00:00+00:00',
    error: null,
    error_message: null,
    ...slot,
  })
  return JSON.stringify({
    version: 3,
    minor_version: 1,
    key: 'http',
    data: {
      stable: whole(stable),
      pending: pending === undefined ? null : whole(pending),
      yaml_migration_done: true,
    },
  })
}

const partOf = ({ server_port, use_x_forwarded_for, trusted_proxies, error = null }: Slot) => ({
  server_port,
  use_x_forwarded_for,
  trusted_proxies,
  error,
})
