import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readRevocationList } from '../../src/certificate/revocation.ts'
import { readIssuer } from '../../src/certificate/verify.ts'
import { fixtureFile, judge, trustSetOf } from '../support/pki.ts'

/** A test of NIST's suite that the last link of its path decides. */
interface ApplicableTest {
  readonly test: string
  readonly certificate: string
  readonly issuer: string
  readonly crls: readonly string[]
  readonly pkits: 'accept' | 'refuse'
  readonly expected: 'accept' | 'refuse'
  /** Absent where the certificate is accepted. */
  readonly problem?: string
  readonly why: string
}

interface OtherTest {
  readonly test: string
  readonly applies: false
  readonly why: string
}

const manifest: readonly (ApplicableTest | OtherTest)[] = JSON.parse(
  fixtureFile('pkits/manifest.json').toString('utf8'),
)
const applicable = manifest.filter((entry) => 'certificate' in entry)

function verdict(entry: ApplicableTest): string {
  const read = readIssuer(fixtureFile(`pkits/${entry.issuer}`))
  if (!read.ok) return 'issuer-refused'
  const issuers = [read.issuer]
  // What cannot be used is as if it were not there: the worst that an operator could get away with.
  const lists = entry.crls
    .map((crl) => readRevocationList(fixtureFile(`pkits/${crl}`), issuers))
    .flatMap((list) => (list.ok ? [list.list] : []))
  return judge(fixtureFile(`pkits/${entry.certificate}`), trustSetOf(issuers, lists))
}

for (const entry of applicable) {
  test(`PKITS ${entry.test}: ${entry.expected}, ${entry.why}`, () => {
    assert.equal(verdict(entry), entry.problem ?? 'good')
    assert.equal(entry.expected, entry.problem === undefined ? 'accept' : 'refuse')
  })
}

test('All 224 PKITS tests run, or have a reason why they do not apply', () => {
  assert.equal(manifest.length, 224)
  assert.equal(applicable.length, 91)
  for (const { why } of manifest) assert.ok(why.length > 0)
})

test('Nothing that PKITS calls invalid is accepted', () => {
  const accepted = applicable.filter(
    (entry) => entry.pkits === 'refuse' && verdict(entry) === 'good',
  )
  assert.deepEqual(accepted, [])
})
