import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readIndex } from '../../src/enrollment/openssl-index.ts'

const line = (...columns: readonly string[]): string => columns.join('\t')
const VALID = line('V', '360101000000Z', '', '0F', 'unknown', '/C=DE/CN=Ada')

function onlyEntry(text: string) {
  const read = readIndex(text)
  assert.ok(read.ok)
  assert.equal(read.entries.length, 1)
  return read.entries[0]
}

test('A valid entry has its expiry, its serial number in whole bytes, and its name', () => {
  assert.deepEqual(onlyEntry(`${VALID}\n`), {
    line: 1,
    notAfter: Date.UTC(2036, 0, 1) / 1000,
    revokedAt: undefined,
    reason: undefined,
    serial: '0f',
    commonName: 'Ada',
  })
})

test('A revoked entry has its date and, if given, the reason', () => {
  const revoked = (revocation: string) =>
    onlyEntry(line('R', '20360101000000Z', revocation, '00ABC', 'unknown', '/CN=Ada'))
  assert.equal(revoked('261101000001Z')?.revokedAt, Date.UTC(2026, 10, 1, 0, 0, 1) / 1000)
  assert.equal(revoked('261101000001Z')?.reason, undefined)
  assert.equal(revoked('261101000001Z,keyCompromise')?.reason, 'keyCompromise')
  assert.equal(revoked('261101000001Z')?.serial, '0abc')
})

test('A serial number is written in whole bytes, without leading zero bytes', () => {
  const serialOf = (number: string) =>
    onlyEntry(line('V', '360101000000Z', '', number, 'unknown', '/CN=Ada'))?.serial
  assert.equal(serialOf('ABCD'), 'abcd')
  assert.equal(serialOf('ABC'), '0abc')
  assert.equal(serialOf('000ABC'), '0abc')
  assert.equal(serialOf('00'), '00')
})

test('Two-digit years from 50 on belong to the last century', () => {
  const end = onlyEntry(line('E', '991231235959Z', '', '01', 'unknown', '/CN=Ada'))?.notAfter
  assert.equal(end, Date.UTC(1999, 11, 31, 23, 59, 59) / 1000)
})

test('A name is the last CN, with its bytes as UTF-8 and its slashes', () => {
  const nameOf = (subject: string) =>
    onlyEntry(line('V', '360101000000Z', '', '01', 'unknown', subject))?.commonName
  assert.equal(nameOf('/CN=J\\xC3\\xBCrgen/O=Home'), 'Jürgen')
  assert.equal(nameOf('/CN=CA/CN=Ada'), 'Ada')
  assert.equal(nameOf('/CN=TV w/o remote'), 'TV w/o remote')
  assert.equal(nameOf('/O=Home'), undefined)
  assert.equal(nameOf('/CN='), '')
  assert.equal(nameOf('/CN=Bob\\/laptop'), 'Bob/laptop')
  assert.equal(nameOf('/CN=Ada\\+Bob \\/CN=z'), 'Ada+Bob /CN=z')
  assert.equal(nameOf('/O=X/CN=Ada+UID=7'), 'Ada')
})

test('Empty lines are skipped, and Windows line endings are fine', () => {
  const read = readIndex(`\r\n${VALID}\r\n\r\n`)
  assert.ok(read.ok)
  assert.deepEqual(
    read.entries.map(({ line: number }) => number),
    [2],
  )
})

test('A line that does not belong in an index is reported with its number', () => {
  const wrong = [
    'V',
    VALID.replace('V', 'X'),
    VALID.replace('360101000000Z', 'tomorrow'),
    VALID.replace('0F', ''),
    VALID.replace('0F', 'serial'),
    VALID.replace('0F', 'F'.repeat(43)),
    VALID.replace('V', 'R'),
    line('V', '360101000000Z', '261101000001Z', '0F', 'unknown', '/CN=Ada'),
    line('V', '360101000000Z', '', '0F', 'unknown'),
    line('V', '360101000000Z', '', '0F'),
  ]
  for (const text of wrong) {
    const read = readIndex(`${VALID}\n${text}`)
    assert.ok(!read.ok, text)
    assert.match(read.problem, /^line 2 is not one of an openssl index\.txt: expected V, R or E,/)
  }
})
