import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { readPemBlocks, writePem } from '../../src/certificate/pem.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { writeKey } from '../../src/session/key-ring.ts'
import { writeBlocks } from '../../src/store/blocks.ts'
import { type CompiledSnapshot, compileSnapshot, type Snapshot } from '../../src/store/snapshot.ts'
import { LOOPBACK } from '../support/request.ts'
import {
  makeAuthority,
  makeLeaf,
  makeList,
  NOON_SECONDS,
  present,
  type TestAuthority,
} from '../support/service.ts'

const household = makeAuthority('Household')
const office = makeAuthority('Office')
const keys = `${writeKey(randomBytes(32))}\n`

interface Texts {
  readonly authorities?: string | Buffer
  readonly lists?: string | Buffer | undefined
  readonly keys?: string
  readonly devices?: Readonly<Record<string, string>> | undefined
  readonly blocks?: string
  readonly undelivered?: string
  readonly policy?: string
}

function compile(texts: Texts, previous?: Snapshot): CompiledSnapshot {
  const source = (name: string, content: string | Buffer) => ({
    name,
    content: Buffer.from(content as string),
  })
  const all = { authorities: household.pem, lists: makeList(household), keys, ...texts }
  return compileSnapshot(
    {
      authorities: source('ca.pem', all.authorities),
      revocationLists: all.lists === undefined ? undefined : source('ca.crl', all.lists),
      sessionKeys: source('session.keys', all.keys),
      devices: texts.devices && { name: 'devices', files: new Map(Object.entries(texts.devices)) },
      blocks: texts.blocks === undefined ? undefined : source('blocks.json', texts.blocks),
      undelivered:
        texts.undelivered === undefined ? undefined : source('undelivered.json', texts.undelivered),
      policy:
        texts.policy === undefined
          ? undefined
          : {
              ...source('policy.yaml', texts.policy),
              trustedProxies: LOOPBACK,
              parse: parsePolicy,
            },
    },
    'deny',
    previous,
  )
}

function snapshotOf(compiled: CompiledSnapshot): Snapshot {
  assert.ok(compiled.ok, compiled.ok ? '' : compiled.problems.join('\n'))
  return compiled.snapshot
}

function problemsOf(compiled: CompiledSnapshot): readonly string[] {
  assert.ok(!compiled.ok)
  return compiled.problems
}

/** What was not applied although the files are valid. */
const leftOutOf = (compiled: CompiledSnapshot) => snapshotOf(compiled).problems

const numberOf = (snapshot: Snapshot, { keyHash }: TestAuthority) =>
  snapshot.trust.revocationLists.get(keyHash)?.number

test('Valid files make a snapshot: issuers, their lists, the keys, and no registry for an external CA', () => {
  const both = household.pem + office.pem
  const lists = makeList(household, { number: 7 }) + makeList(office, { number: 9 })
  const snapshot = snapshotOf(compile({ authorities: both, lists }))
  assert.equal(snapshot.trust.issuers.length, 2)
  assert.ok(snapshot.trust.revocationListRequired)
  assert.equal(numberOf(snapshot, household), 7n)
  assert.equal(numberOf(snapshot, office), 9n)
  assert.equal(snapshot.keyRing.keys.length, 1)
  assert.equal(snapshot.registry, undefined)
  assert.deepEqual(snapshot.warnings, [])
})

test('Without a configured CRL none is required', () => {
  const snapshot = snapshotOf(compile({ lists: undefined }))
  assert.ok(!snapshot.trust.revocationListRequired)
  assert.equal(snapshot.trust.revocationLists.size, 0)
})

test('A single CRL may be DER', () => {
  const [der] = readPemBlocks(makeList(household, { number: 7 }), 'X509 CRL') ?? []
  const snapshot = snapshotOf(compile({ lists: present(der) }))
  assert.equal(numberOf(snapshot, household), 7n)
})

