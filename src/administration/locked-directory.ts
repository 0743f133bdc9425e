import type { DataPaths } from '../store/data-directory.ts'
import {
  type BrokenEntry,
  type Device,
  readRegistryFolder,
  sortEntries,
} from '../store/device-registry.ts'
import type { Lock } from '../store/lock.ts'
import { CommandError } from './command-error.ts'

/** A data directory whose only writer is this process. */
export interface Directory {
  readonly paths: DataPaths
  readonly nowSeconds: number
  readonly lock: Lock
  /** The passphrase of the CA's key, if it is encrypted. */
  readonly passphrase: string | undefined
  readonly notify: Notify
  /** Replaces a file; throws if another process has become the writer. */
  replace(path: string, content: string | Buffer, mode: number): Promise<void>
  remove(path: string): Promise<void>
  readDevices(): Promise<Devices>
  writeDevice(device: Device): Promise<void>
}

/** The registry's devices, and the entries that are set aside. */
export interface Devices {
  readonly devices: readonly Device[]
  readonly broken: readonly BrokenEntry[]
}

/** Shows a line to the user of the command. */
export type Notify = (line: string) => void

/** All devices of the registry with valid entries; reports each entry that is not. */
export async function readDevices(paths: DataPaths, notify: Notify): Promise<Devices> {
  const { devices, broken } = sortEntries(await readRegistryFolder(paths.devices))
  for (const { problem } of broken) {
    notify(
      `left out: ${paths.devices}: ${problem}; restore that file from a backup; until then a running service applies only revocations, blocks and sign-outs`,
    )
  }
  return { devices, broken }
}

/** Refuses to give out names or certificates while a broken entry might have the same. */
export function requireWhole(paths: DataPaths, { broken: [first] }: Devices): void {
  if (first === undefined) return
  throw new CommandError(
    `${paths.devices}: ${first.problem}; a new entry could repeat what is in it`,
    { hint: 'restore that file from a backup first' },
  )
}
