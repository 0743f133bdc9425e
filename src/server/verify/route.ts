import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Middleware } from 'koa'
import type { Config } from '../../config/config.ts'
import { decide, type Grounds } from '../../decide.ts'
import type { Allow, Decision, Deny, Identity } from '../../decision.ts'
import { containsAddress, type Networks } from '../../proxy/networks.ts'
import { createHeaderReader, type RequestHeaders } from '../../proxy/request-headers.ts'
import { sessionCookie, withoutCookie } from '../../session/cookie.ts'
import { type KeyRing, type SessionKey, signingKey } from '../../session/key-ring.ts'
import { mintToken, type SessionClaims } from '../../session/token.ts'
import {
  type DecisionLog,
  describeMismatch,
  describeRequest,
  type LogPrivacy,
} from './decision-log.ts'
import type { Seen } from './last-seen.ts'
import { createRefusals, type RefusalOptions } from './refusals.ts'

/** What `/verify` depends on; `grounds` and `keyRing` change with the files. */
export interface VerifyService
  extends LogPrivacy,
    RefusalOptions,
    Pick<Config, 'dialect' | 'cookieName' | 'cookieDomain'> {
  grounds(): Grounds
  keyRing(): KeyRing
  nowSeconds(): number
  /** Resolves once files are re-read after the process was suspended; `undefined` if it was not. */
  catchUp(): Promise<unknown> | undefined
  /** Whether this answer closes its connection, because the service is stopping. */
  endsConnection(): boolean
  countDecision(decision: Decision, seconds: number): void
  /** Where to note that a device was allowed; `undefined` if that is not tracked. */
  seenOf(identity: Identity): Seen | undefined
  /** The device whose certificate or session a request carries, if already verified. */
  deviceOf(headers: RequestHeaders): string | undefined
  readonly decisionLog: DecisionLog
  logError(error: unknown): void
}

export const INTERNAL_ERROR: Deny = { allow: false, via: 'none', reason: 'internal-error' }

/**
 * `/verify`: gather, decide, answer. It bypasses the router and writes the answer itself, as one flat
 * array of headers and no body: this accounts for most of the difference between 0.4 and 0.7 times
 * the throughput of a bare node:http server. Proxies drop a connection whose body they do not read.
 */
