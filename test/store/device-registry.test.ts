import assert from 'node:assert/strict'
import { chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { certificateKey } from '../../src/certificate/certificate-id.ts'
import {
  type Device,
  readRegistry,
  readRegistryFolder,
  writeDevice,
} from '../../src/store/device-registry.ts'
import { errorCode } from '../../src/store/files.ts'
import { temporaryFolder } from '../support/service.ts'

const KEY_HASH = 'A'.repeat(43)
const certificate = { issuerKeyHash: KEY_HASH, serial: '4a01', notBefore: 1, notAfter: 2 }
const device: Device = {
  id: '0a1b',
  name: 'Phone of Ada',
  owner: 'ada',
  certificates: [certificate],
}
const { id: _, ...fields } = device
const entry = { schemaVersion: 1, ...fields }

const read = (...entries: readonly unknown[]) =>
  readRegistry(new Map(entries.map((value, index) => [`${index}.json`, JSON.stringify(value)])))

test('A written device is found by each of its certificates', async () => {
  const folder = join(await temporaryFolder(), 'devices')
  const second = { ...certificate, serial: '4a02' }
  const written = { ...device, name: 'Ada 📱', certificates: [certificate, second] }
  await writeDevice(folder, '0a1b', written)
  const registry = readRegistry(await readRegistryFolder(folder))
  assert.ok(registry.ok)
  assert.deepEqual(
    [...registry.registry.byCertificate.keys()],
    [`${KEY_HASH}/4a01`, `${KEY_HASH}/4a02`],
  )
  assert.deepEqual(
    registry.registry.byCertificate.get(
      certificateKey({ issuerKeyHash: KEY_HASH, serial: '4a02' }),
    ),
    {
      device: written,
      certificate: second,
    },
  )
  assert.deepEqual(registry.registry.devices, [written])
  assert.equal((await stat(folder)).mode & 0o777, 0o700)
  assert.equal((await stat(join(folder, '0a1b.json'))).mode & 0o777, 0o600)
})

test('Devices without owner and devices without certificates are entries too', async () => {
  const folder = await temporaryFolder()
  await writeDevice(folder, 'a', { name: 'One', owner: undefined, certificates: [] })
  const text = await readFile(join(folder, 'a.json'), 'utf8')
  assert.deepEqual(JSON.parse(text), { schemaVersion: 1, name: 'One', certificates: [] })
  const registry = readRegistry(await readRegistryFolder(folder))
  assert.ok(registry.ok)
  assert.equal(registry.registry.byCertificate.size, 0)
})

test('Writing a device again replaces it', async () => {
  const folder = await temporaryFolder()
  await writeDevice(folder, 'a', device)
  await writeDevice(folder, 'a', { ...device, name: 'Tablet of Ada' })
  assert.deepEqual(await readdir(folder), ['a.json'])
  const registry = readRegistry(await readRegistryFolder(folder))
  assert.ok(registry.ok)
  assert.equal(
    registry.registry.byCertificate.get(certificateKey({ issuerKeyHash: KEY_HASH, serial: '4a01' }))
      ?.device.name,
    'Tablet of Ada',
  )
})

test('The devices folder belongs to the owner of its parent folder', async () => {
  const parent = await temporaryFolder()
  // Only root can change a file's owner; for other users it is the same before and after.
  if (process.getuid?.() === 0) await chown(parent, 12_345, 54_321)
  const { uid } = await stat(parent)
  await writeDevice(join(parent, 'devices'), 'a', device)
  assert.equal((await stat(join(parent, 'devices'))).uid, uid)
  assert.equal((await stat(join(parent, 'devices', 'a.json'))).uid, uid)
})

test('A missing folder contains no devices; one that cannot be read is an error', async () => {
  const folder = await temporaryFolder()
  assert.equal((await readRegistryFolder(join(folder, 'missing'))).size, 0)
  const file = join(folder, 'file')
  await writeFile(file, '')
  await assert.rejects(readRegistryFolder(file), (error) => errorCode(error) === 'ENOTDIR')
})

test('Only entries are read: temporary and foreign files are ignored', async () => {
  const folder = await temporaryFolder()
  await writeDevice(folder, 'b', device)
  await writeDevice(folder, 'a', { ...device, name: 'First', certificates: [] })
  for (const name of ['a.json.0123456789ab.tmp', 'README', '.a.json', 'X.json', 'a.json~']) {
    await writeFile(join(folder, name), 'not an entry')
  }
  await mkdir(join(folder, 'folder'))
  assert.deepEqual([...(await readRegistryFolder(folder)).keys()], ['a.json', 'b.json'])
})

test('An invalid device entry is named by its file', () => {
  const broken: readonly unknown[] = [
    null,
    7,
    'text',
    [],
    {},
    { ...entry, schemaVersion: 2 },
    { ...entry, schemaVersion: '1' },
    { ...entry, name: undefined },
    { ...entry, name: '' },
    { ...entry, name: 'line\nbreak' },
    { ...entry, name: 'n'.repeat(257) },
    { ...entry, owner: 7 },
    { ...entry, owner: null },
    { ...entry, owner: '' },
    { ...entry, owner: 'a\u0000b' },
    { ...entry, certificates: undefined },
    { ...entry, certificates: {} },
    { ...entry, certificates: [null] },
    { ...entry, certificates: ['4a01'] },
    { ...entry, certificates: [{ ...certificate, issuerKeyHash: 7 }] },
    { ...entry, certificates: [{ ...certificate, issuerKeyHash: 'A'.repeat(42) }] },
    { ...entry, certificates: [{ ...certificate, serial: 7 }] },
    { ...entry, certificates: [{ ...certificate, serial: '4A01' }] },
    { ...entry, certificates: [{ ...certificate, serial: '4a0' }] },
    { ...entry, certificates: [{ ...certificate, serial: '' }] },
    { ...entry, certificates: [{ ...certificate, notBefore: '1' }] },
    { ...entry, certificates: [{ ...certificate, notAfter: 1.5 }] },
  ]
  for (const value of broken) {
    assert.deepEqual(
      read(value),
      { ok: false, problem: '0.json is not a device entry' },
      JSON.stringify(value),
    )
  }
  const notJson = readRegistry(new Map([['a.json', '{"schemaVersion": 1,']]))
  assert.deepEqual(notJson, { ok: false, problem: 'a.json is not a device entry' })
})

test('Names of devices are unique, and so are their certificates', () => {
  assert.deepEqual(read(entry, { ...entry, certificates: [] }), {
    ok: false,
    problem: '1.json repeats the device name "Phone of Ada"',
  })
  assert.deepEqual(read(entry, { ...entry, name: 'Other' }), {
    ok: false,
    problem: '1.json repeats the certificate of another device',
  })
  const twice = { ...entry, certificates: [certificate, certificate] }
  assert.ok(!read(twice).ok)
})

test('Two devices may have the same owner, whose name no other device may have', () => {
  const other = { ...certificate, serial: '4a02' }
  assert.ok(read(entry, { ...entry, name: 'Tablet of Ada', certificates: [other] }).ok)
  // Without an owner a device is its own user: one called "ada" would be the user ada.
  const bearing = { schemaVersion: 1, name: 'ada', certificates: [other] }
  assert.ok(!read(entry, bearing).ok)
  assert.ok(!read(bearing, entry).ok)
})
