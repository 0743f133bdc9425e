import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer as createApplication, type RequestListener } from 'node:http'
import { createSecureServer } from 'node:http2'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { createClient } from '../../src/doctor/client.ts'
import { runChecks } from '../../src/doctor/run.ts'
import { dataPaths } from '../../src/store/data-directory.ts'
import { readRunning } from '../../src/store/service-state-files.ts'
import { freePort } from '../support/free-port.ts'
import { makeServerCertificate } from '../support/server-certificate.ts'
import { runCommand, startCertlatch, startCommand } from './support/certlatch.ts'
import { examine, newWorld, type Report, wrong } from './support/examine.ts'
import type { Change, Gate, World } from './support/gate.ts'
import { CADDY } from './support/proxies.ts'
import { withGate } from './support/run.ts'
import { until } from './support/tools.ts'

/** `certlatch doctor` with problems that the proxy's configuration does not cause. */

const shared = newWorld(CADDY)
after(async () => (await shared.catch(() => undefined))?.close())

/** The finding of a run that must have exactly one. */
function onlyFinding(report: Report, check: string): string {
  assert.deepEqual(
    wrong(report).map(({ name, findings }) => [name, findings.length]),
    [[check, 1]],
  )
  const [found] = wrong(report)
  assert.equal(report.code, found?.result === 'failed' ? 1 : 0)
  return found?.findings[0]?.text ?? ''
}

const only = (...checks: readonly string[]) => ({ args: ['--only', checks.join(',')] })

function assertAllOk(report: Report): void {
  assert.deepEqual(
    report.checks.filter(({ result }) => result !== 'ok'),
    [],
  )
  assert.equal(report.code, 0)
}

/** Listens until the test ends, then closes the server and its connections. */
async function listen(context: TestContext, server: Server, host = '127.0.0.1'): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
  })
  server.listen(0, host)
  await once(server, 'listening')
  context.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as { port: number }).port
}

// --- checks that no change to a shipped file can test --------------------------------------------------

test('name: a name that resolves is ok; if it does not resolve, nothing else is tried', async () => {
  const world = await shared
  await withGate(world, [], async ({ target: { port } }) => {
    const asked = { connects: false, args: ['--only', 'name'] }
    assertAllOk(await examine(world, port, { ...asked, url: `https://localhost:${port}` }))
    const missing = { ...asked, url: `https://home.invalid:${port}` }
    assert.match(
      onlyFinding(await examine(world, port, missing), 'name'),
      /^home\.invalid: the name does not resolve/,
    )
    const whole = await examine(world, port, { ...missing, args: [] })
    onlyFinding(whole, 'name')
    assert.equal(whole.requests, 0)
  })
})

/** The port for plain HTTP is always 80, except here. */
async function plainHttpAt({ folder, target: front }: Gate) {
  const [, plainPort] =
    /http_port (\d+)/.exec(readFileSync(join(folder, 'Caddyfile'), 'utf8')) ?? []
  const { certificate, key } = makeServerCertificate('phone', Date.now() / 1000)
  const target = {
    ...{ authority: 'home.example', host: 'home.example' },
    ...{ connectHost: '127.0.0.1', connectPort: front.port, plainPort: Number(plainPort) },
    serverAuthorities: front.serverCertificate,
    ...{ certificate, key, application: undefined },
  }
  const client = createClient(target)
  const [outcome] = await runChecks({
    ...{ target, client, here: undefined, revoke: undefined },
    certificate: new X509Certificate(certificate).raw,
    cookieName: '__Host-certlatch',
    isAsked: ({ name }) => name === 'plain-http',
    nowSeconds: () => Date.now() / 1000,
    onOutcome: () => undefined,
    onProgress: () => undefined,
  })
  client.close()
  return outcome
}

test('plain-http: Caddy redirects to https by itself, unless there is a site over HTTP', async () => {
  const world = await shared
  await withGate(world, [], async (gate) => {
    const outcome = await plainHttpAt(gate)
    assert.deepEqual([outcome?.result, outcome?.findings], ['ok', []])
  })
  const besides: Change = {
    file: 'Caddyfile',
    text: '# <-- the name under which',
    becomes: 'http://home.example {\n\treverse_proxy 127.0.0.1:8123\n}\n# <-- the name under which',
  }
  await withGate(world, [besides], async (gate) => {
    const outcome = await plainHttpAt(gate)
    assert.equal(outcome?.result, 'failed')
    assert.match(outcome?.findings[0]?.text ?? '', /^plain HTTP at port \d+ answers 200$/)
  })
})

const outside = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ internal, family }) => !internal && family === 'IPv4')?.address

