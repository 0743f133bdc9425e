import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type CertificateEncoding, DIALECTS } from '../../src/proxy/dialects.ts'
import { readCertificateHeader, writeCertificateHeader } from '../../src/proxy/encodings.ts'
import { certificateHeader, fixture, fixturePem } from '../support/pki.ts'

const ENCODINGS: readonly CertificateEncoding[] = [
  'traefik-list',
  'rfc9440',
  'rfc9440-or-empty',
  'url-escaped-pem',
]

const DER = fixture('leaf-good')
const BASE64 = DER.toString('base64')
const PEM = fixturePem('leaf-good')
const SECOND = fixture('leaf-second').toString('base64')

type Expected = 'absent' | 'malformed' | Buffer
type Row = readonly [name: string, value: string, expected: Expected]

function check(encoding: CertificateEncoding, value: string, expected: Expected): void {
  const read = readCertificateHeader(value, encoding)
  if (typeof expected === 'string') assert.equal(read.kind, expected)
  else assert.deepEqual(read, { kind: 'certificate', der: expected })
}

test('A certificate header that certlatch writes, it reads again', () => {
  for (const encoding of ENCODINGS) check(encoding, writeCertificateHeader(DER, encoding), DER)
})

/** What Go's url.QueryEscape writes: `+` for a space, everything but unreserved escaped. */
const queryEscape = (text: string): string => encodeURIComponent(text).replace(/%20/g, '+')

/** Proxies write some bytes of a PEM otherwise than encodeURIComponent does. */
const lowerCaseEscapes = (text: string): string =>
  text.replace(/%[0-9A-F]{2}/g, (triplet) => triplet.toLowerCase())

const TRAEFIK: readonly Row[] = [
  ['base64 of one certificate', BASE64, DER],
  ['the leaf before what else the client sent', `${BASE64},${SECOND}`, DER],
  [
    'a chain of three',
    certificateHeader('traefik', 'leaf-good', 'ca-intermediate', 'ca-root'),
    DER,
  ],
  ['white space around the value, which Node takes away', ` \t${BASE64} `, 'malformed'],
  ['the escaped form of Traefik up to 2.9.1', queryEscape(BASE64), DER],
  ['the escaped form in lower case', lowerCaseEscapes(queryEscape(BASE64)), DER],
  ['an escaped list', queryEscape(`${BASE64},${SECOND}`), DER],
  ['PEM, escaped', encodeURIComponent(PEM), DER],
  ['PEM whose lines were joined by spaces', PEM.trim().replaceAll('\n', ' '), DER],
  ['PEM without line breaks', PEM.replaceAll('\n', ''), DER],
  ['a list of PEM', [PEM, fixturePem('leaf-second')].join(',').replaceAll('\n', ''), DER],
  ['a leaf as PEM and the rest as base64', `${PEM.replaceAll('\n', '')},${SECOND}`, DER],
  ['an empty PEM', '-----BEGIN CERTIFICATE----------END CERTIFICATE-----', 'absent'],
  [
    'an empty PEM, escaped',
    '-----BEGIN%20CERTIFICATE-----%0A-----END%20CERTIFICATE-----',
    'absent',
  ],
  ['a chain of 16', Array(16).fill(BASE64).join(','), DER],
  ['a chain of 17', Array(17).fill(BASE64).join(','), 'malformed'],
  ['a certificate behind 48 kB of white space', `${' '.repeat(48 * 1024)}${BASE64}`, 'malformed'],
  ['a list that ends with a comma', `${BASE64},`, 'malformed'],
  ['a list that begins with a comma', `,${BASE64}`, 'malformed'],
  ['a list with a hole', `${BASE64},,${SECOND}`, 'malformed'],
  ['a comma', ',', 'malformed'],
  ['a space behind a comma', `${BASE64}, ${SECOND}`, 'malformed'],
  ['garbage behind the leaf', `${BASE64},garbage`, 'malformed'],
  ['garbage before the leaf', `garbage,${BASE64}`, 'malformed'],
  [
    'an empty PEM behind the leaf',
    `${BASE64},-----BEGIN CERTIFICATE----------END CERTIFICATE-----`,
    'malformed',
  ],
  ['two PEM blocks in one item', `${PEM}${PEM}`.replaceAll('\n', ''), 'malformed'],
  [
    'something behind an empty PEM',
    '-----BEGIN CERTIFICATE----------END CERTIFICATE-----x',
    'malformed',
  ],
  ['something before the PEM', `x${PEM.replaceAll('\n', '')}`, 'malformed'],
  ['something behind the PEM', `${PEM.replaceAll('\n', '')}x`, 'malformed'],
  [
    'PEM of another label',
    PEM.replaceAll('CERTIFICATE', 'X509 CRL').replaceAll('\n', ''),
    'malformed',
  ],
  ['PEM with a cut END line', PEM.replaceAll('\n', '').slice(0, -1), 'malformed'],
  ['base64 that was cut', BASE64.slice(0, -1), 'malformed'],
  ['base64 with a space for a plus', `AAAA AAA`, 'malformed'],
  ['base64url', 'AAAA-___', 'malformed'],
  ['base64 with bits that mean nothing', 'AAB=', 'malformed'],
  ['base64 that is escaped twice', encodeURIComponent(queryEscape(BASE64)), 'malformed'],
  ['an escape that is none', `%ZZ${BASE64}`, 'malformed'],
  ['an escape that is cut', `${BASE64}%4`, 'malformed'],
  ['escapes that are no UTF-8', '%FF', 'malformed'],
  ['the other proxies’ spelling', `:${BASE64}:`, 'malformed'],
  ['text', 'no certificate', 'malformed'],
]

