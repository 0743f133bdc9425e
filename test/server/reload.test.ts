import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { standingProblem } from '../../src/certificate/trust.ts'
import { writeKey } from '../../src/session/key-ring.ts'
import { dataPaths } from '../../src/store/data-directory.ts'
import { MODE, replaceFile } from '../../src/store/files.ts'
import { fixturePem, NOW_SECONDS, trustOf } from '../support/pki.ts'
import {
  type Answer,
  addTestDevice,
  header,
  makeAuthority,
  makeLeaf,
  makeList,
  NOON_SECONDS,
  ownAuthority,
  present,
  sessionOf,
  startTestService,
  type TestService,
} from '../support/service.ts'

const DAY = 86_400

/** A service with one device of the built-in CA, and the session cookie of its certificate. */
async function serviceWithDevice(context: TestContext) {
  const service = await startTestService(context)
  const { certificate, id } = await addTestDevice(service.dataDir, 'Phone of Ada', 'ada')
  await service.refresh()
  const opened = await service.askWith(certificate)
  assert.equal(opened.status, 200)
  const cookie = sessionOf(opened)
  return {
    service,
    certificate,
    id,
    cookie,
    paths: dataPaths(service.dataDir),
    byCertificate: () => service.askWith(certificate),
    byCookie: (value = cookie) => service.ask([['Cookie', value]]),
  }
}

/** How often the service has answered with this reason. */
const refusals = (service: TestService, via: string, reason: string) =>
  service.metric('certlatch_decisions_total', { outcome: 'deny', via, reason })

const assertRefused = (answer: Answer) => {
  assert.equal(answer.status, 403)
  assert.equal(header(answer, 'Set-Cookie'), undefined)
}

test('A revocation ends certificate and cookie with the next request after the files were checked', async (context) => {
  const { service, certificate, paths, byCertificate, byCookie } = await serviceWithDevice(context)
  const authority = await ownAuthority(service.dataDir)
  assert.equal((await byCookie()).status, 200)
  const list = makeList(authority, { revoked: [certificate.serial] })
  await replaceFile(paths.revocationList, list, MODE.public)
  await service.refresh()
  assertRefused(await byCertificate())
  assertRefused(await byCookie())
  assert.equal(await refusals(service, 'certificate', 'certificate-revoked'), 1)
  assert.equal(await refusals(service, 'session', 'session-revoked'), 1)
  assert.equal((await service.readiness()).crlNumber, String(NOON_SECONDS + 1))
  const line = present(service.logLines().find(({ msg }) => msg === 'files reloaded' && true))
  assert.equal(line.level, 'info')
  const last = service.logLines().findLast(({ msg }) => msg === 'files reloaded')
  assert.equal(last?.['revoked'], 1)
  assert.equal(last?.['authorities'], 1)
  assert.equal(last?.['sessionKeys'], 1)
  assert.equal(last?.['certificates'], 1)
})

test('A revocation survives the restoration of an older CRL', async (context) => {
  const { service, certificate, paths, byCookie } = await serviceWithDevice(context)
  const before = await readFile(paths.revocationList)
  const authority = await ownAuthority(service.dataDir)
  await writeFile(paths.revocationList, makeList(authority, { revoked: [certificate.serial] }))
  await service.refresh()
  await writeFile(paths.revocationList, before)
  await service.refresh()
  assertRefused(await byCookie())
  const { ready, checks } = await service.readiness()
  assert.ok(ready)
  assert.equal(checks['files']?.ok, false)
  assert.match(checks['files']?.detail ?? '', /^the previous files are kept: .*an older CRL/)
})

const BREAKING: Readonly<
  Record<string, (paths: ReturnType<typeof dataPaths>, id: string) => Promise<unknown>>
> = {
  'CA file is deleted': ({ authority }) => rm(authority),
  'CA file is emptied': ({ authority }) => truncate(authority),
  'CRL is deleted': ({ revocationList }) => rm(revocationList),
  'CRL is cut off': ({ revocationList }) => truncate(revocationList, 100),
  'CRL is of another CA': ({ revocationList }) =>
    writeFile(revocationList, makeList(makeAuthority('Office'))),
  'key file is emptied': ({ sessionKeys }) => truncate(sessionKeys),
  'key file is broken': ({ sessionKeys }) => writeFile(sessionKeys, 'short'),
  'key file is deleted': ({ sessionKeys }) => rm(sessionKeys),
  'device file is broken': ({ devices }, id) =>
    replaceFile(join(devices, `${id}.json`), '{"schemaVersion":', MODE.secret),
}