test('bypass: the application can be reached only by the proxy, or also by others', {
  skip: outside === undefined && 'this machine has only loopback addresses',
}, async (context) => {
  const world = await shared
  await withGate(world, [], async ({ target }) => {
    const reached = (port: number, host = outside) =>
      examine(world, target.port, {
        args: ['--only', 'bypass', '--application', `http://${host}:${port}`],
      })
    assertAllOk(await reached(world.backend.port))
    const open = createServer((socket) => {
      const onward = connect(world.backend.port, '127.0.0.1')
      onward.on('error', () => undefined)
      socket.pipe(onward).pipe(socket)
    })
    const port = await listen(context, open, outside)
    assert.match(
      onlyFinding(await reached(port), 'bypass'),
      new RegExp(`^the application answers at ${outside}:${port}, bypassing the gate$`),
    )
    const [here] = (await reached(world.backend.port, '127.0.0.1')).checks
    assert.equal(here?.result, 'not tried')
    assert.match(here?.obstacle ?? '', /127\.0\.0\.1 is this machine/)
  })
})

test('dates: a CA that expires within 90 days is a warning', async () => {
  const world = await newWorld(CADDY)
  try {
    await withGate(world, [], async ({ target: { port } }) => {
      assertAllOk(await examine(world, port, only('dates')))
      const { environment } = world.certlatch
      const renewed = await runCommand(
        environment,
        'ca',
        'renew',
        '--name',
        'Short',
        '--days',
        '30',
      )
      assert.equal(renewed.code, 0, renewed.stderr)
      await until('the service has loaded it', async () => {
        const report = await examine(world, port, only('dates'))
        return wrong(report).length > 0
      })
      assert.match(
        onlyFinding(await examine(world, port, only('dates')), 'dates'),
        /^the CA CN=Short expires in 29 days$/,
      )
    })
  } finally {
    await world.close()
  }
})

test('replicas: one that does not load the new session keys is found', async () => {
  const world = await newWorld(CADDY)
  const { environment } = world.certlatch
  const listen = `127.0.0.1:${await freePort()}`
  const second = await startCertlatch(world.folder, 'caddy', undefined, {
    CERTLATCH_LISTEN: listen,
  })
  try {
    await withGate(world, [], async ({ target: { port } }) => {
      assertAllOk(await examine(world, port, only('replicas')))
      const { running } = dataPaths(environment['CERTLATCH_DATA_DIR'] ?? '')
      const services = await readRunning(running)
      const pid = services.find(({ state }) => state.listen === listen)?.state.pid ?? 0
      assert.ok(pid > 0)
      process.kill(pid, 'SIGSTOP')
      await runCommand(environment, 'key', 'rotate', '--after', '0s')
      assert.equal(
        onlyFinding(await examine(world, port, only('replicas')), 'replicas'),
        'the services have different session keys',
      )
    })
  } finally {
    await second.close()
    await world.close()
  }
})

test('Session keys that are rotated during a run cause no finding', async () => {
  const world = await newWorld(CADDY)
  try {
    await withGate(world, [], async ({ target: { port } }) => {
      const { environment } = world.certlatch
      for (const flags of [['--after', '0s'], ['--now']]) {
        const [report, rotated] = await Promise.all([
          examine(world, port, only('replicas', 'access')),
          runCommand(environment, 'key', 'rotate', ...flags),
        ])
        assert.equal(rotated.code, 0, rotated.stderr)
        const found = wrong(report).map(({ name }) => name)
        // A rotation with --now ends the session that the run uses, so these findings are correct.
        const expected = flags[0] === '--now' ? ['session', 'websocket', 'protocols'] : []
        assert.deepEqual(
          found.filter((name) => !expected.includes(name)),
          [],
        )
      }
    })
  } finally {
    await world.close()
  }
})

test('proxy-name: certlatch is configured for another proxy', async () => {
  const world = await newWorld(CADDY, { CERTLATCH_PROXY: 'traefik' })
  try {
    await withGate(world, [], async ({ target: { port } }) => {
      const report = await examine(world, port, only('proxy-name'))
      assert.match(onlyFinding(report, 'proxy-name'), /does not match what the proxy looks like/)
      assert.match(wrong(report)[0]?.findings[0]?.hint ?? '', /set CERTLATCH_PROXY=caddy$/)
    })
    await withGate(await shared, [], async ({ target: { port } }) =>
      assertAllOk(await examine(await shared, port, only('proxy-name'))),
    )
  } finally {
    await world.close()
  }
})

test('service: running is ok, stopped is a finding', async () => {
  const world = await newWorld(CADDY)
  try {
    await withGate(world, [], async ({ target: { port } }) => {
      assertAllOk(await examine(world, port, only('service')))
      await world.certlatch.close()
      assert.match(
        onlyFinding(await examine(world, port, only('service')), 'service'),
        /^nothing listens at 127\.0\.0\.1:\d+$/,
      )
      const whole = await examine(world, port)
      assert.deepEqual(
        wrong(whole).map(({ name }) => name),
        ['no-credentials', 'certificate', 'pages', 'service'],
      )
      assert.match(wrong(whole)[0]?.findings[0]?.text ?? '', /gets no answer from certlatch/)
    })
  } finally {
    await world.close()
  }
})

// --- servers that cannot be tested ----------------------------------------------------------------------------

