import assert from 'node:assert/strict'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import { type AdoptedFiles, readAdoption } from '../../src/administration/adopt-authority.ts'
import { findReport, reportDevices } from '../../src/administration/device-report.ts'
import { fill } from '../../src/administration/initialize.ts'
import { renewAuthority } from '../../src/administration/renew-authority.ts'
import { revokeDevice } from '../../src/administration/revoke-device.ts'
import { isEncryptedKey, readPemBlocks } from '../../src/certificate/pem.ts'
import { empty, lettingIn, problemOf, snapshotOf } from '../support/command.ts'
import { fixturePath } from '../support/pki.ts'
import {
  makeAuthority,
  makeList,
  NOON_SECONDS,
  present,
  temporaryFolder,
} from '../support/service.ts'

const FOLDER = join(fixturePath('x'), '../../adopted')
const file = (name: string): string => join(FOLDER, name)

const FILES: AdoptedFiles = {
  certificate: file('ca.crt'),
  key: file('ca.key'),
  revocationList: file('ca.crl'),
  index: file('index.txt'),
  certificates: file('newcerts'),
}

const noPassphrase = async () => undefined
const read = (
  files: Partial<AdoptedFiles> = {},
  passphrase: () => Promise<string | undefined> = noPassphrase,
  encryptWith?: string,
  nowSeconds = NOON_SECONDS,
) => readAdoption({ ...FILES, ...files }, encryptWith, passphrase, nowSeconds)

/** A data directory with the CA of the fixtures in it. */
async function adopted(files: Partial<AdoptedFiles> = {}) {
  const directory = await empty()
  const adoption = await read(files)
  const needed = { authority: true, revocationList: true, sessionKeys: true }
  await fill(directory.dataDir, needed, NOON_SECONDS, () => adoption.files)
  return { directory, adoption }
}

test('Each name becomes a device with all its certificates, and revoked certificates stay revoked', async () => {
  const { directory, adoption } = await adopted()
  assert.deepEqual(
    adoption.devices.map(({ name, certificates }) => [name, certificates.map((c) => c.serial)]),
    [
      ['Adas Telefon', ['0f', '10']],
      ['Jürgens Büro-Rechner', ['11']],
      ['Lost phone', ['12']],
      ['Version 1', ['14']],
      ['Weak key', ['15']],
      ['Web server', ['16']],
      ['Only in the CRL', ['17']],
    ],
  )
  assert.equal(adoption.revokedCount, 3)
  const { trust } = await snapshotOf(directory.dataDir)
  const [list] = [...trust.revocationLists.values()]
  assert.deepEqual([...(list?.serials ?? [])].sort(), ['0f', '12', '17'])
  const lost = await findReport(directory.paths, 'Lost phone', NOON_SECONDS)
  assert.equal(lost.state, 'revoked')
  assert.equal(lost.certificates[0]?.reason, 'keyCompromise')
  const adas = await findReport(directory.paths, 'Adas Telefon', NOON_SECONDS)
  assert.deepEqual(
    adas.certificates.map(({ state, reason }) => [state, reason]),
    [
      ['revoked', 'superseded'],
      ['active', undefined],
    ],
  )
})

test('Reports in advance which certificates will be refused and why, and which are left out', async () => {
  const { refused, skipped } = await read()
  assert.deepEqual(
    refused.map(({ name, serial, problem }) => `${name} ${serial} ${problem}`),
    ['Weak key 15 certificate-weak', 'Web server 16 certificate-wrong-usage'],
  )
  assert.deepEqual(skipped, ['1 certificate that has expired'])
})

test('Importing only the index and importing only the certificates give the same devices', async () => {
  const namesOf = async (files: Partial<AdoptedFiles>) =>
    (await read(files)).devices.map(({ name }) => name).sort()
  const both = await namesOf({})
  assert.deepEqual(await namesOf({ certificates: undefined }), both)
  assert.deepEqual(await namesOf({ index: undefined }), both)
})

test('Without a CRL, the index determines what was revoked', async () => {
  const { directory } = await adopted({ revocationList: undefined })
  const { trust } = await snapshotOf(directory.dataDir)
  const [list] = [...trust.revocationLists.values()]
  assert.deepEqual([...(list?.serials ?? [])].sort(), ['0f', '12'])
})

