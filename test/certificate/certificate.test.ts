import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type Certificate,
  readAlgorithm,
  readCertificate,
} from '../../src/certificate/certificate.ts'
import { contextTag, readSequence, TAG } from '../../src/certificate/der.ts'
import {
  writeBitString,
  writeElement,
  writeObjectIdentifier,
  writeOctetString,
  writeSequence,
  writeSmallInteger,
} from '../../src/certificate/der-writer.ts'
import { readExtensions } from '../../src/certificate/extensions.ts'
import { commonName } from '../../src/certificate/name.ts'
import { publicKeyFitness, readPublicKeyKind } from '../../src/certificate/public-key.ts'
import { fixture, fixtureFile, fixturePath } from '../support/pki.ts'

const NULL = writeElement(TAG.null)
const oid = writeObjectIdentifier

function certificateOf(name: string): Certificate {
  const certificate = readCertificate(fixture(name))
  assert.ok(certificate !== undefined, name)
  return certificate
}

/** All certificates among the fixtures, PKITS's too. */
const names = readdirSync(dirname(fixturePath('leaf-good')))
  .filter((file) => /^(ca|leaf)-.*\.pem$/.test(file))
  .map((file) => file.replace('.pem', ''))
const manifest: readonly { certificate?: string; issuer?: string }[] = JSON.parse(
  fixtureFile('pkits/manifest.json').toString('utf8'),
)
const pkits = new Set(
  manifest
    .flatMap(({ certificate, issuer }) => [certificate, issuer])
    .filter((path) => path !== undefined),
)
const everything: readonly (readonly [string, Buffer])[] = [
  ...names.map((name) => [name, fixture(name)] as const),
  ...[...pkits].map((path) => [path, fixtureFile(`pkits/${path}`)] as const),
]

for (const [name, der] of everything) {
  const certificate = readCertificate(der)
  if (certificate === undefined) continue
  test(`Node reads the same certificate as certlatch does (${name})`, () => {
    const reference = new X509Certificate(der)
    const digits = certificate.serial.toUpperCase()
    assert.equal(BigInt(`0x${digits.replace('-', '')}`), magnitude(reference.serialNumber))
    assert.equal(digits.startsWith('-'), reference.serialNumber.startsWith('-'))
    assert.equal(certificate.notBefore, Date.parse(reference.validFrom) / 1000)
    assert.equal(certificate.notAfter, Date.parse(reference.validTo) / 1000)
    const last = [reference.toLegacyObject().subject.CN].flat().at(-1)
    // UniversalString is not read, on purpose.
    const named = name === 'leaf-cn-universal' ? undefined : last
    assert.equal(commonName(certificate.subject), named)
    const key = certificate.publicKey
    if (publicKeyFitness(key) !== 'unsupported' && name !== 'ca-off-curve') {
      const exported = reference.publicKey.export({ type: 'spki', format: 'der' })
      assert.deepEqual(certificate.publicKeyInfo, exported)
      const details = reference.publicKey.asymmetricKeyDetails
      assert.equal(reference.publicKey.asymmetricKeyType, key.type)
      if (key.type === 'rsa') assert.equal(details?.modulusLength, key.modulusBits)
    }
  })
}

const magnitude = (digits: string): bigint => BigInt(`0x${digits.replace('-', '')}`)

test('The fixtures that certlatch cannot read are exactly those made to be unreadable', () => {
  const unreadable = everything
    .filter(([, der]) => readCertificate(der) === undefined)
    .map(([name]) => name)
    .sort()
  assert.deepEqual(unreadable, [
    'certs/InvalidDSASignatureTest6EE.crt', // its signature is not whole bytes
    'leaf-algorithms-differ',
    'leaf-duplicate-extension',
    'leaf-empty-extensions',
    'leaf-extra-field',
    'leaf-serial-22-bytes',
    'leaf-serial-padded',
    'leaf-v1-with-extensions',
    'leaf-v1-with-unique-identifier',
    'leaf-v2-with-extensions',
    'leaf-v4',
  ])
})

