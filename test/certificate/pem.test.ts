import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  certificateFileProblem,
  isDer,
  isEncryptedKey,
  readBase64,
  readBlocks,
  readPemBlocks,
  readPemFile,
  writePem,
} from '../../src/certificate/pem.ts'
import { fixture, fixturePem } from '../support/pki.ts'

const LABEL = 'CERTIFICATE'
const pem = fixturePem('leaf-good')
const der = fixture('leaf-good')

test('A block that OpenSSL wrote is read, and written back identically', () => {
  assert.deepEqual(readPemBlocks(pem, LABEL), [der])
  assert.equal(writePem(LABEL, der), pem)
  assert.deepEqual(readPemBlocks(fixturePem('crl-empty'), 'X509 CRL'), [fixture('crl-empty')])
  assert.equal(writePem('X509 CRL', fixture('crl-empty')), fixturePem('crl-empty'))
})

test('Several blocks are read in their order', () => {
  assert.deepEqual(readPemBlocks(fixturePem('bundle-ca'), LABEL), [
    fixture('ca-p256'),
    fixture('ca-twin'),
  ])
})

test('Line endings, line lengths, white space around blocks and a missing final newline do not matter', () => {
  const oneLine = `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----`
  for (const text of [
    pem.replaceAll('\n', '\r\n'),
    pem.trimEnd(),
    `\n \t\r\n${pem}\n\n`,
    oneLine,
    `${pem}\n${pem}`.slice(0, pem.length + 1),
  ]) {
    assert.deepEqual(readPemBlocks(text, LABEL), [der])
  }
})

/** Texts that contain no block, or something besides it. */
const REFUSED: readonly (readonly [string, string])[] = [
  ['nothing', ''],
  ['white space', ' \n\t'],
  ['any text', 'hello'],
  ['another label', fixturePem('crl-empty')],
  ['another label after the right one', pem + fixturePem('crl-empty')],
  ['an end with another label', pem.replace('-----END CERTIFICATE', '-----END X509 CRL')],
  ['text before', `hello\n${pem}`],
  ['text between', `${pem}hello\n${pem}`],
  ['text after', `${pem}hello`],
  ['no end', pem.slice(0, pem.indexOf('-----END'))],
  ['no begin', pem.slice(pem.indexOf('\n') + 1)],
  ['no content', '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n'],
  ['an empty line', '-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n'],
  ['headers', pem.replace('-----\n', '-----\nProc-Type: 4,ENCRYPTED\n\n')],
  ['four dashes', pem.replace('-----BEGIN', '----BEGIN')],
  ['spaces inside', pem.replace('MII', 'MI I')],
  ["a character of the URL's alphabet", pem.replace('MII', 'MI_')],
  ['a cut base64', pem.replace(/.\n-----END/, '\n-----END')],
  ['two blocks on one line', pem.trimEnd() + pem],
  ['everything on one line', pem.replaceAll('\n', '')],
  ['a comment', `# our CA\n${pem}`],
]

for (const [what, text] of REFUSED) {
  test(`${what} is refused`, () => assert.equal(readPemBlocks(text, LABEL), undefined))
}

test("In a person's file, comments and OpenSSL's description around blocks are skipped", () => {
  const file = `# our CA\n\nCertificate:\n    Data:\n${pem}  # and the twin\n${fixturePem('ca-twin')}\nend`
  assert.deepEqual(readPemBlocks(file, LABEL, true), [der, fixture('ca-twin')])
  assert.deepEqual(readPemBlocks(pem.replaceAll('\n', ' \r\n'), LABEL, true), [der])
  assert.equal(readPemBlocks('# nothing else', LABEL, true), undefined)
  assert.equal(readPemBlocks('', LABEL, true), undefined)
})

test("A person's file gets no leniency inside a block or for other labels", () => {
  assert.equal(readPemBlocks(pem.replace('MII', '# MII'), LABEL, true), undefined)
  assert.equal(readPemBlocks(`${pem}${fixturePem('crl-empty')}`, LABEL, true), undefined)
  assert.equal(readPemBlocks(pem.slice(0, pem.indexOf('-----END')), LABEL, true), undefined)
})

test('A file is DER exactly if it starts with a SEQUENCE whose length byte is not a text character', () => {
  assert.ok(isDer(der))
  assert.ok(isDer(fixture('crl-empty')))
  assert.ok(isDer(Buffer.from([0x30, 0x03, 0x02, 0x01, 0x00])))
  for (const text of ['', '0', '00', '0\n', '0 ', '0~', pem, '# a comment']) {
    assert.ok(!isDer(Buffer.from(text)), JSON.stringify(text))
  }
})

