import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import {
  blockCertificate,
  readBlocksFile,
  signOut,
  unblockCertificate,
} from '../../src/administration/block-certificate.ts'
import {
  certificateIdByFingerprint,
  certificateIdOfFile,
  certificateIdOfSerial,
} from '../../src/administration/find-certificate.ts'
import { findKnownName } from '../../src/administration/unregistered.ts'
import type { SeenCertificate } from '../../src/store/service-state.ts'
import { runningId, writeRunning } from '../../src/store/service-state-files.ts'
import { initialized, lettingIn, problemOf, type TestDirectory } from '../support/command.ts'
import { makeAuthority, makeLeaf, NOON_SECONDS, ownAuthority, present } from '../support/service.ts'

const DAY = 86_400

const add = (directory: TestDirectory, name: string) =>
  addDevice(directory.change(), { name, owner: undefined }, directory.issue())

const PAIR = { issuerKeyHash: 'A'.repeat(43), serial: '4f1c08' }

/** What a service that runs has seen. */
const writeSeen = (directory: TestDirectory, lastSeen: readonly SeenCertificate[]) =>
  writeRunning(directory.paths.running, runningId('host', '127.0.0.1:9180'), {
    schemaVersion: 1,
    listen: '127.0.0.1:9180',
    host: 'host',
    version: '0.0.0',
    startedAt: NOON_SECONDS,
    stoppedAt: undefined,
    crlNumber: undefined,
    blocksNumber: 0,
    keySet: '0',
    lastSeen,
  })

const SEEN: SeenCertificate = {
  ...PAIR,
  name: 'ada@example.org',
  sha256: createHash('sha256').update('certificate').digest('base64url'),
  notAfter: undefined,
  certificateAt: NOON_SECONDS,
  sessionAt: 0,
}

test('A blocked certificate is denied, and only the service can read the list of blocks', async () => {
  const directory = await initialized()
  const { device } = await add(directory, 'Phone')
  const { issuerKeyHash = '', serial = '' } = device.certificates[0] ?? {}
  const blocked = await blockCertificate(directory.change(), { issuerKeyHash, serial })
  assert.deepEqual(blocked, {
    blocksNumber: NOON_SECONDS,
    hasChanged: true,
    hasEndedInvitation: false,
  })
  assert.equal((await stat(directory.paths.blocks)).mode & 0o777, 0o600)
  assert.deepEqual(await lettingIn(directory.dataDir), [])
  await unblockCertificate(directory.change(), { issuerKeyHash, serial })
  assert.deepEqual(await lettingIn(directory.dataDir), ['Phone'])
})

test('Each change of the blocks increments their number; blocking again changes nothing', async () => {
  const directory = await initialized()
  const first = await blockCertificate(directory.change(), PAIR)
  assert.deepEqual(await blockCertificate(directory.change(10), PAIR), {
    blocksNumber: first.blocksNumber,
    hasChanged: false,
    hasEndedInvitation: false,
  })
  const other = { ...PAIR, serial: '4f1c09' }
  assert.deepEqual(await blockCertificate(directory.change(), other), {
    blocksNumber: first.blocksNumber + 1,
    hasChanged: true,
    hasEndedInvitation: false,
  })
  assert.deepEqual(
    (await unblockCertificate(directory.change(60), PAIR)).blocksNumber,
    NOON_SECONDS + 60,
  )
  const { certificates } = await readBlocksFile(directory.paths)
  assert.deepEqual(certificates, [{ ...other, blockedAt: NOON_SECONDS }])
  assert.equal(
    await problemOf(unblockCertificate(directory.change(), PAIR)),
    'this certificate is not blocked',
  )
})

