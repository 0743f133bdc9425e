import type { Device } from '../store/device-registry.ts'
import { removeFile } from '../store/folder.ts'
import { type Change, changeDirectory } from './change-directory.ts'
import { type NewDevice, newEntry } from './find-device.ts'
import { type Issued, type IssueOptions, issueFor } from './issue-certificate.ts'
import { requireWhole } from './locked-directory.ts'
import { deliver, takeBack } from './pending-delivery.ts'

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
  { before, certificate, package: { path } }: Added,
): Promise<void> {
  await changeDirectory(change, async (directory) => {
    await takeBack(directory, { before, serial: certificate.serial })
    if (path !== undefined) await removeFile(path)
  })
}
