import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { readPemBlocks } from '../../src/certificate/pem.ts'
import { readRevocationList } from '../../src/certificate/revocation.ts'
import { readIssuer } from '../../src/certificate/verify.ts'
import { readKeyRing } from '../../src/session/key-ring.ts'
import {
  dataPaths,
  EARLIEST_NOW_SECONDS,
  type Needed,
  prepareDataDirectory,
} from '../../src/store/data-directory.ts'
import { errorCode } from '../../src/store/files.ts'
import { repository } from '../support/repository.ts'
import { NOON_SECONDS, present, temporaryFolder } from '../support/service.ts'

const EVERYTHING: Needed = { authority: true, revocationList: true, sessionKeys: true }
const SESSION_KEYS_ONLY: Needed = { authority: false, revocationList: false, sessionKeys: true }

const prepare = (dataDir: string, needed = EVERYTHING) =>
  prepareDataDirectory(dataDir, needed, NOON_SECONDS)

const modeOf = async (path: string): Promise<string> =>
  ((await stat(path)).mode & 0o777).toString(8)

async function contents(dataDir: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(dataDir, { recursive: true, withFileTypes: true })
  // That there was a writer says nothing.
  const files = entries.filter((entry) => entry.isFile() && basename(entry.parentPath) !== 'lock')
  const read = files.map(async ({ parentPath, name }) => {
    const path = join(parentPath, name)
    return [path.slice(dataDir.length + 1), await readFile(path, 'latin1')] as const
  })
  return Object.fromEntries((await Promise.all(read)).sort())
}

/** A directory as a first start leaves it when it is killed right after its commit point. */
async function killedFirstStart() {
  const dataDir = await temporaryFolder()
  await prepare(dataDir)
  const paths = dataPaths(dataDir)
  const staged = join(paths.privateFolder, 'first-start')
  await mkdir(staged)
  const places = [paths.authorityKey, paths.sessionKeys, paths.revocationList, paths.authority]
  const names = ['ca.key', 'session.keys', 'ca.crl', 'ca.crt']
  const whole = await contents(dataDir)
  for (const [index, place] of places.entries()) {
    await rename(place, join(staged, present(names[index])))
  }
  return { dataDir, paths, staged, whole, places, names }
}

test('With a clock earlier than certlatch itself no CA is created', async () => {
  const dataDir = join(await temporaryFolder(), 'data')
  const years = [0, Date.UTC(2014, 5, 1), Date.UTC(2025, 11, 31)].map((time) => time / 1000)
  for (const nowSeconds of [...years, EARLIEST_NOW_SECONDS - 1]) {
    const prepared = await prepareDataDirectory(dataDir, EVERYTHING, nowSeconds)
    assert.ok(!prepared.ok)
    assert.match(
      prepared.problem,
      /^the clock of this machine is wrong \(\d{4}-\d\d-\d\d\): .*set the clock/,
    )
    assert.equal(prepared.problem.split('\n').length, 1)
    await assert.rejects(stat(dataDir), { code: 'ENOENT' })
  }
  // Session keys have no dates.
  assert.ok((await prepareDataDirectory(dataDir, SESSION_KEYS_ONLY, 0)).ok)
  const other = join(await temporaryFolder(), 'data')
  assert.ok((await prepareDataDirectory(other, EVERYTHING, EARLIEST_NOW_SECONDS)).ok)
})

test('The earliest plausible time is not later than the last release, or than now', () => {
  const log = readFileSync(join(repository(), 'CHANGELOG.md'), 'utf8')
  const [, newest] = /^## \[\d[^\]]*\] - (\d{4}-\d\d-\d\d)$/m.exec(log) ?? []
  const released = newest === undefined ? Date.now() : Date.parse(newest)
  assert.ok(EARLIEST_NOW_SECONDS * 1000 <= released)
  // What a year has passed since would believe too much: a release is the time to raise it.
  assert.ok(newest === undefined || EARLIEST_NOW_SECONDS * 1000 > released - 366 * 86_400_000)
})

