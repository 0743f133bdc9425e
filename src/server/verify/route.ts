import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Middleware } from 'koa'
import type { Config } from '../../config/config.ts'
import { decide, type Grounds } from '../../decide.ts'
import type { Allow, Decision, Deny, Identity } from '../../decision.ts'
import { ruleFor } from '../../policy/policy.ts'
import type { Dialect } from '../../proxy/dialects.ts'
import { containsAddress, type Networks } from '../../proxy/networks.ts'
import { readOriginalRequest } from '../../proxy/original-request.ts'
import { createHeaderReader, type RequestHeaders } from '../../proxy/request-headers.ts'
import { sessionCookie, withoutCookie } from '../../session/cookie.ts'
import { type KeyRing, type SessionKey, signingKey } from '../../session/key-ring.ts'
import { mintToken, type SessionClaims } from '../../session/token.ts'
import {
  type DecisionLog,
  type Discretion,
  describeMismatch,
  describeRequest,
} from './decision-log.ts'
import type { Seen } from './last-seen.ts'
import { createRefusals, type Refusals } from './refusals.ts'

/** What the answers are made from; `grounds` and `keyRing` change with the files. */
export interface VerifyService extends Discretion {
  readonly dialect: Dialect
  readonly cookieName: string
  readonly cookieDomain: string | undefined
  readonly denial: Config['denial']
  grounds(): Grounds
  keyRing(): KeyRing
  nowSeconds(): number
  /** To be waited for if this process has stood still, and may not know what was changed meanwhile. */
  catchUp(): Promise<unknown> | undefined
  /** Whether this answer ends its connection: the service is stopping, or another process has fewer. */
  endsConnection(): boolean
  countDecision(decision: Decision, seconds: number): void
  /** Where to note that somebody was let in; `undefined` if nobody keeps that. */
  seenOf(identity: Identity): Seen | undefined
  /** Whose certificate or session a request carries, as far as that was found out already. */
  deviceOf(headers: RequestHeaders): string | undefined
  readonly audit: DecisionLog
  logError(error: unknown): void
}

const INTERNAL_ERROR: Deny = { allow: false, via: 'none', reason: 'internal-error' }

/**
 * `/verify`: gather, decide, answer. It stands before the router and writes the answer itself, as
 * one flat array of headers and no body: that is most of the difference between 0.4 and 0.7 of what
 * a bare node:http server answers. Proxies drop the connection over a body that they do not read.
 */
export function verifyRoute(service: VerifyService): Middleware {
  const headerReader = createHeaderReader(service.dialect)
  const pages = createRefusals(service.denial)
  // nginx makes a 500 of any other refusal than 401 and 403, and asks for the page afterwards.
  const refusals = service.dialect.asksForPage ? createRefusals('403') : pages
  const isTrusted = rememberTrust(service.trustedProxies)

  const respond = (req: IncomingMessage, res: ServerResponse): void => {
    const startedAt = performance.now()
    const headers = headerReader.read(req.rawHeaders)
    const nowSeconds = service.nowSeconds()
    const question = { fromTrustedAddress: isTrusted(req.socket), headers }
    const grounds = service.grounds()
    const decided = decide(question, grounds, nowSeconds)
    if (isPageQuestion(service, headers, decided)) {
      end(
        service,
        res,
        decided.allow
          ? pages.forLatecomer(headers, () => req.headers['accept-language'])
          : refusalOf(pages, decided.reason, headers, grounds, req),
      )
      return
    }
    const mints = decided.allow && decided.setSession !== undefined
    const key = mints ? signingKey(service.keyRing(), nowSeconds) : undefined
    const decision = mints && key === undefined ? { ...decided, setSession: undefined } : decided
    const answer = decision.allow
      ? { status: 200, headers: allowHeaders(service, decision, headers, key, nowSeconds) }
      : refusalOf(refusals, decision.reason, headers, grounds, req)
    service.countDecision(decision, (performance.now() - startedAt) / 1000)
    tell(service, decision, headers, req, nowSeconds)
    end(service, res, answer)
  }

  const respondSafely = (req: IncomingMessage, res: ServerResponse): undefined => {
    try {
      respond(req, res)
    } catch (error) {
      // A bug must neither open the door nor answer 500, which some proxies would retry.
      service.logError(error)
      service.countDecision(INTERNAL_ERROR, 0)
      if (!res.headersSent) end(service, res, refusals.fallback)
      else res.destroy()
    }
    return undefined
  }

  return (context, next) => {
    const { req, res } = context
    if (req.url !== '/verify' && !req.url?.startsWith('/verify?')) return next()
    context.respond = false
    const caughtUp = service.catchUp()
    const now = () => respondSafely(req, res)
    return caughtUp === undefined ? now() : caughtUp.then(now, now)
  }
}

/**
 * Whether nginx fetches the page of a question that was answered and counted before: it must never
 * turn into a 200, nor set a cookie. From anybody else the mark means nothing.
 */
function isPageQuestion(service: VerifyService, { page }: RequestHeaders, decision: Decision) {
  if (!service.dialect.asksForPage || page !== '1') return false
  return decision.allow || !NOT_FROM_NGINX.has(decision.reason)
}

const NOT_FROM_NGINX: ReadonlySet<Deny['reason']> = new Set(['untrusted-proxy', 'proxy-mismatch'])

