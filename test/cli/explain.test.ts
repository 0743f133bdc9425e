import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { writePem } from '../../src/certificate/pem.ts'
import { run } from '../../src/cli/main.ts'
import { DENY_REASONS } from '../../src/decision.ts'
import { ADVICE } from '../../src/explain/advice.ts'
import { stepsOf } from '../../src/explain/explanation.ts'
import { readKeyRing } from '../../src/session/key-ring.ts'
import { mintToken, openSession } from '../../src/session/token.ts'
import { dataPaths } from '../../src/store/data-directory.ts'
import { type Device, readRegistry, readRegistryFolder } from '../../src/store/device-registry.ts'
import { repository } from '../support/repository.ts'
import { LIFETIME, onlyKey, policyFrom } from '../support/request.ts'
import { makeAuthority, makeLeaf, NOON_SECONDS, present } from '../support/service.ts'

interface Result {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

interface Explanation {
  readonly outcome: string
  readonly via: string
  readonly reason?: string
  readonly device?: string
  readonly user?: string
  readonly rule?: { readonly name: string; readonly access: string; readonly insteadOf?: string }
  readonly setsCookie: boolean
  readonly steps: readonly { readonly check: string; readonly finding: string }[]
  readonly advice?: string
}

let folder = ''
let dataDir = ''
let device: Device | undefined
let certificatePem = ''

async function command(
  argv: readonly string[],
  settings: NodeJS.ProcessEnv = {},
  input?: string,
): Promise<Result> {
  const stdin = new PassThrough()
  stdin.end(input)
  const streams = { stdin, stdout: new PassThrough(), stderr: new PassThrough() }
  const never = () => new Promise<void>(() => undefined)
  const environment = { CERTLATCH_DATA_DIR: dataDir, ...settings }
  const exitCode = await run(argv, environment, streams, never, () => NOON_SECONDS)
  streams.stdout.end()
  streams.stderr.end()
  return { exitCode, stdout: await text(streams.stdout), stderr: await text(streams.stderr) }
}

async function explained(
  argv: readonly string[],
  settings: NodeJS.ProcessEnv = {},
  input?: string,
): Promise<Explanation> {
  const told = await command(['explain', ...argv, '--json'], settings, input)
  assert.equal(told.stderr, '')
  const { schemaVersion, explanation } = JSON.parse(told.stdout)
  assert.equal(schemaVersion, 1)
  assert.equal(told.exitCode, explanation.outcome === 'allow' ? 0 : 1)
  return explanation
}

const finding = ({ steps }: Explanation, check: string): string | undefined =>
  steps.find((step) => step.check === check)?.finding

async function policyFile(name: string, ...lines: readonly string[]): Promise<NodeJS.ProcessEnv> {
  const path = join(folder, name)
  await writeFile(path, ['version: 1', ...lines].join('\n'))
  return { CERTLATCH_POLICY_FILE: path }
}

/** The value of a session cookie that the device's newest certificate created. */
async function session(host: string): Promise<string> {
  const ring = readKeyRing(await readFile(dataPaths(dataDir).sessionKeys, 'utf8'))
  assert.ok(ring.ok)
  const entry = present(device?.certificates.at(-1))
  const certificate = {
    ...entry,
    certificateSha256: 'A'.repeat(43),
    distributionPoints: undefined,
    name: undefined,
  }
  const claims = openSession(certificate, host, LIFETIME, NOON_SECONDS)
  return mintToken(claims, onlyKey(ring.ring))
}

const URL = 'https://home.example.org/a'

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certlatch-explain-'))
  dataDir = join(folder, 'data')
  const add = ['device', 'add', 'Phone', '--owner', 'ada', '--key', 'p256', '--out', folder]
  for (const argv of [['init'], add]) assert.equal((await command(argv)).exitCode, 0)
  const registry = readRegistry(await readRegistryFolder(dataPaths(dataDir).devices))
  assert.ok(registry.ok)
  device = registry.registry.devices[0]
  const { serial } = present(device?.certificates[0])
  certificatePem = await readFile(dataPaths(dataDir).certificateOf(serial), 'utf8')
})
after(() => rm(folder, { recursive: true }))

