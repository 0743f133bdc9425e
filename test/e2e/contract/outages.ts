import assert from 'node:assert/strict'
import { keepAliveAgent } from '../support/client.ts'
import type { Answer, Gate, Request } from '../support/gate.ts'
import { pause } from '../support/tools.ts'
import { assertClosed, assertOpen, assertRefused, type Case, ONCE } from './case.ts'

export const OUTAGES: readonly Case[] = [
  {
    name: 'certlatch down: denied, with a 5xx',
    run: async (gate, protocol) => {
      const cookie = await gate.session('ada')
      await gate.world.relay.set('down')
      try {
        for (const shown of [{ cookie }, { credential: 'ada' }, {}] as const) {
          const answer = await gate.send({ protocol, ...shown })
          assertClosed(answer)
          assert.ok(answer.status >= 500, `a 5xx, not ${answer.status}`)
        }
        const socket = protocol === 'HTTP/1.1' ? await gate.openSocket({ cookie }) : undefined
        if (socket) assertClosed(socket)
      } finally {
        await gate.world.relay.set('up')
      }
      assertOpen(await gate.send({ protocol, cookie }))
    },
  },
  {
    name: 'certlatch silent: denied after five seconds, with a 5xx',
    protocols: ONCE,
    // Traefik's limit is 30 s, and fixed.
    proxies: ['caddy', 'nginx', 'haproxy'],
    run: async (gate) => {
      const cookie = await gate.session('ada')
      await gate.world.relay.set('silent')
      try {
        const answer = await Promise.race([gate.send({ cookie }), pause(6_500)])
        assert.ok(answer, 'silent: an answer comes')
        assertClosed(answer)
        assert.ok(answer.status >= 500, `a 5xx, not ${answer.status}`)
      } finally {
        await gate.world.relay.set('up')
      }
    },
  },
  {
    name: '1,000 requests one after another need no more than 5 connections to certlatch',
    protocols: ONCE,
    run: async (gate) => {
      const cookie = await gate.session('ada')
      const before = gate.world.relay.connections
      await sendMany(gate, 1_000, { cookie }, assertOpen)
      const opened = gate.world.relay.connections - before
      assert.ok(opened <= 5, `connections: ${opened}`)
    },
  },
  {
    name: '100 refusals one after another need no more than 5 connections to certlatch',
    protocols: ONCE,
    run: async (gate) => {
      const before = gate.world.relay.connections
      await sendMany(gate, 100, {}, assertRefused)
      const opened = gate.world.relay.connections - before
      assert.ok(opened <= 5, `connections: ${opened}`)
    },
  },
  {
    name: 'a refusal is counted once',
    run: async (gate, protocol) => {
      const { certlatch } = gate.world
      const before = await certlatch.refusals()
      assertRefused(await gate.send({ protocol }))
      assert.equal(await certlatch.refusals(), before + 1, 'counted once')
    },
  },
]

async function sendMany(
  gate: Gate,
  count: number,
  shown: Request,
  check: (answer: Answer) => void,
): Promise<void> {
  const agent = keepAliveAgent()
  for (let sent = 0; sent < count; sent += 1) check(await gate.send({ ...shown, agent }))
  agent.destroy()
}
