import type { RevocationReason } from '../certificate/revocation-reason.ts'
import type { Device, DeviceCertificate } from '../store/device-registry.ts'
import { findDevice } from './add-device.ts'
import { isListed, type OwnAuthorities, readOwnAuthorities } from './authorities.ts'
import { type Change, changeDirectory } from './change-directory.ts'
import { CommandError } from './command-error.ts'
import type { Directory } from './locked-directory.ts'
import { endInvitations } from './settle-invitations.ts'
import { writeLists } from './sign-revocation-lists.ts'

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
    const chosen = choose(device, part)
    requireCurrentAuthority(directory, device, chosen, authorities)
    const fresh = chosen.filter(
      (certificate) =>
        authorities.lists.has(certificate.issuerKeyHash) && !isListed(authorities, certificate),
    )
    // Already on the CRL: no key is needed to wait until the services have loaded it.
    const crlNumber =
      fresh.length === 0
        ? highestNumber(authorities.lists)
        : await writeLists(
            directory,
            authorities,
            fresh.map(({ issuerKeyHash, serial }) => ({
              issuerKeyHash,
              serial,
              revokedAt: nowSeconds,
              reason,
            })),
          )
    const marked = mark(device, chosen, nowSeconds, reason)
    const isMarked = await tryMarking(directory, marked, chosen)
    // The CRL is written already: the next command deletes what cannot be deleted now.
    await endInvitations(directory, chosen).catch(() => undefined)
    const wasRevoked = fresh.length === 0
    return { device: marked, certificates: chosen, crlNumber, wasRevoked, isMarked }
  })
}

/** Only the CRL counts, so an error here must not stop what follows. */
async function tryMarking(
  directory: Directory,
  marked: Device,
  chosen: readonly DeviceCertificate[],
): Promise<boolean> {
  if (chosen.every(({ revokedAt }) => revokedAt !== undefined)) return true
  try {
    await directory.writeDevice(marked)
    return true
  } catch {
    return false
  }
}

/** Requires a certificate of a current CA: those of removed CAs are not accepted in any case. */
function requireCurrentAuthority(
  { paths }: Directory,
  { name }: Device,
  chosen: readonly DeviceCertificate[],
  { lists }: OwnAuthorities,
): void {
  if (chosen.some(({ issuerKeyHash }) => lists.has(issuerKeyHash))) return
  throw new CommandError(
    `"${name}" has certificates of a CA alone that is not in ${paths.authority} any more: they are never accepted, and there is nothing to revoke`,
  )
}

function choose(device: Device, part: RevokedPart): readonly DeviceCertificate[] {
  const { certificates, name } = device
  if (certificates.length === 0) {
    throw new CommandError(`"${name}" has no certificate: there is nothing to revoke`)
  }
  if (part === 'all') return certificates
  if (part === 'replaced') {
    const replaced = certificates.slice(0, -1)
    if (replaced.length > 0) return replaced
    throw new CommandError(`"${name}" has one certificate only: none has been replaced`)
  }
  const serial = part.serial.replaceAll(':', '').toLowerCase()
  const found = certificates.filter((certificate) => certificate.serial === serial)
  if (found.length > 0) return found
  throw new CommandError(`"${name}" has no certificate ${part.serial}`, {
    hint: 'certlatch device show lists those that it has',
  })
}

/** The number of the last write. The CRL of an expired CA keeps an older one. */
function highestNumber(lists: ReadonlyMap<string, { readonly number: bigint }>): bigint {
  let highest = 0n
  for (const { number } of lists.values()) if (number > highest) highest = number
  return highest
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
