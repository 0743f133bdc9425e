import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import { blockCertificate } from '../../src/administration/block-certificate.ts'
import { findReport, reportDevices } from '../../src/administration/device-report.ts'
import { renewAuthority } from '../../src/administration/renew-authority.ts'
import { renewDevice } from '../../src/administration/renew-device.ts'
import { revokeDevice } from '../../src/administration/revoke-device.ts'
import { runningId, writeRunning } from '../../src/store/service-state-files.ts'
import { initialized, problemOf, type TestDirectory } from '../support/command.ts'
import { makeList, NOON_SECONDS, ownAuthority, present } from '../support/service.ts'

const DAY = 86_400

const add = (directory: TestDirectory, name: string, days = 397) =>
  addDevice(directory.change(), { name, owner: undefined }, directory.issue({ days }))

const statesOf = async (directory: TestDirectory, later = 0) =>
  Object.fromEntries(
    (await reportDevices(directory.paths, NOON_SECONDS + later)).map(({ name, state }) => [
      name,
      state,
    ]),
  )

test('Each state matches how a request from the device would be decided', async () => {
  const directory = await initialized({ days: 1000 })
  for (const name of ['Active', 'Blocked', 'Listed', 'Replaced', 'Revoked']) {
    await add(directory, name)
  }
  await add(directory, 'Expired', 1)
  const { device } = await add(directory, 'Empty')
  await writeFile(
    join(directory.paths.devices, `${device.id}.json`),
    JSON.stringify({ schemaVersion: 1, name: 'Empty', certificates: [] }),
  )
  const { certificates } = await findReport(directory.paths, 'Blocked', NOON_SECONDS)
  await blockCertificate(directory.change(), present(certificates[0]))
  await renewDevice(directory.change(10), 'Replaced', directory.issue({ days: 2 }), 20)
  await revokeDevice(directory.change(20), 'Revoked', 'all', 'unspecified')
  assert.deepEqual(await statesOf(directory, 29), {
    ...{ Active: 'active', Blocked: 'blocked', Empty: 'no-certificate', Expired: 'active' },
    ...{ Listed: 'active', Replaced: 'active', Revoked: 'revoked' },
  })
  assert.deepEqual(await statesOf(directory, 3 * DAY), {
    ...{ Active: 'active', Blocked: 'blocked', Empty: 'no-certificate', Expired: 'expired' },
    ...{ Listed: 'active', Replaced: 'expired', Revoked: 'revoked' },
  })
  assert.equal((await statesOf(directory, -2 * 3600))['Active'], 'not-yet-valid')
  const replaced = await findReport(directory.paths, 'replaced', NOON_SECONDS + 30)
  assert.deepEqual(
    replaced.certificates.map(({ state }) => state),
    ['replaced', 'active'],
  )
})

test('A revocation recorded only in the CRL counts, and is shown with its date and reason', async () => {
  const directory = await initialized()
  const { certificate } = await add(directory, 'Phone')
  const authority = await ownAuthority(directory.dataDir)
  const list = makeList(authority, { revoked: [certificate.serial] })
  await writeFile(directory.paths.revocationList, list)
  const report = await findReport(directory.paths, 'Phone', NOON_SECONDS)
  assert.equal(report.state, 'revoked')
  assert.equal(report.certificates[0]?.revokedAt, NOON_SECONDS)
  assert.equal(report.certificates[0]?.reason, 'unspecified')
})

test('A certificate of a CA that was removed grants no access', async () => {
  const directory = await initialized({ days: 5 })
  await add(directory, 'Phone')
  await renewAuthority(directory.change(6 * DAY), { commonName: undefined, days: 9 })
  const { state, certificates } = await findReport(directory.paths, 'Phone', NOON_SECONDS)
  assert.equal(state, 'untrusted-ca')
  assert.equal(certificates[0]?.authority, undefined)
})

test('Devices are sorted by name, and an unknown one is reported', async () => {
  const directory = await initialized()
  for (const name of ['Zoe', 'Änne', 'bob']) await add(directory, name)
  const reports = await reportDevices(directory.paths, NOON_SECONDS)
  assert.deepEqual(
    reports.map(({ name }) => name),
    ['Änne', 'bob', 'Zoe'],
  )
  assert.match(
    await problemOf(findReport(directory.paths, 'Eve', NOON_SECONDS)),
    /^there is no device "Eve"/,
  )
})

test('A device was last seen when any service last saw any of its certificates', async () => {
  const directory = await initialized()
  const { device } = await add(directory, 'Phone')
  const { issuerKeyHash, serial } = present(device.certificates[0])
  for (const [listen, certificateAt, sessionAt] of [
    ['127.0.0.1:1', NOON_SECONDS + 5, 0],
    ['127.0.0.1:2', NOON_SECONDS + 1, NOON_SECONDS + 9],
  ] as const) {
    const seen = { issuerKeyHash, serial, name: 'Phone', certificateAt, sessionAt }
    await writeRunning(directory.paths.running, runningId('host', listen), {
      ...{ schemaVersion: 1, listen, host: 'host', version: '0', startedAt: 0 },
      ...{ stoppedAt: undefined, crlNumber: undefined, blocksNumber: 0, keySet: '0' },
      lastSeen: [{ ...seen, sha256: undefined, notAfter: undefined }],
    })
  }
  const report = await findReport(directory.paths, 'Phone', NOON_SECONDS)
  assert.equal(report.lastSeenAt, NOON_SECONDS + 9)
  assert.equal(report.certificates[0]?.seenByCertificateAt, NOON_SECONDS + 5)
  assert.equal(report.certificates[0]?.seenBySessionAt, NOON_SECONDS + 9)
})
