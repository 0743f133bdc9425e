import assert from 'node:assert/strict'
import { openTls } from '../support/client.ts'
import { type Gate, nextNumber } from '../support/gate.ts'
import { pause } from '../support/tools.ts'
import { type Case, ONCE, rawHead } from './case.ts'

export const ENDINGS: readonly Case[] = [
  {
    name: 'a restart or reload ends open WebSockets and event streams within seconds',
    protocols: ONCE,
    endsProxy: true,
    run: async (gate) => {
      const cookie = await gate.session('ada')
      const socket = await gate.openSocket({ cookie })
      assert.equal(await socket.echo('open'), 'echo: open')
      const stream = await openEvents(gate, cookie)
      const { endingSignal, endsWithin } = gate.world.kind
      gate.process.kill(endingSignal)
      let ended: readonly string[] = []
      const both = [
        socket.closed.then(() => {
          ended = [...ended, 'WebSocket']
        }),
        stream.closed.then(() => {
          ended = [...ended, 'event stream']
        }),
      ]
      await Promise.race([Promise.all(both), pause(endsWithin)])
      assert.deepEqual([...ended].sort(), ['WebSocket', 'event stream'], 'ended in time')
    },
  },
]

/** An event stream that is left open. */
export async function openEvents(
  gate: Gate,
  cookie: string,
): Promise<{ readonly closed: Promise<void>; close(): void }> {
  const head = rawHead('GET /events', 'home.example', `Cookie: ${cookie}\r\n`)
  const socket = await openTls(gate.target, undefined)
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  // `Connection: close` ends the connection after the answer, which has no end itself.
  socket.write(head(nextNumber()))
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => chunk.includes('first') && resolve())
  })
  return { closed, close: () => socket.destroy() }
}
