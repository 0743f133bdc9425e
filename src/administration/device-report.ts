import { certificateKey } from '../certificate/certificate-id.ts'
import { commonName } from '../certificate/name.ts'
import type { RevokedCertificate } from '../certificate/revocation-reason.ts'
import type { Issuer } from '../certificate/verify.ts'
import { type CertificateState, certificateState } from '../store/certificate-state.ts'
import type { DataPaths } from '../store/data-directory.ts'
import { certificatesOf, type Device, type DeviceCertificate } from '../store/device-registry.ts'
import { readLastSeen, type SeenCertificate } from '../store/service-state-files.ts'
import { findDevice } from './add-device.ts'
import { readOwnAuthorities } from './authorities.ts'
import { readBlocksFile } from './block-certificate.ts'
import { type Devices, readDevices, type Tell } from './locked-directory.ts'

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
  readonly state: CertificateState | 'no-certificate'
  /** Unix seconds, 0: never. */
  readonly lastSeenAt: number
  /** Oldest first. */
  readonly certificates: readonly CertificateReport[]
}

/** Everything known about every device, sorted by name. */
export async function reportDevices(
  paths: DataPaths,
  nowSeconds: number,
  tell: Tell = () => {},
): Promise<readonly DeviceReport[]> {
  return report(paths, await readDevices(paths, tell), nowSeconds)
}

async function report(
  paths: DataPaths,
  { devices }: Devices,
  nowSeconds: number,
): Promise<readonly DeviceReport[]> {
  const { issuers, lists } = await readOwnAuthorities(paths)
  const revoked = new Map<string, RevokedCertificate>()
  for (const [keyHash, { entries }] of lists) {
    for (const entry of entries) {
      revoked.set(certificateKey({ issuerKeyHash: keyHash, serial: entry.serial }), entry)
    }
  }
  const blocks = await readBlocksFile(paths)
  const blocked = new Set(blocks.certificates.map(certificateKey))
  const seen = await readLastSeen(paths.running)
  const known = { issuers, revoked, blocked, seen, nowSeconds }
  return devices
    .filter(({ doctor }) => doctor === undefined)
    .map((device) => reportDevice(device, known))
    .sort((one, other) => one.name.localeCompare(other.name, 'en'))
}

/** The same for one device. Throws a CommandError if there is none of that name. */
export async function findReport(
  paths: DataPaths,
  given: string,
  nowSeconds: number,
  tell: Tell = () => {},
): Promise<DeviceReport> {
  const known = await readDevices(paths, tell)
  const device = findDevice(known, given)
  const [found] = await report(paths, { ...known, devices: [device] }, nowSeconds)
  if (found === undefined) throw new Error('a device has a report')
  return found
}

interface Known {
  readonly issuers: readonly Issuer[]
  readonly revoked: ReadonlyMap<string, RevokedCertificate>
  readonly blocked: ReadonlySet<string>
  readonly seen: ReadonlyMap<string, SeenCertificate>
  readonly nowSeconds: number
}

function reportDevice(device: Device, known: Known): DeviceReport {
  const { id, name, owner } = device
  const reports = certificatesOf(device, known.nowSeconds).map((certificate) =>
    reportCertificate(certificate, known),
  )
  const best = reports.findLast(({ state }) => state === 'active') ?? reports.at(-1)
  const times = reports.flatMap((report) => [report.seenByCertificateAt, report.seenBySessionAt])
  return {
    id,
    name,
    owner,
    state: best?.state ?? 'no-certificate',
    lastSeenAt: Math.max(0, ...times),
    certificates: reports,
  }
}

function reportCertificate(certificate: DeviceCertificate, known: Known): CertificateReport {
  const key = certificateKey(certificate)
  const issuers = known.issuers.filter(({ keyHash }) => keyHash === certificate.issuerKeyHash)
  const [issuer] = issuers
  const listed = known.revoked.get(key)
  const seen = known.seen.get(key)
  return {
    ...certificate,
    ...(listed && { revokedAt: listed.revokedAt, reason: listed.reason ?? 'unspecified' }),
    state: certificateState(
      certificate,
      {
        issuers,
        isRevoked: listed !== undefined || certificate.revokedAt !== undefined,
        isBlocked: known.blocked.has(key),
      },
      known.nowSeconds,
    ),
    authority: issuer && commonName(issuer.certificate.subject),
    seenByCertificateAt: seen?.certificateAt ?? 0,
    seenBySessionAt: seen?.sessionAt ?? 0,
  }
}
