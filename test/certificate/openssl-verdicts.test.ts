/** Damaged certificates that are signed again: none that OpenSSL refuses is accepted here. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { readElements } from '../../src/certificate/der.ts'
import {
  writeNamedBits,
  writeObjectIdentifier,
  writeOctetString,
  writeSequence,
} from '../../src/certificate/der-writer.ts'
import { writePem } from '../../src/certificate/pem.ts'
import { verifyCertificate } from '../../src/certificate/verify.ts'
import {
  alternativeNames,
  commonNameOf,
  contentOf,
  dns,
  email,
  extension,
  forgeAuthority,
  forgeLeaf,
  issuerOfAuthority,
  p256,
  rsa,
  signAgain,
} from '../support/forge.ts'

const MUTANTS = 400

const home = { key: p256(), name: commonNameOf('Home') }
const office = { key: rsa(), name: commonNameOf('Office') }
const issuers = [issuerOfAuthority(home), issuerOfAuthority(office)]

const usages = [
  extension('2.5.29.19', writeSequence(), true),
  extension('2.5.29.15', writeNamedBits([0]), true),
  extension('2.5.29.37', writeSequence(writeObjectIdentifier('1.3.6.1.5.5.7.3.2'))),
  extension('2.5.29.14', writeOctetString(Buffer.alloc(20, 7))),
  alternativeNames(email('ada@home.test'), dns('phone.home.test')),
  // Where most damage does no harm.
  extension('1.2.3.4', writeOctetString(Buffer.alloc(120, 7))),
]

const ORIGINALS = [home, office].flatMap((authority) => [
  { authority, der: forgeLeaf(authority, { extensions: usages }) },
  { authority, der: forgeLeaf(authority, { extensions: usages.slice(1) }) },
  { authority, der: forgeLeaf(authority) },
  { authority, der: forgeLeaf(authority, { version: undefined }) },
])

/** What happens to the signed part: bytes replaced, inserted or taken out. */
const damage = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 0.999, noNaN: true }),
    how: fc.constantFrom('replace', 'flip', 'flip', 'insert', 'remove'),
    byte: fc.integer({ min: 0, max: 255 }),
  }),
  { minLength: 1, maxLength: 2 },
)

type Damage = typeof damage extends fc.Arbitrary<infer Value> ? Value : never

function damaged(content: Buffer, steps: Damage): Buffer {
  const bytes = [...content]
  for (const { at, how, byte } of steps) {
    const index = Math.floor(at * bytes.length)
    if (how === 'insert') bytes.splice(index, 0, byte)
    else if (how === 'remove') bytes.splice(index, 1)
    else bytes[index] = how === 'flip' ? (bytes[index] ?? 0) ^ (1 << (byte % 8)) : byte
  }
  return Buffer.from(bytes)
}

/** The certificates that OpenSSL accepts from a client, whatever the time. */
function acceptedByOpenSsl(certificates: readonly Buffer[]): ReadonlySet<number> {
  const folder = mkdtempSync(join(tmpdir(), 'certlatch-openssl-'))
  try {
    const authorities = [home, office].map((it) => writePem('CERTIFICATE', forgeAuthority(it)))
    writeFileSync(join(folder, 'ca.pem'), authorities.join(''))
    const names = certificates.map((der, index) => {
      writeFileSync(join(folder, `${index}.pem`), writePem('CERTIFICATE', der))
      return `${index}.pem`
    })
    // One call each: at one that it cannot read, OpenSSL ends.
    const accepted = names.map((name) => {
      const words = ['verify', '-purpose', 'sslclient', '-no_check_time', '-CAfile', 'ca.pem', name]
      return spawnSync('openssl', words, { cwd: folder }).status === 0
    })
    return new Set(accepted.flatMap((isAccepted, index) => (isAccepted ? [index] : [])))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('Beside OpenSSL', () => {
  test(`${MUTANTS} damaged certificates, signed again: what it refuses is refused`, () => {
    const mutants = fc.sample(fc.tuple(fc.nat({ max: ORIGINALS.length - 1 }), damage), MUTANTS)
    const certificates = mutants.map(([number, steps]) => {
      const { authority, der } = ORIGINALS[number] ?? assert.fail('no such original')
      const [signedPart] = readElements(contentOf(der)) ?? []
      assert.ok(signedPart)
      return signAgain(writeSequence(damaged(signedPart.content, steps)), authority.key)
    })
    const isAccepted = (der: Buffer) => verifyCertificate(der, issuers).ok
    const accepted = certificates.flatMap((der, index) => (isAccepted(der) ? [index] : []))
    const byOpenSsl = acceptedByOpenSsl(certificates)
    const onlyHere = accepted.filter((index) => !byOpenSsl.has(index))
    assert.deepEqual(
      onlyHere.map((index) => certificates[index]?.toString('base64')),
      [],
    )
    // Some of both, or the comparison would say nothing.
    assert.ok(accepted.length > 0 && byOpenSsl.size < MUTANTS / 2)
  })

  test('the originals are accepted by both', () => {
    const ders = ORIGINALS.map(({ der }) => der)
    for (const der of ders) assert.ok(verifyCertificate(der, issuers).ok)
    assert.equal(acceptedByOpenSsl(ders).size, ders.length)
  })
})
