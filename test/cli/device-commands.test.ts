import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { writePem } from '../../src/certificate/pem.ts'
import type { RunningState } from '../../src/store/service-state.ts'
import { readRunning, runningId, writeRunning } from '../../src/store/service-state-files.ts'
import {
  type CommandOutcome,
  certlatch,
  empty,
  initialized,
  lettingIn,
  snapshotOf,
  type TestDirectory,
} from '../support/command.ts'
import {
  addTestDevice,
  makeLeaf,
  NOON_SECONDS,
  ownAuthority,
  startTestService,
} from '../support/service.ts'

const call = (
  { dataDir }: TestDirectory,
  argv: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  typed?: readonly string[],
): Promise<CommandOutcome> =>
  certlatch(argv, { CERTLATCH_DATA_DIR: dataDir, ...settings }, 0, typed)

/** A service whose state is given. */
const writeService = (
  { paths }: TestDirectory,
  listen: string,
  state: Partial<RunningState> = {},
) =>
  writeRunning(paths.running, runningId('box', listen), {
    ...{ schemaVersion: 1, listen, host: 'box', version: '0', startedAt: NOON_SECONDS },
    ...{ stoppedAt: undefined, crlNumber: '9'.repeat(15), blocksNumber: 10 ** 15, keySet: '0' },
    lastSeen: [],
    ...state,
  })

test('Standard output carries only the package; messages and password go to standard error', async () => {
  const directory = await initialized()
  const argv = ['device', 'add', 'Phone', '--format', 'pem', '--out', '-']
  const { exitCode, stdout, stderr } = await call(directory, argv)
  assert.equal(exitCode, 0, stderr)
  assert.ok(new X509Certificate(stdout).checkPrivateKey(createPrivateKey(stdout)))
  assert.equal(stderr, '"Phone" has access until 2029-11-23\n')
  const packed = await call(directory, ['device', 'add', 'Tablet', '--owner', 'Ada', '--out', '-'])
  assert.match(packed.stderr, /"Tablet" has access until 2029-11-23 as Ada\npassword {2}\S+\n/)
})

test('An existing certificate is registered, with output as text or as JSON', async () => {
  const directory = await initialized()
  const authority = await ownAuthority(directory.dataDir)
  const file = join(directory.dataDir, 'leaf')
  await writeFile(file, writePem('CERTIFICATE', makeLeaf(authority).der))
  const added = await call(directory, ['device', 'add', 'Phone', '--certificate', file])
  assert.equal(added.stdout, '"Phone" has access until 2027-11-24\n')
  await writeFile(file, makeLeaf(authority).der)
  const argv = ['device', 'add', 'Tablet', '--certificate', file, '--json']
  const { device, schemaVersion } = JSON.parse((await call(directory, argv)).stdout)
  assert.equal(schemaVersion, 1)
  assert.equal(device.name, 'Tablet')
  assert.deepEqual(await lettingIn(directory.dataDir), ['Phone', 'Tablet'])
})

test('A certificate that would be refused is not registered', async () => {
  const directory = await initialized()
  const file = join(directory.dataDir, 'leaf')
  await writeFile(file, Buffer.from('3000', 'hex'))
  const { exitCode, stderr } = await call(directory, ['device', 'add', 'X', '--certificate', file])
  assert.equal(exitCode, 1)
  assert.match(stderr, /: certificate-malformed, so it is never accepted\n$/)
})

test('Services that have loaded it are counted; a long silent one is named, and not waited for', async () => {
  const directory = await initialized()
  await call(directory, ['device', 'add', 'Phone', '--out', directory.packages])
  await call(directory, ['device', 'revoke', 'Phone'])
  const { trust } = await snapshotOf(directory.dataDir)
  const crlNumber = String([...trust.revocationLists.values()][0]?.number)
  await writeService(directory, '127.0.0.1:1', { crlNumber })
  await writeService(directory, '127.0.0.1:2', { crlNumber })
  const silent = join(directory.paths.running, `${runningId('box', '127.0.0.1:2')}.json`)
  const before = Date.now() / 1000 - 60
  await utimes(silent, before, before)
  const { exitCode, stdout, stderr } = await call(directory, ['device', 'revoke', 'Phone'])
  assert.equal(exitCode, 0)
  assert.match(stdout, /confirmed by 1 service\n/)
  assert.match(stderr, /127\.0\.0\.1:2 on box has been silent for 30 seconds or more/)
})

test('A running service that has not loaded it makes the command fail', async () => {
  const directory = await initialized()
  await writeService(directory, '127.0.0.1:1', {
    keySet: 'another',
    problems: ['session.keys is empty'],
  })
  const { exitCode, stderr } = await call(directory, ['key', 'rotate'])
  assert.equal(exitCode, 1)
  assert.match(
    stderr,
    /127\.0\.0\.1:1 on box has not confirmed the change within 5 seconds\nhint: look at its log/,
  )
  assert.match(stderr, /127\.0\.0\.1:1 on box: session\.keys is empty\n/)
})

