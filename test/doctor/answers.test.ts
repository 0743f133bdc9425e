import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  isFromApplication,
  isProxyError,
  sessionName,
  summaryOf,
} from '../../src/doctor/answers.ts'
import { answer, LET_IN, NO_ANSWER, REFUSED } from '../support/doctor.ts'

test('The session cookie is recognised by its default names, with a domain or without', () => {
  for (const [line, name] of [
    ['__Host-certlatch=v1.a.b; Path=/', '__Host-certlatch'],
    ['__Secure-certlatch=v1.a.b; Domain=example', '__Secure-certlatch'],
    ['theme=v1.a.b', undefined],
  ] as const) {
    assert.equal(sessionName(answer(200, { 'set-cookie': ['a=b', line] })), name)
  }
  assert.equal(sessionName(NO_ANSWER), undefined)
})

const CADDY = { server: 'Caddy' }

test("An error page is recognised as the proxy's own by its status, its words, or Caddy's empty answer", () => {
  for (const [seen, isProxys] of [
    [answer(200, {}, 'Bad Gateway'), false],
    [answer(421), true],
    [answer(429, {}, 'Too Many Requests'), true],
    [answer(502), true],
    [answer(504), true],
    [answer(500, {}, 'Internal Server Error'), true],
    [answer(500, {}, 'of the application'), false],
    [answer(404, CADDY), true],
    [answer(404, { ...CADDY, via: '1.1 Caddy' }), false],
    [answer(404, CADDY, 'of the application'), false],
  ] as const) {
    assert.equal(isProxyError(seen), isProxys, JSON.stringify(seen))
  }
})

test("A response is described in a few words, and classified as the application's or not", () => {
  for (const [seen, words, isApplication] of [
    [NO_ANSWER, 'no answer within 3 s', false],
    [REFUSED, '403, refused by certlatch', false],
    [LET_IN, '200', true],
    [answer(403), '403', false],
    [answer(500, {}, 'of the application'), '500', false],
    [answer(502), '502 from the proxy', false],
    [answer(404, {}, 'of the application'), '404', true],
  ] as const) {
    assert.deepEqual([summaryOf(seen), isFromApplication(seen)], [words, isApplication])
  }
})
