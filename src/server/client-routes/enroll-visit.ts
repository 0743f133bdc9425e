import { hash } from 'node:crypto'
import type { Place } from '../../administration/claim-invitation.ts'
import { decide } from '../../decide.ts'
import type { Decision } from '../../decision.ts'
import { ENROLL_PATH, pagePolicy } from '../../policy/page-policy.ts'
import { readOriginalRequest } from '../../proxy/original-request.ts'
import { cookieValues } from '../../session/cookie.ts'
import { REPLAY_SECONDS } from '../../store/invitations.ts'
import type { InvitationOutcome } from '../admin/tally.ts'
import type { Log } from '../log.ts'
import type { EnrollProblem } from '../pages/texts.ts'
import type { VerifyService } from '../verify/route.ts'
import type { Enrollment } from './enrollment.ts'
import type { Visit } from './routes.ts'
import type { WrongCodes } from './wrong-codes.ts'

/** What the enrollment pages need to answer a request. */
export interface EnrollService {
  readonly service: VerifyService
  readonly enrollment: Enrollment
  readonly wrongCodes: WrongCodes
  readonly log: Log
  count(outcome: InvitationOutcome): void
}

/** Where the visit looks for invitations. It always has a host, or it would have been refused. */
export const placeOf = ({ enrollment }: EnrollService, { headers, nowSeconds }: Visit): Place =>
  enrollment.place(readOriginalRequest(headers)?.host ?? '', nowSeconds)

/** The decision that this browser would get on a protected page, with its certificate or session. */
export function decideOnDevice({ service }: EnrollService, visit: Visit): Decision {
  const grounds = service.grounds()
  const policy = pagePolicy(grounds.policy, 'certificate-or-session')
  const auth = { fromTrustedAddress: true, headers: visit.headers }
  return decide(auth, { ...grounds, policy }, visit.nowSeconds)
}

/**
 * Whether a person opens the page or download, according to the browser: content that a script
 * fetches or frames must not include a certificate. A service worker's own request has no
 * destination; what the browser preloads for one has a destination, but also a header that says so.
 */
export function isOpenedByPerson({ context, headers }: Visit): boolean {
  if (context.req.headers['service-worker-navigation-preload'] !== undefined) return false
  const { secFetchMode = 'navigate', secFetchSite = 'none' } = headers
  const destination = context.get('Sec-Fetch-Dest') || 'document'
  const isOwn = secFetchSite === 'none' || secFetchSite === 'same-origin'
  return secFetchMode === 'navigate' && destination === 'document' && isOwn
}

/** The path keeps the cookie from the application. */
const COOKIE = '__Secure-certlatch-enroll'

export function ticketOf({ headers }: Visit): string | undefined {
  const [ticket] = (headers.cookie !== undefined && cookieValues(headers.cookie, COOKIE)) || []
  return ticket
}

/** The query parameter that proves that the redirect was followed. */
const REDIRECTED = 'from'

/**
 * Redirects to the page itself, and returns `true`, unless the request already follows that redirect,
 * which only this browser can do. Without it, a page of the application with the same opener policy
 * (a script can make one with a worker) could read this page in a window; the redirect has a different
 * policy, and so separates the two.
 */
export function redirectsAway({ context }: Visit, ticket: string): boolean {
  const proof = hash('sha256', `certlatch redirect\0${ticket}`, 'base64url')
  if (context.query[REDIRECTED] === proof) return false
  context.set('Cross-Origin-Opener-Policy', 'unsafe-none')
  context.status = 303
  context.set('Location', `${ENROLL_PATH}?${REDIRECTED}=${proof}`)
  return true
}

export function setTicket(visit: Visit, ticket: string, collectedAt: number): void {
  const seconds = Math.max(0, collectedAt + REPLAY_SECONDS - visit.nowSeconds)
  visit.context.append('Set-Cookie', cookieLine(ticket, seconds))
}

export const clearTicket = ({ context }: Visit): void => {
  context.append('Set-Cookie', cookieLine('', 0))
}

const cookieLine = (value: string, seconds: number): string =>
  `${COOKIE}=${value}; Path=${ENROLL_PATH}; Max-Age=${seconds}; Secure; HttpOnly; SameSite=Strict`

export const PROBLEM_STATUS: Readonly<Record<EnrollProblem, number>> = {
  unknown: 404,
  used: 409,
  ended: 410,
  malformed: 400,
  'rate-limited': 429,
  'read-only': 423,
}
