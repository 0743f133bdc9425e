import assert from 'node:assert/strict'
import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { removeAbandoned } from '../../src/store/files.ts'
import {
  createInvitationIndex,
  type Invitation,
  invitationPath,
  readClaim,
  readInvitation,
  settle,
  writeInvitation,
} from '../../src/store/invitations.ts'
import { temporaryFolder } from '../support/service.ts'

const ID = '0123456789abcdef0123456789abcdef'
const INVITATION: Invitation = {
  id: ID,
  device: { id: 'd', name: 'Phone', owner: undefined },
  certificate: {
    issuerKeyHash: 'A'.repeat(43),
    serial: '4f',
    notAfter: 1_800_000_000,
    der: Buffer.from('der'),
  },
  invitedAt: 1_700_000_000,
  endsAt: 1_700_086_400,
  site: 'https://home.example.org',
  sealed: Buffer.from('sealed'),
}

/** How an invitation's file reads after a change of its fields. */
async function readWith(change: (entry: Record<string, unknown>) => unknown) {
  const folder = await temporaryFolder()
  const entry = JSON.parse(writeInvitation(INVITATION).toString())
  await writeFile(join(folder, `${ID}.json`), JSON.stringify(change(entry)))
  return readInvitation(folder, ID)
}

test('An invitation is read as it was written', async () => {
  assert.deepEqual(await readWith((entry) => entry), INVITATION)
})

const BROKEN: Readonly<Record<string, Record<string, unknown>>> = {
  'of another schema': { schemaVersion: 2 },
  'without a device': { device: undefined },
  'with a device that has no id': { device: { name: 'Phone' } },
  'with a device that has no name': { device: { id: 'd' } },
  'without a certificate': { certificate: undefined },
  'with a key hash that is none': { certificate: { issuerKeyHash: 'x' } },
  'with a serial that is none': { certificate: { issuerKeyHash: 'A'.repeat(43), serial: 'x' } },
  'with no end of the certificate': {
    certificate: { issuerKeyHash: 'A'.repeat(43), serial: '4f' },
  },
  'with no certificate in it': {
    certificate: { issuerKeyHash: 'A'.repeat(43), serial: '4f', notAfter: 1 },
  },
  'with no time of invitation': { invitedAt: '1' },
  'with no end': { endsAt: 'never' },
  'with no site': { site: 1 },
  'with no packages': { sealed: undefined },
}

for (const [what, fields] of Object.entries(BROKEN)) {
  test(`An invitation ${what} is invalid`, async () => {
    assert.equal(await readWith((entry) => ({ ...entry, ...fields })), undefined)
  })
}

test('An invitation that is missing, or not a JSON object, is invalid', async () => {
  assert.equal(await readInvitation(await temporaryFolder(), ID), undefined)
  assert.equal(await readWith(() => 'text'), undefined)
})

const CLAIMS: readonly (readonly [content: string, read: object])[] = [
  ['', { outcome: 'ended', at: 0 }],
  ['{"outcome":"collected"}', { outcome: 'ended', at: 0 }],
  ['{"outcome":"collected","at":5}', { outcome: 'ended', at: 5 }],
  ['{"outcome":"collected","at":5,"nonceHash":"n"}', { outcome: 'ended', at: 5 }],
  ['{"outcome":"collected","at":5,"nonceHash":1,"by":"x"}', { outcome: 'ended', at: 5 }],
  [
    '{"outcome":"collected","at":5,"nonceHash":"n","by":"x"}',
    { outcome: 'collected', at: 5, nonceHash: 'n', by: 'x' },
  ],
  ['{"outcome":"ended","at":5,"nonceHash":"n","by":"x"}', { outcome: 'ended', at: 5 }],
]

test('An invalid claim counts as the end of the invitation', async () => {
  const folder = await temporaryFolder()
  assert.equal(await readClaim(folder, ID), undefined)
  for (const [content, read] of CLAIMS) {
    await writeFile(join(folder, `${ID}.claim`), content)
    assert.deepEqual(await readClaim(folder, ID), read, content)
  }
})

test('Temporary files of killed processes are removed after an hour, and nothing else is', async () => {
  const folder = await temporaryFolder()
  const old = new Date(Date.now() - 2 * 3_600_000)
  for (const name of ['old.tmp', `${ID}.json`]) {
    await writeFile(join(folder, name), '')
    await utimes(join(folder, name), old, old)
  }
  await writeFile(join(folder, 'new.tmp'), '')
  await removeAbandoned(folder, Date.now())
  assert.deepEqual((await readdir(folder)).sort(), [`${ID}.json`, 'new.tmp'])
  await mkdir(join(folder, 'empty'))
  await removeAbandoned(join(folder, 'missing'), Date.now())
})

test('The index knows invitations and claims as soon as they exist, and no longer than that', async () => {
  const folder = join(await temporaryFolder(), 'invitations')
  const exists = createInvitationIndex(folder)
  const [one, other] = ['1', '2'].map((digit) => digit.repeat(32)) as [string, string]
  assert.equal(await exists(one), false)
  await mkdir(folder)
  await writeFile(invitationPath(folder, one), '{}')
  assert.equal(await exists(one), true)
  assert.equal(await exists(other), false)
  assert.equal(await settle(folder, other, { outcome: 'ended', at: 1 }), true)
  assert.equal(await exists(other), true)
  await rm(invitationPath(folder, one))
  assert.equal(await exists(one), false)
})
