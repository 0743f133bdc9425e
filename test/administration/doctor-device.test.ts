import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import { readOwnAuthorities } from '../../src/administration/authorities.ts'
import { changeDirectory } from '../../src/administration/change-directory.ts'
import { reportDevices } from '../../src/administration/device-report.ts'
import {
  beginDoctorDevice,
  DOCTOR_SECONDS,
  finishDoctorDevice,
  revokeDoctorDevice,
} from '../../src/administration/doctor-device.ts'
import { findDevice } from '../../src/administration/find-device.ts'
import { readDevices } from '../../src/administration/locked-directory.ts'
import { readCertificate } from '../../src/certificate/certificate.ts'
import { writeDevice } from '../../src/store/device-registry.ts'
import { machineIdentity } from '../../src/store/lock-owner.ts'
import {
  certlatch,
  initialized,
  lettingIn,
  problemOf,
  snapshotOf,
  type TestDirectory,
  treeOf,
} from '../support/command.ts'
import {
  makeAuthority,
  NOON_SECONDS,
  present,
  startTestService,
  temporaryFolder,
} from '../support/service.ts'

const begin = (directory: TestDirectory, later = 0) => beginDoctorDevice(directory.change(later))

/** Any command, as one that comes next. */
const next = (directory: TestDirectory, later = 0) =>
  changeDirectory(directory.change(later), async () => undefined)

const entries = async ({ paths }: TestDirectory) =>
  Promise.all(
    (await readdir(paths.devices)).map(async (name) =>
      JSON.parse(await readFile(join(paths.devices, name), 'utf8')),
    ),
  )

test('Its certificate is valid for 15 minutes, and its key is never written to a file', async () => {
  const directory = await initialized()
  const device = await begin(directory)
  assert.deepEqual(await lettingIn(directory.dataDir), ['certlatch doctor'])
  const certificate = new X509Certificate(device.certificatePem)
  assert.ok(certificate.checkPrivateKey(createPrivateKey(device.keyPem)))
  const { notAfter } = present(readCertificate(certificate.raw))
  assert.equal(notAfter, NOON_SECONDS + DOCTOR_SECONDS)
  const [key = ''] = device.keyPem.split('\n').slice(1, 2)
  for (const [name, content] of Object.entries(await treeOf(directory.dataDir))) {
    assert.ok(!content.includes(key), name)
  }
})

test('Afterwards its entry has no certificates, run after run', async () => {
  const directory = await initialized()
  for (const run of [1, 2, 3]) {
    const device = await begin(directory, run)
    await finishDoctorDevice(directory.change(run), device)
    const [entry, ...more] = await entries(directory)
    assert.deepEqual(more, [])
    assert.deepEqual([entry.doctor, entry.certificates], [true, []])
    assert.deepEqual(await lettingIn(directory.dataDir), [])
  }
  assert.ok(!(await readdir(directory.paths.privateFolder)).includes('doctor.json'))
})

test('After revocation it is on the CRL, and no hook runs', async () => {
  const directory = await initialized()
  const device = await begin(directory)
  await revokeDoctorDevice(directory.change(), device)
  assert.deepEqual(await lettingIn(directory.dataDir), [])
  const { trust } = await snapshotOf(directory.dataDir)
  assert.ok(trust.revocationLists.get(device.issuerKeyHash)?.serials.has(device.serial))
})

test('Afterwards it is on the CRL once, whether or not it was revoked before', async () => {
  for (const isRevokedBefore of [true, false]) {
    const directory = await initialized()
    const device = await begin(directory)
    if (isRevokedBefore) await revokeDoctorDevice(directory.change(), device)
    await finishDoctorDevice(directory.change(1), device)
    const { lists } = await readOwnAuthorities(directory.paths)
    const listed = lists.get(device.issuerKeyHash)?.entries
    assert.deepEqual(
      listed?.map(({ serial, reason }) => [serial, reason]),
      [[device.serial, 'cessationOfOperation']],
    )
  }
})

test('While it is running, no other command removes it and no second run starts', async () => {
  const directory = await initialized()
  await begin(directory)
  await next(directory)
  assert.deepEqual(await lettingIn(directory.dataDir), ['certlatch doctor'])
  assert.match(await problemOf(begin(directory)), /another certlatch doctor is running/)
})

test('An expired CA issues it no certificate, and nothing is left behind', async () => {
  const directory = await initialized()
  const before = await treeOf(directory.dataDir)
  const years = 11 * 366 * 86_400
  assert.match(await problemOf(begin(directory, years)), /^the CA has expired\nhint: .*ca renew/)
  assert.deepEqual(await treeOf(directory.dataDir), before)
})

/** The note of a process that was killed, or of one on another machine. */
const leaveNote = async ({ paths }: TestDirectory, pid: number, identity: string | undefined) =>
  writeFile(
    paths.doctor,
    JSON.stringify({ notAfter: NOON_SECONDS + DOCTOR_SECONDS, pid, identity }),
  )

async function deadProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  return present(child.pid)
}

test('If it was killed, the next command cleans up', async () => {
  const directory = await initialized()
  await begin(directory)
  await leaveNote(directory, await deadProcess(), await machineIdentity())
  await next(directory)
  assert.deepEqual(await lettingIn(directory.dataDir), [])
  assert.deepEqual((await entries(directory))[0].certificates, [])
  await begin(directory)
})

test('If it was killed on another machine, it is cleaned up once its certificate has expired', async () => {
  const directory = await initialized()
  await begin(directory)
  await leaveNote(directory, 1, 'another machine')
  await next(directory)
  assert.deepEqual(await lettingIn(directory.dataDir), ['certlatch doctor'])
  await next(directory, DOCTOR_SECONDS + 1)
  assert.deepEqual(await lettingIn(directory.dataDir), [])
})

