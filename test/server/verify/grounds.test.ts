import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  blockCertificate,
  signOut,
  unblockCertificate,
} from '../../../src/administration/block-certificate.ts'
import { dataPaths } from '../../../src/store/data-directory.ts'
import {
  type Answer,
  addTestDevice,
  makeLeaf,
  NOON_SECONDS,
  ownAuthority,
  sessionOf,
  startTestService,
} from '../../support/service.ts'

const refusals = (service: Awaited<ReturnType<typeof startTestService>>) =>
  service.logLines().flatMap(({ reason }) => (typeof reason === 'string' ? [reason] : []))

const statusOf = async (answer: Promise<Answer>): Promise<number> => (await answer).status

test('A replaced certificate is accepted until the exact second, and its cookie with it', async (context) => {
  const service = await startTestService(context)
  const { certificate, id } = await addTestDevice(service.dataDir)
  const path = join(dataPaths(service.dataDir).devices, `${id}.json`)
  const entry = JSON.parse(await readFile(path, 'utf8'))
  entry.certificates[0].endsAt = NOON_SECONDS + 30
  await writeFile(path, JSON.stringify(entry))
  await service.refresh()
  const cookie = sessionOf(await service.askWith(certificate))
  service.clock.now += 29_999
  assert.equal(await statusOf(service.askWith(certificate)), 200)
  assert.equal(await statusOf(service.ask([['Cookie', cookie]])), 200)
  service.clock.now += 1
  assert.equal(await statusOf(service.askWith(certificate)), 403)
  assert.equal(await statusOf(service.ask([['Cookie', cookie]])), 403)
  assert.ok(refusals(service).includes('certificate-superseded'))
})

test('A certificate signed by the CA but not in any entry is refused', async (context) => {
  const service = await startTestService(context)
  const authority = await ownAuthority(service.dataDir)
  const certificate = makeLeaf(authority, 'Tablet', { uri: 'urn:ada' })
  assert.equal(await statusOf(service.askWith(certificate)), 403)
  assert.ok(refusals(service).includes('unknown-device'))
})

test('Signing out ends the sessions of that time, but no certificate and no later session', async (context) => {
  const service = await startTestService(context)
  const { dataDir } = service
  const { certificate } = await addTestDevice(dataDir)
  await service.refresh()
  const cookie = sessionOf(await service.askWith(certificate))
  service.clock.now += 10_000
  await signOut({ dataDir, who: 'test', nowSeconds: NOON_SECONDS + 10 }, 'Phone of Ada')
  await service.refresh()
  assert.equal(await statusOf(service.ask([['Cookie', cookie]])), 403)
  assert.ok(refusals(service).includes('session-signed-out'))
  service.clock.now += 1_000
  const fresh = await service.askWith(certificate)
  assert.equal(fresh.status, 200)
  assert.equal(await statusOf(service.ask([['Cookie', sessionOf(fresh)]])), 200)
})

test('A blocked certificate and its cookie are denied until the block is lifted', async (context) => {
  const service = await startTestService(context)
  const { dataDir } = service
  const { certificate } = await addTestDevice(dataDir)
  const { keyHash: issuerKeyHash } = await ownAuthority(dataDir)
  await service.refresh()
  const cookie = sessionOf(await service.askWith(certificate))
  const pair = { issuerKeyHash, serial: certificate.serial }
  const change = { dataDir, who: 'test', nowSeconds: NOON_SECONDS }
  await blockCertificate(change, pair)
  await service.refresh()
  assert.equal(await statusOf(service.askWith(certificate)), 403)
  assert.equal(await statusOf(service.ask([['Cookie', cookie]])), 403)
  assert.ok(refusals(service).includes('certificate-blocked'))
  await unblockCertificate(change, pair)
  await service.refresh()
  assert.equal(await statusOf(service.askWith(certificate)), 200)
})
