import { type CertificateId, certificateKey } from '../certificate/certificate-id.ts'
import { commonName } from '../certificate/name.ts'
import type { RevokedCertificate } from '../certificate/revocation-reason.ts'
import type { CertificateState } from '../store/certificate-state.ts'
import type { DataPaths } from '../store/data-directory.ts'
import type { Device, DeviceCertificate } from '../store/device-registry.ts'
import { type Circumstances, type DeviceState, deviceStanding } from '../store/device-state.ts'
import { joinTimes, latest } from '../store/service-state.ts'
import { readLastSeen } from '../store/service-state-files.ts'
import { readOwnAuthorities } from './authorities.ts'
import { readBlocksFile } from './block-certificate.ts'
import { findDevice } from './find-device.ts'
import { type Notify, readDevices } from './locked-directory.ts'

export interface CertificateReport extends DeviceCertificate {
  readonly state: CertificateState
  /** The CN of its CA; `undefined` if that is no longer trusted. */
  readonly authority: string | undefined
  /** Unix seconds, 0: never. */
  readonly seenByCertificateAt: number
  readonly seenBySessionAt: number
}

export interface DeviceReport {
  readonly name: string
  readonly owner: string | undefined
  readonly id: string
  readonly state: DeviceState
  /** Unix seconds, 0: never. */
  readonly lastSeenAt: number
  /** As in `DeviceStanding`. */
  readonly certificateNotAfter: number
  /** Oldest first. */
  readonly certificates: readonly CertificateReport[]
}

/** Everything known about every device, sorted by name. */
export async function reportDevices(
  paths: DataPaths,
  nowSeconds: number,
  notify: Notify = () => {},
): Promise<readonly DeviceReport[]> {
  const { devices } = await readDevices(paths, notify)
  const report = await reporterOf(paths, nowSeconds)
  return devices
    .filter(({ doctor }) => doctor === undefined)
    .map(report)
    .sort((one, other) => one.name.localeCompare(other.name, 'en'))
}

/** The same for one device. Throws a CommandError if there is none of that name. */
export async function findReport(
  paths: DataPaths,
  given: string,
  nowSeconds: number,
  notify: Notify = () => {},
): Promise<DeviceReport> {
  const device = findDevice(await readDevices(paths, notify), given)
  const report = await reporterOf(paths, nowSeconds)
  return report(device)
}

/** Reads what all reports need. */
async function reporterOf(
  paths: DataPaths,
  nowSeconds: number,
): Promise<(device: Device) => DeviceReport> {
  const { issuers, lists } = await readOwnAuthorities(paths)
  const revoked = new Map<string, RevokedCertificate>()
  for (const [issuerKeyHash, { entries }] of lists) {
    for (const entry of entries) {
      revoked.set(certificateKey({ issuerKeyHash, serial: entry.serial }), entry)
    }
  }
  const blocks = await readBlocksFile(paths)
  const blocked = new Set(blocks.certificates.map(certificateKey))
  const seen = await readLastSeen(paths.running)
  const issuersOf = ({ issuerKeyHash }: CertificateId) =>
    issuers.filter(({ keyHash }) => keyHash === issuerKeyHash)
  const circumstances: Circumstances = {
    factsOf: (certificate) => ({
      issuers: issuersOf(certificate),
      isRevoked: revoked.has(certificateKey(certificate)) || certificate.revokedAt !== undefined,
      isBlocked: blocked.has(certificateKey(certificate)),
    }),
    seenOf: (certificate) => seen.get(certificateKey(certificate)),
    nowSeconds,
  }
  return (device) => {
    const { state, certificates, certificateNotAfter } = deviceStanding(device, circumstances)
    const { id, name, owner } = device
    return {
      id,
      name,
      owner,
      state,
      lastSeenAt: latest(joinTimes(certificates)),
      certificateNotAfter,
      certificates: certificates.map(({ certificate, state, certificateAt, sessionAt }) => {
        const [issuer] = issuersOf(certificate)
        const listed = revoked.get(certificateKey(certificate))
        return {
          ...certificate,
          ...(listed && { revokedAt: listed.revokedAt, reason: listed.reason ?? 'unspecified' }),
          state,
          authority: issuer && commonName(issuer.certificate.subject),
          seenByCertificateAt: certificateAt,
          seenBySessionAt: sessionAt,
        }
      }),
    }
  }
}
