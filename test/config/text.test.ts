import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nearest, printable, quote } from '../../src/config/text.ts'
import { deviceNameProblem } from '../../src/enrollment/device-name.ts'

test('Quoted text is one line without terminal control sequences', () => {
  assert.equal(quote('1 hour'), '"1 hour"')
  assert.equal(quote('a\nb\u001b[2J\u202eb\ud800'), '"a\\u{a}b\\u{1b}[2J\\u{202e}b\\u{d800}"')
  assert.equal(quote('Ada 📱'), '"Ada 📱"')
})

test('Quoted text is cut after a hundred characters, never inside one', () => {
  assert.equal(quote('a'.repeat(100)), `"${'a'.repeat(100)}"`)
  assert.equal(quote('a'.repeat(101)), `"${'a'.repeat(100)}…"`)
  assert.equal(quote('📱'.repeat(100)), `"${'📱'.repeat(100)}"`)
  assert.equal(quote('📱'.repeat(5000)), `"${'📱'.repeat(100)}…"`)
})

test('Printable text has no control characters left', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.doesNotMatch(printable(text), /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200b\u200e\u200f]/u)
      assert.doesNotMatch(printable(text), /[\u202a-\u202e\u2060-\u206f\ufeff]/u)
    }),
  )
})

test('What a name may contain is shown as it is, and only there', () => {
  for (const name of [
    '👩\u200d💻 Ada',
    '❤\ufe0f',
    'می\u200cخواهم',
    '🏴\u{e0067}\u{e0062}\u{e007f}',
  ]) {
    assert.equal(deviceNameProblem(name), undefined)
    assert.equal(printable(name), name)
  }
  assert.equal(printable('A\u200dda\u00ad'), 'A\\u{200d}da\\u{ad}')
})

test('The nearest candidate is suggested only if it is close', () => {
  const commands = ['serve', 'healthcheck', 'status']
  assert.equal(nearest('serv', commands), 'serve')
  assert.equal(nearest('sevre', commands), 'serve')
  assert.equal(nearest('helthchek', commands), 'healthcheck')
  assert.equal(nearest('stats', commands), 'status')
  assert.equal(nearest('', commands), undefined)
  assert.equal(nearest('doctor', commands), undefined)
  assert.equal(nearest('x'.repeat(100_000), commands), undefined)
  assert.equal(nearest('serve', []), undefined)
})