test("A person's file is read block by block, whatever the labels", () => {
  const crl = fixturePem('crl-empty')
  assert.deepEqual(readPemFile(`# ours\n${pem}text\n${crl}`), [
    { label: LABEL, der },
    { label: 'X509 CRL', der: fixture('crl-empty') },
  ])
  assert.deepEqual(readPemFile(''), [])
  assert.deepEqual(readPemFile('no block'), [])
  // Windows puts a byte order mark before a text, and `cat` between two of them.
  assert.deepEqual(readPemFile(`\u00ef\u00bb\u00bf${pem}\u00ef\u00bb\u00bf${pem}`), [
    { label: LABEL, der },
    { label: LABEL, der },
  ])
})

test('An incomplete block has no content, and one with an unusual label has no name', () => {
  assert.deepEqual(readPemFile(pem.slice(0, -30)), [{ label: LABEL, der: undefined }])
  assert.deepEqual(readPemFile(pem.replaceAll('CERTIFICATE', 'certificate')), [
    { label: 'unreadable', der: undefined },
  ])
})

test('of a file the blocks with the given labels are read, or the whole file if it is DER', () => {
  const key = pem.replaceAll('CERTIFICATE', 'PRIVATE KEY')
  const file = Buffer.from(`subject=Ada\n${key}${pem}${pem.slice(0, -30)}`)
  assert.deepEqual(readBlocks(file, LABEL), [der, undefined])
  assert.deepEqual(readBlocks(file, 'PRIVATE KEY', LABEL), [der, der, undefined])
  assert.deepEqual(readBlocks(file, 'X509 CRL'), [])
  assert.deepEqual(readBlocks(der, LABEL), [der])
})

test('a key is encrypted if PKCS #8 or the older form of OpenSSL says so', () => {
  const begin = (label: string, next = 'AAAA') => `-----BEGIN ${label}-----\n${next}\n`
  assert.equal(isEncryptedKey(begin('ENCRYPTED PRIVATE KEY')), true)
  assert.equal(isEncryptedKey(begin('EC PRIVATE KEY', 'Proc-Type: 4,ENCRYPTED')), true)
  assert.equal(isEncryptedKey(begin('PRIVATE KEY')), false)
  assert.equal(isEncryptedKey(begin('EC PRIVATE KEY')), false)
})

/** What a file holds, and what is wrong with it where certificates are expected. */
const FILES: readonly (readonly [string, string, RegExp])[] = [
  ['nothing', '', /^holds no certificate, in PEM or DER$/],
  ['a text', 'hello', /^holds no certificate, in PEM or DER$/],
  ['a CRL', fixturePem('crl-empty'), /^holds no certificate, in PEM or DER$/],
  ['half a certificate', pem.slice(0, -30), /^holds an incomplete certificate$/],
  [
    'a certificate and a key',
    pem + pem.replaceAll('CERTIFICATE', 'PRIVATE KEY'),
    /^also holds a block "PRIVATE KEY": put the certificate into a file of its own$/,
  ],
]

for (const [what, text, problem] of FILES) {
  test(`A certificate file that holds ${what} is refused with the reason`, () => {
    assert.match(certificateFileProblem(text), problem)
  })
}

test('Base64 has exactly one accepted spelling', () => {
  assert.deepEqual(readBase64('AAE='), Buffer.from([0, 1]))
  assert.deepEqual(readBase64('/+8A'), Buffer.from([0xff, 0xef, 0]))
  for (const other of [
    '',
    'AAE', // unpadded
    'AAF=', // unused bits
    'AA==AA==',
    'AAE=\n',
    'AA E',
    '_-8A', // the URL's alphabet
    '====',
    'A===',
    'ÄAE=',
  ]) {
    assert.equal(readBase64(other), undefined, other)
  }
})

test('What is written is read back, in lines of 64 characters', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
      const text = writePem(LABEL, bytes)
      assert.deepEqual(readPemBlocks(text, LABEL), [Buffer.from(bytes)])
      assert.deepEqual(readPemBlocks(text + text, LABEL)?.length, 2)
      assert.ok(text.split('\n').every((line) => line.length <= 64))
    }),
  )
})

test('An empty block is written, and never read', () => {
  assert.equal(
    writePem(LABEL, Buffer.alloc(0)),
    '-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n',
  )
  assert.equal(readPemBlocks(writePem(LABEL, Buffer.alloc(0)), LABEL), undefined)
})

test('Any text is handled without throwing', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.boolean(), (text, tolerateComments) => {
      assert.equal(readPemBlocks(text, LABEL, tolerateComments), undefined)
    }),
  )
})

test('A hostile text takes time proportional to its length', () => {
  const hostile = [
    '-----BEGIN CERTIFICATE-----\n'.repeat(3000),
    `-----BEGIN CERTIFICATE-----\n${'A'.repeat(100_000)}`,
    `-----BEGIN CERTIFICATE-----\n${'AAAA\n'.repeat(20_000)}`,
    `-----BEGIN ${'A '.repeat(50_000)}`,
    '\n'.repeat(100_000),
  ]
  for (const text of hostile) assert.equal(readPemBlocks(text, LABEL), undefined)
})
