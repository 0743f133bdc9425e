import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import { renewDevice } from '../../src/administration/renew-device.ts'
import { revokeDevice } from '../../src/administration/revoke-device.ts'
import { initialised, problemOf, snapshotOf, type TestDirectory } from '../support/command.ts'
import { NOON_SECONDS, present } from '../support/service.ts'

const DAY = 86_400

const add = (directory: TestDirectory, name: string, days = 397) =>
  addDevice(directory.change(), { name, owner: 'Ada' }, directory.issue({ days }), 'file')

const renew = (directory: TestDirectory, name: string, overlap: number, later: number) =>
  renewDevice(directory.change(later), name, directory.issue(), overlap, 'file')

test('A renewed device is the same: id, name and owner, with one certificate more', async () => {
  const directory = await initialised()
  const first = await add(directory, 'Phone')
  const second = await renew(directory, 'phone', DAY, 60)
  assert.equal(second.device.id, first.device.id)
  assert.equal(second.device.name, 'Phone')
  assert.equal(second.device.owner, 'Ada')
  assert.deepEqual(
    second.device.certificates.map(({ serial }) => serial),
    [first.certificate.serial, second.certificate.serial],
  )
  assert.deepEqual(present((await snapshotOf(directory.dataDir)).registry).devices, [second.device])
})

test('The certificate before goes on for the overlap, and never longer than it was to', async () => {
  const directory = await initialised()
  await add(directory, 'Phone', 10)
  const second = await renew(directory, 'Phone', 3 * DAY, 60)
  assert.equal(second.othersEndAt, NOON_SECONDS + 60 + 3 * DAY)
  assert.equal(second.device.certificates[0]?.endsAt, NOON_SECONDS + 60 + 3 * DAY)
  assert.equal(second.device.certificates[1]?.endsAt, undefined)
  // An end that was set stays where it is earlier.
  const third = await renew(directory, 'Phone', 30 * DAY, 120)
  assert.equal(third.device.certificates[0]?.endsAt, NOON_SECONDS + 60 + 3 * DAY)
  assert.equal(third.device.certificates[1]?.endsAt, NOON_SECONDS + 120 + 30 * DAY)
  assert.equal(third.othersEndAt, NOON_SECONDS + 120 + 30 * DAY)
})

test('An overlap beyond the end of the certificate is told as that end', async () => {
  const directory = await initialised()
  const first = await add(directory, 'Phone', 10)
  const { othersEndAt } = await renew(directory, 'Phone', 30 * DAY, 60)
  assert.equal(othersEndAt, first.certificate.notAfter)
})

test('Without an overlap the certificate before ends at once', async () => {
  const directory = await initialised()
  await add(directory, 'Phone')
  const { device, othersEndAt } = await renew(directory, 'Phone', 0, 60)
  assert.equal(othersEndAt, NOON_SECONDS + 60)
  assert.equal(device.certificates[0]?.endsAt, NOON_SECONDS + 60)
})

test('What has expired is left as it was', async () => {
  const directory = await initialised()
  await add(directory, 'Phone', 10)
  const { device, othersEndAt } = await renew(directory, 'Phone', DAY, 20 * DAY)
  assert.equal(othersEndAt, undefined)
  assert.equal(device.certificates[0]?.endsAt, undefined)
})

test('A device that is revoked comes back under a new name alone', async () => {
  const directory = await initialised()
  await add(directory, 'Phone')
  await revokeDevice(directory.change(10), 'Phone', 'all', 'keyCompromise')
  assert.match(
    await problemOf(renew(directory, 'Phone', DAY, 60)),
    /^all certificates of "Phone" are revoked\nhint: add the device that takes its place under a new/,
  )
})

test('An unknown device is told', async () => {
  const directory = await initialised()
  assert.match(await problemOf(renew(directory, 'Phone', DAY, 60)), /^there is no device "Phone"/)
})

test('A device whose first certificate was never handed out gets one', async () => {
  const directory = await initialised()
  const { device } = await add(directory, 'Phone')
  await writeFile(
    join(directory.paths.devices, `${device.id}.json`),
    JSON.stringify({ schemaVersion: 1, name: 'Phone', owner: 'Ada', certificates: [] }),
  )
  const renewed = await renew(directory, 'Phone', DAY, 60)
  assert.equal(renewed.othersEndAt, undefined)
  assert.equal(renewed.device.certificates.length, 1)
})
