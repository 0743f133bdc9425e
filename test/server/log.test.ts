import assert from 'node:assert/strict'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import fc from 'fast-check'
import { CLOSED_POLICY } from '../../src/policy/policy.ts'
import { asText, createLog } from '../../src/server/log.ts'
import {
  createDecisionLog,
  loggedPath,
  type RefusalDescription,
} from '../../src/server/verify/decision-log.ts'
import { dataPaths } from '../../src/store/data-directory.ts'
import { writeDevice } from '../../src/store/device-registry.ts'
import {
  addTestDevice,
  captureLog,
  certificateHeader,
  type Headers,
  type LogLine,
  makeAuthority,
  makeLeaf,
  makeList,
  NOON,
  NOON_SECONDS,
  openConnection,
  ownAuthority,
  present,
  sessionOf,
  startTestService,
  type TestService,
} from '../support/service.ts'

const circumstances: RefusalDescription = {
  client: '198.51.100.7',
  method: 'GET',
  host: 'ha.test',
  path: '/',
  requestId: undefined,
  device: undefined,
}

/** Lines of one message, without time and level. */
const linesOf = (service: TestService, message: string): readonly unknown[] =>
  service
    .logLines()
    .filter(({ msg }) => msg === message)
    .map(({ time, level, msg, ...fields }: LogLine) => fields)

