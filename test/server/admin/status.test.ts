import assert from 'node:assert/strict'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLastHour } from '../../../src/server/admin/last-hour.ts'
import { dataPaths } from '../../../src/store/data-directory.ts'
import { writeDevice } from '../../../src/store/device-registry.ts'
import {
  addTestDevice,
  CLOSED_UNANSWERED,
  makeAuthority,
  makeLeaf,
  makeList,
  NOON_SECONDS,
  openConnection,
  ownAuthority,
  present,
  sessionOf,
  startTestService,
  type TestService,
} from '../../support/service.ts'

const DAY = 86_400

const statusOf = async (service: TestService) =>
  JSON.parse((await service.admin('/status')).body.toString())

const seenMetric = (service: TestService, device: string, via: string) =>
  service.metric('certlatch_device_last_seen_timestamp_seconds', { device, via })

const endMetric = (service: TestService, device: string) =>
  service.metric('certlatch_device_certificate_not_after_timestamp_seconds', { device })

async function publish(service: TestService, revoked: readonly string[]): Promise<void> {
  const authority = await ownAuthority(service.dataDir)
  const list = makeList(authority, { nextUpdate: NOON_SECONDS + 3650 * DAY, revoked })
  const { revocationList } = dataPaths(service.dataDir)
  await writeFile(`${revocationList}.new`, list)
  await rename(`${revocationList}.new`, revocationList)
  await service.refresh()
}

test('/status of a new service: no visitors yet, everything in order', async (context) => {
  const service = await startTestService(context)
  const status = await statusOf(service)
  const { checks, authorities, revocationLists, keySet, ...rest } = status
  assert.deepEqual(rest, {
    schemaVersion: 1,
    version: '0.0.0-test',
    node: process.version,
    now: NOON_SECONDS,
    startedAt: NOON_SECONDS,
    ready: true,
    crlNumber: String(NOON_SECONDS),
    devices: [],
    others: { certificateAt: 0, sessionAt: 0, certificateNotAfter: 0 },
    lastHour: { allowed: 0, refused: 0, reasons: [] },
  })
  assert.ok(checks.every(({ ok }: { ok: boolean }) => ok))
  assert.match(keySet, /^[0-9a-f]{16}$/)
  assert.match(authorities[0].name, /^CN=Certlatch Device CA /)
  const [list] = revocationLists
  assert.deepEqual(list, {
    authority: authorities[0].name,
    number: String(NOON_SECONDS),
    nextUpdate: authorities[0].notAfter,
    revoked: 0,
  })
})

test('Devices are listed with owner, state, expiry, and when they last used which credential', async (context) => {
  const service = await startTestService(context)
  const phone = await addTestDevice(service.dataDir, 'Phone of Ada', 'Ada')
  await addTestDevice(service.dataDir, 'Tablet')
  await service.refresh()
  const cookie = sessionOf(await service.askWith(phone.certificate))
  service.clock.now += 60_000
  await service.ask([['Cookie', cookie]])
  const { devices } = await statusOf(service)
  const end = phone.certificate.notAfter
  assert.deepEqual(devices, [
    {
      name: 'Phone of Ada',
      owner: 'Ada',
      state: 'active',
      certificateAt: NOON_SECONDS,
      sessionAt: NOON_SECONDS + 60,
      certificateNotAfter: end,
    },
    { name: 'Tablet', state: 'active', certificateAt: 0, sessionAt: 0, certificateNotAfter: end },
  ])
  assert.equal(await seenMetric(service, 'Phone of Ada', 'certificate'), NOON_SECONDS)
  assert.equal(await seenMetric(service, 'Phone of Ada', 'session'), NOON_SECONDS + 60)
  assert.equal(await seenMetric(service, 'Tablet', 'session'), 0)
  assert.equal(await endMetric(service, 'Phone of Ada'), end)
  assert.equal(await service.metric('certlatch_devices', { state: 'active' }), 2)
})

