import assert from 'node:assert/strict'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { decryptKey } from '../../src/administration/authorities.ts'
import { changeDirectory } from '../../src/administration/change-directory.ts'
import { initialize } from '../../src/administration/initialize.ts'
import { commonName } from '../../src/certificate/name.ts'
import { isEncryptedKey } from '../../src/certificate/pem.ts'
import { acquireLock } from '../../src/store/lock.ts'
import { empty, initialized, problemOf, snapshotOf, treeOf } from '../support/command.ts'
import { NOON_SECONDS, present } from '../support/service.ts'

const EVERYTHING = { authority: true, revocationList: true, sessionKeys: true }

test('An empty directory gets a CA with the requested name, lifetime and encryption', async () => {
  const directory = await empty()
  const { paths, dataDir } = directory
  const options = { commonName: 'Lovelace', days: 10, passphrase: 'correct horse' }
  const made = await initialize(dataDir, EVERYTHING, options, NOON_SECONDS)
  assert.deepEqual(made, [
    paths.authority,
    paths.revocationList,
    paths.sessionKeys,
    paths.authorityKey,
  ])
  const { trust } = await snapshotOf(dataDir)
  const { certificate } = present(trust.issuers[0])
  assert.equal(commonName(certificate.subject), 'Lovelace')
  assert.equal(certificate.notAfter, NOON_SECONDS + 10 * 86_400)
  const key = await readFile(paths.authorityKey, 'utf8')
  assert.ok(isEncryptedKey(key))
  assert.equal(decryptKey('ca.key', key, 'correct horse').asymmetricKeyType, 'ec')
})

test('A directory can be initialized only once', async () => {
  const { dataDir } = await initialized()
  const before = await treeOf(dataDir)
  assert.match(
    await problemOf(initialize(dataDir, EVERYTHING, {}, NOON_SECONDS)),
    /has been initialized before, and nothing in it is overwritten\nhint: certlatch device add makes/,
  )
  assert.deepEqual(await treeOf(dataDir), before)
})

test('A partly filled directory is not completed', async () => {
  const { dataDir, paths } = await initialized()
  await rm(paths.revocationList)
  const before = await treeOf(dataDir)
  assert.match(
    await problemOf(initialize(dataDir, EVERYTHING, {}, NOON_SECONDS)),
    /is half-filled: .*ca\.crl is missing; restore it from a backup/,
  )
  assert.deepEqual(await treeOf(dataDir), before)
})

test('With an external CA only session keys are created', async () => {
  const { dataDir, paths } = await empty()
  const needed = { authority: false, revocationList: false, sessionKeys: true }
  assert.deepEqual(await initialize(dataDir, needed, {}, NOON_SECONDS), [paths.sessionKeys])
})

test('Before a directory is initialized there is nothing to change', async () => {
  const directory = await empty()
  assert.match(
    await problemOf(changeDirectory(directory.change(), async () => undefined)),
    /does not exist or is empty\nhint: run certlatch init first, or set CERTLATCH_DATA_DIR/,
  )
})

test('Without its private folder a directory has to be restored', async () => {
  const directory = await initialized()
  await rm(directory.paths.privateFolder, { recursive: true })
  assert.match(
    await problemOf(changeDirectory(directory.change(), async () => undefined)),
    /private does not exist\nhint: restore it from a backup, or empty the directory to start over$/,
  )
})

test('What a killed writer left unfinished is removed by the next one', async () => {
  const directory = await initialized()
  const { privateFolder, publicFolder } = directory.paths
  await writeFile(`${publicFolder}/ca.crl.0123456789ab.tmp`, 'half')
  await writeFile(`${privateFolder}/session.keys.0123456789ab.tmp`, 'half')
  await writeFile(`${privateFolder}/notes.tmp`, "another process's")
  await changeDirectory(directory.change(), async () => undefined)
  assert.deepEqual(await readdir(publicFolder), ['ca.crl', 'ca.crt'])
  assert.ok((await readdir(privateFolder)).includes('notes.tmp'))
  assert.ok(!(await readdir(privateFolder)).includes('session.keys.0123456789ab.tmp'))
})

test('A writer that lost the lock changes nothing more', async () => {
  const directory = await initialized()
  const { paths } = directory
  const before = await treeOf(directory.dataDir)
  const lost = changeDirectory(directory.change(), async (open) => {
    await open.lock.release()
    const other = await acquireLock(paths.privateFolder, { who: 'other', waitMilliseconds: 0 })
    assert.ok(other.ok)
    try {
      await open.replace(paths.sessionKeys, '', 0o600)
    } finally {
      await other.lock.release()
    }
  })
  await assert.rejects(lost, { name: 'LockLostError' })
  assert.deepEqual(await treeOf(directory.dataDir), before)
})