test('Everything wrong is reported at once, each with the name of its file', () => {
  const device = JSON.stringify({ schemaVersion: 1, name: 7 })
  const problems = problemsOf(
    compile({ authorities: '', lists: 'nothing', keys: 'short', devices: { 'a.json': device } }),
  )
  assert.deepEqual(problems.slice(0, 2), [
    'ca.pem holds no certificate, in PEM or DER',
    'ca.crl holds no CRL, in PEM or DER',
  ])
  assert.match(problems[2] ?? '', /^session\.keys line 1 is not a key/)
  assert.equal(problems[3], 'devices: a.json is not a device entry')
  assert.equal(problems.length, 4)
})

test('A certificate in the bundle that is not a CA is reported with its position', () => {
  const leaf = makeLeaf(household)
  const pem = `-----BEGIN CERTIFICATE-----\n${leaf.der.toString('base64')}\n-----END CERTIFICATE-----\n`
  const problems = problemsOf(compile({ authorities: household.pem + pem }))
  assert.equal(problems.length, 1)
  assert.match(problems[0] ?? '', /^ca\.pem, certificate 2: CA "CN=Phone of Ada" is not a CA/)
})

test('Of several CRLs of one CA the newest counts, whatever their order', () => {
  const older = makeList(household, { number: 7 })
  const newer = makeList(household, { number: 8 })
  for (const lists of [older + newer, newer + older]) {
    assert.equal(numberOf(snapshotOf(compile({ lists })), household), 8n)
  }
  const early = makeList(household, { number: 7, thisUpdate: NOON_SECONDS - 10, revoked: ['4a'] })
  const list = snapshotOf(compile({ lists: older + early })).trust.revocationLists
  assert.equal(list.get(household.keyHash)?.serials.size, 0)
})

test('A CRL of a foreign CA is a warning; a CA without a CRL is a problem', () => {
  const lists = makeList(household) + makeList(office)
  const { warnings } = snapshotOf(compile({ lists }))
  assert.equal(warnings.length, 1)
  assert.match(warnings[0] ?? '', /^ca\.crl: the CRL of "CN=Office" .*; it is ignored$/)
  assert.deepEqual(problemsOf(compile({ lists: makeList(office) })), [
    'ca.crl has no CRL of the CA "CN=Household"',
  ])
})

test('A CRL that was not signed by the CA it names is a problem', () => {
  const pretender = makeAuthority('Household')
  const [problem = ''] = problemsOf(compile({ lists: makeList(pretender) }))
  assert.match(problem, /^ca\.crl/)
})

/** The same list with its last byte changed, which is one of the signature. */
function forged(list: string): string {
  const [der] = readPemBlocks(list, 'X509 CRL') ?? []
  const bytes = Buffer.from(present(der))
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1)
  return writePem('X509 CRL', bytes)
}

test('A CRL that was changed after it was signed is a problem, even beside a good one', () => {
  const good = makeList(household, { number: 7 })
  const inForce = snapshotOf(compile({ lists: good }))
  const told = ['ca.crl: the CRL of "CN=Household" is not signed by that CA']
  assert.deepEqual(problemsOf(compile({ lists: forged(good) }, inForce)), told)
  for (const lists of [good + forged(good), forged(good) + good]) {
    const compiled = compile({ lists }, inForce)
    assert.deepEqual(leftOutOf(compiled), told)
    assert.equal(numberOf(snapshotOf(compiled), household), 7n)
  }
})

test('A later snapshot never falls back behind the loaded CRL', () => {
  const list = (number: number, thisUpdate = NOON_SECONDS) => ({
    lists: makeList(household, { number, thisUpdate }),
  })
  const inForce = snapshotOf(compile(list(7)))
  const older = 'ca.crl has an older CRL of the CA "CN=Household" than the loaded one'
  for (const before of [list(6), list(6, NOON_SECONDS + 60), list(7, NOON_SECONDS - 1)]) {
    assert.deepEqual(problemsOf(compile(before, inForce)), [older])
  }
  assert.ok(compile(list(7), inForce).ok)
  assert.ok(compile(list(7, NOON_SECONDS + 1), inForce).ok)
  assert.ok(compile(list(8), inForce).ok)
})

