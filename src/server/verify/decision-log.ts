import { certificateKey } from '../../certificate/certificate-id.ts'
import type { Config } from '../../config/config.ts'
import type { Allow, Deny } from '../../decision.ts'
import { clientAddress } from '../../proxy/client-address.ts'
import { DIALECTS, type DialectName } from '../../proxy/dialects.ts'
import { shortenAddress } from '../../proxy/networks.ts'
import type { RequestHeaders } from '../../proxy/request-headers.ts'
import { decodeWholly } from '../../proxy/request-path.ts'
import type { Log } from '../log.ts'

/** What the log may contain about a request. */
export interface RequestDescription {
  readonly client: string | undefined
  readonly method: string | undefined
  readonly host: string | undefined
  readonly path: string | undefined
  readonly requestId: string | undefined
}

/** What is added about a request that is denied. */
export interface RefusalDescription extends RequestDescription {
  /** The device whose certificate or session it was, if a signature proves that. */
  readonly device: string | undefined
  /** The rule that denied it, if one did. */
  readonly rule?: string | undefined
  /** On a mismatch: the proxy that sent the request, the configured one, and what to set. */
  readonly proxy?: DialectName | 'unknown'
  readonly expected?: DialectName
  readonly hint?: string
}

/** A request that Node's own parser refused. */
interface MalformedRequest {
  /** The address at the other end of the connection: usually the proxy's. */
  readonly peer: string | undefined
  /** Node's error code. */
  readonly code: string
}

/** Logs decisions. `describe` is called only for what is written. */
export interface DecisionLog {
  refused(deny: Deny, describe: () => RefusalDescription | MalformedRequest): void
  allowed(allow: Allow, isFirstToday: boolean, describe: () => RequestDescription): void
  /** Logs a request for an unknown path: most likely a proxy is misconfigured. */
  unexpectedPath(target: string): void
  /** Logs that the link of an invitation, for a device if known, was used again. */
  invitationReused(device: string | undefined, describe: () => RequestDescription): void
  /** Logs how many refusals were suppressed in windows that have ended; with `isEnd`, in all windows. */
  logSuppressed(isEnd: boolean): void
}

const PER_WINDOW = 10
const WINDOW_MILLISECONDS = 10_000
/** A client that stores no cookies is sent one with each response. */
const SESSION_WINDOW_MILLISECONDS = 3_600_000
const MOST_SESSION_WINDOWS = 1_000

/**
 * Logs what is not routine. Refusals: at most ten per reason in ten seconds, because the first ones
 * show the cause, and a flood must cost neither disk nor time. Sessions: one line an hour per device
 * and cause. Unexpected paths, and reused invitations of a device: one line in ten seconds. The next line
 * of the same kind has the number of suppressed ones.
 */
export function createDecisionLog(log: Log, nowMilliseconds: () => number): DecisionLog {
  const refusals = createSampler(PER_WINDOW, WINDOW_MILLISECONDS, nowMilliseconds)
  const sessions = createSampler(1, SESSION_WINDOW_MILLISECONDS, nowMilliseconds)
  const unexpected = createSampler(1, WINDOW_MILLISECONDS, nowMilliseconds)
  const reused = createSampler(1, WINDOW_MILLISECONDS, nowMilliseconds)
  return {
    logSuppressed: (isEnd) => {
      const now = nowMilliseconds()
      for (const [reason, { startedAt, suppressed }] of refusals.windows) {
        if (!isEnd && now - startedAt < WINDOW_MILLISECONDS) continue
        if (suppressed > 0) log.info({ reason, suppressed }, 'refusals suppressed')
        refusals.windows.delete(reason)
      }
    },
    refused: ({ reason, via }, describe) => {
      const { isLogged, suppressed } = refusals.sample(reason)
      if (suppressed > 0) log.info({ reason, suppressed }, 'refusals suppressed')
      if (isLogged) log.info({ reason, via, ...describe() }, 'refused')
    },
    allowed: ({ identity, via, setSession }, isFirstToday, describe) => {
      const holder = { device: identity?.device, user: identity?.user, via }
      if (isFirstToday) log.info({ ...holder, ...describe() }, 'first access today')
      if (setSession === undefined) return
      const { cause, claims } = setSession
      if (sessions.windows.size > MOST_SESSION_WINDOWS) sessions.windows.clear()
      const key = `${cause} ${certificateKey(claims)} ${claims.host}`
      const { isLogged, suppressed } = sessions.sample(key)
      if (!isLogged) return
      const fields = { ...holder, cause, ...describe(), ...(suppressed > 0 && { suppressed }) }
      log.info(fields, cause === 'renewed' ? 'session renewed' : 'session opened')
    },
    unexpectedPath: (target) => {
      const { isLogged, suppressed } = unexpected.sample('')
      if (!isLogged) return
      const fields = { path: visible(loggedPath(target)), ...(suppressed > 0 && { suppressed }) }
      log.warn(fields, 'unexpected path: the proxy must call /verify')
    },
    invitationReused: (device, describe) => {
      const { isLogged, suppressed } = reused.sample(device ?? '')
      if (!isLogged) return
      const fields = { device, ...describe(), ...(suppressed > 0 && { suppressed }) }
      log.warn(fields, 'invitation reused')
    },
  }
}

interface Window {
  readonly startedAt: number
  logged: number
  suppressed: number
}

