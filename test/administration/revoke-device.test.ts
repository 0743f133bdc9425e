import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import { readOwnAuthorities } from '../../src/administration/authorities.ts'
import { inviteDevice } from '../../src/administration/invite-device.ts'
import { renewAuthority } from '../../src/administration/renew-authority.ts'
import { renewDevice } from '../../src/administration/renew-device.ts'
import { type RevokedPart, revokeDevice } from '../../src/administration/revoke-device.ts'
import type { RevocationReason } from '../../src/certificate/revocation-reason.ts'
import { runningId, writeRunning } from '../../src/store/service-state-files.ts'
import type { Snapshot } from '../../src/store/snapshot.ts'
import {
  initialized,
  lettingIn,
  problemOf,
  snapshotOf,
  type TestDirectory,
  treeOf,
} from '../support/command.ts'
import { makeList, NOON_SECONDS, ownAuthority, present } from '../support/service.ts'

const DAY = 86_400

const add = (directory: TestDirectory, name: string) =>
  addDevice(directory.change(), { name, owner: undefined }, directory.issue())

const renew = (directory: TestDirectory, name: string, later = 0, overlap = DAY) =>
  renewDevice(directory.change(later), name, directory.issue(), overlap)

interface Revoking {
  readonly part?: RevokedPart
  readonly reason?: RevocationReason
  readonly later?: number
}

const revoke = (
  directory: TestDirectory,
  name: string,
  { part = 'all', reason = 'unspecified', later = 60 }: Revoking = {},
) => revokeDevice(directory.change(later), name, part, reason)

test('A revoked device is on the CRL with date and reason, and is marked in the registry', async () => {
  const directory = await initialized()
  const { certificate } = await add(directory, 'Phone')
  await add(directory, 'Tablet')
  const revoked = await revoke(directory, 'phone', { reason: 'keyCompromise' })
  assert.ok(!revoked.wasRevoked)
  assert.equal(revoked.device.certificates[0]?.revokedAt, NOON_SECONDS + 60)
  assert.equal(revoked.device.certificates[0]?.reason, 'keyCompromise')
  const { lists } = await readOwnAuthorities(directory.paths)
  const [list] = [...lists.values()]
  assert.deepEqual(list?.entries, [
    { serial: certificate.serial, revokedAt: NOON_SECONDS + 60, reason: 'keyCompromise' },
  ])
  assert.equal(list?.number, revoked.crlNumber)
  assert.deepEqual(await lettingIn(directory.dataDir), ['Tablet'])
  const { registry } = await snapshotOf(directory.dataDir)
  assert.ok(present(registry).devices.some(({ certificates }) => certificates[0]?.revokedAt))
})

test('Each CRL has a higher number than the previous one, even within the same second', async () => {
  const directory = await initialized()
  const numbers: bigint[] = []
  for (const name of ['A', 'B', 'C']) {
    await add(directory, name)
    numbers.push((await revoke(directory, name, { later: 0 })).crlNumber)
  }
  const noon = BigInt(NOON_SECONDS)
  assert.deepEqual(numbers, [noon + 1n, noon + 2n, noon + 3n])
  await add(directory, 'D')
  const { crlNumber } = await revoke(directory, 'D', { later: DAY })
  assert.equal(crlNumber, BigInt(NOON_SECONDS + DAY))
})

test('A CRL written while the clock was ahead locks no one out, and a later one replaces it', async () => {
  const directory = await initialized()
  for (const name of ['A', 'B']) await add(directory, name)
  await revoke(directory, 'A', { later: DAY })
  const before = await snapshotOf(directory.dataDir)
  const listOf = ({ trust }: Snapshot) => present([...trust.revocationLists.values()][0])
  await revoke(directory, 'B', { later: 0 })
  const after = await snapshotOf(directory.dataDir)
  assert.ok(listOf(after).thisUpdate < listOf(before).thisUpdate)
  assert.ok(present(listOf(after).number) > present(listOf(before).number))
})

test('Revoked certificates stay revoked when a backup restores an older CRL and another device is revoked', async () => {
  const directory = await initialized()
  for (const name of ['A', 'B']) await add(directory, name)
  const older = await readFile(directory.paths.revocationList)
  const first = await revoke(directory, 'A')
  await writeFile(directory.paths.revocationList, older)
  assert.deepEqual(await lettingIn(directory.dataDir), ['B'])
  const second = await revoke(directory, 'B')
  assert.ok(second.crlNumber >= first.crlNumber)
  const [list] = [...(await readOwnAuthorities(directory.paths)).lists.values()]
  assert.equal(list?.entries.length, 2)
})

