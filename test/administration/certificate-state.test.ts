import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { reportDevices } from '../../src/administration/device-report.ts'
import { describePeople } from '../../src/server/admin/device-status.ts'
import { writeBlocks } from '../../src/store/blocks.ts'
import { CERTIFICATE_STATES } from '../../src/store/certificate-state.ts'
import { writeDevice } from '../../src/store/device-registry.ts'
import { initialised, snapshotOf } from '../support/command.ts'
import { makeList, NOON_SECONDS, ownAuthority } from '../support/service.ts'

const DAY = 86_400
const INVITATION = { id: '0'.repeat(32), endsAt: NOON_SECONDS + DAY }

/** Every reason for a state holds, down to the ones named later in the row. */
const TABLE = [
  ['untrusted-ca', ['foreign', 'marked', 'blocked', 'unfit', 'expired', 'replaced', 'early']],
  ['revoked', ['marked', 'blocked', 'unfit', 'expired', 'replaced', 'early']],
  ['revoked', ['listed', 'blocked', 'unfit', 'expired', 'replaced', 'early']],
  ['blocked', ['blocked', 'unfit', 'expired', 'replaced', 'early']],
  ['rejected', ['unfit', 'expired', 'replaced', 'early']],
  ['expired', ['expired', 'replaced', 'early']],
  ['replaced', ['replaced', 'early']],
  ['not-yet-valid', ['early']],
  ['active', []],
  ['invited', ['invited']],
] as const

test('device list and /status show the same state, the first one that applies', async () => {
  const directory = await initialised()
  const authority = await ownAuthority(directory.dataDir)
  const serialOf = (row: number) => `0${row}`
  const rows = TABLE.map(([state, facts], row) => {
    const has = (fact: string) => (facts as readonly string[]).includes(fact)
    return { state, name: `Device ${row}`, serial: serialOf(row), has }
  })
  for (const { name, serial, has } of rows) {
    const certificate = {
      issuerKeyHash: has('foreign') ? 'A'.repeat(43) : authority.keyHash,
      serial,
      notBefore: NOON_SECONDS + (has('early') ? DAY : -DAY),
      notAfter: NOON_SECONDS + (has('expired') ? -1 : DAY),
      ...(has('marked') && { revokedAt: NOON_SECONDS - DAY }),
      ...(has('unfit') && { unfit: 'certificate-weak' }),
      ...(has('replaced') && { endsAt: NOON_SECONDS }),
      ...(has('invited') && { invitation: INVITATION }),
    }
    const device = { name, owner: undefined, certificates: [certificate] }
    await writeDevice(directory.paths.devices, `a${serial}`, device)
  }
  const listed = rows.filter(({ has }) => has('listed')).map(({ serial }) => serial)
  await writeFile(directory.paths.revocationList, makeList(authority, { revoked: listed }))
  const certificates = rows
    .filter(({ has }) => has('blocked'))
    .map(({ serial, has }) => ({
      issuerKeyHash: has('foreign') ? 'A'.repeat(43) : authority.keyHash,
      serial,
      blockedAt: NOON_SECONDS,
    }))
  await writeFile(directory.paths.blocks, writeBlocks({ number: 1, certificates, signOuts: [] }))

  const states = (devices: readonly { readonly name: string; readonly state: string }[]) =>
    devices.map(({ name, state }) => ({ name, state }))
  const expected = states(rows)
  assert.deepEqual(states(await reportDevices(directory.paths, NOON_SECONDS)), expected)
  const { devices } = describePeople(await snapshotOf(directory.dataDir), [], NOON_SECONDS)
  assert.deepEqual(states(devices), expected)
  assert.deepEqual([...new Set(rows.map(({ state }) => state))], [...CERTIFICATE_STATES])
})

test('A certificate is expired once its CA is', async () => {
  const directory = await initialised({ days: 1 })
  const { keyHash: issuerKeyHash } = await ownAuthority(directory.dataDir)
  const dates = { notBefore: NOON_SECONDS, notAfter: NOON_SECONDS + 9 * DAY }
  await writeDevice(directory.paths.devices, 'a1', {
    name: 'Phone',
    owner: undefined,
    certificates: [{ issuerKeyHash, serial: '01', ...dates }],
  })
  const later = NOON_SECONDS + 2 * DAY
  const [listed] = await reportDevices(directory.paths, later)
  const { devices } = describePeople(await snapshotOf(directory.dataDir), [], later)
  assert.deepEqual([listed?.state, devices[0]?.state], ['expired', 'expired'])
})
