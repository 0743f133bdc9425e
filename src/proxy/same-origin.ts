import { isOwnOrigin } from './cross-site.ts'
import type { OriginalRequest } from './original-request.ts'
import type { RequestHeaders } from './request-headers.ts'

/**
 * Whether the browser confirms that a page of this origin sent the request. Stricter than `isCrossSite`:
 * without that confirmation the request is refused, because another site could otherwise enroll its
 * visitors with an invitation of its own.
 */
export function isProvenSameOrigin(headers: RequestHeaders, request: OriginalRequest): boolean {
  const { origin, secFetchSite } = headers
  if (request.scheme !== 'https' || origin === undefined) return false
  const isEqual = origin.startsWith('https:') && isOwnOrigin(origin, request)
  if (secFetchSite === undefined) return isEqual
  // A page under `no-referrer`, such as an error page of the proxy, sends `Origin: null` with its form.
  return secFetchSite === 'same-origin' && (isEqual || origin === 'null')
}
