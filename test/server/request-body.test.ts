import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { readFields } from '../../src/server/client-routes/request-body.ts'

/** A request whose body the test writes. */
function arriving(headers: Readonly<Record<string, string>> = {}) {
  const body = new PassThrough()
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  const request = Object.assign(body, { headers: { ...type, ...headers } })
  return { body, fields: readFields(request as unknown as IncomingMessage) }
}

test('A body is read to its end', async () => {
  const { body, fields } = arriving()
  body.write('code=k7')
  body.end('fm')
  assert.equal((await fields)?.text('code'), 'k7fm')
})

test('A body that is not complete within ten seconds is abandoned', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const { body, fields } = arriving()
  body.write('code=k7')
  context.mock.timers.tick(10_000)
  assert.equal(await fields, undefined)
})

test('A body of more than 16 KiB is abandoned, whatever its Content-Length says', async () => {
  const declared = arriving({ 'content-length': String(16 * 1024 + 1) })
  assert.equal(await declared.fields, undefined)
  const { body, fields } = arriving({ 'content-length': '9' })
  body.write('a'.repeat(16 * 1024 + 1))
  assert.equal(await fields, undefined)
})

test('A body whose client disconnects is abandoned', async () => {
  const { body, fields } = arriving()
  body.write('code=k7')
  body.destroy()
  assert.equal(await fields, undefined)
})
