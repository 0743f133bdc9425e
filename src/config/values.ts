import { isIP } from 'node:net'
import { DEFAULT_IDENTITY, type IdentityKind } from '../certificate/identity.ts'
import { type Networks, parseNetworks } from '../proxy/networks.ts'
import type { Problems, Result } from '../result.ts'
import { printable } from './text.ts'

/**
 * A value read from a setting's text. A failure without problems of its own means "not what the setting
 * expects", which the table of settings has the words for.
 */
export type Reading<T> = Result<{ value: T }, Partial<Problems>>

const UNEXPECTED = { ok: false } as const

const problem = (text: string) => ({ ok: false, problems: [text] }) as const

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

const PORT = /^(?:0|[1-9]\d{0,4})$/

/** An IP address with a port; IPv6 in brackets. A name could resolve to any address. */
export function readAddress(text: string): Reading<ListenAddress> {
  const [, bracketed, plain, port = ''] = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(text) ?? []
  const hostless = /^:?(\d+)$/.exec(text)?.[1]
  if (hostless !== undefined && isPort(hostless)) {
    return problem(
      `expected a host before the port, such as 127.0.0.1:${hostless} for this machine alone or 0.0.0.0:${hostless} for every network`,
    )
  }
  const host = bracketed ?? plain ?? ''
  if (isIP(host) !== (bracketed === undefined ? 4 : 6) || host.includes('%')) return UNEXPECTED
  return isPort(port) ? { ok: true, value: { host, port: Number(port) } } : UNEXPECTED
}

/** The same as text: `127.0.0.1:9180`, `[::1]:9180`. */
export const writeAddress = ({ host, port }: ListenAddress): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

const isPort = (text: string): boolean => PORT.test(text) && Number(text) <= 65_535

/** White space around a path is a copying mistake; control characters would garble the log. */
export function readPath(text: string): Reading<string> {
  if (text.trim() === text && !/\p{Cc}/u.test(text)) return { ok: true, value: text }
  return problem('expected a path without control characters and without white space around it')
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
] as const
const DURATION = /^(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?$/

/** Seconds from `90s`, `1h30m` or `2d`, between two bounds of the same form. */
export function durationReader(least: string, most: string): (text: string) => Reading<number> {
  const [from = 0, to = 0] = [least, most].map(secondsOf)
  return (text) => {
    const seconds = secondsOf(text)
    if (seconds !== undefined) {
      return seconds >= from && seconds <= to
        ? { ok: true, value: seconds }
        : problem(`expected at least ${least} and at most ${most}`)
    }
    const bare = /^\d{1,9}$/.test(text) ? Number(text) : 0
    if (bare < from || bare > to) return UNEXPECTED
    const spellings = new Set([`${bare}s`, writeDuration(bare)])
    return problem(`expected a unit after the number: write ${[...spellings].join(' or ')}`)
  }
}

function secondsOf(text: string): number | undefined {
  const counts = DURATION.exec(text)?.slice(1)
  if (text === '' || counts === undefined) return undefined
  return UNITS.reduce((sum, [, size], index) => sum + Number(counts[index] ?? 0) * size, 0)
}

/** The duration as a person would write it: `5400` is `1h30m`. */
export function writeDuration(seconds: number): string {
  let rest = seconds
  let text = ''
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size)
    if (count > 0) text += `${count}${unit}`
    rest -= count * size
  }
  return text
}

/** A list separated by commas, white space or both. */
export function readNetworks(text: string): Reading<Networks> {
  const items = text.split(/[\s,]+/).filter((item) => item !== '')
  if (items.length === 0) return UNEXPECTED
  const parsed = parseNetworks(items)
  if (parsed.ok) return { ok: true, value: parsed.networks }
  return { ok: false, problems: parsed.problems.map(printable) }
}

export function choiceReader<T extends string>(
  choices: readonly T[],
): (text: string) => Reading<T> {
  return (text) => {
    const value = choices.find((choice) => choice === text)
    return value === undefined ? UNEXPECTED : { ok: true, value }
  }
}

/** A list of these words, each once, separated by commas, white space or both. */
export function readIdentity(text: string): Reading<readonly IdentityKind[]> {
  const words = text.split(/[\s,]+/).filter((word) => word !== '')
  const kinds = words.flatMap((word) => DEFAULT_IDENTITY.filter((kind) => kind === word))
  const isSound = words.length > 0 && kinds.length === words.length
  return isSound && new Set(kinds).size === kinds.length ? { ok: true, value: kinds } : UNEXPECTED
}

