import { preflightMethod } from '../proxy/cross-site.ts'
import type { Networks } from '../proxy/networks.ts'
import type { OriginalRequest } from '../proxy/original-request.ts'
import type { RequestHeaders } from '../proxy/request-headers.ts'
import { readRequestPath } from '../proxy/request-path.ts'
import { type Policy, type Rule, ruleFor } from './policy.ts'

/**
 * Whether this is a preflight of a listed origin that passes without credentials. `rule` is the rule for
 * the OPTIONS request; the rule for the method that it announces counts too. Where either is stricter
 * than the default, or the path can be read in several ways, the request is treated like any other:
 * some applications answer OPTIONS with the very content that the rule protects.
 */
export function isPassingPreflight(
  rule: Rule,
  request: OriginalRequest,
  headers: RequestHeaders,
  policy: Policy,
  trustedProxies: Networks,
): boolean {
  const method = preflightMethod(headers, request, policy.allowedOrigins)
  if (method === undefined || !isForEveryDevice(rule)) return false
  if (readRequestPath(request.path).certain !== undefined) return false
  const announced = { ...request, method }
  return isForEveryDevice(ruleFor(policy, announced, headers.forwardedFor, trustedProxies))
}

/** Whether every device that has access at all has access here, by certificate or session. */
const isForEveryDevice = ({ access, holders }: Rule): boolean =>
  access === 'open' || (access === 'certificate-or-session' && holders.length === 0)