test('A first start in a missing directory creates CA, CRL and session keys, each with its permissions', async () => {
  const dataDir = join(await temporaryFolder(), 'not', 'yet', 'there')
  const paths = dataPaths(dataDir)
  const prepared = await prepare(dataDir)
  assert.deepEqual(prepared, {
    ok: true,
    made: [paths.authority, paths.revocationList, paths.sessionKeys],
  })
  assert.equal(await modeOf(paths.publicFolder), '755')
  assert.equal(await modeOf(paths.privateFolder), '700')
  assert.equal(await modeOf(paths.authority), '644')
  assert.equal(await modeOf(paths.revocationList), '644')
  assert.equal(await modeOf(paths.authorityKey), '600')
  assert.equal(await modeOf(paths.sessionKeys), '600')
  assert.deepEqual(Object.keys(await contents(dataDir)), [
    'private/ca.key',
    'private/session.keys',
    'public/ca.crl',
    'public/ca.crt',
  ])
})

test('The folders have their permissions even under a strict umask', async () => {
  const dataDir = join(await temporaryFolder(), 'data')
  const before = process.umask(0o077)
  try {
    await prepare(dataDir)
  } finally {
    process.umask(before)
  }
  const { publicFolder, privateFolder, authority } = dataPaths(dataDir)
  assert.equal(await modeOf(authority), '644')
  assert.equal(await modeOf(privateFolder), '700')
  assert.equal(await modeOf(publicFolder), '755')
})

test('Created files belong to the owner of the directory, so that root does not lock the service out', async () => {
  const dataDir = await temporaryFolder()
  // Only root can change a file's owner; for other users it is the same before and after.
  if (process.getuid?.() === 0) await chown(dataDir, 12_345, 54_321)
  const { uid } = await stat(dataDir)
  await prepare(dataDir)
  for (const entry of await readdir(dataDir, { recursive: true })) {
    assert.equal((await stat(join(dataDir, entry))).uid, uid, entry)
  }
})

test('OpenSSL and certlatch accept the created CA, and its empty CRL is valid as long as the CA', async () => {
  const dataDir = await temporaryFolder()
  await prepare(dataDir)
  const paths = dataPaths(dataDir)
  const pem = await readFile(paths.authority, 'latin1')
  const certificate = new X509Certificate(pem)
  assert.ok(certificate.ca)
  assert.ok(certificate.verify(certificate.publicKey))
  assert.match(certificate.subject, /^CN=Certlatch Device CA [0-9a-f]{6}$/)
  const issuer = readIssuer(present(readPemBlocks(pem, 'CERTIFICATE')?.[0]))
  assert.ok(issuer.ok)
  const { notBefore, notAfter } = issuer.issuer.certificate
  assert.equal(notBefore, NOON_SECONDS - 3600)
  assert.equal(notAfter, NOON_SECONDS + 3653 * 86_400)
  const [der] = readPemBlocks(await readFile(paths.revocationList, 'latin1'), 'X509 CRL') ?? []
  const read = readRevocationList(present(der), [issuer.issuer])
  assert.ok(read.ok)
  assert.equal(read.list.number, BigInt(NOON_SECONDS))
  assert.equal(read.list.nextUpdate, notAfter)
  assert.equal(read.list.serials.size, 0)
  const keys = readKeyRing(await readFile(paths.sessionKeys, 'utf8'))
  assert.ok(keys.ok)
  assert.equal(keys.ring.keys.length, 1)
})

test('Two first starts in two directories create different CAs and keys', async () => {
  const [one, other] = [await temporaryFolder(), await temporaryFolder()]
  await Promise.all([prepare(one), prepare(other)])
  const [first, second] = [await contents(one), await contents(other)]
  for (const file of Object.keys(first)) assert.notEqual(first[file], second[file], file)
})

test('A second start changes nothing', async () => {
  const dataDir = await temporaryFolder()
  await prepare(dataDir)
  const before = await contents(dataDir)
  assert.deepEqual(await prepare(dataDir), { ok: true, made: [] })
  assert.deepEqual(await contents(dataDir), before)
})

test('The CA key may be kept elsewhere: a start without it changes nothing', async () => {
  const dataDir = await temporaryFolder()
  await prepare(dataDir)
  await rm(dataPaths(dataDir).authorityKey)
  assert.deepEqual(await prepare(dataDir), { ok: true, made: [] })
})

