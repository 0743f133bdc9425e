import Koa from 'koa'
import { type Operations, operationsRouter } from './admin/routes.ts'
import { type Pages, pagesRoute } from './client-routes/routes.ts'
import { type VerifyService, verifyRoute } from './verify/route.ts'

type OnError = (error: unknown) => void

/** The application for auth requests: `/verify`. */
export function createVerifyApp(service: VerifyService): Koa {
  const app = createApp((error) => service.logError(error))
  app.use(verifyRoute(service))
  // Koa answers 404, which denies as well; the log says why.
  app.use(({ url }) => service.decisionLog.unexpectedPath(url))
  return app
}

/** The pages that the proxy forwards clients to, on a listener of their own. */
export function createPagesApp(service: VerifyService, pages: Pages): Koa {
  const app = createApp((error) => service.logError(error))
  app.use(pagesRoute(service, pages))
  return app
}

/** The operator's endpoints, on a listener of their own. */
export function createAdminApp(operations: Operations, onError: OnError): Koa {
  const app = createApp(onError)
  app.use(async (context, next) => {
    context.set('Cache-Control', 'no-store')
    // Otherwise the next request would meet a connection that is being closed.
    if (operations.isDraining()) context.set('Connection', 'close')
    await next()
  })
  app.use(operationsRouter(operations).routes())
  return app
}

function createApp(onError: OnError): Koa {
  const app = new Koa({ proxy: false })
  // Without a listener, Koa prints errors itself.
  app.on('error', onError)
  return app
}
