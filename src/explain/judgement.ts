import type { Config } from '../config/config.ts'
import { decide, type Grounds } from '../decide.ts'
import { clientAddress } from '../proxy/client-address.ts'
import { isListedOrigin } from '../proxy/cross-site.ts'
import { readOriginalRequest } from '../proxy/original-request.ts'
import { cookieValues } from '../session/cookie.ts'
import { type Described, questionHeaders } from './auth-request.ts'
import type { Shown } from './credentials.ts'
import type { Told } from './explanation.ts'

/**
 * What certlatch would answer to this request, and what there is to say about it. Throws an
 * CommandError for a request that nobody can send.
 */
export function explainRequest(
  described: Described,
  shown: Shown | undefined,
  config: Config,
  grounds: Grounds,
  nowSeconds: number,
): Told {
  const headers = questionHeaders(described, config)
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
