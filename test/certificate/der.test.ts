import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  contextTag,
  formatTime,
  readBoolean,
  readElement,
  readElements,
  readIntegerHex,
  readNamedBits,
  readObjectIdentifier,
  readOctetAlignedBits,
  readSequence,
  readSmallInteger,
  readTime,
  SequenceReader,
  TAG,
} from '../../src/certificate/der.ts'
import {
  writeBitString,
  writeBoolean,
  writeElement,
  writeInteger,
  writeNamedBits,
  writeObjectIdentifier,
  writeOctetString,
  writeSequence,
  writeSet,
  writeSmallInteger,
  writeTime,
  writeUtf8String,
} from '../../src/certificate/der-writer.ts'

const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(' ', ''), 'hex')

/** What the content of the one element in `der` reads as. */
function content(der: Buffer, tag: number): Buffer {
  const element = readElement(der, tag)
  assert.ok(element !== undefined)
  return element.content
}

test('An element is read completely: tag, length, content', () => {
  const der = hex('04 02 aabb')
  const element = readElement(der, TAG.octetString)
  assert.equal(element?.tag, TAG.octetString)
  assert.deepEqual(element.bytes, der)
  assert.deepEqual(element.content, hex('aabb'))
  assert.equal(readElement(hex('0500'), TAG.null)?.content.length, 0)
})

test('Each of several elements has its own bytes, wherever it is', () => {
  const ders = [hex('0500'), hex('04 02 aabb'), writeOctetString(Buffer.alloc(300, 7))]
  // Not at the beginning of its memory either.
  const content = Buffer.concat([hex('ffff'), ...ders]).subarray(2)
  const elements = readElements(content) ?? []
  assert.deepEqual(
    elements.map(({ bytes }) => bytes),
    ders,
  )
  assert.deepEqual(
    elements.map(({ content }) => content),
    [Buffer.alloc(0), hex('aabb'), Buffer.alloc(300, 7)],
  )
})

test('Anything but a single, complete, canonical element is refused', () => {
  for (const bytes of [
    '',
    '04',
    '0402aa', // cut
    '0402aabbcc', // followed by something
    '0481', // a length that is cut
    '048101', // content that is cut
    '048100', // long form of 0
    '04817f', // long form of a short length
    '04820080', // leading zero byte in the length
    '0483000100', // the same, longer
    '0480aabb0000', // indefinite length
    '048500000000aa', // a length of five bytes
    '04ff', // reserved
    '1f01', // a tag of several bytes
    '3f8101',
    'ff01',
  ]) {
    assert.equal(readElement(hex(bytes), TAG.octetString), undefined, bytes)
    if (bytes !== '') assert.equal(readElements(hex(bytes)), undefined, bytes)
  }
  assert.equal(readElement(hex('0400'), TAG.sequence), undefined)
})

test('Lengths from 128 on take the shortest long form', () => {
  for (const length of [127, 128, 255, 256, 65535, 65536]) {
    const der = writeOctetString(Buffer.alloc(length))
    assert.equal(readElement(der, TAG.octetString)?.content.length, length)
  }
  assert.equal(writeOctetString(Buffer.alloc(127)).subarray(0, 2).toString('hex'), '047f')
  assert.equal(writeOctetString(Buffer.alloc(128)).subarray(0, 3).toString('hex'), '048180')
  assert.equal(writeOctetString(Buffer.alloc(256)).subarray(0, 4).toString('hex'), '04820100')
})

test('A length of four bytes cannot reach beyond the input', () => {
  assert.equal(readElement(hex('0484ffffffff00'), TAG.octetString), undefined)
  assert.equal(readElement(hex('04847fffffff00'), TAG.octetString), undefined)
})

test('The elements of a sequence are read one after another, or not at all', () => {
  assert.deepEqual(
    readSequence(hex('3005 0500 0101ff'))?.map(({ tag }) => tag),
    [TAG.null, TAG.boolean],
  )
  assert.deepEqual(readSequence(hex('3000')), [])
  assert.equal(readSequence(hex('3003 0500 01')), undefined)
  assert.equal(readSequence(hex('3100')), undefined)
})

test('A sequence is taken apart in the order in which ASN.1 declares it', () => {
  const reader = new SequenceReader(readSequence(hex('3007 0500 0101ff 3000')) ?? [])
  assert.equal(reader.take(TAG.boolean), undefined)
  assert.equal(reader.take(TAG.null)?.tag, TAG.null)
  assert.equal(reader.takeOneOf([TAG.null, TAG.sequence]), undefined)
  assert.equal(reader.atEnd, false)
  assert.equal(reader.takeOneOf([TAG.null, TAG.boolean])?.tag, TAG.boolean)
  assert.equal(reader.take(TAG.sequence)?.tag, TAG.sequence)
  assert.equal(reader.atEnd, true)
  assert.equal(reader.take(TAG.sequence), undefined)
  assert.equal(reader.takeOneOf([TAG.sequence]), undefined)
})

