import assert from 'node:assert/strict'
import { createDecipheriv, createHmac } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { SEALING_IV_BYTES, type SealingKey, seal, unseal } from '../../src/enrollment/sealing.ts'

const contents = fc.uint8Array({ maxLength: 200 })
const vectors = fc.uint8Array({ minLength: SEALING_IV_BYTES, maxLength: SEALING_IV_BYTES })
const keys: fc.Arbitrary<SealingKey> = fc.record({
  secret: fc.oneof(fc.string({ minLength: 1 }), fc.uint8Array({ minLength: 1 })),
  purpose: fc.constantFrom('code', 'cookie'),
  id: fc.string({ minLength: 1 }),
})

test('Sealed data can be opened with the same key', () => {
  fc.assert(
    fc.property(contents, keys, vectors, (content, key, iv) => {
      assert.deepEqual(unseal(seal(content, key, iv), key), Buffer.from(content))
    }),
  )
})

test('Another secret, purpose or id opens nothing', () => {
  fc.assert(
    fc.property(contents, keys, vectors, (content, key, iv) => {
      const sealed = seal(content, key, iv)
      const purpose = key.purpose === 'code' ? 'cookie' : 'code'
      assert.equal(unseal(sealed, { ...key, secret: 'another secret, longer than all' }), undefined)
      assert.equal(unseal(sealed, { ...key, purpose }), undefined)
      assert.equal(unseal(sealed, { ...key, id: `${key.id}'` }), undefined)
    }),
  )
})

test('A changed bit, or a missing byte, opens nothing', () => {
  fc.assert(
    fc.property(contents, keys, vectors, fc.nat(), (content, key, iv, at) => {
      const sealed = seal(content, key, iv)
      const bit = at % (sealed.length * 8)
      const changed = Buffer.from(sealed)
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      assert.equal(unseal(changed, key), undefined)
      assert.equal(unseal(sealed.subarray(0, at % sealed.length), key), undefined)
    }),
  )
})

test('It is AES-256-GCM under HKDF-SHA-256, as an independent implementation computes it', () => {
  const key: SealingKey = { secret: 'k7fmx2ab9tqeuw4rc8hn', purpose: 'code', id: 'an id' }
  const sealed = seal(Buffer.from('content'), key, Buffer.alloc(12, 7))
  // RFC 5869: extract, then one block of expand.
  const extracted = createHmac('sha256', key.id).update(key.secret).digest()
  const info = 'certlatch invitation sealed under a code'
  const derived = createHmac('sha256', extracted).update(`${info}\u0001`).digest()
  const decipher = createDecipheriv('aes-256-gcm', derived, Buffer.alloc(12, 7))
  decipher.setAAD(Buffer.from('an id'))
  decipher.setAuthTag(sealed.subarray(-16))
  const opened = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])
  assert.equal(opened.toString(), 'content')
})
