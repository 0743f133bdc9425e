/** One CRL of several that cannot be used keeps no other out, and never goes unsaid. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { writeSmallInteger } from '../../src/certificate/der-writer.ts'
import { writePem } from '../../src/certificate/pem.ts'
import { writeKey } from '../../src/session/key-ring.ts'
import { type CompiledSnapshot, compileSnapshot, type Snapshot } from '../../src/store/snapshot.ts'
import {
  type Authority,
  commonNameOf,
  entryOf,
  extension,
  forgeAuthority,
  forgeList,
  issuerOfAuthority,
  type ListParts,
  p256,
} from '../support/forge.ts'

const home: Authority = { key: p256(), name: commonNameOf('Home') }
const office: Authority = { key: p256(), name: commonNameOf('Office') }
const authorities = [home, office].map((one) => writePem('CERTIFICATE', forgeAuthority(one)))
const sessionKeys = { name: 'session.keys', content: Buffer.from(`${writeKey(randomBytes(32))}\n`) }

const revoking = (serial: string) => entryOf(Buffer.from(serial, 'hex'))
const listOf = (of: Authority, number: number, parts: ListParts = {}) =>
  forgeList(of, { number, thisUpdate: Date.UTC(2026, 0, number) / 1000, ...parts })
const pem = (...lists: readonly Buffer[]) => lists.map((der) => writePem('X509 CRL', der)).join('')
const deltaOf = (of: Authority, number: number) =>
  listOf(of, number, {
    entries: [revoking('4f')],
    extensions: [extension('2.5.29.27', writeSmallInteger(1), true)],
  })

function compile(
  lists: string | Buffer,
  previous?: Snapshot,
  trusted: string | Buffer = authorities.join(''),
): CompiledSnapshot {
  return compileSnapshot(
    {
      authorities: { name: 'ca.pem', content: Buffer.from(trusted as string, 'latin1') },
      revocationLists: { name: 'ca.crl', content: Buffer.from(lists as string, 'latin1') },
      sessionKeys,
      devices: undefined,
      blocks: undefined,
      undelivered: undefined,
      policy: undefined,
    },
    'deny',
    previous,
  )
}

function snapshotOf(compiled: CompiledSnapshot): Snapshot {
  assert.ok(compiled.ok, compiled.ok ? '' : compiled.problems.join('\n'))
  return compiled.snapshot
}

/** The loaded number of each CA's CRL, and its serial numbers. */
function inForce({ trust }: Snapshot, of: Authority) {
  const list = trust.revocationLists.get(issuerOfAuthority(of).keyHash)
  return [Number(list?.number), [...(list?.serials ?? [])].join()]
}

const before = () => snapshotOf(compile(pem(listOf(home, 1), listOf(office, 1))))
const newer = () => listOf(office, 2, { entries: [revoking('33')] })

const NOT_TAKEN: readonly (readonly [string, string, RegExp])[] = [
  ['a delta CRL', pem(deltaOf(home, 2)), /"CN=Home" is a delta CRL/],
  [
    'one with an unreadable entry',
    pem(listOf(home, 2, { entries: [entryOf(Buffer.alloc(0))] })),
    /has an entry that certlatch cannot read/,
  ],
  ['an older one', pem(listOf(home, 0)), /has an older CRL of the CA "CN=Home"/],
  ['none', '', /has no CRL of the CA "CN=Home"/],
  ['one that is cut', pem(listOf(home, 2)).slice(0, 200), /block 1 is not a whole CRL in PEM/],
  ['one that is no CRL inside', pem(Buffer.from('3000', 'hex')), /not a CRL in strict DER/],
]

for (const [what, text, problem] of NOT_TAKEN) {
  test(`If a CA has ${what}, its loaded list stays, and the newer one of another CA counts`, () => {
    const snapshot = snapshotOf(compile(`${text}\n${pem(newer())}`, before()))
    assert.deepEqual(inForce(snapshot, office), [2, '33'])
    assert.equal(inForce(snapshot, home)[0], 1)
    assert.match(snapshot.problems.join('\n'), problem)
    // And from then on, while the file stays unchanged.
    const again = snapshotOf(compile(`${text}\n${pem(newer())}`, snapshot))
    assert.equal(inForce(again, home)[0], 1)
    assert.deepEqual(again.problems, snapshot.problems)
  })

  // At a start none is older than another.
  if (what === 'an older one') continue
  test(`At startup, ${what} of a CA is not accepted as a list, and nothing starts`, () => {
    const compiled = compile(`${text}\n${pem(newer())}`)
    assert.ok(!compiled.ok)
    assert.match(compiled.problems.join('\n'), /ca\.crl has no CRL of the CA "CN=Home"/)
  })
}

