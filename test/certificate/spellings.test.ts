/** What CAs write in several ways: read wherever OpenSSL, Go and the proxies read it in one way only. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { contextTag, TAG } from '../../src/certificate/der.ts'
import {
  writeBoolean,
  writeElement,
  writeNamedBits,
  writeObjectIdentifier,
  writeSequence,
  writeSmallInteger,
} from '../../src/certificate/der-writer.ts'
import { readRevocationList } from '../../src/certificate/revocation.ts'
import { readSigningRequest } from '../../src/certificate/signing-request.ts'
import { type CertificateProblem, verifyCertificate } from '../../src/certificate/verify.ts'
import {
  algorithm,
  alternativeNames,
  commonNameOf,
  DER_NULL,
  ECDSA_SHA256,
  email,
  entryOf,
  extension,
  forgeLeaf,
  forgeList,
  forgeRequest,
  issuerOfAuthority,
  type LeafParts,
  type ListParts,
  p256,
  rsa,
  type Signing,
} from '../support/forge.ts'

const home = { key: p256(), name: commonNameOf('Home') }
const office = { key: rsa(), name: commonNameOf('Office') }
const issuers = [issuerOfAuthority(home), issuerOfAuthority(office)]

const verdictOn = (der: Buffer): CertificateProblem | 'good' => {
  const verdict = verifyCertificate(der, issuers)
  return verdict.ok ? 'good' : verdict.problem
}

const FALSE = writeBoolean(false)
const digitalSignature = writeNamedBits([0])
const keyUsage = (value: Buffer, critical: boolean | Buffer = true) =>
  extension('2.5.29.15', value, critical)
const bits = (hex: string) => writeElement(TAG.bitString, Buffer.from(hex, 'hex'))
const clientAuth = writeSequence(writeObjectIdentifier('1.3.6.1.5.5.7.3.2'))
const version = (number: number) => writeElement(contextTag(0, true), writeSmallInteger(number))
const notTrue = writeElement(TAG.boolean, Buffer.from([1]))
const notBoolean = writeElement(TAG.boolean, Buffer.from([0, 0]))

const LEAVES: readonly (readonly [string, LeafParts, CertificateProblem | 'good'])[] = [
  ...(
    [
      ['subjectKeyIdentifier', '2.5.29.14', writeElement(TAG.octetString, Buffer.alloc(20))],
      ['keyUsage', '2.5.29.15', digitalSignature],
      ['basicConstraints', '2.5.29.19', writeSequence()],
      ['extendedKeyUsage', '2.5.29.37', clientAuth],
      ['authorityKeyIdentifier', '2.5.29.35', writeSequence()],
      ['an unknown extension', '1.2.3.4', DER_NULL],
    ] as const
  ).map(
    ([name, oid, value]) =>
      [
        `critical FALSE written out at ${name}`,
        { extensions: [extension(oid, value, FALSE)] },
        'good',
      ] as const,
  ),
  [
    'critical FALSE at the alternative names',
    { extensions: [extension('2.5.29.17', writeSequence(email('a@home.test')), FALSE)] },
    'good',
  ],
  [
    'critical as 01, which is no TRUE in DER',
    { extensions: [keyUsage(digitalSignature, notTrue)] },
    'certificate-malformed',
  ],
  [
    'critical of two bytes',
    { extensions: [keyUsage(digitalSignature, notBoolean)] },
    'certificate-malformed',
  ],
  ['keyUsage with trailing zero bits', { extensions: [keyUsage(bits('0080'))] }, 'good'],
  ['keyUsage with some of them', { extensions: [keyUsage(bits('0580'))] }, 'good'],
  ['keyUsage with a trailing zero byte', { extensions: [keyUsage(bits('078000'))] }, 'good'],
  ['keyUsage with many', { extensions: [keyUsage(bits(`0080${'00'.repeat(40)}`))] }, 'good'],
  [
    'keyUsage with an unused bit that is set',
    { extensions: [keyUsage(bits('0781'))] },
    'certificate-malformed',
  ],
  [
    'keyUsage of zeros alone, which allows nothing',
    { extensions: [keyUsage(bits('0000'))] },
    'certificate-wrong-usage',
  ],
  ['version 1', { version: undefined }, 'good'],
  ['version 1 written out', { version: version(0) }, 'good'],
  ['version 2', { version: version(1) }, 'good'],
  ['version 3 without extensions', {}, 'good'],
  ['version 4', { version: version(3) }, 'certificate-malformed'],
  [
    'version 1 with extensions',
    { version: undefined, extensions: [keyUsage(digitalSignature)] },
    'certificate-malformed',
  ],
]

for (const [what, parts, expected] of LEAVES) {
  test(`A certificate with ${what}: ${expected}`, () => {
    assert.equal(verdictOn(forgeLeaf(home, parts)), expected)
  })
}

// --- signature algorithms ---------------------------------------------------------------------------

const SHA = {
  256: '2.16.840.1.101.3.4.2.1',
  384: '2.16.840.1.101.3.4.2.2',
  512: '2.16.840.1.101.3.4.2.3',
  1: '1.3.14.3.2.26',
  224: '2.16.840.1.101.3.4.2.4',
} as const
type Sha = keyof typeof SHA

interface Pss {
  readonly hash?: Sha | undefined
  readonly maskHash?: Sha | undefined
  readonly salt?: number | undefined
  /** What follows the OID of a hash. */
  readonly spelled?: readonly Buffer[]
  readonly trailer?: number
  readonly mask?: string
  readonly more?: readonly Buffer[]
}

