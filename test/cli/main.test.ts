import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { run } from '../../src/cli/main.ts'
import { MAIN } from '../support/transcript.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certlatch-cli-'))
})
after(() => rm(folder, { recursive: true }))

/** Stops services of failed tests too. */
const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
})

interface Result {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

async function runWith(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
  waitForStop: () => Promise<void> = () => Promise.resolve(),
): Promise<Result> {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  const exitCode = await run(argv, environment, streams, waitForStop)
  streams.stdout.end()
  streams.stderr.end()
  return { exitCode, stdout: await text(streams.stdout), stderr: await text(streams.stderr) }
}

const onFreePorts = (name: string): NodeJS.ProcessEnv => ({
  CERTLATCH_DATA_DIR: join(folder, name),
  CERTLATCH_LISTEN: '127.0.0.1:0',
  CERTLATCH_ADMIN_LISTEN: '127.0.0.1:0',
  CERTLATCH_PAGES_LISTEN: '127.0.0.1:0',
})

describe('certlatch serve', () => {
  test('serves until it is told to stop, and finishes its work first', async () => {
    const { exitCode, stdout, stderr } = await runWith(['serve'], onFreePorts('served'))
    assert.equal(stderr, '')
    assert.match(stdout, /"msg":"ready"}\n/)
    assert.equal(exitCode, 0)
  })

  test("passes the configuration's warnings to the log", async () => {
    const environment = { ...onFreePorts('warned'), CERTLATCH_TRUSTED_PROXIES: '0.0.0.0/0' }
    const { exitCode, stdout } = await runWith(['serve'], environment)
    assert.match(stdout, /"level":"warn".*CERTLATCH_TRUSTED_PROXIES has 0\.0\.0\.0\/0/)
    assert.equal(exitCode, 0)
  })

  test('reports in one line that its port is in use', async () => {
    const occupant = createServer().listen(0, '127.0.0.1')
    await once(occupant, 'listening')
    const address = occupant.address()
    assert.ok(address !== null && typeof address === 'object')
    const listen = `127.0.0.1:${address.port}`
    const environment = { ...onFreePorts('in-use'), CERTLATCH_LISTEN: listen }
    const { exitCode, stderr } = await runWith(['serve'], environment)
    occupant.close()
    assert.match(stderr, new RegExp(`^error: CERTLATCH_LISTEN .*${listen}.*\\n$`))
    assert.equal(exitCode, 2)
  })

  test('stops at SIGTERM', async () => {
    const child = startCertlatch(['serve'], onFreePorts('signalled'))
    await outputWith(child, '"msg":"ready"')
    child.kill('SIGTERM')
    const [exitCode, signal] = await once(child, 'exit')
    assert.deepEqual({ exitCode, signal }, { exitCode: 0, signal: null })
  })
})

describe('certlatch', () => {
  test('reports an internal error with its stack, line by line, and fails', async () => {
    const environment = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('no environment')
        },
      },
    )
    const { exitCode, stdout, stderr } = await runWith(['healthcheck'], environment)
    assert.equal(stdout, '')
    assert.match(
      stderr,
      /^error: internal error\nhint: please report it with the lines below\nError: no environment\n( +at .*\n)+$/,
    )
    assert.equal(exitCode, 1)
  })

  test('exits quietly if its output is closed', async () => {
    const child = startCertlatch(['serve', '--help'], {})
    child.stdout?.destroy()
    const [stderr, [exitCode]] = await Promise.all([readAll(child.stderr), once(child, 'exit')])
    assert.equal(stderr, '')
    assert.equal(exitCode, 0)
  })

  test('fails if its output cannot be written, as on a full disk', {
    skip: !existsSync('/dev/full'),
  }, async () => {
    const full = openSync('/dev/full', 'w')
    for (const argv of [['--help'], ['serve', '--help'], ['--version']]) {
      const child = spawn(process.execPath, [MAIN, ...argv], {
        env: {},
        stdio: ['ignore', full, 'pipe'],
      })
      const [stderr, [exitCode]] = await Promise.all([readAll(child.stderr), once(child, 'exit')])
      assert.equal(stderr, 'error: cannot write the output: the disk is full\n')
      assert.equal(exitCode, 1)
    }
    closeSync(full)
  })

  test('runs through a symbolic link, as npm creates one', async () => {
    const link = join(folder, 'certlatch')
    await symlink(MAIN, link)
    const child = spawn(process.execPath, [link, '--version'], { env: {} })
    assert.match(await readAll(child.stdout), /^\d+\.\d+\.\d+\n$/)
  })
})

function startCertlatch(argv: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const child = spawn(process.execPath, [MAIN, ...argv], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  return child
}

const readAll = (stream: NodeJS.ReadableStream | null): Promise<string> =>
  stream === null ? Promise.resolve('') : text(stream)

async function outputWith(child: ChildProcess, expected: string): Promise<void> {
  assert.ok(child.stdout)
  let output = ''
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    output += String(chunk)
    if (output.includes(expected)) return
  }
  assert.fail(`ended without ${expected}: ${output}`)
}
