import { hash } from 'node:crypto'
import { decide } from '../../decide.ts'
import type { Decision } from '../../decision.ts'
import { ENROLL_PATH, pagePolicy } from '../../policy/page-policy.ts'
import { clientAddress } from '../../proxy/client-address.ts'
import { readOriginalRequest } from '../../proxy/original-request.ts'
import { cookieValues } from '../../session/cookie.ts'
import { REPLAY_SECONDS } from '../../store/invitations.ts'
import type { InvitationOutcome } from '../admin/metrics.ts'
import type { Log } from '../log.ts'
import type { EnrollProblem } from '../pages/texts.ts'
import type { VerifyService } from '../verify/route.ts'
import type { Enrollment } from './enrollment.ts'
import type { Visit } from './routes.ts'
import type { WrongCodes } from './wrong-codes.ts'

/** What the pages of an enrolment are answered from. */
export interface EnrollService {
  readonly service: VerifyService
  readonly enrollment: Enrollment
  readonly wrongCodes: WrongCodes
  readonly log: Log
  count(outcome: InvitationOutcome): void
}

/** The host that was asked; a visit has one, or it would have been refused. */
export const hostOf = ({ headers }: Visit): string => readOriginalRequest(headers)?.host ?? ''

/** What this browser would be answered on a page for devices: by its certificate or session. */
export function decideOnDevice({ service }: EnrollService, visit: Visit): Decision {
  const grounds = service.grounds()
  const policy = pagePolicy(grounds.policy, 'certificate-or-session')
  const question = { fromTrustedAddress: true, headers: visit.headers }
  return decide(question, { ...grounds, policy }, visit.nowSeconds)
}

export function clientOf({ service }: EnrollService, { headers }: Visit): string | undefined {
  return clientAddress(headers.forwardedFor, service.trustedProxies)
}

/**
 * Whether a person opens the page or a download, as far as the browser says: what a script fetches,
 * or frames, must not get a certificate. What a service worker fetches has no destination; what the
 * browser loads ahead for one (navigation preload) has, but is marked.
 */
export function isOpenedByPerson({ context, headers }: Visit): boolean {
  if (context.req.headers['service-worker-navigation-preload'] !== undefined) return false
  const { secFetchMode = 'navigate', secFetchSite = 'none' } = headers
  const destination = context.get('Sec-Fetch-Dest') || 'document'
  const isOwn = secFetchSite === 'none' || secFetchSite === 'same-origin'
  return secFetchMode === 'navigate' && destination === 'document' && isOwn
}

/** Its path keeps it from the application. */
const COOKIE = '__Secure-certlatch-enroll'

export function ticketOf({ headers }: Visit): string | undefined {
  const [ticket] = (headers.cookie !== undefined && cookieValues(headers.cookie, COOKIE)) || []
  return ticket
}

/** The parameter of the page's address that shows that it was reached through the redirect. */
const REDIRECTED = 'from'

/**
 * Redirects to the page itself unless the request comes from that redirect, which only this browser can
 * follow. Returns whether it did. A page of the application that has the same opener policy as this one
 * (a script can make one, by a worker) would otherwise be able to read it in a window; the redirect, of
 * another policy, parts the two.
 */
export function redirectsAway({ context }: Visit, ticket: string): boolean {
  const proof = hash('sha256', `certlatch redirect\0${ticket}`, 'base64url')
  if (context.query[REDIRECTED] === proof) return false
  context.set('Cross-Origin-Opener-Policy', 'unsafe-none')
  context.status = 303
  context.set('Location', `${ENROLL_PATH}?${REDIRECTED}=${proof}`)
  return true
}

export function setTicket(
  { context, nowSeconds }: Visit,
  ticket: string,
  collectedAt: number,
): void {
  const seconds = Math.max(0, collectedAt + REPLAY_SECONDS - nowSeconds)
  context.append('Set-Cookie', cookieLine(ticket, seconds))
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
