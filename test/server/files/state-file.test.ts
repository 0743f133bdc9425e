import assert from 'node:assert/strict'
import { readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { addDevice } from '../../../src/administration/add-device.ts'
import { signOut } from '../../../src/administration/block-certificate.ts'
import { renewAuthority } from '../../../src/administration/renew-authority.ts'
import { revokeDevice } from '../../../src/administration/revoke-device.ts'
import type { StartError } from '../../../src/server/start-error.ts'
import { dataPaths } from '../../../src/store/data-directory.ts'
import { registryFingerprint } from '../../../src/store/device-registry.ts'
import { machineIdentity } from '../../../src/store/lock-owner.ts'
import { parseRunningState, type RunningState } from '../../../src/store/service-state.ts'
import { readLastSeen, runningId, writeRunning } from '../../../src/store/service-state-files.ts'
import { initialized } from '../../support/command.ts'
import { freePort } from '../../support/free-port.ts'
import {
  addTestDevice,
  makeAuthority,
  makeLeaf,
  makeList,
  NOON_SECONDS,
  ownAuthority,
  present,
  sessionOf,
  startTestService,
  type TestService,
  temporaryFolder,
} from '../../support/service.ts'

/** What a service says of itself. */
async function stateOf({ dataDir, port }: TestService) {
  const machine = `${hostname()} ${(await machineIdentity()) ?? ''}`
  const id = runningId(machine, `127.0.0.1:${port}`)
  const text = await readFile(join(dataPaths(dataDir).running, `${id}.json`), 'utf8')
  return present(parseRunningState(text))
}

/** Reads again until it is so; the file is written behind the answer's back. */
async function until<T>(read: () => Promise<T>, isSo: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await read()
    if (isSo(value)) return value
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('A service records where it listens, what it has loaded and since when', async (context) => {
  const service = await startTestService(context)
  const state = await stateOf(service)
  const { keySet, crlNumber } = await service.readiness()
  assert.deepEqual(
    { ...state, host: '', lastSeen: [] },
    {
      ...{ schemaVersion: 1, listen: `127.0.0.1:${service.port}`, host: '', keySet, crlNumber },
      sessionTtlSeconds: 3600,
      ...{ version: '0.0.0-test', startedAt: NOON_SECONDS, stoppedAt: undefined },
      ...{ blocksNumber: 0, lastSeen: [], pid: process.pid, identity: await machineIdentity() },
      devices: registryFingerprint(new Map(), undefined),
    },
  )
})

test('A new CRL, new blocks and new keys are recorded as soon as they are loaded', async (context) => {
  const service = await startTestService(context)
  const { dataDir } = service
  const paths = dataPaths(dataDir)
  const change = { dataDir, who: 'test', nowSeconds: NOON_SECONDS }
  await writeFile(paths.revocationList, makeList(await ownAuthority(dataDir), { number: 2 ** 40 }))
  await signOut(change, 'Ada')
  await service.refresh()
  const state = await until(
    () => stateOf(service),
    ({ blocksNumber }) => blocksNumber > 0,
  )
  assert.equal(state.crlNumber, String(2 ** 40))
  assert.equal(state.blocksNumber, NOON_SECONDS)
})

test('A previous CA whose key is lost, and which keeps its CRL, does not keep a revocation unconfirmed', async (context) => {
  const directory = await initialized()
  const { dataDir, paths } = directory
  await renewAuthority(directory.change(10), { commonName: undefined, days: 30 })
  await rm(paths.previous, { recursive: true })
  const given = { name: 'Phone', owner: undefined }
  await addDevice(directory.change(20), given, directory.issue())
  const service = await startTestService(context, { dataDir })
  const revoked = await revokeDevice(directory.change(30), 'Phone', 'all', 'unspecified')
  await service.refresh()
  assert.equal((await service.readiness()).crlNumber, String(revoked.crlNumber))
})

test('From the moment a previous CA expires, its last CRL does not keep a revocation unconfirmed', async (context) => {
  const directory = await initialized({ days: 5 })
  const { dataDir } = directory
  const soon = 5 * 86_400 + 1
  await renewAuthority(directory.change(10), { commonName: undefined, days: 30 })
  const given = { name: 'Phone', owner: undefined }
  await addDevice(directory.change(20), given, directory.issue())
  const service = await startTestService(context, { dataDir })
  service.clock.now += soon * 1000
  const revoked = await revokeDevice(directory.change(soon), 'Phone', 'all', 'unspecified')
  await service.refresh()
  assert.equal((await service.readiness()).crlNumber, String(revoked.crlNumber))
  await service.stop()
  assert.equal((await stateOf(service)).crlNumber, String(revoked.crlNumber))
})

test('When a device was last seen, by certificate and by cookie, survives a restart', async (context) => {
  const dataDir = await temporaryFolder()
  const first = await startTestService(context, { dataDir })
  const { certificate } = await addTestDevice(dataDir)
  await first.refresh()
  const cookie = sessionOf(await first.askWith(certificate))
  first.clock.now += 60_000
  assert.equal((await first.ask([['Cookie', cookie]])).status, 200)
  await first.stop()
  assert.equal((await stateOf(first)).stoppedAt, NOON_SECONDS + 60)

  const second = await startTestService(context, { dataDir })
  const [seen] = [...(await readLastSeen(dataPaths(dataDir).running)).values()]
  assert.equal(seen?.name, 'Phone of Ada')
  assert.equal(seen?.certificateAt, NOON_SECONDS)
  assert.equal(seen?.sessionAt, NOON_SECONDS + 60)
  assert.deepEqual(
    (await stateOf(second)).lastSeen.map(({ sessionAt }) => sessionAt),
    [NOON_SECONDS + 60],
  )
})

test('A lost time of a visit with the certificate is restored from the session', async (context) => {
  const dataDir = await temporaryFolder()
  const first = await startTestService(context, { dataDir })
  const { certificate } = await addTestDevice(dataDir)
  await first.refresh()
  const cookie = sessionOf(await first.askWith(certificate))
  await first.stop()
  await rm(dataPaths(dataDir).running, { recursive: true })

  const second = await startTestService(context, { dataDir })
  second.clock.now += 60_000
  assert.equal((await second.ask([['Cookie', cookie]])).status, 200)
  await second.stop()
  const [seen] = [...(await readLastSeen(dataPaths(dataDir).running)).values()]
  assert.equal(seen?.certificateAt, NOON_SECONDS)
  assert.equal(seen?.sessionAt, NOON_SECONDS + 60)
})

test('A refused device does not count as seen', async (context) => {
  const service = await startTestService(context)
  const { certificate } = await addTestDevice(service.dataDir)
  const authority = await ownAuthority(service.dataDir)
  await writeFile(
    dataPaths(service.dataDir).revocationList,
    makeList(authority, { revoked: [certificate.serial] }),
  )
  await service.refresh()
  assert.equal((await service.askWith(certificate)).status, 403)
  assert.equal((await service.askWith(makeLeaf(authority))).status, 403)
  await service.stop()
  assert.deepEqual((await stateOf(service)).lastSeen, [])
})

test('With an external CA, visitors are identified by their certificate', async (context) => {
  const authority = makeAuthority('Household')
  const service = await startTestService(context, {
    external: { authorities: authority.pem, lists: makeList(authority) },
  })
  const certificate = makeLeaf(authority, 'Ada')
  assert.equal((await service.askWith(certificate)).status, 200)
  await service.stop()
  const { lastSeen } = await stateOf(service)
  assert.deepEqual(
    lastSeen.map(({ serial, notAfter }) => [serial, notAfter]),
    [[certificate.serial, certificate.notAfter]],
  )
})

test('If the state file cannot be written, the service keeps serving, and says so', async (context) => {
  const dataDir = await temporaryFolder()
  const first = await startTestService(context, { dataDir })
  await first.stop()
  const { running } = dataPaths(dataDir)
  await rm(running, { recursive: true })
  await writeFile(running, '')
  const service = await startTestService(context, { dataDir })
  const { checks, ready } = await service.readiness()
  assert.ok(ready)
  assert.equal(checks['commands']?.ok, false)
  assert.match(
    checks['commands']?.detail ?? '',
    /running .*: the times at which devices were last seen are lost when this process ends$/,
  )
  assert.ok(service.logText().includes('cannot write the state that commands read'))
  const told = service
    .logLines()
    .filter(({ msg }) => msg === 'cannot write the state that commands read')
  await service.stop()
  assert.equal(told.length, 1)
  assert.deepEqual(await readFile(running, 'utf8'), '')
  assert.ok((await readdir(dataDir)).includes('private'))
})

test('A service does not start beside one of the same name and address on another machine', async (context) => {
  const dataDir = await temporaryFolder()
  const { running } = dataPaths(dataDir)
  const listen = `127.0.0.1:${await freePort()}`
  const settings = { CERTLATCH_LISTEN: listen }
  const [, boot, space] = present(await machineIdentity()).split(' ')
  const other = (boot: string | undefined, changes: Partial<RunningState> = {}) =>
    writeRunning(running, runningId('other', listen), {
      ...{ schemaVersion: 1, listen, host: hostname(), version: '0', startedAt: 1, keySet: '0' },
      ...{ stoppedAt: undefined, crlNumber: '1', blocksNumber: 0, lastSeen: [] },
      ...{ pid: 1, identity: `${hostname()} ${boot} ${space}` },
      ...changes,
    })
  await other('another')
  await assert.rejects(startTestService(context, { dataDir, settings }), (error: StartError) => {
    const [problem = '', ...more] = error.problems
    assert.match(problem, /under the same host name, .*HOST_NAME in \.env .* start in \d+ seconds$/)
    return more.length === 0
  })
  for (const harmless of [
    () => other(boot),
    () => other('another', { host: 'attic' }),
    () => other('another', { listen: '127.0.0.1:1' }),
    () => other('another', { stoppedAt: 2 }),
    async () => {
      await other('another')
      const then = Date.now() / 1000 - 40
      await utimes(join(running, `${runningId('other', listen)}.json`), then, then)
    },
  ]) {
    await harmless()
    await (await startTestService(context, { dataDir, settings })).stop()
  }
})