test('A real service confirms a revocation, and refuses the very next request', async (context) => {
  const directory = await initialized()
  const { dataDir } = directory
  const service = await startTestService(context, { dataDir })
  const { certificate } = await addTestDevice(dataDir)
  await service.refresh()
  assert.equal((await service.askWith(certificate)).status, 200)
  const argv = ['device', 'revoke', 'Phone of Ada']
  const { exitCode, stdout } = await certlatch(argv, { CERTLATCH_DATA_DIR: dataDir }, 60)
  assert.equal(exitCode, 0)
  assert.match(stdout, /confirmed by 1 service/)
  assert.equal((await service.askWith(certificate)).status, 403)
})

test('With an external CA, the list shows the devices that have visited', async () => {
  const directory = await initialized()
  const settings = { CERTLATCH_CA_FILE: directory.paths.authority }
  const sha256 = Buffer.alloc(32, 0xab).toString('base64url')
  const seen = {
    ...{ issuerKeyHash: 'A'.repeat(43), sha256: undefined, certificateAt: NOON_SECONDS - 120 },
    sessionAt: 0,
  }
  await writeService(directory, '127.0.0.1:1', {
    lastSeen: [
      { ...seen, serial: '02', name: 'Zoe', notAfter: undefined },
      { ...seen, serial: '01', name: 'Ada', notAfter: NOON_SECONDS + 3600, sha256 },
      { ...seen, serial: '03', name: 'Bob', notAfter: NOON_SECONDS - 1 },
    ],
  })
  const { stdout } = await call(directory, ['device', 'list'], settings)
  assert.deepEqual(stdout.trimEnd().split('\n'), [
    'NAME  SERIAL  EXPIRES IN  LAST SEEN',
    'Ada   01      1 hour      2 minutes ago',
    'Bob   03      expired     2 minutes ago',
    'Zoe   02      -           2 minutes ago',
  ])
  const json = await call(directory, ['device', 'list', '--json'], settings)
  const listed: readonly { readonly sha256?: string }[] = JSON.parse(json.stdout).seen
  const shown = Array.from({ length: 32 }, () => 'AB').join(':')
  assert.deepEqual(
    listed.map((entry) => entry.sha256),
    [shown, undefined, undefined],
  )
  // As printed, it names the certificate for other commands.
  const block = await call(directory, ['device', 'block', '--fingerprint', shown], settings)
  assert.match(block.stdout, /^blocked: the certificate 01$/m)
})

test('A new passphrase is typed twice, and never shown', async () => {
  const directory = await empty()
  const differing = await call(directory, ['init', '--encrypt'], {}, ['one\n', 'two\n'])
  assert.equal(differing.exitCode, 1)
  assert.match(differing.stderr, /the two passphrases differ; nothing was changed\n$/)
  const nothing = await call(directory, ['init', '--encrypt'], {}, ['\n'])
  assert.equal(nothing.exitCode, 2)
  const made = await call(directory, ['init', '--encrypt'], {}, ['horse\n', 'horse\n'])
  assert.equal(made.exitCode, 0, made.stderr)
  const out = ['--out', directory.packages]
  const added = await call(directory, ['device', 'add', 'Phone', ...out], {}, ['horse\n'])
  assert.equal(added.exitCode, 0, added.stderr)
  for (const { stderr, stdout } of [differing, made, added]) {
    assert.ok(!`${stderr}${stdout}`.includes('horse'))
  }
})

test('Cancelling a prompt changes nothing', async () => {
  const directory = await initialized({ passphrase: 'horse' })
  const { exitCode, stderr } = await call(directory, ['device', 'add', 'Phone'], {}, ['\u0003'])
  assert.equal(exitCode, 1)
  assert.match(stderr, /canceled; nothing was changed\n$/)
})

test('All wrong settings are reported together', async () => {
  const directory = await initialized()
  const { exitCode, stderr } = await call(directory, ['device', 'list'], {
    CERTLATCH_ON_REVOKE: 'x',
    CERTLATCH_SESSION_TTL: 'x',
  })
  assert.equal(exitCode, 2)
  assert.equal(stderr.trimEnd().split('\n').length, 2)
})

test('In a container that can write only to its volumes, the package goes into one of them', async (context) => {
  const directory = await initialized()
  const before = process.cwd()
  const isRoot = process.getuid?.() === 0
  const folder = join(directory.dataDir, '..', 'read-only')
  await mkdir(folder, { mode: 0o555 })
  if (isRoot) return context.skip('root may write everywhere')
  process.chdir(folder)
  try {
    const settings = { CERTLATCH_COMPOSE_SERVICE: 'gate' }
    const { stdout } = await call(directory, ['device', 'add', 'Phone'], settings)
    assert.match(stdout, /docker compose cp gate:.*\/private\/packages\/phone-[0-9a-f]{8}\.p12 \./)
    assert.equal((await readdir(join(directory.paths.privateFolder, 'packages'))).length, 1)
  } finally {
    process.chdir(before)
    await chmod(folder, 0o755)
  }
  assert.ok((await readFile(directory.paths.authority)).length > 0)
})

