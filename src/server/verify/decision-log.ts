import type { LOG_CLIENTS } from '../../config/options.ts'
import type { Allow, Deny } from '../../decision.ts'
import { clientAddress } from '../../proxy/client-address.ts'
import { DIALECTS, type DialectName } from '../../proxy/dialects.ts'
import { type Networks, shortenAddress } from '../../proxy/networks.ts'
import type { RequestHeaders } from '../../proxy/request-headers.ts'
import type { Log } from '../log.ts'

/** A request as the log may know it. */
export interface Circumstances {
  readonly client: string | undefined
  readonly method: string | undefined
  readonly host: string | undefined
  readonly path: string | undefined
  readonly requestId: string | undefined
}

/** What is added where somebody is refused. */
export interface RefusedCircumstances extends Circumstances {
  /** Whose certificate or session it was, where that is known for certain. */
  readonly device: string | undefined
  /** The rule that refused, where one did. */
  readonly rule?: string | undefined
  /** The proxy that asked, the one that is configured, and what to set, where these are two. */
  readonly proxy?: DialectName | 'unknown'
  readonly expected?: DialectName
  readonly hint?: string
}

/** Of what Node's own parser refuses. */
interface MalformedRequest {
  /** The address at the other end of the connection: the proxy's, if it handed that on. */
  readonly peer: string | undefined
  readonly code: string
}

/** What is logged of decisions. `describe` is called for what is told, and for nothing else. */
export interface DecisionLog {
  refused(deny: Deny, describe: () => RefusedCircumstances | MalformedRequest): void
  allowed(allow: Allow, isFirstToday: boolean, describe: () => Circumstances): void
  /** Something else was asked than there is: a proxy that was set up wrongly, most likely. */
  misdirected(target: string): void
  /** Tells what was left out though no other refusal has come since; at the end, of what goes on too. */
  tellLeftOut(isEnd: boolean): void
}

const PER_WINDOW = 10
const WINDOW_MILLISECONDS = 10_000
/** A client that keeps no cookie gets one with each request. */
const SESSION_WINDOW_MILLISECONDS = 3_600_000
const MOST_SESSION_WINDOWS = 1_000

/**
 * Tells what is not routine. Refusals: at most ten of one reason in ten seconds, for the first ones
 * tell what goes on, and a flood must cost neither disk nor time. Sessions: one line an hour for
 * each device and cause. Questions for what there is not: one in ten seconds. How many were left out
 * stands in the next line of its kind.
 */
export function createDecisionLog(log: Log, nowMilliseconds: () => number): DecisionLog {
  const refusals = new Map<string, Window>()
  const sessions = new Map<string, Window>()
  const misdirected = new Map<string, Window>()
  return {
    tellLeftOut: (isEnd) => {
      const now = nowMilliseconds()
      for (const [reason, { startedAt, suppressed }] of refusals) {
        if (!isEnd && now - startedAt < WINDOW_MILLISECONDS) continue
        if (suppressed > 0) log.info({ reason, suppressed }, 'refusals suppressed')
        refusals.delete(reason)
      }
    },
    refused: ({ reason, via }, describe) => {
      const { isTold, suppressed } = sample(
        refusals,
        reason,
        PER_WINDOW,
        WINDOW_MILLISECONDS,
        nowMilliseconds(),
      )
      if (suppressed > 0) log.info({ reason, suppressed }, 'refusals suppressed')
      if (isTold) log.info({ reason, via, ...describe() }, 'refused')
    },
    allowed: ({ identity, via, setSession }, isFirstToday, describe) => {
      const who = { device: identity?.device, user: identity?.user, via }
      if (isFirstToday) log.info({ ...who, ...describe() }, 'first access today')
      if (setSession === undefined) return
      const { cause, claims } = setSession
      if (sessions.size > MOST_SESSION_WINDOWS) sessions.clear()
      const key = `${cause} ${claims.issuerKeyHash} ${claims.serial} ${claims.host}`
      const window = SESSION_WINDOW_MILLISECONDS
      const { isTold, suppressed } = sample(sessions, key, 1, window, nowMilliseconds())
      if (!isTold) return
      const fields = { ...who, cause, ...describe(), ...(suppressed > 0 && { suppressed }) }
      log.info(fields, cause === 'renewed' ? 'session renewed' : 'session opened')
    },
    misdirected: (target) => {
      const { isTold, suppressed } = sample(
        misdirected,
        '',
        1,
        WINDOW_MILLISECONDS,
        nowMilliseconds(),
      )
      if (!isTold) return
      const fields = { path: visible(loggedPath(target)), ...(suppressed > 0 && { suppressed }) }
      log.warn(fields, 'unexpected path: the proxy must call /verify')
    },
  }
}

