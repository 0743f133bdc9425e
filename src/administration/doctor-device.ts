import { generateKeyPair, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import type { CertificateId } from '../certificate/certificate-id.ts'
import { publicKeyInfoOf } from '../certificate/issue.ts'
import { writePem } from '../certificate/pem.ts'
import { DOCTOR_NAME } from '../enrollment/device-name.ts'
import type { Device } from '../store/device-registry.ts'
import { readTextIfThere } from '../store/files.ts'
import { readOwnAuthorities } from './authorities.ts'
import { type Change, changeDirectory } from './change-directory.ts'
import { CommandError } from './command-error.ts'
import { endDoctorDevice, writeDoctorNote } from './doctor-note.ts'
import { certify } from './issue-certificate.ts'
import { type Directory, requireWhole } from './locked-directory.ts'
import { writeLists } from './sign-revocation-lists.ts'

/** How long the certificate of `certlatch doctor` is valid, unless it is removed earlier. */
export const DOCTOR_SECONDS = 900

/** The device of `certlatch doctor` while it runs; its key is in no file. */
export interface DoctorDevice extends CertificateId {
  readonly certificatePem: string
  readonly keyPem: string
}

const generate = promisify(generateKeyPair)

/**
 * Registers a device with a certificate for 15 minutes. Throws a CommandError while another
 * `certlatch doctor` has one.
 */
export async function beginDoctorDevice(change: Change): Promise<DoctorDevice> {
  const { privateKey } = await generate('ec', { namedCurve: 'prime256v1' })
  return changeDirectory(change, async (directory) => {
    if ((await readTextIfThere(directory.paths.doctor)) !== undefined) {
      throw new CommandError(
        'another certlatch doctor is running on this data directory, or was killed on another machine less than 15 minutes ago',
        { hint: 'run this again later' },
      )
    }
    const device = await ownEntry(directory)
    const publicKeyInfo = publicKeyInfoOf(privateKey)
    const { certificate, entry } = await certify(directory, device, publicKeyInfo, DOCTOR_SECONDS)
    await writeDoctorNote(directory, entry.notAfter)
    await directory.writeDevice({ ...device, certificates: [entry] })
    return {
      issuerKeyHash: entry.issuerKeyHash,
      serial: entry.serial,
      certificatePem: writePem('CERTIFICATE', certificate.der),
      keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    }
  })
}

/** The marked entry, or a new one; an unmarked device of this name is the user's own. */
async function ownEntry(directory: Directory): Promise<Device> {
  const known = await directory.readDevices()
  requireWhole(directory.paths, known)
  const marked = known.devices.find(({ doctor }) => doctor)
  if (marked !== undefined) return { ...marked, certificates: [] }
  const namesake = known.devices.find(
    ({ name, owner }) => name.toLowerCase() === DOCTOR_NAME || owner?.toLowerCase() === DOCTOR_NAME,
  )
  if (namesake !== undefined) {
    throw new CommandError(
      `the name "${DOCTOR_NAME}" is taken by the device "${namesake.name}" or its owner`,
      { hint: 'use an existing certificate and its key instead' },
    )
  }
  return { id: randomUUID(), name: DOCTOR_NAME, owner: undefined, certificates: [], doctor: true }
}

/** Puts the certificate on the CRL, as `device revoke` does, without the hook. */
export async function revokeDoctorDevice(change: Change, device: CertificateId): Promise<void> {
  await changeDirectory(change, (directory) => revoke(directory, device))
}

/** Leaves the entry without certificates, and the certificate on the CRL. */
export async function finishDoctorDevice(change: Change, device: CertificateId): Promise<void> {
  await changeDirectory(change, async (directory) => {
    // First, because it also works while the CRL cannot be signed.
    await endDoctorDevice(directory, 'now')
    await revoke(directory, device)
  })
}

async function revoke(
  directory: Directory,
  { issuerKeyHash, serial }: CertificateId,
): Promise<void> {
  const authorities = await readOwnAuthorities(directory.paths)
  const listed = authorities.lists.get(issuerKeyHash)?.entries
  if (listed?.some((entry) => entry.serial === serial)) return
  const revokedAt = directory.nowSeconds
  const revocation = { issuerKeyHash, serial, revokedAt, reason: 'cessationOfOperation' } as const
  await writeLists(directory, authorities, [revocation])
}