test('A broken note does not keep it alive', async () => {
  const directory = await initialized()
  await begin(directory)
  await writeFile(directory.paths.doctor, '{"notAfter":')
  await next(directory)
  assert.deepEqual(await lettingIn(directory.dataDir), [])
})

test('No list shows it, and no command finds it by name', async () => {
  const directory = await initialized()
  await begin(directory)
  assert.deepEqual(await reportDevices(directory.paths, NOON_SECONDS), [])
  const known = await readDevices(directory.paths, () => undefined)
  assert.throws(() => findDevice(known, 'certlatch doctor'), /there is no device/)
})

test('No other device or owner can take its name, in any spelling', async () => {
  const directory = await initialized()
  for (const given of [
    { name: 'certlatch doctor', owner: undefined },
    { name: ' Certlatch  DOCTOR', owner: undefined },
    { name: 'Phone', owner: 'certlatch doctor' },
  ]) {
    const options = directory.issue()
    const problem = await problemOf(addDevice(directory.change(), given, options))
    assert.match(problem, /is reserved for the device of certlatch doctor; choose another/)
  }
})

test('No command accepts its name: one line, exit code 2', async () => {
  const { dataDir } = await initialized()
  const environment = { CERTLATCH_DATA_DIR: dataDir }
  const before = await treeOf(dataDir)
  const invite = ['--url', 'https://home.example']
  for (const [whose, args] of [
    ['device', ['device', 'add', 'certlatch doctor']],
    ['device', ['device', 'add', 'Certlatch  DOCTOR']],
    ['owner', ['device', 'add', 'Phone', '--owner', 'certlatch doctor']],
    ['device', ['device', 'invite', 'certlatch doctor', ...invite]],
    ['owner', ['device', 'invite', 'Phone', '--owner', 'certlatch doctor', ...invite]],
  ] as const) {
    const { exitCode, stdout, stderr } = await certlatch(args, environment)
    const says = `error: the ${whose}'s name is reserved for the device of certlatch doctor; choose another\n`
    assert.deepEqual([exitCode, stdout, stderr], [2, '', says])
  }
  assert.deepEqual(await treeOf(dataDir), before)
})

test('A certificate with its name is not imported: one line says so, and how to register it', async () => {
  const folder = await temporaryFolder()
  const authority = makeAuthority('Household')
  const file = (name: string) => join(folder, name)
  await writeFile(file('ca.crt'), authority.pem)
  await writeFile(file('ca.key'), authority.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const entry = (serial: string, name: string) =>
    ['V', '350101000000Z', '', serial, 'unknown', `/CN=${name}`].join('\t')
  const index = [entry('0A', 'certlatch doctor'), entry('0B', 'Phone')].join('\n')
  await writeFile(file('index.txt'), `${index}\n`)
  const environment = { CERTLATCH_DATA_DIR: file('data') }
  const { exitCode, stderr } = await certlatch(
    ['init', '--adopt', file('ca.crt'), file('ca.key'), '--index', file('index.txt')],
    environment,
  )
  assert.equal(exitCode, 0)
  assert.deepEqual(
    stderr.split('\n').filter((line) => line.includes('doctor')),
    [
      'warning: skipped: line 1 of the index: its name is reserved for the device of certlatch doctor; choose another; register it with certlatch device add NAME --certificate FILE',
    ],
  )
  assert.deepEqual(await lettingIn(file('data')), ['Phone'])
})

test('A device that has the name but not the mark is left alone', async () => {
  const directory = await initialized()
  const owned = { name: 'certlatch doctor', owner: undefined, certificates: [] }
  await writeDevice(directory.paths.devices, 'abc', owned)
  assert.match(await problemOf(begin(directory)), /the name "certlatch doctor" is taken/)
  assert.deepEqual((await entries(directory))[0].certificates, [])
  const listed = await reportDevices(directory.paths, NOON_SECONDS)
  assert.deepEqual(
    listed.map(({ name }) => name),
    ['certlatch doctor'],
  )
})

test('An invalid mark makes the entry broken', async () => {
  const directory = await initialized()
  const entry = { schemaVersion: 1, name: 'Phone', certificates: [], doctor: 'yes' }
  await certlatch(['device', 'list'], { CERTLATCH_DATA_DIR: directory.dataDir })
  await finishDoctorDevice(directory.change(), await begin(directory))
  await writeFile(join(directory.paths.devices, 'abc.json'), JSON.stringify(entry))
  const { broken } = await readDevices(directory.paths, () => undefined)
  assert.match(broken[0]?.problem ?? '', /abc\.json is not a device entry/)
})

test('Device metrics leave it out, during the run and afterwards', async (context) => {
  const service = await startTestService(context)
  const change = { dataDir: service.dataDir, who: 'test', nowSeconds: NOON_SECONDS }
  const device = await beginDoctorDevice(change)
  const certificate = present(readCertificate(new X509Certificate(device.certificatePem).raw))
  await service.refresh()
  assert.equal((await service.askWith(certificate)).status, 200)
  const told = async () => {
    const metrics = (await service.admin('/metrics')).body.toString()
    const status = JSON.parse((await service.admin('/status')).body.toString())
    assert.doesNotMatch(metrics, /certlatch doctor/)
    assert.deepEqual(status.devices, [])
    assert.equal(status.others.certificateAt, 0)
    assert.equal(status.others.certificateNotAfter, 0)
  }
  await told()
  await finishDoctorDevice(change, device)
  await service.refresh()
  assert.equal((await service.askWith(certificate)).status, 403)
  await told()
})
