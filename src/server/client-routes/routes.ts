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
import { resetPage } from '../pages/reset-page.ts'
import { rescueModule } from '../pages/scripts.ts'
import { createRefusals, inEachLanguage } from '../verify/refusals.ts'
import { logDecision, mintCookie, rememberTrust, type VerifyService } from '../verify/route.ts'

const READ: readonly string[] = ['GET', 'HEAD']

/** A request for a page that may be answered. */
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

/** By the path as it was sent: no other spelling of it is a page. */
export type Pages = (path: string) => Page | undefined

/**
 * What clients themselves reach of certlatch, through a route of the proxy that does not ask
 * `/verify`: the request is judged here, by the same `decide`, as the page says that it wants it.
 */
export function pagesRoute(service: VerifyService, pages: Pages): Middleware {
  const read = pageHeaderReader(service)
  const refusals = createRefusals(service.denial)
  const isTrusted = rememberTrust(service.trustedProxies)
  const policyFor = rememberPolicies()

  const respond = async (context: Context): Promise<void> => {
    const { req } = context
    const startedAt = performance.now()
    const headers = read(req)
    const nowSeconds = service.nowSeconds()
    const page = pages(pathOf(req))
    const grounds = service.grounds()
    const question = { fromTrustedAddress: isTrusted(req.socket), headers }
    const policy = policyFor(grounds, page?.access ?? 'open')
    const judged = decide(question, { ...grounds, policy }, nowSeconds)
    const decision = judged.allow && isForeign(page, headers) ? CROSS_SITE : judged
    service.countDecision(decision, (performance.now() - startedAt) / 1000)
    logDecision(service, decision, headers, req, nowSeconds)
    if (!decision.allow) {
      const acceptLanguage = () => req.headers['accept-language']
      answerRefusal(context, refusals.forRequest(headers, decision, acceptLanguage))
    } else if (page === undefined) {
      answerText(context, 404, 'not found\n')
    } else if (!page.methods.includes(context.method)) {
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
 * Headers of every answer: no window of another page, not even of this origin, gets hold of this one,
 * and no other origin of what it loads. `origin` and `no-referrer` hide the page's address, with the code
 * in it, from scripts of the application in the same tab (`navigation.entries()`; in Firefox 153 only if a
 * link or a form led there). Under `no-referrer` the page's own forms would send `Origin: null`.
 */
function isolate(context: Context): void {
  context.set('Cross-Origin-Opener-Policy', 'same-origin')
  context.set('Cross-Origin-Resource-Policy', 'same-origin')
  context.set('Referrer-Policy', 'origin')
  context.set('X-Content-Type-Options', 'nosniff')
  context.set('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'")
}

const CROSS_SITE: Deny = { allow: false, via: 'none', reason: 'cross-site' }

/** On a public page `decide` does not ask who sends a form: no rule does, where all may come. */
function isForeign(page: Page | undefined, headers: RequestHeaders): boolean {
  const { method = '' } = headers
  if (page?.access !== 'open' || !page.methods.includes(method) || READ.includes(method)) {
    return false
  }
  const request = readOriginalRequest(headers)
  return request === undefined || !isProvenSameOrigin(headers, request)
}

const INTERNAL_ERROR: Deny = { allow: false, via: 'none', reason: 'internal-error' }

const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?', 1)[0] ?? ''

/**
 * The request itself says what is asked for; who asks, and at which host, the proxy. What a client
 * may have written into the headers of an auth request means nothing here.
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

/** Made once for each set of rules. */
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

function setSession(
  service: VerifyService,
  context: Context,
  decision: Decision,
  nowSeconds: number,
): void {
  if (!decision.allow || decision.setSession === undefined) return
  const key = signingKey(service.keyRing(), nowSeconds)
  if (key === undefined) return
  context.append('Set-Cookie', mintCookie(service, decision.setSession.claims, key, nowSeconds))
}

interface ReadyAnswer {
  readonly status: number
  readonly headers: readonly string[]
  readonly body?: Buffer
}

function answerRefusal(context: Context, { status, headers, body }: ReadyAnswer): void {
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

/** Answers with a page of HTML, under its own policy. */
export function answerHtml(context: Context, status: number, page: HtmlDocument): void {
  context.status = status
  context.set('Content-Security-Policy', page.contentSecurityPolicy)
  context.type = 'text/html; charset=utf-8'
  context.body = page.html
}

/** The pages that every service has. */
export function standingPages(sessionTtlSeconds: number): ReadonlyMap<string, Page> {
  const reset = inEachLanguage(resetPage)
  const rescue = rescueModule(sessionTtlSeconds)
  return new Map<string, Page>([
    [
      `${PAGES_PREFIX}reset`,
      {
        access: 'open',
        methods: READ,
        answer: ({ context, language }) => answerHtml(context, 200, reset[language]),
      },
    ],
    [
      `${PAGES_PREFIX}rescue.js`,
      {
        access: 'open',
        methods: READ,
        answer: ({ context }) => {
          context.type = 'text/javascript; charset=utf-8'
          context.body = rescue
        },
      },
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
