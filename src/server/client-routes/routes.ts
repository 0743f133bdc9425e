import type { IncomingMessage } from 'node:http'
import type { Context, Middleware } from 'koa'
import { decide, type Grounds } from '../../decide.ts'
import type { Allow, Decision, Deny } from '../../decision.ts'
import {
  PAGES_PREFIX,
  type PageAccess,
  pagePolicy,
  SESSION_PATH,
} from '../../policy/page-policy.ts'
import type { Policy } from '../../policy/policy.ts'
import { readOriginalRequest } from '../../proxy/original-request.ts'
import { createHeaderReader, type RequestHeaders } from '../../proxy/request-headers.ts'
import { isProvenSameOrigin } from '../../proxy/same-origin.ts'
import { signingKey } from '../../session/key-ring.ts'
import type { HtmlDocument } from '../pages/document.ts'
import { type Language, languageOf } from '../pages/languages/languages.ts'
import { resetPage } from '../pages/refusal-pages.ts'
import { rescueModule } from '../pages/scripts.ts'
import { createRefusals, inEachLanguage } from '../verify/refusals.ts'
import {
  type Answer,
  INTERNAL_ERROR,
  logDecision,
  mintCookie,
  rememberTrust,
  type VerifyService,
} from '../verify/route.ts'

export const READ: readonly string[] = ['GET', 'HEAD']

/** A request for a page, once it may be answered. */
export interface Visit {
  readonly context: Context
  readonly headers: RequestHeaders
  readonly language: Language
  readonly nowSeconds: number
  readonly decision: Allow
}

export interface Page {
  readonly access: PageAccess
  readonly methods: readonly string[]
  answer(visit: Visit): void | Promise<void>
}

/** A page that every client may read. */
export const openPage = (answer: Page['answer']): Page => ({
  access: 'open',
  methods: READ,
  answer,
})

/** By the raw path: no other spelling of it is a page. */
export type Pages = (path: string) => Page | undefined

/**
 * The routes that clients reach directly: the proxy passes them on without an auth request, so
 * these requests are decided here, with the same `decide` and the access that the page requires.
 */
export function pagesRoute(service: VerifyService, pages: Pages): Middleware {
  const read = pageHeaderReader(service)
  const refusals = createRefusals(service)
  const isTrusted = rememberTrust(service.trustedProxies)
  const policyFor = rememberPolicies()

  const respond = async (context: Context): Promise<void> => {
    const { req } = context
    const startedAt = performance.now()
    const headers = read(req)
    const nowSeconds = service.nowSeconds()
    const page = pages(pathOf(req))
    const grounds = service.grounds()
    const auth = { fromTrustedAddress: isTrusted(req.socket), headers }
    const policy = policyFor(grounds, page?.access ?? 'open')
    const decided = decide(auth, { ...grounds, policy }, nowSeconds)
    const isServed = page?.methods.includes(context.method) === true
    const setsSession = isServed && signingKey(service.keyRing(), nowSeconds) !== undefined
    const decision = settle(decided, isForeign(page, headers), setsSession)
    service.countDecision(decision, (performance.now() - startedAt) / 1000)
    logDecision(service, decision, headers, req, nowSeconds)
    if (!decision.allow) {
      const acceptLanguage = () => req.headers['accept-language']
      answerRefusal(context, refusals.forRequest(headers, decision, acceptLanguage))
    } else if (page === undefined) {
      answerText(context, 404, 'not found\n')
    } else if (!isServed) {
      context.set('Allow', page.methods.join(', '))
      answerText(context, 405, 'method not allowed\n')
    } else {
      setSession(service, context, decision, nowSeconds)
      const language = languageOf(req.headers['accept-language'])
      await page.answer({ context, headers, language, nowSeconds, decision })
    }
  }

  return async (context) => {
    if (service.endsConnection()) context.set('Connection', 'close')
    context.set('Cache-Control', 'no-store')
    isolate(context)
    try {
      await service.catchUp()
      await respond(context)
    } catch (error) {
      service.logError(error)
      service.countDecision(INTERNAL_ERROR, 0)
      answerRefusal(context, refusals.fallback)
    }
  }
}

/**
 * Headers of every answer. No window of another page, even of this origin, may get a reference to
 * this one, and no other origin may load what it loads. `origin` and `no-referrer` hide the page's
 * address, with the code in it, from the application's scripts in the same tab
 * (`navigation.entries()`; in Firefox 153 only if a link or a form led to the application). With
 * `no-referrer` the page's own forms would send `Origin: null`.
 */
