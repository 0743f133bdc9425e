import assert from 'node:assert/strict'
import { access, chmod, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import { changeDirectory } from '../../src/administration/change-directory.ts'
import { renewAuthority } from '../../src/administration/renew-authority.ts'
import { describeFileError } from '../../src/store/files.ts'
import { asRoot, giveAway, guise, isRoot } from '../support/another-user.ts'
import { initialized, lettingIn, type TestDirectory } from '../support/command.ts'
import { present, temporaryFolder } from '../support/service.ts'

/** A root's command on a directory that the service's user owns, and may have prepared. */
async function command(directory: TestDirectory): Promise<readonly string[]> {
  const told: string[] = []
  const change = { ...directory.change(), notify: (line: string) => told.push(line) }
  await changeDirectory(change, async () => undefined)
  return told
}

async function scene(t: TestContext) {
  const directory = await initialized()
  const { dataDir, paths } = directory
  const phone = { name: 'Phone', owner: undefined }
  const added = await addDevice(directory.change(), phone, directory.issue())
  const { device, certificate } = added
  const path = present(added.package.path)
  asRoot(t)
  const outside = await temporaryFolder()
  const before = { ...device, certificates: [] }
  const leaveNote = async (note: object) => {
    await writeFile(paths.undelivered, JSON.stringify({ before, ...note }))
    await giveAway(dataDir)
  }
  return { directory, dataDir, paths, outside, leaveNote, serial: certificate.serial, path }
}

/** Names that no package has, or not one of this certificate. */
const victimsOf = (serial: string): readonly string[] => [
  'passwd',
  'ca.key',
  `${serial.slice(0, 8)}.p12`,
  `phone-${serial.slice(0, 8)}`,
  'phone-00000000.p12',
  `phone-${serial.slice(0, 8)}.p12.0123456789ab.tmp`,
  `Phone-${serial.slice(0, 8)}.p12`,
]

test('An undelivered note can only delete packages of its own certificate', async (t) => {
  const { directory, paths, outside, leaveNote, serial, path } = await scene(t)
  const names = victimsOf(serial)
  for (const name of names) await writeFile(join(outside, name), 'not ours')
  const files = [
    ...names.map((name) => join(outside, name)),
    ...[paths.authority, paths.authorityKey, paths.devices, outside, 'phone.p12', '', 7, null],
    `${path}/../../victim`,
  ]
  await giveAway(directory.packages)
  await leaveNote({ serial, files: [...files, path] })
  await command(directory)
  assert.deepEqual((await readdir(outside)).sort(), [...names].sort())
  await Promise.all(
    [paths.authority, paths.authorityKey, paths.devices].map((path) => access(path)),
  )
  assert.deepEqual(await readdir(directory.packages), [])
  await assert.rejects(access(paths.undelivered))
  assert.deepEqual(await lettingIn(directory.dataDir), [])
})

test('A note that no command wrote has no effect', async (t) => {
  const { directory, dataDir, outside, leaveNote, serial, path } = await scene(t)
  const victim = join(outside, 'victim.pem')
  await writeFile(victim, 'not ours')
  const climbing = `../../../${'../'.repeat(9)}${victim.slice(1, -4)}`
  for (const note of [
    { serial: climbing, files: [path] },
    { serial: 7, files: [path] },
    { serial, files: 'all' },
    { serial, files: [path], before: undefined },
    { serial, files: [path], before: { id: '../x', name: 'Phone', certificates: [] } },
    { serial, files: [path], before: { id: 'a', name: 'Phone', certificates: [7] } },
  ]) {
    await leaveNote(note)
    await command(directory)
    await Promise.all([access(victim), access(path)])
    assert.deepEqual(await lettingIn(dataDir), ['Phone'])
  }
})

test('A package in a folder that someone else owns is left alone, and named', async (t) => {
  const { directory, outside, leaveNote, serial } = await scene(t)
  const path = join(outside, `phone-${serial.slice(0, 8)}.p12`)
  await writeFile(path, 'a package')
  await leaveNote({ serial, files: [path] })
  const told = await command(directory)
  // Without root's rights there is one user only, and so no one else's folder.
  assert.deepEqual(await readdir(outside), isRoot ? [path.slice(outside.length + 1)] : [])
  assert.equal(told.length, isRoot ? 1 : 0)
  if (isRoot) assert.match(told[0] ?? '', /^left: .*\.p12 is in a folder of another user/)
})

test('Leftovers of a first start are not read through links', async (t) => {
  const { directory, paths, outside } = await scene(t)
  const secret = join(outside, 'secret')
  await writeFile(secret, 'secret', { mode: 0o600 })
  const before = await guise(secret)
  const staged = join(paths.privateFolder, 'first-start')
  await rm(paths.authorityKey)
  for (const prepare of [
    async () => {
      await mkdir(staged)
      await symlink(secret, join(staged, 'ca.key'))
    },
    () => symlink(outside, staged),
  ]) {
    await prepare()
    await giveAway(directory.dataDir)
    await command(directory).catch((error) => {
      assert.match(describeFileError(error), /and root does not follow it/)
    })
    await assert.rejects(access(paths.authorityKey))
    assert.equal(await guise(secret), before)
    assert.deepEqual(await readdir(outside), ['secret'])
    await rm(staged, { recursive: true, force: true })
  }
})

test("Another CA's key is not copied to a place where the service can read it", async (t) => {
  const { directory, dataDir, paths, outside } = await scene(t)
  const key = join(outside, 'other.key')
  await writeFile(key, await readFile(paths.authorityKey), { mode: 0o600 })
  await rm(paths.authorityKey)
  await symlink(key, paths.authorityKey)
  await giveAway(dataDir)
  await chmod(outside, 0o700)
  const renewal = renewAuthority(directory.change(), { commonName: undefined, days: 30 })
  await assert.rejects(
    renewal,
    /ca\.key is a symbolic link that another user could change, or is behind one/,
  )
  await assert.rejects(readdir(paths.previous), { code: 'ENOENT' })
})