test('For each name only the latest sign-out is kept, and it is dropped once all affected sessions are over', async () => {
  const directory = await initialized()
  await signOut(directory.change(), 'Phone')
  await signOut(directory.change(10), 'Tablet')
  await signOut(directory.change(20), 'Phone')
  assert.deepEqual((await readBlocksFile(directory.paths)).signOuts, [
    { name: 'Tablet', at: NOON_SECONDS + 10 },
    { name: 'Phone', at: NOON_SECONDS + 20 },
  ])
  await signOut(directory.change(401 * DAY), 'Watch')
  assert.deepEqual((await readBlocksFile(directory.paths)).signOuts, [
    { name: 'Watch', at: NOON_SECONDS + 401 * DAY },
  ])
})

test('A broken list of blocks is not overwritten', async () => {
  const directory = await initialized()
  await writeFile(directory.paths.blocks, '{}')
  assert.match(
    await problemOf(signOut(directory.change(), 'Phone')),
    /blocks\.json is not a list of blocks\nhint: restore it from a backup$/,
  )
  assert.equal(await readFile(directory.paths.blocks, 'utf8'), '{}')
})

test('A certificate given as a file is identified by the CA that signed it', async () => {
  const directory = await initialized()
  const authority = await ownAuthority(directory.dataDir)
  const { der, serial } = makeLeaf(authority)
  const { authority: caFile } = directory.paths
  const pair = await certificateIdOfFile('leaf.pem', der, caFile)
  assert.equal(pair.issuerKeyHash, authority.keyHash)
  assert.equal(pair.serial, serial)
})

test('A certificate that grants no access need not be blocked', async () => {
  const directory = await initialized()
  const { authority: caFile } = directory.paths
  const { der } = makeLeaf(makeAuthority('Other'))
  assert.match(
    await problemOf(certificateIdOfFile('leaf.pem', der, caFile)),
    /^leaf\.pem: no CA in .*ca\.crt has signed it, so it is never accepted; there is nothing to block$/,
  )
  assert.match(
    await problemOf(certificateIdOfFile('leaf.pem', Buffer.from('0'), caFile)),
    /^leaf\.pem: certificate-malformed, so it is never accepted; there is nothing to block$/,
  )
  assert.match(
    await problemOf(certificateIdOfFile('x', der, '/no/ca.pem')),
    /^\/no\/ca\.pem does not exist$/,
  )
})

test('Serial numbers are accepted in the usual notations', () => {
  const { certificate, keyHash } = makeAuthority('Household')
  for (const spelled of ['4F:1C:08', '4f1c08', '004F1C08', ' 4f 1c 08 ', '0:4f1c08']) {
    assert.deepEqual(certificateIdOfSerial(spelled, 'ca.crt', certificate.der), {
      issuerKeyHash: keyHash,
      serial: '4f1c08',
    })
  }
  // One with a high first bit has a zero in front in DER, which is no part of the number.
  assert.equal(certificateIdOfSerial('ff', 'ca.crt', certificate.der).serial, 'ff')
  assert.equal(certificateIdOfSerial('0', 'ca.crt', certificate.der).serial, '00')
})

test('An invalid serial number, or a file that is not a CA, is a usage error', async () => {
  const { certificate } = makeAuthority('Household')
  for (const text of ['', 'xyz', '4f:1g', 'f'.repeat(44)]) {
    const read = async () => certificateIdOfSerial(text, 'ca.crt', certificate.der)
    assert.match(
      await problemOf(read()),
      /^the serial number is ".*": expected hexadecimal digits such as/,
    )
  }
  const read = async () => certificateIdOfSerial('4f', 'ca.crt', Buffer.from('0'))
  assert.match(await problemOf(read()), /^ca\.crt is not a certificate in strict DER$/)
})

