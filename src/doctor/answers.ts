import type { Answer, Observation } from './probe.ts'

/** The first value of a header, or an empty text. */
export const headerOf = ({ headers }: Answer, name: string): string => headers[name]?.[0] ?? ''

/** certlatch's own refusal, with whatever status the proxy sends it. */
export const isRefusal = (seen: Observation): boolean =>
  seen.kind === 'answer' && headerOf(seen, 'x-certlatch') === 'refused'

/** Texts from the proxies' own error pages; Caddy's are empty. */
const ERROR_PAGES = [
  /<center>nginx/,
  /^404 page not found/,
  /Your browser sent an invalid request|Request forbidden by administrative rules/,
  /No server is available to handle this request|The server returned an invalid or incomplete/,
  /^(400 Bad Request|403 Forbidden|421|Misdirected Request|Bad Gateway|Gateway Timeout|Internal Server Error)\b/,
]

/** Misdirected, too many requests, no answer from the server behind the proxy. */
const BY_PROXIES: ReadonlySet<number> = new Set([421, 429, 502, 504])

/** An error page written by the proxy itself, not by anything behind it. */
export function isProxyError(answer: Answer): boolean {
  const { status, body } = answer
  if (status < 400) return false
  if (BY_PROXIES.has(status)) return true
  if (ERROR_PAGES.some((page) => page.test(body))) return true
  return body === '' && headerOf(answer, 'server') === 'Caddy' && headerOf(answer, 'via') === ''
}

/** Whether the application has answered: neither certlatch's refusal nor an error of the proxy. */
export function isFromApplication(seen: Observation): boolean {
  if (seen.kind !== 'answer' || isRefusal(seen) || isProxyError(seen)) return false
  // A refusal without certlatch's header, from a proxy that passes on only the status.
  return seen.status !== 403 && seen.status < 500
}

/** Describes the response in a few words. */
export function summaryOf(seen: Observation): string {
  if (seen.kind === 'none') return seen.problem
  if (seen.kind !== 'answer') return 'no HTTP'
  if (isRefusal(seen)) return `${seen.status}, refused by certlatch`
  const who = isProxyError(seen) ? ' from the proxy' : ''
  return `${seen.status}${who}`
}

export const bodyMatches = (seen: Observation, pattern: RegExp): boolean =>
  seen.kind === 'answer' && pattern.test(seen.body)

/** Home Assistant's answer to a proxy that it does not trust. */
export const isUntrustedProxy = (seen: Observation): boolean =>
  seen.kind === 'answer' && seen.status === 400 && bodyMatches(seen, /^400: Bad Request/)

/** The Set-Cookie headers of this answer. */
export const setCookies = (seen: Observation): readonly string[] =>
  seen.kind === 'answer' ? (seen.headers['set-cookie'] ?? []) : []

/** The `name=value` of a session that this answer sets; `undefined` if it sets none. */
export const sessionPair = (seen: Observation, cookieName: string): string | undefined =>
  setCookies(seen)
    .find((line) => line.startsWith(`${cookieName}=`))
    ?.split(';')[0]

/** The name of the session cookie in this answer, if it is one of the default names. */
export const sessionName = (seen: Observation): string | undefined =>
  setCookies(seen)
    .map((line) => /^(__(?:Host|Secure)-certlatch)=v/.exec(line)?.[1])
    .find((name) => name !== undefined)
