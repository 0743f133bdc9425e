import type { Config } from '../../config/config.ts'
import type { Deny } from '../../decision.ts'
import type { RequestHeaders } from '../../proxy/request-headers.ts'
import type { HtmlDocument } from '../pages/document.ts'
import { LANGUAGES, type Language, languageOf } from '../pages/languages/languages.ts'
import { REFUSAL_KINDS, type RefusalKind, refusalKind } from '../pages/refusal-kinds.ts'
import { expiredPage, latecomerPage, refusalPage } from '../pages/refusal-pages.ts'

/** The answer to a request that is denied. */
export interface Refusal {
  readonly status: 400 | 401 | 403
  readonly body: Buffer
  /** Names and values in turn, as `writeHead` takes them. */
  readonly headers: readonly string[]
}

export interface Refusals {
  /**
   * A page for a person, which says in plain words what is missing. A script gets JSON if it accepts
   * that, otherwise a line of text; neither gives the reason. `acceptLanguage` is called only for a
   * page.
   */
  forRequest(
    headers: RequestHeaders,
    deny: Deny,
    acceptLanguage?: () => string | undefined,
  ): Refusal
  /** The same for nginx's second request, if access was granted in between. */
  forLatecomer(headers: RequestHeaders, acceptLanguage?: () => string | undefined): Refusal
  /** For a request that failed on an internal error. */
  readonly fallback: Refusal
}

const REFUSED_TEXT = 'refused: no valid client certificate or session was shown\n'
const REFUSED_JSON = `${JSON.stringify({ error: 'refused', message: 'no valid client certificate or session was shown' })}\n`

export interface RefusalOptions {
  readonly denial: Config['denial']
  /** Whether the service has enrollment pages, to which a refusal page's form can post a code. */
  readonly hasInvitations: boolean
}

/** Renders all bodies once, except for pages that show a date. */
export function createRefusals({ denial, hasInvitations }: RefusalOptions): Refusals {
  // Both apps of Home Assistant handle a 400 with "client certificate" in it. Safari interprets a 403
  // on such a connection as a refused certificate, and hides the page.
  const html = (page: HtmlDocument) => htmlRefusal(denial === 'adaptive' ? 400 : 403, page)
  const pages = inEachLanguage((language) => ({
    ofKind: Object.fromEntries(
      REFUSAL_KINDS.map((kind) => [kind, html(refusalPage(kind, language, { hasInvitations }))]),
    ) as Readonly<Record<RefusalKind, Refusal>>,
    latecomer: html(latecomerPage(language)),
  }))
  const plain = programRefusals(403, [])
  // On a 403 here, Home Assistant's page considers its login expired, and logs the user out.
  const challenge = ['WWW-Authenticate', 'Certlatch realm="client certificate"']
  const atTokens = denial === 'adaptive' ? programRefusals(401, challenge) : plain
  const forProgram = (headers: RequestHeaders): Refusal => {
    const { json, text } = isTokenRequest(headers) ? atTokens : plain
    return headers.accept?.includes('application/json') ? json : text
  }
  return {
    forRequest: (headers, { reason, notAfter }, acceptLanguage) => {
      if (!isNavigation(headers)) return forProgram(headers)
      const language = languageOf(acceptLanguage?.())
      return notAfter === undefined
        ? pages[language].ofKind[refusalKind(reason)]
        : html(expiredPage(notAfter, language))
    },
    forLatecomer: (headers, acceptLanguage) =>
      isNavigation(headers) ? pages[languageOf(acceptLanguage?.())].latecomer : forProgram(headers),
    fallback: htmlRefusal(403, refusalPage(refusalKind('internal-error'), 'en')),
  }
}

export const inEachLanguage = <T>(make: (language: Language) => T): Readonly<Record<Language, T>> =>
  Object.fromEntries(
    (Object.keys(LANGUAGES) as Language[]).map((language) => [language, make(language)]),
  ) as Readonly<Record<Language, T>>

function htmlRefusal(status: Refusal['status'], page: HtmlDocument): Refusal {
  const policy = ['Content-Security-Policy', page.contentSecurityPolicy]
  return refusal(status, page.html, 'text/html; charset=utf-8', policy)
}

function programRefusals(status: Refusal['status'], more: readonly string[]) {
  return {
    json: refusal(status, REFUSED_JSON, 'application/json; charset=utf-8', more),
    text: refusal(status, REFUSED_TEXT, 'text/plain; charset=utf-8', more),
  }
}

function refusal(
  status: Refusal['status'],
  text: string,
  type: string,
  more: readonly string[],
): Refusal {
  const body = Buffer.from(text, 'utf8')
  const headers = [
    'Cache-Control',
    'no-store',
    'X-Certlatch',
    'refused',
    'Content-Type',
    type,
    'Content-Length',
    String(body.length),
    'X-Content-Type-Options',
    'nosniff',
    ...more,
  ]
  return { status, body, headers }
}

/** Returns whether a browser will display the answer; without Sec-Fetch-Mode, whether it accepts HTML. */
function isNavigation({ method, secFetchMode, accept }: RequestHeaders): boolean {
  if (secFetchMode !== undefined) return secFetchMode === 'navigate'
  if (method !== 'GET' && method !== 'HEAD') return false
  return accept?.includes('text/html') === true
}

function isTokenRequest({ method, uri }: RequestHeaders): boolean {
  if (method !== 'POST' || uri === undefined) return false
  return uri === '/auth/token' || uri.startsWith('/auth/token?')
}
