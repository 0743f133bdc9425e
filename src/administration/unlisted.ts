import { readAdopted, type UnlistedIssuers } from '../store/adopted.ts'
import type { DataPaths } from '../store/data-directory.ts'
import { deviceKey } from '../store/device-registry.ts'
import { readLastSeen } from '../store/running.ts'
import { latest, type SeenCertificate } from '../store/running-state.ts'
import type { Devices } from './directory.ts'
import { readTextIfThere } from './directory.ts'
import { AdministrationError } from './problem.ts'

/** The adopted CAs whose certificates open without an entry in the registry. */
export async function readUnlistedIssuers({ adopted }: DataPaths): Promise<UnlistedIssuers> {
  const text = await readTextIfThere(adopted)
  const issuers = text === undefined ? new Set<string>() : readAdopted(text)
  if (issuers !== undefined) return issuers
  throw new AdministrationError(`${adopted} is not a list of adopted CAs: restore it from a backup`)
}

/** Who has been let in with a certificate of such a CA that is no device's, by name. */
export async function listUnlisted(
  paths: DataPaths,
  { devices }: Pick<Devices, 'devices'>,
): Promise<readonly SeenCertificate[]> {
  const issuers = await readUnlistedIssuers(paths)
  if (issuers.size === 0) return []
  const listed = new Set(
    devices.flatMap(({ certificates }) =>
      certificates.map(({ issuerKeyHash, serial }) => deviceKey(issuerKeyHash, serial)),
    ),
  )
  return [...(await readLastSeen(paths.running)).values()]
    .filter(
      (seen) =>
        issuers.has(seen.issuerKeyHash) &&
        !listed.has(deviceKey(seen.issuerKeyHash, seen.serial)) &&
        latest(seen) > 0,
    )
    .sort((one, other) => one.name.localeCompare(other.name, 'en'))
}
