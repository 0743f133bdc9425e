import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import type { DENY_REASONS } from '../../src/decision.ts'
import { startTestService } from '../support/service.ts'
import { findProgram, repositoryFolder } from './support/tools.ts'

const FOLDER = join(repositoryFolder(), 'deploy/prometheus')
const RULES = join(FOLDER, 'certlatch.rules.yml')
const DAY = 86_400

interface Rule {
  readonly alert: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

const rules: readonly Rule[] = parse(readFileSync(RULES, 'utf8')).groups.flatMap(
  ({ rules }: { readonly rules: readonly Rule[] }) => rules,
)

/** Series, each with its values a minute apart from the first minute of 1970 on. */
type Series = Readonly<Record<string, string>>

interface Firing {
  readonly labels?: Readonly<Record<string, string>>
  readonly summary: string
}

/** The series that Prometheus has scraped, and the alerts of that name that it then fires. */
interface Case {
  readonly alert: string
  readonly when: string
  readonly series: Series
  readonly minute: number
  readonly fires: readonly Firing[]
}

const INSTANCE = 'instance="gate:9181",job="certlatch"'
const GATE = { instance: 'gate:9181', job: 'certlatch' }
const check = (name: string) => `certlatch_check_ok{check="${name}",${INSTANCE}}`
const denied = (reason: keyof typeof DENY_REASONS, via = 'none') =>
  `certlatch_decisions_total{outcome="deny",via="${via}",reason="${reason}",${INSTANCE}}`
const ends = (device: string) =>
  `certlatch_device_certificate_not_after_timestamp_seconds{device="${device}",${INSTANCE}}`
const seen = (device: string, via: string) =>
  `certlatch_device_last_seen_timestamp_seconds{device="${device}",via="${via}",${INSTANCE}}`
const AUTHORITY = `certlatch_ca_not_after_timestamp_seconds{${INSTANCE}}`
const MAX_AGE = `certlatch_session_max_age_seconds{${INSTANCE}}`
const keySet = (instance: string, name: string) =>
  `certlatch_session_keys_info{instance="${instance}",key_set="${name}"}`
const crlNumber = (instance: string) => `certlatch_crl_number{instance="${instance}"}`
const bucket = (le: string) => `certlatch_decision_duration_seconds_bucket{le="${le}",${INSTANCE}}`

const DECISIONS = `certlatch_decision_duration_seconds_count{${INSTANCE}}`
const revocations = (instance: string, all: string) =>
  `certlatch_revocations_info{instance="${instance}",revocations="${all}"}`

const constant = (value: number) => `${value}+0x1600`

const CASES: readonly Case[] = [
  {
    alert: 'CertlatchDown',
    when: 'it does not answer',
    series: { [`up{${INSTANCE}}`]: '1 0 0 0' },
    minute: 3,
    fires: [{ labels: GATE, summary: 'certlatch gate:9181 does not answer: no request gets in' }],
  },
  {
    alert: 'CertlatchDown',
    when: 'one of two replicas does not answer',
    series: {
      [`up{${INSTANCE}}`]: '1 0 0 0',
      'up{instance="other:9181",job="certlatch"}': constant(1),
    },
    minute: 3,
    fires: [
      {
        labels: GATE,
        summary: 'certlatch gate:9181 does not answer: its replicas answer without it',
      },
    ],
  },
  {
    alert: 'CertlatchDown',
    when: 'it gets no auth requests',
    series: { 'up{job="another"}': constant(1) },
    minute: 3,
    fires: [
      { labels: { job: 'certlatch' }, summary: 'certlatch does not answer: no request gets in' },
    ],
  },
  {
    alert: 'CertlatchDown',
    when: 'one scrape fails',
    series: { [`up{${INSTANCE}}`]: '1 0 1 1' },
    minute: 2,
    fires: [],
  },
  {
    alert: 'CertlatchNotReady',
    when: 'the clock is wrong',
    series: { [check('clock')]: '1 0 0 0', [check('files')]: '0 0 0 0' },
    minute: 3,
    fires: [
      {
        labels: { ...GATE, check: 'clock' },
        summary: 'certlatch gate:9181: the check clock fails',
      },
    ],
  },
  {
    alert: 'CertlatchNotReady',
    when: 'it is stopping, or what has an alert of its own is wrong',
    series: {
      [check('clock')]: constant(1),
      [check('running')]: constant(0),
      [check('files')]: constant(0),
      [check('crl')]: constant(0),
      [check('commands')]: constant(0),
    },
    minute: 5,
    fires: [],
  },
  {
    alert: 'CertlatchCommandsUnanswered',
    when: 'it cannot write its running file',
    series: { [check('commands')]: constant(0) },
    minute: 6,
    fires: [
      {
        labels: { ...GATE, check: 'commands' },
        summary: "certlatch gate:9181 can't write down what it has loaded",
      },
    ],
  },
  {
    alert: 'CertlatchCommandsUnanswered',
    when: 'the disk was full for a minute',
    series: { [check('commands')]: '1 0 1 1 1 1 1 1' },
    minute: 7,
    fires: [],
  },
  {
    alert: 'CertlatchReloadFailed',
    when: 'files stay broken',
    series: { [check('files')]: '1 0 0 0' },
    minute: 3,
    fires: [
      {
        labels: { ...GATE, check: 'files' },
        summary: 'certlatch gate:9181 refuses its files as they are now',
      },
    ],
  },
  {
    alert: 'CertlatchReloadFailed',
    when: 'a file was half-written for a moment',
    series: { [check('files')]: '1 0 1 1' },
    minute: 2,
    fires: [],
  },
  {
    alert: 'CertlatchRevocationListStale',
    when: 'a CRL is out of date',
    series: { [check('crl')]: '1 0' },
    minute: 1,
    fires: [
      {
        labels: { ...GATE, check: 'crl' },
        summary: 'certlatch gate:9181: a CRL is out of date',
      },
    ],
  },
  {
    alert: 'CertlatchRevocationListStale',
    when: 'it is up to date',
    series: { [check('crl')]: constant(1), [check('files')]: constant(0) },
    minute: 5,
    fires: [],
  },
  {
    alert: 'CertlatchRevocationListEndsSoon',
    when: 'a fifth of its life is left',
    series: { [check('crl-renewal')]: '1 0' },
    minute: 1,
    fires: [
      {
        labels: { ...GATE, check: 'crl-renewal' },
        summary: "certlatch gate:9181: less than a fifth of a CRL's life is left",
      },
    ],
  },
  {
    alert: 'CertlatchRevocationListEndsSoon',
    when: 'more of it is left',
    series: { [check('crl-renewal')]: constant(1) },
    minute: 5,
    fires: [],
  },
  {
    alert: 'CertlatchAuthorityEndsSoon',
    when: 'it has 89 days',
    series: { [AUTHORITY]: constant(89 * DAY) },
    minute: 0,
    fires: [{ summary: 'the CA expires in 89d 0h 0m 0s' }],
  },
  {
    alert: 'CertlatchAuthorityEndsSoon',
    when: 'it has 91 days',
    series: { [AUTHORITY]: constant(91 * DAY) },
    minute: 0,
    fires: [],
  },
  {
    alert: 'CertlatchDeviceCertificateEndsSoon',
    when: 'one device has 13 days; others have 15, 2, or none to be warned of',
    series: {
      [ends('Phone of Ada')]: constant(13 * DAY),
      [ends('Tablet')]: constant(15 * DAY),
      [ends('Laptop')]: constant(2 * DAY),
      [ends('Lost')]: constant(0),
    },
    minute: 0,
    fires: [
      {
        labels: { device: 'Phone of Ada' },
        summary: 'Phone of Ada is allowed for 13d 0h 0m 0s more',
      },
    ],
  },
  {
    alert: 'CertlatchDeviceCertificateEndsSoon',
    when: 'all have more than two weeks',
    series: { [ends('Phone of Ada')]: constant(15 * DAY) },
    minute: 0,
    fires: [],
  },
  {
    alert: 'CertlatchDeviceCertificateEnds',
    when: 'one has 2 days, and one has ended yesterday',
    series: {
      [ends('Phone of Ada')]: constant(3 * DAY),
      [ends('Tablet')]: constant(3600),
      [ends('Laptop')]: constant(6 * DAY),
    },
    minute: 25 * 60,
    fires: [
      {
        labels: { device: 'Phone of Ada' },
        summary: 'Phone of Ada is locked out in less than 3 days, or is already',
      },
      {
        labels: { device: 'Tablet' },
        summary: 'Tablet is locked out in less than 3 days, or is already',
      },
    ],
  },
  {
    alert: 'CertlatchDeviceCertificateEnds',
    when: 'certlatch has restarted since, and could not be asked',
    series: { [ends('Tablet')]: `${DAY} ${DAY} _ stale _ _ _ _` },
    minute: 7,
    fires: [
      {
        labels: { device: 'Tablet' },
        summary: 'Tablet is locked out in less than 3 days, or is already',
      },
    ],
  },
  {
    alert: 'CertlatchDeviceCertificateEnds',
    when: 'it was revoked, or has more than 3 days',
    series: { [ends('Lost')]: constant(0), [ends('Tablet')]: constant(4 * DAY) },
    minute: 5,
    fires: [],
  },
  {
    alert: 'CertlatchDeviceLivesOnItsCookie',
    when: 'its certificate came 13 hours before its session',
    series: {
      [MAX_AGE]: constant(DAY),
      [seen('Tablet', 'certificate')]: constant(60),
      [seen('Tablet', 'session')]: constant(13 * 3600),
      [seen('Phone of Ada', 'certificate')]: constant(13 * 3600 - 900),
      [seen('Phone of Ada', 'session')]: constant(13 * 3600),
    },
    minute: 13 * 60 + 30,
    fires: [
      {
        labels: { device: 'Tablet' },
        summary:
          'Tablet has not shown its certificate for 12h 59m 0s, and is allowed by its cookie alone',
      },
    ],
  },
  {
    alert: 'CertlatchDeviceLivesOnItsCookie',
    when: 'it does not come any more, or nothing is known of its certificate',
    series: {
      [MAX_AGE]: constant(DAY),
      [seen('Tablet', 'certificate')]: constant(60),
      [seen('Tablet', 'session')]: constant(13 * 3600),
      [seen('Laptop', 'certificate')]: constant(0),
      [seen('Laptop', 'session')]: constant(15 * 3600),
      [seen('Phone of Ada', 'certificate')]: constant(15 * 3600),
      [seen('Phone of Ada', 'session')]: constant(0),
    },
    minute: 15 * 60,
    fires: [],
  },
  {
    alert: 'CertlatchManyStrangers',
    when: 'thirty a minute come',
    series: {
      [denied('no-credentials')]: '0+30x20',
      [denied('session-forged', 'session')]: '0x20',
    },
    minute: 15,
    fires: [{ summary: '300 requests of no known device were refused within 10 minutes' }],
  },
  {
    alert: 'CertlatchManyStrangers',
    when: 'a device of our own reconnects, or a revoked one',
    series: {
      [denied('no-credentials')]: '0+12x20',
      [denied('certificate-revoked', 'certificate')]: '0+60x20',
    },
    minute: 15,
    fires: [],
  },
  {
    alert: 'CertlatchHeadersForged',
    when: 'it happened once, minutes ago',
    series: { [denied('header-alias')]: '0 0 1 1 1 1 1 1 1', [denied('no-credentials')]: '0+9x9' },
    minute: 8,
    fires: [
      {
        labels: { reason: 'header-alias' },
        summary: 'a client sends headers that only the proxy may send (header-alias)',
      },
    ],
  },
  {
    alert: 'CertlatchHeadersForged',
    when: "a client's certificate header came beside the proxy's",
    series: { [denied('header-repeated')]: '0 0 1 1 1' },
    minute: 4,
    fires: [
      {
        labels: { reason: 'header-repeated' },
        summary: 'a client sends headers that only the proxy may send (header-repeated)',
      },
    ],
  },
  {
    alert: 'CertlatchHeadersForged',
    when: 'it happened long ago',
    series: { [denied('header-alias')]: '0 1+0x30', [denied('no-credentials')]: '0+9x30' },
    minute: 20,
    fires: [],
  },
  {
    alert: 'CertlatchPortReached',
    when: 'the address is not that of a proxy',
    series: { [denied('untrusted-proxy')]: '0 0 0 2 2' },
    minute: 4,
    fires: [
      {
        labels: { reason: 'untrusted-proxy' },
        summary: 'something other than the proxy reaches certlatch (untrusted-proxy)',
      },
    ],
  },
  {
    alert: 'CertlatchWrongProxy',
    when: 'another proxy than the configured one asks',
    series: { [denied('proxy-mismatch')]: '0 0 0 1 1' },
    minute: 4,
    fires: [
      {
        labels: {},
        summary: 'certlatch gets auth requests from another proxy than CERTLATCH_PROXY names',
      },
    ],
  },
  {
    alert: 'CertlatchWrongProxy',
    when: 'only strangers are refused',
    series: { [denied('proxy-mismatch')]: constant(0), [denied('no-credentials')]: '0+9x9' },
    minute: 8,
    fires: [],
  },
  {
    alert: 'CertlatchPortReached',
    when: 'all that is refused came through the proxy',
    series: { [denied('untrusted-proxy')]: constant(0), [denied('no-credentials')]: '0+9x9' },
    minute: 8,
    fires: [],
  },
  {
    alert: 'CertlatchSlow',
    when: 'two in a hundred take longer for a quarter of an hour',
    series: {
      [bucket('0.0025')]: '0+98x40',
      [bucket('0.005')]: '0+100x40',
      [bucket('+Inf')]: '0+100x40',
      [DECISIONS]: '0+100x40',
    },
    minute: 20,
    fires: [{ summary: 'one decision in a hundred takes longer than 3.75ms' }],
  },
  {
    alert: 'CertlatchSlow',
    when: 'two in a hundred take longer for some minutes',
    series: {
      [bucket('0.0025')]: '0+100x10 1098+98x5 1590+100x30',
      [bucket('0.005')]: '0+100x50',
      [bucket('+Inf')]: '0+100x50',
      [DECISIONS]: '0+100x50',
    },
    minute: 17,
    fires: [],
  },
  {
    alert: 'CertlatchSlow',
    when: 'the only two requests a minute are slow',
    series: {
      [bucket('0.0025')]: '0+0x40',
      [bucket('0.005')]: '0+2x40',
      [bucket('+Inf')]: '0+2x40',
      [DECISIONS]: '0+2x40',
    },
    minute: 30,
    fires: [],
  },
  {
    alert: 'CertlatchRestarts',
    when: 'it has started three times within the hour',
    series: { [`process_start_time_seconds{${INSTANCE}}`]: '1+0x5 360+0x5 720+0x5 1080+0x9' },
    minute: 20,
    fires: [{ labels: GATE, summary: 'certlatch gate:9181 has started 3 times within an hour' }],
  },
  {
    alert: 'CertlatchRestarts',
    when: 'it was restarted for a new version',
    series: { [`process_start_time_seconds{${INSTANCE}}`]: '1+0x5 360+0x30' },
    minute: 20,
    fires: [],
  },
  {
    alert: 'CertlatchBug',
    when: 'a request ended in a bug',
    series: { [denied('internal-error')]: '0 0 1 1' },
    minute: 3,
    fires: [{ summary: 'certlatch refused a request because of a bug of its own' }],
  },
  {
    alert: 'CertlatchBug',
    when: 'requests are refused for good reasons',
    series: { [denied('internal-error')]: constant(0), [denied('no-credentials')]: '0+9x9' },
    minute: 8,
    fires: [],
  },
  {
    alert: 'CertlatchReplicasDisagree',
    when: 'one has other session keys',
    series: { [keySet('a', '01')]: '1+0x9', [keySet('b', '02')]: '1+0x9' },
    minute: 6,
    fires: [
      { summary: "the replicas of certlatch don't have the same session keys, CRLs or blocks" },
    ],
  },
  {
    alert: 'CertlatchReplicasDisagree',
    when: 'one stays behind with its CRL',
    series: { [crlNumber('a')]: constant(6), [crlNumber('b')]: constant(5) },
    minute: 6,
    fires: [
      { summary: "the replicas of certlatch don't have the same session keys, CRLs or blocks" },
    ],
  },
  {
    alert: 'CertlatchReplicasDisagree',
    when: 'one has other blocks, or an old CRL that has not the lowest number',
    series: {
      [crlNumber('a')]: constant(5),
      [crlNumber('b')]: constant(5),
      [revocations('a', '01')]: constant(1),
      [revocations('b', '02')]: constant(1),
    },
    minute: 6,
    fires: [
      { summary: "the replicas of certlatch don't have the same session keys, CRLs or blocks" },
    ],
  },
  {
    alert: 'CertlatchReplicasDisagree',
    when: 'one was a minute later',
    series: {
      [revocations('a', '01')]: constant(1),
      [revocations('b', '01')]: constant(1),
      [keySet('a', '01')]: constant(1),
      [keySet('b', '01')]: constant(1),
      [crlNumber('a')]: '5 6 6 6 6 6 6 6 6',
      [crlNumber('b')]: '5 5 5 6 6 6 6 6 6',
    },
    minute: 8,
    fires: [],
  },
]

function run(program: string, args: readonly string[]): string {
  try {
    return execFileSync(findProgram(program), args, { encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${program} ${args.join(' ')}\n${stdout}\n${stderr}`)
  }
}

test('promtool finds no problem in the scrape configuration and the rules', () => {
  run('promtool', ['check', 'config', join(FOLDER, 'prometheus.yml')])
  const told = run('promtool', ['check', 'rules', '--lint=all', '--lint-fatal', RULES])
  assert.match(told, new RegExp(`${rules.length} rules found`))
})

test("promtool finds no problem in certlatch's metrics", async (context) => {
  const service = await startTestService(context)
  const { body } = await service.admin('/metrics')
  const options = { input: body, encoding: 'utf8', stdio: 'pipe' } as const
  const told = execFileSync(findProgram('promtool'), ['check', 'metrics'], options)
  assert.equal(told, '')
})

test('amtool finds no problem in the Alertmanager configuration', () => {
  run('amtool', ['check-config', join(FOLDER, 'alertmanager.yml')])
})

test('Each alert is tested firing and quiet, and says what is wrong and what to do', () => {
  for (const { alert, labels, annotations } of rules) {
    const cases = CASES.filter((known) => known.alert === alert)
    assert.ok(
      cases.some(({ fires }) => fires.length > 0),
      `${alert} fires`,
    )
    assert.ok(
      cases.some(({ fires }) => fires.length === 0),
      `${alert} is quiet`,
    )
    assert.ok(['warning', 'critical'].includes(labels['severity'] ?? ''), alert)
    assert.deepEqual(Object.keys(annotations), ['summary', 'runbook'])
  }
})

for (const { alert, when, series, minute, fires } of CASES) {
  test(`${alert} ${fires.length > 0 ? 'fires' : 'is quiet'}: ${when}`, () => {
    const rule = rules.find((known) => known.alert === alert)
    assert.ok(rule)
    const folder = mkdtempSync(join(tmpdir(), 'certlatch-alerts-'))
    try {
      const expected = fires.map(({ labels, summary }) => ({
        exp_labels: { ...rule.labels, ...labels },
        exp_annotations: { ...rule.annotations, summary },
      }))
      const file = join(folder, 'test.json')
      const input = Object.entries(series).map(([name, values]) => ({ series: name, values }))
      const alerts = [{ eval_time: `${minute}m`, alertname: alert, exp_alerts: expected }]
      const tests = [{ interval: '1m', input_series: input, alert_rule_test: alerts }]
      writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '1m', tests }))
      run('promtool', ['test', 'rules', file])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}
