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
import {
  certificateIdentity,
  comparableName,
  DEFAULT_IDENTITY,
  type IdentityKind,
  isPrintableName,
} from '../../src/certificate/identity.ts'
import { commonName, describeName, readAscii, readName } from '../../src/certificate/name.ts'
import {
  alternativeNames,
  commonNameOf,
  nameOf as derNameOf,
  dns,
  email,
  forgeLeaf,
  type LeafParts,
  p256,
  upn,
  uri,
} from '../support/forge.ts'
import { fixture } from '../support/pki.ts'

/** The holder's name by default: SAN e-mail, else SAN URI, else the last CN. */
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
  ['leaf-cn-universal', undefined, 'no one: a CN as UniversalString is not read'],
  ['leaf-nobody', undefined, 'no one without subject and alternative names'],
  ['leaf-no-cn', undefined, 'no one if the subject has no name of a kind that counts'],
  ['leaf-cn-line-break', undefined, 'no one if the CN has a line break'],
  ['leaf-san-line-break', undefined, 'no one if the first e-mail address has a line break'],
  ['leaf-san-empty-email', undefined, 'no one if the first e-mail address is empty'],
  ['leaf-san-not-ascii', 'Phone', 'the CN where the alternative names are unreadable'],
]

for (const [name, expected, what] of IDENTITIES) {
  test(`A certificate names ${what} (${name})`, () => {
    const certificate = readCertificate(fixture(name))
    assert.ok(certificate !== undefined)
    assert.equal(certificateIdentity(certificate), expected)
  })
}

test('A name with umlaut and emoji is read whole', () => {
  const certificate = readCertificate(fixture('leaf-name-emoji'))
  assert.equal(certificate && commonName(certificate.subject), 'Jürgens Handy 📱')
})

test('A printable name has 1 to 256 characters, none of which can forge a line', () => {
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

test('Names are equal regardless of case, white space and string type', () => {
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

test('The parts of one element are unordered, the elements are ordered', () => {
  const cn = attribute(CN, TAG.utf8String, 'a')
  const o = attribute('2.5.4.10', TAG.utf8String, 'b')
  assert.equal(comparable(nameOf([cn, o])), comparable(nameOf([o, cn])))
  assert.notEqual(comparable(nameOf([cn], [o])), comparable(nameOf([o], [cn])))
  assert.notEqual(comparable(nameOf([cn], [o])), comparable(nameOf([cn, o])))
})

test('No value can imitate the separator between attributes', () => {
  const two = comparable(
    nameOf([attribute(CN, TAG.utf8String, 'a')], [attribute(CN, TAG.utf8String, 'b')]),
  )
  for (const value of ['a,2.5.4.3=b', 'a","2.5.4.3="b', 'a",2.5.4.3="b', 'a+2.5.4.3=b']) {
    assert.notEqual(comparable(utf8(value)), two)
  }
  const bytes = nameOf([attribute(CN, TAG.teletexString, 'a')])
  assert.notEqual(comparable(utf8(comparable(bytes).slice(CN.length + 1))), comparable(bytes))
})

test('Names are equal exactly if their folded text is', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'A', ' ', 'ä', '"', ',', '=', '+', '\\') })
  const folded = (value: string) => value.trim().replace(/ +/g, ' ').toLowerCase()
  fc.assert(
    fc.property(text, text, (one, other) => {
      const equal = comparable(utf8(one)) === comparable(utf8(other))
      assert.equal(equal, folded(one) === folded(other))
    }),
  )
})

