import { preflightMethod } from '../proxy/cross-site.ts'
import type { Networks } from '../proxy/networks.ts'
import type { OriginalRequest } from '../proxy/original-request.ts'
import type { RequestHeaders } from '../proxy/request-headers.ts'
import { readRequestPath } from '../proxy/request-path.ts'
import { type Policy, type Rule, ruleFor } from './policy.ts'

/**
 * Whether this is a preflight of a listed origin that passes unasked. `rule` is its own rule; that of
 * the method which it asks about counts too. Where either wants more than what is wanted without rules,
 * or the path has several readings, it passes as any other request does: some applications answer
 * OPTIONS with the very thing that the rule keeps.
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
  const asked = { ...request, method }
  return isForEveryDevice(ruleFor(policy, asked, headers.forwardedFor, trustedProxies))
}

/** Whether no device that is let in anywhere is refused here, by certificate or session. */
const isForEveryDevice = ({ access, holders }: Rule): boolean =>
  access === 'open' || (access === 'certificate-or-session' && holders.length === 0)
