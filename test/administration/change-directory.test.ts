import assert from 'node:assert/strict'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import { changeDirectory } from '../../src/administration/change-directory.ts'
import { renewAuthority } from '../../src/administration/renew-authority.ts'
import { renewDevice } from '../../src/administration/renew-device.ts'
import {
  initialized,
  lettingIn,
  snapshotOf,
  type TestDirectory,
  treeOf,
} from '../support/command.ts'
import { present } from '../support/service.ts'

const complete = (directory: TestDirectory) =>
  changeDirectory(directory.change(), async () => undefined)

const add = (directory: TestDirectory, name: string) =>
  addDevice(directory.change(), { name, owner: undefined }, directory.issue())

test('A successor whose certificate is not yet in ca.crt is discarded', async () => {
  const directory = await initialized()
  const before = await treeOf(directory.dataDir)
  const other = await initialized()
  const { nextAuthority, nextAuthorityKey } = directory.paths
  await copyFile(other.paths.authorityKey, nextAuthorityKey)
  await complete(directory)
  assert.deepEqual(await treeOf(directory.dataDir), before)
  await copyFile(other.paths.authorityKey, nextAuthorityKey)
  await copyFile(other.paths.authority, nextAuthority)
  await complete(directory)
  assert.deepEqual(await treeOf(directory.dataDir), before)
})

test('A successor whose certificate is in ca.crt gets its key moved into place', async () => {
  const directory = await initialized()
  await add(directory, 'Phone')
  const { paths } = directory
  const oldKey = await readFile(paths.authorityKey)
  await renewAuthority(directory.change(), { commonName: undefined, days: 30 })
  const whole = await treeOf(directory.dataDir)
  // The state right after the commit point.
  await copyFile(paths.authorityKey, paths.nextAuthorityKey)
  const [, last = ''] =
    /^.*(-----BEGIN CERTIFICATE-----.*)$/s.exec(await readFile(paths.authority, 'latin1')) ?? []
  await writeFile(paths.nextAuthority, last)
  await writeFile(paths.authorityKey, oldKey)
  await complete(directory)
  assert.deepEqual(await treeOf(directory.dataDir), whole)
  await add(directory, 'Tablet')
})

test('A package that was not delivered is rolled back: its entry, its file and its copy', async () => {
  const directory = await initialized()
  const { device, certificate, package: parcel } = await add(directory, 'Phone')
  const kept = { ...device, certificates: [] }
  const note = { before: kept, serial: certificate.serial, files: [parcel.path] }
  await writeFile(directory.paths.undelivered, JSON.stringify(note))
  await complete(directory)
  assert.deepEqual(await lettingIn(directory.dataDir), [])
  assert.deepEqual(await treeOf(directory.packages), {})
  assert.deepEqual(await treeOf(directory.paths.certificates), {})
  // The same name is free, and the entry the same.
  const again = await add(directory, 'Phone')
  assert.equal(again.device.id, device.id)
})

test('A renewal that was not delivered leaves the previous certificate as it was', async () => {
  const directory = await initialized()
  const first = await add(directory, 'Phone')
  const issue = directory.issue()
  const second = await renewDevice(directory.change(9), 'Phone', issue, 0)
  const note = { before: first.device, serial: second.certificate.serial, files: [] }
  await writeFile(directory.paths.undelivered, JSON.stringify(note))
  await complete(directory)
  const { registry } = await snapshotOf(directory.dataDir)
  assert.deepEqual(present(registry).devices, [first.device])
})

test('A note that is incomplete, or whose package cannot be reached, does not make a command wait', async () => {
  const directory = await initialized()
  const { device, certificate } = await add(directory, 'Phone')
  const file = join(directory.packages, 'file')
  await writeFile(file, '')
  const before = { ...device, certificates: [] }
  const note = { before, serial: certificate.serial, files: [join(file, 'package')] }
  await writeFile(directory.paths.undelivered, JSON.stringify(note))
  await complete(directory)
  assert.deepEqual(await lettingIn(directory.dataDir), [])
  await writeFile(directory.paths.undelivered, 'half')
  await complete(directory)
  await assert.rejects(readFile(directory.paths.undelivered), { code: 'ENOENT' })
})

test('A package that cannot be removed fails the command, not the directory', async () => {
  const directory = await initialized()
  await add(directory, 'Phone')
  await mkdir(directory.paths.undelivered)
  await assert.rejects(complete(directory), { code: 'EISDIR' })
  await rm(directory.paths.undelivered, { recursive: true })
  assert.deepEqual(await lettingIn(directory.dataDir), ['Phone'])
})
