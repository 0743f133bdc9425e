import { comparableName } from '../certificate/identity.ts'
import { normalizeName } from '../enrollment/device-name.ts'
import type { DataPaths } from '../store/data-directory.ts'
import { type FindOptions, findSeen } from '../store/running-seen.ts'
import { findDevice } from './add-device.ts'
import { CommandError } from './command-error.ts'
import { readDevices, type Tell } from './locked-directory.ts'

/** How to look for somebody, and whom to tell that it takes a while. */
export interface Search extends FindOptions {
  readonly tell?: Tell
}

/** The name of a device, or of somebody with a certificate of another's CA who has come before. */
export async function findKnownName(
  paths: DataPaths,
  given: string,
  isExternal: boolean,
  search: Search = {},
): Promise<string> {
  const { tell = () => {} } = search
  if (!isExternal) return findDevice(await readDevices(paths, tell), given).name
  const names = [given, normalizeName(given)].map(comparableName)
  const isIt = (seen: { readonly name: string }) => names.includes(comparableName(seen.name))
  const found = await findSeen(paths.running, isIt, waiting(search))
  if (found !== undefined) return found.name
  throw new CommandError(`nobody named "${given}" has been let in`, {
    hint: 'certlatch device list shows who has',
  })
}

/** What to say while services are given the time to write who came just now. */
export const waiting = ({ tell = () => {}, ...options }: Search): FindOptions => ({
  ...options,
  onWait: () => tell('not seen so far: waiting for what the running services write next'),
})
