import { type CertificateId, isSameCertificate } from '../certificate/certificate-id.ts'
import { readBlocks } from '../store/blocks.ts'
import {
  type Device,
  type DeviceCertificate,
  isInvited,
  isStillValid,
  withEnd,
} from '../store/device-registry.ts'
import { readTextIfThere, removeAbandoned } from '../store/files.ts'
import {
  type Claim,
  forgetClaim,
  type Invitation,
  listInvitations,
  REPLAY_SECONDS,
  readClaim,
  readInvitation,
  removePackages,
  settle,
} from '../store/invitations.ts'
import { CommandError } from './command-error.ts'
import type { Devices, Directory } from './locked-directory.ts'

/** How long a code is reported as used or ended, and not as unknown. */
const REMEMBERED_SECONDS = 30 * 86_400

/**
 * Updates the registry after invitations: marks a collected certificate and limits those that it
 * replaces; removes one that was not collected in time. Deletes packages that are no longer needed.
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
  if (waiting.length + settled.length > 0) await removeAbandoned(folder, Date.now())
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
  // The broken entry may be this device's own, so nothing is decided until that is repaired.
  if (certificate === undefined && known.broken.length > 0) return
  const isWithdrawn =
    certificate === undefined ||
    certificate.revokedAt !== undefined ||
    blocked.some((one) => isSameCertificate(one, invitation.certificate))
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

/** Updates the device's entry according to the claim. */
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
  // Revoked certificates always stay in their entry.
  if (certificate.revokedAt !== undefined) return
  const certificates = device.certificates.filter((one) => one !== certificate)
  await directory.writeDevice({ ...device, certificates })
  await directory.remove(directory.paths.certificateOf(certificate.serial))
}

/** Replaced certificates are accepted for the renewal's overlap, counted from the collection. */
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
    if (overlapSeconds === undefined || isInvited(one) || !isStillValid(one, at)) return one
    return withEnd(one, at + overlapSeconds)
  })
  return { ...device, certificates }
}

/**
 * Ends the invitations of these certificates, collected or not, and deletes their packages: for a
 * revocation or a block, which the caller has already written. Returns whether one was still open.
 */
export async function endInvitations(
  directory: Directory,
  certificates: readonly CertificateId[],
): Promise<boolean> {
  const folder = directory.paths.invitations
  const { waiting } = await listInvitations(folder)
  let hasEnded = false
  for (const id of waiting) {
    const invitation = await readInvitation(folder, id)
    if (invitation === undefined) continue
    if (!certificates.some((one) => isSameCertificate(one, invitation.certificate))) continue
    const claim = { outcome: 'ended', at: directory.nowSeconds } as const
    if (await settle(folder, id, claim)) hasEnded = true
    await settleOne(directory, invitation, certificates)
  }
  return hasEnded
}

/**
 * Ends the device's invitation that was not collected, and withdraws its certificate. Returns whether
 * there was one. The first to create the claim decides: throws a CommandError if it was just collected.
 */
export async function endOpenInvitation(
  directory: Directory,
  { devices }: Devices,
  { id }: Pick<Device, 'id'>,
): Promise<boolean> {
  const { paths, nowSeconds } = directory
  const device = devices.find((one) => one.id === id)
  const open = device?.certificates.filter(isOpen) ?? []
  for (const { invitation } of open) {
    if (invitation === undefined) continue
    await directory.lock.assertHeld()
    await settle(paths.invitations, invitation.id, { outcome: 'ended', at: nowSeconds })
    const claim = await readClaim(paths.invitations, invitation.id)
    if (claim?.outcome !== 'collected') continue
    throw new CommandError(`the invitation of "${device?.name}" was collected just now`, {
      hint: 'certlatch device show says by what; run the command again if that was not the device',
    })
  }
  await settleInvitations(directory)
  return open.length > 0
}

/** Whether the certificate waits to be collected; a revoked one stays in its entry for good. */
const isOpen = (certificate: DeviceCertificate): boolean =>
  isInvited(certificate) && certificate.revokedAt === undefined

/** The entry without certificates that wait to be collected. */
const withoutInvited = (device: Device): Device => ({
  ...device,
  certificates: device.certificates.filter((certificate) => !isOpen(certificate)),
})

/** The registry's devices without certificates that wait to be collected. */
export const allWithoutInvited = ({ devices, broken }: Devices): Devices => ({
  devices: devices.map(withoutInvited),
  broken,
})