test('The hint on fetching a package from a container depends on the container engine', async () => {
  const directory = await initialized()
  const { packages } = directory
  const out = (name: string, settings: Readonly<Record<string, string>>) =>
    call(directory, ['device', 'add', name, '--out', packages], settings)
  const compose = { CERTLATCH_COMPOSE_SERVICE: 'gate', container: 'docker' }
  assert.match((await out('One', compose)).stdout, /^docker compose cp gate:\S+ \.$/m)
  for (const container of ['docker', 'podman']) {
    const { stdout } = await out(`In ${container}`, { container })
    assert.match(
      stdout,
      new RegExp(`^${container} cp (?:CONTAINER|[0-9a-f]{12}):\\S+\\.p12 \\.$`, 'm'),
    )
    assert.match(
      stdout,
      new RegExp(`^${container} exec (?:CONTAINER|[0-9a-f]{12}) rm \\S+\\.p12$`, 'm'),
    )
  }
  for (const settings of [{}, { container: 'lxc' }]) {
    const { stdout } = await out(`Plain ${Object.keys(settings)}`, settings)
    assert.doesNotMatch(stdout, /docker| cp | exec /)
  }
})

test('A broken entry only prevents what needs that entry', async () => {
  const directory = await initialized()
  const { paths, packages } = directory
  for (const name of ['Phone', 'Tablet']) {
    await call(directory, ['device', 'add', name, '--out', packages])
  }
  const broken = join(paths.devices, '00.json')
  await writeFile(broken, 'half')
  const warning =
    /left out: .*00\.json is not a device entry; restore that file from a backup; until then .*\n/g
  const fine: readonly (readonly string[])[] = [
    ['list'],
    ['show', 'Phone'],
    ['renew', 'Phone', '--out', packages],
    ['sign-out', 'Phone'],
    ['revoke', 'Phone'],
  ]
  for (const argv of fine) {
    const { exitCode, stderr } = await call(directory, ['device', ...argv])
    assert.equal(exitCode, 0, `${argv}: ${stderr}`)
    assert.equal(stderr.match(warning)?.length, 1, `${argv}: ${stderr}`)
  }
  assert.equal((await call(directory, ['ca', 'renew'])).exitCode, 0)
  for (const argv of [
    ['add', 'New', '--out', packages],
    ['show', 'Lost'],
    ['revoke', 'Lost'],
  ]) {
    const { exitCode, stderr } = await call(directory, ['device', ...argv])
    assert.equal(exitCode, 1)
    assert.match(
      stderr,
      /00\.json is not a device entry.*\nhint: restore that file from a backup first/,
    )
  }
  // It is impossible to say which of two devices with one name is meant.
  const [entry = ''] = (await readdir(paths.devices)).filter((name) => name !== '00.json')
  const { name, ...rest } = JSON.parse(await readFile(join(paths.devices, entry), 'utf8'))
  await writeFile(broken, JSON.stringify({ ...rest, name, certificates: [] }))
  const { exitCode, stderr } = await call(directory, ['device', 'revoke', name])
  assert.equal(exitCode, 1)
  assert.match(
    stderr,
    new RegExp(`"${name}" cannot be identified: .*\\.json repeats the device name`),
  )
})

test('A service that refuses the files tells the command why', async (context) => {
  const directory = await initialized()
  const { dataDir, paths } = directory
  const service = await startTestService(context, { dataDir })
  await writeFile(paths.sessionKeys, 'half\n')
  await service.refresh()
  const read = async () => (await readRunning(paths.running))[0]?.state.problems ?? []
  let problems = await read()
  while (problems.length === 0) problems = await read()
  assert.match(problems[0] ?? '', /session\.keys.* line 1 is not a key/)
})

test('Despite a broken entry, revoking another device takes effect at once', async (context) => {
  const directory = await initialized()
  const { dataDir, paths } = directory
  const service = await startTestService(context, { dataDir })
  const { certificate } = await addTestDevice(dataDir)
  await service.refresh()
  assert.equal((await service.askWith(certificate)).status, 200)
  await writeFile(join(paths.devices, '00.json'), 'half')
  await service.refresh()
  const argv = ['device', 'revoke', 'Phone of Ada']
  const { exitCode, stdout } = await certlatch(argv, { CERTLATCH_DATA_DIR: dataDir }, 60)
  assert.equal(exitCode, 0)
  assert.match(stdout, /confirmed by 1 service/)
  assert.equal((await service.askWith(certificate)).status, 403)
})