/** Asked once for each connection: its address does not change. */
export function rememberTrust(trustedProxies: Networks): (socket: Socket) => boolean {
  const known = new WeakMap<Socket, boolean>()
  return (socket) => {
    const before = known.get(socket)
    if (before !== undefined) return before
    const trusted = containsAddress(trustedProxies, socket.remoteAddress ?? '')
    known.set(socket, trusted)
    return trusted
  }
}

/** What the log and the metrics of devices are told of a decision; of most of them nothing. */
export function tell(
  service: VerifyService,
  decision: Decision,
  headers: RequestHeaders,
  req: IncomingMessage,
  nowSeconds: number,
): void {
  if (!decision.allow) {
    tellRefusal(service, decision, headers, req)
    return
  }
  const isFirstToday = noteSeen(service, decision, nowSeconds)
  if (isFirstToday || decision.setSession !== undefined) {
    const describe = describer(service, headers, req.rawHeaders)
    service.audit.allowed(decision, isFirstToday, describe)
  }
}

/** Apart from `tell`, which would else make room for what a closure holds on each request. */
const describer =
  (service: VerifyService, headers: RequestHeaders, rawHeaders: readonly string[]) => () =>
    describeRequest(service, headers, rawHeaders)

function tellRefusal(
  service: VerifyService,
  deny: Deny,
  headers: RequestHeaders,
  { rawHeaders, socket }: IncomingMessage,
): void {
  const stranger = deny.reason === 'untrusted-proxy' ? socket.remoteAddress : undefined
  service.audit.refused(deny, () => ({
    ...describeRequest(service, headers, rawHeaders, stranger),
    device: service.deviceOf(headers),
    ...(OF_A_RULE.has(deny.reason) && { rule: ruleOf(service, headers) }),
    ...(deny.reason === 'proxy-mismatch' && describeMismatch(service.dialect.name, headers.proxy)),
  }))
}

const DAY_SECONDS = 86_400

/** Answers whether it is the first time on this day, in UTC. */
function noteSeen(service: VerifyService, { identity, via }: Allow, nowSeconds: number): boolean {
  const seen = identity && service.seenOf(identity)
  if (seen === undefined) return false
  const midnight = nowSeconds - (nowSeconds % DAY_SECONDS)
  const isFirstToday = seen.certificateAt < midnight && seen.sessionAt < midnight
  if (via === 'certificate') seen.certificateAt = nowSeconds
  else seen.sessionAt = nowSeconds
  return isFirstToday
}

interface Answer {
  readonly status: number
  readonly headers: readonly string[]
  readonly body?: Buffer
}

function end(service: VerifyService, res: ServerResponse, { status, headers, body }: Answer): void {
  // Node only reads them, whatever its types say.
  const raw = service.endsConnection() ? [...headers, 'Connection', 'close'] : (headers as string[])
  res.writeHead(status, raw)
  res.end(body)
}

/** For the page of an expired certificate it looks up, in what is remembered, when it ended. */
export function refusalOf(
  refusals: Refusals,
  reason: Deny['reason'],
  headers: RequestHeaders,
  grounds: Grounds,
  req: IncomingMessage,
): Answer {
  const endedAt = () => {
    const verdict = grounds.verifyCertificate(headers.certificate ?? '', headers.forwardedFor)
    return verdict !== 'absent' && verdict.ok ? verdict.verified.notAfter : undefined
  }
  return refusals.forRequest(headers, reason, endedAt, () => req.headers['accept-language'])
}

function allowHeaders(
  service: VerifyService,
  { identity, via, setSession }: Allow,
  { cookie }: RequestHeaders,
  key: SessionKey | undefined,
  nowSeconds: number,
): readonly string[] {
  const raw = [
    'Cache-Control',
    'no-store',
    'Content-Length',
    '0',
    // Present on every 200: a proxy copies what is there, and the client's own is then replaced.
    'Remote-User',
    headerBytes(identity?.user ?? ''),
    'X-Certlatch-Device',
    headerBytes(identity?.device ?? ''),
    'X-Certlatch-Via',
    via,
  ]
  if (service.dialect.returnsCookie && cookie !== undefined) {
    const rest = withoutCookie(cookie, service.cookieName)
    if (rest !== '') raw.push('Cookie', rest)
  }
  if (setSession !== undefined && key !== undefined) {
    raw.push('Set-Cookie', mintCookie(service, setSession.claims, key, nowSeconds))
  }
  return raw
}

/** The `Set-Cookie` of a session. */
export function mintCookie(
  service: Pick<VerifyService, 'cookieName' | 'cookieDomain'>,
  claims: SessionClaims,
  key: SessionKey,
  nowSeconds: number,
): string {
  const attributes = { name: service.cookieName, domain: service.cookieDomain }
  return sessionCookie(attributes, mintToken(claims, key), claims.sessionEnd, nowSeconds)
}

const ONLY_ASCII = /^[ -~]*$/

/** UTF-8 bytes in the only kind of string that Node writes into a header: one char, one byte. */
function headerBytes(text: string): string {
  return ONLY_ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
}
/** Refusals that somebody's rule can have made. */
const OF_A_RULE: ReadonlySet<Deny['reason']> = new Set([
  'ambiguous-path',
  'policy-deny',
  'not-permitted',
  'session-not-accepted',
])

function ruleOf(service: VerifyService, headers: RequestHeaders): string | undefined {
  const { policy, trustedProxies } = service.grounds()
  const request = readOriginalRequest(headers)
  return request && ruleFor(policy, request, headers.forwardedFor, trustedProxies).name
}
