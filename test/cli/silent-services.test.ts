import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { writePem } from '../../src/certificate/pem.ts'
import type { RunningState } from '../../src/store/service-state.ts'
import { runningId, writeRunning } from '../../src/store/service-state-files.ts'
import { certlatch, initialized, type TestDirectory } from '../support/command.ts'
import {
  makeLeaf,
  NOON_SECONDS,
  ownAuthority,
  present,
  startTestService,
} from '../support/service.ts'
import { MAIN } from '../support/transcript.ts'

const LISTEN = '127.0.0.1:7'
const LABEL = `${LISTEN}@box`

const fileOf = ({ paths }: TestDirectory) => join(paths.running, `${runningId('box', LISTEN)}.json`)

async function age(path: string, seconds: number): Promise<void> {
  const then = Date.now() / 1000 - seconds
  await utimes(path, then, then)
}

/** A service that has written for the last time so long ago, and lacks whatever comes. */
async function service(directory: TestDirectory, seconds: number, state = {}): Promise<void> {
  const said: RunningState = {
    ...{ schemaVersion: 1, listen: LISTEN, host: 'box', version: '0', startedAt: NOON_SECONDS },
    ...{ stoppedAt: undefined, crlNumber: '1', blocksNumber: 0, keySet: '0', lastSeen: [] },
  }
  await writeRunning(directory.paths.running, runningId('box', LISTEN), { ...said, ...state })
  await age(fileOf(directory), seconds)
}

async function scene() {
  const directory = await initialized()
  const { dataDir, packages } = directory
  const hook = join(dataDir, 'hook-has-run')
  const call = (...argv: readonly string[]) =>
    certlatch(argv, {
      CERTLATCH_DATA_DIR: dataDir,
      CERTLATCH_ON_REVOKE: JSON.stringify(['/usr/bin/touch', hook]),
    })
  assert.equal((await call('device', 'add', 'Phone', '--out', packages)).exitCode, 0)
  const certificate = join(dataDir, 'leaf.pem')
  const leaf = makeLeaf(await ownAuthority(dataDir))
  await writeFile(certificate, writePem('CERTIFICATE', leaf.der))
  const hasRunHook = () =>
    access(hook).then(
      () => true,
      () => false,
    )
  return { directory, call, hasRunHook, certificate, packages }
}

/** The commands that close something. */
const closing = (certificate: string): readonly (readonly string[])[] => [
  ['device', 'revoke', 'Phone'],
  ['device', 'block', '--certificate', certificate],
  ['device', 'sign-out', 'Phone'],
  ['key', 'rotate', '--now'],
]

test('While a service is silent, commands that revoke access fail, name it, and run no hook', async () => {
  const { directory, call, hasRunHook, certificate } = await scene()
  for (const argv of closing(certificate)) {
    for (const seconds of [33, 3_600]) {
      await service(directory, seconds)
      const { exitCode, stdout, stderr } = await call(...argv)
      assert.equal(exitCode, 1, argv.join(' '))
      assert.match(
        stderr,
        /127\.0\.0\.1:7 on box has been silent .*\nhint: .*--forget 127\.0\.0\.1:7@box$/m,
      )
      assert.doesNotMatch(stdout, /confirmed by/)
      assert.equal(await hasRunHook(), false)
    }
  }
})

test('They succeed once that service is declared gone, for that command only', async () => {
  const { directory, call, hasRunHook, certificate } = await scene()
  await service(directory, 40)
  for (const argv of closing(certificate)) {
    const { exitCode, stderr } = await call(...argv, '--forget', LABEL)
    assert.equal(exitCode, 0, stderr)
    assert.doesNotMatch(stderr, /has been silent/)
    assert.match(stderr, /^warning: not confirmed: only silent services have written to this/m)
    assert.equal((await call(...argv)).exitCode, 1)
  }
  assert.equal(await hasRunHook(), true)
})

test('Silence for a day, a final message, or a process that is gone mean that a service has ended', async () => {
  const { directory, call, certificate } = await scene()
  for (const argv of closing(certificate)) {
    await service(directory, 87_000)
    assert.equal((await call(...argv)).exitCode, 0)
    await service(directory, 40, { stoppedAt: NOON_SECONDS })
    assert.equal((await call(...argv)).exitCode, 0)
  }
})

