import { randomBytes } from 'node:crypto'
import { invitationCode, invitationId } from '../enrollment/invitation-code.ts'
import { writePackages } from '../enrollment/packages.ts'
import { PASSWORD_RANDOM_BYTES } from '../enrollment/password.ts'
import { SEALING_IV_BYTES, seal } from '../enrollment/sealing.ts'
import type { Device, DeviceCertificate } from '../store/device-registry.ts'
import { type Invitation, invitationPath, settle, writeInvitation } from '../store/invitations.ts'
import { type Change, changeDirectory } from './change-directory.ts'
import { CommandError } from './command-error.ts'
import { findDevice, type NewDevice, newEntry, requireNotRevoked } from './find-device.ts'
import { type IssuedPackages, type IssueOptions, issuePackagesFor } from './issue-certificate.ts'
import { type Devices, type Directory, requireWhole } from './locked-directory.ts'
import { deliver } from './pending-delivery.ts'
import { allWithoutInvited, endOpenInvitation, settleInvitations } from './settle-invitations.ts'

export interface InviteOptions extends Pick<IssueOptions, 'days' | 'key'> {
  readonly validSeconds: number
  /** The origin of the link: `https://home.example.org`. */
  readonly site: string
  /** Set for a renewal: how long the device's other certificates are accepted after the collection. */
  readonly overlapSeconds: number | undefined
}

export interface Invited {
  readonly device: Device
  readonly certificate: DeviceCertificate
  readonly invitation: Pick<Invitation, 'id' | 'endsAt'>
  /** In no file: it is all that is needed to collect the certificate. */
  readonly code: string
}

/**
 * Issues a certificate for a device and seals it under a code, with which the device collects it. Ends
 * an invitation that the device has not collected yet. Throws a CommandError if the device exists and
 * no renewal was requested, or the other way round.
 */
export async function inviteDevice(
  change: Change,
  given: NewDevice,
  options: InviteOptions,
): Promise<Invited> {
  return changeDirectory(change, async (directory) => {
    const known = await directory.readDevices()
    requireWhole(directory.paths, known)
    const before = entryFor(known, given, options.overlapSeconds !== undefined)
    const issued = await issuePackagesFor(directory, before, options)
    await endOpenInvitation(directory, known, before)
    return await enterInvited(directory, before, issued, options)
  })
}

/** The device's entry without certificates of earlier invitations that were not collected. */
function entryFor(known: Devices, given: NewDevice, isRenewal: boolean): Device {
  const open = allWithoutInvited(known)
  if (!isRenewal) return newEntry(open.devices, given)
  const device = findDevice(open, given.name)
  if (device.certificates.length === 0) {
    throw new CommandError(`"${device.name}" has no certificate to renew`, {
      hint: 'invite it as a new device',
    })
  }
  requireNotRevoked(device, 'invite')
  return device
}

async function enterInvited(
  directory: Directory,
  before: Device,
  { certificate, entry, packages }: IssuedPackages,
  { validSeconds, site, overlapSeconds }: InviteOptions,
): Promise<Invited> {
  const { nowSeconds } = directory
  const folder = directory.paths.invitations
  const code = invitationCode(randomBytes(PASSWORD_RANDOM_BYTES))
  const id = invitationId(code)
  const endsAt = Math.min(nowSeconds + validSeconds, certificate.notAfter)
  const { serial, notAfter, der } = certificate
  const invitation: Invitation = {
    id,
    device: { id: before.id, name: before.name, owner: before.owner },
    certificate: { issuerKeyHash: entry.issuerKeyHash, serial, notAfter, der },
    invitedAt: nowSeconds,
    endsAt,
    site,
    sealed: seal(
      writePackages(packages),
      { secret: code, purpose: 'code', id },
      randomBytes(SEALING_IV_BYTES),
    ),
  }
  const entered: DeviceCertificate = {
    ...entry,
    invitation: { id, endsAt, ...(overlapSeconds !== undefined && { overlapSeconds }) },
  }
  const device = { ...before, certificates: [...before.certificates, entered] }
  const file = { path: invitationPath(folder, id), content: writeInvitation(invitation) }
  await deliver(directory, { before, after: device, certificate, package: file })
  return { device, certificate: entered, invitation: { id, endsAt }, code }
}

/** Ends an invitation whose code could not be handed out. */
export async function takeBackInvited(
  change: Change,
  { invitation: { id } }: Pick<Invited, 'invitation'>,
): Promise<void> {
  await changeDirectory(change, async (directory) => {
    const claim = { outcome: 'ended', at: directory.nowSeconds } as const
    await settle(directory.paths.invitations, id, claim)
    await settleInvitations(directory)
  })
}