const RFC9440: readonly Row[] = [
  ['one byte sequence', `:${BASE64}:`, DER],
  ['white space around it, which Node takes away', ` :${BASE64}:\t`, 'malformed'],
  ['two byte sequences', `:${BASE64}:, :${SECOND}:`, 'malformed'],
  ['two joined by a comma alone', `:${BASE64}:,:${SECOND}:`, 'malformed'],
  ['parameters behind it', `:${BASE64}:;a=1`, 'malformed'],
  ['no colons', BASE64, 'malformed'],
  ['no colon at the end', `:${BASE64}`, 'malformed'],
  ['no colon at the beginning', `${BASE64}:`, 'malformed'],
  ['a colon within', `:${BASE64.slice(0, 8)}:${BASE64.slice(8)}:`, 'malformed'],
  ['white space within', `: ${BASE64}:`, 'malformed'],
  ['base64 that was cut', `:${BASE64.slice(0, -1)}:`, 'malformed'],
  ['base64 without its padding', ':AAA:', 'malformed'],
  ['base64 with bits that mean nothing', ':AAB=:', 'malformed'],
  ['padding alone', ':====:', 'malformed'],
  ['base64url', ':AAAA-___:', 'malformed'],
  ['PEM', `:${encodeURIComponent(PEM)}:`, 'malformed'],
  ['a colon alone', ':', 'malformed'],
  ['an empty sequence with a space', ': :', 'malformed'],
  ['a string', `"${BASE64}"`, 'malformed'],
  ['another placeholder of Caddy’s', ':{http.request.tls.client.fingerprint}:', 'malformed'],
]