test('The imported CA keeps working: it issues, and revokes what it issued before the import', async () => {
  const { directory } = await adopted()
  await addDevice(directory.change(), { name: 'New phone', owner: undefined }, directory.issue())
  await revokeDevice(directory.change(), 'jürgens büro-rechner', 'all', 'superseded')
  assert.deepEqual(await lettingIn(directory.dataDir), [
    'Adas Telefon',
    'New phone',
    'Version 1',
    'Weak key',
    'Web server',
  ])
  const { trust } = await snapshotOf(directory.dataDir)
  assert.equal(trust.issuers.length, 1)
})

test('A successor with another kind of key is added beside the CA, and both revoke', async () => {
  const { directory } = await adopted()
  await renewAuthority(directory.change(), { commonName: 'Next', days: 30 })
  await addDevice(directory.change(), { name: 'New phone', owner: undefined }, directory.issue())
  for (const name of ['Adas Telefon', 'New phone']) {
    await revokeDevice(directory.change(), name, 'all', 'unspecified')
  }
  const letIn = await lettingIn(directory.dataDir)
  assert.ok(!letIn.includes('Adas Telefon') && !letIn.includes('New phone'))
})

test("The new CRL's number is higher than the old one's, whatever that was", async () => {
  const authority = makeAuthority('Household')
  const folder = await temporaryFolder()
  const number = 2 ** 45
  await writeFile(join(folder, 'ca.crt'), authority.pem)
  await writeFile(join(folder, 'ca.crl'), makeList(authority, { number, revoked: ['4f'] }))
  await writeFile(
    join(folder, 'ca.key'),
    authority.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  )
  const { directory } = await adopted({
    certificate: join(folder, 'ca.crt'),
    key: join(folder, 'ca.key'),
    revocationList: join(folder, 'ca.crl'),
    index: undefined,
    certificates: undefined,
  })
  const { trust } = await snapshotOf(directory.dataDir)
  const [list] = [...trust.revocationLists.values()]
  assert.equal(list?.number, BigInt(number) + 1n)
  assert.ok(list?.serials.has('4f'))
})

test('An encrypted key in either format needs its passphrase, and can be stored encrypted', async () => {
  for (const name of ['ca-encrypted.key', 'ca-traditional.key']) {
    const key = file(name)
    assert.match(
      await problemOf(read({ key })),
      new RegExp(`${name} is encrypted\nhint: set CERTLATCH_CA_PASSPHRASE_FILE`),
    )
    assert.match(
      await problemOf(read({ key }, async () => 'wrong')),
      new RegExp(`${name} cannot be decrypted: the passphrase is wrong$`),
    )
    const { files } = await read({ key }, async () => 'correct-horse')
    assert.ok(isEncryptedKey(files.authority?.key ?? ''))
  }
  const { files } = await read({}, noPassphrase, 'battery staple')
  assert.match(files.authority?.key ?? '', /^-----BEGIN ENCRYPTED PRIVATE KEY-----/)
})