test("A CA's CRL is removed with the CA, and only then", () => {
  const both = household.pem + office.pem
  const lists = makeList(household) + makeList(office)
  const inForce = snapshotOf(compile({ authorities: both, lists }))
  assert.deepEqual(leftOutOf(compile({ authorities: both, lists: makeList(household) }, inForce)), [
    'ca.crl has no CRL of the CA "CN=Office"',
  ])
  assert.ok(compile({ lists: makeList(household) }, inForce).ok)
})

test('The devices of the built-in CA are a registry, which may be empty', () => {
  assert.equal(snapshotOf(compile({ devices: {} })).registry?.byCertificate.size, 0)
  const device = {
    schemaVersion: 1,
    name: 'Phone',
    certificates: [{ issuerKeyHash: household.keyHash, serial: '4a', notBefore: 1, notAfter: 2 }],
  }
  const { registry } = snapshotOf(compile({ devices: { 'a.json': JSON.stringify(device) } }))
  assert.equal(registry?.byCertificate.get(`${household.keyHash}/4a`)?.device.name, 'Phone')
})

const blocked = { issuerKeyHash: household.keyHash, serial: '4a', blockedAt: NOON_SECONDS }
const blocksText = (number: number) =>
  writeBlocks({
    number,
    certificates: [blocked],
    signOuts: [{ name: 'Phone', at: NOON_SECONDS }],
  })

test('Blocks are part of the snapshot, and their file may be missing', () => {
  const without = snapshotOf(compile({}))
  assert.equal(without.trust.blocked.size, 0)
  assert.equal(without.blocks.number, 0)
  const { trust, blocks } = snapshotOf(compile({ blocks: blocksText(3) }))
  assert.deepEqual([...trust.blocked], [`${household.keyHash}/4a`])
  assert.deepEqual(blocks.signOuts, [{ name: 'Phone', at: NOON_SECONDS }])
})

test('An invalid list of blocks is refused', () => {
  const whole = JSON.parse(blocksText(3))
  const broken: readonly unknown[] = [
    null,
    [],
    { ...whole, schemaVersion: 2 },
    { ...whole, number: 0 },
    { ...whole, number: '3' },
    { ...whole, certificates: {} },
    { ...whole, certificates: [null] },
    { ...whole, certificates: [{ ...blocked, serial: '4A' }] },
    { ...whole, signOuts: [{ name: '', at: 1 }] },
    { ...whole, signOuts: [null] },
    { ...whole, signOuts: undefined },
  ]
  for (const value of broken) {
    assert.deepEqual(problemsOf(compile({ blocks: JSON.stringify(value) })), [
      'blocks.json is not a list of blocks',
    ])
  }
})

test('Blocks never go back: an older list and a missing one are refused', () => {
  const first = snapshotOf(compile({ blocks: blocksText(3) }))
  assert.equal(snapshotOf(compile({ blocks: blocksText(3) }, first)).blocks.number, 3)
  assert.deepEqual(problemsOf(compile({ blocks: blocksText(2) }, first)), [
    'blocks.json is older than the loaded one',
  ])
  assert.deepEqual(problemsOf(compile({}, first)), ['the list of blocks is gone'])
})

test('Without a policy file the default policy requires a certificate or session everywhere', () => {
  const { policy } = snapshotOf(compile({}))
  assert.deepEqual(policy.rules, [])
  assert.equal(policy.defaultRule.access, 'certificate-or-session')
})