const ESCAPED_PEM: readonly Row[] = [
  ['nginx’s escaped PEM with its last line break', encodeURIComponent(PEM), DER],
  ['without the last line break', encodeURIComponent(PEM.trim()), DER],
  ['with carriage returns', encodeURIComponent(PEM.replaceAll('\n', '\r\n')), DER],
  [
    'Apache’s escape(), lower case with + and / left',
    lowerCaseEscapes(encodeURIComponent(PEM)).replaceAll('%2b', '+').replaceAll('%2f', '/'),
    DER,
  ],
  ['an empty PEM', '-----BEGIN%20CERTIFICATE-----%0A-----END%20CERTIFICATE-----%0A', 'absent'],
  ['an empty PEM, not escaped', '-----BEGIN CERTIFICATE----- -----END CERTIFICATE-----', 'absent'],
  ['a plus for a space, as forms write it', queryEscape(PEM), 'malformed'],
  ['spaces for line breaks', encodeURIComponent(PEM.trim().replaceAll('\n', ' ')), 'malformed'],
  ['base64 alone', BASE64, 'malformed'],
  ['a byte sequence', `:${BASE64}:`, 'malformed'],
  ['text before the block', encodeURIComponent(`x\n${PEM}`), 'malformed'],
  ['text behind the block', encodeURIComponent(`${PEM}x`), 'malformed'],
  ['a comment before the block', encodeURIComponent(`# ${PEM}`), 'malformed'],
  ['a private key', encodeURIComponent(PEM.replaceAll('CERTIFICATE', 'PRIVATE KEY')), 'malformed'],
  ['an escape that is none', `%G0${encodeURIComponent(PEM)}`, 'malformed'],
  ['an escape that is cut', `${encodeURIComponent(PEM)}%`, 'malformed'],
  ['escapes that are no UTF-8', '%C3%28', 'malformed'],
  ['escaped twice', encodeURIComponent(encodeURIComponent(PEM)), 'malformed'],
]

describe("Traefik's list", () => {
  for (const [name, value, expected] of TRAEFIK) {
    test(`${name}: ${typeof expected === 'string' ? expected : 'the leaf'}`, () => {
      check('traefik-list', value, expected)
    })
  }
})

describe('The byte sequence of RFC 9440', () => {
  for (const [name, value, expected] of RFC9440) {
    test(`${name}: ${typeof expected === 'string' ? expected : 'the leaf'}`, () => {
      check('rfc9440', value, expected)
      check('rfc9440-or-empty', value, expected)
    })
  }
})

describe('The URL-escaped PEM', () => {
  for (const [name, value, expected] of ESCAPED_PEM) {
    test(`${name}: ${typeof expected === 'string' ? expected : 'the leaf'}`, () => {
      check('url-escaped-pem', value, expected)
    })
  }

  test('of several blocks the first is the leaf', () => {
    check('url-escaped-pem', encodeURIComponent(PEM + fixturePem('leaf-second')), DER)
  })
})

describe('"No certificate" in every encoding', () => {
  const SPELLINGS: readonly (readonly [string, string])[] = [
    ['an empty value', ''],
    [
      'Caddy’s placeholder as it is, up to 2.11.1',
      ':{http.request.tls.client.certificate_der_base64}:',
    ],
    ['the placeholder without colons', '{http.request.tls.client.certificate_der_base64}'],
    ['Caddy’s placeholder of the PEM', '{http.request.tls.client.certificate_pem}'],
    ['Apache’s (null)', '(null)'],
  ]
  for (const [name, value] of SPELLINGS) {
    test(`${name} means none`, () => {
      for (const encoding of ENCODINGS) check(encoding, value, 'absent')
    })
  }

  test('an empty byte sequence means none only from Caddy: from HAProxy it means a certificate that was too large', () => {
    for (const encoding of ENCODINGS) {
      check(encoding, '::', encoding === 'rfc9440-or-empty' ? 'absent' : 'malformed')
    }
    for (const { name, encoding } of Object.values(DIALECTS)) {
      check(encoding, '::', name === 'caddy' ? 'absent' : 'malformed')
    }
  })

  test('what merely resembles it is malformed, and so is denied', () => {
    const others = [':', ':::', '(NULL)', '( null )', '-', '""', '<nil>', 'FAILED:x', '0']
    for (const value of others) {
      for (const encoding of ENCODINGS) check(encoding, value, 'malformed')
    }
  })

  test('the fingerprint of nothing is malformed', () => {
    const fingerprint = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    for (const encoding of ['rfc9440', 'url-escaped-pem'] as const) {
      check(encoding, fingerprint, 'malformed')
    }
  })
})

