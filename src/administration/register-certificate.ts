import { isSameCertificate } from '../certificate/certificate-id.ts'
import { writePem } from '../certificate/pem.ts'
import { type VerifiedCertificate, verifyCertificate } from '../certificate/verify.ts'
import type { Device } from '../store/device-registry.ts'
import { MODE } from '../store/files.ts'
import { isListed, type OwnAuthorities, readOwnAuthorities } from './authorities.ts'
import { readBlocksFile } from './block-certificate.ts'
import { type Change, changeDirectory } from './change-directory.ts'
import { CommandError, usageError } from './command-error.ts'
import { whyUnacceptable } from './find-certificate.ts'
import { findDevice, type NewDevice, newEntry, requireNotRevoked } from './find-device.ts'
import { readGivenCertificate } from './given-file.ts'
import { type Directory, requireWhole } from './locked-directory.ts'

/**
 * Registers a certificate that a built-in CA has issued earlier, from a file: for a new device, or as
 * another one of an existing device.
 */
export async function registerCertificate(
  change: Change,
  given: NewDevice,
  kind: 'new' | 'another',
  path: string,
): Promise<Device> {
  return changeDirectory(change, async (directory) => {
    const { paths } = directory
    const known = await directory.readDevices()
    requireWhole(paths, known)
    const authorities = await readOwnAuthorities(paths)
    const der = await readGivenCertificate(path)
    const verdict = verifyCertificate(der, authorities.issuers)
    if (!verdict.ok) {
      const why = whyUnacceptable(verdict.problem, paths.authority)
      throw new CommandError(`${path}: ${why}, so it is never accepted`)
    }
    const { verified } = verdict
    await requireAcceptable(directory, authorities, known.devices, verified)
    const entry = kind === 'new' ? newEntry(known.devices, given) : findDevice(known, given.name)
    requireNotRevoked(entry, 'add')
    const { issuerKeyHash, serial, notBefore, notAfter } = verified
    const added = { issuerKeyHash, serial, notBefore, notAfter }
    await directory.replace(paths.certificateOf(serial), writePem('CERTIFICATE', der), MODE.secret)
    const device = { ...entry, certificates: [...entry.certificates, added] }
    await directory.writeDevice(device)
    return device
  })
}

/** Refuses to register a certificate that would be denied. */
async function requireAcceptable(
  { paths, nowSeconds }: Directory,
  authorities: OwnAuthorities,
  devices: readonly Device[],
  verified: VerifiedCertificate,
): Promise<void> {
  const holder = devices.find(({ certificates }) =>
    certificates.some((known) => isSameCertificate(known, verified)),
  )
  if (holder !== undefined) {
    throw new CommandError(`this certificate is registered already, as "${holder.name}"`)
  }
  const hint = 'issue the device a new one'
  if (verified.notAfter < nowSeconds) {
    throw new CommandError('this certificate has expired', { hint })
  }
  if (isListed(authorities, verified)) {
    throw new CommandError('this certificate is revoked', { hint })
  }
  const { certificates: blocked } = await readBlocksFile(paths)
  if (blocked.some((known) => isSameCertificate(known, verified))) {
    throw usageError(
      'this certificate is blocked',
      'to give it access again, first run certlatch device block --lift --certificate FILE',
    )
  }
}
