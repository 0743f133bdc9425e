// The rows of docs/setups.md that need no container: an existing Caddy, and one that is its own CA; a server
// certificate that OpenSSL made; and what stands in front of the proxy.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { freePort } from '../support/free-port.ts'
import { codeBlocks } from '../support/markdown.ts'
import { CASES } from './contract/contract.ts'
import { existingCaddy, OTHER } from './support/caddy-layouts.ts'
import { runCommand } from './support/certlatch.ts'
import { openTls, statusOf } from './support/client.ts'
import { type Gate, type ProxyKind, startWorld, type World } from './support/gate.ts'
import type { Credential } from './support/pki.ts'
import { CADDY, TRAEFIK } from './support/proxies.ts'
import { withGate } from './support/run.ts'
import { findProgram, repositoryFolder, until } from './support/tools.ts'

const read = (path: string): string => readFileSync(join(repositoryFolder(), path), 'utf8')

async function withWorld(
  kind: ProxyKind,
  authority: 'external' | 'own',
  use: (world: World) => Promise<void>,
): Promise<void> {
  const admin = `127.0.0.1:${await freePort()}`
  const world = await startWorld(kind, authority, { CERTLATCH_ADMIN_LISTEN: admin })
  try {
    await use(world)
  } finally {
    await world.close()
  }
}

/** What `certlatch doctor` finds wrong. */
async function examine(world: World, port: number, serverAuthority: string) {
  const { stdout } = await runCommand(
    world.certlatch.environment,
    ...['doctor', 'https://home.example', '--connect', `127.0.0.1:${port}`],
    ...['--server-ca', serverAuthority, '--json'],
  )
  const { checks, failed } = JSON.parse(stdout)
  const wrong = checks.filter(({ result }: { result: string }) => /failed|warning/.test(result))
  return { failed, wrong }
}

const withFiles = existingCaddy(({ pki }) => `${pki.serverCertificateFile} ${pki.serverKeyFile}`)

