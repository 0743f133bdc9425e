// How the first-start script of the compose files has Home Assistant believe its proxy and listen where the
// proxy reaches it: by Home Assistant's own code, on what its own storage may hold.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
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
  readonly server_host?: readonly string[]
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

/** In the place of the gateway's address, which is there only while Docker runs. */
const ADDRESS = '127.0.0.1'
const AT_ADDRESS: Slot = { ...PLAIN_AND_PROXY, server_host: [ADDRESS] }
const ELSEWHERE: Slot = { ...PLAIN_AND_PROXY, server_host: ['0.0.0.0'] }

const CASES: readonly {
  readonly name: string
  /** On the host network. */
  readonly address?: string
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
  {
    name: 'an address to listen at, which its container does not have',
    stable: AT_ADDRESS,
    expected: { stable: PLAIN_AND_PROXY },
  },
  {
    name: 'nothing at all, on the host network',
    address: ADDRESS,
    expected: { stable: AT_ADDRESS },
  },
  {
    name: 'no address to listen at, on the host network',
    address: ADDRESS,
    stable: PLAIN_AND_PROXY,
    expected: { stable: AT_ADDRESS },
  },
  {
    name: 'another address to listen at, on the host network',
    address: ADDRESS,
    stable: ELSEWHERE,
    expected: { stable: AT_ADDRESS },
  },
  {
    name: 'a change of a person on trial, which listens elsewhere, on the host network',
    address: ADDRESS,
    stable: AT_ADDRESS,
    pending: { ...OWN, server_host: ['0.0.0.0'] },
    expected: { stable: AT_ADDRESS, pending: { ...OWN, server_host: [ADDRESS] } },
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

  const run = async (place: string, release: string, ...address: readonly string[]) => {
    const child = spawnPython(place, release, '-c', SCRIPT, '/config', PROXY, ...address)
    const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
    return { code, said }
  }

  for (const [index, { name, address, stable, pending, expected }] of CASES.entries()) {
    test(`finds ${name}`, async () => {
      const place = join(folder, String(index))
      const file = join(place, '.storage', 'http')
      mkdirSync(join(place, '.storage'), { recursive: true })
      if (stable) writeFileSync(file, stored(stable, pending))
      const { code, said } = await run(place, RELEASE, ...(address === undefined ? [] : [address]))
      assert.equal(code, 0, said)
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
    assert.equal((await run(place, RELEASE_WITH_YAML)).code, 1)
    assert.throws(() => readFileSync(join(place, '.storage', 'http')), { code: 'ENOENT' })
  })

  test('has an older Home Assistant not start on the host network, and says why', async () => {
    const place = join(folder, 'older-on-host')
    mkdirSync(place)
    const { code, said } = await run(place, RELEASE_WITH_YAML, ADDRESS)
    assert.equal(code, 1)
    assert.match(
      said,
      /^certlatch: Home Assistant on the host network has to be 2026\.8 or newer$/m,
    )
  })

  for (const [what, address] of [
    ['is not there', '198.51.100.7'],
    ['has something else at the port', ADDRESS],
  ] as const) {
    test(`changes nothing where the address ${what}: it would listen everywhere`, async (context) => {
      const other = createServer().listen(0, ADDRESS)
      context.after(() => other.close())
      await once(other, 'listening')
      const place = mkdtempSync(join(folder, 'taken-'))
      const file = join(place, '.storage', 'http')
      mkdirSync(join(place, '.storage'))
      const { port } = other.address() as AddressInfo
      const before = stored({ ...PLAIN, server_port: port }, undefined)
      writeFileSync(file, before)
      const { code, said } = await run(place, RELEASE, address)
      assert.equal(code, 1)
      assert.match(said, new RegExp(`^certlatch: Home Assistant cannot listen at ${address}:`, 'm'))
      assert.equal(readFileSync(file, 'utf8'), before)
    })
  }

  test('keeps the http: lines of configuration.yaml out on the host network alone', async () => {
    for (const address of [[], [ADDRESS]]) {
      const place = mkdtempSync(join(folder, 'yaml-'))
      assert.equal((await run(place, RELEASE, ...address)).code, 0)
      const { data } = JSON.parse(readFileSync(join(place, '.storage', 'http'), 'utf8'))
      assert.equal(data.yaml_migration_done, address.length > 0)
    }
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

const partOf = ({
  server_port,
  server_host,
  use_x_forwarded_for,
  trusted_proxies,
  error = null,
}: Slot) => ({
  server_port,
  server_host,
  use_x_forwarded_for,
  trusted_proxies,
  error,
})