test('A delta beside its base is reported, and the base counts, at startup too', () => {
  const base = listOf(home, 2, { entries: [revoking('11')] })
  for (const previous of [undefined, before()]) {
    for (const lists of [
      [base, deltaOf(home, 3)],
      [deltaOf(home, 3), base],
    ]) {
      const snapshot = snapshotOf(compile(pem(...lists, listOf(office, 1)), previous))
      assert.deepEqual(inForce(snapshot, home), [2, '11'])
      assert.equal(snapshot.problems.length, 1)
      assert.match(snapshot.problems[0] ?? '', /^ca\.crl: .*delta CRL/)
    }
  }
})

test('What is left out of the CRLs holds up no other change later', () => {
  const lists = pem(listOf(home, 2), deltaOf(home, 3), listOf(office, 1))
  const first = snapshotOf(compile(lists))
  const next = snapshotOf(compile(lists, first))
  assert.deepEqual(next.problems, first.problems)
})

test('Anything else beside CRLs is skipped, with a warning', () => {
  const snapshot = snapshotOf(compile(authorities[0] + pem(listOf(home, 1), listOf(office, 1))))
  assert.deepEqual(snapshot.problems, [])
  assert.deepEqual(snapshot.warnings, ['ca.crl: block 1 is no CRL: "CERTIFICATE"; it is ignored'])
})

test('Lists in DER may be concatenated', () => {
  const lists = Buffer.concat([listOf(home, 4), newer()]).toString('latin1')
  const snapshot = snapshotOf(compile(lists))
  assert.equal(inForce(snapshot, home)[0], 4)
  assert.deepEqual(inForce(snapshot, office), [2, '33'])
  const cut = compile(lists.slice(0, -1), snapshot)
  assert.match(cut.ok ? '' : cut.problems.join(), /not a CRL in strict DER/)
})

const MARK = '\u00ef\u00bb\u00bf'

test('A byte order mark, other line endings and text around the blocks lose none of them', () => {
  const trusted = authorities.map((block) => `${MARK}${block}`).join('')
  const lists = [listOf(home, 1), listOf(office, 1)].map((der) => `${MARK}${pem(der)}`).join('')
  for (const change of [
    (text: string) => text,
    (text: string) => text.replaceAll('\n', '\r\n'),
    (text: string) => `0 s:CN = Home\n${text}\n# the end`,
  ]) {
    const snapshot = snapshotOf(compile(change(lists), undefined, change(trusted)))
    assert.equal(snapshot.trust.issuers.length, 2)
    assert.equal(snapshot.trust.revocationLists.size, 2)
    assert.deepEqual(snapshot.problems, [])
  }
})

test('A CA file may be one certificate in DER', () => {
  const trusted = forgeAuthority(home).toString('latin1')
  const snapshot = snapshotOf(compile(pem(listOf(home, 1)), undefined, trusted))
  assert.equal(snapshot.trust.issuers.length, 1)
})

test('A key beside the certificate is what is reported, not a missing certificate', () => {
  const key = home.key.export({ type: 'pkcs8', format: 'pem' })
  for (const trusted of [`${key}${authorities[0]}`, `${authorities[0]}${key}`]) {
    const compiled = compile(pem(listOf(home, 1)), undefined, trusted)
    assert.ok(!compiled.ok)
    assert.equal(
      compiled.problems[0],
      'ca.pem also holds a block "PRIVATE KEY": put the certificate into a file of its own',
    )
  }
  const compiled = compile(pem(listOf(home, 1)), undefined, authorities[0]?.slice(0, 100))
  assert.match(compiled.ok ? '' : compiled.problems.join(), /holds an incomplete certificate/)
})
