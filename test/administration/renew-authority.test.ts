import assert from 'node:assert/strict'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import { readAuthorityKey } from '../../src/administration/authorities.ts'
import { renewAuthority } from '../../src/administration/renew-authority.ts'
import { revokeDevice } from '../../src/administration/revoke-device.ts'
import { commonName } from '../../src/certificate/name.ts'
import { isEncryptedKey } from '../../src/certificate/pem.ts'
import { initialized, lettingIn, problemOf, snapshotOf } from '../support/command.ts'
import { NOON_SECONDS, present } from '../support/service.ts'

const DAY = 86_400

test('A renewed CA signs from now on; certificates of the previous CA stay valid', async () => {
  const directory = await initialized({ commonName: 'One', days: 100 })
  await addDevice(directory.change(), { name: 'Phone', owner: undefined }, directory.issue())
  const renewed = await renewAuthority(directory.change(60), { commonName: 'Two', days: 30 })
  assert.equal(commonName(renewed.authority.certificate.subject), 'Two')
  assert.equal(renewed.authority.certificate.notAfter, NOON_SECONDS + 60 + 30 * DAY)
  const { trust } = await snapshotOf(directory.dataDir)
  assert.deepEqual(
    trust.issuers.map(({ certificate }) => commonName(certificate.subject)),
    ['One', 'Two'],
  )
  assert.equal(trust.revocationLists.size, 2)
  for (const { number } of trust.revocationLists.values()) assert.equal(number, renewed.crlNumber)
  assert.deepEqual(await lettingIn(directory.dataDir), ['Phone'])
})

test('The previous key is kept readable for its owner only, and nothing else is left behind', async () => {
  const directory = await initialized()
  const { paths } = directory
  const before = await readFile(paths.authorityKey, 'utf8')
  const { before: issuers } = await renewAuthority(directory.change(), {
    commonName: undefined,
    days: 30,
  })
  const path = paths.previousKeyOf(present(issuers[0]).keyHash)
  assert.equal(await readFile(path, 'utf8'), before)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal((await stat(paths.previous)).mode & 0o777, 0o700)
  assert.deepEqual((await readdir(paths.privateFolder)).sort(), [
    'ca.key',
    'lock',
    'previous',
    'session.keys',
  ])
})

test('The successor of a CA with an encrypted key is encrypted too', async () => {
  const directory = await initialized({ passphrase: 'correct horse' })
  const renew = (passphrase: string | undefined) =>
    renewAuthority({ ...directory.change(), passphrase }, { commonName: undefined, days: 30 })
  assert.match(await problemOf(renew('wrong')), /the passphrase is wrong$/)
  await renew('correct horse')
  const { authorityKey } = directory.paths
  assert.ok(isEncryptedKey(await readFile(authorityKey, 'utf8')))
  await readAuthorityKey(authorityKey, 'correct horse')
})

test('An expired CA is removed, and a third one signs beside the second', async () => {
  const directory = await initialized({ days: 5 })
  const renew = (later: number) =>
    renewAuthority(directory.change(later), { commonName: undefined, days: 30 })
  assert.equal((await renew(DAY)).dropped.length, 0)
  const third = await renew(6 * DAY)
  assert.equal(third.dropped.length, 1)
  assert.equal(third.before.length, 1)
  const { trust } = await snapshotOf(directory.dataDir)
  assert.equal(trust.issuers.length, 2)
  assert.equal(trust.revocationLists.size, 2)
})

test("Without a previous CA's key its CRL stays, and only its own certificates cannot be revoked", async () => {
  const directory = await initialized({ commonName: 'One' })
  const lines: string[] = []
  const change = (later: number) => ({
    ...directory.change(later),
    notify: (line: string) => lines.push(line),
  })
  const add = (name: string) => addDevice(change(60), { name, owner: undefined }, directory.issue())
  const revoke = (name: string, later: number) =>
    revokeDevice(change(later), name, 'all', 'unspecified')
  await add('Old phone')
  const renewed = await renewAuthority(change(60), { commonName: 'Two', days: 30 })
  const [before] = renewed.before
  await rm(directory.paths.previousKeyOf(present(before).keyHash))
  await add('Phone')
  const { crlNumber } = await revoke('Phone', 120)
  assert.ok(crlNumber > renewed.crlNumber)
  assert.deepEqual(await lettingIn(directory.dataDir), ['Old phone'])
  const [line = '', ...more] = lines
  assert.match(
    line,
    /^the CRL of the CA "CN=One" cannot be renewed and expires at 2036-\S+Z: .*\.key does not exist$/,
  )
  assert.deepEqual(more, [])
  const { trust } = await snapshotOf(directory.dataDir)
  assert.equal(trust.revocationLists.get(present(before).keyHash)?.number, renewed.crlNumber)
  assert.match(
    await problemOf(revoke('Old phone', 180)),
    /\.key does not exist\nhint: .*certlatch device block/,
  )
  await renewAuthority(change(240), { commonName: 'Three', days: 30 })
})
