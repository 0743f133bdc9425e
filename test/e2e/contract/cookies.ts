import assert from 'node:assert/strict'
import { APPLICATION_COOKIES, valuesOf } from '../support/backend.ts'
import { SESSION } from '../support/gate.ts'
import { assertOpen, type Case, leaks, ONCE } from './case.ts'

export const COOKIES: readonly Case[] = [
  {
    name: "the session is delivered beside the application's cookies, with a 200",
    run: async (gate, protocol) => {
      const { headers } = await gate.send({ protocol, credential: 'ada' })
      assertBeside(headers['set-cookie'] ?? [])
    },
  },
  {
    name: "the session is delivered beside the application's cookies, with a 404",
    run: async (gate, protocol) => {
      const answer = await gate.send({ protocol, credential: 'ada', path: '/missing' })
      assert.equal(answer.status, 404)
      assertBeside(answer.headers['set-cookie'] ?? [])
    },
  },
  {
    name: 'the session is delivered with a 101',
    protocols: ONCE,
    // Traefik drops it (3.7.15): the page around the WebSocket brings it.
    proxies: ['caddy', 'nginx', 'haproxy'],
    run: async (gate) => {
      const opened = await gate.openSocket({ credential: 'ada' })
      opened.close()
      const lines = opened.setCookie.filter((line) => line.startsWith(SESSION))
      assert.equal(lines.length, 1, 'the session is set once')
    },
  },
  {
    name: 'certificate, secret and session never reach the application; its own cookies do',
    run: async (gate, protocol) => {
      const session = await gate.session('ada')
      for (const cookie of [
        `theirs=1; ${session}; more="a b"`,
        `${session}; theirs=1; more="a b"`,
        `theirs=1; more="a b"; ${session}`,
        `${SESSION}tossed; ${session}; theirs=1; ${SESSION}another; more="a b"`,
      ]) {
        const answer = await gate.send({ protocol, credential: 'ada', cookie })
        assertOpen(answer)
        assert.deepEqual(leaks(gate, answer), [], 'nothing leaks')
        const left = valuesOf(answer.seen.headers, 'cookie').join('; ')
        assert.equal(left.replaceAll(/;[ ;]*/g, '; '), 'theirs=1; more="a b"', 'its own cookies')
        assert.doesNotMatch(left, /^[; ]/, 'its own cookies do not begin with a semicolon')
      }
      const bare = await gate.send({ protocol, cookie: session })
      assertOpen(bare)
      assert.deepEqual(leaks(gate, bare), [], 'nothing leaks')
    },
  },
  {
    name: 'cookies of 6 kB pass',
    run: async (gate, protocol) => {
      const theirs = `theirs=${'x'.repeat(6_000)}`
      const cookie = `${theirs}; ${await gate.session('ada')}`
      const answer = await gate.send({ protocol, cookie })
      assertOpen(answer)
      assert.deepEqual(valuesOf(answer.seen.headers, 'cookie'), [theirs])
    },
  },
]

function assertBeside(lines: readonly string[]): void {
  const own = lines.filter((line) => line.startsWith(SESSION))
  const theirs = lines.filter((line) => !line.startsWith(SESSION))
  assert.equal(own.length, 1, `the session is set once, not ${own.length} times`)
  assert.deepEqual(
    theirs.map((line) => line.replace('Httponly', 'HttpOnly')),
    APPLICATION_COOKIES,
    "the application's cookies are kept",
  )
}
