import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PASSWORD_RANDOM_BYTES, packagePassword } from '../../src/enrollment/password.ts'

const FORM = /^[a-km-np-z2-9]{4}(-[a-km-np-z2-9]{4}){4}$/

const randomBytes = fc.uint8Array({
  minLength: PASSWORD_RANDOM_BYTES,
  maxLength: PASSWORD_RANDOM_BYTES,
})

test('A password is five groups of four characters that are hard to confuse', () => {
  fc.assert(fc.property(randomBytes, (bytes) => assert.match(packagePassword(bytes), FORM)))
})

test('Each character is equally likely, and has five bits of its own', () => {
  const counts = new Map<string, number>()
  for (let byte = 0; byte < 256; byte += 1) {
    const bytes = new Uint8Array(PASSWORD_RANDOM_BYTES).fill(byte)
    const [first = ''] = packagePassword(bytes)
    counts.set(first, (counts.get(first) ?? 0) + 1)
  }
  assert.equal(counts.size, 32)
  assert.deepEqual([...new Set(counts.values())], [8])
})

test('Too few random bytes, or too many, are a bug', () => {
  for (const length of [0, PASSWORD_RANDOM_BYTES - 1, PASSWORD_RANDOM_BYTES + 1]) {
    assert.throws(() => packagePassword(new Uint8Array(length)), /takes 20 random bytes/)
  }
})
