import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { DENY_REASONS, type DenyReason, type Via } from '../../../src/decision.ts'
import { countDecision, createTally } from '../../../src/server/admin/tally.ts'
import { DEVICE_STATES } from '../../../src/store/device-state.ts'
import {
  addTestDevice,
  asked,
  type Headers,
  header,
  NOON_SECONDS,
  openConnection,
  present,
  readMetrics,
  requestBytes,
  seriesKey,
  sessionOf,
  startTestService,
} from '../../support/service.ts'

const decisions = (outcome: string, via: string, reason: string) =>
  seriesKey('certlatch_decisions_total', { outcome, via, reason })

test('Every outcome, credential and reason is a series at 0 from the start, and no other is', async (context) => {
  const service = await startTestService(context)
  const { status, body, headers } = await service.admin('/metrics')
  assert.equal(status, 200)
  assert.match(String(headers), /text\/plain; version=0\.0\.4/)
  const series = readMetrics(body.toString())
  const expected = new Set<string>()
  for (const via of ['certificate', 'session', 'rule']) {
    expected.add(decisions('allow', via, 'none'))
  }
  for (const [reason, vias] of Object.entries(DENY_REASONS)) {
    for (const via of vias) expected.add(decisions('deny', via, reason))
  }
  for (const key of expected) assert.equal(series.get(key), 0, key)
  const found = [...series.keys()].filter((key) => key.includes('certlatch_decisions_total'))
  assert.deepEqual(new Set(found), expected)
  for (const cause of ['opened', 'shown-again', 'renewed']) {
    assert.equal(series.get(seriesKey('certlatch_sessions_minted_total', { cause })), 0)
  }
  for (const name of [
    'certlatch_verdict_cache_hits_total',
    'certlatch_verdict_cache_misses_total',
    'certlatch_verdict_cache_entries',
    'certlatch_reloads_total',
    'certlatch_reload_failures_total',
    'certlatch_decision_duration_seconds_count',
    'certlatch_decision_duration_seconds_sum',
  ]) {
    assert.equal(series.get(name), 0, name)
  }
  for (const state of DEVICE_STATES) {
    assert.equal(series.get(seriesKey('certlatch_devices', { state })), 0, state)
  }
  for (const via of ['certificate', 'session']) {
    const key = seriesKey('certlatch_device_last_seen_timestamp_seconds', { device: 'other', via })
    assert.equal(series.get(key), 0)
  }
  for (const check of [
    'clock',
    'files',
    'ca',
    'crl',
    'crl-renewal',
    'keys',
    'commands',
    'running',
  ]) {
    assert.equal(series.get(seriesKey('certlatch_check_ok', { check })), 1, check)
  }
  assert.equal(series.get('certlatch_session_max_age_seconds'), 86_400)
  assert.equal(series.get('certlatch_crl_number'), NOON_SECONDS)
  const { keySet } = await service.readiness()
  assert.equal(series.get(seriesKey('certlatch_session_keys_info', { key_set: keySet })), 1)
  const build = { version: '0.0.0-test', node: process.version }
  assert.equal(series.get(seriesKey('certlatch_build_info', build)), 1)
  assert.ok(present(series.get('process_resident_memory_bytes')) > 0)
})

