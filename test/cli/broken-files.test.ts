import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { DataPaths } from '../../src/store/data-directory.ts'
import { certlatch, initialized } from '../support/command.ts'
import { makeAuthority, makeList } from '../support/service.ts'

const ADD = ['device', 'add', 'Phone', '--out', '-']

/** What `device add` says after a change of its files. */
async function add(change: (paths: DataPaths) => Promise<unknown>, argv: readonly string[] = ADD) {
  const { dataDir, paths } = await initialized()
  await change(paths)
  return certlatch(argv, { CERTLATCH_DATA_DIR: dataDir })
}

const BROKEN: Readonly<Record<string, [change: (paths: DataPaths) => Promise<unknown>, RegExp]>> = {
  'a CRL that is missing': [
    ({ revocationList }) => rm(revocationList),
    /^error: .*ca\.crl does not exist\nhint: restore it from a backup, or empty the directory to start over\n$/,
  ],
  'a CRL of another CA alone': [
    ({ revocationList }) => writeFile(revocationList, makeList(makeAuthority('Other'))),
    /^error: .*ca\.crl has no CRL of the CA ".*"\nhint: restore it from a backup/,
  ],
  'a CRL that is none': [
    ({ revocationList }) =>
      writeFile(revocationList, '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n'),
    /^error: .*ca\.crl: /,
  ],
  'a CA certificate that is missing': [
    ({ authority }) => rm(authority),
    /^error: .*ca\.crt does not exist\nhint: restore it from a backup, or empty the directory to start over\n$/,
  ],
  'a CA certificate that is none': [
    ({ authority }) => writeFile(authority, 'text'),
    /^error: .*ca\.crt /,
  ],
  'a key that is none': [
    ({ authorityKey }) => writeFile(authorityKey, 'text'),
    /^error: .*ca\.key is not a private key in PEM\n/,
  ],
}

for (const [what, [change, says]] of Object.entries(BROKEN)) {
  test(`${what} is named, and nothing is issued`, async () => {
    const { exitCode, stdout, stderr } = await add(change)
    assert.equal(exitCode, 1, stderr)
    assert.equal(stdout, '')
    assert.match(stderr, says)
  })
}

test('An empty --out, and --json with --out -, are usage errors', async () => {
  for (const [argv, says] of [
    [['device', 'add', 'Phone', '--out', ''], /--out is empty: expected a folder, or -/],
    [[...ADD, '--json'], /--json does not go with --out -/],
  ] as const) {
    const { exitCode, stderr } = await add(() => Promise.resolve(), argv)
    assert.equal(exitCode, 2)
    assert.match(stderr, says)
  }
})

test('A folder may end in a slash, and the package is written into it', async () => {
  const { dataDir } = await initialized()
  const argv = ['device', 'add', 'Phone', '--format', 'pem', '--out', `${dataDir}//`, '--json']
  const { exitCode, stdout, stderr } = await certlatch(argv, { CERTLATCH_DATA_DIR: dataDir })
  assert.equal(exitCode, 0, stderr)
  const { package: path, password, device } = JSON.parse(stdout)
  assert.equal(join(path), path)
  assert.match(await readFile(path, 'utf8'), /BEGIN CERTIFICATE/)
  assert.deepEqual([password, device.name], [undefined, 'Phone'])
})

test('A broken entry of the registry is reported once, as a warning', async () => {
  const { dataDir, paths } = await initialized()
  const environment = { CERTLATCH_DATA_DIR: dataDir }
  await certlatch(ADD, environment)
  const invite = ['device', 'invite', 'TV', '--url', 'https://home.example.org']
  assert.equal((await certlatch(invite, environment)).exitCode, 0)
  await writeFile(join(paths.devices, '00000000-0000-4000-8000-000000000000.json'), '{')
  const { stderr } = await certlatch(['device', 'sign-out', 'Phone'], environment)
  assert.equal(stderr.match(/left out/g)?.length, 1, stderr)
  assert.match(stderr, /^warning: left out/m)
})

test('Only a command that changes files says that it may have begun to', async () => {
  const { dataDir, packages, paths } = await initialized()
  await writeFile(packages, 'a file')
  const init = await certlatch(['init'], { CERTLATCH_DATA_DIR: packages })
  assert.match(init.stderr, /\nhint: fix that and run the command again\n$/)
  await writeFile(paths.devices, 'a file')
  const environment = { CERTLATCH_DATA_DIR: dataDir }
  const list = await certlatch(['device', 'list'], environment)
  assert.match(list.stderr, /\nhint: fix that and run the command again\n$/)
  const added = await certlatch(ADD, environment)
  assert.match(added.stderr, /run the command again: what was begun is then completed or undone\n$/)
})