for (const [what, breakIt] of Object.entries(BREAKING)) {
  test(`When the ${what}, the previous state stays active, with an error in the log, until the file is whole again`, async (context) => {
    const { service, id, paths, byCertificate, byCookie } = await serviceWithDevice(context)
    const { authority, revocationList, sessionKeys, devices } = paths
    const files = [authority, revocationList, sessionKeys, join(devices, `${id}.json`)]
    const whole = await Promise.all(files.map((file) => readFile(file)))

    await breakIt(paths, id)
    await service.refresh()
    assert.equal((await byCertificate()).status, 200)
    assert.equal((await byCookie()).status, 200)
    assert.equal(await service.metric('certlatch_reload_failures_total'), 1)
    const broken = await service.readiness()
    assert.equal(broken.status, 200)
    assert.equal(broken.checks['files']?.ok, false)
    const loud = service.logLines().filter(({ level }) => level === 'error')
    assert.equal(loud.length, 1)
    assert.equal(loud[0]?.['msg'], 'reload failed, keeping the previous files')
    assert.ok(broken.checks['files']?.detail.endsWith(String(loud[0]?.['problem'])))

    for (const [index, file] of files.entries()) {
      await replaceFile(file, present(whole[index]), MODE.secret)
    }
    await service.refresh()
    assert.deepEqual((await service.readiness()).checks['files'], {
      name: 'files',
      ok: true,
      detail: 'the current files are loaded',
    })
    assert.equal((await byCertificate()).status, 200)
    assert.equal((await byCookie()).status, 200)
    assert.equal(await service.metric('certlatch_reload_failures_total'), 1)
  })
}

test('A new key line signs from then on, and cookies of the old key are still accepted', async (context) => {
  const { service, paths, cookie, byCookie, byCertificate } = await serviceWithDevice(context)
  const { keySet } = await service.readiness()
  const old = await readFile(paths.sessionKeys, 'utf8')
  const added = writeKey(randomBytes(32))
  await replaceFile(paths.sessionKeys, `${old}${added}\n`, MODE.secret)
  await service.refresh()
  assert.equal((await byCookie()).status, 200)
  assert.notEqual((await service.readiness()).keySet, keySet)
  const fresh = sessionOf(await byCertificate())
  assert.notEqual(fresh, cookie)

  await replaceFile(paths.sessionKeys, `${added}\n`, MODE.secret)
  await service.refresh()
  assertRefused(await byCookie())
  assert.equal(await refusals(service, 'session', 'session-forged'), 1)
  assert.equal((await byCookie(fresh)).status, 200)
})

test('An announced key signs once its time has come', async (context) => {
  const { service, paths, byCookie, byCertificate } = await serviceWithDevice(context)
  const old = (await readFile(paths.sessionKeys, 'utf8')).trim()
  const announced = writeKey(randomBytes(32), [`signs-from=${NOON_SECONDS + 600}`])
  const retiring = `${old} verifies-until=${NOON_SECONDS + 1200}`
  await replaceFile(paths.sessionKeys, `${retiring}\n${announced}\n`, MODE.secret)
  await service.refresh()
  const keyIdOf = (cookie: string) =>
    JSON.parse(Buffer.from(cookie.split('.')[1] ?? '', 'base64url').toString())[0]
  const before = keyIdOf(sessionOf(await byCertificate()))
  service.clock.now += 600_000
  const after = sessionOf(await byCertificate())
  assert.notEqual(keyIdOf(after), before)
  service.clock.now += 600_000
  assertRefused(await byCookie())
  assert.equal(await refusals(service, 'session', 'session-key-retired'), 1)
  assert.equal((await byCookie(after)).status, 200)
})

test('Remembered verdicts are dropped with the snapshot', async (context) => {
  const { service, paths, byCookie } = await serviceWithDevice(context)
  await byCookie()
  assert.equal(await service.metric('certlatch_verdict_cache_entries'), 2)
  const reloads = present(await service.metric('certlatch_reloads_total'))
  await writeFile(paths.revocationList, makeList(await ownAuthority(service.dataDir)))
  await service.refresh()
  assert.equal(await service.metric('certlatch_verdict_cache_entries'), 0)
  assert.equal(await service.metric('certlatch_reloads_total'), reloads + 1)
})

