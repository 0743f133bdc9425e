import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { readFields } from '../../src/server/client-routes/request-body.ts'

/** A request whose body is written by the test. */
function arriving(headers: Readonly<Record<string, string>> = {}) {
  const body = new PassThrough()
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  const request = Object.assign(body, { headers: { ...type, ...headers } })
  return { body, fields: readFields(request as unknown as IncomingMessage) }
}

test('a body is read to its end', async () => {
  const { body, fields } = arriving()
  body.write('code=k7')
  body.end('fm')
  assert.equal((await fields)?.text('code'), 'k7fm')
})

test('one that does not come to its end within ten seconds is given up', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const { body, fields } = arriving()
  body.write('code=k7')
  context.mock.timers.tick(10_000)
  assert.equal(await fields, undefined)
})

test('one that grows beyond 16 KiB is given up, whatever length was announced', async () => {
  const announced = arriving({ 'content-length': String(16 * 1024 + 1) })
  assert.equal(await announced.fields, undefined)
  const { body, fields } = arriving({ 'content-length': '9' })
  body.write('a'.repeat(16 * 1024 + 1))
  assert.equal(await fields, undefined)
})

test('one whose client goes away is given up', async () => {
  const { body, fields } = arriving()
  body.write('code=k7')
  body.destroy()
  assert.equal(await fields, undefined)
})
