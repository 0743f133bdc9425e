import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { CHECKS } from '../../src/doctor/checks.ts'
import { makeServerCertificate } from '../support/server-certificate.ts'
import { runCommand } from './support/certlatch.ts'
import { type Asked, examine, newWorld, wrong } from './support/examine.ts'
import type { Change, ProxyKind, World } from './support/gate.ts'
import { CADDY, HAPROXY, NGINX, TRAEFIK } from './support/proxies.ts'
import { withGate, without } from './support/run.ts'

/** `certlatch doctor` at real proxies: right as they are shipped, and each wrong in one way. */

const RULES = `version: 1
preset: home-assistant
enable:
  - local-network: 10.9.8.0/24
`

const scratch = mkdtempSync(join(tmpdir(), 'certlatch-doctor-'))
const policyFile = join(scratch, 'policy.yaml')
writeFileSync(policyFile, RULES)

/** One world for each proxy and kind of rules, for all its tests. */
const worlds = new Map<string, Promise<World>>()
after(async () => {
  for (const world of worlds.values()) await (await world.catch(() => undefined))?.close()
  rmSync(scratch, { recursive: true })
})

function worldOf(kind: ProxyKind, hasRules: boolean): Promise<World> {
  const key = `${kind.dialect} ${hasRules}`
  const settings: Readonly<Record<string, string>> = hasRules
    ? { CERTLATCH_POLICY_FILE: policyFile }
    : {}
  const world = worlds.get(key) ?? newWorld(kind, settings)
  worlds.set(key, world)
  return world
}

// --- whole runs -------------------------------------------------------------------------------------

/** What cannot be tried at the application of these tests. */
const NOT_THERE = ['name', 'trusted-proxy', 'rescue-module', 'webhooks', 'bypass']

for (const kind of [CADDY, TRAEFIK, NGINX, HAPROXY]) {
  test(`${kind.dialect} as shipped: a whole run finds nothing, and leaves nothing behind`, async () => {
    const world = await worldOf(kind, true)
    await withGate(world, [], async (gate) => {
      for (const run of ['first', 'second']) {
        const before = world.backend.count
        const begun = performance.now()
        const report = await examine(world, gate.target.port)
        assert.ok(performance.now() - begun <= 20_000, 'within 20 seconds')
        assert.deepEqual(wrong(report), [], run)
        const untried = report.checks.filter(({ result }) => result === 'not tried')
        assert.deepEqual(
          untried.map(({ name }) => name),
          NOT_THERE,
        )
        assert.equal(report.checks.length, CHECKS.length)
        assert.equal(report.code, 0, report.stderr)
        assert.ok(report.requests <= 300, `${report.requests} requests`)
        assert.ok(world.backend.count > before)
        await assertNothingLeft(world)
      }
    })
  })
}

async function assertNothingLeft({ certlatch: { environment } }: World): Promise<void> {
  const folder = join(environment['CERTLATCH_DATA_DIR'] ?? '', 'private')
  const entries = readdirSync(join(folder, 'devices')).map((name) =>
    JSON.parse(readFileSync(join(folder, 'devices', name), 'utf8')),
  )
  assert.deepEqual(
    entries.map(({ doctor, certificates }) => ({ doctor, certificates })),
    [{ doctor: true, certificates: [] }],
  )
  assert.ok(!readdirSync(folder).includes('doctor.json'))
  const listed = await runCommand(environment, 'device', 'list', '--json')
  assert.doesNotMatch(listed.stdout, /doctor/)
  const metrics = await fetch(`http://${environment['CERTLATCH_ADMIN_LISTEN']}/metrics`)
  assert.doesNotMatch(await metrics.text(), /certlatch doctor/)
}

// --- one thing wrong --------------------------------------------------------------------------------

interface Wrong {
  readonly check: string
  readonly kind: ProxyKind
  readonly what: string
  readonly changes: readonly Change[] | ((world: World) => readonly Change[])
  readonly hasRules?: boolean
  readonly says: RegExp
  readonly hint?: RegExp
  readonly asked?: (world: World) => Asked
}