test("A new CRL's number is higher than that of the CRL a service has loaded", async () => {
  const directory = await initialized()
  await add(directory, 'Phone')
  const crlNumber = String(NOON_SECONDS + DAY)
  await writeRunning(directory.paths.running, runningId('host', '127.0.0.1:9180'), {
    ...{ schemaVersion: 1, listen: '127.0.0.1:9180', host: 'host', version: '0.0.0' },
    ...{ startedAt: NOON_SECONDS, stoppedAt: undefined, blocksNumber: 0, keySet: '0' },
    ...{ lastSeen: [], crlNumber },
  })
  assert.equal((await revoke(directory, 'Phone')).crlNumber, BigInt(crlNumber) + 1n)
})

test("Nothing is signed while the clock is earlier than the CA's start", async () => {
  const directory = await initialized()
  await add(directory, 'Phone')
  assert.match(await problemOf(revoke(directory, 'Phone', { later: -DAY })), /the clock is wrong/)
})

test("An already revoked device is reported as such, without the CA's key, with the CRL number to wait for", async () => {
  const directory = await initialized()
  await add(directory, 'Phone')
  const first = await revoke(directory, 'Phone', { reason: 'superseded' })
  await rm(directory.paths.authorityKey)
  const before = await treeOf(directory.dataDir)
  const second = await revoke(directory, 'Phone', { later: 120 })
  assert.ok(second.wasRevoked)
  assert.equal(second.crlNumber, first.crlNumber)
  assert.equal(second.device.certificates[0]?.reason, 'superseded')
  assert.deepEqual(await treeOf(directory.dataDir), before)
})

test('After a previous CA has expired, the CRL to wait for is the one that lists the certificates', async () => {
  const directory = await initialized({ days: 5 })
  await renewAuthority(directory.change(10), { commonName: undefined, days: 30 })
  await add(directory, 'New')
  const first = await revoke(directory, 'New', { later: 6 * DAY })
  const second = await revoke(directory, 'New', { later: 6 * DAY + 60 })
  assert.ok(second.wasRevoked)
  assert.equal(second.crlNumber, first.crlNumber)
})

test('A CRL that was published without marking the device is completed by the next call', async () => {
  const directory = await initialized()
  const { certificate } = await add(directory, 'Phone')
  const authority = await ownAuthority(directory.dataDir)
  await writeFile(
    directory.paths.revocationList,
    makeList(authority, { revoked: [certificate.serial] }),
  )
  const revoked = await revoke(directory, 'Phone', { later: 120 })
  assert.ok(revoked.wasRevoked)
  const { registry } = await snapshotOf(directory.dataDir)
  assert.equal(registry?.devices[0]?.certificates[0]?.revokedAt, NOON_SECONDS + 120)
})

test('On request, only certificates that a renewal replaced are revoked', async () => {
  const directory = await initialized()
  const old = await add(directory, 'Phone')
  assert.match(
    await problemOf(revoke(directory, 'Phone', { part: 'replaced' })),
    /^none of the certificates of "Phone" has been replaced\nhint: /,
  )
  await renew(directory, 'Phone', 10)
  const { certificates } = await revoke(directory, 'Phone', { part: 'replaced' })
  assert.deepEqual(
    certificates.map(({ serial }) => serial),
    [old.certificate.serial],
  )
  assert.deepEqual(await lettingIn(directory.dataDir), ['Phone'])
})

test('A renewal that was not collected has replaced nothing', async () => {
  const directory = await initialized()
  await add(directory, 'Phone')
  await inviteDevice(
    directory.change(10),
    { name: 'Phone', owner: undefined },
    { days: 397, key: 'p256', validSeconds: DAY, site: 'https://ha.test', overlapSeconds: 0 },
  )
  const before = await treeOf(directory.dataDir)
  assert.match(
    await problemOf(revoke(directory, 'Phone', { part: 'replaced' })),
    /^none of the certificates of "Phone" has been replaced/,
  )
  assert.deepEqual(await treeOf(directory.dataDir), before)
})

test('An older certificate that was registered later has replaced nothing', async () => {
  const directory = await initialized()
  const { device } = await add(directory, 'Phone')
  const [current] = device.certificates
  const older = { ...present(current), serial: '4a', notBefore: NOON_SECONDS - 2 * DAY }
  const entry = { schemaVersion: 1, name: 'Phone', certificates: [current, older] }
  const path = `${directory.paths.devices}/${device.id}.json`
  await writeFile(path, JSON.stringify(entry))
  const replaced = { part: 'replaced' } as const
  assert.match(await problemOf(revoke(directory, 'Phone', replaced)), /has been replaced/)
  const renewed = await renew(directory, 'Phone', 10)
  const { certificates } = await revoke(directory, 'Phone', replaced)
  assert.deepEqual(
    certificates.map(({ serial }) => serial),
    [current?.serial, '4a'],
  )
  const { registry } = await snapshotOf(directory.dataDir)
  assert.equal(present(registry).devices[0]?.certificates.at(-1)?.serial, renewed.entry.serial)
  assert.deepEqual(await lettingIn(directory.dataDir), ['Phone'])
})

