import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isPrintableName } from '../../src/certificate/identity.ts'
import { deviceNameProblem, normalizeName } from '../../src/enrollment/device-name.ts'

const GOOD: readonly string[] = [
  'a',
  "Ada's phone",
  'Jürgens Händy 📱',
  'x'.repeat(64),
  '📱'.repeat(64),
  '電話',
  '葛\u{e0100}城',
  'هاتف آدا',
  'می\u200cخواهم',
  'ක්\u200dෂ',
  '👩🏽\u200d🔬 lab',
  '❤️ 1️⃣',
  '☎︎',
  '🏳️\u200d🌈',
  '🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}',
  'C:\\phone/../x "quoted" <b>',
]

for (const name of GOOD) {
  test(`${JSON.stringify(name)} is accepted as a device name`, () => {
    assert.equal(deviceNameProblem(name), undefined)
  })
}

const EMPTY = /^is empty; write one, like "Ada's phone"$/
const LONG = /^is 65 characters long; a certificate has room for 64$/
const UNSEEN = /^has control, direction or invisible characters; type it again, without them$/
const DOCTOR = /^is reserved for the device of certlatch doctor; choose another$/
const SPELLING = /^is not in its normal spelling; write it "Ada é"/

const BAD: readonly (readonly [string, string, RegExp])[] = [
  ['', 'nothing', EMPTY],
  ['  \u3000', 'white space alone', EMPTY],
  ['x'.repeat(65), 'more than a certificate holds', LONG],
  ['📱'.repeat(65), 'more emoji than a certificate holds', LONG],
  ['a\nb', 'a line break', UNSEEN],
  ['a\tb', 'a tab', UNSEEN],
  ['a\x1b[31mb', 'an escape', UNSEEN],
  ['a\u2028b', 'a line separator', UNSEEN],
  ['a\u202eb', 'a change of direction', UNSEEN],
  ['a\u200bb', 'a space of no width', UNSEEN],
  ['\u2066a\u2069', 'an isolate', UNSEEN],
  ['a\ud800b', 'half a character', UNSEEN],
  ['a\u00adb', 'a soft hyphen', UNSEEN],
  ['a\u034fb', 'a grapheme joiner', UNSEEN],
  ['a\u200db', 'a joiner between Latin letters', UNSEEN],
  ['1\u200d2', 'a joiner between digits', UNSEEN],
  ['a\ufe0f', 'a variation selector that varies nothing', UNSEEN],
  ['\u3164', 'a filler', UNSEEN],
  ['\u2800', 'a blank that is no white space', UNSEEN],
  ['a\u{e0061}', 'a tag outside a flag', UNSEEN],
  ['a\ufffe', 'a noncharacter', UNSEEN],
  ['certlatch doctor', "the doctor's own name", DOCTOR],
  ['CERTLATCH  Doctor', "the doctor's own name, spelled otherwise", DOCTOR],
  ['Ada e\u0301', 'a letter and its accent apart', SPELLING],
  [' Ada é', 'white space before it', SPELLING],
  ['Ada  é', 'two spaces', SPELLING],
  ['Ada\u00a0é', 'a space that does not break', SPELLING],
]

for (const [name, what, problem] of BAD) {
  test(`${what} is rejected: the sentence says what is wrong and what would be right`, () => {
    assert.match(deviceNameProblem(name) ?? 'no problem', problem)
  })
}

const anything = fc.string({ unit: 'binary', maxLength: 80 })

test('Normalizing a normalized name does not change it', () => {
  fc.assert(
    fc.property(anything, (text) => {
      const normal = normalizeName(text)
      assert.equal(normalizeName(normal), normal)
    }),
  )
})

test('An accepted name is printable, normalized and fits into a certificate', () => {
  fc.assert(
    fc.property(fc.oneof(anything, fc.string({ unit: 'grapheme', maxLength: 70 })), (text) => {
      if (deviceNameProblem(text) !== undefined) return
      assert.ok(isPrintableName(text))
      assert.equal(normalizeName(text), text)
      assert.ok([...text].length <= 64)
    }),
    { numRuns: 500 },
  )
})