test('Beside the devices of a lost CA no other one is created', async () => {
  const noKeys: Needed = { ...EVERYTHING, sessionKeys: false }
  for (const [folder, file] of [
    ['devices', '0f.json'],
    ['certificates', '0f.pem'],
  ] as const) {
    const dataDir = await temporaryFolder()
    const paths = dataPaths(dataDir)
    await mkdir(paths[folder], { recursive: true })
    const { authority, revocationList } = paths
    // What a killed command left behind is not a device.
    await writeFile(join(paths[folder], `${file}.0123456789ab.tmp`), '')
    await writeFile(join(paths[folder], file), '')
    const before = await contents(dataDir)
    const problem = `the data directory ${dataDir} is half-filled: ${authority} and ${revocationList} are missing; restore it from a backup, or empty the directory to start over`
    assert.deepEqual(await prepare(dataDir, noKeys), { ok: false, problem })
    assert.deepEqual(await contents(dataDir), before)
    // An external CA has no devices here.
    assert.ok((await prepare(dataDir, SESSION_KEYS_ONLY)).ok)
    await rm(join(paths[folder], file))
    await rm(paths.sessionKeys)
    assert.ok((await prepare(dataDir)).ok)
  }
})

test('With an external CA only the session keys are created', async () => {
  const dataDir = await temporaryFolder()
  const { sessionKeys } = dataPaths(dataDir)
  assert.deepEqual(await prepare(dataDir, SESSION_KEYS_ONLY), { ok: true, made: [sessionKeys] })
  assert.deepEqual(Object.keys(await contents(dataDir)), ['private/session.keys'])
  assert.deepEqual(await prepare(dataDir, SESSION_KEYS_ONLY), { ok: true, made: [] })
})

test('With session keys configured elsewhere, the CA and its CRL are created without them', async () => {
  const dataDir = await temporaryFolder()
  const { authority, revocationList } = dataPaths(dataDir)
  const needed = { authority: true, revocationList: true, sessionKeys: false }
  assert.deepEqual(await prepare(dataDir, needed), { ok: true, made: [authority, revocationList] })
  assert.deepEqual(Object.keys(await contents(dataDir)), [
    'private/ca.key',
    'public/ca.crl',
    'public/ca.crt',
  ])
})

test('A partly filled directory is not completed: the error names what is missing', async () => {
  const files = ['authority', 'revocationList', 'sessionKeys'] as const
  for (const missing of [...files.map((file) => [file]), files.slice(1), files.slice(0, 2)]) {
    const dataDir = await temporaryFolder()
    await prepare(dataDir)
    const paths = dataPaths(dataDir)
    for (const file of missing) await rm(paths[file])
    const before = await contents(dataDir)
    const prepared = await prepare(dataDir)
    assert.ok(!prepared.ok)
    const names = missing.map((file) => paths[file]).join(' and ')
    assert.equal(
      prepared.problem,
      `the data directory ${dataDir} is half-filled: ${names} ${missing.length > 1 ? 'are' : 'is'} missing; restore it from a backup, or empty the directory to start over`,
    )
    assert.deepEqual(await contents(dataDir), before)
  }
})

test('A CA key without its certificate counts as a partly filled directory', async () => {
  const dataDir = await temporaryFolder()
  const paths = dataPaths(dataDir)
  await mkdir(paths.privateFolder, { recursive: true })
  await writeFile(paths.authorityKey, 'a key that may still be needed')
  const prepared = await prepare(dataDir)
  assert.ok(!prepared.ok)
  assert.ok(prepared.problem.includes(`${paths.authorityKey} is there without its certificate`))
  assert.deepEqual(Object.keys(await contents(dataDir)), ['private/ca.key'])
})

test('Empty folders are an empty directory', async () => {
  const dataDir = await temporaryFolder()
  const paths = dataPaths(dataDir)
  await mkdir(paths.publicFolder)
  await mkdir(paths.devices, { recursive: true })
  const prepared = await prepare(dataDir)
  assert.ok(prepared.ok)
  assert.equal(prepared.made.length, 3)
})

test('A first start that was killed after its commit point is completed by the next one', async () => {
  for (let placed = 0; placed <= 4; placed += 1) {
    const { dataDir, staged, whole, places, names } = await killedFirstStart()
    for (const [index, place] of places.entries()) {
      if (index < placed) await rename(join(staged, present(names[index])), place)
    }
    assert.deepEqual(await prepare(dataDir), { ok: true, made: [] })
    assert.deepEqual(await contents(dataDir), whole)
    assert.equal(await modeOf(dataPaths(dataDir).authority), '644')
  }
})