test('A device removed from the registry is unknown, by certificate and by cookie', async (context) => {
  const { service, paths, id, byCertificate, byCookie } = await serviceWithDevice(context)
  await addTestDevice(service.dataDir, 'Another')
  await rm(join(paths.devices, `${id}.json`))
  await service.refresh()
  assertRefused(await byCertificate())
  assertRefused(await byCookie())
  assert.equal(await refusals(service, 'certificate', 'unknown-device'), 1)
  assert.equal(await refusals(service, 'session', 'unknown-device'), 1)
})

test('A registry that loses all its entries at once is broken, and the previous one stays', async (context) => {
  const { service, paths, byCookie } = await serviceWithDevice(context)
  await rm(paths.devices, { recursive: true })
  await service.refresh()
  assert.equal((await byCookie()).status, 200)
  const { files } = (await service.readiness()).checks
  assert.equal(files?.ok, false)
  assert.match(files?.detail ?? '', /has lost all its device entries/)
})

test('After a CA is removed from the bundle, its certificates and cookies are denied', async (context) => {
  const household = makeAuthority('Household')
  const office = makeAuthority('Office')
  const lists = makeList(household) + makeList(office)
  const service = await startTestService(context, {
    external: { authorities: household.pem + office.pem, lists },
  })
  const leaf = makeLeaf(office, 'Grace', { uri: 'urn:office:grace' })
  const opened = await service.askWith(leaf)
  assert.equal(header(opened, 'Remote-User'), 'urn:office:grace')
  const cookie = sessionOf(opened)
  await writeFile(service.config.ca.file, household.pem)
  await service.refresh()
  assertRefused(await service.askWith(leaf))
  assertRefused(await service.ask([['Cookie', cookie]]))
  assert.equal(await refusals(service, 'certificate', 'certificate-untrusted'), 1)
  assert.equal(await refusals(service, 'session', 'certificate-untrusted'), 1)
})

test('The CRL of a trusted CA cannot be dropped from a file of several', async (context) => {
  const household = makeAuthority('Household')
  const office = makeAuthority('Office')
  const leaf = makeLeaf(office)
  const service = await startTestService(context, {
    external: {
      authorities: household.pem + office.pem,
      lists: makeList(household) + makeList(office, { revoked: [leaf.serial] }),
    },
  })
  await writeFile(present(service.config.ca.crlFile), makeList(household))
  await service.refresh()
  assertRefused(await service.askWith(leaf))
  assert.equal(await refusals(service, 'certificate', 'certificate-revoked'), 1)
  assert.match(service.logText(), /CERTLATCH_CRL_FILE .* has no CRL of the CA \\"CN=Office\\"/)
})

test("A foreign CA's CRL that is added later causes the same warning as at startup", async (context) => {
  const household = makeAuthority('Household')
  const external = { authorities: household.pem, lists: makeList(household) }
  const service = await startTestService(context, { external })
  const foreign = makeList(makeAuthority('Office'))
  await writeFile(present(service.config.ca.crlFile), external.lists + foreign)
  await service.refresh()
  assert.equal(await service.metric('certlatch_reloads_total'), 1)
  assert.ok(service.logLines().some(({ level }) => level === 'warn'))
})

test('A stale CRL denies by default, allows if so configured, and is logged in both cases', async (context) => {
  const authority = makeAuthority('Household')
  const lists = makeList(authority, { nextUpdate: NOON_SECONDS + DAY })
  const external = { authorities: authority.pem, lists }
  const leaf = makeLeaf(authority)
  for (const [stale, status, answer] of [
    ['deny', 403, 'refused'],
    ['allow', 200, 'still accepted'],
  ] as const) {
    const settings = { CERTLATCH_CRL_STALE: stale }
    const service = await startTestService(context, { external, settings })
    assert.equal((await service.askWith(leaf)).status, 200)
    assert.equal((await service.readiness()).checks['crl']?.detail, 'up to date')
    service.clock.now += (DAY + 1) * 1000
    assert.equal((await service.askWith(leaf)).status, status)
    const readiness = await service.readiness()
    assert.equal(readiness.status, 200)
    assert.equal(readiness.checks['crl']?.ok, false)
    assert.equal(
      readiness.checks['crl']?.detail,
      `1 of 1 out of date: certificates of that CA are ${answer}`,
    )
  }
})

