import { type CertificateId, certificateKey } from '../../certificate/certificate-id.ts'
import { describeName } from '../../certificate/name.ts'
import type { Snapshot } from '../../store/snapshot.ts'

/** A change between two snapshots, as it is logged. */
export interface Change {
  readonly what: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** Lists the changes that matter to an auditor: CAs, keys, devices, revocations and blocks. */
export function describeChanges(before: Snapshot, after: Snapshot): readonly Change[] {
  return [
    ...authorityChanges(before, after),
    ...keyChanges(before, after),
    ...deviceChanges(before, after),
    ...revocations(before, after),
    ...blockChanges(before, after),
  ]
}

function authorityChanges(before: Snapshot, after: Snapshot): readonly Change[] {
  const names = ({ trust }: Snapshot) =>
    trust.issuers.map(({ certificate }) => describeName(certificate.subject))
  const keys = ({ trust }: Snapshot) => trust.issuers.map(({ keyHash }) => keyHash).join()
  if (keys(before) === keys(after)) return []
  return [{ what: 'trusted CAs changed', fields: { authorities: names(after) } }]
}

function keyChanges({ keyRing: before }: Snapshot, { keyRing: after }: Snapshot) {
  if (before.fingerprint === after.fingerprint) return []
  const fields = { keySet: after.fingerprint, sessionKeys: after.keys.length }
  return [{ what: 'session keys changed', fields }]
}

function deviceChanges({ registry: before }: Snapshot, { registry: after }: Snapshot) {
  const known = new Set(before?.devices.map(({ id }) => id))
  const changes: Change[] = []
  for (const { id, name } of after?.devices ?? []) {
    if (!known.has(id)) changes.push({ what: 'device added', fields: { device: name } })
  }
  for (const [key, { device, certificate }] of after?.byCertificate ?? []) {
    if (before?.byCertificate.has(key) !== false || !known.has(device.id)) continue
    const fields = { device: device.name, serial: certificate.serial }
    changes.push({ what: 'certificate added', fields })
  }
  return changes
}

/** One entry per revoked device, and a count for certificates of external CAs, which may be many. */
function revocations(before: Snapshot, after: Snapshot): readonly Change[] {
  const changes: Change[] = []
  let others = 0
  for (const [keyHash, { serials }] of after.trust.revocationLists) {
    const known = before.trust.revocationLists.get(keyHash)?.serials
    if (known === serials) continue
    for (const serial of serials) {
      if (known?.has(serial)) continue
      const found = after.registry?.byCertificate.get(
        certificateKey({ issuerKeyHash: keyHash, serial }),
      )
      if (found === undefined) others += 1
      else changes.push({ what: 'revoked', fields: { device: found.device.name, serial } })
    }
  }
  if (others > 0) changes.push({ what: 'revoked', fields: { certificates: others } })
  return changes
}

function blockChanges({ blocks: before }: Snapshot, after: Snapshot): readonly Change[] {
  const describe = (what: string) => (entry: (typeof before.certificates)[number]) => {
    const key = certificateKey(entry)
    const device = after.registry?.byCertificate.get(key)?.device.name
    return { what, fields: { ...(device !== undefined && { device }), serial: entry.serial } }
  }
  const signOut = ({ name, at }: (typeof before.signOuts)[number]) => `${at} ${name}`
  const signedOut = new Set(before.signOuts.map(signOut))
  return [
    ...without(after.blocks.certificates, before.certificates).map(describe('blocked')),
    ...without(before.certificates, after.blocks.certificates).map(describe('no longer blocked')),
    ...after.blocks.signOuts
      .filter((entry) => !signedOut.has(signOut(entry)))
      .map(({ name }) => ({ what: 'signed out', fields: { device: name } })),
  ]
}

function without<T extends CertificateId>(
  entries: readonly T[],
  others: readonly T[],
): readonly T[] {
  const keys = new Set(others.map(certificateKey))
  return entries.filter((entry) => !keys.has(certificateKey(entry)))
}