test('A certificate is read with all its fields', () => {
  const certificate = certificateOf('leaf-good')
  const reference = new X509Certificate(fixture('leaf-good'))
  assert.equal(certificate.version, 3)
  assert.equal(certificate.serial, reference.serialNumber.toLowerCase())
  assert.equal(commonName(certificate.issuer), 'Home Device CA')
  assert.equal(certificate.notBefore, Date.UTC(2026, 0) / 1000)
  assert.equal(certificate.notAfter, Date.UTC(2046, 0) / 1000)
  assert.deepEqual(certificate.publicKey, { type: 'ec', curve: '1.2.840.10045.3.1.7' })
  assert.equal(certificate.extensions.size, 6)
  assert.deepEqual(certificate.signatureAlgorithm, {
    oid: '1.2.840.10045.4.3.2',
    parameters: undefined,
  })
  assert.ok(certificate.der.includes(certificate.tbs))
  assert.ok(certificate.der.includes(certificate.signature))
})

test('Versions 1 and 2 are distinguished from version 3', () => {
  assert.equal(certificateOf('leaf-v1').version, 1)
  assert.equal(certificateOf('leaf-v2').version, 2)
  assert.equal(certificateOf('leaf-v2-with-unique-identifier').version, 2)
})

test('Serial numbers are whole bytes without padding, negative ones with their sign', () => {
  assert.equal(certificateOf('leaf-serial-zero').serial, '00')
  assert.equal(certificateOf('leaf-serial-negative').serial, '-05')
  assert.equal(certificateOf('leaf-serial-128').serial, '80')
  const digits = '0102030405060708090a0b0c0d0e0f10111213'
  assert.equal(certificateOf('leaf-serial-20-bytes').serial, `7f${digits}`)
  assert.equal(certificateOf('leaf-serial-20-bytes-high-bit').serial, `ff${digits}`)
})

// version, serial, algorithm, issuer, validity, subject, key, extensions
const outer = readSequence(fixture('leaf-good')) ?? []
const [tbs, algorithm, signature] = outer.map(({ bytes }) => bytes)
assert.ok(tbs !== undefined && algorithm !== undefined && signature !== undefined)
const fields = (readSequence(tbs) ?? []).map(({ bytes }) => bytes)

/** The good certificate with one field replaced; its signature is not right any more. */
const withField = (index: number, ...replacement: readonly Buffer[]): Buffer =>
  writeSequence(
    writeSequence(...fields.slice(0, index), ...replacement, ...fields.slice(index + 1)),
    algorithm,
    signature,
  )

test('A certificate reassembled from its parts is read', () => {
  assert.ok(readCertificate(withField(0, ...fields.slice(0, 1))) !== undefined)
})

/** Certificates with one thing wrong. */
const MALFORMED: readonly (readonly [string, Buffer])[] = [
  ['a fourth part', writeSequence(tbs, algorithm, signature, NULL)],
  ['no signature', writeSequence(tbs, algorithm)],
  ['no algorithm', writeSequence(tbs)],
  ['nothing', writeSequence()],
  ['a NULL in place of what is signed', writeSequence(NULL, algorithm, signature)],
  ['a NULL in place of the algorithm', writeSequence(tbs, NULL, signature)],
  ['a NULL in place of the signature', writeSequence(tbs, algorithm, NULL)],
  [
    'a signature of other than whole bytes',
    writeSequence(tbs, algorithm, writeElement(TAG.bitString, Buffer.from([1, 2]))),
  ],
  ['a malformed version', withField(0, writeElement(contextTag(0, true), NULL))],
  ['an empty version', withField(0, writeElement(contextTag(0, true)))],
  ['no serial number', withField(1)],
  ['no algorithm inside', withField(2)],
  ['a NULL as issuer', withField(3, NULL)],
  ['an issuer that is no name', withField(3, writeSequence(NULL))],
  ['a validity of one date', withField(4, writeSequence(...validity(1)))],
  ['a validity of three dates', withField(4, writeSequence(...validity(2), ...validity(1)))],
  ['a validity that is cut', withField(4, writeSequence(Buffer.from([0x17])))],
  ['a validity of other things', withField(4, writeSequence(NULL, NULL))],
  ['an end that is no date', withField(4, writeSequence(...validity(1), NULL))],
  ['a NULL as subject', withField(5, NULL)],
  ['a subject that is no name', withField(5, writeSequence(NULL))],
  ['a NULL as key', withField(6, NULL)],
  ['a key that is none', withField(6, writeSequence(NULL))],
  ['a key with nothing after it but its own field again', withField(6, fields[6] ?? NULL, NULL)],
  ['extensions that are none', withField(7, writeElement(contextTag(3, true), NULL))],
  ['an object identifier that is cut', writeSequence(tbs, cutAlgorithm(), signature)],
]

