import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { addDevice } from '../../src/administration/add-device.ts'
import { revokeDevice } from '../../src/administration/revoke-device.ts'
import { makeManyDevices, runCommand, startOnce } from '../bench/many-devices.ts'
import { initialized, lettingIn, snapshotOf } from '../support/command.ts'
import { present, temporaryFolder } from '../support/service.ts'

const ISSUE_MANY = fileURLToPath(new URL('./support/issue-many.js', import.meta.url))
const EACH = 100

test('Two processes that issue at the same time lose no device and reuse no serial number', async () => {
  const { dataDir, packages, paths } = await initialized()
  const exits = ['One', 'Other'].map(async (prefix) => {
    const argv = [ISSUE_MANY, dataDir, packages, prefix, String(EACH)]
    const [exitCode] = await once(spawn(process.execPath, argv, { stdio: 'inherit' }), 'exit')
    return exitCode
  })
  assert.deepEqual(await Promise.all(exits), [0, 0])
  const registry = present((await snapshotOf(dataDir)).registry)
  assert.equal(registry.devices.length, 2 * EACH)
  assert.equal(registry.byCertificate.size, 2 * EACH)
  assert.equal((await readdir(packages)).length, 2 * EACH)
  assert.equal((await readdir(paths.certificates)).length, 2 * EACH)
})

test('A revocation is not lost among devices that are added at the same time', async () => {
  const directory = await initialized()
  const names = Array.from({ length: 10 }, (_, number) => `Old ${number}`)
  for (const name of names) {
    const device = { name, owner: undefined }
    await addDevice(directory.change(), device, directory.issue({ folder: undefined }))
  }
  const argv = [ISSUE_MANY, directory.dataDir, directory.packages, 'New', '20']
  const issuing = once(spawn(process.execPath, argv, { stdio: 'inherit' }), 'exit')
  for (const name of names) {
    await revokeDevice(directory.change(1), name, 'all', 'unspecified')
  }
  assert.deepEqual((await issuing)[0], 0)
  const letIn = await lettingIn(directory.dataDir)
  assert.equal(letIn.length, 20)
  assert.ok(letIn.every((name) => name.startsWith('New')))
})

test('With 10,000 devices and a CRL of 10,000 entries the list is complete, and a service starts', async () => {
  const dataDir = join(await temporaryFolder(), 'data')
  await makeManyDevices(dataDir, 10_000, 10_000)
  const lines = (await runCommand(dataDir, ['device', 'list'])).trimEnd().split('\n')
  assert.equal(lines.length, 10_001)
  await startOnce(dataDir)
})