test('A fingerprint identifies only a certificate that was granted access', async () => {
  const directory = await initialized()
  await writeSeen(directory, [SEEN])
  const hex = createHash('sha256').update('certificate').digest('hex')
  const colons = (hex.toUpperCase().match(/../g) ?? []).join(':')
  const { issuerKeyHash, serial } = await certificateIdByFingerprint(directory.paths, colons)
  assert.deepEqual({ issuerKeyHash, serial }, PAIR)
  assert.match(
    await problemOf(
      certificateIdByFingerprint(directory.paths, '0'.repeat(64), { longestMilliseconds: 0 }),
    ),
    /^no certificate with this fingerprint has been accepted so far\nhint: name it by its file/,
  )
  assert.match(
    await problemOf(certificateIdByFingerprint(directory.paths, 'abc')),
    /^the fingerprint is "abc": expected a SHA-256 fingerprint, 64 hexadecimal digits$/,
  )
})

test('A sign-out applies to a device or, with an external CA, to a name that was granted access', async () => {
  const directory = await initialized()
  const { paths } = directory
  await add(directory, "Ada's phone")
  await writeSeen(directory, [SEEN])
  assert.equal(await findKnownName(paths, "ada's phone", 'built-in'), "Ada's phone")
  assert.equal(await findKnownName(paths, 'ada@example.org', 'external'), 'ada@example.org')
  assert.match(
    await problemOf(findKnownName(paths, 'Bob', 'built-in')),
    /^there is no device "Bob"/,
  )
  assert.match(
    await problemOf(findKnownName(paths, "Ada's phone", 'external', { longestMilliseconds: 0 })),
    /^no certificate with the name "Ada's phone" has been accepted so far\nhint: certlatch device list shows the names$/,
  )
  assert.match(
    await problemOf(findKnownName(paths, 'ada@example.org', 'built-in')),
    /^there is no device "ada@example.org"/,
  )
})

test('A missing folder for packages is created', async () => {
  const directory = await initialized()
  const { package: parcel } = await add(directory, 'Phone')
  assert.equal((await stat(join(present(parcel.path), '..'))).mode & 0o777, 0o700)
})

test('A sign-out also ends sessions created by a service whose clock is ahead', async () => {
  const directory = await initialized()
  await writeSeen(directory, [{ ...SEEN, name: 'Phone', certificateAt: NOON_SECONDS + 600 }])
  await signOut(directory.change(), 'Phone')
  const at = async () => (await readBlocksFile(directory.paths)).signOuts[0]?.at
  assert.equal(await at(), NOON_SECONDS + 600)
  // The clock of the command was set back since.
  await signOut(directory.change(-600), 'Phone')
  assert.equal(await at(), NOON_SECONDS + 600)
})

test('A recent visitor is found once the running service has written its state file', async () => {
  const directory = await initialized()
  const { paths } = directory
  await writeSeen(directory, [])
  const hex = createHash('sha256').update('certificate').digest('hex')
  const told: string[] = []
  const search = () => ({
    notify: (line: string) => told.push(line),
    now: () => 0,
    sleep: () => writeSeen(directory, [SEEN]),
  })
  const { serial } = await certificateIdByFingerprint(paths, hex, search())
  assert.equal(serial, PAIR.serial)
  await writeSeen(directory, [])
  assert.equal(await findKnownName(paths, SEEN.name, 'external', search()), SEEN.name)
  assert.equal(told.length, 2)
  assert.match(
    told[0] ?? '',
    /^not seen so far: waiting for the next report of each running service$/,
  )
})

test('The search does not wait for a silent service, or for one that has already written again', async () => {
  const directory = await initialized()
  await writeSeen(directory, [])
  let milliseconds = 0
  let pauses = 0
  const search = (onPause: () => Promise<unknown>) => ({
    now: () => milliseconds,
    sleep: (pause: number) => {
      milliseconds += pause
      pauses += 1
      return onPause()
    },
  })
  const find = (onPause: () => Promise<unknown>) =>
    problemOf(findKnownName(directory.paths, 'Eve', 'external', search(onPause)))
  assert.match(await find(() => writeSeen(directory, [])), /^no certificate with the name "Eve"/)
  assert.equal(pauses, 1)
  assert.match(await find(async () => undefined), /^no certificate with the name "Eve"/)
  assert.equal(pauses, 1 + 44)
})