interface Window {
  readonly startedAt: number
  told: number
  suppressed: number
}

function sample(
  windows: Map<string, Window>,
  key: string,
  most: number,
  lengthMilliseconds: number,
  now: number,
): { readonly isTold: boolean; readonly suppressed: number } {
  let window = windows.get(key)
  let suppressed = 0
  if (window === undefined || now - window.startedAt >= lengthMilliseconds) {
    suppressed = window?.suppressed ?? 0
    window = { startedAt: now, told: 0, suppressed: 0 }
    windows.set(key, window)
  }
  const isTold = window.told < most
  if (isTold) window.told += 1
  else window.suppressed += 1
  return { isTold, suppressed }
}

/** What of a request is logged, and how. */
export interface Discretion {
  readonly trustedProxies: Networks
  readonly logClient: (typeof LOG_CLIENTS)[number]
}

export function describeRequest(
  discretion: Discretion,
  headers: RequestHeaders,
  rawHeaders: readonly string[],
  /** Who asks without being the proxy: what he says of a client is nobody's word. */
  stranger?: string,
): Circumstances {
  const { forwardedFor } = headers
  return {
    client: loggedAddress(
      discretion,
      stranger ?? clientAddress(forwardedFor, discretion.trustedProxies),
    ),
    method: headers.method && visible(headers.method.slice(0, 32)),
    host: headers.host && visible(headers.host.replace(/^.*@/s, '…@').slice(0, 255)),
    path: headers.uri === undefined ? undefined : visible(loggedPath(headers.uri)),
    requestId: requestId(rawHeaders),
  }
}

/** Both proxies and what to set. Of the name that was sent only ours are told: others may be secrets. */
export function describeMismatch(
  expected: DialectName,
  sent: string | undefined,
): Pick<RefusedCircumstances, 'proxy' | 'expected' | 'hint'> {
  const proxy = Object.values(DIALECTS).find(({ name }) => name === sent)?.name ?? 'unknown'
  const hint =
    proxy === 'unknown'
      ? `let the proxy set X-Certlatch-Proxy to ${expected}, or set CERTLATCH_PROXY to the one that asks`
      : `set CERTLATCH_PROXY=${proxy} if ${proxy} shall ask; else stop it (docker compose up -d --remove-orphans)`
  return { proxy, expected, hint }
}

/** An address as far as CERTLATCH_LOG_CLIENT lets it be told. */
function loggedAddress({ logClient }: Discretion, address: string | undefined): string | undefined {
  if (address === undefined || logClient === 'none') return undefined
  return logClient === 'shortened' ? shortenAddress(address) : address
}

/** What is known of a request that never became one: who sent it, and Node's word for what it was. */
export const describeMalformed = (
  discretion: Discretion,
  { peer, code }: MalformedRequest,
): MalformedRequest => ({ peer: loggedAddress(discretion, peer), code })

/** JSON escapes the control characters of ASCII alone; a terminal obeys others too. */
const visible = (text: string): string => text.replace(/\p{Cc}/gu, '?')

const LONGEST_SEGMENT = 24
const MAX_SEGMENTS = 6

/**
 * The path as the log may know it: without the query, and without segments so long that they may
 * be secrets (the id of a webhook, a signed media path).
 */
export function loggedPath(uri: string): string {
  const [path = ''] = uri.split(QUERY)
  // An absolute URI, or none at all: what stands where in it is anybody's guess.
  if (path !== '' && !path.startsWith('/')) return '…'
  const segments = path.split('/').slice(0, MAX_SEGMENTS + 1)
  return segments.map((part, index) => (isSecret(part, segments[index - 1]) ? '…' : part)).join('/')
}

/** Where a query begins, or what some application takes for one: `%3F`, `%253F`, `;`. */
const QUERY = /[?#;]|%(?:25)*(?:3f|23|3b)/i
const USER_INFORMATION = /(?::|%3a).*(?:@|%40)/i

const isSecret = (segment: string, before: string | undefined): boolean =>
  segment.length > LONGEST_SEGMENT ||
  (before?.toLowerCase() === 'webhook' && segment !== '') ||
  USER_INFORMATION.test(segment)

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/

/** What the proxy, or who comes through it, calls this request; nothing that is no mere name. */
function requestId(rawHeaders: readonly string[]): string | undefined {
  const index = rawHeaders.findIndex(
    (name, at) => at % 2 === 0 && name.toLowerCase() === 'x-request-id',
  )
  const value = index === -1 ? undefined : rawHeaders[index + 1]
  return value !== undefined && REQUEST_ID.test(value) ? value : undefined
}
