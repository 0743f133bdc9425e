import type { Context } from 'koa'
import { decide } from '../../decide.ts'
import type { Decision } from '../../decision.ts'
import { ENROLL_PATH, pagePolicy } from '../../policy/page-policy.ts'
import { clientAddress } from '../../proxy/client-address.ts'
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

/** What the enrolment pages need to answer a request. */
export interface EnrollService {
  readonly service: VerifyService
  readonly enrollment: Enrollment
  readonly wrongCodes: WrongCodes
  readonly log: Log
  count(outcome: InvitationOutcome): void
}

/** The requested host; a visit always has one, or it would have been refused. */
export const hostOf = ({ headers }: Visit): string => readOriginalRequest(headers)?.host ?? ''

/** What this browser would be answered on a protected page, with its certificate or session. */
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
 * Headers of every answer. No window of another page, even of this origin, may get a reference to
 * this one, and no other origin may load what it loads. With `no-referrer` its own forms would send
 * `Origin: null`.
 */
export function isolate(context: Context): void {
  context.set('Cross-Origin-Opener-Policy', 'same-origin')
  context.set('Cross-Origin-Resource-Policy', 'same-origin')
  context.set('Referrer-Policy', 'same-origin')
  context.set('X-Content-Type-Options', 'nosniff')
  context.set('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'")
}

/**
 * Whether a person opens the page or download, according to the browser: content that a script
 * fetches or frames must not include a certificate.
 */
export function isOpenedByPerson({ context, headers }: Visit): boolean {
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
