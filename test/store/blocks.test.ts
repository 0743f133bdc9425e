import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Blocks, readBlocks, writeBlocks } from '../../src/store/blocks.ts'

const KEY_HASH = 'dXTtsNklJ9U-VopP_2J5-SWP6lX_Zj3t4QoCkRgVsY8'
const BLOCKS: Blocks = {
  number: 7,
  certificates: [{ issuerKeyHash: KEY_HASH, serial: '4f1c08', blockedAt: 1_795_000_000 }],
  signOuts: [{ name: "Ada's phone", at: 1_795_000_001 }],
}

test('Blocks are read back as they were written', () => {
  assert.deepEqual(readBlocks(writeBlocks(BLOCKS)), BLOCKS)
})

test('An invalid list of blocks is refused, whichever part of it is wrong', () => {
  const [certificate] = BLOCKS.certificates
  const wrong: readonly unknown[] = [
    ...[1, null, 'blocks', [], {}],
    { ...BLOCKS, schemaVersion: 1, number: 0 },
    { ...BLOCKS, schemaVersion: 1, number: 1.5 },
    { ...BLOCKS, schemaVersion: 2 },
    { ...BLOCKS, schemaVersion: 1, certificates: undefined },
    { ...BLOCKS, schemaVersion: 1, certificates: [null] },
    { ...BLOCKS, schemaVersion: 1, certificates: [{ ...certificate, issuerKeyHash: 'short' }] },
    { ...BLOCKS, schemaVersion: 1, certificates: [{ ...certificate, serial: '4F' }] },
    { ...BLOCKS, schemaVersion: 1, certificates: [{ ...certificate, blockedAt: '1' }] },
    { ...BLOCKS, schemaVersion: 1, signOuts: undefined },
    { ...BLOCKS, schemaVersion: 1, signOuts: [null] },
    { ...BLOCKS, schemaVersion: 1, signOuts: [{ name: 'a\nb', at: 1 }] },
    { ...BLOCKS, schemaVersion: 1, signOuts: [{ name: 1, at: 1 }] },
    { ...BLOCKS, schemaVersion: 1, signOuts: [{ name: 'Ada' }] },
  ]
  for (const value of wrong) assert.equal(readBlocks(JSON.stringify(value)), undefined)
  assert.equal(readBlocks('{'), undefined)
})
