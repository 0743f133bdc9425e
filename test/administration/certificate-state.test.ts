import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { reportDevices } from '../../src/administration/device-report.ts'
import { describeHolders } from '../../src/server/admin/device-status.ts'
import { writeBlocks } from '../../src/store/blocks.ts'
import { CERTIFICATE_STATES } from '../../src/store/certificate-state.ts'
import { writeDevice } from '../../src/store/device-registry.ts'
import type { SeenCertificate } from '../../src/store/service-state.ts'
import { runningId, writeRunning } from '../../src/store/service-state-files.ts'
import { initialized, snapshotOf } from '../support/command.ts'
import { makeList, NOON_SECONDS, ownAuthority } from '../support/service.ts'

const DAY = 86_400
const states = (devices: readonly { readonly name: string; readonly state: string }[]) =>
  devices.map(({ name, state }) => ({ name, state }))
const ends = (devices: readonly { readonly certificateNotAfter: number }[]) =>
  devices.map(({ certificateNotAfter }) => certificateNotAfter)

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
  const directory = await initialized()
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

  const expected = states(rows)
  assert.deepEqual(states(await reportDevices(directory.paths, NOON_SECONDS)), expected)
  const { devices } = describeHolders(await snapshotOf(directory.dataDir), [], NOON_SECONDS)
  assert.deepEqual(states(devices), expected)
  assert.deepEqual([...new Set(rows.map(({ state }) => state))], [...CERTIFICATE_STATES])
})

test('A certificate is expired once its CA is', async () => {
  const directory = await initialized({ days: 1 })
  const { keyHash: issuerKeyHash } = await ownAuthority(directory.dataDir)
  const dates = { notBefore: NOON_SECONDS, notAfter: NOON_SECONDS + 9 * DAY }
  await writeDevice(directory.paths.devices, 'a1', {
    name: 'Phone',
    owner: undefined,
    certificates: [{ issuerKeyHash, serial: '01', ...dates }],
  })
  const later = NOON_SECONDS + 2 * DAY
  const [listed] = await reportDevices(directory.paths, later)
  const { devices } = describeHolders(await snapshotOf(directory.dataDir), [], later)
  assert.deepEqual([listed?.state, devices[0]?.state], ['expired', 'expired'])
})

type Kind = 'active' | 'expired' | 'replaced' | 'early' | 'revoked' | 'invited'

/**
 * What a device has, each certificate with the hours since it was last used (`undefined`: never), and
 * the state in which a request would find the device.
 */
const DEVICES: readonly (readonly [string, readonly (readonly [Kind, number?])[]])[] = [
  ['no-certificate', []],
  ['active', [['active']]],
  ['active', [['active', 30], ['active']]],
  [
    'active',
    [
      ['expired', 30],
      ['active', 1],
    ],
  ],
  ['active', [['revoked', 1], ['active']]],
  ['active', [['active'], ['revoked']]],
  ['active', [['active', 1], ['invited']]],
  [
    'active',
    [
      ['replaced', 30],
      ['active', 1],
    ],
  ],
  [
    'active',
    [
      ['replaced', 2],
      ['active', 1],
    ],
  ],
  ['active', [['replaced'], ['active']]],
  // It has not got its new certificate, or does not use it.
  ['replaced', [['replaced', 1], ['active']]],
  ['expired', [['expired', 1], ['active']]],
  ['expired', [['expired', 1], ['revoked']]],
  ['not-yet-valid', [['early']]],
  ['revoked', [['revoked', 1], ['revoked']]],
  ['invited', [['revoked', 1], ['invited']]],
]

test('device list and /status show the state and the end of the certificate that a device uses', async () => {
  const directory = await initialized()
  const { keyHash: issuerKeyHash } = await ownAuthority(directory.dataDir)
  const seen: SeenCertificate[] = []
  const expected: { readonly name: string; readonly state: string }[] = []
  for (const [row, [state, certificates]] of DEVICES.entries()) {
    const name = `Device ${String(row).padStart(2, '0')}`
    expected.push({ name, state })
    const entries = certificates.map(([kind, hours], index) => {
      const serial = Buffer.from([row, index]).toString('hex')
      if (hours !== undefined) {
        const certificateAt = NOON_SECONDS - hours * 3600
        const facts = { sha256: undefined, notAfter: undefined }
        seen.push({ issuerKeyHash, serial, name, certificateAt, sessionAt: 0, ...facts })
      }
      return {
        ...{ issuerKeyHash, serial },
        notBefore: NOON_SECONDS + (kind === 'early' ? 1 : -9) * DAY,
        notAfter: NOON_SECONDS + (kind === 'expired' ? -1 : (9 + index) * DAY),
        ...(kind === 'revoked' && { revokedAt: NOON_SECONDS - DAY }),
        ...(kind === 'replaced' && { endsAt: NOON_SECONDS - 60 }),
        ...(kind === 'invited' && { invitation: INVITATION }),
      }
    })
    const device = { name, owner: undefined, certificates: entries }
    await writeDevice(directory.paths.devices, `a${row}`, device)
  }
  await writeRunning(directory.paths.running, runningId('host', '127.0.0.1:1'), {
    ...{ schemaVersion: 1, listen: '127.0.0.1:1', host: 'host', version: '0', startedAt: 0 },
    ...{ stoppedAt: undefined, crlNumber: undefined, blocksNumber: 0, keySet: '0' },
    lastSeen: seen,
  })
  assert.deepEqual(states(await reportDevices(directory.paths, NOON_SECONDS)), expected)
  const { devices } = describeHolders(await snapshotOf(directory.dataDir), seen, NOON_SECONDS)
  assert.deepEqual(states(devices), expected)
  assert.deepEqual(ends(devices), ends(await reportDevices(directory.paths, NOON_SECONDS)))
})