test('A revoked or blocked device has no expiry to warn about; an expired one has', async (context) => {
  const service = await startTestService(context)
  const lost = await addTestDevice(service.dataDir, 'Lost')
  const blocked = await addTestDevice(service.dataDir, 'Blocked')
  await addTestDevice(service.dataDir, 'Old', undefined, { notAfter: NOON_SECONDS - 60 })
  await addTestDevice(service.dataDir, 'Early', undefined, { notBefore: NOON_SECONDS + 60 })
  await writeDevice(dataPaths(service.dataDir).devices, 'abc', {
    name: 'Without',
    owner: undefined,
    certificates: [],
  })
  const { keyHash: issuerKeyHash } = await ownAuthority(service.dataDir)
  const certificates = [
    { issuerKeyHash, serial: blocked.certificate.serial, blockedAt: NOON_SECONDS },
  ]
  const blocks = { schemaVersion: 1, number: 1, certificates, signOuts: [] }
  await writeFile(dataPaths(service.dataDir).blocks, JSON.stringify(blocks))
  await publish(service, [lost.certificate.serial])
  const { devices, revocationLists } = await statusOf(service)
  const told = devices.map(
    (device: { name: string; state: string; certificateNotAfter: number }) => [
      device.name,
      device.state,
      device.certificateNotAfter,
    ],
  )
  const year = NOON_SECONDS + 365 * DAY
  assert.deepEqual(told, [
    ['Blocked', 'blocked', 0],
    ['Early', 'not-yet-valid', year],
    ['Lost', 'revoked', 0],
    ['Old', 'expired', NOON_SECONDS - 60],
    ['Without', 'no-certificate', 0],
  ])
  assert.equal(revocationLists[0].revoked, 1)
  assert.equal(await endMetric(service, 'Lost'), 0)
  for (const state of ['blocked', 'not-yet-valid', 'revoked', 'expired', 'no-certificate']) {
    assert.equal(await service.metric('certlatch_devices', { state }), 1, state)
  }
  assert.equal(await service.metric('certlatch_crl_number'), NOON_SECONDS + 1)
})

test('After a renewal the expiry is that of the certificate which the device uses', async (context) => {
  const service = await startTestService(context)
  const authority = await ownAuthority(service.dataDir)
  const entry = (certificate: ReturnType<typeof makeLeaf>) => ({
    issuerKeyHash: authority.keyHash,
    serial: certificate.serial,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
  })
  const before = makeLeaf(authority, 'Phone')
  const renewed = makeLeaf(authority, 'Phone', { notAfter: NOON_SECONDS + 400 * DAY })
  const grace = NOON_SECONDS + 14 * DAY
  await writeDevice(dataPaths(service.dataDir).devices, 'abc', {
    name: 'Phone',
    owner: undefined,
    certificates: [{ ...entry(before), endsAt: grace }, entry(renewed)],
  })
  await service.refresh()
  assert.equal(await endMetric(service, 'Phone'), renewed.notAfter, 'none was used yet')
  await service.askWith(before)
  assert.equal(await endMetric(service, 'Phone'), grace, 'the old one goes on being used')
  service.clock.now += DAY * 1000
  await service.askWith(renewed)
  assert.equal(await endMetric(service, 'Phone'), renewed.notAfter)
  service.clock.now += 15 * DAY * 1000
  assert.equal(await endMetric(service, 'Phone'), renewed.notAfter)
  const { devices } = await statusOf(service)
  assert.equal(devices[0].state, 'active')
})

