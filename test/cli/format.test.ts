import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shellWord, table } from '../../src/cli/format.ts'

test('Columns are aligned by display width, also where rows differ in length', () => {
  assert.equal(table([]), '')
  assert.equal(table([['e\u0301', 'b'], ['long', '', 'c'], []]), 'e\u0301     b\nlong     c\n')
})

test('A shell reads a quoted text as one word', () => {
  assert.equal(shellWord('/data/a-b_c.p12'), '/data/a-b_c.p12')
  assert.equal(shellWord("Ada's phone"), `'Ada'\\''s phone'`)
  assert.equal(shellWord(''), "''")
})
