import type { RevocationReason } from '../certificate/revocation-reason.ts'
import {
  type Device,
  type DeviceCertificate,
  isInvited,
  isStillValid,
} from '../store/device-registry.ts'
import { isListed, readOwnAuthorities } from './authorities.ts'
import { type Change, changeDirectory } from './change-directory.ts'
import { CommandError } from './command-error.ts'
import { findDevice } from './find-device.ts'
import { endInvitations } from './settle-invitations.ts'
import { highest, writeLists } from './sign-revocation-lists.ts'

/** Which certificates of a device: all, those that a renewal has replaced, or one by its serial. */
export type RevokedPart = 'all' | 'replaced' | { readonly serial: string }

export interface Revoked {
  readonly device: Device
  readonly certificates: readonly DeviceCertificate[]
  /** The number of the CRL that every service has to load. */
  readonly crlNumber: bigint
  /** Whether the CRL listed them already. */
  readonly wasRevoked: boolean
  /** Whether the device's entry is marked as well. */
  readonly isMarked: boolean
}

/** Puts certificates of a device on the CRL, which revokes them, and marks them in its entry. */
export async function revokeDevice(
  change: Change,
  name: string,
  part: RevokedPart,
  reason: RevocationReason,
): Promise<Revoked> {
  const { nowSeconds } = change
  return changeDirectory(change, async (directory) => {
    const device = findDevice(await directory.readDevices(), name)
    const authorities = await readOwnAuthorities(directory.paths)
    const chosen = choose(device, part, nowSeconds)
    const revocable = chosen.filter(({ issuerKeyHash }) => authorities.lists.has(issuerKeyHash))
    if (revocable.length === 0) {
      throw new CommandError(
        `"${device.name}" has nothing to revoke: certificates of a CA that is no longer in ${directory.paths.authority} are never accepted`,
      )
    }
    const fresh = revocable.filter((certificate) => !isListed(authorities, certificate))
    const revocations = fresh.map((one) => ({ ...one, revokedAt: nowSeconds, reason }))
    const wasRevoked = fresh.length === 0
    // Already on the CRL: no key is needed to wait until the services have loaded it.
    const crlNumber = wasRevoked
      ? highest([...authorities.lists.values()].map(({ number }) => number))
      : await writeLists(directory, authorities, revocations)
    const marked = mark(device, chosen, nowSeconds, reason)
    // Only the CRL counts, so an error here must not stop what follows.
    const isMarked =
      chosen.every(({ revokedAt }) => revokedAt !== undefined) ||
      (await directory.writeDevice(marked).then(
        () => true,
        () => false,
      ))
    // The CRL is written already: the next command deletes what cannot be deleted now.
    await endInvitations(directory, chosen).catch(() => undefined)
    return { device: marked, certificates: chosen, crlNumber, wasRevoked, isMarked }
  })
}

function choose(
  device: Device,
  part: RevokedPart,
  nowSeconds: number,
): readonly DeviceCertificate[] {
  const { certificates, name } = device
  if (certificates.length === 0) {
    throw new CommandError(`"${name}" has no certificate: there is nothing to revoke`)
  }
  if (part === 'all') return certificates
  if (part === 'replaced') {
    const replaced = replacedOf(certificates, nowSeconds)
    if (replaced.length > 0) return replaced
    throw new CommandError(`none of the certificates of "${name}" has been replaced`, {
      hint: 'certlatch device show lists them; --serial revokes a single one',
    })
  }
  const serial = part.serial.replaceAll(':', '').toLowerCase()
  const found = certificates.filter((certificate) => certificate.serial === serial)
  if (found.length > 0) return found
  throw new CommandError(`"${name}" has no certificate ${part.serial}`, {
    hint: 'certlatch device show lists those that it has',
  })
}

/**
 * The certificates whose end a renewal has set. An invitation that was not collected has replaced
 * nothing, and the newest usable certificate stays even if its successor is gone.
 */
function replacedOf(
  certificates: readonly DeviceCertificate[],
  nowSeconds: number,
): readonly DeviceCertificate[] {
  const newest = certificates
    .filter((one) => !isInvited(one) && isStillValid(one, nowSeconds))
    .toSorted((one, other) => one.notBefore - other.notBefore)
    .at(-1)
  return certificates.filter((one) => one.endsAt !== undefined && one !== newest && !isInvited(one))
}

function mark(
  device: Device,
  chosen: readonly DeviceCertificate[],
  revokedAt: number,
  reason: RevocationReason,
): Device {
  const certificates = device.certificates.map((certificate) =>
    chosen.includes(certificate) && certificate.revokedAt === undefined
      ? { ...certificate, revokedAt, reason }
      : certificate,
  )
  return { ...device, certificates }
}