test('Bytes that are not text of their declared type have no text, and are compared as they are', () => {
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

test('The last CN is the name, or there is none if that CN is not text', () => {
  const unreadable = attribute(CN, TAG.utf8String, Buffer.from([0xff]))
  const named = (text: string) => attribute(CN, TAG.utf8String, text)
  const nameIn = (...attributes: readonly Buffer[]) => {
    const name = readName(nameOf(...attributes.map((one) => [one])))
    return name && commonName(name)
  }
  assert.equal(nameIn(named('first'), unreadable, named('last')), 'last')
  assert.equal(nameIn(named('first'), unreadable), undefined)
  assert.equal(nameIn(named('first'), attribute('2.5.4.10', TAG.utf8String, 'Home')), 'first')
})

test('A name with a non-canonical encoding has no text', () => {
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

test('A name is printed for people on one line', () => {
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

// --- kinds of names -----------------------------------------------------------------------------------

const authority = { key: p256(), name: commonNameOf('Home') }
const EMAIL = '1.2.840.113549.1.9.1'
const UID = '0.9.2342.19200300.100.1.1'
const utf8Value = (text: string) => writeElement(TAG.utf8String, Buffer.from(text))

/** A certificate with one value of every kind. */
const FULL = {
  subject: readableName(
    [CN, 'Users'],
    [CN, 'Ada Lovelace'],
    [EMAIL, 'first@home.test'],
    [EMAIL, 'ada.l@home.test'],
    [UID, 'first'],
    [UID, 'ada'],
  ),
  extensions: [
    alternativeNames(
      dns('phone.home.test'),
      upn(utf8Value('ada@corp.test')),
      uri('urn:ada'),
      email('ada@home.test'),
      email('second@home.test'),
      dns('second.home.test'),
      upn(utf8Value('second@corp.test')),
      uri('urn:second'),
    ),
  ],
}

function readableName(...attributes: readonly (readonly [string, string])[]): Buffer {
  return derNameOf(...attributes.map(([oid, text]) => [oid, TAG.utf8String, text] as const))
}

function identityOf(parts: LeafParts, kinds?: readonly IdentityKind[]): string | undefined {
  const certificate = readCertificate(forgeLeaf(authority, parts))
  assert.ok(certificate !== undefined)
  return certificateIdentity(certificate, kinds)
}

/** With several values, the first alternative name counts, and the last in the subject. */
const OF_EACH_KIND: Readonly<Record<IdentityKind, string>> = {
  email: 'ada@home.test',
  uri: 'urn:ada',
  cn: 'Ada Lovelace',
  upn: 'ada@corp.test',
  dns: 'phone.home.test',
  'subject-email': 'ada.l@home.test',
  uid: 'ada',
}

test('Each kind of name alone identifies the holder; of several, the first kind in order counts', () => {
  for (const kind of DEFAULT_IDENTITY) assert.equal(identityOf(FULL, [kind]), OF_EACH_KIND[kind])
  fc.assert(
    fc.property(fc.shuffledSubarray([...DEFAULT_IDENTITY], { minLength: 1 }), (kinds) => {
      const [first = 'cn'] = kinds
      assert.equal(identityOf(FULL, kinds), OF_EACH_KIND[first])
    }),
  )
})

/** What a certificate contains, and its holder's name by default. */
const BY_DEFAULT: readonly (readonly [string, LeafParts, string | undefined])[] = [
  ['everything', FULL, 'ada@home.test'],
  [
    'a host name alone',
    { subject: derNameOf(), extensions: [alternativeNames(dns('phone'))] },
    'phone',
  ],
  [
    'a host name and an organisation (mkcert -client)',
    { subject: readableName(['2.5.4.10', 'mkcert']), extensions: [alternativeNames(dns('phone'))] },
    'phone',
  ],
  [
    'a user principal name and a host name (Active Directory)',
    { subject: derNameOf(), extensions: [alternativeNames(dns('pc'), upn(utf8Value('ada@corp')))] },
    'ada@corp',
  ],
  [
    'an e-mail address in the subject',
    { subject: readableName([EMAIL, 'a@home.test']) },
    'a@home.test',
  ],
  [
    'the same as IA5String',
    { subject: derNameOf([EMAIL, TAG.ia5String, 'a@home.test']) },
    'a@home.test',
  ],
  ['a UID', { subject: readableName([UID, 'ada']) }, 'ada'],
  ['a UID of digits', { subject: derNameOf([UID, TAG.numericString, '1815']) }, '1815'],
  [
    'several CNs, as Active Directory has them',
    { subject: readableName(['0.9.2342.19200300.100.1.25', 'test'], [CN, 'Users'], [CN, 'Ada']) },
    'Ada',
  ],
  ['an organisation alone', { subject: readableName(['2.5.4.10', 'Home']) }, undefined],
  // What cannot be read safely refuses, and the next kind's turn does not come.
  [
    'a last CN that is no text',
    { subject: derNameOf([CN, TAG.utf8String, 'Users'], [CN, TAG.utf8String, Buffer.of(0xff)]) },
    undefined,
  ],
  [
    'a CN with white space around it',
    { subject: readableName([CN, ' Ada'], [UID, 'ada']) },
    undefined,
  ],
  ['an empty CN', { subject: readableName([CN, ''], [UID, 'ada']) }, undefined],
  [
    'a user principal name of another type of text',
    {
      subject: readableName([UID, 'ada']),
      extensions: [alternativeNames(upn(writeElement(TAG.ia5String, Buffer.from('a'))), dns('pc'))],
    },
    undefined,
  ],
  [
    'a user principal name that is no UTF-8',
    {
      subject: derNameOf(),
      extensions: [alternativeNames(upn(writeElement(TAG.utf8String, Buffer.of(0xff))), dns('pc'))],
    },
    undefined,
  ],
  [
    'a user principal name with something behind it',
    {
      subject: derNameOf(),
      extensions: [alternativeNames(upn(utf8Value('ada'), utf8Value('root')), dns('pc'))],
    },
    undefined,
  ],
  [
    'another OtherName beside a host name',
    {
      subject: derNameOf(),
      extensions: [
        alternativeNames(
          writeElement(0xa0, writeObjectIdentifier('1.2.3'), writeElement(0xa0, NULL)),
          writeElement(0xa0, Buffer.of(0x30)),
          writeElement(0xa0, NULL),
          dns('pc'),
        ),
      ],
    },
    'pc',
  ],
  [
    'a user principal name without a value',
    {
      subject: derNameOf(),
      extensions: [
        alternativeNames(
          writeElement(0xa0, writeObjectIdentifier('1.3.6.1.4.1.311.20.2.3')),
          dns('pc'),
        ),
      ],
    },
    undefined,
  ],
]

for (const [what, parts, expected] of BY_DEFAULT) {
  test(`A certificate with ${what} names ${expected ?? 'no one'}`, () => {
    assert.equal(identityOf(parts), expected)
  })
}

test('Names match however they are composed, and regardless of the case of A to Z', () => {
  for (const [one, other] of [
    ['Ada@Home.Test', 'ada@home.test'],
    ['J\u00fcrgen', 'Ju\u0308rgen'],
    ['J\u00dcRGEN'.normalize('NFD'), 'j\u00dcrgen'],
    ['\u212a', 'k'],
  ] as const) {
    assert.equal(comparableName(one), comparableName(other))
  }
  for (const [one, other] of [
    ['\u00dc', '\u00fc'],
    ['Ada', 'Ada '],
    ['stra\u00dfe', 'strasse'],
    ['\u0131', 'i'],
    ['\u0430da', 'ada'],
  ] as const) {
    assert.notEqual(comparableName(one), comparableName(other))
  }
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const name = comparableName(text)
      assert.equal(comparableName(name), name)
      assert.equal(comparableName(text.normalize('NFD')), name)
    }),
  )
})
