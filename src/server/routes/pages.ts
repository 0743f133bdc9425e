import type { Middleware } from 'koa'
import { resetPage } from '../pages/reset-page.ts'
import { rescueModule } from '../pages/scripts.ts'

interface Page {
  readonly type: string
  readonly body: Buffer
  readonly policy: string
}

/**
 * The pages that pass the gate themselves, for those whom it refuses. They are the same for
 * everybody: nothing of a request is read but method and path, and the path must be the raw one,
 * so that no detour leads from here to `/verify` with headers that no proxy has cleaned.
 */
export function pagesRoute(sessionTtlSeconds: number): Middleware {
  const reset = resetPage('en')
  const pages: ReadonlyMap<string, Page> = new Map([
    [
      '/.certlatch/auth/reset',
      {
        type: 'text/html; charset=utf-8',
        body: Buffer.from(reset.html, 'utf8'),
        policy: reset.contentSecurityPolicy,
      },
    ],
    [
      '/.certlatch/auth/rescue.js',
      {
        type: 'text/javascript; charset=utf-8',
        body: Buffer.from(rescueModule(sessionTtlSeconds), 'utf8'),
        policy: "default-src 'none'",
      },
    ],
  ])
  return (context, next) => {
    const { url = '' } = context.req
    const page = pages.get(url.split('?', 1)[0] ?? '')
    if (page === undefined) return next()
    context.set('Cache-Control', 'no-store')
    if (context.method !== 'GET' && context.method !== 'HEAD') {
      context.status = 405
      context.set('Allow', 'GET, HEAD')
      return undefined
    }
    context.set('X-Content-Type-Options', 'nosniff')
    context.set('Cross-Origin-Resource-Policy', 'same-origin')
    context.set('Content-Security-Policy', page.policy)
    context.type = page.type
    context.body = page.body
    return undefined
  }
}
