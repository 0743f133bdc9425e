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
 * The name of the rule that denies the enrollment page of the application at this address, or, where
 * the address is not known, on every host; `undefined` if none does.
 */
export function ruleDenyingEnrollment(
  policy: Policy,
  site: string | undefined,
  trustedProxies: Networks,
): string | undefined {
  const request: OriginalRequest = {
    method: 'POST',
    scheme: 'https',
    host: site === undefined ? '' : new URL(site).hostname,
    port: undefined,
    path: ENROLL_PATH,
    isWebSocket: false,
  }
  const rule = ruleFor(pagePolicy(policy, 'open'), request, undefined, trustedProxies)
  return rule.access === 'deny' ? rule.name : undefined
}
