import Koa from 'koa'
import { type Operations, operationsRouter } from './routes/operations.ts'
import { pagesRoute } from './routes/pages.ts'
import { type VerifyService, verifyRoute } from './routes/verify.ts'

type OnError = (error: unknown) => void

/** What the proxy asks: `/verify`, first, and the few pages that pass the gate. */
export function createVerifyApp(service: VerifyService, sessionTtlSeconds: number): Koa {
  const app = createApp((error) => service.logError(error))
  app.use(verifyRoute(service))
  app.use(pagesRoute(sessionTtlSeconds))
  // Koa answers 404, which closes as well; without a line nobody would know why.
  app.use(({ url }) => {
    // Whoever comes through the proxy may ask for what he likes there, however he spells it.
    if (!/(\.|%2e)certlatch/i.test(url)) service.audit.misdirected(url)
  })
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