const SECRET = 'X-Certlatch-Proxy-Secret only-the-proxy-knows-this'
const at = (file: string, text: string, becomes: string): Change => ({ file, text, becomes })
const INSECURE = at(
  'traefik.yml',
  '    transport:',
  '    forwardedHeaders: { insecure: true }\n    transport:',
)

const WRONG: readonly Wrong[] = [
  {
    check: 'tls',
    kind: NGINX,
    what: 'TLS 1.0 and 1.1 are supported',
    changes: [
      at(
        'server.conf',
        'ssl_verify_client optional;',
        'ssl_verify_client optional; ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; ssl_ciphers ALL:@SECLEVEL=0;',
      ),
    ],
    says: /TLS 1\.0 and TLS 1\.1 can still be used/,
    hint: /^nginx: ssl_protocols/,
  },
  {
    check: 'certificate-request',
    kind: CADDY,
    what: 'no CA is named',
    changes: [without('Caddyfile', 'trust_pool file')],
    says: /names no CA/,
    hint: /^Caddy: .*trust_pool/,
  },
  {
    check: 'certificate-request',
    kind: NGINX,
    what: 'no certificate is requested',
    changes: [at('server.conf', 'ssl_verify_client optional;', 'ssl_verify_client off;')],
    says: /does not request a client certificate/,
    hint: /^nginx: ssl_verify_client optional/,
  },
  {
    check: 'other-names',
    kind: HAPROXY,
    what: 'a certificate is requested only under its own name',
    changes: ({ pki }) => {
      const list = join(scratch, 'crt-list')
      const asking = `ca-file ${pki.authorityFile} verify optional`
      writeFileSync(
        list,
        `${pki.serverBundleFile} [verify none] other.example\n${pki.serverBundleFile} [${asking}] home.example\n`,
      )
      const shipped =
        'ssl crt /etc/haproxy/server.pem ca-file /var/lib/certlatch/public/ca.crt verify optional crt-ignore-err all ca-ignore-err all alpn h2,http/1.1'
      const kept = '# /etc/haproxy/server.pem /var/lib/certlatch/public/ca.crt'
      return [
        at(
          'haproxy.cfg',
          shipped,
          `ssl crt-list ${list} crt-ignore-err all ca-ignore-err all alpn h2,http/1.1 ${kept}`,
        ),
      ]
    },
    says: /without a server name, no certificate is requested, and the host is served/,
    hint: /^HAProxy: one bind line/,
  },
  {
    check: 'no-credentials',
    kind: NGINX,
    what: 'no auth request is sent',
    changes: [without('server.conf', 'auth_request /_certlatch;')],
    says: /a request without credentials is allowed/,
    hint: /^nginx: auth_request/,
  },
  {
    check: 'no-credentials',
    kind: NGINX,
    what: "the refusal is nginx's own",
    changes: [without('server.conf', 'error_page 403 = /_certlatch_page;')],
    says: /is not certlatch's own/,
    hint: /^nginx: error_page 403/,
  },
  {
    check: 'certificate',
    kind: HAPROXY,
    what: 'the certificate is not passed on',
    changes: [without('haproxy.cfg', 'http-request set-header Client-Cert')],
    says: /the certificate was presented, and certlatch refuses/,
    hint: /^HAProxy: http-request set-header Client-Cert/,
  },
  {
    check: 'session-cookie',
    kind: TRAEFIK,
    what: 'the session is not returned',
    changes: [without('dynamic.yml', 'addAuthCookiesToResponse:')],
    says: /no __Host-certlatch arrives/,
    hint: /^Traefik: addAuthCookiesToResponse/,
  },
  {
    check: 'session',
    kind: CADDY,
    what: 'the auth request lacks the cookie',
    changes: [
      at(
        'Caddyfile',
        'header_up -Connection\n',
        'header_up -Connection\n\t\t\theader_up -Cookie\n',
      ),
    ],
    says: /the session alone is not accepted: 403/,
    hint: /^Caddy: no header_up -Cookie/,
  },
  {
    check: 'websocket',
    kind: NGINX,
    what: 'the auth request for a WebSocket lacks the cookie',
    changes: [
      at(
        'http.conf',
        'upstream certlatch {',
        "map $http_upgrade $asked_cookie { default ''; '' $http_cookie; }\nupstream certlatch {",
      ),
      at(
        'ask.conf',
        'proxy_connect_timeout 2s;',
        'proxy_connect_timeout 2s;\nproxy_set_header Cookie $asked_cookie;',
      ),
    ],
    says: /a WebSocket with only the session is refused/,
    hint: /^nginx: no proxy_set_header Cookie/,
  },
  {
    check: 'protocols',
    kind: HAPROXY,
    what: 'the certificate is passed on only over HTTP/1.1',
    changes: [at('haproxy.cfg', 'length le 24000 }', 'length le 24000 } !HTTP_2.0')],
    says: /the certificate: HTTP\/1\.1 gets 200, and HTTP\/2 gets 403/,
  },
  {
    check: 'forged-certificate',
    kind: CADDY,
    what: "a client's own header is left",
    changes: [
      without('Caddyfile', 'request_header -Client-Cert\n'),
      without(
        'Caddyfile',
        'header_up Client-Cert :{http.request.tls.client.certificate_der_base64}:',
      ),
    ],
    says: /Client-Cert \(RFC 9440\) is trusted/,
    hint: /^Caddy: request_header -Client-Cert/,
  },
  {
    check: 'forged-spelling',
    kind: HAPROXY,
    what: "a client's own header is left",
    changes: [without('haproxy.cfg', 'http-request del-header client-cert\n')],
    says: /CLIENT-CERT is trusted/,
    hint: /^HAProxy: http-request del-header client-cert/,
  },
  {
    check: 'forged-request',
    kind: CADDY,
    what: "a client's X-Forwarded-Uri is left",
    changes: [without('Caddyfile', 'header_up X-Forwarded-Uri {uri}')],
    says: /X-Forwarded-Uri reaches certlatch/,
    hint: /^Caddy: .*X-Forwarded-Uri/,
  },
  {
    check: 'forged-request',
    kind: TRAEFIK,
    what: 'forwarded headers are trusted',
    changes: [INSECURE],
    says: /X-Forwarded-Proto, X-Forwarded-Host reaches certlatch/,
    hint: /^Traefik: no forwardedHeaders\.insecure/,
  },
  {
    check: 'forged-address',
    kind: TRAEFIK,
    what: 'forwarded headers are trusted, and a rule depends on the network',
    changes: [INSECURE],
    hasRules: true,
    says: /X-Forwarded-For is trusted/,
    hint: /^Traefik: no forwardedHeaders\.insecure/,
  },
  {
    check: 'forged-internal',
    kind: NGINX,
    what: "a client's X-Certlatch-Page is left",
    changes: [at('server.conf', 'proxy_set_header X-Certlatch-Page "";', '')],
    says: /X-Certlatch-Page of a client has an effect/,
    hint: /^nginx: proxy_set_header X-Certlatch-Page/,
  },
  {
    check: 'aliases',
    kind: TRAEFIK,
    what: 'other spellings are passed on',
    changes: [at('traefik.yml', 'aliasHeadersStrategy: delete', 'aliasHeadersStrategy: keep')],
    says: /passes on Remote_User/,
    hint: /^Traefik: aliasHeadersStrategy: delete/,
  },
  {
    check: 'other-hosts',
    kind: HAPROXY,
    what: 'any host is served',
    changes: [without('haproxy.cfg', 'http-request deny deny_status 421')],
    says: /Host: certlatch-doctor\.invalid.*: 200/,
    hint: /^HAProxy: http-request deny deny_status 421/,
  },
  {
    check: 'rules',
    kind: NGINX,
    what: 'more is served without an auth request than the rules open',
    changes: [
      at(
        'server.conf',
        'location ~ ^/ {',
        'location ^~ /api/ { auth_request off; proxy_pass http://certlatch_application; }\nlocation ~ ^/ {',
      ),
    ],
    hasRules: true,
    says: /\/api\/.* can be reached without certlatch/,
    hint: /^nginx: auth_request/,
  },
  {
    check: 'detours',
    kind: HAPROXY,
    what: 'paths that begin like a webhook are served without an auth request',
    changes: [
      at(
        'haproxy.cfg',
        'acl page path_beg',
        'acl hook path_beg /api/webhook/\n  acl page path_beg',
      ),
      at(
        'haproxy.cfg',
        'http-request lua.certlatch unless page',
        'http-request lua.certlatch unless page || hook',
      ),
      at('haproxy.cfg', '-m bool } || page ', '-m bool } || page || hook '),
    ],
    hasRules: true,
    says: /\/api\/webhook\/\.\..* reaches the application without credentials/,
    hint: /^HAProxy: http-request lua/,
  },
  {
    check: 'http3',
    kind: CADDY,
    what: 'HTTP/3 is offered',
    changes: [without('Caddyfile', 'protocols h1 h2')],
    says: /HTTP\/3 is offered: Alt-Svc: h3=/,
    hint: /^Caddy: servers \{ protocols h1 h2 \}/,
  },
  {
    check: 'caches',
    kind: CADDY,
    what: 'every answer is cacheable',
    changes: [
      at('Caddyfile', '\troute {', '\theader >Cache-Control "public, max-age=60"\n\troute {'),
    ],
    says: /lacks Cache-Control: no-store/,
  },
  {
    check: 'pages',
    kind: CADDY,
    what: 'two pages are missing',
    changes: [
      at('Caddyfile', '@pages path /.certlatch/auth/*', '@pages path /.certlatch/auth/reset'),
    ],
    says: /rescue\.js and \/\.certlatch\/auth\/enroll cannot be reached/,
    hint: /^Caddy: @pages path/,
  },
  {
    check: 'inner-paths',
    kind: NGINX,
    what: 'certlatch itself can be reached',
    changes: [
      at(
        'server.conf',
        'location ~ ^/ {',
        `location = /verify { auth_request off; proxy_pass http://certlatch; proxy_set_header ${SECRET}; proxy_set_header X-Certlatch-Proxy nginx; }\nlocation ~ ^/ {`,
      ),
    ],
    says: /\/verify of certlatch can be reached from outside/,
    hint: /^nginx: internal;/,
  },
  {
    check: 'server-certificate',
    kind: NGINX,
    what: 'its certificate expires soon',
    changes: () => {
      // Half a day of its week is left.
      const old = Math.floor(Date.now() / 1000) - 6.5 * 86_400
      const { certificate, key } = makeServerCertificate('soon.example', old)
      writeFileSync(join(scratch, 'soon.crt'), certificate)
      writeFileSync(join(scratch, 'soon.key'), key)
      const server = `  server {
    listen 443 ssl;
    server_name soon.example;
    ssl_certificate ${join(scratch, 'soon.crt')};
    ssl_certificate_key ${join(scratch, 'soon.key')};
    return 421;
  }`
      const comment = '  # Any other name, or none, ends here.'
      return [at('nginx.conf', comment, `${server}\n${comment}`)]
    },
    asked: () => ({ url: 'https://soon.example', trusts: join(scratch, 'soon.crt') }),
    says: /the server's certificate expires in 0 days/,
    hint: /renews/,
  },
  {
    check: 'server-certificate',
    kind: HAPROXY,
    what: 'its certificate is for another name',
    changes: [],
    asked: () => ({ url: 'https://elsewhere.example' }),
    says: /not valid for elsewhere\.example: it is for DNS:home\.example/,
    hint: /--server-ca/,
  },
  {
    check: 'server-certificate',
    kind: TRAEFIK,
    what: 'its certificate is from a CA that is not trusted',
    changes: [],
    asked: ({ pki }) => ({ trusts: pki.authorityFile }),
    says: /not valid for home\.example: it is self-signed, and not trusted here/,
    hint: /--server-ca/,
  },
  {
    check: 'clock',
    kind: HAPROXY,
    what: 'its clock is two hours fast',
    changes: [
      at(
        'haproxy.cfg',
        '  default_backend homeassistant',
        '  default_backend homeassistant\n  http-after-response set-header Date %[date(7200),http_date]',
      ),
    ],
    says: /the clocks of the proxy and of this machine differ by 7[12]\d\d s/,
    hint: /NTP/,
  },
  {
    check: 'resumption',
    kind: NGINX,
    what: 'a resumed connection has no certificate',
    changes: [
      at(
        'http.conf',
        'upstream certlatch {',
        "map $ssl_session_reused $shown { default $ssl_client_escaped_cert; r ''; }\nupstream certlatch {",
      ),
      at('ask.conf', 'X-SSL-Client-Cert $ssl_client_escaped_cert;', 'X-SSL-Client-Cert $shown;'),
    ],
    says: /on a resumed TLSv1\.[23] connection the certificate is gone/,
    hint: /^nginx: proxy_set_header X-SSL-Client-Cert/,
  },
  {
    check: 'revoked',
    kind: NGINX,
    what: "certlatch's answers are cached",
    changes: ({ folder }) => [
      at(
        'http.conf',
        'upstream certlatch {',
        `proxy_cache_path ${folder}/cache keys_zone=kept:1m;\nupstream certlatch {`,
      ),
      at(
        'server.conf',
        '  proxy_method HEAD;',
        `  proxy_cache kept;
  proxy_cache_key $ssl_client_fingerprint$cookie___Host-certlatch;
  proxy_cache_valid 200 1m;
  proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;
  proxy_method HEAD;`,
      ),
    ],
    says: /the certificate is revoked, and still accepted after 5 s/,
    hint: /no cache between the proxy and certlatch/,
  },
]