test('A scraper that requests OpenMetrics gets it, with the same series', async (context) => {
  const service = await startTestService(context)
  await service.ask()
  const accept =
    'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
  const answer = await service.admin('/metrics', [['Accept', accept]])
  assert.equal(
    header(answer, 'Content-Type'),
    'application/openmetrics-text; version=1.0.0; charset=utf-8',
  )
  const text = answer.body.toString()
  assert.match(text, /^# HELP certlatch_decisions \S.*\n# TYPE certlatch_decisions counter\n/m)
  assert.match(text, /^certlatch_decisions_total\{/m)
  // Only counters may have the suffix, and quotes in a help text are escaped.
  assert.doesNotMatch(text, /^# TYPE \S+_total /m)
  assert.doesNotMatch(text, /^# HELP .*[^\\]"/m)
  assert.ok(!text.includes('\n\n'))
  assert.ok(text.endsWith('\n# EOF\n'))
  const rather = 'application/openmetrics-text;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.4'
  for (const other of [undefined, '*/*', 'text/html', 'text/plain', rather, ';,;q=x']) {
    const plain = await service.admin('/metrics', other === undefined ? [] : [['Accept', other]])
    assert.match(String(header(plain, 'Content-Type')), /^text\/plain; version=0\.0\.4/)
    const ours = (body: string) =>
      [...readMetrics(body).keys()].filter((key) => key.includes('certlatch'))
    assert.deepEqual(ours(plain.body.toString()), ours(text))
  }
})

test('Every metric has a help text and a type', async (context) => {
  const service = await startTestService(context)
  const text = (await service.admin('/metrics')).body.toString()
  const names = [...text.matchAll(/^# TYPE (certlatch_\w+) (\w+)$/gm)].map(([, name]) => name)
  assert.equal(names.length, 20)
  for (const name of names) assert.match(text, new RegExp(`^# HELP ${name} \\S.{10}`, 'm'))
})

test('No series occurs twice, even if a device has the name of the label for all others', async (context) => {
  const service = await startTestService(context)
  await addTestDevice(service.dataDir, 'other')
  await service.refresh()
  const text = (await service.admin('/metrics')).body.toString()
  const series = [...text.matchAll(/^certlatch_\S+(?= )/gm)].map(([name]) => name)
  assert.equal(new Set(series).size, series.length)
  assert.ok(text.includes('{device="other"} '))
})

test('Answers are counted by credential, and scrapes do not add up', async (context) => {
  const service = await startTestService(context)
  const { certificate } = await addTestDevice(service.dataDir)
  await service.refresh()
  const cookie = sessionOf(await service.askWith(certificate))
  for (let again = 0; again < 3; again += 1) await service.ask([['Cookie', cookie]])
  await service.ask([['Cookie', '__Host-certlatch=forged']])
  await service.ask([['X-Forwarded-Tls-Client-Cert', 'garbage!']])
  await service.ask()
  for (let scrape = 0; scrape < 2; scrape += 1) {
    const series = readMetrics((await service.admin('/metrics')).body.toString())
    assert.equal(series.get(decisions('allow', 'certificate', 'none')), 1)
    assert.equal(series.get(decisions('allow', 'session', 'none')), 3)
    assert.equal(series.get(decisions('deny', 'session', 'session-malformed')), 1)
    assert.equal(series.get(decisions('deny', 'certificate', 'certificate-malformed')), 1)
    assert.equal(series.get(decisions('deny', 'none', 'no-credentials')), 1)
    assert.equal(series.get('certlatch_decision_duration_seconds_count'), 7)
    assert.equal(series.get('certlatch_verdict_cache_hits_total'), 2)
    assert.equal(series.get('certlatch_verdict_cache_misses_total'), 4)
    assert.equal(series.get('certlatch_verdict_cache_entries'), 4)
    // The CA of a first start and its CRL end together.
    const end = NOON_SECONDS + 3653 * 86_400
    assert.equal(series.get('certlatch_ca_not_after_timestamp_seconds'), end)
    assert.equal(series.get('certlatch_crl_next_update_timestamp_seconds'), end)
  }
})

/** Requests that might make certlatch remember something; the number makes each one different. */
const HOSTILE: readonly ((text: string, number: number) => Headers)[] = [
  (text, number) => [['X-Forwarded-Host', `${number}.${text}`]],
  (text, number) => [['X-Forwarded-Method', `${text}${number}`]],
  (text, number) => [['X-Forwarded-Uri', `/${text}?${number}`]],
  (_, number) => [['X-Forwarded-For', `198.51.${number % 256}.${(number >> 8) % 256}`]],
  (text, number) => [['X-Forwarded-Tls-Client-Cert', `${text}${number}`]],
  (text, number) => [['Cookie', `__Host-certlatch=v1.${text}.${number}`]],
  (text, number) => [
    ['Cookie', `__Host-certlatch=${number}`],
    ['Cookie', `__Host-certlatch=${text}`],
  ],
  (text, number) => [[`Remote_User`, `${text}${number}`]],
  (text, number) => [[`X-${number}`, text]],
  (text, number) => [
    ['Origin', `https://${text}${number}.test`],
    ['X-Forwarded-Method', 'POST'],
  ],
]

test('100,000 hostile requests, no two alike, add no series', {
  timeout: 180_000,
}, async (context) => {
  const service = await startTestService(context)
  await addTestDevice(service.dataDir)
  await service.refresh()
  const names = async () =>
    [...readMetrics((await service.admin('/metrics')).body.toString()).keys()].filter((name) =>
      name.includes('certlatch'),
    )
  const before = await names()
  // One character a byte, as on the wire: everything that a header's value may hold.
  const bytes = fc.integer({ min: 0x20, max: 0xff }).filter((byte) => byte !== 0x7f)
  const words = fc.array(bytes, { minLength: 1, maxLength: 20 })
  const texts = fc.sample(
    words.map((codes) => String.fromCharCode(...codes)),
    100,
  )
  const connection = await openConnection(service.port)
  const PIPELINED = 1_000
  for (let sent = 0; sent < 100_000; sent += PIPELINED) {
    const requests: Buffer[] = []
    for (let number = sent; number < sent + PIPELINED; number += 1) {
      const hostile = present(HOSTILE[number % HOSTILE.length])
      const text = present(texts[number % texts.length])
      requests.push(requestBytes({ headers: asked(hostile(text, number)) }))
    }
    await answersTo(connection.socket, Buffer.concat(requests), PIPELINED)
  }
  connection.close()
  assert.deepEqual(await names(), before)
  assert.equal(await service.metric('certlatch_decision_duration_seconds_count'), 100_000)
})

/** Sends pipelined requests, and waits for that many status lines. */
function answersTo(socket: Socket, requests: Buffer, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const mark = 'HTTP/1.1 403'
    let seen = 0
    let rest = ''
    const onData = (chunk: Buffer) => {
      const text = rest + chunk.toString('latin1')
      seen += text.split(mark).length - 1
      rest = text.slice(-(mark.length - 1))
      if (seen < count) return
      socket.off('data', onData)
      resolve()
    }
    socket.on('data', onData)
    socket.once('close', () => reject(new Error(`closed after ${seen} answers`)))
    socket.write(requests)
  })
}

test('The histogram is cumulative, ends in +Inf, and agrees with its count and sum', async (context) => {
  const service = await startTestService(context)
  for (let question = 0; question < 25; question += 1) await service.ask()
  const text = (await service.admin('/metrics')).body.toString()
  const lines = [
    ...text.matchAll(/^certlatch_decision_duration_seconds_bucket\{le="([^"]+)"\} (\d+)$/gm),
  ].map(([, bound, count]) => ({
    bound: Number(bound?.replace('+Inf', 'Infinity')),
    count: Number(count),
  }))
  assert.equal(lines.length, 13)
  for (const [index, { bound, count }] of lines.entries()) {
    const before = lines[index - 1]
    assert.ok(before === undefined || (before.bound < bound && before.count <= count))
  }
  assert.equal(lines.at(-1)?.bound, Number.POSITIVE_INFINITY)
  assert.equal(lines.at(-1)?.count, 25)
  const series = readMetrics(text)
  assert.equal(series.get('certlatch_decision_duration_seconds_count'), 25)
  assert.ok(present(series.get('certlatch_decision_duration_seconds_sum')) > 0)
})

test('A duration falls into the first bucket that holds it; beyond the last only the totals count it', () => {
  const tally = createTally()
  const denied = { allow: false, via: 'none', reason: 'no-credentials' } as const
  for (const seconds of [0, 0.000025, 0.000026, 1, 1.5, 60]) countDecision(tally, denied, seconds)
  assert.deepEqual(tally.duration.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
  assert.equal(tally.duration.count, 6)
})

test('Every reason can be counted, even with a credential that the table does not foresee for it', () => {
  const tally = createTally()
  const reasons = Object.keys(DENY_REASONS) as readonly DenyReason[]
  const ways: readonly Exclude<Via, 'rule'>[] = ['certificate', 'session', 'none']
  for (const reason of reasons) {
    for (const via of ways) countDecision(tally, { allow: false, via, reason }, 0)
  }
  assert.equal(tally.decisions.get('none no-credentials'), 1)
  assert.equal(tally.decisions.get('session no-credentials'), 1)
})

// --- the operator's other pages -------------------------------------------------------------------

test('/metrics and /status require the bearer token if one is set, and nothing else does', async (context) => {
  const token = 'a-token-of-the-operator'
  const service = await startTestService(context, {
    settings: { CERTLATCH_METRICS_TOKEN: token },
  })
  const pages = ['/metrics', '/status']
  for (const given of [[], ['x'], [token], [`Bearer ${token}x`], [`Basic ${token}`], ['Bearer ']]) {
    const headers = given.map((value) => ['Authorization', value] as const)
    for (const page of pages) {
      const answer = await service.admin(page, headers)
      assert.equal(answer.status, 401)
      assert.equal(header(answer, 'WWW-Authenticate'), 'Bearer realm="certlatch"')
      assert.equal(
        answer.body.toString(),
        'this needs the bearer token of CERTLATCH_METRICS_TOKEN\n',
      )
    }
  }
  for (const scheme of ['Bearer', 'bearer']) {
    for (const page of pages) {
      const answer = await service.admin(page, [['Authorization', `${scheme} ${token}`]])
      assert.equal(answer.status, 200)
      assert.ok(answer.body.toString().includes('0.0.0-test'))
    }
  }
  assert.equal((await service.admin('/healthz')).status, 200)
  assert.equal((await service.admin('/readyz')).status, 200)
})

test('/healthz answers ok; all pages forbid caching; other paths are 404', async (context) => {
  const service = await startTestService(context)
  const healthy = await service.admin('/healthz')
  assert.equal(healthy.body.toString(), 'ok')
  for (const target of ['/healthz', '/readyz', '/metrics', '/status', '/', '/verify', '/nowhere']) {
    const answer = await service.admin(target)
    assert.equal(header(answer, 'Cache-Control'), 'no-store')
    assert.equal(answer.status, ['/', '/verify', '/nowhere'].includes(target) ? 404 : 200, target)
    const head = await service.admin(target, [], 'HEAD')
    assert.equal(head.status, answer.status)
  }
  assert.equal((await service.admin('/metrics', [], 'POST')).status, 404)
})

test('/readyz reports each check, the key set and the CRL number', async (context) => {
  const service = await startTestService(context)
  const readiness = await service.readiness()
  assert.equal(readiness.status, 200)
  assert.ok(readiness.ready)
  assert.deepEqual(Object.keys(readiness.checks), [
    'clock',
    'files',
    'ca',
    'crl',
    'crl-renewal',
    'keys',
    'commands',
    'running',
  ])
  for (const { ok } of Object.values(readiness.checks)) assert.ok(ok)
  assert.match(readiness.keySet, /^[0-9a-f]{16}$/)
  assert.equal(readiness.crlNumber, String(NOON_SECONDS))
})