test("Every proxy's own header is decoded to the certificate it was made from", () => {
  for (const { name, encoding } of Object.values(DIALECTS)) {
    for (const leaf of ['leaf-good', 'leaf-name-emoji', 'leaf-of-rsa2048']) {
      check(encoding, certificateHeader(name, leaf), fixture(leaf))
    }
  }
})

test('Any bytes are read back in each encoding', () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 200 })
  fc.assert(
    fc.property(bytes, (value) => {
      const base64 = Buffer.from(value).toString('base64')
      const pem = `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`
      check('traefik-list', base64, Buffer.from(value))
      check('traefik-list', queryEscape(base64), Buffer.from(value))
      check('traefik-list', encodeURIComponent(pem), Buffer.from(value))
      check('rfc9440', `:${base64}:`, Buffer.from(value))
      check('rfc9440-or-empty', `:${base64}:`, Buffer.from(value))
      check('url-escaped-pem', encodeURIComponent(pem), Buffer.from(value))
    }),
  )
})

test('Any text is absent, malformed or a certificate, and never throws', () => {
  const latin1 = fc
    .array(fc.integer({ min: 0, max: 255 }), { maxLength: 60 })
    .map((bytes) => String.fromCharCode(...bytes))
  const pieces = fc
    .array(
      fc.constantFrom(
        ':',
        ',',
        '%',
        '%0A',
        '=',
        'AAAA',
        ' ',
        '\n',
        ...PEM.split('\n').slice(0, 2),
        '-----END CERTIFICATE-----',
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(fc.oneof(latin1, pieces), fc.constantFrom(...ENCODINGS), (value, encoding) => {
      const read = readCertificateHeader(value, encoding)
      assert.ok(['absent', 'malformed', 'certificate'].includes(read.kind))
      if (read.kind === 'certificate') assert.ok(read.der.length > 0)
    }),
    { numRuns: 2000 },
  )
})

test('PEM lines may have any length, and there may be up to 1,024', () => {
  const linesOf = (count: number, end: string): string => {
    const base64 = Buffer.alloc(3 * count, 0xa5).toString('base64')
    const lines = base64.match(/.{4}/g) ?? []
    return `-----BEGIN CERTIFICATE-----${end}${lines.join(end)}${end}-----END CERTIFICATE-----`
  }
  const der = (count: number) => Buffer.alloc(3 * count, 0xa5)
  // Two spaces are in the labels, and one line end is behind each of them.
  check('url-escaped-pem', linesOf(1021, '%0A'), der(1021))
  check('traefik-list', linesOf(1021, '%0A'), der(1021))
  check('traefik-list', linesOf(1021, ' '), der(1021))
  for (const count of [1022, 4000]) {
    check('url-escaped-pem', linesOf(count, '%0A'), 'malformed')
    check('traefik-list', linesOf(count, '%0A'), 'malformed')
    check('traefik-list', linesOf(count, ' '), 'malformed')
  }
  // Nor does white space at the end of the block escape the bound.
  const long = `-----BEGIN CERTIFICATE-----A${' '.repeat(40_000)}-----END CERTIFICATE-----`
  check('traefik-list', long, 'malformed')
})

test('A long header of little content is refused in no time', () => {
  const long = 60_000
  for (const value of [
    `-----BEGIN CERTIFICATE-----${' '.repeat(long)}`,
    `-----BEGIN CERTIFICATE-----${'A'.repeat(long)}`,
    `:${'='.repeat(long)}`,
    ','.repeat(long),
    '%0A'.repeat(long / 3),
  ]) {
    const before = process.cpuUsage()
    for (const encoding of ENCODINGS) check(encoding, value, 'malformed')
    const { user, system } = process.cpuUsage(before)
    // Milliseconds where it is linear; a backtracking reader takes minutes.
    assert.ok(user + system < 2_000_000, `${user + system} µs`)
  }
})
