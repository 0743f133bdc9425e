import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readCertificate } from '../../src/certificate/certificate.ts'
import { TAG } from '../../src/certificate/der.ts'
import {
  writeElement,
  writeObjectIdentifier,
  writeSequence,
  writeSet,
} from '../../src/certificate/der-writer.ts'
import { certificateIdentity, isPrintableName } from '../../src/certificate/identity.ts'
import { commonName, describeName, readAscii, readName } from '../../src/certificate/name.ts'
import { fixture } from '../support/pki.ts'

/** Whom a certificate names by default: SAN e-mail, else SAN URI, else the last CN. */
const IDENTITIES: readonly (readonly [string, string | undefined, string])[] = [
  ['leaf-san-email', 'ada@home.test', 'the e-mail address before the URI and the CN'],
  ['leaf-good', 'urn:uuid:1b4e28ba-2fa1-41d2-883f-0016d3cca427', 'the URI before the CN'],
  ['leaf-san-uris', 'urn:a', 'the first URI, whatever stands before it'],
  ['leaf-san-dns', 'Phone', 'the CN where the alternative names are hosts and addresses'],
  ['leaf-no-san', 'Phone', 'the CN where there are no alternative names'],
  ['leaf-two-cns', 'Second', 'the last CN'],
  ['leaf-multi-valued', 'Phone', 'a CN that stands beside other attributes'],
  ['leaf-cn-bmp', 'Phone Ä', 'a CN as BMPString'],
  ['leaf-cn-teletex', 'Phone Ä', 'a CN as TeletexString'],
  ['leaf-cn-printable', 'Phone', 'a CN as PrintableString'],
  ['leaf-no-subject', 'urn:uuid:1b4e28ba-2fa1-41d2-883f-0016d3cca427', 'the URI alone'],
  ['leaf-cn-universal', undefined, 'nobody: a CN as UniversalString is not read'],
  ['leaf-nobody', undefined, 'nobody without subject and alternative names'],
  ['leaf-no-cn', undefined, 'nobody where the subject has no name of a kind that counts'],
  ['leaf-cn-line-break', undefined, 'nobody where the CN has a line break'],
  ['leaf-san-line-break', undefined, 'nobody where the first e-mail address has a line break'],
  ['leaf-san-empty-email', undefined, 'nobody where the first e-mail address is empty'],
  ['leaf-san-not-ascii', 'Phone', 'the CN where the alternative names are unreadable'],
]

for (const [name, expected, what] of IDENTITIES) {
  test(`a certificate names ${what} (${name})`, () => {
    const certificate = readCertificate(fixture(name))
    assert.ok(certificate !== undefined)
    assert.equal(certificateIdentity(certificate), expected)
  })
}

test('a name with umlaut and emoji is read whole', () => {
  const certificate = readCertificate(fixture('leaf-name-emoji'))
  assert.equal(certificate && commonName(certificate.subject), 'Jürgens Handy 📱')
})

test('a name that can be printed has 1 to 256 characters and none that forges a line', () => {
  for (const good of ['a', 'Jürgens Handy 📱', 'x'.repeat(256), "Ada's phone", '👩‍🔬']) {
    assert.ok(isPrintableName(good), good)
  }
  for (const bad of [
    '',
    'x'.repeat(257),
    'a\nb',
    'a\rb',
    'a\0',
    '\x7f',
    '\x85',
    '\u2028',
    '\u2029',
    ' ',
    ' alice',
    'alice\u00a0',
    'a\u202eb',
    'a\u200bb',
    '\ud800',
  ]) {
    assert.ok(!isPrintableName(bad), JSON.stringify(bad))
  }
})

// --- names ------------------------------------------------------------------------------------------

const CN = '2.5.4.3'
const NULL = writeElement(TAG.null)

const attribute = (type: string, tag: number, value: Buffer | string): Buffer =>
  writeSequence(writeObjectIdentifier(type), writeElement(tag, Buffer.from(value)))

/** A name of one element for each list of attributes. */
const nameOf = (...elements: readonly (readonly Buffer[])[]): Buffer =>
  writeSequence(...elements.map((attributes) => writeSet(...attributes)))

const utf8 = (text: string) => nameOf([attribute(CN, TAG.utf8String, text)])

function comparable(der: Buffer): string {
  const name = readName(der)
  assert.ok(name !== undefined)
  return name.comparable
}

test('names are equal whatever their case, their white space and their string type', () => {
  const reference = comparable(utf8('Home CA'))
  for (const [tag, value] of [
    [TAG.utf8String, 'home ca'],
    [TAG.utf8String, '  HOME   CA '],
    [TAG.utf8String, 'Home\tCA'],
    [TAG.printableString, 'Home CA'],
    [TAG.ia5String, 'Home CA'],
    [TAG.bmpString, Buffer.from('Home CA', 'utf16le').swap16()],
  ] as const) {
    assert.equal(comparable(nameOf([attribute(CN, tag, value)])), reference)
  }
  for (const [tag, value] of [
    [TAG.utf8String, 'HomeCA'],
    [TAG.utf8String, 'Home CA.'],
    [TAG.teletexString, 'Home CA'],
    [TAG.universalString, Buffer.from('Home CA', 'utf16le')],
  ] as const) {
    assert.notEqual(comparable(nameOf([attribute(CN, tag, value)])), reference)
  }
})

