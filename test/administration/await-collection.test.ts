import assert from 'node:assert/strict'
import { test } from 'node:test'
import { awaitCollection } from '../../src/administration/await-collection.ts'
import { settle } from '../../src/store/invitations.ts'
import { temporaryFolder } from '../support/service.ts'

const ID = '0123456789abcdef0123456789abcdef'
const NEVER = new Promise<void>(() => {})

test('A collection and an expiry are both reported, and Ctrl-C leaves the invitation valid', async () => {
  const folder = await temporaryFolder()
  const invitation = { id: ID, endsAt: 100 }
  const waiting = (now: number, stop = NEVER) =>
    awaitCollection(folder, invitation, () => now, stop)
  assert.equal(await waiting(99, Promise.resolve()), undefined)
  assert.deepEqual(await waiting(100), { outcome: 'ended', at: 100 })
  const collected = { outcome: 'collected', at: 50, nonceHash: 'n', by: 'iPhone' } as const
  assert.equal(await settle(folder, ID, collected), true)
  assert.deepEqual(await waiting(100), collected)
})