function validity(count: number): readonly Buffer[] {
  const dates = readSequence(fields[4] ?? NULL) ?? []
  return dates.slice(0, count).map(({ bytes }) => bytes)
}

function cutAlgorithm(): Buffer {
  return writeSequence(writeElement(TAG.objectIdentifier, Buffer.from([0x2a, 0x86])))
}

for (const [what, der] of MALFORMED) {
  test(`A certificate with ${what} is unreadable`, () => {
    assert.equal(readCertificate(der), undefined)
  })
}

test('An algorithm is an object identifier and at most one parameter', () => {
  assert.deepEqual(readAlgorithm(writeSequence(oid('1.2.3'), NULL)), {
    oid: '1.2.3',
    parameters: NULL,
  })
  assert.deepEqual(readAlgorithm(writeSequence(oid('1.2.3'))), {
    oid: '1.2.3',
    parameters: undefined,
  })
  for (const wrong of [NULL, writeSequence(), writeSequence(NULL)]) {
    assert.equal(readAlgorithm(wrong), undefined)
  }
  assert.equal(readAlgorithm(writeSequence(oid('1.2.3'), NULL, NULL)), undefined)
})

test('Extensions are found by identifier, each with its criticality', () => {
  const value = writeOctetString(NULL)
  const critical = writeElement(TAG.boolean, Buffer.from([0xff]))
  const extensions = readExtensions(
    writeSequence(writeSequence(oid('1.2.3'), critical, value), writeSequence(oid('1.2.4'), value)),
  )
  assert.deepEqual(extensions?.get('1.2.3'), { critical: true, value: NULL })
  assert.deepEqual(extensions?.get('1.2.4'), { critical: false, value: NULL })
  for (const wrong of [
    NULL,
    writeSequence(),
    writeSequence(NULL),
    writeSequence(writeSequence(oid('1.2.3'))),
    writeSequence(writeSequence(oid('1.2.3'), NULL)),
    writeSequence(writeSequence(value)),
    writeSequence(writeSequence(oid('1.2.3'), value, NULL)),
    writeSequence(writeSequence(oid('1.2.3'), value), writeSequence(oid('1.2.3'), value)),
    writeSequence(writeSequence(writeElement(TAG.objectIdentifier, Buffer.from([0x80])), value)),
  ]) {
    assert.equal(readExtensions(wrong), undefined, wrong.toString('hex'))
  }
})

// --- public keys ------------------------------------------------------------------------------------

const EC = '1.2.840.10045.2.1'
const RSA = '1.2.840.113549.1.1.1'
const P256 = '1.2.840.10045.3.1.7'

const keyInfo = (algorithmFields: readonly Buffer[], bits: Buffer): Buffer =>
  writeSequence(writeSequence(...algorithmFields), writeBitString(bits))

const rsaKey = (modulus: string, exponent = '010001'): Buffer =>
  keyInfo(
    [oid(RSA), NULL],
    writeSequence(
      writeElement(TAG.integer, Buffer.from(modulus, 'hex')),
      writeElement(TAG.integer, Buffer.from(exponent, 'hex')),
    ),
  )

test('A point has the length of its curve, compressed or not', () => {
  const point = (first: number, length: number) =>
    readPublicKeyKind(keyInfo([oid(EC), oid(P256)], Buffer.alloc(length, first)))
  const read = { type: 'ec', curve: P256 }
  assert.deepEqual(point(4, 65), read)
  assert.deepEqual(point(2, 33), read)
  assert.deepEqual(point(3, 33), read)
  for (const [first, length] of [
    [4, 64],
    [4, 66],
    [4, 33],
    [2, 65],
    [0, 1],
    [6, 65],
    [7, 65],
  ] as const) {
    assert.equal(point(first, length), undefined, `${first} ${length}`)
  }
  assert.equal(point(4, 0), undefined)
})