const patternReader =
  (pattern: RegExp) =>
  (text: string): Reading<string> =>
    pattern.test(text) ? { ok: true, value: text } : UNEXPECTED

/** Printable ASCII: what every proxy can put into a header as it is. */
export const readSecret = patternReader(/^[!-~]{16,}$/)

/** Any text on one line. */
export const readPassphrase = patternReader(/^[^\r\n]*$/)

/** As Docker Compose spells the names of its services. */
export const readServiceName = patternReader(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/)

/** Program and arguments; run without a shell, so nothing needs escaping. */
export function readCommand(text: string): Reading<readonly string[]> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return UNEXPECTED
  }
  if (!Array.isArray(value) || value.length === 0 || value[0] === '') return UNEXPECTED
  const isText = (part: unknown) => typeof part === 'string' && !part.includes('\0')
  return value.every(isText) ? { ok: true, value } : UNEXPECTED
}

/**
 * Letters, digits and hyphens only: proxies drop, and applications confuse, names with other
 * characters of an RFC 9110 token (`X_Client_Cert`, `X.Client.Cert`).
 */
const HEADER_NAME = /^[a-z][a-z0-9-]{0,63}$/

/** Names that certlatch, the proxies or HTTP itself read for something else. */
const RESERVED_HEADERS =
  /^(?:accept|access-control|cache|content|if|proxy|sec|x-certlatch|x-forwarded|x-original|x-real)(?:-.*)?$/
const RESERVED_HEADER_NAMES: ReadonlySet<string> = new Set([
  'authorization',
  'client-cert-chain',
  'connection',
  'cookie',
  'date',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'origin',
  'pragma',
  'range',
  'referer',
  'remote-user',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'user-agent',
  'via',
])

/** The name of a certificate header in lower case; `usual`: the names that the proxies use. */
export function headerNameReader(usual: readonly string[]): (text: string) => Reading<string> {
  return (text) => {
    const name = text.toLowerCase()
    if (!HEADER_NAME.test(name)) return UNEXPECTED
    if (usual.includes(name)) return { ok: true, value: name }
    if (RESERVED_HEADERS.test(name) || RESERVED_HEADER_NAMES.has(name)) {
      return problem('expected a header that carries nothing else')
    }
    return { ok: true, value: name }
  }
}

/** RFC 6265 cookie-name with one of the prefixes that browsers enforce (RFC 6265bis §4.1.3). */
const COOKIE_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/

export function cookieNameReader(hasDomain: boolean): (text: string) => Reading<string> {
  const prefix = hasDomain ? '__Secure-' : '__Host-'
  const why = hasDomain ? 'because CERTLATCH_COOKIE_DOMAIN is set' : 'which keeps it to one host'
  return (text) => {
    if (!COOKIE_NAME.test(text)) return UNEXPECTED
    if (text.startsWith(prefix) && text.length > prefix.length) return { ok: true, value: text }
    return problem(`expected a name such as ${prefix}certlatch, beginning with ${prefix}, ${why}`)
  }
}

/** The origin of an https URL, as browsers write it. */
export function readOrigin(text: string): Reading<string> {
  if (!URL.canParse(text)) return UNEXPECTED
  const url = new URL(text)
  if (url.protocol !== 'https:') {
    return problem('expected https, without which no browser shows a certificate')
  }
  if (url.href !== `${url.origin}/`) {
    return problem(`expected no more than the address, ${url.origin}`)
  }
  return { ok: true, value: url.origin }
}

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** URL parsers take a name whose last label is a number for an IPv4 address. */
const ENDS_IN_NUMBER = /\.(?:\d+|0x[0-9a-f]*)$/

/** A host name of two labels or more, in lower case. */
export function readDomain(text: string): Reading<string> {
  const domain = text.toLowerCase()
  const labels = domain.split('.')
  const isName = labels.length >= 2 && domain.length <= 253 && labels.every((l) => LABEL.test(l))
  return isName && !ENDS_IN_NUMBER.test(domain) ? { ok: true, value: domain } : UNEXPECTED
}