describe('certlatch explain', () => {
  for (const proxy of ['traefik', 'caddy', 'haproxy', 'nginx']) {
    test(`shows the certificate as ${proxy} would`, async () => {
      const told = await explained([URL, '--device', 'Phone', '--proxy', proxy])
      assert.equal(told.via, 'certificate')
      assert.deepEqual([told.device, told.user, told.setsCookie], ['Phone', 'ada', true])
    })
  }

  test('reads a certificate in PEM, with other text around it, or in DER', async () => {
    const base64 = certificatePem.replace(/-----.*?-----|\s/g, '')
    const files = {
      'only.pem': certificatePem,
      'with-key.pem': `subject=Phone\n${certificatePem}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n`,
      'phone.der': Buffer.from(base64, 'base64'),
    }
    for (const [name, content] of Object.entries(files)) {
      const path = join(folder, name)
      await writeFile(path, content)
      assert.equal((await explained([URL, '--certificate', path])).device, 'Phone', name)
    }
  })

  test('explains why a certificate is not accepted', async () => {
    const path = join(folder, 'other.pem')
    await writeFile(
      path,
      writePem('CERTIFICATE', makeLeaf(makeAuthority('Office'), 'Stranger').der),
    )
    const told = await explained([URL, '--certificate', path])
    assert.equal(told.reason, 'certificate-untrusted')
    assert.equal(told.advice, ADVICE['certificate-untrusted'])
    assert.match(finding(told, 'certificate') ?? '', /is not accepted: certificate-untrusted$/)
  })

  test('judges a device by its registry entry, and says so, if its certificate is not stored', async () => {
    const path = dataPaths(dataDir).certificateOf(present(device?.certificates[0]).serial)
    await rm(path)
    try {
      const told = await explained([URL, '--device', 'Phone'])
      assert.equal(told.via, 'certificate')
      assert.match(
        finding(told, 'certificate') ?? '',
        /the issuer, serial number and dates of its entry/,
      )
    } finally {
      await writeFile(path, certificatePem)
    }
  })

  test('reads a cookie from standard input: its value or the whole header', async () => {
    const token = await session('home.example.org')
    for (const input of [
      token,
      `${token}\n`,
      `__Host-certlatch=${token}`,
      `Cookie: a=b; __Host-certlatch=${token}`,
    ]) {
      const told = await explained([URL, '--cookie', '-'], {}, input)
      assert.equal(told.via, 'session')
      assert.equal(
        finding(told, 'session'),
        'the cookie is valid, and belongs to Phone, owned by ada',
      )
    }
    const elsewhere = await explained(['https://other.example.org/', '--cookie', '-'], {}, token)
    assert.equal(elsewhere.reason, 'session-wrong-host')
  })

  test('says that a rule requires the certificate itself', async () => {
    const policy = await policyFile('strict.yaml', 'rules: {path: /a, access: certificate}')
    const token = await session('home.example.org')
    const told = await explained([URL, '--cookie', '-'], policy, token)
    assert.equal(told.reason, 'session-not-accepted')
    assert.deepEqual(told.rule, { name: 'rule 1', access: 'certificate' })
  })

  test('lists whom a rule allows', async () => {
    const policy = await policyFile('ada.yaml', 'rules: {owner: ada, access: certificate}')
    const told = await explained([URL, '--device', 'Phone'], policy)
    assert.equal(told.outcome, 'allow')
    assert.equal(finding(told, 'holder'), 'is among those that the rule allows: devices of "ada"')
  })

  test('names the reading of a path that caused the denial', async () => {
    const policy = await policyFile(
      'paths.yaml',
      'rules: [{name: a, path: /a/*, access: open}, {name: b, path: /b, access: certificate}]',
    )
    const told = await explained(['https://home.example.org/a/..%2fb'], policy)
    assert.equal(told.reason, 'ambiguous-path')
    assert.deepEqual(told.rule, { name: 'b', access: 'certificate', insteadOf: 'a' })
    assert.deepEqual(
      told.steps.map(({ check }) => check),
      ['request', 'rule'],
    )
  })

  test("requires the client's address only where a rule does", async () => {
    const policy = await policyFile(
      'home.yaml',
      'preset: home-assistant',
      'enable: {local-network: 192.168.1.0/24}',
    )
    assert.equal((await explained([URL, '--from', '192.168.1.7'], policy)).via, 'rule')
    assert.equal((await explained([URL, '--from', '192.0.2.7'], policy)).reason, 'no-credentials')
    assert.equal((await explained([URL], policy)).reason, 'no-credentials')
  })

  test('keeps the path as it is written, and encodes what a browser would', async () => {
    const policy = await policyFile('names.yaml', 'rules: {name: café, path: /café, access: open}')
    assert.equal((await explained(['https://a.test/café?x=é'], policy)).rule?.name, 'café')
    assert.equal((await explained(['https://a.test/caf%C3%A9'], policy)).rule?.name, 'café')
    assert.equal((await explained(['https://a.test'], policy)).rule?.name, 'default')
    assert.equal((await explained(['https://a.test?/café'], policy)).rule?.name, 'default')
  })

  test('sends the secret that the proxy would send', async () => {
    const settings = { CERTLATCH_PROXY_SECRET: 'correct-horse-battery' }
    assert.equal((await explained([URL], settings)).reason, 'no-credentials')
  })

  test('prints no field that docs/devices.md does not mention', async () => {
    const page = await readFile(join(repository(), 'docs/devices.md'), 'utf8')
    const [row = ''] = /^\| `explain` \| .*$/m.exec(page) ?? []
    const documented = new Set([...row.matchAll(/`(\w+)`/g)].map(([, name]) => name))
    const policy = await policyFile('all.yaml', 'rules: {path: /a/*, access: open}')
    for (const argv of [
      ['https://home.example.org/a/..%2fb', '--from', '192.0.2.7'],
      [URL, '--device', 'Phone'],
    ]) {
      const told = await explained(argv, policy)
      const names = [told, told.rule ?? {}, told.steps[0] ?? {}].flatMap(Object.keys)
      assert.deepEqual(
        names.filter((name) => !documented.has(name)),
        [],
      )
    }
  })

  test('reports an incomplete request', async () => {
    const told = await explained(['https://home.example.org/a%2'])
    assert.equal(told.reason, 'malformed-request')
    assert.deepEqual(told.steps, [
      { check: 'request', finding: 'is incomplete, or not what a proxy reports' },
    ])
    assert.equal(told.rule, undefined)
  })

  test('treats a cookie header without a certlatch cookie as no cookie', async () => {
    const told = await explained(
      [URL, '--cookie', '-'],
      {},
      'Cookie: __Host-certlatch2=x; a=__Host-certlatch=',
    )
    assert.equal(told.reason, 'no-credentials')
    assert.equal(finding(told, 'session'), 'no cookie shown')
    for (const input of ['Cookie: a=b', 'a=b; c=d', 'Cookie: a']) {
      assert.equal((await explained([URL, '--cookie', '-'], {}, input)).reason, 'no-credentials')
    }
    const broken = await explained([URL, '--cookie', '-'], {}, 'v1.no-token')
    assert.equal(broken.reason, 'session-malformed')
  })

  test('needs the certificate itself if it comes from an external CA', async () => {
    const office = makeAuthority('Office')
    const ca = join(folder, 'office.pem')
    await writeFile(ca, office.pem)
    const settings = { CERTLATCH_CA_FILE: ca }
    const refused = await command(['explain', URL, '--device', 'Phone'], settings)
    assert.equal(refused.exitCode, 2)
    assert.match(
      refused.stderr,
      /keeps no list of devices for the CA of .*\nhint: give --certificate/,
    )
    const path = join(folder, 'colleague.pem')
    await writeFile(path, writePem('CERTIFICATE', makeLeaf(office, 'Colleague').der))
    const told = await explained([URL, '--certificate', path], settings)
    assert.equal(
      finding(told, 'certificate')?.endsWith('is valid, and belongs to urn:certlatch:test'),
      true,
    )
  })

  test('says that another site sent the request', () => {
    const policy = policyFrom('rules: {path: /a, access: certificate}')
    const request = { method: 'POST', scheme: 'https', host: 'a.test', port: undefined } as const
    const steps = stepsOf({
      decision: { allow: false, via: 'none', reason: 'cross-site' },
      request: { ...request, path: '/a', isWebSocket: false },
      rule: policy.rules[0],
      client: undefined,
      from: undefined,
      origin: undefined,
      isListed: false,
      shownCertificate: undefined,
      shownCookie: false,
    })
    assert.deepEqual(steps.at(-1), { check: 'other sites', finding: 'another site sends it' })
  })

  test('can act as a page of another site, or of its own', async () => {
    const policy = await policyFile('sites.yaml', 'allow_origins: https://cast.example.org')
    const asked = async (origin: string, ...more: readonly string[]) => {
      const argv = ['--device', 'Phone', '--origin', origin]
      const told = await explained([URL, '--method', 'POST', ...argv, ...more], policy)
      return [told.reason ?? told.via, finding(told, 'other sites')]
    }
    const refused = ['cross-site', 'another site sends it']
    const own = ['certificate', 'no other site sends it']
    assert.deepEqual(await asked('https://evil.example'), refused)
    assert.deepEqual(await asked('null'), refused)
    assert.deepEqual(await asked('https://home.example.org:8443'), refused)
    assert.deepEqual(await asked('https://HOME.example.org'), own)
    assert.deepEqual(await asked('https://cast.example.org'), [
      'certificate',
      'https://cast.example.org is allowed: allow_origins lists it',
    ])
    const socket = 'wss://home.example.org/api/websocket'
    const bySocket = async (origin: string) =>
      (await explained([socket, '--device', 'Phone', '--origin', origin], policy)).reason
    assert.equal(await bySocket('https://evil.example'), 'cross-site')
    assert.equal(await bySocket('https://home.example.org'), undefined)
    const preflight = await explained(
      [URL, '--method', 'OPTIONS', '--origin', 'https://cast.example.org'],
      policy,
    )
    assert.equal(preflight.via, 'rule')
    assert.equal(
      finding(preflight, 'other sites'),
      'https://cast.example.org sends a preflight, and allow_origins lists it',
    )
    const other = [URL, '--method', 'OPTIONS', '--origin', 'https://evil.example']
    assert.equal((await explained(other, policy)).reason, 'no-credentials')
  })

  test("says why a trusted proxy's address is not a client's", async () => {
    const told = await explained([URL, '--from', '127.0.0.1'])
    assert.match(
      finding(told, 'request') ?? '',
      /from an unknown address \(127\.0\.0\.1 is one of CERTLATCH_TRUSTED_PROXIES, so it is not the client\)$/,
    )
  })

  test('writes the host as browsers send it', async () => {
    const told = await explained(['https://bücher.example:8443/a'])
    assert.equal(told.reason, 'no-credentials')
    assert.match(finding(told, 'request') ?? '', / at xn--bcher-kva\.example, /)
  })

  for (const [what, argv, message] of [
    ['a method that is none', [URL, '--method', 'GET X'], /--method is "GET X": expected one/],
    ['an empty method', [URL, '--method', ''], /--method is "": expected one such as GET/],
    ['a user in the URL', ['https://user:pw@h/x'], /has a user name before its host/],
    ['a host that is none', ['https://a b/x'], /"a b" is not a host name/],
    ['a name that no host has', ['https://bü cher.example/x'], /is not a host name/],
    ['a port that is none', ['https://a:99999/x'], /"a:99999" is not a host name/],
    ['an origin with a path', [URL, '--origin', 'https://a.test/'], /--origin is "https:\/\/a/],
    ['no cookie', [URL, '--cookie', '-'], /standard input is not one line/],
    [
      'an option twice',
      [URL, '--from', '::1', '--from', '::2'],
      /"--from" is given more than once/,
    ],
  ] as const) {
    test(`treats ${what} as a usage error`, async () => {
      const { exitCode, stderr, stdout } = await command(['explain', ...argv], {}, '')
      assert.match(stderr, message)
      assert.doesNotMatch(stderr, /pw/)
      assert.deepEqual([exitCode, stdout], [2, ''])
    })
  }

  test('handles a device that never got a certificate', async () => {
    const { devices } = dataPaths(dataDir)
    const path = join(devices, 'ffff.json')
    const entry = { schemaVersion: 1, name: 'Half', certificates: [] }
    await writeFile(path, JSON.stringify(entry))
    try {
      const { exitCode, stderr } = await command(['explain', URL, '--device', 'Half'])
      assert.equal(exitCode, 2)
      assert.match(stderr, /there is no certificate of "Half"\n/)
      const far = await command(['explain', URL, '--device', 'Somebody else entirely'])
      assert.match(far.stderr, /there is no device .*\nhint: certlatch device list shows all/)
    } finally {
      await rm(path)
    }
  })

  test('judges a device by the newest certificate that it has, not by an open invitation', async () => {
    const path = join(dataPaths(dataDir).devices, 'ffff.json')
    const [certificate] = present(device).certificates
    const invitation = { id: '0'.repeat(32), endsAt: NOON_SECONDS + 86_400 }
    const invited = { ...certificate, serial: '4b', invitation }
    const revoked = { ...certificate, serial: '4c', revokedAt: NOON_SECONDS }
    const write = (certificates: readonly object[]) =>
      writeFile(path, JSON.stringify({ schemaVersion: 1, name: 'Half', certificates }))
    try {
      await write([revoked, invited])
      const { outcome, reason } = await explained([URL, '--device', 'Half'])
      assert.deepEqual([outcome, reason], ['deny', 'certificate-revoked'])
      await write([{ ...invited, revokedAt: NOON_SECONDS }])
      assert.equal((await explained([URL, '--device', 'Half'])).reason, 'certificate-revoked')
      await write([invited])
      const { exitCode, stdout, stderr } = await command(['explain', URL, '--device', 'Half'])
      assert.deepEqual([exitCode, stdout], [2, ''])
      assert.match(
        stderr,
        /"Half" was only invited: it has no certificate until its link is used\n/,
      )
    } finally {
      await rm(path)
    }
  })

  test('changes nothing, and creates no files', async () => {
    const { exitCode, stderr } = await command(['explain', URL], {
      CERTLATCH_DATA_DIR: join(folder, 'empty'),
    })
    assert.equal(exitCode, 2)
    assert.match(stderr, /ca\.crt does not exist/)
    await assert.rejects(readFile(join(folder, 'empty', 'public', 'ca.crt')))
  })
})

test('Has advice for every reason', () => {
  assert.deepEqual(Object.keys(ADVICE), Object.keys(DENY_REASONS))
})