test('An unsupported curve is named, and the key is unfit', () => {
  const kind = readPublicKeyKind(keyInfo([oid(EC), oid('1.3.132.0.10')], Buffer.alloc(65, 4)))
  assert.deepEqual(kind, { type: 'ec', curve: '1.3.132.0.10' })
  assert.equal(kind && publicKeyFitness(kind), 'unsupported')
  const explicit = readPublicKeyKind(keyInfo([oid(EC), writeSequence()], Buffer.alloc(65, 4)))
  assert.deepEqual(explicit, { type: 'other', oid: EC })
  const cut = writeElement(TAG.objectIdentifier, Buffer.from([0x2a, 0x86]))
  assert.equal(readPublicKeyKind(keyInfo([oid(EC), cut], Buffer.alloc(65, 4))), undefined)
})

test('An RSA key is as long as its modulus has bits', () => {
  const bits = (modulus: string) => readPublicKeyKind(rsaKey(modulus))
  assert.deepEqual(bits(`00${'ff'.repeat(256)}`), { type: 'rsa', modulusBits: 2048 })
  assert.deepEqual(bits(`7f${'ff'.repeat(255)}`), { type: 'rsa', modulusBits: 2047 })
  assert.deepEqual(bits(`01${'00'.repeat(255)}`), { type: 'rsa', modulusBits: 2041 })
  assert.deepEqual(bits('00'), { type: 'rsa', modulusBits: 0 })
  const fit = (modulus: string) => {
    const kind = bits(modulus)
    return kind && publicKeyFitness(kind)
  }
  assert.equal(fit(`00${'ff'.repeat(256)}`), 'fit')
  assert.equal(fit(`7f${'ff'.repeat(255)}`), 'weak')
  assert.equal(bits(''), undefined)
  assert.equal(bits('ff'), undefined)
})

test('An RSA key is two integers and nothing more', () => {
  const integer = writeSmallInteger(3)
  for (const bits of [
    NULL,
    writeSequence(),
    writeSequence(integer),
    writeSequence(integer, NULL),
    writeSequence(NULL, integer),
    writeSequence(integer, integer, integer),
  ]) {
    assert.equal(readPublicKeyKind(keyInfo([oid(RSA), NULL], bits)), undefined)
  }
})

test('An Ed25519 key has 32 bytes', () => {
  const key = (length: number) =>
    readPublicKeyKind(keyInfo([oid('1.3.101.112')], Buffer.alloc(length)))
  assert.deepEqual(key(32), { type: 'ed25519' })
  assert.equal(key(31), undefined)
})

test('A key of another type is named by its identifier, and is unfit', () => {
  const kind = readPublicKeyKind(keyInfo([oid('1.2.3')], Buffer.alloc(1)))
  assert.deepEqual(kind, { type: 'other', oid: '1.2.3' })
  assert.equal(kind && publicKeyFitness(kind), 'unsupported')
})

test('A key is an algorithm and whole bytes', () => {
  const name = writeSequence(oid('1.2.3'))
  const bits = writeBitString(Buffer.alloc(1))
  for (const wrong of [
    NULL,
    writeSequence(),
    writeSequence(name),
    writeSequence(name, NULL),
    writeSequence(NULL, bits),
    writeSequence(writeSequence(), bits),
    writeSequence(writeSequence(NULL), bits),
    writeSequence(name, bits, NULL),
    writeSequence(name, writeElement(TAG.bitString, Buffer.from([4, 0]))),
    writeSequence(writeSequence(writeElement(TAG.objectIdentifier)), bits),
  ]) {
    assert.equal(readPublicKeyKind(wrong), undefined, wrong.toString('hex'))
  }
})

test('Any change to any certificate is handled without throwing, and whatever can be read re-encodes to the same bytes', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...everything.map(([, der]) => der)),
      fc.nat(),
      fc.uint8Array({ minLength: 1, maxLength: 4 }),
      (der, place, piece) => {
        const changed = Buffer.from(der)
        changed.set(piece, place % (der.length - piece.length))
        const certificate = readCertificate(changed)
        if (certificate !== undefined) assert.deepEqual(certificate.der, changed)
      },
    ),
    { numRuns: 3000 },
  )
})
