import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import { renewDevice } from '../../src/administration/renew-device.ts'
import { revokeDevice } from '../../src/administration/revoke-device.ts'
import { initialized, problemOf, snapshotOf, type TestDirectory } from '../support/command.ts'
import { NOON_SECONDS, present } from '../support/service.ts'

const DAY = 86_400

const add = (directory: TestDirectory, name: string, days = 397) =>
  addDevice(directory.change(), { name, owner: 'Ada' }, directory.issue({ days }))

const renew = (directory: TestDirectory, name: string, overlap: number, later: number) =>
  renewDevice(directory.change(later), name, directory.issue(), overlap)

test('A renewed device keeps its id, name and owner, and has one certificate more', async () => {
  const directory = await initialized()
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

test('The previous certificate keeps working for the overlap, but never beyond its own expiry', async () => {
  const directory = await initialized()
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

test("An overlap longer than the certificate's remaining life is reported as its expiry", async () => {
  const directory = await initialized()
  const first = await add(directory, 'Phone', 10)
  const { othersEndAt } = await renew(directory, 'Phone', 30 * DAY, 60)
  assert.equal(othersEndAt, first.certificate.notAfter)
})

test('Without an overlap the previous certificate stops working at once', async () => {
  const directory = await initialized()
  await add(directory, 'Phone')
  const { device, othersEndAt } = await renew(directory, 'Phone', 0, 60)
  assert.equal(othersEndAt, NOON_SECONDS + 60)
  assert.equal(device.certificates[0]?.endsAt, NOON_SECONDS + 60)
})

test('Certificates that have already expired are left as they were', async () => {
  const directory = await initialized()
  await add(directory, 'Phone', 10)
  const { device, othersEndAt } = await renew(directory, 'Phone', DAY, 20 * DAY)
  assert.equal(othersEndAt, undefined)
  assert.equal(device.certificates[0]?.endsAt, undefined)
})

test('A revoked device can come back only under a new name', async () => {
  const directory = await initialized()
  await add(directory, 'Phone')
  await revokeDevice(directory.change(10), 'Phone', 'all', 'keyCompromise')
  assert.match(
    await problemOf(renew(directory, 'Phone', DAY, 60)),
    /^all certificates of "Phone" are revoked\nhint: add its replacement under a new/,
  )
})

test('An unknown device is reported', async () => {
  const directory = await initialized()
  assert.match(await problemOf(renew(directory, 'Phone', DAY, 60)), /^there is no device "Phone"/)
})

test('A device whose first certificate was never handed out gets one', async () => {
  const directory = await initialized()
  const { device } = await add(directory, 'Phone')
  await writeFile(
    join(directory.paths.devices, `${device.id}.json`),
    JSON.stringify({ schemaVersion: 1, name: 'Phone', owner: 'Ada', certificates: [] }),
  )
  const renewed = await renew(directory, 'Phone', DAY, 60)
  assert.equal(renewed.othersEndAt, undefined)
  assert.equal(renewed.device.certificates.length, 1)
})
