import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { loadConfig } from '../src/config/load.ts'
import { codeBlocks } from './support/markdown.ts'
import { repository } from './support/repository.ts'
import { shippedEnvironment, shippedNodeOptions } from './support/shipped-environment.ts'

const UNIT = readFileSync(join(repository(), 'deploy/systemd/certlatch.service'), 'utf8')
const PROGRAM = '/usr/local/bin/certlatch'
const NODE = `/usr/bin/env node ${shippedNodeOptions().join(' ')}`

const folder = mkdtempSync(join(tmpdir(), 'certlatch-systemd-'))
after(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'certlatch.service')
writeFileSync(path, UNIT)

const valuesOf = (name: string): readonly string[] =>
  [...UNIT.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value)

const analyze = (...args: readonly string[]) =>
  spawnSync('systemd-analyze', [...args, path], { encoding: 'utf8' })

/** The first release of systemd that examines a unit without a running systemd. */
const LEAST = 250
const [, release = '0'] =
  /^systemd (\d+)/.exec(spawnSync('systemd-analyze', ['--version'], { encoding: 'utf8' }).stdout) ??
  []
const skip = Number(release) < LEAST && `needs systemd-analyze ${LEAST} or newer`

describe('The systemd unit', () => {
  test('starts the service with valid settings, on the folder that it may write to', () => {
    assert.deepEqual(valuesOf('ExecStart'), [`${NODE} ${PROGRAM} serve`])
    const pairs = valuesOf('Environment').flatMap((line) => line.split(' '))
    const environment = Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s)))
    const loaded = loadConfig(environment)
    assert.ok(loaded.ok, JSON.stringify(loaded))
    const [name = ''] = valuesOf('StateDirectory')
    assert.equal(loaded.config.dataDir, `/var/lib/${name}`)
    assert.deepEqual(valuesOf('ProtectSystem'), ['strict'])
    assert.deepEqual(valuesOf('ReadWritePaths'), [])
  })

  test('starts at boot once it is enabled', () => {
    assert.match(UNIT, /^\[Install\]\nWantedBy=multi-user\.target\n/m)
  })

  test('shares user and settings with the commands, by the alias in docs/install.md', () => {
    const page = readFileSync(join(repository(), 'docs/install.md'), 'utf8')
    const [alias = ''] = codeBlocks(page, 'sh').filter((block) => block.startsWith('alias '))
    const options = [...alias.matchAll(/--property=(\w+)=(\S+)/g)].map(([, ...pair]) => pair)
    const [dataDirectory] = valuesOf('Environment').filter((line) => line.startsWith('CERTLATCH_'))
    assert.deepEqual(options, [
      ['User', ...valuesOf('User')],
      ['Environment', dataDirectory],
      ['EnvironmentFile', ...valuesOf('EnvironmentFile')],
    ])
    assert.ok(alias.endsWith(` ${PROGRAM}'\n`), alias)
  })

  test('runs with what the image runs with', () => {
    const environment = valuesOf('Environment').join(' ').split(' ')
    for (const [name, value] of Object.entries(shippedEnvironment())) {
      assert.ok(environment.includes(`${name}=${value}`), name)
    }
  })

  test('has no privileges', () => {
    for (const name of ['CapabilityBoundingSet', 'AmbientCapabilities']) {
      assert.deepEqual(valuesOf(name), [''], name)
    }
    assert.deepEqual(valuesOf('NoNewPrivileges'), ['yes'])
    assert.notEqual(valuesOf('User')[0] ?? 'root', 'root')
  })

  test('is read by systemd without a complaint', { skip }, () => {
    const { status, stderr } = analyze('verify', '--man=no')
    const complaints = stderr.split('\n').filter((line) => line.includes('certlatch'))
    assert.deepEqual([status, complaints], [0, []])
  })

  test('has an exposure level of at most 2.5 of 10, as systemd rates it', { skip }, () => {
    const { status, stdout } = analyze('security', '--offline=yes', '--no-pager', '--threshold=25')
    assert.equal(status, 0, stdout)
  })
})
