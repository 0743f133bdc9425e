import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freePort } from '../support/free-port.ts'
import { CASES } from './contract/contract.ts'
import { runCommand } from './support/certlatch.ts'
import { openTls, statusOf } from './support/client.ts'
import {
  type Change,
  type Gate,
  type ProxyKind,
  startGate,
  startWorld,
  type World,
} from './support/gate.ts'
import { APP, NPM, OTHER, OWN } from './support/nginx-layouts.ts'
import { withGate } from './support/run.ts'
import { findProgram } from './support/tools.ts'

const policies = mkdtempSync(join(tmpdir(), 'certlatch-layouts-'))
const policyFile = join(policies, 'policy.yaml')
writeFileSync(
  policyFile,
  'version: 1\npreset: home-assistant\nenable:\n  - local-network: 10.9.8.0/24\n',
)
after(() => rmSync(policies, { recursive: true }))

const LAYOUTS: readonly (readonly [name: string, kind: ProxyKind, closed: readonly string[]])[] = [
  ['an existing nginx', OWN, ['/a.js', '/local/x', '/exact', '/before/x']],
  ['Nginx Proxy Manager', NPM, ['/a.js', '/custom/x', '/x.png?a=1']],
  ['the NGINX SSL proxy app', APP, ['/a.js']],
]

for (const [name, kind, closed] of LAYOUTS) {
  describe(`${name}, with certlatch`, () => {
    let world: World
    let gate: Gate
    let judged: World
    before(async () => {
      world = await startWorld(kind)
      gate = await startGate(world)
      judged = await startWorld(kind, 'own', {
        CERTLATCH_ADMIN_LISTEN: `127.0.0.1:${await freePort()}`,
        CERTLATCH_POLICY_FILE: policyFile,
      })
    })
    after(async () => {
      await gate?.close()
      await world?.close()
      await judged?.close()
    })

    test('certlatch doctor finds nothing wrong', () =>
      withGate(judged, [], async ({ target }) => {
        const { stdout, code } = await runCommand(
          judged.certlatch.environment,
          ...['doctor', 'https://home.example', '--connect', `127.0.0.1:${target.port}`],
          ...['--server-ca', judged.pki.serverCertificateFile, '--json'],
        )
        const { checks } = JSON.parse(stdout)
        const results = checks.filter(
          ({ result }: { result: string }) => result === 'failed' || result === 'warning',
        )
        assert.deepEqual([results, code], [[], 0])
      }))

    test('the other host asks for no certificate, and is open as before', async () => {
      const socket = await openTls(gate.target, undefined, {
        servername: OTHER,
        checkServerIdentity: () => undefined,
      })
      const status = await statusOf(socket, `GET / HTTP/1.1\r\nHost: ${OTHER}\r\n\r\n`)
      assert.equal(status, 200)
      const args = ['s_client', '-connect', `127.0.0.1:${gate.target.port}`, '-tls1_2']
      const said = execFileSync(findProgram('openssl'), [...args, '-servername', OTHER], {
        input: '',
        stdio: ['pipe', 'pipe', 'ignore'],
      })
      assert.match(String(said), /No client certificate CA names sent/)
    })

    test('no other location of the protected server goes without certlatch', async () => {
      for (const path of closed) {
        const { status, seen } = await gate.send({ path })
        assert.deepEqual([status, seen], [403, undefined], path)
      }
      // Nor does a cache.
      const cookie = await gate.session('ada')
      assert.equal((await gate.send({ path: '/a.js', cookie })).status, 200)
      assert.equal((await gate.send({ path: '/a.js' })).status, 403)
    })

    test('no client gets a rule for the network at home by a header', () =>
      withGate(judged, [], async (own) => {
        for (const header of ['X-Real-IP', 'X-Forwarded-For', 'CF-Connecting-IP']) {
          const { status } = await own.send({ headers: [[header, '10.9.8.7']] })
          assert.equal(status, 403, header)
        }
      }))

    for (const { name: sentence, protocols, proxies, endsProxy, run } of CASES) {
      if (endsProxy || (proxies && !proxies.includes('nginx'))) continue
      // Two of them answer another name by nothing at all; doctor looks at that.
      if (sentence.startsWith('another host name')) continue
      test(sentence, () => run(gate, protocols?.[0] ?? 'HTTP/2'))
    }
  })
}

/** Lines of server.conf that matter only where others have written the rest. */
const NEEDED: readonly (readonly [change: Change, path: string, headers: [string, string][]])[] = [
  [
    { file: 'data/nginx/certlatch/server.conf', text: 'set_real_ip_from unix:;', becomes: '' },
    '/',
    [['X-Real-IP', '10.9.8.7']],
  ],
  [
    { file: 'data/nginx/certlatch/server.conf', text: 'auth_request /_certlatch;', becomes: '' },
    '/a.js',
    [],
  ],
]

for (const [change, path, headers] of NEEDED) {
  test(`Nginx Proxy Manager would be open without ${change.text}`, async () => {
    const world = await startWorld(NPM, 'own', { CERTLATCH_POLICY_FILE: policyFile })
    try {
      await withGate(world, [change], async (gate) => {
        assert.equal((await gate.send({ path, headers })).status, 200)
      })
    } finally {
      await world.close()
    }
  })
}
