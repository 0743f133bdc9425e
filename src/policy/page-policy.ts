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

/** What certlatch's own pages lie under, for clients. */
export const PAGES_PREFIX = '/.certlatch/auth/'

/** By which the rescue module learns whether this browser is let in. */
export const SESSION_PATH = `${PAGES_PREFIX}session`

export const ENROLL_PATH = `${PAGES_PREFIX}enroll`

/** What a page of our own asks for: `open` is public. */
export type PageAccess = Exclude<Access, 'deny'>

/**
 * The policy by which certlatch judges requests for a page of its own. The page's access takes the
 * place of the default. Of the written rules only `deny` counts on a public page, because a rule for a
 * whole host must not lock out whom the page is for; elsewhere the stricter of both holds, so that no
 * rule opens the page.
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

/** The rule that keeps clients of this host from enrolling; `undefined`: none does. */
export function ruleClosingEnrollment(
  policy: Policy,
  host: string,
  trustedProxies: Networks,
): string | undefined {
  const request: OriginalRequest = {
    method: 'POST',
    scheme: 'https',
    host,
    port: undefined,
    path: ENROLL_PATH,
    isWebSocket: false,
  }
  const rule = ruleFor(pagePolicy(policy, 'open'), request, undefined, trustedProxies)
  return rule.access === 'deny' ? rule.name : undefined
}