test('Context tags carry their number, and whether they are constructed', () => {
  assert.equal(contextTag(0, true), 0xa0)
  assert.equal(contextTag(6, false), 0x86)
})

test('TRUE is ff and FALSE is 00', () => {
  assert.equal(readBoolean(hex('ff')), true)
  assert.equal(readBoolean(hex('00')), false)
  for (const other of ['', '01', 'fe', 'ffff', '0000']) {
    assert.equal(readBoolean(hex(other)), undefined, other)
  }
  for (const value of [true, false]) {
    assert.equal(readBoolean(content(writeBoolean(value), TAG.boolean)), value)
  }
})

test('A small integer is non-negative, not padded, and has at most six bytes', () => {
  for (const [bytes, value] of [
    ['00', 0],
    ['7f', 127],
    ['0080', 128],
    ['7fffffffffff', 2 ** 47 - 1],
    ['', undefined],
    ['80', undefined],
    ['ff', undefined],
    ['0000', undefined],
    ['007f', undefined],
    ['00ffffffffffff', undefined],
    ['01000000000000', undefined],
  ] as const) {
    assert.equal(readSmallInteger(hex(bytes)), value, bytes)
  }
})

test('An integer is its shortest bytes in hexadecimal, a negative one with its sign', () => {
  for (const [bytes, digits] of [
    ['00', '00'],
    ['05', '05'],
    ['0080', '80'],
    ['00ff01', 'ff01'],
    ['7f00', '7f00'],
    ['fb', '-05'],
    ['80', '-80'],
    ['ff7f', '-81'],
    ['ff00', '-0100'],
    ['8000', '-8000'],
    ['', undefined],
    ['0005', undefined],
    ['ff80', undefined],
    ['ffff', undefined],
  ] as const) {
    assert.equal(readIntegerHex(hex(bytes), 4), digits, bytes)
  }
  assert.equal(readIntegerHex(hex('0102030405'), 4), undefined)
  assert.equal(readIntegerHex(hex('0102030405'), 5), '0102030405')
})

test('Bit strings of whole bytes have no unused bits', () => {
  assert.deepEqual(readOctetAlignedBits(hex('00aabb')), hex('aabb'))
  assert.deepEqual(readOctetAlignedBits(hex('00')), hex(''))
  for (const other of ['', '01aa', '08']) assert.equal(readOctetAlignedBits(hex(other)), undefined)
})

test('Named bits are read with or without trailing zeros, up to the sixteenth', () => {
  for (const [bytes, bits] of [
    ['00', []],
    ['0780', [0]],
    ['0106', [5, 6]],
    ['00ff', [0, 1, 2, 3, 4, 5, 6, 7]],
    ['070080', [8]],
    ['', undefined],
    ['01', undefined], // unused bits of no byte
    ['0880', undefined],
    ['ff80', undefined],
    ['0080', [0]], // trailing zeros
    ['0700', []],
    ['0000', []],
    ['008000', [0]],
    ['07800080', [0]],
    ['00000180', [15]],
    ['0781', undefined], // an unused bit that is set
  ] as const) {
    const read = readNamedBits(hex(bytes))
    assert.deepEqual(read && [...read], bits, bytes)
  }
})

test('Object identifiers are read, and refused if padded, truncated or too large', () => {
  for (const [bytes, dotted] of [
    ['550403', '2.5.4.3'],
    ['2a8648ce3d030107', '1.2.840.10045.3.1.7'],
    ['00', '0.0'],
    ['27', '0.39'],
    ['28', '1.0'],
    ['4f', '1.39'],
    ['50', '2.0'],
    ['8837', '2.999'],
    ['2a87ffffff7f', '1.2.2147483647'],
    ['', undefined],
    ['2a80', undefined], // cut and padded
    ['2a8001', undefined], // padded
    ['8055', undefined], // padded
    ['2a86', undefined], // cut
    ['2a8880808000', undefined], // 2^31
    ['2affffffffffffffffff7f', undefined],
  ] as const) {
    assert.equal(readObjectIdentifier(hex(bytes)), dotted, bytes)
  }
})

const time = (tag: number, text: string) =>
  readTime({ tag, bytes: Buffer.alloc(0), content: Buffer.from(text, 'latin1') })

test('Times are read only in the one form that X.509 allows, and only if they exist', () => {
  const utc = (text: string) => time(TAG.utcTime, text)
  const generalized = (text: string) => time(TAG.generalizedTime, text)
  assert.equal(utc('261124000000Z'), Date.UTC(2026, 10, 24) / 1000)
  assert.equal(utc('491231235959Z'), Date.UTC(2049, 11, 31, 23, 59, 59) / 1000)
  assert.equal(utc('500101000000Z'), Date.UTC(1950, 0) / 1000)
  assert.equal(utc('000229000000Z'), Date.UTC(2000, 1, 29) / 1000)
  assert.equal(generalized('20500101000000Z'), Date.UTC(2050, 0) / 1000)
  assert.equal(generalized('99991231235959Z'), Date.UTC(9999, 11, 31, 23, 59, 59) / 1000)
  for (const wrong of [
    '2611240000Z', // no seconds
    '261124000000', // no zone
    '261124000000+0100',
    '261124000000z',
    ' 61124000000Z',
    '261124000000Z\n',
    '260229000000Z', // no such day
    '260431000000Z',
    '261301000000Z',
    '260001000000Z',
    '260100000000Z',
    '260101240000Z',
    '260101006000Z',
    '260101000060Z', // no leap seconds
    '20261124000000Z', // the other type's form
  ]) {
    assert.equal(utc(wrong), undefined, wrong)
  }
  for (const wrong of ['20261124000000.5Z', '261124000000Z', '20260230000000Z', '2026112400Z']) {
    assert.equal(generalized(wrong), undefined, wrong)
  }
})