test('Nothing listening, no TLS, closed at once, or silent: one finding, and the rest is not tried', async (context) => {
  const world = await shared
  const silent = [
    [await freePort(), /the connection was refused/],
    [
      await listen(
        context,
        createServer((socket) => socket.destroy()),
      ),
      /closed/,
    ],
    [
      await listen(
        context,
        createServer((socket) => socket.end('220 mail.example ESMTP\r\n')),
      ),
      /does not speak TLS/,
    ],
    [
      await listen(
        context,
        createServer(() => undefined),
      ),
      /no answer within 3 s/,
    ],
  ] as const
  for (const [port, says] of silent) {
    const report = await examine(world, port)
    assert.match(onlyFinding(report, 'tls'), says)
    const ok = report.checks.filter(({ result }) => result === 'ok').map(({ name }) => name)
    assert.deepEqual(
      ok.filter((name) => name !== 'plain-http'),
      ['service', 'dates', 'replicas'],
    )
  }
})

const ODD_APPLICATIONS: readonly (readonly [
  what: string,
  listener: RequestListener,
  finding: RegExp | undefined,
])[] = [
  [
    'hangs',
    (req) => req.resume(),
    /no answer to a request with the certificate: no answer within 3 s/,
  ],
  [
    'redirects in circles',
    (req, res) => res.writeHead(302, { Location: `${req.url}` }).end(),
    undefined,
  ],
  [
    'answers with 100 MB',
    (_, res) => {
      const part = Buffer.alloc(1_000_000, 'x')
      let count = 0
      const more = () => {
        while (count < 100 && !res.destroyed) {
          count += 1
          if (!res.write(part)) return
        }
        res.end()
      }
      res.on('drain', more)
      more()
    },
    undefined,
  ],
]

for (const [what, listener, finding] of ODD_APPLICATIONS) {
  test(`An application that ${what} neither aborts a run nor blocks it`, async (context) => {
    const world = await shared
    const port = await listen(context, createApplication(listener))
    const odd = {
      file: 'Caddyfile',
      text: '127.0.0.1:8123 { # <--',
      becomes: `127.0.0.1:${port} { # not 127.0.0.1:8123`,
    }
    await withGate(world, [odd], async ({ target }) => {
      const report = await examine(world, target.port)
      if (finding === undefined) assert.deepEqual(wrong(report), [])
      else assert.match(onlyFinding(report, 'certificate'), finding)
    })
  })
}

test('A proxy that supports only HTTP/2 is a finding', async (context) => {
  const world = await shared
  const { certificate, key } = makeServerCertificate('home.example', Date.now() / 1000)
  const server = createSecureServer({ cert: certificate, key }, (_, res) => res.end())
  const port = await listen(context, server as unknown as Server)
  const trusts = join(world.folder, 'http2.pem')
  writeFileSync(trusts, certificate)
  const report = await examine(world, port, { trusts, ...only('closed') })
  assert.match(onlyFinding(report, 'no-credentials'), /HTTP\/1\.1/)
})

// --- doctor's own device ------------------------------------------------------------------------

const entriesOf = ({ certlatch: { environment } }: World) => {
  const folder = dataPaths(environment['CERTLATCH_DATA_DIR'] ?? '').devices
  return readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')))
}

test('A run that was killed is cleaned up by the next one, which finds nothing', async () => {
  const world = await newWorld(CADDY)
  const { environment } = world.certlatch
  try {
    await withGate(world, [], async ({ target: { port } }) => {
      const before = world.relay.connections
      const trusts = world.pki.serverCertificateFile
      const run = startCommand(
        environment,
        ...['doctor', 'https://home.example', '--server-ca', trusts],
        ...['--connect', `127.0.0.1:${port}`],
      )
      await until('it has reached certlatch', () => world.relay.connections > before + 1)
      run.kill('SIGKILL')
      await once(run, 'exit')
      assert.equal(entriesOf(world)[0]?.certificates.length, 1)
      const report = await examine(world, port)
      assert.deepEqual(wrong(report), [])
      assert.deepEqual(
        entriesOf(world).map(({ doctor, certificates }) => [doctor, certificates]),
        [[true, []]],
      )
    })
  } finally {
    await world.close()
  }
})

test('A second run at the same time reports the first one, and does not disturb it', async () => {
  const world = await shared
  await withGate(world, [], async ({ target: { port } }) => {
    const trusts = world.pki.serverCertificateFile
    const runs = await Promise.all(
      [1, 2].map(() =>
        runCommand(
          world.certlatch.environment,
          ...['doctor', 'https://home.example', '--server-ca', trusts],
          ...['--connect', `127.0.0.1:${port}`],
        ),
      ),
    )
    const [first, second] = runs.sort((one, other) => (one.code ?? 9) - (other.code ?? 9))
    assert.equal(first?.code, 0, first?.stdout)
    assert.equal(second?.code, 1)
    assert.match(second?.stderr ?? '', /^error: another certlatch doctor is running on this data/)
    assert.equal(second?.stdout, '')
  })
})