test('Rules are part of the snapshot; their problems and warnings have file and position', () => {
  const { policy, warnings } = snapshotOf(
    compile({
      policy: 'version: 1\nrules:\n  - {access: deny}\n  - {path: /a, access: certificate}\n',
    }),
  )
  assert.deepEqual(
    policy.rules.map(({ access }) => access),
    ['deny', 'certificate'],
  )
  assert.deepEqual(warnings, [
    'policy.yaml, line 4, column 5: "rule 2" is never reached: "rule 1" comes before it and matches all of it',
  ])
  const refused = compile({ policy: 'version: 2\n' })
  assert.ok(!refused.ok)
  assert.deepEqual(refused.problems, [
    'policy.yaml, line 1, column 10: version "2": expected "version: 1"',
  ])
})

test('Rules are parsed once for the same text, and again for another', () => {
  const policy = 'version: 1\nrules: {path: /a, access: deny}\n'
  const first = snapshotOf(compile({ policy }))
  const again = snapshotOf(compile({ policy, undelivered: '{"serial":"4b"}' }, first))
  assert.equal(again.policy, first.policy)
  const other = snapshotOf(compile({ policy: `${policy}# Another text.\n` }, again))
  assert.notEqual(other.policy, first.policy)
  assert.equal(compile({ policy: 'version: 2\n' }, other).ok, false)
  assert.deepEqual(snapshotOf(compile({}, other)).policy.rules, [])
})

test('A rule that names an unknown device or owner causes a warning', () => {
  const policy = `version: 1
rules:
  - {path: /a, device: [Phone, Phnoe], owner: [ada, Tablet, dada], access: certificate}
`
  const entry = (name: string, owner?: string) =>
    JSON.stringify({ schemaVersion: 1, name, owner, certificates: [] })
  const devices = { 'a.json': entry('Phone', 'ada'), 'b.json': entry('Tablet') }
  assert.deepEqual(snapshotOf(compile({ policy, devices })).warnings, [
    'the rule "rule 1" names the device "Phnoe", which no device entry has',
    'the rule "rule 1" names the owner "dada", which no device entry has',
  ])
  assert.deepEqual(snapshotOf(compile({ policy })).warnings, [])
})

test('An undelivered certificate does not belong to its device yet, and a marked one is revoked', () => {
  const certificate = { issuerKeyHash: household.keyHash, notBefore: 1, notAfter: 2 }
  const certificates = [
    { ...certificate, serial: '4a', revokedAt: 1 },
    { ...certificate, serial: '4b' },
  ]
  const devices = { 'a.json': JSON.stringify({ schemaVersion: 1, name: 'Phone', certificates }) }
  const { registry, trust } = snapshotOf(compile({ devices, undelivered: '{"serial":"4b"}' }))
  assert.deepEqual([...(registry?.byCertificate.keys() ?? [])], [`${household.keyHash}/4a`])
  assert.deepEqual([...trust.revoked], [`${household.keyHash}/4a`])
  assert.deepEqual(problemsOf(compile({ devices, undelivered: '{}' })), [
    'undelivered.json is not a note of an undelivered certificate',
  ])
})

test("The built-in CA's CRLs are ordered by number alone, others by date too", () => {
  const lists = (number: number, thisUpdate: number) => makeList(household, { number, thisUpdate })
  const later = { lists: lists(7, NOON_SECONDS + 100), devices: {} }
  const next = { lists: lists(8, NOON_SECONDS), devices: {} }
  assert.equal(numberOf(snapshotOf(compile(next, snapshotOf(compile(later)))), household), 8n)
  const foreign = snapshotOf(compile({ lists: later.lists }))
  assert.equal(problemsOf(compile({ lists: next.lists }, foreign)).length, 1)
})

const listInForce = ({ trust }: Snapshot, { keyHash }: TestAuthority) =>
  present(trust.revocationLists.get(keyHash))