const tagged = (number: number, ...content: readonly Buffer[]) =>
  writeElement(contextTag(number, true), ...content)

function pssAlgorithm(given: Pss): Buffer {
  const {
    hash,
    maskHash,
    salt,
    spelled = [DER_NULL],
    trailer,
    mask,
    more = [],
  } = {
    ...{ hash: 256, maskHash: given.hash ?? 256, salt: 32 },
    ...given,
  }
  const hashOf = (sha: Sha) => algorithm(SHA[sha], ...spelled)
  const parameters = [
    ...(hash === undefined ? [] : [tagged(0, hashOf(hash as Sha))]),
    ...(maskHash === undefined
      ? []
      : [tagged(1, algorithm(mask ?? '1.2.840.113549.1.1.8', hashOf(maskHash as Sha)))]),
    ...(salt === undefined ? [] : [tagged(2, writeSmallInteger(salt))]),
    ...(trailer === undefined ? [] : [tagged(3, writeSmallInteger(trailer))]),
    ...more,
  ]
  return algorithm('1.2.840.113549.1.1.10', writeSequence(...parameters))
}

const pss = (given: Pss): Signing => ({
  algorithm: pssAlgorithm(given),
  hash: `sha${given.hash ?? 256}`,
  saltLength: given.salt ?? 32,
})

const NULL_ECDSA = algorithm('1.2.840.10045.4.3.2', DER_NULL)
const unsupported = 'certificate-unsupported-algorithm'

const SIGNINGS: readonly (readonly [string, typeof home, Signing, CertificateProblem | 'good'])[] =
  [
    ['ECDSA with NULL', home, { algorithm: NULL_ECDSA }, 'good'],
    [
      'ECDSA with SHA-384 and NULL',
      home,
      { algorithm: algorithm('1.2.840.10045.4.3.3', DER_NULL), hash: 'sha384' },
      'good',
    ],
    [
      'ECDSA with SHA-512 and NULL',
      home,
      { algorithm: algorithm('1.2.840.10045.4.3.4', DER_NULL), hash: 'sha512' },
      'good',
    ],
    [
      'ECDSA with a curve as parameters',
      home,
      { algorithm: algorithm('1.2.840.10045.4.3.2', writeObjectIdentifier('1.3.132.0.34')) },
      unsupported,
    ],
    ['RSA without NULL', office, { algorithm: algorithm('1.2.840.113549.1.1.11') }, 'good'],
    ['RSA-PSS with SHA-256', office, pss({}), 'good'],
    ['RSA-PSS with SHA-384', office, pss({ hash: 384, salt: 48 }), 'good'],
    ['RSA-PSS with SHA-512', office, pss({ hash: 512, salt: 64 }), 'good'],
    ['RSA-PSS whose hashes have no NULL', office, pss({ spelled: [] }), 'good'],
    ['RSA-PSS with the DEFAULT trailer', office, pss({ trailer: 1 }), 'good'],
    ['RSA-PSS with another trailer', office, pss({ trailer: 2 }), unsupported],
    ['RSA-PSS with another mask hash', office, pss({ maskHash: 384 }), unsupported],
    ['RSA-PSS with a shorter salt', office, pss({ salt: 20 }), unsupported],
    ['RSA-PSS with a longer salt', office, pss({ salt: 64 }), unsupported],
    ['RSA-PSS with another mask function', office, pss({ mask: '1.2.3' }), unsupported],
    ['RSA-PSS with something more', office, pss({ more: [DER_NULL] }), unsupported],
    ['RSA-PSS with odd parameters of a hash', office, pss({ spelled: [FALSE] }), unsupported],
    [
      'RSA-PSS with SHA-1',
      office,
      { algorithm: pssAlgorithm({ hash: 1, salt: 20 }), hash: 'sha1', saltLength: 20 },
      unsupported,
    ],
    [
      'RSA-PSS with all DEFAULTs, which are SHA-1',
      office,
      {
        algorithm: algorithm('1.2.840.113549.1.1.10', writeSequence()),
        hash: 'sha1',
        saltLength: 20,
      },
      unsupported,
    ],
    [
      'RSA-PSS without the mask',
      office,
      { ...pss({}), algorithm: pssAlgorithm({ maskHash: undefined }) },
      unsupported,
    ],
    [
      'RSA-PSS without the salt length',
      office,
      { ...pss({}), algorithm: pssAlgorithm({ salt: undefined }) },
      unsupported,
    ],
    [
      'RSA-PSS without parameters',
      office,
      { ...pss({}), algorithm: algorithm('1.2.840.113549.1.1.10') },
      unsupported,
    ],
    [
      'RSA-PSS with parameters that are no list',
      office,
      { ...pss({}), algorithm: algorithm('1.2.840.113549.1.1.10', DER_NULL) },
      unsupported,
    ],
    [
      'RSA-PSS whose salt is not what it says',
      office,
      { ...pss({}), saltLength: 48 },
      'certificate-untrusted',
    ],
    [
      'RSA-PSS whose hash is not what it says',
      office,
      { ...pss({}), hash: 'sha384' },
      'certificate-untrusted',
    ],
    [
      'RSA-PSS that is said to be of an EC key',
      home,
      { algorithm: pssAlgorithm({}) },
      'certificate-untrusted',
    ],
    [
      'SHA-3',
      home,
      { algorithm: algorithm('2.16.840.1.101.3.4.3.10'), hash: 'sha3-256' },
      unsupported,
    ],
    [
      'ECDSA and SHA-1',
      home,
      { algorithm: algorithm('1.2.840.10045.4.1'), hash: 'sha1' },
      'certificate-weak',
    ],
    [
      'ECDSA and SHA-224',
      home,
      { algorithm: algorithm('1.2.840.10045.4.3.1'), hash: 'sha224' },
      'certificate-weak',
    ],
  ]

