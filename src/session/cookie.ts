/** The session cookie (RFC 6265bis): writes Set-Cookie and reads Cookie. */

/** Other sites under the same domain can set cookies of this name; more than four are refused. */
const MAX_VALUES = 4
const EQUALS = 0x3d
const SEMICOLON = 0x3b

/** The values of the cookie `name` in a `Cookie` header, in order; `undefined` if more than four. */
export function cookieValues(header: string, name: string): readonly string[] | undefined {
  const values: string[] = []
  for (let from = nextOf(header, name, 0); from !== -1; ) {
    const end = pairEnd(header, from)
    if (header.charCodeAt(from + name.length) === EQUALS) {
      const value = skipWhiteSpace(header, from + name.length + 1, end)
      values.push(header.slice(value, dropWhiteSpace(header, value, end)))
      if (values.length > MAX_VALUES) return undefined
    }
    from = nextOf(header, name, end)
  }
  return values
}

/** The `Cookie` header without the cookie `name`; empty if nothing is left. */
export function withoutCookie(header: string, name: string): string {
  const kept: string[] = []
  let start = 0
  for (let from = nextOf(header, name, 0); from !== -1; ) {
    const end = pairEnd(header, from)
    keepBetween(header, start, from, kept)
    start = end
    from = nextOf(header, name, end)
  }
  keepBetween(header, start, header.length, kept)
  return kept.join('; ')
}

/** Keeps whole pairs, without separators at both ends: a list that begins with one is often misread. */
function keepBetween(header: string, start: number, end: number, kept: string[]): void {
  let from = start
  let to = end
  while (from < to && isBetweenPairs(header, from)) from += 1
  while (from < to && isBetweenPairs(header, to - 1)) to -= 1
  if (from < to) kept.push(header.slice(from, to))
}

/**
 * Returns where the next cookie of this name begins, with or without a value; -1 if there is none.
 * Searches for the name instead of reading each pair: a header may hold 30,000 of them.
 */
function nextOf(header: string, name: string, start: number): number {
  for (let at = header.indexOf(name, start); at !== -1; ) {
    const after = at + name.length
    if (isPairStart(header, at) && isNameEnd(header, after)) return at
    at = header.indexOf(name, after)
  }
  return -1
}

function isPairStart(header: string, at: number): boolean {
  const before = dropWhiteSpace(header, 0, at)
  return before === 0 || header.charCodeAt(before - 1) === SEMICOLON
}

function isNameEnd(header: string, at: number): boolean {
  if (header.charCodeAt(at) === EQUALS) return true
  const next = skipWhiteSpace(header, at, header.length)
  return next === header.length || header.charCodeAt(next) === SEMICOLON
}

function pairEnd(header: string, start: number): number {
  const end = header.indexOf(';', start)
  return end === -1 ? header.length : end
}

/*
 * Spaces and tabs. Not `trim`, which also removes a no-break space: read as a character, the last byte
 * of a UTF-8 "à" is one.
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

const isBetweenPairs = (text: string, index: number): boolean =>
  text.charCodeAt(index) === SEMICOLON || isWhiteSpace(text, index)

export interface CookieAttributes {
  readonly name: string
  /** `undefined` for a `__Host-` cookie. */
  readonly domain: string | undefined
}

/**
 * Cookies outlive their session by a day, to distinguish an expired session from none; the token's own
 * expiry decides.
 */
const COOKIE_GRACE_SECONDS = 86_400

/** The Set-Cookie value. `token` is base64url and dots, so no proxy rewrites it. */
export function sessionCookie(
  { name, domain }: CookieAttributes,
  token: string,
  sessionEnd: number,
  nowSeconds: number,
): string {
  const maxAgeSeconds = Math.max(0, sessionEnd - nowSeconds) + COOKIE_GRACE_SECONDS
  const scope = domain === undefined ? '' : `; Domain=${domain}`
  return `${name}=${token}; Path=/${scope}; Max-Age=${maxAgeSeconds}; Secure; HttpOnly; SameSite=Lax`
}