/** Lets through at most `most` lines of each kind in each window. */
function createSampler(most: number, lengthMilliseconds: number, nowMilliseconds: () => number) {
  const windows = new Map<string, Window>()
  return {
    windows,
    /** `suppressed`: how many lines the previous window dropped, if this call begins a new window. */
    sample: (kind: string): { readonly isLogged: boolean; readonly suppressed: number } => {
      const now = nowMilliseconds()
      let window = windows.get(kind)
      let suppressed = 0
      if (window === undefined || now - window.startedAt >= lengthMilliseconds) {
        suppressed = window?.suppressed ?? 0
        window = { startedAt: now, logged: 0, suppressed: 0 }
        windows.set(kind, window)
      }
      const isLogged = window.logged < most
      if (isLogged) window.logged += 1
      else window.suppressed += 1
      return { isLogged, suppressed }
    },
  }
}

/** How much of a client's address is logged. */
export type LogPrivacy = Pick<Config, 'trustedProxies' | 'logClient'>

export function describeRequest(
  privacy: LogPrivacy,
  headers: RequestHeaders,
  rawHeaders: readonly string[],
  /** The address of a sender that is not the proxy: what it reports about a client is unproven. */
  untrustedPeer?: string,
): RequestDescription {
  const { forwardedFor } = headers
  return {
    client: loggedAddress(
      privacy,
      untrustedPeer ?? clientAddress(forwardedFor, privacy.trustedProxies),
    ),
    method: headers.method && visible(headers.method.slice(0, 32)),
    host: headers.host && visible(headers.host.replace(/^.*@/s, '…@').slice(0, 255)),
    path: headers.uri === undefined ? undefined : visible(loggedPath(headers.uri)),
    requestId: requestId(rawHeaders),
  }
}

/** Both proxies and what to set. An unknown name is not logged, because it could be a secret. */
export function describeMismatch(
  expected: DialectName,
  sent: string | undefined,
): Pick<RefusalDescription, 'proxy' | 'expected' | 'hint'> {
  const proxy = Object.values(DIALECTS).find(({ name }) => name === sent)?.name ?? 'unknown'
  const hint =
    proxy === 'unknown'
      ? `let the proxy set X-Certlatch-Proxy to ${expected}, or set CERTLATCH_PROXY to the proxy that sends these requests`
      : `set CERTLATCH_PROXY=${proxy} if ${proxy} is the one to use; otherwise stop it`
  return { proxy, expected, hint }
}

/** The address in the form that CERTLATCH_LOG_CLIENT allows. */
export function loggedAddress(
  { logClient }: LogPrivacy,
  address: string | undefined,
): string | undefined {
  if (address === undefined || logClient === 'none') return undefined
  return logClient === 'shortened' ? shortenAddress(address) : address
}

/** JSON escapes only the control characters of ASCII, but terminals interpret others too. */
const visible = (text: string): string => text.replace(/\p{Cc}/gu, '?')

const LONGEST_SEGMENT = 24
const MAX_SEGMENTS = 6

/** What follows one of these is the secret of a webhook (n8n has several), a share, a feed or a Send. */
const BEFORE_SECRETS: ReadonlySet<string> = new Set([
  ...['webhook', 'webhook-test', 'webhook-waiting', 'share', 's', 'feed', 'send', 'sends'],
])

/**
 * The path in the form that is safe to log: without the query, and without segments that may be
 * secrets (the id of a webhook, a signed media path).
 */
export function loggedPath(uri: string): string {
  const [path = ''] = uri.split(QUERY)
  // An absolute URI, or not a URI at all: any part of it could be a secret.
  if (path !== '' && !path.startsWith('/')) return '…'
  const segments = path.split('/').slice(0, MAX_SEGMENTS + 1)
  const last = segments.findIndex((part) => isBeforeSecret(readingsOf(part)))
  const known = last === -1 ? segments : segments.slice(0, last + 1)
  const shown = known.map((part) => (isSecret(part) ? '…' : part)).join('/')
  const rest = segments.slice(known.length)
  return rest.length === 0 ? shown : `${shown}/${rest.some((part) => part !== '') ? '…' : ''}`
}

/** The start of a query, or what some applications treat as one: `%3F`, `%253F`, `;`. */
const QUERY = /[?#;]|%(?:25)*(?:3f|23|3b)/i
const SEPARATOR = /[/\\]/
const USER_INFORMATION = /:.*@/s

/** The segments that an application may see in this one, which can contain encoded separators. */
const readingsOf = (segment: string): readonly string[] =>
  decodeWholly(segment).toString('latin1').split(SEPARATOR)

/** Whether what follows may be a secret: a word comes first, or a query in a spelling that QUERY misses. */
const isBeforeSecret = (readings: readonly string[]): boolean =>
  readings.some((reading) => BEFORE_SECRETS.has(reading.toLowerCase()) || QUERY.test(reading))

function isSecret(segment: string): boolean {
  const readings = readingsOf(segment)
  return (
    segment.length > LONGEST_SEGMENT ||
    USER_INFORMATION.test(readings.join('/')) ||
    readings.some((reading) => QUERY.test(reading)) ||
    isBeforeSecret(readings.slice(0, -1))
  )
}

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/

/** The request id of the proxy or client, if it is a short plain name. */
function requestId(rawHeaders: readonly string[]): string | undefined {
  const index = rawHeaders.findIndex(
    (name, at) => at % 2 === 0 && name.toLowerCase() === 'x-request-id',
  )
  const value = index === -1 ? undefined : rawHeaders[index + 1]
  return value !== undefined && REQUEST_ID.test(value) ? value : undefined
}
