import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { chmod, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { addDevice, takeBackAdded } from '../../src/administration/add-device.ts'
import { blockCertificate, unblockCertificate } from '../../src/administration/block-certificate.ts'
import { findDevice } from '../../src/administration/find-device.ts'
import { registerCertificate } from '../../src/administration/register-certificate.ts'
import { renewAuthority } from '../../src/administration/renew-authority.ts'
import { renewDevice } from '../../src/administration/renew-device.ts'
import { revokeDevice } from '../../src/administration/revoke-device.ts'
import type { Certificate } from '../../src/certificate/certificate.ts'
import { publicKeyInfoOf } from '../../src/certificate/issue.ts'
import { writePem } from '../../src/certificate/pem.ts'
import { rollBackIssue } from '../../src/cli/package-output.ts'
import { describeFileError, errorCode, MODE } from '../../src/store/files.ts'
import {
  initialized,
  lettingIn,
  problemOf,
  snapshotOf,
  type TestDirectory,
  treeOf,
} from '../support/command.ts'
import {
  makeAuthority,
  makeLeaf,
  makeList,
  NOON_SECONDS,
  ownAuthority,
  present,
} from '../support/service.ts'

const DAY = 86_400

/** Writes a certificate to a file as a person would name it, and returns the path. */
async function writeGiven({ dataDir }: TestDirectory, { der }: Certificate): Promise<string> {
  const path = join(dirname(dataDir), 'given.crt')
  await writeFile(path, writePem('CERTIFICATE', der))
  return path
}

const add = (directory: TestDirectory, name: string, owner?: string, later = 0) =>
  addDevice(directory.change(later), { name, owner }, directory.issue())

const deviceIn = async ({ dataDir }: TestDirectory) =>
  present(present((await snapshotOf(dataDir)).registry).devices[0])

test('A new device gets an entry, a copy of its certificate, and a package that only the owner can read', async () => {
  const directory = await initialized()
  const { device, certificate, package: parcel } = await add(directory, "Ada's phone", 'Ada')
  assert.deepEqual(await readdir(directory.paths.devices), [`${device.id}.json`])
  const path = present(parcel.path)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.match(path, /\/adas-phone-[0-9a-f]{8}\.pem$/)
  const text = await readFile(path, 'latin1')
  assert.ok(new X509Certificate(text).checkPrivateKey(createPrivateKey(text)))
  const kept = await readFile(directory.paths.certificateOf(certificate.serial), 'latin1')
  assert.deepEqual(new X509Certificate(kept).raw, certificate.der)
  const { registry } = await snapshotOf(directory.dataDir)
  assert.deepEqual(present(registry).devices, [device])
  assert.deepEqual(await lettingIn(directory.dataDir), ["Ada's phone"])
  assert.equal(device.certificates[0]?.issuedAt, NOON_SECONDS)
})

test('The certificate names the device, lasts as long as asked, and is valid from an hour ago', async () => {
  const directory = await initialized()
  const { certificate, device } = await addDevice(
    directory.change(2 * DAY),
    { name: 'Büro-Rechner 日本', owner: undefined },
    directory.issue({ days: 30 }),
  )
  assert.equal(certificate.notBefore, NOON_SECONDS + 2 * DAY - 3600)
  assert.equal(certificate.notAfter, NOON_SECONDS + 32 * DAY)
  const read = new X509Certificate(certificate.der)
  assert.equal(read.subject, 'CN=Büro-Rechner 日本')
  assert.equal(read.subjectAltName, `URI:urn:uuid:${device.id}`)
})

test('A certificate is never valid outside the lifetime of its CA', async () => {
  const directory = await initialized({ days: 5 })
  const { certificate } = await add(directory, 'Phone', undefined, -1800)
  const authority = await ownAuthority(directory.dataDir)
  assert.equal(certificate.notBefore, authority.certificate.notBefore)
  assert.equal(certificate.notAfter, authority.certificate.notAfter)
})

test('An expired CA issues nothing', async () => {
  const directory = await initialized({ days: 5 })
  const problem = await problemOf(add(directory, 'Phone', undefined, 5 * DAY))
  assert.equal(problem, 'the CA has expired\nhint: run certlatch ca renew first')
})

test('Names are stored in one spelling, and are unique regardless of case', async () => {
  const directory = await initialized()
  const { device } = await add(directory, '  Ju\u0308rgens  Phone ')
  assert.equal(device.name, 'Jürgens Phone')
  assert.match(
    await problemOf(add(directory, 'Jürgens Phone')),
    /^there is a device "Jürgens Phone" already\nhint: certlatch device renew /,
  )
  assert.match(
    await problemOf(add(directory, 'JÜRGENS PHONE')),
    /^there is a device "Jürgens Phone" already\nhint: names have to differ in more than upper and lower/,
  )
})

test("A device may have its owner's name, but not another device's", async () => {
  const directory = await initialized()
  await add(directory, 'Ada', 'Ada')
  await add(directory, "Ada's phone", 'Ada').then(
    () => assert.fail('the owner is the name of another device'),
    () => undefined,
  )
  await add(directory, 'Phone', 'Bob')
  assert.match(await problemOf(add(directory, 'Bob')), /^"Bob" is the owner of "Phone": /)
  assert.match(
    await problemOf(add(directory, 'Tablet', 'Phone')),
    /^the owner "Phone" is also the name of a device: /,
  )
  assert.deepEqual(await lettingIn(directory.dataDir), ['Ada', 'Phone'])
})

test('A device or owner name that no certificate can hold is a usage error', async () => {
  const directory = await initialized()
  for (const name of ['', ' ', 'a\u0000b', 'a\u202eb', 'x'.repeat(65)]) {
    await assert.rejects(add(directory, name), { name: 'CommandError', code: 'usage' })
    await assert.rejects(add(directory, 'Phone', name), {
      name: 'CommandError',
      code: 'usage',
    })
  }
  assert.match(await problemOf(add(directory, '')), /^the device's name is empty/)
  assert.match(await problemOf(add(directory, 'Phone', '')), /^the owner's name is empty/)
})

test('A package printed to stdout is not written to a file', async () => {
  const directory = await initialized()
  const issue = directory.issue({ format: 'p12', form: 'compat', folder: undefined })
  const added = await addDevice(directory.change(), { name: 'Phone', owner: undefined }, issue)
  await assert.rejects(readdir(directory.packages), { code: 'ENOENT' })
  assert.match(present(added.password), /^([a-z2-9]{4}-){4}[a-z2-9]{4}$/)
  assert.equal(added.package.content[0], 0x30)
  assert.deepEqual(await lettingIn(directory.dataDir), ['Phone'])
})

test('A profile is only for Apple, contains the package, and does not contain its password', async () => {
  const directory = await initialized()
  const issue = directory.issue({ format: 'mobileconfig', form: 'compat' })
  const added = await addDevice(directory.change(), { name: 'Phone', owner: undefined }, issue)
  const path = present(added.package.path)
  const text = await readFile(path, 'utf8')
  assert.match(path, /\.mobileconfig$/)
  assert.match(text, /com\.apple\.security\.pkcs12/)
  assert.ok(!text.includes(present(added.password)))
})

test('An RSA key has 2048 bits', async () => {
  const directory = await initialized()
  const added = await addDevice(
    directory.change(),
    { name: 'Phone', owner: undefined },
    directory.issue({ key: 'rsa2048' }),
  )
  const { publicKey } = new X509Certificate(added.certificate.der)
  assert.equal(publicKey.asymmetricKeyDetails?.modulusLength, 2048)
})

test('For a key that never left the device, the package is the certificate alone', async () => {
  const directory = await initialized()
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const added = await addDevice(
    directory.change(),
    { name: 'Phone', owner: undefined },
    directory.issue({ publicKeyInfo: publicKeyInfoOf(privateKey) }),
  )
  assert.equal(added.password, undefined)
  const path = present(added.package.path)
  assert.match(path, /\.crt$/)
  const text = await readFile(path, 'latin1')
  assert.ok(!text.includes('PRIVATE'))
  assert.ok(new X509Certificate(text).checkPrivateKey(privateKey))
})

test("Without the CA's key, or with a different key, nothing is issued", async () => {
  const directory = await initialized()
  const { authorityKey } = directory.paths
  const whole = await readFile(authorityKey)
  await rm(authorityKey)
  assert.match(
    await problemOf(add(directory, 'Phone')),
    /ca\.key does not exist\nhint: put the key of the CA back/,
  )
  await writeFile(authorityKey, 'nonsense')
  assert.match(await problemOf(add(directory, 'Phone')), /ca\.key is not a private key in PEM$/)
  const { privateKey } = makeAuthority('Other')
  await writeFile(authorityKey, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  assert.match(
    await problemOf(add(directory, 'Phone')),
    /ca\.key is not the key of a CA in .*ca\.crt\nhint: restore the two from one backup$/,
  )
  await writeFile(authorityKey, whole)
  assert.deepEqual(await lettingIn(directory.dataDir), [])
  await add(directory, 'Phone')
})

test('An encrypted key needs its passphrase', async () => {
  const directory = await initialized({ passphrase: 'correct horse' })
  const adding = (passphrase: string | undefined) =>
    addDevice(
      { ...directory.change(), passphrase },
      { name: 'Phone', owner: undefined },
      directory.issue(),
    )
  assert.match(
    await problemOf(adding(undefined)),
    /ca\.key is encrypted\nhint: set CERTLATCH_CA_PASSPHRASE_FILE/,
  )
  assert.match(
    await problemOf(adding('battery staple')),
    /ca\.key cannot be decrypted: the passphrase is wrong$/,
  )
  await adding('correct horse')
})

test('Without a CRL for each CA nothing is issued: revoked devices would get access again', async () => {
  const directory = await initialized()
  const { revocationList } = directory.paths
  await rm(revocationList)
  assert.match(await problemOf(add(directory, 'Phone')), /ca\.crl does not exist/)
  await writeFile(revocationList, makeAuthority('Other').pem)
  assert.match(await problemOf(add(directory, 'Phone')), /ca\.crl has no CRL of the CA /)
})

test('If an entry is broken, nothing is added, and the error names that entry', async () => {
  const directory = await initialized()
  const { device } = await add(directory, 'Phone')
  await writeFile(join(directory.paths.devices, `${device.id}.json`), '{}')
  assert.match(
    await problemOf(add(directory, 'Tablet')),
    /devices: .*\.json is not a device entry; a new entry could repeat what is in it\nhint: restore that file from a backup first$/,
  )
})

test('If the package cannot be written, no entry is made and nothing is left behind', async () => {
  const directory = await initialized()
  await add(directory, 'Tablet')
  const before = await treeOf(directory.dataDir)
  const folder = join(directory.packages, 'file')
  await writeFile(folder, '')
  const failed = addDevice(
    directory.change(),
    { name: 'Phone', owner: undefined },
    directory.issue({ folder }),
  )
  await assert.rejects(failed, (error) => describeFileError(error) !== undefined)
  assert.deepEqual(await treeOf(directory.dataDir), before)
})

test('A device with a certificate from the previous CA is added beside it', async () => {
  const directory = await initialized()
  await add(directory, 'Phone')
  await renewAuthority(directory.change(), { commonName: undefined, days: 30 })
  const { certificate, device } = await add(directory, 'Tablet')
  const { trust } = await snapshotOf(directory.dataDir)
  assert.equal(trust.issuers.length, 2)
  assert.equal(device.certificates[0]?.issuerKeyHash, trust.issuers[1]?.keyHash)
  assert.ok(certificate.issuer.comparable === trust.issuers[1]?.certificate.subject.comparable)
  assert.deepEqual(await lettingIn(directory.dataDir), ['Phone', 'Tablet'])
})

test('An existing certificate can be registered only once', async () => {
  const directory = await initialized()
  const authority = await ownAuthority(directory.dataDir)
  const certificate = makeLeaf(authority, 'Restored')
  const path = await writeGiven(directory, certificate)
  const register = (name: string) =>
    registerCertificate(directory.change(), { name, owner: 'Ada' }, 'new', path)
  await register('Phone')
  assert.deepEqual(await lettingIn(directory.dataDir), ['Phone'])
  assert.equal(
    await problemOf(register('Tablet')),
    'this certificate is registered already, as "Phone"',
  )
})

test('Registering a certificate for an existing device keeps its other certificates', async () => {
  const directory = await initialized()
  const authority = await ownAuthority(directory.dataDir)
  await add(directory, 'Phone')
  const path = await writeGiven(directory, makeLeaf(authority, 'Renewed before the backup'))
  const given = { name: 'phone', owner: undefined }
  const device = await registerCertificate(directory.change(), given, 'another', path)
  assert.equal(device.certificates.length, 2)
  assert.deepEqual(await lettingIn(directory.dataDir), ['Phone', 'Phone'])
})

test('A revoked device gets no other certificate', async () => {
  const directory = await initialized()
  const authority = await ownAuthority(directory.dataDir)
  await add(directory, 'Phone')
  await revokeDevice(directory.change(60), 'Phone', 'all', 'unspecified')
  const path = await writeGiven(directory, makeLeaf(authority, 'Another'))
  const given = { name: 'Phone', owner: undefined }
  const before = await treeOf(directory.dataDir)
  assert.equal(
    await problemOf(registerCertificate(directory.change(120), given, 'another', path)),
    'all certificates of "Phone" are revoked\nhint: add its replacement under a new name',
  )
  assert.deepEqual(await treeOf(directory.dataDir), before)
})

test('A blocked certificate is not registered until the block is lifted', async () => {
  const directory = await initialized()
  const { keyHash: issuerKeyHash, ...authority } = await ownAuthority(directory.dataDir)
  const certificate = makeLeaf(authority, 'Blocked')
  const id = { issuerKeyHash, serial: certificate.serial }
  const path = await writeGiven(directory, certificate)
  await blockCertificate(directory.change(), id)
  await add(directory, 'Tablet')
  const before = await treeOf(directory.dataDir)
  const register = (kind: 'new' | 'another', name: string) =>
    registerCertificate(directory.change(), { name, owner: undefined }, kind, path)
  for (const [kind, name] of [
    ['new', 'Phone'],
    ['another', 'Tablet'],
  ] as const) {
    await assert.rejects(register(kind, name), {
      code: 'usage',
      message: 'this certificate is blocked',
      hint: 'to give it access again, first run certlatch device block --lift --certificate FILE',
    })
  }
  assert.deepEqual(await treeOf(directory.dataDir), before)
  await unblockCertificate(directory.change(), id)
  await register('new', 'Phone')
  assert.deepEqual(await lettingIn(directory.dataDir), ['Phone', 'Tablet'])
})

test('A name given in another case means a device only if no other device may be meant', () => {
  const named = (...names: readonly string[]) => ({
    devices: names.map((name) => ({ id: name, name, owner: undefined, certificates: [] })),
    broken: [],
  })
  const both = named('ÉÀ', 'éà')
  for (const [known, given, found] of [
    [both, 'ÉÀ', 'ÉÀ'],
    [both, 'éà', 'éà'],
    [both, 'e\u0301a\u0300', 'éà'],
    [named('Phone', 'éà'), 'Éà', 'éà'],
    [named('Phone', 'éà'), 'PHONE', 'Phone'],
  ] as const) {
    assert.equal(findDevice(known, given).name, found)
  }
  assert.throws(() => findDevice(both, 'Éà'), {
    code: 'usage',
    message: '"Éà" is ambiguous: "ÉÀ" or "éà"?',
    hint: 'write the name exactly as certlatch device list shows it',
  })
})

test('An expired or revoked certificate is not registered', async () => {
  const directory = await initialized()
  const authority = await ownAuthority(directory.dataDir)
  const device = { name: 'Phone', owner: undefined }
  const register = async (certificate: Certificate) => {
    const path = await writeGiven(directory, certificate)
    return registerCertificate(directory.change(), device, 'new', path)
  }
  const ended = makeLeaf(authority, 'Ended', { notAfter: NOON_SECONDS - 1 })
  assert.match(await problemOf(register(ended)), /has expired/)
  const revoked = makeLeaf(authority, 'Revoked')
  await writeFile(
    directory.paths.revocationList,
    makeList(authority, { revoked: [revoked.serial] }),
  )
  assert.match(await problemOf(register(revoked)), /is revoked/)
})

test('An issuance that was never delivered is rolled back, together with its package', async () => {
  const directory = await initialized()
  const added = await add(directory, 'Phone')
  assert.match(
    await problemOf(rollBackIssue(directory.change(), added)),
    /so the password is lost: the certificate was taken back$/,
  )
  assert.deepEqual(await lettingIn(directory.dataDir), [])
  assert.deepEqual(await readdir(directory.packages), [])
  const again = await add(directory, 'Phone')
  assert.equal(again.device.id, added.device.id)
})

test('Taking a renewal back restores the previous certificate, if nothing else has changed', async () => {
  const directory = await initialized()
  const { device } = await add(directory, 'Phone')
  const renewed = await renewDevice(directory.change(10), 'Phone', directory.issue(), 0)
  await takeBackAdded(directory.change(20), renewed)
  assert.deepEqual(await deviceIn(directory), device)
})

test('Taking an issuance back keeps what other commands have changed since', async (t) => {
  await t.test('another renewal', async () => {
    const directory = await initialized()
    await add(directory, 'Phone')
    const lost = await renewDevice(directory.change(10), 'Phone', directory.issue(), 100)
    const kept = await renewDevice(directory.change(20), 'Phone', directory.issue(), 0)
    await takeBackAdded(directory.change(30), lost)
    const { certificates } = await deviceIn(directory)
    assert.deepEqual(
      certificates.map(({ serial, endsAt }) => [serial, endsAt]),
      [
        [lost.before.certificates[0]?.serial, NOON_SECONDS + 20],
        [kept.entry.serial, undefined],
      ],
    )
  })
  await t.test('another renewal with a longer overlap', async () => {
    const directory = await initialized()
    await add(directory, 'Phone')
    const lost = await renewDevice(directory.change(10), 'Phone', directory.issue(), 0)
    await renewDevice(directory.change(20), 'Phone', directory.issue(), 100)
    await takeBackAdded(directory.change(30), lost)
    const [previous] = (await deviceIn(directory)).certificates
    assert.equal(previous?.endsAt, NOON_SECONDS + 10)
  })
  await t.test('a revocation', async () => {
    const directory = await initialized()
    await add(directory, 'Phone')
    const lost = await renewDevice(directory.change(10), 'Phone', directory.issue(), 100)
    await revokeDevice(directory.change(20), 'Phone', 'all', 'keyCompromise')
    await takeBackAdded(directory.change(30), lost)
    const { certificates } = await deviceIn(directory)
    assert.deepEqual(
      certificates.map(({ revokedAt }) => revokedAt),
      [NOON_SECONDS + 20, NOON_SECONDS + 20],
    )
  })
  await t.test('the removal of the device', async () => {
    const directory = await initialized()
    const added = await add(directory, 'Phone')
    await rm(join(directory.paths.devices, `${added.device.id}.json`))
    await takeBackAdded(directory.change(30), added)
    assert.deepEqual(await readdir(directory.paths.devices), [])
  })
})

test('Files that root creates belong to the owner of the directory', async (context) => {
  if (process.geteuid?.() !== 0) return context.skip('only root gives files away')
  const directory = await initialized()
  const { chown } = await import('node:fs/promises')
  await chown(directory.paths.privateFolder, 12_345, 12_345)
  await add(directory, 'Phone')
  const names = await readdir(directory.paths.devices)
  const { uid } = await stat(join(directory.paths.devices, present(names[0])))
  assert.equal(uid, 12_345)
})

test('A directory that is not writable is reported, and nothing changes', async (context) => {
  const directory = await initialized()
  const before = await treeOf(directory.dataDir)
  await chmod(directory.paths.privateFolder, MODE.secretFolder & 0o500)
  if (process.geteuid?.() === 0) {
    // Root can write anywhere, so the test switches to another user for a moment.
    process.seteuid?.(12_345)
    context.after(() => process.seteuid?.(0))
  }
  await assert.rejects(add(directory, 'Phone'), (error) => {
    return error instanceof Error && (errorCode(error) ?? error.name) !== 'Error'
  })
  if (process.getuid?.() === 0) process.seteuid?.(0)
  await chmod(directory.paths.privateFolder, MODE.secretFolder)
  assert.deepEqual(await treeOf(directory.dataDir), before)
})