test('The lowest loaded cRLNumber is shown, none if the CAs write none', async (context) => {
  const [household, office, third] = ['a', 'b', 'c'].map((name) => makeAuthority(name))
  const service = await startTestService(context, {
    external: {
      authorities: [household, office, third].map((one) => present(one).pem).join(''),
      lists:
        makeList(present(household), { number: 9 }) +
        makeList(present(office), { number: 7 }) +
        makeList(present(third), { number: 8 }),
    },
  })
  assert.equal((await service.readiness()).crlNumber, '7')
})

test("A clock earlier than the CA's start is logged as an error and makes the service not ready", async (context) => {
  const authority = makeAuthority('Household', {
    notBefore: NOON_SECONDS + DAY,
    notAfter: NOON_SECONDS + 365 * DAY,
  })
  const leaf = makeLeaf(authority)
  const service = await startTestService(context, {
    external: { authorities: authority.pem, lists: makeList(authority) },
  })
  const loud = service.logLines().filter(({ level }) => level === 'error')
  assert.equal(loud.length, 1)
  const problem = 'the clock is wrong: according to it, the CA is not valid yet'
  assert.equal(loud[0]?.['msg'], problem)
  const readiness = await service.readiness()
  assert.equal(readiness.status, 503)
  assert.ok(!readiness.ready)
  assert.equal(readiness.checks['clock']?.detail, problem)
  assertRefused(await service.askWith(leaf))
  service.clock.now += 2 * DAY * 1000
  assert.equal((await service.readiness()).checks['clock']?.detail, 'plausible')
  assert.equal((await service.readiness()).status, 200)
})

test('If a CA does not number its CRLs, no number is shown', async (context) => {
  const external = { authorities: fixturePem('ca-p256'), lists: fixturePem('crl-no-number') }
  const service = await startTestService(context, { external })
  const { ready, crlNumber } = await service.readiness()
  assert.ok(ready)
  assert.equal(crlNumber, undefined)
})

test('A CA that was absent for a while does not come back with an older CRL', async (context) => {
  const household = makeAuthority('Household')
  const office = makeAuthority('Office')
  const leaf = makeLeaf(household, 'Ada', { uri: 'urn:household:ada' })
  const older = makeList(household, { number: 1 }) + makeList(office)
  const newer = makeList(household, { number: 2, revoked: [leaf.serial] }) + makeList(office)
  const service = await startTestService(context, {
    external: { authorities: household.pem + office.pem, lists: newer },
  })
  assertRefused(await service.askWith(leaf))
  await writeFile(service.config.ca.file, office.pem)
  await service.refresh()
  assertRefused(await service.askWith(leaf))
  await writeFile(service.config.ca.crlFile ?? '', older)
  await writeFile(service.config.ca.file, household.pem + office.pem)
  await service.refresh()
  assertRefused(await service.askWith(leaf))
  assert.equal((await service.readiness()).checks['files']?.ok, false)
})

test('A session ends when the CRL no longer covers its certificate', () => {
  const trust = trustOf(['ca-p256'], ['crl-idp-a'])
  const [issuerKeyHash = ''] = trust.issuersByKeyHash.keys()
  const standing = { issuerKeyHash, serial: '77', distributionPoints: undefined }
  assert.equal(standingProblem(standing, trust, NOW_SECONDS), 'certificate-crl-missing')
})

test('Anything but a regular file is refused, and never read: it might not end', async (context) => {
  const { service, paths, byCookie } = await serviceWithDevice(context)
  await rm(paths.revocationList)
  await symlink('/dev/zero', paths.revocationList)
  await service.refresh()
  assert.equal((await byCookie()).status, 200)
  assert.match((await service.readiness()).checks['files']?.detail ?? '', /is not a file/)
})

test('What has aged is logged, once: a CRL past its nextUpdate', async (context) => {
  const household = makeAuthority('Household')
  const lists = makeList(household, { nextUpdate: NOON_SECONDS - 1 })
  const service = await startTestService(context, {
    external: { authorities: household.pem, lists },
    settings: { CERTLATCH_CRL_STALE: 'allow' },
  })
  const told = service.logLines().filter(({ msg }) => msg === 'out of date')
  assert.equal(told.length, 1)
  assert.match(String(told[0]?.['problem']), /^crl: 1 of 1 out of date/)
})
