import { readBlocks } from '../store/blocks.ts'
import { type CertificateId, isSameCertificate } from '../store/certificate-id.ts'
import { type Device, type DeviceCertificate, isInvited } from '../store/device-registry.ts'
import { readTextIfThere } from '../store/files.ts'
import {
  type Claim,
  forgetClaim,
  type Invitation,
  listInvitations,
  REPLAY_SECONDS,
  readClaim,
  readInvitation,
  removeAbandoned,
  removePackages,
  settle,
} from '../store/invitations.ts'
import type { Devices, Directory } from './locked-directory.ts'

/** How long a code is told to be used or ended rather than unknown. */
const REMEMBERED_SECONDS = 30 * 86_400

/**
 * Makes the registry say what became of invitations: a collected certificate is marked and those that
 * it replaces get their end; one that was not collected in time is taken back. Packages that are no
 * longer of use are deleted.
 */
export async function settleInvitations(directory: Directory): Promise<void> {
  const { paths, nowSeconds } = directory
  const folder = paths.invitations
  const { waiting, settled } = await listInvitations(folder)
  for (const id of settled) {
    const claim = await readClaim(folder, id)
    if (claim === undefined || nowSeconds - claim.at < REMEMBERED_SECONDS) continue
    await directory.lock.assertHeld()
    await forgetClaim(folder, id)
  }
  if (waiting.length > 0) {
    const blocked = readBlocks((await readTextIfThere(paths.blocks)) ?? '')?.certificates ?? []
    for (const id of waiting) {
      const invitation = await readInvitation(folder, id)
      if (invitation === undefined) continue
      await settleOne(directory, invitation, blocked)
    }
  }
  if (waiting.length + settled.length > 0) await removeAbandoned(folder)
}

async function settleOne(
  directory: Directory,
  invitation: Invitation,
  blocked: readonly CertificateId[],
): Promise<void> {
  const { paths, nowSeconds } = directory
  const folder = paths.invitations
  const known = await directory.readDevices()
  const device = known.devices.find(({ id }) => id === invitation.device.id)
  const certificate = device?.certificates.find((one) =>
    isSameCertificate(one, invitation.certificate),
  )
  // An entry that cannot be read may be its own: nothing is decided before that is mended.
  if (certificate === undefined && known.broken.length > 0) return
  const isWithdrawn =
    certificate === undefined ||
    certificate.revokedAt !== undefined ||
    blocked.some((pair) => isSameCertificate(pair, invitation.certificate))
  const isOver = isWithdrawn || nowSeconds >= invitation.endsAt
  await directory.lock.assertHeld()
  if (isOver) await settle(folder, invitation.id, { outcome: 'ended', at: nowSeconds })
  const claim = await readClaim(folder, invitation.id)
  if (claim === undefined) return
  if (device !== undefined && certificate !== undefined && isInvited(certificate)) {
    await apply(directory, device, certificate, claim)
  }
  const isKept = claim.outcome === 'collected' && nowSeconds < claim.at + REPLAY_SECONDS
  if (isWithdrawn || !isKept) await removePackages(folder, invitation.id)
}

/** Writes into the device's entry what became of the certificate. */
async function apply(
  directory: Directory,
  device: Device,
  certificate: DeviceCertificate,
  claim: Claim,
): Promise<void> {
  if (claim.outcome === 'collected') {
    await directory.writeDevice(withCollected(device, certificate, claim))
    return
  }
  // A revoked one stays in its entry, as every revoked certificate does.
  if (certificate.revokedAt !== undefined) return
  const certificates = device.certificates.filter((one) => one !== certificate)
  await directory.writeDevice({ ...device, certificates })
  await directory.remove(directory.paths.certificateOf(certificate.serial))
}

/** The certificates that a renewal replaces are accepted for its overlap, counted from the collection. */
function withCollected(
  device: Device,
  collected: DeviceCertificate,
  { at, by }: Extract<Claim, { outcome: 'collected' }>,
): Device {
  const { invitation } = collected
  if (invitation === undefined) return device
  const { overlapSeconds } = invitation
  const certificates = device.certificates.map((one): DeviceCertificate => {
    if (one === collected) {
      return { ...one, invitation: { ...invitation, collectedAt: at, collectedBy: by } }
    }
    if (overlapSeconds === undefined || isInvited(one)) return one
    const isGood =
      one.revokedAt === undefined && at < Math.min(one.endsAt ?? one.notAfter, one.notAfter)
    if (!isGood) return one
    const endsAt = at + overlapSeconds
    return { ...one, endsAt: Math.min(one.endsAt ?? endsAt, endsAt) }
  })
  return { ...device, certificates }
}

/**
 * Ends the invitations of these certificates, collected or not, and deletes their packages: for a
 * revocation or a block, which the caller has made effective before.
 */
export async function endInvitations(
  directory: Directory,
  certificates: readonly CertificateId[],
): Promise<void> {
  const folder = directory.paths.invitations
  const { waiting } = await listInvitations(folder)
  for (const id of waiting) {
    const invitation = await readInvitation(folder, id)
    if (invitation === undefined) continue
    if (!certificates.some((pair) => isSameCertificate(pair, invitation.certificate))) continue
    await settle(folder, id, { outcome: 'ended', at: directory.nowSeconds })
    await settleOne(directory, invitation, certificates)
  }
}

/** The same entry without certificates that wait to be collected. */
const withoutInvited = (device: Device): Device => ({
  ...device,
  certificates: device.certificates.filter((certificate) => !isInvited(certificate)),
})

/** What the registry holds, as `Devices`, without certificates that wait to be collected. */
export const allWithoutInvited = ({ devices, broken }: Devices): Devices => ({
  devices: devices.map(withoutInvited),
  broken,
})
