import { createHash, timingSafeEqual } from 'node:crypto'
import { createRequire } from 'node:module'
import type Router from '@koa/router'
import type { Context, Middleware } from 'koa'

/** The CommonJS build: the other one imports `node:http`, with the cost that http-server.ts describes. */
const koaRouter = createRequire(import.meta.url)('@koa/router') as typeof import('@koa/router')

export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

/** The content of `/readyz`. */
export interface Readiness {
  readonly ready: boolean
  readonly checks: readonly Check[]
  /** Which session keys are loaded: equal at all replicas that accept each other's cookies. */
  readonly keySet: string
  /** The lowest loaded cRLNumber, decimal. */
  readonly crlNumber: string | undefined
}

/** The metrics in one of Prometheus' text formats. */
export interface Scraped {
  readonly type: string
  readonly text: string
}

export interface Operations {
  /** In the format that this Accept header prefers. */
  metrics(accept: string): Promise<Scraped>
  readonly metricsToken: string | undefined
  readiness(): Readiness
  /** Whether answers close their connection, because the service is stopping. */
  isDraining(): boolean
  /** The content of `/status`, as JSON. */
  status(): object
}

/** The endpoints of the admin listener. */
export function operationsRouter(operations: Operations): Router {
  const { metrics, metricsToken } = operations
  const router = new koaRouter.Router()
  router.get('/healthz', (context) => {
    context.body = 'ok'
  })
  router.get('/readyz', (context) => {
    const readiness = operations.readiness()
    context.status = readiness.ready ? 200 : 503
    answerJson(context, readiness)
  })
  router.get('/metrics', withToken(metricsToken), async (context) => {
    const { type, text } = await metrics(context.get('accept'))
    context.type = type
    context.body = text
  })
  router.get('/status', withToken(metricsToken), (context) => {
    answerJson(context, operations.status())
  })
  return router
}

/** Writes the JSON itself: for an object, Koa looks at `Response` first, which loads all of `fetch`. */
function answerJson(context: Context, value: object): void {
  context.type = 'json'
  context.body = JSON.stringify(value)
}

/** Requires the token, if one is set: these endpoints show which devices connected, and when. */
function withToken(token: string | undefined): Middleware {
  return (context, next) => {
    if (isAuthorized(context, token)) return next()
    context.status = 401
    context.set('WWW-Authenticate', 'Bearer realm="certlatch"')
    context.body = 'this needs the bearer token of CERTLATCH_METRICS_TOKEN\n'
    return undefined
  }
}

/** Compares hashes, which all have the same length, so that timing reveals nothing about the token. */
function isAuthorized(context: Context, token: string | undefined): boolean {
  if (token === undefined) return true
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const [, given = ''] = /^bearer +(\S+)$/i.exec(context.get('authorization')) ?? []
  return timingSafeEqual(digest(given), digest(token))
}