test("After a renewal without overlap the expiry is the new certificate's, once that is used", async (context) => {
  const service = await startTestService(context)
  const authority = await ownAuthority(service.dataDir)
  const before = makeLeaf(authority, 'Phone')
  const renewed = makeLeaf(authority, 'Phone', { notAfter: NOON_SECONDS + 400 * DAY })
  const entry = ({ serial, notBefore, notAfter }: typeof before) => ({
    ...{ issuerKeyHash: authority.keyHash, serial, notBefore, notAfter },
  })
  const write = (certificates: Parameters<typeof writeDevice>[2]['certificates']) =>
    writeDevice(dataPaths(service.dataDir).devices, 'abc', {
      ...{ name: 'Phone', owner: undefined, certificates },
    })
  await write([entry(before)])
  await service.refresh()
  await service.askWith(before)
  service.clock.now += 60_000
  const now = NOON_SECONDS + 60
  await write([
    { ...entry(before), endsAt: now },
    { ...entry(renewed), issuedAt: now },
  ])
  await service.refresh()
  assert.equal(await endMetric(service, 'Phone'), now, 'it has not got the new one yet')
  service.clock.now += 60_000
  await service.askWith(renewed)
  assert.equal(await endMetric(service, 'Phone'), renewed.notAfter)
})

test('With two certificates in use the earlier expiry is shown, whichever was used last', async (context) => {
  const service = await startTestService(context)
  const authority = await ownAuthority(service.dataDir)
  const before = makeLeaf(authority, 'Phone')
  const renewed = makeLeaf(authority, 'Phone', { notAfter: NOON_SECONDS + 400 * DAY })
  const grace = NOON_SECONDS + 2 * DAY
  const entry = ({ serial, notBefore, notAfter }: typeof before) => ({
    ...{ issuerKeyHash: authority.keyHash, serial, notBefore, notAfter },
  })
  await writeDevice(dataPaths(service.dataDir).devices, 'abc', {
    name: 'Phone',
    owner: undefined,
    certificates: [{ ...entry(before), endsAt: grace }, entry(renewed)],
  })
  await service.refresh()
  for (let hour = 0; hour < 48; hour += 1) {
    await service.askWith(hour % 2 === 0 ? before : renewed)
    assert.equal(await endMetric(service, 'Phone'), grace, `hour ${hour}`)
    service.clock.now += 3_600_000
  }
  await service.askWith(before)
  await service.askWith(renewed)
  assert.equal(await endMetric(service, 'Phone'), grace, 'the browser is locked out')
  service.clock.now += DAY * 1000
  await service.askWith(renewed)
  assert.equal(await endMetric(service, 'Phone'), renewed.notAfter, 'and does not try again')
})

test('A device that never used its new certificate is shown as what it is: locked out', async (context) => {
  const service = await startTestService(context)
  const authority = await ownAuthority(service.dataDir)
  const before = makeLeaf(authority, 'Tab')
  const renewed = makeLeaf(authority, 'Tab', { notAfter: NOON_SECONDS + 400 * DAY })
  const grace = NOON_SECONDS + 14 * DAY
  const entry = ({ serial, notBefore, notAfter }: typeof before) => ({
    ...{ issuerKeyHash: authority.keyHash, serial, notBefore, notAfter },
  })
  await writeDevice(dataPaths(service.dataDir).devices, 'abc', {
    name: 'Tab',
    owner: undefined,
    certificates: [{ ...entry(before), endsAt: grace }, entry(renewed)],
  })
  await service.refresh()
  await service.askWith(before)
  service.clock.now += 15 * DAY * 1000
  const { devices } = await statusOf(service)
  assert.equal(devices[0].state, 'replaced')
  assert.equal(devices[0].certificateNotAfter, grace)
  assert.equal(await service.metric('certlatch_devices', { state: 'active' }), 0)
})