test('CRLs are parsed once for the same bytes, and again for others', () => {
  const lists = makeList(household, { number: 7, revoked: ['4a'] })
  const first = snapshotOf(compile({ lists }))
  const otherFiles: Texts = {
    keys: `${writeKey(randomBytes(32))}\n`,
    blocks: blocksText(3),
    policy: 'version: 1\n',
    devices: {},
  }
  const again = snapshotOf(compile({ lists, ...otherFiles }, first))
  assert.equal(listInForce(again, household), listInForce(first, household))
  const third = snapshotOf(compile({ lists, ...otherFiles, keys }, again))
  assert.equal(listInForce(third, household), listInForce(first, household))
  for (const other of [`# Another text.\n${lists}`, makeList(household, { number: 8 })]) {
    const snapshot = snapshotOf(compile({ lists: other }, first))
    assert.notEqual(listInForce(snapshot, household), listInForce(first, household))
  }
})

test('A change of CA certificates causes the same CRLs to be read again', () => {
  const lists = makeList(household) + makeList(office)
  const first = snapshotOf(compile({ lists }))
  const both = snapshotOf(compile({ lists, authorities: household.pem + office.pem }, first))
  assert.deepEqual([first.warnings.length, both.warnings.length], [1, 0])
  assert.ok(both.trust.revocationLists.has(office.keyHash))
  assert.notEqual(listInForce(both, household), listInForce(first, household))
  const one = snapshotOf(compile({ lists }, both))
  assert.deepEqual([one.warnings, one.trust.revocationLists.size], [first.warnings, 1])
})

test('A CRL that was valid under one CA is not valid under another with its name', () => {
  const lists = makeList(household)
  const inForce = snapshotOf(compile({ lists }))
  const authorities = makeAuthority('Household').pem
  const problems = problemsOf(compile({ lists, authorities }, inForce))
  assert.deepEqual(problems, problemsOf(compile({ lists, authorities })))
  assert.deepEqual(problems, ['ca.crl has no CRL of the CA "CN=Household"'])
})

const twin = makeAuthority('Household')
const early = makeList(household, { number: 7, revoked: ['4a'] })
const late = makeList(household, { number: 8, revoked: ['4a', '4b'] })
const backdated = makeList(household, { number: 8, thisUpdate: NOON_SECONDS - 60 })
const ofOffice = makeList(office, { number: 7, revoked: ['4a'] })
const ofTwin = makeList(twin, { number: 7 })

/** One file is replaced, as a person or a command does it. */
const someChange = fc.oneof(
  fc.record<Texts>({
    authorities: fc.constantFrom(
      ...[household.pem, `# Another text.\n${household.pem}`, twin.pem, 'broken'],
      ...[household.pem + office.pem, office.pem + household.pem, twin.pem + household.pem],
    ),
  }),
  fc.record<Texts>({
    lists: fc.constantFrom(
      ...[early, late, backdated, early + late, late + early, 'broken', undefined],
      ...[early + ofOffice, ofOffice + late, ofTwin + early, early + ofOffice + ofTwin],
      ...[forged(late), early + forged(ofOffice)],
    ),
  }),
  fc.record<Texts>({ blocks: fc.constantFrom(blocksText(3), blocksText(4), 'broken') }),
)

/** What CRLs have a part in. */
function judged(compiled: CompiledSnapshot) {
  if (!compiled.ok) return compiled.problems
  const { trust, warnings, newestLists } = compiled.snapshot
  return [trust.revocationLists, trust.issuers.map(({ keyHash }) => keyHash), warnings, newestLists]
}

test('Whatever the previous files were, the result is as if each were read from scratch', () => {
  fc.assert(
    fc.property(fc.array(someChange, { maxLength: 20 }), fc.boolean(), (changes, isOwn) => {
      let texts: Texts = { lists: early, ...(isOwn && { devices: {} }) }
      let inForce = snapshotOf(compile(texts))
      for (const change of changes) {
        texts = { ...texts, ...change }
        const compiled = compile(texts, inForce)
        const fresh = compile(texts, { ...inForce, lists: undefined })
        assert.deepEqual(judged(compiled), judged(fresh))
        if (compiled.ok) inForce = compiled.snapshot
      }
    }),
  )
})
