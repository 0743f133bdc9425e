import type { Networks } from '../proxy/networks.ts'
import type { OriginalRequest } from '../proxy/original-request.ts'
import {
  ACCESS,
  type Access,
  type ConditionalRule,
  createPolicy,
  type Policy,
  ruleFor,
} from './policy.ts'

/** The path below which clients reach certlatch's own pages. */
export const PAGES_PREFIX = '/.certlatch/auth/'

/** Where the rescue module finds out whether this browser has access. */
export const SESSION_PATH = `${PAGES_PREFIX}session`

export const ENROLL_PATH = `${PAGES_PREFIX}enroll`

/** Where the page finds out which device a code is for. */
export const LOOK_PATH = `${ENROLL_PATH}/look`

/** Where the enrollment page says that the device has its certificate. */
export const DONE_PATH = `${ENROLL_PATH}/done`

/** The paths of the downloads, below the page. */
export const DOWNLOADS = {
  p12: `${ENROLL_PATH}/certificate.p12`,
  /** The same as `p12`, with a type that no system installer claims: for the app on iOS. */
  file: `${ENROLL_PATH}/certificate-file.p12`,
  modernP12: `${ENROLL_PATH}/certificate-modern.p12`,
  mobileconfig: `${ENROLL_PATH}/profile.mobileconfig`,
} as const

/** What the enrollment page and its parts are requested with. */
const ENROLL_REQUESTS: readonly Pick<OriginalRequest, 'method' | 'path'>[] = [
  ...[ENROLL_PATH, ...Object.values(DOWNLOADS)].map((path) => ({ method: 'GET', path })),
  ...[ENROLL_PATH, LOOK_PATH, DONE_PATH].map((path) => ({ method: 'POST', path })),
]

/** What a page of certlatch requires: `open` is public. */
export type PageAccess = Exclude<Access, 'deny'>

/**
 * The policy for requests to one of certlatch's own pages. The page's access replaces the default. On
 * a public page only rules that deny count, because a rule for a whole host must not lock out the
 * people whom the page is for; on other pages the stricter of page and rule applies, so that no rule
 * makes the page public.
 */
export function pagePolicy(policy: Policy, access: PageAccess): Policy {
  const rules = policy.rules.flatMap((rule) => ruleOnPage(rule, access))
  const made = createPolicy(rules, [...policy.allowedOrigins])
  return { ...made, defaultRule: { name: 'page', access, holders: [] } }
}

function ruleOnPage(rule: ConditionalRule, access: PageAccess): readonly ConditionalRule[] {
  if (access === 'open') return rule.access === 'deny' ? [rule] : []
  const isStricter = ACCESS.indexOf(rule.access) > ACCESS.indexOf(access)
  return [isStricter ? rule : { ...rule, access }]
}

/**
 * The name of the first rule that denies the enrollment page, or a request that the page needs, for
 * the application at this address, or, where the address is not known, on every host; `undefined` if
 * none does.
 */
export function ruleDenyingEnrollment(
  policy: Policy,
  site: string | undefined,
  trustedProxies: Networks,
): string | undefined {
  const origin = {
    scheme: 'https',
    host: site === undefined ? '' : new URL(site).hostname,
    port: undefined,
    isWebSocket: false,
  } as const
  const open = pagePolicy(policy, 'open')
  const rules = ENROLL_REQUESTS.map((request) =>
    ruleFor(open, { ...origin, ...request }, undefined, trustedProxies),
  )
  return rules.find(({ access }) => access === 'deny')?.name
}
