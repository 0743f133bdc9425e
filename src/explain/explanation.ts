import type { Decision, DenyReason, Identity } from '../decision.ts'
import type { Access, Rule } from '../policy/policy.ts'
import type { OriginalRequest } from '../proxy/original-request.ts'
import { ADVICE } from './advice.ts'

/** The finding of one check. */
export interface Step {
  readonly check: 'request' | 'rule' | 'other sites' | 'certificate' | 'session' | 'holder'
  readonly finding: string
}

/** A decision with everything that explains it. */
export interface Explanation {
  readonly decision: Decision
  readonly request: OriginalRequest | undefined
  readonly rule: Rule | undefined
  /** The address that rules see; `undefined`: unknown. */
  readonly client: string | undefined
  /** The address given with `--from`. */
  readonly from: string | undefined
  /** The origin of the page that sends the request, and whether the policy lists it. */
  readonly origin: string | undefined
  readonly isListed: boolean
  readonly shownCertificate: string | undefined
  readonly shownCookie: boolean
}

/** Returns the checks in the order in which they are made, up to the one that decides. */
export function stepsOf(explanation: Explanation): readonly Step[] {
  const { decision, request, rule, client } = explanation
  if (request === undefined || rule === undefined) {
    return [{ check: 'request', finding: 'is incomplete, or not what a proxy reports' }]
  }
  const { method, path, host, isWebSocket } = request
  const what = isWebSocket ? `WebSocket ${path}` : `${method} ${path}`
  const steps: Step[] = [
    { check: 'request', finding: `${what} at ${host}, from ${client ?? unknown(explanation)}` },
    { check: 'rule', finding: ruleFinding(rule) },
  ]
  const isByRule = decision.via === 'rule' && rule.access === 'open'
  if (isByRule || is(decision, 'policy-deny') || is(decision, 'ambiguous-path')) return steps
  steps.push({ check: 'other sites', finding: siteFinding(explanation) })
  const isDecided = decision.via === 'rule' || is(decision, 'cross-site')
  return isDecided ? steps : [...steps, ...shownSteps(explanation, rule)]
}

const unknown = ({ from }: Explanation): string =>
  from === undefined
    ? 'an unknown address'
    : `an unknown address (${from} is one of CERTLATCH_TRUSTED_PROXIES, so it is not the client)`

function siteFinding({ decision, origin, isListed }: Explanation): string {
  if (is(decision, 'cross-site')) return 'another site sends it'
  if (decision.via === 'rule') return `${origin} sends a preflight, and allow_origins lists it`
  return isListed ? `${origin} is allowed: allow_origins lists it` : 'no other site sends it'
}

const is = (decision: Decision, reason: DenyReason): boolean =>
  !decision.allow && decision.reason === reason

function shownSteps(explanation: Explanation, rule: Rule): readonly Step[] {
  const { decision, shownCertificate, shownCookie } = explanation
  const whose = decision.allow ? nameOfHolder(decision.identity) : undefined
  const good = whose === undefined ? 'is valid' : `is valid, and belongs to ${whose}`
  const isKnown = decision.allow || decision.reason === 'not-permitted'
  const verdict = isKnown ? good : `is not accepted: ${decision.reason}`
  if (shownCertificate !== undefined) {
    const certificate = { check: 'certificate', finding: `${shownCertificate} ${verdict}` } as const
    return [certificate, ...holderSteps(decision, rule)]
  }
  const certificate = { check: 'certificate', finding: 'none shown' } as const
  if (!shownCookie) return [certificate, { check: 'session', finding: 'no cookie shown' }]
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
  const named = `those that the rule allows: ${lists.join('; and among ')}`
  return [{ check: 'holder', finding: `is ${isOther ? 'not among' : 'among'} ${named}` }]
}

const nameOfHolder = (identity: Identity | undefined): string | undefined =>
  identity === undefined || identity.user === identity.device
    ? identity?.device
    : `${identity.device}, owned by ${identity.user}`

const REQUIREMENTS: Readonly<Record<Access, string>> = {
  open: 'allows every client',
  'certificate-or-session': 'requires a certificate or a session',
  certificate: 'requires a certificate on this request',
  deny: 'denies every client',
}

function ruleFinding(rule: Rule): string {
  const { insteadOf } = rule
  if (insteadOf === undefined) return `${nameOf(rule)} ${REQUIREMENTS[rule.access]}`
  return `the path is ambiguous: as written, ${nameOf(insteadOf)} ${REQUIREMENTS[insteadOf.access]}; the strictest reading counts, and ${nameOf(rule)} ${REQUIREMENTS[rule.access]}`
}

const nameOf = ({ name }: Rule): string =>
  name === 'default' ? 'no rule matches, so the default' : `the rule ${JSON.stringify(name)}`

/** Returns the answer in one line. */
export function conclusionOf(decision: Decision): string {
  if (!decision.allow) return `denied: ${decision.reason}`
  const by = {
    certificate: 'by the certificate',
    session: 'by the session',
    rule: 'by the rule alone, without credentials',
  }[decision.via]
  const cookie = decision.setSession === undefined ? '' : ', and a cookie is set'
  return `allowed: ${by}${cookie}`
}

/** Returns what would change a denial. */
export const adviceOf = (decision: Decision): string | undefined =>
  decision.allow ? undefined : ADVICE[decision.reason]