test('A year below 100 is refused or read as itself, never as another century', () => {
  for (const text of ['00000101000000Z', '00260101000000Z', '00990101000000Z']) {
    const read = time(TAG.generalizedTime, text)
    if (read !== undefined) assert.equal(formatTime(read), text)
  }
})

test('What was written is read back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const data = Buffer.from(bytes)
      assert.deepEqual(content(writeOctetString(data), TAG.octetString), data)
      assert.deepEqual(readOctetAlignedBits(content(writeBitString(data), TAG.bitString)), data)
      const members = readSequence(writeSequence(writeSet(data), writeElement(TAG.null))) ?? []
      assert.deepEqual(
        members.map(({ tag }) => tag),
        [TAG.set, TAG.null],
      )
      assert.deepEqual(members[0]?.content, data)
    }),
  )
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      assert.equal(content(writeUtf8String(text), TAG.utf8String).toString('utf8'), text)
    }),
  )
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 47 - 1 }), (value) => {
      assert.equal(readSmallInteger(content(writeSmallInteger(value), TAG.integer)), value)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
      const read = readIntegerHex(content(writeInteger(bytes), TAG.integer), 21)
      assert.ok(read !== undefined)
      const digits = Buffer.from(bytes).toString('hex')
      assert.equal(BigInt(`0x${read}`), BigInt(`0x${digits === '' ? '0' : digits}`))
    }),
  )
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(15)), (bits) => {
      const read = readNamedBits(content(writeNamedBits(bits), TAG.bitString))
      assert.deepEqual(
        [...(read ?? [-1])],
        bits.toSorted((one, other) => one - other),
      )
    }),
  )
  const arcs = fc.array(fc.nat(0x7fffffff), { minLength: 1, maxLength: 10 })
  fc.assert(
    fc.property(fc.nat(2), fc.nat(39), arcs, (top, second, rest) => {
      const dotted = [top, second, ...rest].join('.')
      const read = readObjectIdentifier(
        content(writeObjectIdentifier(dotted), TAG.objectIdentifier),
      )
      assert.equal(read, dotted)
    }),
  )
  const seconds = fc.integer({ min: Date.UTC(1900, 0) / 1000, max: Date.UTC(9999, 11) / 1000 })
  fc.assert(
    fc.property(seconds, (unixSeconds) => {
      const der = writeTime(unixSeconds)
      const element = readElement(der, TAG.utcTime) ?? readElement(der, TAG.generalizedTime)
      assert.equal(element && readTime(element), unixSeconds)
    }),
  )
})

test('UTCTime is written from 1950 to 2049, GeneralizedTime before and after', () => {
  const tagOf = (text: string) => writeTime(Date.parse(text) / 1000)[0]
  assert.equal(tagOf('1949-12-31T23:59:59Z'), TAG.generalizedTime)
  assert.equal(tagOf('1950-01-01T00:00:00Z'), TAG.utcTime)
  assert.equal(tagOf('2049-12-31T23:59:59Z'), TAG.utcTime)
  assert.equal(tagOf('2050-01-01T00:00:00Z'), TAG.generalizedTime)
})

test('No bytes make a reader throw, and what is read has exactly one encoding', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const data = Buffer.from(bytes)
      for (const element of readElements(data) ?? []) {
        assert.deepEqual(writeElement(element.tag, element.content), element.bytes)
      }
      readBoolean(data)
      readTime({ tag: TAG.utcTime, bytes: data, content: data })
      const small = readSmallInteger(data)
      if (small !== undefined) {
        assert.deepEqual(writeSmallInteger(small), writeElement(TAG.integer, data))
      }
      const oid = readObjectIdentifier(data)
      if (oid !== undefined) {
        assert.deepEqual(writeObjectIdentifier(oid), writeElement(TAG.objectIdentifier, data))
      }
      readNamedBits(data)
      const integer = readIntegerHex(data, 40)
      if (integer !== undefined && !integer.startsWith('-')) {
        assert.deepEqual(writeInteger(hex(integer)), writeElement(TAG.integer, data))
      }
    }),
    { numRuns: 2000 },
  )
})

test('Deep nesting costs nothing: nothing recurses', () => {
  let nested: Buffer = writeElement(TAG.null)
  for (let depth = 0; depth < 2000; depth += 1) nested = writeSequence(nested)
  assert.equal(readSequence(nested)?.length, 1)
})