const CLAUSES: Readonly<Record<string, RegExp>> = {
  good: /^$/,
  'certificate-unsupported-algorithm':
    /algorithm, or with parameters of it, that certlatch does not support/,
  'certificate-weak': /weaker than SHA-256/,
  'certificate-untrusted': /not signed by/,
}

for (const [what, authority, signing, expected] of SIGNINGS) {
  test(`A signature with ${what}: ${expected}, on a certificate, a CRL and a request`, () => {
    assert.equal(verdictOn(forgeLeaf(authority, { signing })), expected)
    const list = readRevocationList(forgeList(authority, { signing }), issuers)
    assert.match(list.ok ? '' : list.problem, CLAUSES[expected] ?? /^-$/)
    const request = readSigningRequest(forgeRequest(authority.key, { signing }))
    assert.match(request.ok ? '' : request.problem, CLAUSES[expected] ?? /^-$/)
  })
}

test('Node accepts the same variants, wherever certlatch accepts them', () => {
  const keys = new Map([home, office].map(({ key }, at) => [key, issuers[at]?.key]))
  for (const [what, authority, signing, expected] of SIGNINGS) {
    if (expected !== 'good') continue
    const certificate = new X509Certificate(forgeLeaf(authority, { signing }))
    const key = keys.get(authority.key)
    assert.ok(key !== undefined && certificate.verify(key), what)
  }
})

test('Ed25519 must have no parameters at all', () => {
  const signing = { algorithm: algorithm('1.3.101.112', DER_NULL) }
  assert.equal(verdictOn(forgeLeaf(home, { signing })), unsupported)
})

test('An algorithm with different encodings inside and outside is refused', () => {
  for (const [inside, outside] of [
    [ECDSA_SHA256, NULL_ECDSA],
    [NULL_ECDSA, ECDSA_SHA256],
  ] as const) {
    const der = forgeLeaf(home, { signing: { algorithm: inside }, outerAlgorithm: outside })
    assert.equal(verdictOn(der), 'certificate-malformed')
  }
})

// --- requests ---------------------------------------------------------------------------------------

test('A request may spell out default values too', () => {
  const key = p256()
  const extensions = [
    keyUsage(bits('0080'), FALSE),
    extension('2.5.29.19', writeSequence(FALSE), FALSE),
    alternativeNames(email('a@home.test')),
  ]
  assert.ok(readSigningRequest(forgeRequest(key, { extensions })).ok)
})

// --- CRLs -------------------------------------------------------------------------------------------

