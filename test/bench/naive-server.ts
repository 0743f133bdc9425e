import { createHmac, timingSafeEqual } from 'node:crypto'
import Router from '@koa/router'
import Koa from 'koa'
import { Counter, Histogram } from 'prom-client'

// The obvious implementation, for comparison: it checks the cookie's MAC and nothing else, with the
// framework's own means. `naive-server.js <port> <key, base64url>`
const [, , port, key = ''] = process.argv

const answers = new Counter({ name: 'answers_total', help: 'Answers', labelNames: ['status'] })
const duration = new Histogram({ name: 'seconds', help: 'Duration', labelNames: ['status'] })

function isGenuine(token: string): boolean {
  const [version, payload, mac = ''] = token.split('.')
  const expected = createHmac('sha256', Buffer.from(key, 'base64url'))
    .update(`${version}.${payload}`)
    .digest()
  const given = Buffer.from(mac, 'base64url')
  return given.length === expected.length && timingSafeEqual(given, expected)
}

const router = new Router()
router.get('/verify', (context) => {
  const token = context.cookies.get('__Host-certlatch')
  if (token === undefined || !isGenuine(token)) context.throw(403)
  context.set('Cache-Control', 'no-store')
  context.set('Remote-User', 'ada')
  context.status = 200
})

const app = new Koa()
app.use(async (context, next) => {
  const end = duration.startTimer()
  await next()
  answers.inc({ status: context.status })
  end({ status: context.status })
})
app.use(router.routes())
app.listen(Number(port), '127.0.0.1')