test('Existing files are not replaced by the leftovers of a killed start', async () => {
  const { dataDir, paths, whole } = await killedFirstStart()
  await writeFile(paths.sessionKeys, 'newer')
  await prepare(dataDir)
  const after = await contents(dataDir)
  assert.deepEqual(after, { ...whole, 'private/session.keys': 'newer' })
})

test('A first start that was killed before its commit point has created nothing', async () => {
  const dataDir = await temporaryFolder()
  const { privateFolder } = dataPaths(dataDir)
  const abandoned = join(privateFolder, 'first-start.0123456789ab.tmp')
  await mkdir(abandoned, { recursive: true })
  await writeFile(join(abandoned, 'ca.key'), 'half')
  const prepared = await prepare(dataDir)
  assert.ok(prepared.ok)
  assert.equal(prepared.made.length, 3)
})

test('Simultaneous first starts on one directory agree on one CA and one set of keys', async () => {
  for (let round = 0; round < 20; round += 1) {
    const dataDir = await temporaryFolder()
    const starts = await Promise.all([1, 2, 3].map(() => prepare(dataDir)))
    for (const prepared of starts) assert.ok(prepared.ok, JSON.stringify(prepared))
    const files = await contents(dataDir)
    assert.deepEqual(Object.keys(files), [
      'private/ca.key',
      'private/session.keys',
      'public/ca.crl',
      'public/ca.crt',
    ])
    const issuer = readIssuer(
      present(readPemBlocks(present(files['public/ca.crt']), 'CERTIFICATE')?.[0]),
    )
    assert.ok(issuer.ok)
    const [der] = readPemBlocks(present(files['public/ca.crl']), 'X509 CRL') ?? []
    assert.ok(readRevocationList(present(der), [issuer.issuer]).ok)
  }
})

test("A directory that cannot be written throws the system's error", async () => {
  const file = join(await temporaryFolder(), 'file')
  await writeFile(file, '')
  await assert.rejects(prepare(join(file, 'data')), (error) => errorCode(error) === 'ENOTDIR')
})

test('A destination that cannot be written throws, and what was staged is completed later', async () => {
  const { dataDir, paths, whole } = await killedFirstStart()
  await rm(paths.publicFolder, { recursive: true })
  await writeFile(paths.publicFolder, '')
  await assert.rejects(prepare(dataDir), (error) => errorCode(error) === 'ENOTDIR')
  await rm(paths.publicFolder)
  await mkdir(paths.publicFolder)
  assert.deepEqual(await prepare(dataDir), { ok: true, made: [] })
  assert.deepEqual(await contents(dataDir), whole)
})

test('A private folder that is a file throws, and nothing is left behind', async () => {
  const dataDir = await temporaryFolder()
  const paths = dataPaths(dataDir)
  await writeFile(paths.privateFolder, '')
  await assert.rejects(prepare(dataDir), (error) => errorCode(error) === 'ENOTDIR')
  assert.deepEqual(Object.keys(await contents(dataDir)), ['private'])
})

test("A staged file that cannot be read throws the system's error, and nothing is removed", async () => {
  const { dataDir, staged } = await killedFirstStart()
  await rm(join(staged, 'ca.key'))
  await mkdir(join(staged, 'ca.key'))
  await assert.rejects(prepare(dataDir), (error) => errorCode(error) === 'EISDIR')
  assert.ok((await readdir(staged)).includes('ca.crt'))
})

test('A user who is not root can make a first start in any folder that they may write to', async () => {
  const folder = await temporaryFolder()
  const isRoot = process.geteuid?.() === 0
  // The folder is the user's, its group is another's: what is made can't be given that group.
  if (isRoot) await chown(folder, 65_534, 33)
  if (isRoot) process.setegid?.(65_534)
  if (isRoot) process.seteuid?.(65_534)
  try {
    for (const dataDir of [join(folder, 'data'), join(folder, 'a/b/data')]) {
      assert.ok((await prepare(dataDir)).ok)
      assert.deepEqual(Object.keys(await contents(dataDir)).length, 4)
      assert.equal(await modeOf(join(dataDir, 'private')), '700')
    }
  } finally {
    if (isRoot) process.seteuid?.(0)
    if (isRoot) process.setegid?.(0)
  }
})
