import { normalizeName } from '../enrollment/device-name.ts'
import type { DataPaths } from '../store/data-directory.ts'
import { readLastSeen } from '../store/running.ts'
import { findDevice } from './add-device.ts'
import { readDevices } from './directory.ts'
import { AdministrationError } from './problem.ts'

/** The name of a device, or of somebody with a certificate of another's CA who has come before. */
export async function findKnownName(
  paths: DataPaths,
  given: string,
  isExternal: boolean,
): Promise<string> {
  const seen = [...(await readLastSeen(paths.running)).values()].map(({ name }) => name)
  const found = seen.find((name) => name === given || name === normalizeName(given))
  if (!isExternal) {
    const devices = await readDevices(paths)
    if (found === undefined || devices.some(({ name }) => name === found)) {
      return findDevice(devices, given).name
    }
  }
  if (found !== undefined) return found
  throw new AdministrationError(
    `nobody named "${given}" has been let in: certlatch device list shows who has`,
  )
}