for (const { check, kind, what, changes, hasRules = false, says, hint, asked } of WRONG) {
  test(`${kind.dialect}, ${what}: ${check} reports it, and where to fix it`, async () => {
    const world = await worldOf(kind, hasRules)
    const made = typeof changes === 'function' ? changes(world) : changes
    await withGate(world, made, async (gate) => {
      const report = await examine(world, gate.target.port, {
        args: ['--only', check],
        ...asked?.(world),
      })
      assert.deepEqual(
        report.checks.map(({ name }) => name),
        [check],
      )
      const [found] = wrong(report)
      assert.ok(found, JSON.stringify(report.checks))
      assert.equal(found.findings.length, 1)
      assert.match(found.findings[0]?.text ?? '', says)
      if (hint !== undefined) assert.match(found.findings[0]?.hint ?? '', hint)
      assert.equal(report.code, found.result === 'failed' ? 1 : 0)
    })
  })
}

test('Each wrong proxy is wrong in only one way: the same check finds nothing in the shipped configuration', async () => {
  for (const kind of [CADDY, TRAEFIK, NGINX, HAPROXY]) {
    for (const hasRules of [false, true]) {
      const of = WRONG.filter((one) => one.kind === kind && (one.hasRules ?? false) === hasRules)
      if (of.length === 0) continue
      const world = await worldOf(kind, hasRules)
      await withGate(world, [], async (gate) => {
        const names = [...new Set(of.map(({ check }) => check))]
        const report = await examine(world, gate.target.port, {
          args: ['--only', names.join(',')],
        })
        assert.deepEqual(
          report.checks.filter(({ result }) => result !== 'ok'),
          [],
        )
      })
    }
  }
})