test('A device without a usable certificate is shown with the reason: replaced, or of an untrusted CA', async (context) => {
  const service = await startTestService(context)
  const authority = await ownAuthority(service.dataDir)
  const { serial, notBefore, notAfter } = makeLeaf(authority, 'Phone')
  const other = makeAuthority('Gone')
  const { serial: lost } = makeLeaf(other, 'Orphan')
  const gone = { issuerKeyHash: other.keyHash, serial: lost, notBefore, notAfter }
  const devices = dataPaths(service.dataDir).devices
  const ended = { issuerKeyHash: authority.keyHash, serial, notBefore, notAfter }
  await writeDevice(devices, 'abc', {
    name: 'Ended',
    owner: undefined,
    certificates: [{ ...ended, endsAt: NOON_SECONDS - 1 }],
  })
  await writeDevice(devices, 'abd', { name: 'Orphan', owner: undefined, certificates: [gone] })
  await service.refresh()
  const status = await statusOf(service)
  assert.deepEqual(
    status.devices.map(({ state }: { state: string }) => state),
    ['replaced', 'untrusted-ca'],
  )
})

test('All holders named by an external CA are one series, however many they are', async (context) => {
  const authority = makeAuthority('Household')
  const external = { authorities: authority.pem, lists: makeList(authority) }
  const service = await startTestService(context, { external })
  const first = makeLeaf(authority, 'One', { uri: 'urn:one', notAfter: NOON_SECONDS + 9 * DAY })
  const second = makeLeaf(authority, 'Two', { uri: 'urn:two', notAfter: NOON_SECONDS + 5 * DAY })
  const cookie = sessionOf(await service.askWith(first))
  service.clock.now += 5_000
  await service.askWith(second)
  service.clock.now += 5_000
  await service.ask([['Cookie', cookie]])
  assert.equal(await seenMetric(service, 'other', 'certificate'), NOON_SECONDS + 5)
  assert.equal(await seenMetric(service, 'other', 'session'), NOON_SECONDS + 10)
  assert.equal(await endMetric(service, 'other'), second.notAfter, 'the first to end')
  service.clock.now += 6 * DAY * 1000
  assert.equal(await endMetric(service, 'other'), second.notAfter, 'it is locked out')
  service.clock.now += 7 * DAY * 1000
  assert.equal(await endMetric(service, 'other'), first.notAfter, 'what ended long ago is past')
  const { devices, others } = await statusOf(service)
  assert.deepEqual(devices, [])
  assert.equal(others.sessionAt, NOON_SECONDS + 10)
  assert.equal(await seenMetric(service, 'urn:one', 'session'), undefined)
})

test('With an external CA, neither a revoked nor a replaced certificate counts as the next expiry', async (context) => {
  const authority = makeAuthority('Household')
  const old = makeLeaf(authority, 'Bob', { uri: 'urn:bob', notAfter: NOON_SECONDS + 2 * DAY })
  const bob = makeLeaf(authority, 'Bob', { uri: 'urn:bob', notAfter: NOON_SECONDS + 300 * DAY })
  const eve = makeLeaf(authority, 'Eve', { uri: 'urn:eve', notAfter: NOON_SECONDS + 2 * DAY })
  const external = { authorities: authority.pem, lists: makeList(authority) }
  const service = await startTestService(context, { external })
  await service.askWith(old)
  await service.askWith(eve)
  assert.equal(await endMetric(service, 'other'), old.notAfter)
  const nextUpdate = NOON_SECONDS + 30 * DAY
  const list = makeList(authority, { nextUpdate, revoked: [eve.serial] })
  await writeFile(join(service.dataDir, 'external-crl.pem'), list)
  await service.refresh()
  service.clock.now += DAY * 1000
  await service.askWith(bob)
  assert.equal(await endMetric(service, 'other'), bob.notAfter)
})

