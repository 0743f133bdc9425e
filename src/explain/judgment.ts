import type { Config } from '../config/config.ts'
import { decide, type Grounds } from '../decide.ts'
import { clientAddress } from '../proxy/client-address.ts'
import { isListedOrigin } from '../proxy/cross-site.ts'
import { readOriginalRequest } from '../proxy/original-request.ts'
import { cookieValues } from '../session/cookie.ts'
import { authRequestHeaders, type Described } from './auth-request.ts'
import type { Shown } from './credentials.ts'
import type { Explanation } from './explanation.ts'

/**
 * Decides as certlatch would about this request, and collects what explains the decision. Throws a
 * `CommandError` for a request that no client can send.
 */
export function explainRequest(
  described: Described,
  shown: Shown | undefined,
  config: Config,
  grounds: Grounds,
  nowSeconds: number,
): Explanation {
  const headers = authRequestHeaders(described, config)
  const { forwardedFor, cookie } = headers
  const byEntry = shown?.verdict
  const judging: Grounds =
    byEntry === undefined ? grounds : { ...grounds, verifyCertificate: () => byEntry }
  const decision = decide({ fromTrustedAddress: true, headers }, judging, nowSeconds)
  return {
    decision,
    request: readOriginalRequest(headers),
    rule: decision.rule,
    client: clientAddress(forwardedFor, config.trustedProxies),
    from: described.from,
    origin: described.origin,
    isListed:
      described.origin !== undefined &&
      isListedOrigin(described.origin, grounds.policy.allowedOrigins),
    shownCertificate: shown?.name,
    shownCookie: cookie !== undefined && cookieValues(cookie, config.cookieName)?.length !== 0,
  }
}