test('A line is JSON with time, level and message, and nothing about the process', () => {
  const log = captureLog()
  createLog('info', log.destination).warn({ file: 'a' }, 'told')
  const [line] = log.lines()
  assert.deepEqual(Object.keys(present(line)), ['level', 'time', 'file', 'msg'])
  assert.equal(present(line).level, 'warn')
  assert.match(String(line?.['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

test('Lines below the level are omitted', () => {
  const log = captureLog()
  const errors = createLog('error', log.destination)
  errors.info('not told')
  errors.error('told')
  assert.deepEqual(
    log.lines().map(({ msg }) => msg),
    ['told'],
  )
})

test('A refusal is logged with reason, credential, client, method, host and path', async (context) => {
  const service = await startTestService(context)
  await service.ask([
    ['X-Forwarded-Method', 'POST'],
    ['X-Forwarded-Host', 'HA.test:8443'],
    ['X-Forwarded-Uri', '/api/states?secret=1#x'],
    ['X-Forwarded-For', '203.0.113.9, 198.51.100.7, 127.0.0.1'],
  ])
  const line = present(service.logLines().findLast(({ msg }) => msg === 'refused'))
  const { time, ...told } = line
  assert.ok(time)
  assert.deepEqual(told, {
    level: 'info',
    reason: 'malformed-request',
    via: 'none',
    client: '198.51.100.7',
    method: 'POST',
    host: 'HA.test:8443',
    path: '/api/states',
    msg: 'refused',
  })
})

test('Unknown facts are omitted from the line', async (context) => {
  const service = await startTestService(context)
  for (const missing of ['Method', 'Host', 'Uri', 'For']) {
    await service.ask([[`X-Forwarded-${missing}`, '']])
  }
  const lines = service.logLines().filter(({ msg }) => msg === 'refused')
  assert.equal(lines.length, 4)
  assert.equal(lines[3]?.['client'], undefined)
})

test('The path is logged without query, fragment, long segments and deep parts', () => {
  assert.equal(loggedPath('/api/states?access_token=x'), '/api/states')
  assert.equal(loggedPath('/a#token'), '/a')
  assert.equal(loggedPath(''), '')
  assert.equal(loggedPath(`/api/webhook/${'a'.repeat(64)}`), '/api/webhook/…')
  assert.equal(loggedPath(`/${'a'.repeat(24)}`), `/${'a'.repeat(24)}`)
  assert.equal(loggedPath('/1/2/3/4/5/6/7/8'), '/1/2/3/4/5/6')
  for (const encoded of [
    '%3Ftoken',
    '%3ftoken',
    '%253Ftoken',
    ';tok',
    '%3btok',
    '%23tok',
    '%2523a',
  ]) {
    assert.equal(loggedPath(`/six${encoded}=SECRET/a`), '/six')
  }
  assert.equal(loggedPath('/api/webhook/short/a'), '/api/webhook/…')
  assert.equal(loggedPath('/api/webhook/'), '/api/webhook/')
  assert.equal(loggedPath('https://user:SECRET@home/x'), '…')
  assert.equal(loggedPath('//user:SECRET@home/@scope/a:b'), '//…/@scope/a:b')
  assert.equal(loggedPath('/user%3aSECRET%40home'), '/…')
})

test('Secrets in the paths of applications with a preset are not logged, however short', () => {
  for (const [application, path, logged] of [
    ['Home Assistant', '/api/webhook/SECRET', '/api/webhook/…'],
    ['Audiobookshelf', '/share/SECRET', '/share/…'],
    ['Audiobookshelf', '/public/share/SECRET/track/1', '/public/share/…'],
    ['Audiobookshelf', '/audiobookshelf/share/SECRET', '/audiobookshelf/share/…'],
    ['Audiobookshelf', '/feed/SECRET/cover.jpg', '/feed/…'],
    ['Immich', '/share/SECRET/photos/1', '/share/…'],
    ['Immich', '/s/SECRET', '/s/…'],
    ['n8n', '/webhook/my/own/SECRET', '/webhook/…'],
    ['n8n', '/webhook-test/SECRET', '/webhook-test/…'],
    ['n8n', '/webhook-waiting/SECRET', '/webhook-waiting/…'],
    ['Vaultwarden', '/api/sends/access/SECRET', '/api/sends/…'],
    ['Vaultwarden', '/#/send/SECRET/KEY', '/'],
    ['Vaultwarden', '/send/SECRET/KEY', '/send/…'],
    ['in capitals', '/Share//SECRET', '/Share/…'],
  ] as const) {
    assert.equal(loggedPath(path), logged, application)
  }
  for (const path of ['/share', '/share/', '/shared/a', '/api/states']) {
    assert.equal(loggedPath(path), path)
  }
})

test('An encoded path hides the same secrets', () => {
  for (const [path, logged] of [
    ['/api/%77ebhook/abc123', '/api/%77ebhook/…'],
    ['/api/%2577EBHOOK/abc123', '/api/%2577EBHOOK/…'],
    ['/api%2Fwebhook%2Fabc123', '/…'],
    ['/api%2fwebhook/abc123', '/api%2fwebhook/…'],
    ['/api%5Cwebhook%5Cabc123', '/…'],
    ['/api\\webhook\\abc123', '/…'],
    ['/webhook%252Fabc123/a', '/…/…'],
    ['/a%%33ftoken=abc123/abc123', '/…/…'],
    ['/user%253aabc123%2540home', '/…'],
    ['/user:a%2fabc123@home', '/…'],
    ['/a%2Fb/%zz', '/a%2Fb/%zz'],
  ] as const) {
    assert.equal(loggedPath(path), logged)
  }
})

test('No spelling of a path shows its secret', () => {
  /** One char, with its `%` encoded again as often as asked. */
  const spelled = (char: string, times: number): string =>
    times === 0
      ? char
      : `%${'25'.repeat(times - 1)}${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  const paths = fc.constantFrom(
    ...['/api/webhook/abc123', '/webhook-test/abc123', '/audiobookshelf/share/abc123/track/1'],
    ...[
      '/s/abc123',
      '/api/sends/access/abc123',
      '/a?b=abc123',
      '/a;b=abc123',
      '/user:abc123@home/',
    ],
  )
  const decoded = (text: string): string => {
    const once = text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
    return once === text ? text : decoded(once)
  }
  fc.assert(
    fc.property(
      paths,
      fc.infiniteStream(fc.constantFrom(0, 0, 0, 0, 0, 1, 2, 3)),
      (path, times) => {
        const rest = Array.from(path.slice(1), (char) => spelled(char, times.next().value ?? 0))
        const spelling = `/${rest.join('')}`
        assert.ok(!decoded(loggedPath(spelling)).includes('abc123'), spelling)
      },
    ),
    { numRuns: 1000 },
  )
})

test('A host is logged without user and password', async (context) => {
  const service = await startTestService(context)
  await service.ask([['X-Forwarded-Host', 'user:SECRET@ha.test']])
  const line = service.logLines().findLast(({ msg }) => msg === 'refused')
  assert.equal(line?.['host'], '…@ha.test')
})

test('A client that does not send HTTP is logged as CERTLATCH_LOG_CLIENT allows, ten times', async (context) => {
  const peers: Readonly<Record<string, string | undefined>> = {
    full: '127.0.0.1',
    shortened: '127.0.0.0',
    none: undefined,
  }
  for (const [logClient, peer] of Object.entries(peers)) {
    const settings = { CERTLATCH_LOG_CLIENT: logClient }
    const service = await startTestService(context, { settings })
    for (let count = 0; count < 12; count += 1) {
      const connection = await openConnection(service.port)
      connection.socket.write('nonsense\r\n\r\n')
      await connection.readToEnd()
    }
    await service.stop()
    const told = linesOf(service, 'refused')
    assert.equal(told.length, 10)
    const expected = { reason: 'malformed-http', via: 'none', ...(peer && { peer }) }
    assert.deepEqual(told[0], { ...expected, code: 'HPE_INVALID_METHOD' })
    assert.deepEqual(linesOf(service, 'refusals suppressed'), [
      { reason: 'malformed-http', suppressed: 2 },
    ])
  }
})

test('A proxy that requests another path than /verify is logged, occasionally', async (context) => {
  const service = await startTestService(context)
  const pages = ['/.certlatch/elsewhere', '//.CERTLATCH/auth/reset']
  for (const target of ['/verify/?code=SECRET', '//verify', '/', ...pages]) {
    const { status } = await service.ask([], { target })
    assert.equal(status, 404)
  }
  const told = linesOf(service, 'unexpected path: the proxy must call /verify')
  assert.deepEqual(told, [{ path: '/verify/' }])
})

test('Suppressed lines about unexpected paths are counted', () => {
  const log = captureLog()
  const now = { milliseconds: 0 }
  const decisions = createDecisionLog(
    createLog('info', log.destination, 'json'),
    () => now.milliseconds,
  )
  for (const milliseconds of [0, 9_999, 10_000]) {
    now.milliseconds = milliseconds
    decisions.unexpectedPath('http://gate/verify')
  }
  const told = log.lines().map(({ path, suppressed }) => [path, suppressed])
  assert.deepEqual(told, [
    ['…', undefined],
    ['…', 1],
  ])
})

test('A reused invitation is logged once in ten seconds for each device, with the number left out', () => {
  const log = captureLog()
  const now = { milliseconds: 0 }
  const decisions = createDecisionLog(createLog('info', log.destination), () => now.milliseconds)
  const { device: _, ...request } = circumstances
  for (const [milliseconds, device] of [
    ...([0, 1, 9_999].map((time) => [time, 'Phone']) as [number, string][]),
    [9_999, 'Tablet'],
    [10_000, 'Phone'],
    [10_000, undefined],
  ] as const) {
    now.milliseconds = milliseconds
    decisions.invitationReused(device, () => request)
  }
  assert.deepEqual(
    log.lines().map(({ level, msg, device, suppressed }) => [level, msg, device, suppressed]),
    [
      ['warn', 'invitation reused', 'Phone', undefined],
      ['warn', 'invitation reused', 'Tablet', undefined],
      ['warn', 'invitation reused', 'Phone', 2],
      ['warn', 'invitation reused', undefined, undefined],
    ],
  )
})

test('Long methods and hosts are truncated', async (context) => {
  const service = await startTestService(context)
  await service.ask([
    ['X-Forwarded-Method', 'M'.repeat(1000)],
    ['X-Forwarded-Host', 'h'.repeat(1000)],
    ['X-Forwarded-Uri', '/a'.repeat(10_000)],
  ])
  const line = present(service.logLines().findLast(({ msg }) => msg === 'refused'))
  assert.ok(JSON.stringify(line).length < 600)
})

test('Clients cannot inject a line into the log', async (context) => {
  const service = await startTestService(context)
  await service.ask([['X-Forwarded-Uri', '/\u0085\u00a0"}{"level":"error"}']])
  const last = service.logText().trimEnd().split('\n').at(-1)
  assert.equal(JSON.parse(present(last)).level, 'info')
})

test('No query, cookie, token, secret or certificate appears in any output of certlatch', async (context) => {
  const proxySecret = 'proxy-secret-1f0c9a77'
  const metricsToken = 'metrics-token-77be20d1'
  for (const [proxy, format] of [
    ['traefik', 'json'],
    ['nginx', 'json'],
    ['caddy', 'json'],
    ['traefik', 'text'],
  ] as const) {
    const service = await startTestService(context, {
      proxy,
      settings: {
        CERTLATCH_LOG_FORMAT: format,
        CERTLATCH_LOG_LEVEL: 'debug',
        CERTLATCH_PROXY_SECRET: proxySecret,
        CERTLATCH_METRICS_TOKEN: metricsToken,
      },
    })
    const { certificate } = await addTestDevice(service.dataDir)
    await service.refresh()
    const [[, certificateValue]] = certificateHeader(certificate, proxy) as [
      readonly [string, string],
    ]
    const trusted: Headers = [['X-Certlatch-Proxy-Secret', proxySecret]]
    const opened = await service.askWith(certificate, trusted)
    const cookie = sessionOf(opened)
    const marks: string[] = []
    const mark = (what: string) => {
      marks.push(`mark-${what}-5a1e`)
      return present(marks.at(-1))
    }
    const secrets: Headers = [
      ['Authorization', `Bearer ${mark('authorization')}`],
      ['Cookie', `session=${mark('cookie')}; ${cookie}x`],
      ['Referer', `https://ha.test/?${mark('referer')}`],
      ['User-Agent', mark('agent')],
      ['Accept', mark('accept')],
      ['Origin', `https://${mark('origin')}.test`],
      ['Sec-Fetch-Site', mark('site')],
      ['Sec-Fetch-Mode', mark('mode')],
      ['Sec-WebSocket-Key', mark('key')],
      ['Sec-WebSocket-Protocol', mark('protocol')],
      ['X-Forwarded-For', mark('for')],
      ['X-Certlatch-Page', mark('page')],
      ['X-Api-Key', mark('api')],
      ['X-Request-Id', `${mark('id')}?token`],
      ['X-Forwarded-Uri', `/path?token=${mark('query')}&code=${mark('code')}`],
    ]
    const target = `/verify?${mark('own-query')}`
    const questions: readonly Headers[] = [
      [...secrets, ...trusted],
      secrets,
      [...secrets, ['X-Certlatch-Proxy-Secret', mark('wrong-secret')]],
      [...secrets, ...trusted, ['Remote_User', mark('alias')]],
      [...secrets, ...trusted, ['X-Forwarded-Uri', `/again?${mark('repeated')}`]],
      [...secrets, ...trusted, ...certificateHeader(certificate, proxy)],
      [...trusted, ['X-SSL-Client-Cert', mark('certificate')], ['Client-Cert', mark('cc')]],
      [...trusted, ['X-Forwarded-Tls-Client-Cert', mark('tls')], ['Cookie', mark('bare')]],
    ]
    const pages: string[] = []
    for (const question of questions) {
      for (const accept of ['text/html', 'application/json', '*/*']) {
        const shown = await service.ask([...question, ['Accept', accept]], { target })
        pages.push(shown.body.toString())
      }
    }
    service.clock.now += 400 * 86_400_000
    await service.ask([...trusted, ...certificateHeader(certificate, proxy), ['Cookie', cookie]])
    await service.ask([...trusted, ['Cookie', cookie]])
    const bearer: Headers = [['Authorization', `Bearer ${metricsToken}`]]
    const told = [
      service.logText(),
      (await service.admin('/metrics', bearer)).body.toString(),
      (await service.admin(`/metrics?${mark('admin-query')}`)).body.toString(),
      (await service.admin('/readyz')).body.toString(),
      (await service.admin('/status', bearer)).body.toString(),
      ...pages,
    ].join('\n')
    assert.match(told, /reason"?[:=]"?(?:no-credentials|session)/)
    assert.match(told, /session opened/)
    const token = present(cookie.split('=')[1])
    const forbidden = [
      ...marks,
      proxySecret,
      metricsToken,
      token,
      present(token.split('.')[1]),
      certificateValue.slice(0, 80),
      certificate.der.toString('base64').slice(40, 100),
    ]
    for (const text of forbidden) assert.ok(!told.includes(text), `${proxy}: ${text}`)
  }
})

// --- sampling -------------------------------------------------------------------------------------

function testLog() {
  const log = captureLog()
  const clock = { now: NOON }
  const decisions = createDecisionLog(createLog('info', log.destination), () => clock.now)
  const refuse = (
    reason: 'no-credentials' | 'certificate-revoked' = 'no-credentials',
    describe = () => circumstances,
  ) => decisions.refused({ allow: false, via: 'none', reason }, describe)
  return { log, clock, decisions, refuse }
}

test('Ten refusals with one reason in ten seconds are logged; the number of further ones follows', () => {
  const { log, clock, refuse } = testLog()
  let described = 0
  const describe = () => {
    described += 1
    return circumstances
  }
  for (let count = 0; count < 35; count += 1) refuse('no-credentials', describe)
  assert.equal(log.lines().length, 10)
  assert.equal(described, 10, 'what is not told costs nothing')
  clock.now += 9_999
  refuse('no-credentials', describe)
  assert.equal(log.lines().length, 10)
  clock.now += 1
  refuse('no-credentials', describe)
  const [suppressed, told] = log.lines().slice(10)
  assert.equal(suppressed?.['suppressed'], 26)
  assert.equal(suppressed?.['reason'], 'no-credentials')
  assert.equal(told?.['msg'], 'refused')
  assert.equal(log.lines().length, 12)
})

test('If nothing was suppressed, nothing is logged about it', () => {
  const { log, clock, refuse } = testLog()
  for (let count = 0; count < 3; count += 1) {
    refuse()
    clock.now += 10_000
  }
  assert.ok(!log.text().includes('suppressed'))
})

test('A flood of one reason hides no other', () => {
  const { log, refuse } = testLog()
  for (let count = 0; count < 100; count += 1) refuse()
  refuse('certificate-revoked')
  assert.equal(log.lines().at(-1)?.['reason'], 'certificate-revoked')
  assert.equal(log.lines().length, 11)
})

test('The service samples its refusals, whatever the wall clock does', async (context) => {
  const service = await startTestService(context)
  for (let count = 0; count < 15; count += 1) {
    service.clock.now -= 60_000
    await service.ask()
  }
  const about = service.logLines().filter(({ msg }) => msg === 'refused')
  assert.equal(about.length, 10)
})

test('A client that keeps no cookie does not fill the log: one session line per hour and device', async (context) => {
  const service = await startTestService(context)
  const { certificate } = await addTestDevice(service.dataDir)
  await service.refresh()
  for (let again = 0; again < 30; again += 1) await service.askWith(certificate)
  assert.equal(linesOf(service, 'session opened').length, 1)
})

test('The windows for session lines are bounded, and the number of suppressed lines is logged', () => {
  const { log, clock, decisions } = testLog()
  const identity = { device: 'Phone', user: 'Ada' }
  const rule = CLOSED_POLICY.defaultRule
  const open = (serial: string) => {
    const claims = { ...CLAIMS, serial }
    const setSession = { claims, cause: 'opened' } as const
    decisions.allowed(
      { allow: true, via: 'certificate', identity, setSession, rule },
      false,
      () => ({
        ...circumstances,
      }),
    )
  }
  for (let again = 0; again < 5; again += 1) open('01')
  clock.now += 3_600_000
  open('01')
  assert.deepEqual(
    log.lines().map(({ suppressed }) => suppressed),
    [undefined, 4],
  )
  for (let serial = 0; serial < 2_500; serial += 1) open(String(serial))
  open('01')
  assert.ok(log.lines().length > 2_500, 'no first access is forgotten')
})

const CLAIMS = {
  certificateSha256: '',
  issuerKeyHash: '',
  name: undefined,
  distributionPoints: undefined,
  host: 'ha.test',
  issuedAt: 0,
  certificateSeenAt: 0,
  sessionEnd: 0,
  expiresAt: 0,
}

// --- the audit trail ------------------------------------------------------------------------------

test('The first access of a day is logged with device and credential, and no other', async (context) => {
  const service = await startTestService(context)
  const { certificate } = await addTestDevice(service.dataDir, 'Phone of Ada', 'Ada')
  await service.refresh()
  const cookie = sessionOf(await service.askWith(certificate))
  await service.ask([['Cookie', cookie]])
  const told = { device: 'Phone of Ada', user: 'Ada', client: '198.51.100.7' }
  const request = { method: 'GET', host: 'ha.test', path: '/lovelace' }
  const first = { ...told, via: 'certificate', ...request }
  assert.deepEqual(linesOf(service, 'first access today'), [first])
  // Past midnight, by the clock of the world.
  service.clock.now += 12 * 3_600_000 + 60_000
  await service.ask([['Cookie', cookie]])
  await service.askWith(certificate)
  await service.askWith(certificate)
  assert.deepEqual(linesOf(service, 'first access today'), [first, first])
})

test('A session that is created, extended or renewed is logged with its cause', async (context) => {
  const service = await startTestService(context)
  const { certificate } = await addTestDevice(service.dataDir)
  await service.refresh()
  const cookie = sessionOf(await service.askWith(certificate, [['X-Request-Id', 'a1.b-2_C']]))
  service.clock.now += 31 * 60_000
  await service.ask([['Cookie', cookie]])
  await service.askWith(certificate, [['Cookie', cookie]])
  const causes = ['session opened', 'session renewed'].flatMap((message) =>
    service
      .logLines()
      .filter(({ msg }) => msg === message)
      .map(({ via, cause, device, requestId }) => [message, via, cause, device, requestId]),
  )
  assert.deepEqual(causes, [
    ['session opened', 'certificate', 'opened', 'Phone of Ada', 'a1.b-2_C'],
    ['session opened', 'certificate', 'shown-again', 'Phone of Ada', undefined],
    ['session renewed', 'session', 'renewed', 'Phone of Ada', undefined],
  ])
})

test('A refusal names the device whose certificate or session it was', async (context) => {
  const service = await startTestService(context)
  const { certificate } = await addTestDevice(service.dataDir, 'Lost phone')
  await service.refresh()
  const cookie = sessionOf(await service.askWith(certificate))
  await revoke(service, [certificate.serial])
  await service.askWith(certificate)
  await service.ask([['Cookie', cookie]])
  const signature = cookie.lastIndexOf('.') + 1
  const other = cookie[signature] === 'A' ? 'B' : 'A'
  await service.ask([
    ['Cookie', `${cookie.slice(0, signature)}${other}${cookie.slice(signature + 1)}`],
  ])
  await service.ask([['X-Forwarded-Tls-Client-Cert', 'AAAA']])
  await service.ask()
  const told = service
    .logLines()
    .filter(({ msg }) => msg === 'refused')
    .map(({ reason, device }) => [reason, device])
  assert.deepEqual(told, [
    ['certificate-revoked', 'Lost phone'],
    ['session-revoked', 'Lost phone'],
    ['session-forged', undefined],
    ['certificate-malformed', undefined],
    ['no-credentials', undefined],
  ])
  assert.equal(await service.metric('certlatch_verdict_cache_hits_total'), 0)
})

test("With an external CA a refusal has the certificate's own name", async (context) => {
  const authority = makeAuthority('Household')
  const external = { authorities: authority.pem, lists: makeList(authority) }
  const service = await startTestService(context, { external })
  const ended = makeLeaf(authority, 'Old', { uri: 'urn:old', notAfter: NOON_SECONDS - 60 })
  await service.askWith(ended)
  const line = present(service.logLines().findLast(({ msg }) => msg === 'refused'))
  assert.deepEqual([line['reason'], line['device']], ['certificate-expired', 'urn:old'])
})

async function revoke(service: TestService, revoked: readonly string[], number = 1) {
  const list = makeList(await ownAuthority(service.dataDir), {
    number: NOON_SECONDS + number,
    revoked,
  })
  await writeFile(dataPaths(service.dataDir).revocationList, list)
  await service.refresh()
}

test('What new files change is logged: devices, certificates, revocations, blocks, keys', async (context) => {
  const service = await startTestService(context)
  const paths = dataPaths(service.dataDir)
  const authority = await ownAuthority(service.dataDir)
  const changes = () =>
    service
      .logLines()
      .slice(service.logLines().findLastIndex(({ msg }) => msg === 'files reloaded') + 1)
      .map(({ time, level, ...fields }) => fields)

  const { certificate, id } = await addTestDevice(service.dataDir, 'Phone of Ada')
  await service.refresh()
  assert.deepEqual(changes(), [{ device: 'Phone of Ada', msg: 'device added' }])

  const next = makeLeaf(authority, 'Phone of Ada')
  const entry = ({ serial, notBefore, notAfter }: typeof next) => ({
    issuerKeyHash: authority.keyHash,
    serial,
    notBefore,
    notAfter,
  })
  await writeDevice(paths.devices, id, {
    name: 'Phone of Ada',
    owner: undefined,
    certificates: [entry(certificate), entry(next)],
  })
  await service.refresh()
  assert.deepEqual(changes(), [
    { device: 'Phone of Ada', serial: next.serial, msg: 'certificate added' },
  ])

  const stranger = makeLeaf(authority, 'Never entered')
  await revoke(service, [certificate.serial, stranger.serial])
  assert.deepEqual(changes(), [
    { device: 'Phone of Ada', serial: certificate.serial, msg: 'revoked' },
    { certificates: 1, msg: 'revoked' },
  ])

  const block = { issuerKeyHash: authority.keyHash, blockedAt: NOON_SECONDS }
  const writeBlocks = async (
    number: number,
    serials: readonly string[],
    names: readonly string[],
  ) => {
    const certificates = serials.map((serial) => ({ ...block, serial }))
    const signOuts = names.map((name) => ({ name, at: NOON_SECONDS }))
    const blocks = { schemaVersion: 1, number, certificates, signOuts }
    await writeFile(paths.blocks, JSON.stringify(blocks))
    await service.refresh()
  }
  await writeBlocks(1, [next.serial, stranger.serial], ['Phone of Ada'])
  assert.deepEqual(changes(), [
    { device: 'Phone of Ada', serial: next.serial, msg: 'blocked' },
    { serial: stranger.serial, msg: 'blocked' },
    { device: 'Phone of Ada', msg: 'signed out' },
  ])
  await writeBlocks(2, [], ['Phone of Ada'])
  assert.deepEqual(changes(), [
    { device: 'Phone of Ada', serial: next.serial, msg: 'no longer blocked' },
    { serial: stranger.serial, msg: 'no longer blocked' },
  ])

  const keys = await readFile(paths.sessionKeys, 'utf8')
  await writeFile(paths.sessionKeys, `${keys}${Buffer.alloc(32, 7).toString('base64')}\n`)
  await service.refresh()
  const { keySet } = await service.readiness()
  assert.deepEqual(changes(), [{ keySet, sessionKeys: 2, msg: 'session keys changed' }])
  assert.ok(!service.logText().includes(Buffer.alloc(32, 7).toString('base64').slice(0, 20)))
})

test('Another CA in the file is logged', async (context) => {
  const one = makeAuthority('One')
  const two = makeAuthority('Two')
  const service = await startTestService(context, { external: { authorities: one.pem } })
  await writeFile(service.config.ca.file, one.pem + two.pem)
  await service.refresh()
  assert.deepEqual(linesOf(service, 'trusted CAs changed'), [{ authorities: ['CN=One', 'CN=Two'] }])
})

test('A registry that is restored all at once is logged as a hundred lines and a count', async (context) => {
  const service = await startTestService(context)
  const { devices } = dataPaths(service.dataDir)
  for (let number = 0; number < 120; number += 1) {
    const name = `Device ${number}`
    const entry = { name, owner: undefined, certificates: [] }
    await writeDevice(`${devices}.restored`, number.toString(16), entry)
  }
  await rename(`${devices}.restored`, devices)
  await service.refresh()
  assert.equal(linesOf(service, 'device added').length, 100)
  assert.deepEqual(linesOf(service, 'changes suppressed'), [{ suppressed: 20 }])
})

test("Clients' addresses are logged in full, as their network, or not at all", async (context) => {
  const shown = async (logClient: string, address: string) => {
    const settings = { CERTLATCH_LOG_CLIENT: logClient }
    const service = await startTestService(context, { settings })
    const { certificate } = await addTestDevice(service.dataDir)
    await service.refresh()
    await service.askWith(certificate, [['X-Forwarded-For', address]])
    await service.ask([['X-Forwarded-For', address]])
    assert.equal(service.logText().includes(address), logClient === 'full')
    return new Set(
      service
        .logLines()
        .filter(({ host }) => host !== undefined)
        .map(({ client }) => client),
    )
  }
  assert.deepEqual(await shown('full', '203.0.113.77'), new Set(['203.0.113.77']))
  assert.deepEqual(await shown('shortened', '203.0.113.77'), new Set(['203.0.113.0']))
  assert.deepEqual(await shown('shortened', '2001:db8:9:a::77'), new Set(['2001:db8:9::']))
  assert.deepEqual(await shown('none', '203.0.113.77'), new Set([undefined]))
})

test('A request id is logged if it is a plain identifier', async (context) => {
  const service = await startTestService(context)
  for (const id of ['7f3e-1.x_Y', 'a b', '"', 'x'.repeat(65), '']) {
    await service.ask([['X-Request-Id', id]])
  }
  assert.deepEqual(
    service
      .logLines()
      .filter(({ msg }) => msg === 'refused')
      .map(({ requestId }) => requestId),
    ['7f3e-1.x_Y', undefined, undefined, undefined, undefined],
  )
})

// --- for a person at a terminal -------------------------------------------------------------------

test('As text a line has time, level and message, then its fields', async (context) => {
  const service = await startTestService(context, { settings: { CERTLATCH_LOG_FORMAT: 'text' } })
  await service.ask([['X-Forwarded-Uri', '/a path/"quoted"']])
  const lines = service.logText().trimEnd().split('\n')
  assert.match(
    present(lines.at(-1)),
    /^\d{4}-\d\d-\d\dT\S+Z info {2}refused reason=malformed-request via=none client=198\.51\.100\.7 method=GET host=ha\.test path="\/a path\/'quoted'"$/,
  )
  assert.match(
    present(lines.at(-2)),
    /Z info {2}ready listen=127\.0\.0\.1:\d+ admin=\S+ pages=\S+ version=/,
  )
})

test('As text too, clients can neither inject a line nor control the terminal', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (path, device) => {
      const text = asText(
        JSON.stringify({ level: 'info', time: 't', path, device, n: 1, msg: 'm' }),
      )
      assert.ok(text.endsWith('\n'))
      assert.doesNotMatch(text.slice(0, -1), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
      assert.match(text, /^t info {2}m path=/)
    }),
  )
})