test('The expiry of a CA that was renewed, and of its CRL, no longer matters', async (context) => {
  const gone = makeAuthority('Before', {
    notBefore: NOON_SECONDS - 30 * DAY,
    notAfter: NOON_SECONDS + DAY,
  })
  const successor = makeAuthority('Successor', {
    notBefore: NOON_SECONDS - 30 * DAY,
    notAfter: NOON_SECONDS + 900 * DAY,
  })
  const until = (nextUpdate: number) => ({ nextUpdate })
  const external = {
    authorities: gone.pem + successor.pem,
    lists:
      makeList(gone, until(NOON_SECONDS + DAY)) +
      makeList(successor, until(NOON_SECONDS + 800 * DAY)),
  }
  const service = await startTestService(context, { external })
  const end = () => service.metric('certlatch_ca_not_after_timestamp_seconds')
  const listEnd = () => service.metric('certlatch_crl_next_update_timestamp_seconds')
  assert.equal(await end(), NOON_SECONDS + DAY)
  assert.equal(await listEnd(), NOON_SECONDS + DAY)
  service.clock.now += 2 * DAY * 1000
  assert.equal(await end(), NOON_SECONDS + 900 * DAY)
  assert.equal(await listEnd(), NOON_SECONDS + 800 * DAY)
  const { checks } = await service.readiness()
  assert.deepEqual([checks['ca']?.ok, checks['crl']?.ok], [true, true])
  assert.match(
    String(checks['ca']?.detail),
    /^valid; expired, with all its certificates: .*CN=Before/,
  )
  service.clock.now += 900 * DAY * 1000
  assert.equal(await end(), NOON_SECONDS + DAY, 'where none is left')
  assert.equal((await service.readiness()).checks['ca']?.ok, false)
})

test('A built-in CA that no device in use needs is not warned about before it expires', async (context) => {
  const service = await startTestService(context)
  const own = await ownAuthority(service.dataDir)
  const before = makeAuthority('Before', {
    notBefore: NOON_SECONDS - 30 * DAY,
    notAfter: NOON_SECONDS + 60 * DAY,
  })
  const { authority, revocationList, devices } = dataPaths(service.dataDir)
  const nextUpdate = NOON_SECONDS + 3650 * DAY
  await writeFile(revocationList, makeList(before, { nextUpdate }) + makeList(own, { nextUpdate }))
  await writeFile(authority, before.pem + (await readFile(authority, 'latin1')))
  const { serial, notBefore, notAfter } = makeLeaf(before, 'Tab')
  const entry = { issuerKeyHash: before.keyHash, serial, notBefore, notAfter }
  await writeDevice(devices, 'abc', { name: 'Tab', owner: undefined, certificates: [entry] })
  await service.refresh()
  const end = () => service.metric('certlatch_ca_not_after_timestamp_seconds')
  assert.equal(await end(), NOON_SECONDS + 60 * DAY, 'the tablet has no other')
  const next = makeLeaf(own, 'Tab', { notAfter: NOON_SECONDS + 400 * DAY })
  const renewed = {
    ...{ issuerKeyHash: own.keyHash, serial: next.serial },
    ...{ notBefore: next.notBefore, notAfter: next.notAfter },
  }
  const certificates = [{ ...entry, endsAt: NOON_SECONDS + 14 * DAY }, renewed]
  await writeDevice(devices, 'abc', { name: 'Tab', owner: undefined, certificates })
  await service.refresh()
  await service.askWith(next)
  assert.ok(Number(await end()) > NOON_SECONDS + 60 * DAY)
})

test('Replicas with another CRL or other blocks can be told apart', async (context) => {
  const authority = makeAuthority('Household')
  const another = makeAuthority('Workshop')
  const lists = (second: number) =>
    makeList(authority, { number: 1 }) + makeList(another, { number: second })
  const external = { authorities: authority.pem + another.pem, lists: lists(5) }
  const service = await startTestService(context, { external })
  const told = async () => {
    const text = (await service.admin('/metrics')).body.toString()
    return present(
      /^certlatch_revocations_info\{revocations="([0-9a-f]{16})"\} 1$/m.exec(text)?.[1],
    )
  }
  const seen = [await told()]
  await writeFile(join(service.dataDir, 'external-crl.pem'), lists(6))
  await service.refresh()
  seen.push(await told())
  assert.equal(await service.metric('certlatch_crl_number'), 1)
  const blocks = { schemaVersion: 1, number: 1, certificates: [], signOuts: [] }
  await writeFile(dataPaths(service.dataDir).blocks, JSON.stringify(blocks))
  await service.refresh()
  seen.push(await told(), await told())
  assert.equal(new Set(seen).size, 3)
  assert.equal(seen[2], seen[3])
})