/** Checks with tests of their own, for right and wrong; the last three need Home Assistant. */
const SHOWN_ELSEWHERE = {
  'doctor-environment.e2e.ts': [
    ...['name', 'plain-http', 'bypass'],
    ...['service', 'dates', 'replicas', 'proxy-name'],
  ],
  'home-assistant-enroll.e2e.ts': ['trusted-proxy', 'rescue-module', 'webhooks'],
}

test('Every check is tested with a correct proxy and with a wrong one', () => {
  assert.deepEqual(
    [...new Set(WRONG.map(({ check }) => check)), ...Object.values(SHOWN_ELSEWHERE).flat()].sort(),
    CHECKS.map(({ name }) => name).sort(),
  )
})

test("nginx has not loaded the CA's successor: certificate-request names it", async () => {
  const world = await newWorld(NGINX)
  try {
    await withGate(world, [], async (gate) => {
      const { environment } = world.certlatch
      const renewed = await runCommand(environment, 'ca', 'renew', '--name', 'The successor')
      assert.equal(renewed.code, 0, renewed.stderr)
      const { port } = gate.target
      const report = await examine(world, port, { args: ['--only', 'certificate-request'] })
      const [found] = wrong(report)
      assert.match(found?.findings[0]?.text ?? '', /does not name CN=The successor/)
      assert.match(found?.findings[0]?.hint ?? '', /nginx -s reload/)
      gate.process.kill('SIGHUP')
      await until(async () => {
        const again = await examine(world, port, { args: ['--only', 'certificate-request'] })
        return wrong(again).length === 0
      })
    })
  } finally {
    await world.close()
  }
})

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 10; tries += 1) if (await isSo()) return
  assert.fail('not so after ten tries')
}

