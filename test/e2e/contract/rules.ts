import assert from 'node:assert/strict'
import { valuesOf } from '../support/backend.ts'
import { IDENTITIES } from '../support/pki.ts'
import {
  assertOpen,
  assertRefused,
  BAD,
  type Case,
  leaks,
  ONCE,
  sessionLines,
  userSeen,
} from './case.ts'

export const RULES: readonly Case[] = [
  {
    name: 'a good certificate is accepted and answered with the session cookie, once',
    run: async (gate, protocol) => {
      const answer = await gate.send({ protocol, credential: 'ada' })
      assertOpen(answer)
      assert.equal(sessionLines(answer).length, 1, 'the session is set once')
      // Traefik rewrites the attributes, in its own order.
      const [line = ''] = sessionLines(answer)
      for (const attribute of ['Path=/', 'Secure', 'HttpOnly', 'SameSite=Lax']) {
        assert.ok(line.split('; ').includes(attribute), `the session has ${attribute}`)
      }
      assert.doesNotMatch(line, /Domain/i)
      assert.equal(answer.questions.length, 1, 'certlatch is asked once')
    },
  },
  {
    name: 'the session cookie alone is accepted for the page',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      const answer = await gate.send({ protocol, cookie })
      assertOpen(answer)
      assert.deepEqual(sessionLines(answer), [], 'a session in its first half is not renewed')
    },
  },
  {
    name: 'without certificate and session everything is denied',
    run: async (gate, protocol) => assertRefused(await gate.send({ protocol })),
  },
  ...BAD.map(
    (credential): Case => ({
      name: `a certificate that is bad (${credential}) is denied, whatever the cookie says`,
      run: async (gate, protocol) => {
        const cookie = await gate.session('ada')
        assertRefused(await gate.send({ protocol, credential, cookie }))
        assertRefused(await gate.send({ protocol, credential }))
      },
    }),
  ),
  {
    name: 'a WebSocket opens with a session, and not with nothing or a bad certificate',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = await gate.session('ada')
      const opened = await gate.openSocket({ cookie })
      assert.equal(opened.status, 101, 'the WebSocket opens')
      assert.equal(await opened.echo('hello'), 'echo: hello')
      opened.close()
      for (const shown of [{}, { credential: 'revoked', cookie } as const]) {
        const refused = await gate.openSocket(shown)
        assert.equal(refused.status, 403, 'the WebSocket is refused')
        assert.equal(refused.seen, undefined, 'the application saw nothing of it')
      }
    },
  },
  {
    name: 'a WebSocket opens with a certificate, and the application learns the user and no more',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = `theirs=1; ${await gate.session('ada')}`
      const opened = await gate.openSocket({ credential: 'ada', cookie })
      assert.equal(opened.status, 101, 'the WebSocket opens')
      opened.close()
      assert.deepEqual(userSeen(opened), [IDENTITIES.ada], 'the user on a WebSocket')
      assert.deepEqual(leaks(gate, opened), [], 'nothing leaks')
      assert.deepEqual(valuesOf(opened.seen?.headers ?? [], 'cookie'), ['theirs=1'])
    },
  },
  {
    name: "a revoked certificate's session ends with it, on the next request",
    protocols: ONCE,
    run: async (gate) => {
      const cookie = await gate.session('lost')
      assertOpen(await gate.send({ cookie }))
      await gate.world.certlatch.hasRevocationList(gate.world.pki.revoke('lost'))
      assertRefused(await gate.send({ cookie }))
      assertRefused(await gate.send({ cookie, protocol: 'HTTP/2' }))
      const socket = await gate.openSocket({ cookie })
      assert.equal(socket.status, 403, 'nor a WebSocket')
      assertOpen(await gate.send({ cookie: await gate.session('ada') }))
    },
  },
]