async function otherHostIsOpen(gate: Gate): Promise<void> {
  const names = { servername: OTHER, checkServerIdentity: () => undefined }
  const socket = await openTls(gate.target, undefined, names)
  assert.equal(await statusOf(socket, `GET / HTTP/1.1\r\nHost: ${OTHER}\r\n\r\n`), 200)
  const args = ['s_client', '-connect', `127.0.0.1:${gate.target.port}`, '-tls1_2']
  const said = execFileSync(findProgram('openssl'), [...args, '-servername', OTHER], {
    input: '',
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  assert.match(String(said), /No client certificate CA names sent/)
}

describe('an existing Caddy, with what its page adds', () => {
  test('certlatch doctor finds nothing wrong, and the other host is open as before', () =>
    withWorld(withFiles, 'own', (world) =>
      withGate(world, [], async (gate) => {
        const found = await examine(world, gate.target.port, world.pki.serverCertificateFile)
        assert.deepEqual(found, { failed: 0, wrong: [] })
        await otherHostIsOpen(gate)
      }),
    ))

  test('the whole contract holds', () =>
    withWorld(withFiles, 'external', (world) =>
      withGate(world, [], async (gate) => {
        for (const { protocols, proxies, endsProxy, run } of CASES) {
          if (endsProxy || (proxies && !proxies.includes('caddy'))) continue
          await run(gate, protocols?.[0] ?? 'HTTP/2')
        }
      }),
    ))
})

test("at home only: Caddy is its own CA, whose root is where docs/setups.md says, and doctor's is trusted", () =>
  withWorld(
    existingCaddy(() => 'internal'),
    'own',
    async (world) => {
      const [place = ''] = /pki\/authorities\/local\/root\.crt/.exec(read('docs/setups.md')) ?? []
      const rootFile = () =>
        readdirSync(world.folder)
          .map((name) => join(world.folder, name, 'caddy', place))
          .find(existsSync)
      const pki = {
        ...world.pki,
        get server(): Credential {
          const file = rootFile()
          return file === undefined
            ? world.pki.server
            : { certificate: readFileSync(file, 'utf8'), key: '' }
        },
      }
      await withGate({ ...world, pki }, [], async (gate) => {
        const root = rootFile()
        assert.ok(root !== undefined)
        const found = await examine(world, gate.target.port, root)
        assert.deepEqual(found, { failed: 0, wrong: [] })
      })
    },
  ))

test('at home only: Traefik with the server certificate that the lines of docs/setups.md make', () =>
  withWorld(TRAEFIK, 'own', async (world) => {
    const folder = mkdtempSync(join(world.folder, 'typed-'))
    const [block = ''] = codeBlocks(read('docs/setups.md'), 'sh').filter((text) =>
      text.includes('home-ca.crt'),
    )
    const lines = block.replaceAll('home.home.arpa', 'home.example')
    execFileSync('bash', ['--norc', '-euc', lines], { cwd: folder, stdio: 'pipe' })
    const file = (name: string) => join(folder, name)
    const pki = {
      ...world.pki,
      serverCertificateFile: file('server.crt'),
      serverKeyFile: file('server.key'),
      server: { certificate: readFileSync(file('home-ca.crt'), 'utf8'), key: '' },
    }
    await withGate({ ...world, pki }, [], async (gate) => {
      const found = await examine(world, gate.target.port, file('home-ca.crt'))
      assert.deepEqual(found, { failed: 0, wrong: [] })
    })
  }))

// --- what stands in front of the proxy --------------------------------------------------------------

/** HAProxy in front of the gate, until `use` is done; answers at the port that it hands over. */
async function withFront(
  gate: Gate,
  lines: string,
  use: (port: number) => Promise<void>,
): Promise<void> {
  const port = await freePort()
  const file = join(gate.folder, 'front.cfg')
  writeFileSync(
    file,
    `defaults
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen front
  bind 127.0.0.1:${port}${lines.replaceAll('GATE', `127.0.0.1:${gate.target.port}`)}
`,
  )
  const child = spawn(findProgram('haproxy'), ['-db', '-f', file], { stdio: 'inherit' })
  const isUp = () =>
    openTls({ ...gate.target, port }, undefined).then(
      (socket) => Boolean(socket.destroy()),
      () => false,
    )
  try {
    await until('HAProxy listens', isUp)
    await use(port)
  } finally {
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }
}

const THROUGH = `
  mode tcp
  server proxy GATE`

test('a relay of TCP in front changes nothing: doctor finds nothing wrong through it', () =>
  withWorld(CADDY, 'own', (world) =>
    withGate(world, [], (gate) =>
      withFront(gate, THROUGH, async (port) => {
        const found = await examine(world, port, world.pki.serverCertificateFile)
        assert.deepEqual(found, { failed: 0, wrong: [] })
      }),
    ),
  ))

test('where something else ends TLS first, every device is refused, whatever header goes along', () =>
  withWorld(CADDY, 'external', (world) =>
    withGate(world, [], async (gate) => {
      const ended = ` ssl crt ${world.pki.serverBundleFile} ca-file ${world.pki.authorityFile} verify optional
  mode http
  http-request set-header Client-Cert :%[ssl_c_der,base64]: if { ssl_c_used }
  http-request set-header Cf-Client-Cert-Der-Base64 %[ssl_c_der,base64] if { ssl_c_used }
  server proxy GATE ssl verify none sni str(home.example)`
      await withFront(gate, ended, async (port) => {
        const credential = world.pki.credential('ada')
        const socket = await openTls({ ...gate.target, port }, credential)
        assert.equal(await statusOf(socket, 'GET / HTTP/1.1\r\nHost: home.example\r\n\r\n'), 403)
      })
      assert.equal((await gate.send({ credential: 'ada' })).status, 200)
    }),
  ))
