import type { Decision, DenyReason, Identity } from '../decision.ts'
import type { Access, Rule } from '../policy/policy.ts'
import type { OriginalRequest } from '../proxy/original-request.ts'
import { ADVICE } from './advice.ts'

/** What one check found. */
export interface Step {
  readonly check: 'request' | 'rule' | 'other sites' | 'certificate' | 'session' | 'holder'
  readonly finding: string
}

/** What there is to tell about a decision. */
export interface Told {
  readonly decision: Decision
  readonly request: OriginalRequest | undefined
  readonly rule: Rule | undefined
  /** As it counts for rules; `undefined`: unknown. */
  readonly client: string | undefined
  /** The address that was given. */
  readonly from: string | undefined
  /** Of the page that asks, and whether the policy file lists it. */
  readonly origin: string | undefined
  readonly isListed: boolean
  readonly shownCertificate: string | undefined
  readonly shownCookie: boolean
}

/** The checks in the order in which they are made, up to the one that decides. */
export function stepsOf(told: Told): readonly Step[] {
  const { decision, request, rule, client } = told
  if (request === undefined || rule === undefined) {
    return [{ check: 'request', finding: 'is not whole, or not what a proxy reports' }]
  }
  const { method, path, host, isWebSocket } = request
  const what = isWebSocket ? `WebSocket ${path}` : `${method} ${path}`
  const steps: Step[] = [
    { check: 'request', finding: `${what} at ${host}, from ${client ?? unknown(told)}` },
    { check: 'rule', finding: ruleFinding(rule) },
  ]
  const isByRule = decision.via === 'rule' && rule.access === 'open'
  if (isByRule || is(decision, 'policy-deny') || is(decision, 'ambiguous-path')) return steps
  steps.push({ check: 'other sites', finding: siteFinding(told) })
  const isDecided = decision.via === 'rule' || is(decision, 'cross-site')
  return isDecided ? steps : [...steps, ...shownSteps(told, rule)]
}

const unknown = ({ from }: Told): string =>
  from === undefined
    ? 'an unknown address'
    : `an unknown address (${from} is one of CERTLATCH_TRUSTED_PROXIES, so the client is another)`

function siteFinding({ decision, origin, isListed }: Told): string {
  if (is(decision, 'cross-site')) return 'another site acts'
  if (decision.via === 'rule')
    return `${origin} asks whether it may act, and allow_origins lists it`
  return isListed ? `${origin} may act: allow_origins lists it` : 'no other site acts'
}

const is = (decision: Decision, reason: DenyReason): boolean =>
  !decision.allow && decision.reason === reason

function shownSteps(told: Told, rule: Rule): readonly Step[] {
  const { decision, shownCertificate, shownCookie } = told
  const whose = decision.allow ? whoIs(decision.identity) : undefined
  const good = whose === undefined ? 'is good' : `is good, and of ${whose}`
  const isKnown = decision.allow || decision.reason === 'not-permitted'
  const verdict = isKnown ? good : `does not open: ${decision.reason}`
  if (shownCertificate !== undefined) {
    const certificate = { check: 'certificate', finding: `${shownCertificate} ${verdict}` } as const
    return [certificate, ...holderSteps(decision, rule)]
  }
  const certificate = { check: 'certificate', finding: 'none is shown' } as const
  if (!shownCookie) return [certificate, { check: 'session', finding: 'no cookie is shown' }]
  return [
    certificate,
    { check: 'session', finding: `the cookie ${verdict}` },
    ...holderSteps(decision, rule),
  ]
}

function holderSteps(decision: Decision, { holders }: Rule): readonly Step[] {
  const isOther = is(decision, 'not-permitted')
  if (holders.length === 0 || !(decision.allow || isOther)) return []
  const lists = holders.map(({ devices, owners }) =>
    [
      ...[...devices.values()].map((name) => `the device ${JSON.stringify(name)}`),
      ...[...owners.values()].map((name) => `devices of ${JSON.stringify(name)}`),
    ].join(', '),
  )
  const named = `those whom the rule lets pass: ${lists.join('; and also among ')}`
  return [{ check: 'holder', finding: `is ${isOther ? 'not among' : 'among'} ${named}` }]
}

const whoIs = (identity: Identity | undefined): string | undefined =>
  identity === undefined || identity.user === identity.device
    ? identity?.device
    : `${identity.device}, owned by ${identity.user}`

const ASKS: Readonly<Record<Access, string>> = {
  open: 'opens to everybody',
  'certificate-or-session': 'wants a certificate or a session',
  certificate: 'wants a certificate, shown now',
  deny: 'lets nobody pass',
}

function ruleFinding(rule: Rule): string {
  const { insteadOf } = rule
  if (insteadOf === undefined) return `${nameOf(rule)} ${ASKS[rule.access]}`
  return `the path can be read in several ways: as it is written, ${nameOf(insteadOf)} ${ASKS[insteadOf.access]}; of all that it could be meant for, the strictest counts, and ${nameOf(rule)} ${ASKS[rule.access]}`
}

const nameOf = ({ name }: Rule): string =>
  name === 'default' ? 'no rule matches, so the default' : `the rule ${JSON.stringify(name)}`

/** The answer in one line. */
export function conclusionOf(decision: Decision): string {
  if (!decision.allow) return `denied: ${decision.reason}`
  const by = {
    certificate: 'by the certificate',
    session: 'by the session',
    rule: 'by the rule alone, without asking who comes',
  }[decision.via]
  const cookie = decision.setSession === undefined ? '' : ', and a cookie is set'
  return `allowed: ${by}${cookie}`
}

/** What would change a refusal. */
export const adviceOf = (decision: Decision): string | undefined =>
  decision.allow ? undefined : ADVICE[decision.reason]