test('the members of one element have no order, the elements have', () => {
  const cn = attribute(CN, TAG.utf8String, 'a')
  const o = attribute('2.5.4.10', TAG.utf8String, 'b')
  assert.equal(comparable(nameOf([cn, o])), comparable(nameOf([o, cn])))
  assert.notEqual(comparable(nameOf([cn], [o])), comparable(nameOf([o], [cn])))
  assert.notEqual(comparable(nameOf([cn], [o])), comparable(nameOf([cn, o])))
})

test('no value can imitate what separates attributes', () => {
  const two = comparable(
    nameOf([attribute(CN, TAG.utf8String, 'a')], [attribute(CN, TAG.utf8String, 'b')]),
  )
  for (const value of ['a,2.5.4.3=b', 'a","2.5.4.3="b', 'a",2.5.4.3="b', 'a+2.5.4.3=b']) {
    assert.notEqual(comparable(utf8(value)), two)
  }
  const bytes = nameOf([attribute(CN, TAG.teletexString, 'a')])
  assert.notEqual(comparable(utf8(comparable(bytes).slice(CN.length + 1))), comparable(bytes))
})

test('names are equal exactly if their folded text is', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'A', ' ', 'ä', '"', ',', '=', '+', '\\') })
  const folded = (value: string) => value.trim().replace(/ +/g, ' ').toLowerCase()
  fc.assert(
    fc.property(text, text, (one, other) => {
      const equal = comparable(utf8(one)) === comparable(utf8(other))
      assert.equal(equal, folded(one) === folded(other))
    }),
  )
})

test('bytes that are not text of their type have no text, and compare as they are', () => {
  for (const [tag, value] of [
    [TAG.utf8String, Buffer.from([0xff])],
    [TAG.utf8String, Buffer.from([0xc0, 0x80])],
    [TAG.utf8String, Buffer.from([0xed, 0xa0, 0x80])],
    [TAG.printableString, Buffer.from([0xe4])],
    [TAG.ia5String, Buffer.from([0x80])],
    [TAG.bmpString, Buffer.from([0x00, 0x41, 0x00])],
    [TAG.bmpString, Buffer.from([0xd8, 0x00])],
    [TAG.null, Buffer.alloc(0)],
  ] as const) {
    const name = readName(nameOf([attribute(CN, tag, value)]))
    const attributes = name?.attributes.map(({ type, text }) => ({ type, text }))
    assert.deepEqual(attributes, [{ type: CN, text: undefined }])
    assert.equal(name && commonName(name), undefined)
    assert.equal(name && describeName(name), 'CN=(not text)')
  }
})

test('the first CN that is text is the name', () => {
  const name = readName(
    nameOf(
      [attribute('2.5.4.10', TAG.utf8String, 'Home')],
      [attribute(CN, TAG.utf8String, Buffer.from([0xff]))],
      [attribute(CN, TAG.utf8String, 'second')],
    ),
  )
  assert.equal(name && commonName(name), 'second')
})

test('a name that is not spelled as one is none', () => {
  const cn = attribute(CN, TAG.utf8String, 'a')
  for (const wrong of [
    NULL,
    Buffer.alloc(0),
    writeSequence(NULL),
    writeSequence(cn),
    nameOf([]),
    nameOf([NULL]),
    nameOf([writeSequence()]),
    nameOf([writeSequence(writeObjectIdentifier(CN))]),
    nameOf([writeSequence(writeObjectIdentifier(CN), NULL, NULL)]),
    nameOf([writeSequence(NULL, NULL)]),
    nameOf([writeSequence(writeElement(TAG.objectIdentifier), NULL)]),
    writeSequence(writeElement(TAG.set, Buffer.from([0x30]))),
  ]) {
    assert.equal(readName(wrong), undefined, wrong.toString('hex'))
  }
  assert.deepEqual(readName(writeSequence())?.attributes, [])
})

test('a name is described for people, on one line', () => {
  const name = readName(
    nameOf(
      [attribute('2.5.4.6', TAG.printableString, 'DE')],
      [attribute('2.5.4.8', TAG.utf8String, 'ST'), attribute('2.5.4.7', TAG.utf8String, 'L')],
      [attribute('2.5.4.11', TAG.utf8String, 'Hall')],
      [attribute('1.2.3', TAG.utf8String, 'x')],
      [attribute(CN, TAG.utf8String, 'a\r\nb\u001b[2J')],
    ),
  )
  assert.equal(name && describeName(name), 'C=DE, ST=ST, L=L, OU=Hall, 1.2.3=x, CN=a??b?[2J')
  const empty = readName(writeSequence())
  assert.equal(empty && describeName(empty), '(no name)')
})

test('ASCII is what is below 0x80', () => {
  assert.equal(readAscii(Buffer.from('a\0\x7f')), 'a\0\x7f')
  assert.equal(readAscii(Buffer.alloc(0)), '')
  assert.equal(readAscii(Buffer.from([0x80])), undefined)
})
