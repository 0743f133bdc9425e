import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sha256Base64Url } from '../../src/certificate/verify.ts'
import type { DeviceCertificate } from '../../src/store/device-registry.ts'
import { writeDevice } from '../../src/store/device-registry.ts'
import { certlatch, initialized } from '../support/command.ts'
import { NOON_SECONDS, ownAuthority } from '../support/service.ts'

const DAY = 86_400

/** What `device show` prints of a device whose certificates were entered by hand. */
async function show(certificates: readonly Partial<DeviceCertificate>[]): Promise<string> {
  const { dataDir, paths } = await initialized()
  const { certificate } = await ownAuthority(dataDir)
  const issuerKeyHash = sha256Base64Url(certificate.publicKeyInfo)
  const id = '182e3915-1c73-4298-ae90-c3db1dfe1aa6'
  await writeDevice(paths.devices, id, {
    name: 'Phone',
    owner: undefined,
    certificates: certificates.map((fields, index) => ({
      issuerKeyHash,
      serial: `4${index}`,
      notBefore: NOON_SECONDS - DAY,
      notAfter: NOON_SECONDS + 10 * DAY,
      ...fields,
    })),
  })
  const { exitCode, stdout, stderr } = await certlatch(['device', 'show', 'Phone'], {
    CERTLATCH_DATA_DIR: dataDir,
  })
  assert.equal(exitCode, 0, stderr)
  return stdout
}

test('A certificate known only from an index has neither a start date nor fingerprints', async () => {
  const shown = await show([{ notBefore: 0 }])
  assert.match(shown, /^valid from +-$/m)
  assert.match(shown, /^SHA-256 +-$/m)
  assert.match(shown, /^SHA-1 +-$/m)
  assert.match(shown, /^owner +-$/m)
})

test('A certificate of a CA that is no longer trusted names no CA', async () => {
  const shown = await show([{ issuerKeyHash: 'A'.repeat(43) }])
  assert.match(shown, /^CA +-$/m)
  assert.match(shown, /^state +untrusted-ca$/m)
})

test('An expired certificate shows until when it was valid, not how long it has left', async () => {
  const shown = await show([{ notAfter: NOON_SECONDS - 3600 }])
  assert.match(shown, /^valid until +2026-11-24 11:00:00 UTC$/m)
})

test('A replaced certificate, and one revoked without a reason, show since when', async () => {
  const shown = await show([
    { endsAt: NOON_SECONDS - DAY },
    { revokedAt: NOON_SECONDS - DAY },
    { revokedAt: NOON_SECONDS - DAY, reason: 'keyCompromise' },
  ])
  assert.match(shown, /^replaced, ends +2026-11-23 12:00:00 UTC$/m)
  assert.match(shown, /^revoked +2026-11-23 12:00:00 UTC, unspecified$/m)
  assert.match(shown, /^revoked +2026-11-23 12:00:00 UTC, keyCompromise$/m)
})

test('An invitation shows until when it is valid, or when and by what it was collected', async () => {
  const invitation = { id: 'a'.repeat(32), endsAt: NOON_SECONDS + DAY }
  const collectedAt = NOON_SECONDS - 60
  const shown = await show([
    { invitation },
    { invitation: { ...invitation, collectedAt } },
    { invitation: { ...invitation, collectedAt, collectedBy: 'iPhone, Safari' } },
  ])
  assert.match(shown, /^invitation +not collected, until 2026-11-25 12:00:00 UTC$/m)
  assert.match(shown, /^invitation +collected 2026-11-24 11:59:00 UTC by an unknown browser$/m)
  assert.match(shown, /^invitation +collected 2026-11-24 11:59:00 UTC by iPhone, Safari$/m)
})
