import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createLog,
  createRefusalLog,
  type LoggedRefusal,
  loggedPath,
} from '../../src/server/log.ts'
import {
  addTestDevice,
  captureLog,
  certificateHeader,
  type Headers,
  NOON,
  present,
  sessionOf,
  startTestService,
} from '../support/service.ts'

const refusal: LoggedRefusal = {
  reason: 'nothing-shown',
  via: 'none',
  client: '198.51.100.7',
  method: 'GET',
  host: 'ha.test',
  path: '/',
}

test('A line is JSON with time, level and message, and nothing of the process', () => {
  const log = captureLog()
  createLog('info', log.destination).warn({ file: 'a' }, 'told')
  const [line] = log.lines()
  assert.deepEqual(Object.keys(present(line)), ['level', 'time', 'file', 'msg'])
  assert.equal(present(line).level, 'warn')
  assert.match(String(line?.['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

test('Lines below the level are left out', () => {
  const log = captureLog()
  const errors = createLog('error', log.destination)
  errors.info('not told')
  errors.error('told')
  assert.deepEqual(
    log.lines().map(({ msg }) => msg),
    ['told'],
  )
})

test('A refusal tells reason, way, client, method, host and path', async (context) => {
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

test('Facts that are missing are missing in the line too', async (context) => {
  const service = await startTestService(context)
  for (const missing of ['Method', 'Host', 'Uri', 'For']) {
    await service.ask([[`X-Forwarded-${missing}`, '']])
  }
  const lines = service.logLines().filter(({ msg }) => msg === 'refused')
  assert.equal(lines.length, 4)
  assert.equal(lines[3]?.['client'], undefined)
})

test('The path is told without query and fragment, long segments and what lies deep', () => {
  assert.equal(loggedPath('/api/states?access_token=x'), '/api/states')
  assert.equal(loggedPath('/a#token'), '/a')
  assert.equal(loggedPath(''), '')
  assert.equal(loggedPath(`/api/webhook/${'a'.repeat(64)}`), '/api/webhook/…')
  assert.equal(loggedPath(`/${'a'.repeat(24)}`), `/${'a'.repeat(24)}`)
  assert.equal(loggedPath('/1/2/3/4/5/6/7/8'), '/1/2/3/4/5/6')
})

test('Long methods and hosts are cut', async (context) => {
  const service = await startTestService(context)
  await service.ask([
    ['X-Forwarded-Method', 'M'.repeat(1000)],
    ['X-Forwarded-Host', 'h'.repeat(1000)],
    ['X-Forwarded-Uri', '/a'.repeat(10_000)],
  ])
  const line = present(service.logLines().findLast(({ msg }) => msg === 'refused'))
  assert.ok(JSON.stringify(line).length < 600)
})

test('What clients send cannot begin a line of its own', async (context) => {
  const service = await startTestService(context)
  await service.ask([['X-Forwarded-Uri', '/\u0085\u00a0"}{"level":"error"}']])
  const last = service.logText().trimEnd().split('\n').at(-1)
  assert.equal(JSON.parse(present(last)).level, 'info')
})

test('No query, cookie, token, secret or certificate is in anything that certlatch puts out', async (context) => {
  const proxySecret = 'proxy-secret-1f0c9a77'
  const metricsToken = 'metrics-token-77be20d1'
  for (const proxy of ['traefik', 'nginx', 'caddy'] as const) {
    const service = await startTestService(context, {
      proxy,
      settings: {
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
    for (const question of questions) await service.ask(question, { target })
    service.clock.now += 400 * 86_400_000
    await service.ask([...trusted, ...certificateHeader(certificate, proxy), ['Cookie', cookie]])
    await service.ask([...trusted, ['Cookie', cookie]])
    const bearer: Headers = [['Authorization', `Bearer ${metricsToken}`]]
    const told = [
      service.logText(),
      (await service.admin('/metrics', bearer)).body.toString(),
      (await service.admin(`/metrics?${mark('admin-query')}`)).body.toString(),
      (await service.admin('/readyz')).body.toString(),
    ].join('\n')
    assert.ok(told.includes('"reason":"nothing-shown"') || told.includes('"reason":"session'))
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

function refusalLog() {
  const log = captureLog()
  const clock = { now: NOON }
  const tell = createRefusalLog(createLog('info', log.destination), () => clock.now)
  return { log, clock, tell }
}

test('Ten refusals of one reason in ten seconds are told; how many more there were, afterwards', () => {
  const { log, clock, tell } = refusalLog()
  let described = 0
  const describe = () => {
    described += 1
    return refusal
  }
  for (let count = 0; count < 35; count += 1) tell('nothing-shown', describe)
  assert.equal(log.lines().length, 10)
  assert.equal(described, 10, 'what is not told costs nothing')
  clock.now += 9_999
  tell('nothing-shown', describe)
  assert.equal(log.lines().length, 10)
  clock.now += 1
  tell('nothing-shown', describe)
  const [leftOut, told] = log.lines().slice(10)
  assert.equal(leftOut?.['leftOut'], 26)
  assert.equal(leftOut?.['reason'], 'nothing-shown')
  assert.equal(told?.['msg'], 'refused')
  assert.equal(log.lines().length, 12)
})

test('Where nothing was left out nothing is said of it', () => {
  const { log, clock, tell } = refusalLog()
  for (let count = 0; count < 3; count += 1) {
    tell('nothing-shown', () => refusal)
    clock.now += 10_000
  }
  assert.ok(!log.text().includes('leftOut'))
})

test('A flood of one reason hides no other', () => {
  const { log, tell } = refusalLog()
  for (let count = 0; count < 100; count += 1) tell('nothing-shown', () => refusal)
  tell('certificate-revoked', () => ({ ...refusal, reason: 'certificate-revoked' }))
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