test('The newest usable certificate is not revoked as replaced if its successor was revoked', async () => {
  const directory = await initialized()
  const first = await add(directory, 'Phone')
  const second = await renew(directory, 'Phone', 3_600)
  const third = await renew(directory, 'Phone', 7_200)
  const later = 7_260
  await revoke(directory, 'Phone', { part: { serial: third.entry.serial }, later })
  const { certificates } = await revoke(directory, 'Phone', { part: 'replaced', later })
  assert.deepEqual(
    certificates.map(({ serial }) => serial),
    [first.entry.serial],
  )
  const { registry } = await snapshotOf(directory.dataDir)
  assert.equal(present(registry).devices[0]?.certificates[1]?.serial, second.entry.serial)
})

test('A single certificate is identified by its serial number, as displayed', async () => {
  const directory = await initialized()
  const { certificate } = await add(directory, 'Phone')
  await renew(directory, 'Phone', 10)
  const colons = (certificate.serial.toUpperCase().match(/../g) ?? []).join(':')
  const { certificates } = await revoke(directory, 'Phone', { part: { serial: colons } })
  assert.deepEqual(
    certificates.map(({ serial }) => serial),
    [certificate.serial],
  )
  assert.match(
    await problemOf(revoke(directory, 'Phone', { part: { serial: '4f1c' } })),
    /^"Phone" has no certificate 4f1c\nhint: certlatch device show lists those that it has$/,
  )
})

test('An unknown device is reported with a hint where to look, and nothing changes', async () => {
  const directory = await initialized()
  await add(directory, 'Phone')
  const before = await treeOf(directory.dataDir)
  assert.equal(
    await problemOf(revoke(directory, 'Fone')),
    'there is no device "Fone"\nhint: certlatch device list shows all',
  )
  assert.deepEqual(await treeOf(directory.dataDir), before)
})

test("Certificates of a previous CA are revoked with that CA's key, under the same number", async () => {
  const directory = await initialized()
  await add(directory, 'Old')
  await renewAuthority(directory.change(10), { commonName: undefined, days: 30 })
  await add(directory, 'New')
  const { crlNumber } = await revoke(directory, 'Old')
  const { lists } = await readOwnAuthorities(directory.paths)
  assert.deepEqual(
    [...lists.values()].map(({ number, entries }) => [number, entries.length]),
    [
      [crlNumber, 1],
      [crlNumber, 0],
    ],
  )
  assert.deepEqual(await lettingIn(directory.dataDir), ['New'])
})

test('Without the key of a previous CA its CRL cannot be written, and nothing changes', async () => {
  const directory = await initialized()
  const { device } = await add(directory, 'Old')
  await renewAuthority(directory.change(10), { commonName: undefined, days: 30 })
  const keyHash = present(device.certificates[0]).issuerKeyHash
  const path = directory.paths.previousKeyOf(keyHash)
  await writeFile(path, await readFile(directory.paths.authorityKey))
  assert.match(
    await problemOf(revoke(directory, 'Old')),
    /is not the key of the CA that it is named after\nhint: .*certlatch device block/,
  )
  await rm(path)
  const before = await treeOf(directory.dataDir)
  assert.match(
    await problemOf(revoke(directory, 'Old')),
    /\.key does not exist\nhint: put the key of the CA back/,
  )
  assert.deepEqual(await treeOf(directory.dataDir), before)
})

test('A device without certificates, or with only those of a removed CA, has nothing to revoke', async () => {
  const directory = await initialized({ days: 5 })
  const { device } = await add(directory, 'Old')
  const change = directory.change(6 * DAY)
  const renewed = await renewAuthority(change, { commonName: undefined, days: 30 })
  assert.equal(renewed.dropped.length, 1)
  assert.match(
    await problemOf(revoke(directory, 'Old', { later: 6 * DAY })),
    /has nothing to revoke: certificates of a CA that is no longer in .*ca\.crt are never accepted$/,
  )
  const empty = { schemaVersion: 1, name: 'Never', certificates: [] }
  await writeFile(`${directory.paths.devices}/0a.json`, JSON.stringify(empty))
  assert.match(
    await problemOf(revoke(directory, 'Never')),
    /^"Never" has no certificate: there is nothing to revoke$/,
  )
  assert.ok(device.id)
})