function isolate(context: Context): void {
  context.set('Cross-Origin-Opener-Policy', 'same-origin')
  context.set('Cross-Origin-Resource-Policy', 'same-origin')
  context.set('Referrer-Policy', 'origin')
  context.set('X-Content-Type-Options', 'nosniff')
  context.set('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'")
}

const CROSS_SITE: Deny = { allow: false, via: 'none', reason: 'cross-site' }

/** `decide` does not check which site sends a form where access is open, so public pages check it here. */
function isForeign(page: Page | undefined, headers: RequestHeaders): boolean {
  const { method = '' } = headers
  if (page?.access !== 'open' || !page.methods.includes(method) || READ.includes(method)) {
    return false
  }
  const request = readOriginalRequest(headers)
  return request === undefined || !isProvenSameOrigin(headers, request)
}

/** The decision that is counted, logged and answered: only an answer that can set a session keeps it. */
function settle(decided: Decision, isForeign: boolean, setsSession: boolean): Decision {
  if (!decided.allow) return decided
  if (isForeign) return CROSS_SITE
  return setsSession ? decided : { ...decided, setSession: undefined }
}

const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?', 1)[0] ?? ''

/**
 * Method and path come from the request itself; client and host from the proxy. What a client may
 * have written into the headers of an auth request is ignored.
 */
function pageHeaderReader({ dialect }: VerifyService): (req: IncomingMessage) => RequestHeaders {
  const reader = createHeaderReader(dialect)
  return ({ method, url, rawHeaders }) => {
    const headers = reader.read(rawHeaders)
    const repeated = [...headers.repeated].filter((field) => !OF_THE_REQUEST.has(field))
    return { ...headers, method, uri: url, page: undefined, repeated: new Set(repeated) }
  }
}

const OF_THE_REQUEST: ReadonlySet<string> = new Set(['method', 'uri', 'page'])

/** Creates each policy once per set of rules. */
function rememberPolicies(): (grounds: Grounds, access: PageAccess) => Policy {
  const known = new WeakMap<Policy, Map<PageAccess, Policy>>()
  return ({ policy }, access) => {
    const made = known.get(policy) ?? new Map<PageAccess, Policy>()
    known.set(policy, made)
    const found = made.get(access) ?? pagePolicy(policy, access)
    made.set(access, found)
    return found
  }
}

/** Sets the session of a decision; returns whether there is one, and a key to sign it. */
export function setSession(
  service: VerifyService,
  context: Context,
  decision: Decision,
  nowSeconds: number,
): boolean {
  if (!decision.allow || decision.setSession === undefined) return false
  const key = signingKey(service.keyRing(), nowSeconds)
  if (key === undefined) return false
  context.append('Set-Cookie', mintCookie(service, decision.setSession.claims, key, nowSeconds))
  return true
}

function answerRefusal(context: Context, { status, headers, body }: Answer): void {
  context.status = status
  for (let index = 0; index < headers.length; index += 2) {
    context.set(headers[index] ?? '', headers[index + 1] ?? '')
  }
  context.body = body
}

function answerText(context: Context, status: number, text: string): void {
  context.status = status
  context.body = text
}

/** Answers with an HTML page, under the page's own policy. */
export function answerHtml(context: Context, status: number, page: HtmlDocument): void {
  context.status = status
  context.set('Content-Security-Policy', page.contentSecurityPolicy)
  context.type = 'text/html; charset=utf-8'
  context.body = page.html
}

/** The pages that every service has, whichever CA it uses. */
export function commonPages(sessionTtlSeconds: number): ReadonlyMap<string, Page> {
  const reset = inEachLanguage(resetPage)
  const rescue = rescueModule(sessionTtlSeconds)
  return new Map<string, Page>([
    [
      `${PAGES_PREFIX}reset`,
      openPage(({ context, language }) => answerHtml(context, 200, reset[language])),
    ],
    [
      `${PAGES_PREFIX}rescue.js`,
      openPage(({ context }) => {
        context.type = 'text/javascript; charset=utf-8'
        context.body = rescue
      }),
    ],
    [
      SESSION_PATH,
      {
        access: 'certificate-or-session',
        methods: READ,
        answer: ({ context }) => {
          context.status = 204
        },
      },
    ],
  ])
}