test('A service that runs or does not exist cannot be forgotten, and nothing changes', async () => {
  const { directory, call, certificate } = await scene()
  await service(directory, 0)
  const { paths } = directory
  const contents = () =>
    Promise.all([paths.revocationList, paths.sessionKeys].map((path) => readFile(path, 'latin1')))
  const before = await contents()
  for (const argv of closing(certificate)) {
    const fresh = await call(...argv, '--forget', LABEL)
    assert.equal(fresh.exitCode, 2)
    assert.match(fresh.stderr, /the service 127\.0\.0\.1:7@box is running, so it has to confirm/)
    for (const label of ['127.0.0.1:8@box', '127.0.0.1:7', 'box', '']) {
      const { exitCode, stderr } = await call(...argv, '--forget', label)
      assert.equal(exitCode, 2)
      assert.match(
        stderr,
        /there is no service .*; nothing was changed\nhint: expected LISTEN@HOST; no service is silent/,
      )
    }
  }
  assert.deepEqual(await contents(), before)
  await assert.rejects(access(paths.blocks))
  const rotation = await call('key', 'rotate', '--forget', LABEL)
  assert.deepEqual([rotation.exitCode, /--forget goes with --now/.test(rotation.stderr)], [2, true])
})

test('Commands that grant access or only change keys name the silent service, and succeed', async () => {
  const { directory, call, certificate, packages } = await scene()
  await service(directory, 40)
  for (const argv of [
    ['device', 'add', 'Tablet', '--out', packages],
    ['device', 'add', 'Lamp', '--certificate', certificate],
    ['device', 'renew', 'Phone', '--out', packages],
    ['key', 'rotate'],
    ['device', 'block', '--certificate', certificate, '--lift'],
    ['ca', 'renew'],
  ]) {
    if (argv.includes('--lift')) {
      await call('device', 'block', '--certificate', certificate, '--forget', LABEL)
    }
    const { exitCode, stderr } = await call(...argv)
    assert.equal(exitCode, 0, argv.join(' '))
    assert.match(stderr, /127\.0\.0\.1:7 on box has been silent/, argv.join(' '))
  }
})

test('A device gets access with its first request after it was added or renewed', async (context) => {
  const { directory, call, packages } = await scene()
  const running = await startTestService(context, { dataDir: directory.dataDir })
  for (const argv of [
    ['device', 'add', 'Tablet'],
    ['device', 'renew', 'Tablet', '--overlap', '0'],
  ]) {
    const { exitCode, stdout, stderr } = await call(
      ...argv,
      '--json',
      '--format',
      'pem',
      '--out',
      packages,
    )
    assert.equal(exitCode, 0, stderr)
    const pem = await readFile(JSON.parse(stdout).package, 'latin1')
    const [, base64 = ''] = /BEGIN CERTIFICATE-----([^-]+)-----END/.exec(pem) ?? []
    const header = ['X-Forwarded-Tls-Client-Cert', base64.replaceAll('\n', '')] as const
    assert.equal((await running.ask([header])).status, 200, argv.join(' '))
  }
})

test('A device is added even if a running service does not confirm it: with a warning', async () => {
  const { directory, call, packages } = await scene()
  await service(directory, 0, { devices: 'another', problems: ['policy.yaml is gone'] })
  const { exitCode, stderr } = await call('device', 'add', 'Tablet', '--out', packages)
  assert.equal(exitCode, 0)
  assert.match(stderr, /127\.0\.0\.1:7 on box has not confirmed the change within 5 seconds/)
  assert.match(stderr, /policy\.yaml is gone/)
})

// --- a separate process
// ---------------------------------------------------------------------------

const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
})

async function startProcess(dataDir: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [MAIN, 'serve'], {
    env: {
      CERTLATCH_DATA_DIR: dataDir,
      CERTLATCH_LISTEN: '127.0.0.1:0',
      CERTLATCH_ADMIN_LISTEN: '127.0.0.1:0',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  for await (const chunk of present(child.stdout)) {
    if (String(chunk).includes('"msg":"ready"')) break
  }
  return child
}

test('A suspended service leaves a revocation unconfirmed until it resumes or is stopped', async (t: TestContext) => {
  if (process.platform !== 'linux') return t.skip('who has ended is known on Linux')
  const { directory, call, hasRunHook } = await scene()
  const child = await startProcess(directory.dataDir)
  const [name = ''] = (await readdir(directory.paths.running)).filter((it) => it.endsWith('.json'))
  const file = join(directory.paths.running, name)
  child.kill('SIGSTOP')
  await age(file, 33)
  const still = await call('device', 'revoke', 'Phone')
  assert.equal(still.exitCode, 1, still.stderr)
  assert.equal(await hasRunHook(), false)
  const { mtimeMs } = await stat(file)
  child.kill('SIGCONT')
  while ((await stat(file)).mtimeMs === mtimeMs) await wait(50)
  const awake = await call('device', 'revoke', 'Phone')
  assert.equal(awake.exitCode, 0, awake.stderr)
  assert.match(awake.stdout, /confirmed by 1 service/)
  child.kill('SIGSTOP')
  await age(file, 33)
  assert.equal((await call('key', 'rotate', '--now')).exitCode, 1)
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal((await call('key', 'rotate', '--now')).exitCode, 0)
})
