import { randomBytes } from 'node:crypto'
import type { Check } from '../../src/doctor/check.ts'
import { CHECKS } from '../../src/doctor/checks.ts'
import type { Denial, Facts, Here } from '../../src/doctor/facts.ts'
import type { Answer, Asked, Observation, Probe } from '../../src/doctor/probe.ts'
import { CLOSED_POLICY, type Policy } from '../../src/policy/policy.ts'
import { configOf, NOON_SECONDS } from './service.ts'

export function answer(
  status: number,
  headers: Readonly<Record<string, string | readonly string[]>> = {},
  body = '',
): Answer {
  const entries = Object.entries(headers).map(([name, value]) => [name, [value].flat()])
  return { kind: 'answer', status, headers: Object.fromEntries(entries), body }
}

export const REFUSED = answer(403, { 'x-certlatch': 'refused', 'cache-control': 'no-store' })
export const SESSION =
  '__Host-certlatch=v1.abc.def; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax'
export const LET_IN = answer(200, { 'set-cookie': SESSION }, 'the application')
export const NO_ANSWER: Observation = { kind: 'none', problem: 'no answer within 3 s' }

export const DENIAL: Denial = {
  reason: 'certificate-expired',
  rule: 'default',
  advice: 'renew the certificate',
}

/** A data directory whose service is well. */
export function hereOf(changes: Partial<Here> = {}, policy: Policy = CLOSED_POLICY): Here {
  return {
    config: configOf({ CERTLATCH_PROXY: 'caddy' }).config,
    policy,
    authorities: [{ name: 'CN=Household', comparable: 'household' }],
    keySet: 'k',
    version: '1.0.0',
    service: {
      version: '1.0.0',
      ready: true,
      checks: [],
      keySet: 'k',
      authorities: [{ name: 'CN=Household', notAfter: NOON_SECONDS + 400 * 86_400 }],
      revocationLists: [{ authority: 'CN=Household', nextUpdate: NOON_SECONDS + 86_400 }],
    },
    serviceProblem: undefined,
    running: [],
    isOpen: () => false,
    certificateDenial: () => undefined,
    ...changes,
  }
}

/** The facts about a deployment where all is well. */
export function factsOf(changes: Partial<Facts> = {}): Facts {
  return {
    target: {
      authority: 'home.example',
      host: 'home.example',
      connectHost: 'home.example',
      connectPort: 443,
      plainPort: 80,
      serverAuthorities: undefined,
      certificate: '',
      key: '',
      application: undefined,
    },
    here: hereOf(),
    addressProblem: undefined,
    nowSeconds: NOON_SECONDS,
    cookieName: '__Host-certlatch',
    certificate: randomBytes(300),
    closedPath: '/',
    nowhere: 'f'.repeat(64),
    first: {
      nothing: {
        ...REFUSED,
        headers: { ...REFUSED.headers, date: [new Date(NOON_SECONDS * 1000).toUTCString()] },
      },
      certificate: LET_IN,
      manifest: answer(404),
      atSeconds: NOON_SECONDS,
    },
    hasAccess: true,
    hasSession: true,
    isHomeAssistant: false,
    looks: 'caddy',
    isOwnDevice: true,
    revokedAfterMilliseconds: 300,
    ...changes,
  }
}

export function checkNamed(name: string): Check {
  const found = CHECKS.find((check) => check.name === name)
  if (found === undefined) throw new Error(`there is no check ${name}`)
  return found
}

/** Plans a check, and answers each of its probes. */
export function askedOf(
  check: Check,
  facts: Facts,
  answerTo: (probe: Probe) => Observation,
): readonly Asked[] {
  return (check.plan?.(facts) ?? []).map((probe) => ({ probe, seen: answerTo(probe) }))
}
