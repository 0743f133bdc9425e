/** The session's cookie (RFC 6265bis), as one line out and as a header in. */

/** Neighbours under the same domain can toss cookies at us; four are looked at, more are refused. */
const MAX_VALUES = 4

/** The values of the cookie `name` in a `Cookie` header, in order; `undefined` if more than four. */
export function cookieValues(header: string, name: string): readonly string[] | undefined {
  const values: string[] = []
  const prefix = `${name}=`
  for (let start = 0; start < header.length; ) {
    let end = header.indexOf(';', start)
    if (end === -1) end = header.length
    const pair = withoutWhiteSpace(header, start, end)
    if (pair.startsWith(prefix)) {
      values.push(withoutWhiteSpace(pair, prefix.length, pair.length))
      if (values.length > MAX_VALUES) return undefined
    }
    start = end + 1
  }
  return values
}

/** The `Cookie` header without the cookie `name`; empty if nothing is left. */
export function withoutCookie(header: string, name: string): string {
  const prefix = `${name}=`
  let kept = ''
  for (let start = 0; start < header.length; ) {
    let end = header.indexOf(';', start)
    if (end === -1) end = header.length
    const pair = withoutWhiteSpace(header, start, end)
    if (pair !== '' && pair !== name && !pair.startsWith(prefix)) {
      kept = kept === '' ? pair : `${kept}; ${pair}`
    }
    start = end + 1
  }
  return kept
}

/**
 * The part without spaces and tabs around it. Not `trim`: that takes a no-break space as well, which
 * is the last byte of a UTF-8 "à" when a header's bytes are read as characters.
 */
function withoutWhiteSpace(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isWhiteSpace(text, start)) start += 1
  while (end > start && isWhiteSpace(text, end - 1)) end -= 1
  return text.slice(start, end)
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