export function verifyRoute(service: VerifyService): Middleware {
  const headerReader = createHeaderReader(service.dialect)
  const pages = createRefusals(service)
  // nginx turns any refusal other than 401 and 403 into a 500, and fetches the page afterwards.
  const refusals = service.dialect.asksForPage
    ? createRefusals({ ...service, denial: '403' })
    : pages
  const isTrusted = rememberTrust(service.trustedProxies)

  const respond = (req: IncomingMessage, res: ServerResponse): void => {
    const startedAt = performance.now()
    const headers = headerReader.read(req.rawHeaders)
    const nowSeconds = service.nowSeconds()
    const auth = { fromTrustedAddress: isTrusted(req.socket), headers }
    const decided = decide(auth, service.grounds(), nowSeconds)
    const acceptLanguage = () => req.headers['accept-language']
    if (isForPage(service, headers, decided)) {
      end(
        service,
        res,
        decided.allow
          ? pages.forLatecomer(headers, acceptLanguage)
          : pages.forRequest(headers, decided, acceptLanguage),
      )
      return
    }
    const mints = decided.allow && decided.setSession !== undefined
    const key = mints ? signingKey(service.keyRing(), nowSeconds) : undefined
    const decision = mints && key === undefined ? { ...decided, setSession: undefined } : decided
    const answer = decision.allow
      ? { status: 200, headers: allowHeaders(service, decision, headers, key, nowSeconds) }
      : refusals.forRequest(headers, decision, acceptLanguage)
    service.countDecision(decision, (performance.now() - startedAt) / 1000)
    logDecision(service, decision, headers, req, nowSeconds)
    end(service, res, answer)
  }

  const respondSafely = (req: IncomingMessage, res: ServerResponse): undefined => {
    try {
      respond(req, res)
    } catch (error) {
      // A bug must neither grant access nor answer 500, which some proxies would retry.
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
 * Returns whether nginx fetches the page for an auth request that was already answered and counted: this
 * must never become a 200 or set a cookie. From any other sender the header means nothing.
 */
function isForPage(service: VerifyService, { page }: RequestHeaders, decision: Decision) {
  if (!service.dialect.asksForPage || page !== '1') return false
  return decision.allow || !NOT_FROM_NGINX.has(decision.reason)
}

const NOT_FROM_NGINX: ReadonlySet<Deny['reason']> = new Set(['untrusted-proxy', 'proxy-mismatch'])

/** Checks the address once per connection, as it does not change. */
export function rememberTrust(trustedProxies: Networks): (socket: Socket) => boolean {
  const known = new WeakMap<Socket, boolean>()
  return (socket) => {
    const remembered = known.get(socket)
    if (remembered !== undefined) return remembered
    const trusted = containsAddress(trustedProxies, socket.remoteAddress ?? '')
    known.set(socket, trusted)
    return trusted
  }
}

/** Logs a decision if it is not routine, and notes when the device was seen. */
export function logDecision(
  service: VerifyService,
  decision: Decision,
  headers: RequestHeaders,
  req: IncomingMessage,
  nowSeconds: number,
): void {
  if (!decision.allow) {
    logRefusal(service, decision, headers, req)
    return
  }
  const isFirstToday = noteSeen(service, decision, nowSeconds)
  if (isFirstToday || decision.setSession !== undefined) {
    const describe = describer(service, headers, req.rawHeaders)
    service.decisionLog.allowed(decision, isFirstToday, describe)
  }
}

/** Separate from `logDecision`, which would otherwise allocate the closure's context on each request. */
const describer =
  (service: VerifyService, headers: RequestHeaders, rawHeaders: readonly string[]) => () =>
    describeRequest(service, headers, rawHeaders)

function logRefusal(
  service: VerifyService,
  deny: Deny,
  headers: RequestHeaders,
  { rawHeaders, socket }: IncomingMessage,
): void {
  const untrustedPeer = deny.reason === 'untrusted-proxy' ? socket.remoteAddress : undefined
  service.decisionLog.refused(deny, () => ({
    ...describeRequest(service, headers, rawHeaders, untrustedPeer),
    device: service.deviceOf(headers),
    ...(REASONS_OF_RULES.has(deny.reason) && { rule: deny.rule?.name }),
    ...(deny.reason === 'proxy-mismatch' && describeMismatch(service.dialect.name, headers.proxy)),
  }))
}

const DAY_SECONDS = 86_400

/** Records the access; returns whether it is the device's first of the day, in UTC. */
function noteSeen(service: VerifyService, { identity, via }: Allow, nowSeconds: number): boolean {
  const seen = identity && service.seenOf(identity)
  if (seen === undefined) return false
  const midnight = nowSeconds - (nowSeconds % DAY_SECONDS)
  const isFirstToday = seen.certificateAt < midnight && seen.sessionAt < midnight
  if (via === 'certificate') seen.certificateAt = nowSeconds
  else seen.sessionAt = nowSeconds
  return isFirstToday
}

export interface Answer {
  readonly status: number
  readonly headers: readonly string[]
  readonly body?: Buffer
}

function end(service: VerifyService, res: ServerResponse, { status, headers, body }: Answer): void {
  // Node does not modify the array, although its types allow it.
  const raw = service.endsConnection() ? [...headers, 'Connection', 'close'] : (headers as string[])
  res.writeHead(status, raw)
  res.end(body)
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
    // Sent with every 200: only a header that is there replaces what the client sent under its name.
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

/** The value of `Set-Cookie` for a session. */
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

/** Reasons that a rule of the policy file can cause. */
const REASONS_OF_RULES: ReadonlySet<Deny['reason']> = new Set([
  'ambiguous-path',
  'policy-deny',
  'not-permitted',
  'session-not-accepted',
])