test('Each file that is not what it should be is named', async () => {
  const folder = await temporaryFolder()
  const made = async (name: string, content: string) => {
    await writeFile(join(folder, name), content)
    return join(folder, name)
  }
  const other = makeAuthority('Other')
  const pem = await readFile(file('ca.crt'), 'latin1')
  const otherKey = other.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const cases: readonly (readonly [Partial<AdoptedFiles>, RegExp])[] = [
    [{ certificate: '/no/ca.crt' }, /^\/no\/ca\.crt does not exist$/],
    [{ certificate: await made('not.crt', 'x') }, /not\.crt holds no certificate, in PEM or DER$/],
    [
      { certificate: await made('two.crt', pem + other.pem) },
      /two\.crt must contain one certificate, that of the CA$/,
    ],
    [{ certificate: file('newcerts/10.pem') }, /newcerts\/10\.pem, certificate 1: /],
    [{ certificate: fixturePath('ca-no-crl-sign') }, /the CA may not sign CRLs/],
    [
      { certificate: fixturePath('ca-expired') },
      /the CA has expired\nhint: certlatch init makes a new one$/,
    ],
    [{ key: '/no/ca.key' }, /^\/no\/ca\.key does not exist$/],
    [{ key: await made('not.key', 'x') }, /not\.key is not a private key in PEM$/],
    [{ key: await made('other.key', otherKey) }, /other\.key is not the key of .*ca\.crt$/],
    [{ revocationList: '/no/ca.crl' }, /^\/no\/ca\.crl does not exist$/],
    [{ revocationList: await made('not.crl', 'x') }, /not\.crl holds no CRL, in PEM or DER$/],
    [
      { revocationList: await made('other.crl', makeList(other)) },
      /other\.crl: the CRL of "CN=Other"/,
    ],
    [{ index: '/no/index.txt' }, /^\/no\/index\.txt does not exist$/],
    [{ index: await made('not.txt', 'V\t1\n') }, /not\.txt line 1 is not one of an openssl/],
    [{ certificates: '/no/newcerts' }, /^\/no\/newcerts does not exist$/],
  ]
  for (const [files, expected] of cases) assert.match(await problemOf(read(files)), expected)
})

test('Files in the folder that are no certificate of the CA are skipped; unreadable ones are reported', async () => {
  const folder = join(await temporaryFolder(), 'certs')
  await mkdir(folder)
  await copyFile(file('newcerts/10.pem'), join(folder, '10.pem'))
  // Not of this CA, not a certificate, not of a name that certificates have.
  await copyFile(fixturePath('leaf-good'), join(folder, 'other.pem'))
  await copyFile(file('ca.crt'), join(folder, 'ca.crt'))
  await copyFile(file('ca.key'), join(folder, 'ca.key'))
  await copyFile(file('newcerts/11.pem'), join(folder, 'README'))
  const broken = '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n'
  await writeFile(join(folder, 'broken.crt'), broken)
  const { devices, skipped } = await read({ index: undefined, certificates: folder })
  assert.deepEqual(
    devices.map(({ name }) => name),
    ['Adas Telefon'],
  )
  assert.deepEqual(skipped, [
    `${join(folder, 'broken.crt')} holds a certificate that is not in strict DER`,
  ])
})

test('A name that no device can have is left out, with a hint on how to register it', async () => {
  const folder = await temporaryFolder()
  const index = join(folder, 'index.txt')
  await writeFile(index, 'V\t360101000000Z\t\t20\tunknown\t/O=Nobody\n')
  const { devices, skipped } = await read({ index, certificates: undefined })
  assert.deepEqual(devices, [])
  assert.match(
    skipped.join('\n'),
    /^line 1 of the index: its name is empty; .*certlatch device add NAME --certificate FILE$/,
  )
})

test('An import succeeds completely or not at all, and needs an empty directory', async () => {
  const { directory } = await adopted()
  const reports = await reportDevices(directory.paths, NOON_SECONDS)
  assert.equal(reports.length, 7)
  const adoption = await read()
  const needed = { authority: true, revocationList: true, sessionKeys: true }
  assert.match(
    await problemOf(fill(directory.dataDir, needed, NOON_SECONDS, () => adoption.files)),
    /has been initialized before/,
  )
})

test('A certificate or CRL in DER is imported too, and stored as PEM', async () => {
  const folder = await temporaryFolder()
  const toDer = async (name: string, label: string) => {
    const pem = await readFile(file(name), 'latin1')
    const [der] = readPemBlocks(pem, label, true) ?? []
    await writeFile(join(folder, name), present(der))
    return join(folder, name)
  }
  const issued = makeAuthority('Other')
  await writeFile(join(folder, 'other.der'), issued.certificate.der)
  const adoption = await read({
    certificate: await toDer('ca.crt', 'CERTIFICATE'),
    revocationList: await toDer('ca.crl', 'X509 CRL'),
    certificates: folder,
  })
  const plain = await read()
  assert.deepEqual(adoption.issuer.keyHash, plain.issuer.keyHash)
  assert.equal(adoption.revokedCount, plain.revokedCount)
  assert.match(adoption.files.authority?.certificate ?? '', /^-----BEGIN CERTIFICATE-----/)
})