test('certlatch is configured for another proxy: proxy-name and certificate say which one to set', async () => {
  const world = await newWorld(CADDY, { CERTLATCH_PROXY: 'nginx' })
  try {
    await withGate(world, [], async (gate) => {
      const report = await examine(world, gate.target.port)
      const found = wrong(report).filter(({ name }) => /^(certificate|proxy-name)$/.test(name))
      assert.deepEqual(
        found.map(({ name }) => name),
        ['certificate', 'proxy-name'],
      )
      const set =
        /CERTLATCH_PROXY is nginx, and the proxy looks like Caddy: set CERTLATCH_PROXY=caddy/
      for (const { findings } of found) assert.match(findings[0]?.hint ?? '', set)
    })
  } finally {
    await world.close()
  }
})

test('An untrusted server certificate ends the run, before any credential is sent', async () => {
  const world = await worldOf(CADDY, false)
  await withGate(world, [], async (gate) => {
    const before = world.backend.count
    const report = await examine(world, gate.target.port, { trusts: world.pki.authorityFile })
    assert.deepEqual(
      wrong(report).map(({ name }) => name),
      ['server-certificate'],
    )
    assert.equal(world.backend.count, before)
    assert.equal(report.code, 1)
  })
})

test('A client with a certificate but without a data directory can find the server', async () => {
  const world = await worldOf(TRAEFIK, false)
  const { environment } = world.certlatch
  await withGate(world, [], async (gate) => {
    const file = join(scratch, 'phone.pem')
    const packed = ['--format', 'pem', '--out', '-'] as const
    const added = await runCommand(environment, 'device', 'add', 'Phone', ...packed)
    assert.equal(added.code, 0, added.stderr)
    writeFileSync(file, added.stdout)
    const ended = await runCommand(
      { PATH: process.env['PATH'], CERTLATCH_DATA_DIR: join(scratch, 'nothing-here') },
      ...['doctor', 'https://home.example', '--connect', `127.0.0.1:${gate.target.port}`],
      ...['--server-ca', world.pki.serverCertificateFile, '--certificate', file, '--key', file],
    )
    assert.equal(ended.stderr, '')
    assert.match(ended.stdout, /^ok {4}the certificate is accepted$/m)
    assert.match(ended.stdout, /^- {5}revoked: not tried: /m)
    assert.match(ended.stdout, /, 0 failed, /)
    assert.equal(ended.code, 0, ended.stderr)
    const listed = await runCommand(environment, 'device', 'show', 'Phone')
    assert.doesNotMatch(listed.stdout, /revoked/)
  })
})