const SERIAL = Buffer.from('4f1c', 'hex')
const reason = (value: string, critical: boolean | Buffer = false) =>
  extension('2.5.29.21', writeElement(TAG.enumerated, Buffer.from(value, 'hex')), critical)
const scope = (...fields: readonly Buffer[]) =>
  extension('2.5.29.28', writeSequence(...fields), true)
const limit = (number: number, value: boolean) =>
  writeElement(contextTag(number, false), Buffer.from([value ? 0xff : 0]))

const LONG = Buffer.concat([Buffer.from([0x4f]), Buffer.alloc(40, 7)])

const LISTS: readonly (readonly [string, ListParts, readonly string[] | RegExp])[] = [
  ['no list of entries', {}, []],
  ['an empty list of entries', { entries: [] }, []],
  ['an entry', { entries: [entryOf(SERIAL)] }, ['4f1c']],
  [
    'an entry with critical FALSE written out',
    { entries: [entryOf(SERIAL, reason('01', FALSE))] },
    ['4f1c'],
  ],
  ['critical FALSE in the list', { extensions: [extension('1.2.3', DER_NULL, FALSE)] }, []],
  ['an entry with a long serial number', { entries: [entryOf(LONG), entryOf(SERIAL)] }, ['4f1c']],
  [
    'an entry with a long negative one',
    { entries: [entryOf(SERIAL), entryOf(Buffer.concat([Buffer.from([0x80]), LONG]))] },
    ['4f1c'],
  ],
  [
    'a long serial number that is padded',
    { entries: [entryOf(Buffer.concat([Buffer.from([0]), LONG])), entryOf(SERIAL)] },
    /has an entry that certlatch cannot read/,
  ],
  [
    'a long serial number and an unknown critical extension',
    { entries: [entryOf(LONG, extension('1.2.3', DER_NULL, true))] },
    /has an entry that certlatch cannot read/,
  ],
  ['a serial number of nothing', { entries: [entryOf(Buffer.alloc(0))] }, /cannot read/],
  ['a padded serial number', { entries: [entryOf(Buffer.from('00004f', 'hex'))] }, /cannot read/],
  [
    'the indicator of a delta CRL',
    {
      entries: [entryOf(SERIAL)],
      extensions: [extension('2.5.29.27', writeSmallInteger(1), true)],
    },
    /is a delta CRL/,
  ],
  [
    'the same, not critical',
    { entries: [entryOf(SERIAL)], extensions: [extension('2.5.29.27', writeSmallInteger(1))] },
    /is a delta CRL/,
  ],
  [
    'the same, unreadable',
    { extensions: [extension('2.5.29.27', DER_NULL, FALSE)] },
    /is a delta CRL/,
  ],
  [
    'where deltas are to be found',
    { extensions: [extension('2.5.29.46', writeSequence(writeSequence()))] },
    [],
  ],
  [
    'limits written out and not set',
    { extensions: [scope(...[1, 2, 4, 5].map((n) => limit(n, false)))] },
    [],
  ],
  ['certificates of users alone', { extensions: [scope(limit(1, true), limit(2, false))] }, []],
  ['CA certificates alone', { extensions: [scope(limit(2, true))] }, /covers only some/],
  ['an indirect list', { extensions: [scope(limit(4, true))] }, /covers only some/],
  ['attribute certificates alone', { extensions: [scope(limit(5, true))] }, /covers only some/],
  [
    'some reasons alone',
    { extensions: [scope(writeElement(contextTag(3, false), Buffer.from('0640', 'hex')))] },
    /covers only some/,
  ],
  [
    'limits in another order',
    { extensions: [scope(limit(4, false), limit(2, false))] },
    /covers only some/,
  ],
]

test('A CRL whose onlyContainsUserCerts is not a BOOLEAN is refused', () => {
  const scope = (flag: Buffer) =>
    extension('2.5.29.28', writeSequence(writeElement(contextTag(1, false), flag)), true)
  for (const flag of [Buffer.from([0x01]), Buffer.alloc(0), Buffer.from([0xff, 0xff])]) {
    const read = readRevocationList(forgeList(home, { extensions: [scope(flag)] }), issuers)
    assert.match(read.ok ? '' : read.problem, /covers only some certificates or reasons/)
  }
})

for (const [what, parts, expected] of LISTS) {
  test(`A CRL with ${what}: ${expected instanceof RegExp ? 'refused' : 'used'}`, () => {
    const read = readRevocationList(forgeList(home, parts), issuers)
    if (expected instanceof RegExp) assert.match(read.ok ? '' : read.problem, expected)
    else assert.deepEqual(read.ok ? [...read.list.serials] : read.problem, expected)
  })
}
