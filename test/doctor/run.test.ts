import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Client } from '../../src/doctor/client.ts'
import type { Observation, Probe } from '../../src/doctor/probe.ts'
import { outcomeLines } from '../../src/doctor/report.ts'
import { type Outcome, runChecks } from '../../src/doctor/run.ts'
import { answer, factsOf, hereOf, LET_IN, REFUSED } from '../support/doctor.ts'
import { NOON_SECONDS } from '../support/service.ts'

const SERVER: Observation = {
  ...{ kind: 'server', problem: undefined },
  notBefore: NOON_SECONDS - 86_400,
  notAfter: NOON_SECONDS + 90 * 86_400,
}
const LATE: Observation = { kind: 'none', problem: 'no answer within 3 s', isUnknown: true }

/** A run with a simulated server, and a certificate that can be revoked. */
function runAt(
  ask: (probe: Probe, revoked: boolean) => Observation,
  isAsked = (_: string) => true,
) {
  const { target, certificate } = factsOf()
  let revoked = false
  const client: Client = {
    ask: async (probe) => ask(probe, revoked),
    useCookie: () => undefined,
    asked: 0,
    close: () => undefined,
  }
  return runChecks({
    ...{ client, certificate, here: hereOf(), cookieName: '__Host-certlatch' },
    target: { ...target, connectHost: '127.0.0.1' },
    isAsked: ({ name }) => isAsked(name),
    revoke: async () => {
      revoked = true
    },
    nowSeconds: () => NOON_SECONDS,
    onOutcome: () => undefined,
    onProgress: () => undefined,
  })
}

const named = (outcomes: readonly Outcome[], result: Outcome['result']) =>
  outcomes.filter((outcome) => outcome.result === result).map(({ check }) => check.name)

/** A correct server's answers to the first requests, on which the facts depend. */
function first(probe: Probe): Observation | undefined {
  if (probe.kind === 'tls') return SERVER
  if (probe.kind === 'raw') return answer(400, {}, 'mine')
  if (probe.label === 'nothing shown') return REFUSED
  if (probe.label === 'the certificate') return LET_IN
  return undefined
}

test('If only the first requests are answered in time, nothing else is reported as ok', async () => {
  const outcomes = await runAt((probe, revoked) => (revoked ? REFUSED : (first(probe) ?? LATE)))
  assert.deepEqual(named(outcomes, 'ok'), [
    ...['server-certificate', 'plain-http', 'certificate', 'session-cookie'],
    ...['http3', 'caches', 'service', 'dates', 'replicas', 'revoked'],
  ])
  const silent = outcomes.find(({ check }) => check.name === 'forged-address')
  assert.equal(silent?.result, 'not tried')
  const spelling = outcomes.find(({ check }) => check.name === 'forged-spelling')
  assert.match(spelling?.obstacle ?? '', /^X-FORWARDED-TLS-CLIENT-CERT: no answer within 3 s$/)
})

test('If the proxy limits requests, nothing that it rejected is reported as ok', async () => {
  const outcomes = await runAt(
    (probe) => first(probe) ?? answer(429, {}, 'Too Many Requests'),
    (name) => name.startsWith('forged-') || name === 'detours',
  )
  assert.deepEqual(named(outcomes, 'ok'), [])
  assert.deepEqual(named(outcomes, 'failed'), [])
  assert.match(outcomes[0]?.obstacle ?? '', /: 429 from the proxy$/)
})

test('The expiry of a valid server certificate follows the title', async () => {
  const [outcome] = await runAt(
    (probe) => first(probe) ?? LATE,
    (name) => name === 'server-certificate',
  )
  assert.deepEqual(outcome && outcomeLines(outcome), [
    "ok    the server's certificate is valid for this name, until 2027-02-22",
  ])
})

test('No answer after the revocation counts neither as refused nor as accepted', async () => {
  const [outcome] = await runAt(
    (probe, revoked) => (revoked ? LATE : (first(probe) ?? REFUSED)),
    (name) => name === 'revoked',
  )
  assert.equal(outcome?.result, 'not tried')
  assert.equal(outcome?.obstacle, 'after the revocation: no answer within 3 s')
})

for (const [what, without, after, result, obstacle] of [
  ["certlatch's refusal", REFUSED, REFUSED, 'ok', undefined],
  ['a rate limit', REFUSED, answer(429), 'not tried', '429 from the proxy'],
  ['a fault of the proxy', REFUSED, answer(502), 'not tried', '502 from the proxy'],
  ['a fault of the application', REFUSED, answer(500), 'not tried', '500'],
  ['a 403 of something else', REFUSED, answer(403), 'not tried', '403'],
  ['a 403, as without credentials', answer(403), answer(403), 'ok', undefined],
] as const) {
  test(`After the revocation, ${what} is reported as ${result}`, async () => {
    const [outcome] = await runAt(
      (probe, revoked) => {
        if (revoked) return after
        return probe.label === 'nothing shown' ? without : (first(probe) ?? REFUSED)
      },
      (name) => name === 'revoked',
    )
    assert.equal(outcome?.result, result)
    assert.equal(outcome?.obstacle, obstacle && `after the revocation: ${obstacle}`)
  })
}

test("Requests count as logged if they get certlatch's refusal", async () => {
  const isLogged = async (seen: Observation) => {
    const outcomes = await runAt(
      (probe, revoked) => (revoked ? REFUSED : (first(probe) ?? seen)),
      (name) => name === 'forged-certificate',
    )
    return outcomes.map((outcome) => outcome.isLogged)
  }
  assert.deepEqual(await isLogged(REFUSED), [true])
  assert.deepEqual(await isLogged(answer(404, {}, 'not found')), [undefined])
})
