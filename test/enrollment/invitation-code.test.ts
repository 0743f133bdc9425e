import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  invitationCode,
  invitationId,
  isInvitationId,
  isNonce,
  nonceHash,
  readInvitationCode,
} from '../../src/enrollment/invitation-code.ts'
import { PASSWORD_RANDOM_BYTES } from '../../src/enrollment/password.ts'

const randomBytes = fc.uint8Array({
  minLength: PASSWORD_RANDOM_BYTES,
  maxLength: PASSWORD_RANDOM_BYTES,
})
const codes = randomBytes.map(invitationCode)
/** What people, keyboards and mail programs put between characters. */
const separators = fc.constantFrom('', '', '', '-', ' ', '\u2011', '\u2013', '\u2014', '\u00a0')

test('A code is 20 characters of the password alphabet', () => {
  fc.assert(fc.property(codes, (code) => assert.match(code, /^[a-km-np-z2-9]{20}$/)))
})

test('Too few random bytes, or too many, are a bug', () => {
  for (const length of [0, 19, 21]) {
    assert.throws(() => invitationCode(new Uint8Array(length)), /takes 20 random bytes/)
  }
})

test('A code is read in any case, with hyphens and spaces anywhere', () => {
  const typed = fc
    .tuple(codes, fc.array(separators, { minLength: 21, maxLength: 21 }), fc.boolean())
    .map(([code, between, isUpper]) => {
      const text = [...code].map((letter, index) => `${between[index]}${letter}`).join('')
      return { code, text: `${isUpper ? text.toUpperCase() : text}${between[20]}` }
    })
  fc.assert(fc.property(typed, ({ code, text }) => readInvitationCode(text) === code))
})

test('A code is read from the end of its link', () => {
  for (const text of ['https://ha.test/.certlatch/auth/enroll#', ' #', '#a#']) {
    assert.equal(readInvitationCode(`${text}k7fmx2ab9tqeuw4rc8hn `), 'k7fmx2ab9tqeuw4rc8hn')
  }
  assert.equal(readInvitationCode('k7fmx2ab9tqeuw4rc8hn#'), undefined)
})

test('Anything else is not a code', () => {
  const wrong = ['', 'k7fm', 'k7fmx2ab9tqeuw4rc8h', 'k7fmx2ab9tqeuw4rc8hnn', 'k7fmx2ab9tqeuw4rc8h0']
  const odd = [
    'k7fmx2ab9tqeuw4rc8h_',
    `${' '.repeat(41)}k7fmx2ab9tqeuw4rc8hn`,
    'k7fmx2ab9tqeuw4rc8hñ',
  ]
  for (const text of [...wrong, ...odd]) assert.equal(readInvitationCode(text), undefined, text)
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
      const code = readInvitationCode(text)
      return code === undefined || /^[a-km-np-z2-9]{20}$/.test(code)
    }),
  )
})

test('The id is a hash: different for every code, and it does not contain the code', () => {
  fc.assert(
    fc.property(codes, codes, (one, other) => {
      assert.ok(isInvitationId(invitationId(one)))
      assert.equal(invitationId(one) === invitationId(other), one === other)
      assert.ok(!invitationId(one).includes(one))
    }),
  )
  for (const text of ['', '..', 'A'.repeat(32), 'a'.repeat(31), `${'a'.repeat(32)}\n`]) {
    assert.equal(isInvitationId(text), false)
  }
})

test('A nonce is 1 to 64 characters of base64url', () => {
  for (const text of ['a', 'Az09_-', 'x'.repeat(64)]) assert.equal(isNonce(text), true)
  for (const text of ['', 'a b', 'é', 'a\n', 'x'.repeat(65)]) assert.equal(isNonce(text), false)
  assert.notEqual(nonceHash('a'), nonceHash('b'))
})
