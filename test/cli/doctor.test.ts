import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { readOwnAuthorities } from '../../src/administration/authorities.ts'
import { run } from '../../src/cli/main.ts'
import { packageVersion } from '../../src/cli/version.ts'
import { CHECKS } from '../../src/doctor/checks.ts'
import { dataPaths } from '../../src/store/data-directory.ts'
import { createApplication } from '../demo/application.ts'
import { createTlsFront } from '../demo/tls-front.ts'
import { PROXY_SECRET } from '../e2e/support/certlatch.ts'
import { initialized } from '../support/command.ts'
import { freePort } from '../support/free-port.ts'
import { makeServerCertificate } from '../support/server-certificate.ts'
import {
  makeAuthority,
  present,
  startTestService,
  type TestService,
  temporaryFolder,
} from '../support/service.ts'

interface Outcome {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

const never = () => new Promise<void>(() => undefined)

async function doctor(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  waitForStop: () => Promise<void> = never,
  isTTY = false,
): Promise<Outcome> {
  const streams = { stdout: new PassThrough(), stderr: Object.assign(new PassThrough(), { isTTY }) }
  const outputs = Promise.all([text(streams.stdout), text(streams.stderr)])
  const exitCode = await run(['doctor', ...args], environment, streams, waitForStop)
  streams.stdout.end()
  streams.stderr.end()
  const [stdout, stderr] = await outputs
  return { exitCode, stdout, stderr }
}

interface Gate {
  readonly service: TestService
  readonly environment: Readonly<Record<string, string>>
  /** Flags that lead there. */
  readonly way: readonly string[]
  /** The number of requests received, including malformed ones. */
  requests(): number
}

/** certlatch, a stand-in for Caddy and an application, all in this process. */
/** Half a day of a server certificate's week is left. */
const OLD_SECONDS = 6.5 * 86_400

async function startGate(context: TestContext, application = createApplication()): Promise<Gate> {
  const service = await startTestService(context, {
    proxy: 'caddy',
    settings: { CERTLATCH_PROXY_SECRET: PROXY_SECRET },
  })
  // TLS goes by the real clock.
  service.clock.now = Date.now()
  application.listen(0, '127.0.0.1')
  await once(application, 'listening')
  const server = makeServerCertificate('home.example', Math.floor(Date.now() / 1000) - OLD_SECONDS)
  const front = createTlsFront({
    server,
    authority: await readFile(join(service.dataDir, 'public/ca.crt'), 'latin1'),
    certlatchPort: service.port,
    pagesPort: service.pagesPort,
    applicationPort: (application.address() as { port: number }).port,
  })
  front.on('tlsClientError', () => undefined)
  let requests = 0
  for (const event of ['request', 'upgrade', 'clientError']) front.on(event, () => requests++)
  // Those of WebSockets are no longer the server's to close.
  const sockets = new Set<Socket>()
  for (const one of [front, application]) one.on('connection', (socket) => sockets.add(socket))
  front.listen(0, '127.0.0.1')
  await once(front, 'listening')
  context.after(() => {
    for (const one of [front, application]) {
      one.closeAllConnections()
      one.close()
    }
    for (const socket of sockets) socket.destroy()
  })
  const folder = await temporaryFolder()
  const serverCa = join(folder, 'server.pem')
  await writeFile(serverCa, server.certificate)
  const { port } = front.address() as { port: number }
  return {
    service,
    environment: {
      CERTLATCH_DATA_DIR: service.dataDir,
      CERTLATCH_PROXY: 'caddy',
      CERTLATCH_PROXY_SECRET: PROXY_SECRET,
      CERTLATCH_ADMIN_LISTEN: `127.0.0.1:${service.adminPort}`,
    },
    way: ['https://home.example', '--connect', `127.0.0.1:${port}`, '--server-ca', serverCa],
    requests: () => requests,
  }
}

/** The stand-in does not look at the host. */
const OF_THE_STAND_IN = ['other-hosts']

test('A whole run shows the outcome of each check, and what to do about it', async (context) => {
  const { environment, way, service } = await startGate(context)
  const { exitCode, stdout, stderr } = await doctor(way, environment)
  const lines = stdout.split('\n')
  const told = lines.filter((line) => /^(ok {2}|WARN|FAIL|- {3}) {2}/.test(line))
  assert.equal(told.length, CHECKS.length)
  assert.deepEqual(
    told
      .filter((line) => /^(FAIL|WARN)/.test(line))
      .map((line) => line.replace(/\d days$/, 'N days')),
    [
      "WARN  the server's certificate expires in N days",
      'FAIL  Host: certlatch-doctor.invalid, with the certificate: 200, as if it were this host',
      `WARN  the service is version 0.0.0-test, this command ${packageVersion()}`,
    ],
    stdout,
  )
  assert.equal(lines.filter((line) => line.startsWith('      hint: ')).length, 3)
  assert.match(stdout, /^ok {4}the certificate is refused within a second of its revocation$/m)
  const [summary, raised, ...rest] = lines.slice(told.length + 3)
  assert.match(summary ?? '', /^\d+ ok, 2 warnings, 1 failed, \d+ not tried$/)
  assert.match(raised ?? '', /CertlatchHeadersForged/)
  assert.deepEqual(rest, [''])
  assert.equal(stderr, '')
  assert.equal(exitCode, 1)
  const left = await readdir(join(service.dataDir, 'private/devices'))
  const [entry] = left
  const device = await readFile(join(service.dataDir, 'private/devices', present(entry)), 'utf8')
  assert.deepEqual(JSON.parse(device).certificates, [])
  assert.deepEqual(left.length, 1)
})

test('JSON output has the same content, also for selected checks', async (context) => {
  const { environment, way } = await startGate(context)
  const only = [...way, '--only', 'session,connection']
  const { exitCode, stdout } = await doctor([...only, '--json'], environment)
  const report = JSON.parse(stdout)
  assert.equal(exitCode, 0, stdout)
  assert.deepEqual(
    report.checks.map(({ name }: { name: string }) => name),
    ['name', 'tls', 'server-certificate', 'plain-http', 'clock', 'session'],
  )
  assert.deepEqual(
    [report.schemaVersion, report.url, report.failed, report.warnings, report.raises],
    // The warning is about the stand-in's certificate.
    [1, 'https://home.example', 0, 1, undefined],
  )
  assert.ok(report.requests > 0)
  const whole = JSON.parse((await doctor([...way, '--json'], environment)).stdout)
  const failed = whole.checks.filter(({ result }: { result: string }) => result === 'failed')
  assert.deepEqual(
    failed.map(({ name }: { name: string }) => name),
    OF_THE_STAND_IN,
  )
})

test('A run sends at most 300 requests, however many rules there are', async (context) => {
  const { environment, way, requests } = await startGate(context)
  const folder = await temporaryFolder()
  const policyFile = join(folder, 'policy.yaml')
  const rules = Array.from(
    { length: 100 },
    (_, index) => `  - {name: rule ${index}, path: [/open${index}, /open${index}/*], access: open}`,
  )
  await writeFile(policyFile, `version: 1\nrules:\n${rules.join('\n')}\n`)
  const { stdout } = await doctor([...way, '--json'], {
    ...environment,
    CERTLATCH_POLICY_FILE: policyFile,
  })
  const report = JSON.parse(stdout)
  assert.ok(requests() > 100 && requests() <= report.requests, `${requests()} requests`)
  assert.ok(report.requests <= 300, `${report.requests} requests`)
})

test('The command for revocations is not run for it, but is for a device', async (context) => {
  const { environment, way } = await startGate(context)
  const file = join(await temporaryFolder(), 'revoked')
  const source =
    'require("fs").writeFileSync(process.argv[1], process.env.CERTLATCH_REVOKED_DEVICE)'
  const settings = {
    ...environment,
    CERTLATCH_ON_REVOKE: JSON.stringify([process.execPath, '-e', source, file]),
  }
  const { stdout } = await doctor([...way, '--only', 'revoked', '--json'], settings)
  assert.equal(JSON.parse(stdout).checks[0].result, 'ok')
  await assert.rejects(readFile(file), { code: 'ENOENT' })
  const packed = ['--format', 'pem', '--out', '-']
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  for (const args of [
    ['add', 'Phone', ...packed],
    ['revoke', 'Phone'],
  ]) {
    assert.equal(await run(['device', ...args], settings, streams, never), 0)
  }
  assert.equal(await readFile(file, 'utf8'), 'Phone')
})

test('On a terminal it shows its progress', async (context) => {
  const { environment, way } = await startGate(context)
  const { stderr } = await doctor([...way, '--only', 'session'], environment, never, true)
  assert.match(stderr, /\r0 of 1 checks …/)
  assert.ok(stderr.endsWith('\r\u001b[K'))
})

test('When stopped, it revokes its certificate and says so', async (context) => {
  const { environment, way, service } = await startGate(context)
  const { exitCode, stderr } = await doctor(way, environment, () => Promise.resolve())
  assert.match(stderr, /stopped; the certificate of certlatch doctor is no longer accepted/)
  assert.equal(exitCode, 1)
  assert.ok(!(await readdir(join(service.dataDir, 'private'))).includes('doctor.json'))
  const { lists } = await readOwnAuthorities(dataPaths(service.dataDir))
  const reasons = [...lists.values()].flatMap(({ entries }) => entries.map(({ reason }) => reason))
  assert.deepEqual(reasons, ['cessationOfOperation'])
})

test('An application that hangs is a finding; the run itself does not hang', async (context) => {
  const hanging = createServer((req) => req.resume())
  const { environment, way } = await startGate(context, hanging)
  const { stdout, exitCode } = await doctor([...way, '--only', 'closed,access'], environment)
  assert.match(
    stdout,
    /^FAIL {2}no answer to a request with the certificate: no answer within 3 s$/m,
  )
  assert.match(stdout, /^ok {4}without credentials, certlatch itself refuses$/m)
  assert.equal(exitCode, 1)
})

test('A service that is not running is a finding', async (context) => {
  const { environment, way } = await startGate(context)
  const admin = `127.0.0.1:${await freePort()}`
  const elsewhere = { ...environment, CERTLATCH_ADMIN_LISTEN: admin }
  const { stdout, exitCode } = await doctor([...way, '--only', 'service'], elsewhere)
  assert.match(
    stdout,
    /^FAIL {2}nothing listens at 127\.0\.0\.1:\d+\n {6}hint: is certlatch serve running/m,
  )
  assert.equal(exitCode, 1)
})

test('A name that does not resolve is a finding, and nothing else is tried', async () => {
  const { dataDir } = await initialized()
  const environment = { CERTLATCH_DATA_DIR: dataDir }
  const { stdout, exitCode } = await doctor(
    ['https://home.invalid', '--only', 'connection'],
    environment,
  )
  assert.match(stdout, /^FAIL {2}home\.invalid: the name does not resolve/)
  assert.match(stdout, /hint: .*--connect HOST:PORT/)
  assert.match(stdout, /\n0 ok, 0 warnings, 1 failed, 4 not tried\n$/)
  assert.equal(exitCode, 1)
})

const folder = await temporaryFolder()
const empty = join(folder, 'empty.pem')
await writeFile(empty, 'nothing\n')
const locked = join(folder, 'locked.pem')
await writeFile(locked, '-----BEGIN ENCRYPTED PRIVATE KEY-----\n')
const phone = makeServerCertificate('phone', Math.floor(Date.now() / 1000))
const tablet = makeServerCertificate('tablet', Math.floor(Date.now() / 1000))
const phoneFile = join(folder, 'phone.pem')
await writeFile(phoneFile, phone.certificate)
const tabletKey = join(folder, 'tablet.key')
await writeFile(tabletKey, tablet.key)
const missing = join(folder, 'missing')

const URL = 'https://home.example'
const WRONG_USE: readonly (readonly [args: readonly string[], says: RegExp])[] = [
  [[], /expected one URL/],
  [[URL, URL], /expected one URL/],
  [['home.example'], /"home\.example" is not an address such as/],
  [['http://home.example'], /is not an address such as/],
  [
    ['https://home.example/lovelace'],
    /has more than a host\nhint: write https:\/\/home\.example$/m,
  ],
  [['https://ada@home.example'], /has more than a host/],
  [[URL, '--connect', 'home'], /--connect is "home": expected HOST:PORT/],
  [[URL, '--connect', 'home:99999'], /--connect is/],
  [[URL, '--server-ca', missing], /--server-ca is ".*missing": the file does not exist/],
  [[URL, '--server-ca', empty], /--server-ca is ".*": the file holds no certificate in PEM/],
  [[URL, '--application', 'home:8123'], /--application is "home:8123": expected/],
  [[URL, '--certificate', phoneFile], /expected --certificate FILE and --key FILE together/],
  [[URL, '--key', tabletKey], /expected --certificate FILE and --key FILE together/],
  [[URL, '--certificate', empty, '--key', tabletKey], /holds no certificate in PEM/],
  [[URL, '--certificate', phoneFile, '--key', locked], /the key is encrypted/],
  [[URL, '--certificate', phoneFile, '--key', tabletKey], /it is not the key of that certificate/],
  [[URL, '--certificate', phoneFile, '--key', empty], /it is not the key of that certificate/],
  [[URL, '--only', 'sesion'], /--only has no check "sesion"\nhint: did you mean session\?/],
  [[URL, '--only', 'x-y-z'], /--only has no check "x-y-z"\nhint: one of connection, /],
  [[URL, '--frobnicate'], /unknown option/],
]

for (const [args, says] of WRONG_USE) {
  test(`Doctor ${args.join(' ').replaceAll(folder, '…')}: one line, exit code 2`, async () => {
    const { exitCode, stdout, stderr } = await doctor(args, { CERTLATCH_DATA_DIR: missing })
    assert.equal(exitCode, 2)
    assert.match(stderr, says)
    assert.match(stderr, /^error: .*\n(?:hint: .*\n)?$/)
    assert.equal(stdout, '')
  })
}

test('Without a data directory it says that it needs a certificate', async () => {
  const external = join(folder, 'external-ca.pem')
  await writeFile(external, makeAuthority('External').pem)
  const withoutKey = await initialized()
  const { authorityKey } = withoutKey.paths
  await writeFile(`${authorityKey}.away`, await readFile(authorityKey))
  await rm(authorityKey)
  const readOnly = await initialized()
  await chmod(readOnly.paths.privateFolder, 0o500)
  const cases: (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [{ CERTLATCH_DATA_DIR: missing }, /the data directory .*missing does not exist or is empty/],
    [{ CERTLATCH_CA_FILE: external }, /CERTLATCH_CA_FILE is set/],
    [{ CERTLATCH_DATA_DIR: withoutKey.dataDir }, /the key of the CA, .*ca\.key, is not there/],
  ]
  if (process.getuid?.() !== 0) {
    cases.push([{ CERTLATCH_DATA_DIR: readOnly.dataDir }, /private cannot be written by this user/])
  }
  for (const [environment, says] of cases) {
    const { exitCode, stderr } = await doctor([URL], environment)
    assert.match(stderr, says)
    assert.match(stderr, /give --certificate FILE and --key FILE of a device/)
    assert.match(stderr, /^error: .*\n(?:hint: .*\n)?$/)
    assert.equal(exitCode, 2)
  }
})

test('It does not wait for another running doctor: one line, exit code 1', async () => {
  const { dataDir, paths } = await initialized()
  const now = Math.floor(Date.now() / 1000)
  await mkdir(paths.devices, { recursive: true })
  await writeFile(paths.doctor, JSON.stringify({ notAfter: now + 600, pid: process.pid }))
  const { exitCode, stderr } = await doctor([URL], { CERTLATCH_DATA_DIR: dataDir })
  assert.match(stderr, /another certlatch doctor is running/)
  assert.equal(exitCode, 1)
})
