import { type CertificateId, isSameCertificate } from '../certificate/certificate-id.ts'
import { type Device, type DeviceCertificate, isInvited } from '../store/device-registry.ts'
import { removeFile } from '../store/folder.ts'
import { type Change, changeDirectory } from './change-directory.ts'
import { type NewDevice, newEntry } from './find-device.ts'
import { type Issued, type IssueOptions, issueFor } from './issue-certificate.ts'
import { requireWhole } from './locked-directory.ts'
import { deliver } from './pending-delivery.ts'

/** A device with its new certificate. */
export interface Added extends Issued {
  readonly device: Device
  /** Its previous entry. */
  readonly before: Device
}

/** Issues a certificate for a new device and registers both. */
export async function addDevice(
  change: Change,
  given: NewDevice,
  options: IssueOptions,
): Promise<Added> {
  return changeDirectory(change, async (directory) => {
    const known = await directory.readDevices()
    requireWhole(directory.paths, known)
    const before = newEntry(known.devices, given)
    const issued = await issueFor(directory, before, options)
    const device = { ...before, certificates: [issued.entry] }
    await deliver(directory, { ...issued, before, after: device })
    return { ...issued, device, before }
  })
}

/** Takes back a certificate whose package and password were not handed out. */
export async function takeBackAdded(
  change: Change,
  { before, device, certificate: { serial }, package: { path } }: Added,
): Promise<void> {
  await changeDirectory(change, async (directory) => {
    const { devices } = await directory.readDevices()
    const now = devices.find(({ id }) => id === device.id)
    if (now !== undefined) {
      await directory.writeDevice(withoutAdded(now, { before, after: device, serial }))
    }
    await directory.remove(directory.paths.certificateOf(serial))
    if (path !== undefined) await removeFile(path)
  })
}

interface Addition {
  readonly before: Device
  readonly after: Device
  readonly serial: string
}

/** Undoes an addition, but nothing that other commands have changed in the entry since. */
function withoutAdded(now: Device, { before, after, serial }: Addition): Device {
  const [, ...later] = now.certificates.slice(
    now.certificates.findIndex((one) => one.serial === serial),
  )
  // A newer certificate has replaced the previous ones as well.
  const isReplaced = later.some((one) => !isInvited(one))
  const certificates = now.certificates
    // A revoked certificate stays in its entry for good.
    .filter((one) => one.serial !== serial || one.revokedAt !== undefined)
    .map((one): DeviceCertificate => {
      const endsAt = endOf(before, one)
      const setEnd = endOf(after, one)
      const isOwn = setEnd !== endsAt && one.endsAt === setEnd
      return isOwn && !isReplaced ? { ...one, endsAt } : one
    })
  return { ...now, certificates }
}

const endOf = ({ certificates }: Device, certificate: CertificateId): number | undefined =>
  certificates.find((one) => isSameCertificate(one, certificate))?.endsAt
