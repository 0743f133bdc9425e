import assert from 'node:assert/strict'
import { assertOpen, BAD, type Case, HTML, sessionLines } from './case.ts'

/** Shown at a certlatch with CERTLATCH_DENIAL=adaptive. */
export const ADAPTIVE_CASES: readonly Case[] = [
  {
    name: 'with CERTLATCH_DENIAL=adaptive a refused page is a 400, a refused token request a 401, everything else a 403',
    run: async (gate, protocol) => {
      const body = Buffer.from('grant_type=refresh_token')
      const token = { method: 'POST', path: '/auth/token', body } as const
      const cookie = await gate.session('ada')
      assertOpen(await gate.send({ protocol, cookie, headers: HTML }))
      for (const shown of [{}, ...BAD.map((credential) => ({ credential, cookie }))]) {
        for (const [request, status] of [
          [{ headers: HTML }, 400],
          [token, 401],
          [{}, 403],
          [{ path: '/api/websocket' }, 403],
          [{ method: 'POST', path: '/auth/login_flow', body }, 403],
        ] as const) {
          const answer = await gate.send({ protocol, ...request, ...shown })
          assert.equal(answer.status, status, `adaptive: expected ${status}, got ${answer.status}`)
          assert.match(answer.body, /client certificate/)
          assert.equal(answer.seen, undefined, 'the application saw nothing of it')
          assert.deepEqual(sessionLines(answer), [], 'no session is set')
          assert.deepEqual(answer.headers['x-certlatch'], ['refused'], "in certlatch's words")
        }
      }
    },
  },
]
