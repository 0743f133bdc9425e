import Koa from 'koa'
import { type Operations, operationsRouter } from './admin/routes.ts'
import { type Pages, pagesRoute } from './client-routes/routes.ts'
import { type VerifyService, verifyRoute } from './verify/route.ts'

type OnError = (error: unknown) => void

/** What the proxy asks: `/verify`. */
export function createVerifyApp(service: VerifyService): Koa {
  const app = createApp((error) => service.logError(error))
  app.use(verifyRoute(service))
  // Koa answers 404, which denies as well; the log says why.
  app.use(({ url }) => service.decisionLog.unexpectedPath(url))
  return app
}

/** The pages that the proxy passes to clients, on a listener of their own. */
export function createPagesApp(service: VerifyService, pages: Pages): Koa {
  const app = createApp((error) => service.logError(error))
  app.use(pagesRoute(service, pages))
  return app
}

/** What the operator asks, on a listener of its own. */
export function createAdminApp(operations: Operations, onError: OnError): Koa {
  const app = createApp(onError)
  app.use(async (context, next) => {
    context.set('Cache-Control', 'no-store')
    // Else the next question would meet a connection that is being closed.
    if (operations.isDraining()) context.set('Connection', 'close')
    await next()
  })
  app.use(operationsRouter(operations).routes())
  return app
}

function createApp(onError: OnError): Koa {
  const app = new Koa({ proxy: false })
  // Koa prints errors by itself unless somebody listens.
  app.on('error', onError)
  return app
}
