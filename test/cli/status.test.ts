import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { run } from '../../src/cli/main.ts'
import {
  addTestDevice,
  makeAuthority,
  makeLeaf,
  makeList,
  NOON_SECONDS,
  sessionOf,
  startTestService,
} from '../support/service.ts'

async function runStatus(port: number, args: readonly string[] = [], token?: string) {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  const environment = {
    CERTLATCH_ADMIN_LISTEN: `127.0.0.1:${port}`,
    ...(token !== undefined && { CERTLATCH_METRICS_TOKEN: token }),
  }
  const never = () => new Promise<void>(() => undefined)
  const exitCode = await run(['status', ...args], environment, streams, never)
  streams.stdout.end()
  streams.stderr.end()
  return { exitCode, stdout: await text(streams.stdout), stderr: await text(streams.stderr) }
}

/** What differs from run to run. */
const steady = (output: string): string =>
  output
    .replace(/Node v[\d.]+/, 'Node v20.0.0')
    .replaceAll(/CA [0-9a-f]{6}\b/g, 'CA abcdef')
    .replaceAll(/\b[0-9a-f]{16}$/gm, '0123456789abcdef')

test('status shows a new service', async (context) => {
  const service = await startTestService(context)
  const { exitCode, stdout, stderr } = await runStatus(service.adminPort)
  assert.equal(stderr, '')
  assert.equal(exitCode, 0)
  assert.equal(
    steady(stdout),
    `certlatch     0.0.0-test on Node v20.0.0, up for 0 seconds
state         ready
CA            CN=Certlatch Device CA abcdef, expires on 2036-11-24 (in 3653 days)
CRL           number ${NOON_SECONDS}, 0 certificates revoked, expires on 2036-11-24 (in 3653 days)
session keys  0123456789abcdef

no device yet, and none was seen

since the start: 0 requests allowed, 0 denied
`,
  )
})

test('status shows which devices had access and how, and what was refused and why', async (context) => {
  const service = await startTestService(context)
  const { certificate } = await addTestDevice(service.dataDir, 'Phone of Ada', 'Ada')
  await addTestDevice(service.dataDir, 'Tablet', undefined, { notAfter: NOON_SECONDS + 60 })
  await service.refresh()
  const cookie = sessionOf(await service.askWith(certificate))
  service.clock.now += 5 * 60_000
  await service.ask([['Cookie', cookie]])
  service.clock.now += 2 * 3_600_000
  for (let again = 0; again < 12; again += 1) await service.ask()
  await service.ask([['Remote_User', 'admin']])
  const { stdout } = await runStatus(service.adminPort)
  assert.equal(
    stdout.slice(stdout.indexOf('NAME')),
    `NAME          OWNER  STATE    EXPIRES IN  BY CERTIFICATE  BY SESSION
Phone of Ada  Ada    active   364 days    2 hours ago     2 hours ago
Tablet        -      expired  -           never           never

in the last hour: 2 requests allowed, 13 denied
12  no-credentials
1   header-alias
`,
  )
})

test('status groups all holders named by an external CA, and shows what is wrong', async (context) => {
  const authority = makeAuthority('Household')
  const lists = makeList(authority, { nextUpdate: NOON_SECONDS + 86_400 })
  const service = await startTestService(context, {
    external: { authorities: authority.pem, lists },
  })
  await service.askWith(makeLeaf(authority, 'One'))
  service.clock.now += 2 * 86_400_000
  const { exitCode, stdout } = await runStatus(service.adminPort)
  assert.equal(exitCode, 0, 'a stale CRL takes nothing out')
  assert.match(stdout, /^ {14}crl: 1 of 1 out of date/m)
  assert.match(stdout, /^CRL .* revoked, expired on 2026-11-25$/m)
  assert.match(stdout, /^others {2}- {6}- {6}\d+ days {4}2 days ago {6}never$/m)
})

test('status fails while the service is not ready', async (context) => {
  const service = await startTestService(context)
  service.clock.now -= 400 * 86_400_000
  const { exitCode, stdout } = await runStatus(service.adminPort)
  assert.equal(exitCode, 1)
  assert.match(stdout, /^state {9}not ready\n {14}clock: /m)
})

test('status --json prints what /status returns', async (context) => {
  const service = await startTestService(context)
  const { exitCode, stdout } = await runStatus(service.adminPort, ['--json'])
  assert.equal(exitCode, 0)
  const told = JSON.parse((await service.admin('/status')).body.toString())
  assert.deepEqual(JSON.parse(stdout), told)
  assert.equal(told.schemaVersion, 1)
})

test('status sends the token, and says so if it is the wrong one', async (context) => {
  const token = 'a-token-of-the-operator'
  const service = await startTestService(context, {
    settings: { CERTLATCH_METRICS_TOKEN: token },
  })
  assert.equal((await runStatus(service.adminPort, [], token)).exitCode, 0)
  for (const other of [undefined, 'another-token-than-that']) {
    assert.deepEqual(await runStatus(service.adminPort, [], other), {
      exitCode: 1,
      stdout: '',
      stderr: `error: 127.0.0.1:${service.adminPort} requires another token\nhint: set CERTLATCH_METRICS_TOKEN as the service has it\n`,
    })
  }
})

test('status says if something else answers there', async () => {
  for (const body of ['', '{}', '{"schemaVersion":2}', 'null']) {
    const server = createServer((_, response) => response.end(body)).listen(0, '127.0.0.1')
    after(() => server.close())
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0
    const { exitCode, stderr } = await runStatus(port)
    assert.equal(exitCode, 1)
    assert.match(stderr, /something other than certlatch listens there/)
    server.closeAllConnections()
  }
})