test('During shutdown, answers of the admin listener close their connection', async (context) => {
  const service = await startTestService(context)
  const connection = await openConnection(service.port)
  const stopped = service.stop()
  const { status, headers } = await service.admin('/metrics')
  assert.equal(status, 200)
  assert.ok(headers.some(([name, value]) => name === 'Connection' && value === 'close'))
  connection.close()
  await stopped
})

test('The last hour is listed by reason, the most frequent first', async (context) => {
  const service = await startTestService(context)
  const { certificate } = await addTestDevice(service.dataDir)
  await service.refresh()
  await service.askWith(certificate)
  await service.ask([['Remote_User', 'admin']])
  for (let again = 0; again < 3; again += 1) await service.ask()
  assert.deepEqual((await statusOf(service)).lastHour, {
    allowed: 1,
    refused: 4,
    reasons: [
      { reason: 'no-credentials', count: 3 },
      { reason: 'header-alias', count: 1 },
    ],
  })
})

test('Refusals older than an hour are forgotten, and at most an hour is kept', () => {
  const counters = new Map([['none no-credentials', 5]])
  const lastHour = createLastHour(counters)
  const refused = () => present(lastHour.counts().get('none no-credentials'))
  assert.equal(refused(), 0)
  counters.set('none no-credentials', 7)
  assert.equal(refused(), 2)
  for (let minute = 0; minute < 59; minute += 1) lastHour.tick()
  assert.equal(refused(), 2, 'an hour is not over')
  lastHour.tick()
  assert.equal(refused(), 0)
  counters.set('none header-alias', 1)
  assert.equal(lastHour.counts().get('none header-alias'), 1, 'one that was not foreseen')
})

test('A refused change of files is visible as long as it lasts', async (context) => {
  const service = await startTestService(context)
  const { revocationList } = dataPaths(service.dataDir)
  await writeFile(join(revocationList), 'broken')
  await service.refresh()
  assert.equal(await service.metric('certlatch_check_ok', { check: 'files' }), 0)
  assert.equal(await service.metric('certlatch_reload_failures_total'), 1)
  await publish(service, [])
  assert.equal(await service.metric('certlatch_check_ok', { check: 'files' }), 1)
  assert.equal(await service.metric('certlatch_reload_failures_total'), 1)
})

test('A scrape is answered during reloads, and until the end of a shutdown', async (context) => {
  const service = await startTestService(context)
  const statuses = new Set<number>()
  const errors: string[] = []
  let over = false
  let stopping = false
  const scrape = async () => {
    while (!over) {
      await service.admin('/metrics').then(
        ({ status, body }) => {
          statuses.add(status)
          if (!body.toString().endsWith('\n')) errors.push('cut off')
        },
        // At the very end a connection whose request was not read yet is refused, reset or closed.
        ({ code, message }) => {
          const isEnd =
            ['ECONNREFUSED', 'ECONNRESET'].includes(code) || message === CLOSED_UNANSWERED
          if (!stopping || !isEnd) errors.push(String(message))
          over = true
        },
      )
    }
  }
  const scraping = Promise.all([scrape(), scrape()])
  for (let number = 0; number < 5; number += 1) {
    await addTestDevice(service.dataDir, `Device ${number}`)
    await service.refresh()
  }
  stopping = true
  await service.stop()
  over = true
  await scraping
  assert.deepEqual([...statuses], [200])
  assert.deepEqual(errors, [])
})
