/** The session's cookie (RFC 6265bis), as one line out and as a header in. */

/** Neighbours under the same domain can toss cookies at us; four are looked at, more are refused. */
const MAX_VALUES = 4
const EQUALS = 0x3d

/** The values of the cookie `name` in a `Cookie` header, in order; `undefined` if more than four. */
export function cookieValues(header: string, name: string): readonly string[] | undefined {
  const values: string[] = []
  for (let start = 0; start < header.length; ) {
    const next = pairEnd(header, start)
    const from = skipWhiteSpace(header, start, next)
    if (isNamed(header, from, name)) {
      const value = skipWhiteSpace(header, from + name.length + 1, next)
      values.push(header.slice(value, dropWhiteSpace(header, value, next)))
      if (values.length > MAX_VALUES) return undefined
    }
    start = next + 1
  }
  return values
}

/** The `Cookie` header without the cookie `name`; empty if nothing is left. */
export function withoutCookie(header: string, name: string): string {
  let kept = ''
  for (let start = 0; start < header.length; ) {
    const next = pairEnd(header, start)
    const from = skipWhiteSpace(header, start, next)
    const to = dropWhiteSpace(header, from, next)
    const isBareName = to - from === name.length && header.startsWith(name, from)
    if (from < to && !isBareName && !isNamed(header, from, name)) {
      const pair = header.slice(from, to)
      kept = kept === '' ? pair : `${kept}; ${pair}`
    }
    start = next + 1
  }
  return kept
}

function pairEnd(header: string, start: number): number {
  const end = header.indexOf(';', start)
  return end === -1 ? header.length : end
}

/** Without a string of `name=` to compare with: it would be made anew for each request. */
function isNamed(header: string, from: number, name: string): boolean {
  return header.charCodeAt(from + name.length) === EQUALS && header.startsWith(name, from)
}

/*
 * Spaces and tabs. Not `trim`: that takes a no-break space as well, which is the last byte of a UTF-8
 * "à" when a header's bytes are read as characters.
 */
function skipWhiteSpace(text: string, from: number, to: number): number {
  let start = from
  while (start < to && isWhiteSpace(text, start)) start += 1
  return start
}

function dropWhiteSpace(text: string, from: number, to: number): number {
  let end = to
  while (end > from && isWhiteSpace(text, end - 1)) end -= 1
  return end
}

function isWhiteSpace(text: string, index: number): boolean {
  const code = text.charCodeAt(index)
  return code === 0x20 || code === 0x09
}

export interface CookieAttributes {
  readonly name: string
  /** `undefined` for a `__Host-` cookie. */
  readonly domain: string | undefined
}

/**
 * A day longer than the session itself, whose own expiry decides: so that "your session is over"
 * can be told from "nothing was shown".
 */
const AFTERLIFE_SECONDS = 86_400

/** The one Set-Cookie line. `token` is base64url and dots, so that no proxy rewrites it. */
export function sessionCookie(
  { name, domain }: CookieAttributes,
  token: string,
  sessionEnd: number,
  nowSeconds: number,
): string {
  const maxAgeSeconds = Math.max(0, sessionEnd - nowSeconds) + AFTERLIFE_SECONDS
  const scope = domain === undefined ? '' : `; Domain=${domain}`
  return `${name}=${token}; Path=/${scope}; Max-Age=${maxAgeSeconds}; Secure; HttpOnly; SameSite=Lax`
}
