import assert from 'node:assert/strict'
import { keepAliveAgent } from './client.ts'
import { type Gate, type Request, sessionOf } from './gate.ts'
import type { Credential } from './pki.ts'

/** Sends the same request several times, and makes sure of each answer. */
export async function sendTimes(
  gate: Gate,
  times: number,
  status: number,
  request: Request,
): Promise<void> {
  const agent = keepAliveAgent()
  for (let time = 0; time < times; time += 1) {
    const answer = await gate.send({ ...request, agent })
    assert.equal(answer.status, status)
  }
  agent.destroy()
}

/** The session that a certificate earns. */
export async function openSession(gate: Gate, credential: Credential): Promise<string> {
  const answer = await gate.send({ credential })
  assert.equal(answer.status, 200)
  return sessionOf(answer) ?? assert.fail('no session')
}
