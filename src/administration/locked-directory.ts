import { dirname } from 'node:path'
import type { DataPaths } from '../store/data-directory.ts'
import {
  type BrokenEntry,
  type Device,
  readRegistryFolder,
  sortEntries,
  writeDevice,
} from '../store/device-registry.ts'
import { MODE, makeFolder, replaceFile } from '../store/files.ts'
import { removeFile } from '../store/folder.ts'
import type { Lock } from '../store/lock.ts'
import { CommandError } from './command-error.ts'

/** A data directory whose only writer is this process. */
export interface Directory {
  readonly paths: DataPaths
  readonly nowSeconds: number
  readonly lock: Lock
  /** That of the CA's key, if it is encrypted. */
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

export function directoryOf(
  paths: DataPaths,
  lock: Lock,
  nowSeconds: number,
  passphrase: string | undefined,
  notify: Notify = () => {},
): Directory {
  const shown = new Set<string>()
  const notifyOnce: Notify = (line) => {
    if (!shown.has(line)) notify(line)
    shown.add(line)
  }
  return {
    paths,
    nowSeconds,
    lock,
    passphrase,
    notify: notifyOnce,
    replace: async (path, content, mode) => {
      await makeFolder(dirname(path), MODE.secretFolder)
      await lock.assertHeld()
      await replaceFile(path, content, mode)
    },
    remove: async (path) => {
      await lock.assertHeld()
      await removeFile(path)
    },
    readDevices: () => readDevices(paths, notifyOnce),
    writeDevice: async (device) => {
      await lock.assertHeld()
      await writeDevice(paths.devices, device.id, device)
    },
  }
}

/** All devices of the registry with valid entries; reports each entry that is not. */
export async function readDevices(paths: DataPaths, notify: Notify): Promise<Devices> {
  const { devices, broken } = sortEntries(await readRegistryFolder(paths.devices))
  for (const { problem } of broken) {
    notify(
      `left out: ${hintFor(paths, problem)}; until then a running service applies only revocations, blocks and sign-outs`,
    )
  }
  return { devices, broken }
}

const hintFor = ({ devices }: DataPaths, problem: string): string =>
  `${devices}: ${problem}; restore that file from a backup`

/** Refuses to give out names or certificates while a broken entry might have the same. */
export function requireWhole(paths: DataPaths, { broken: [first] }: Devices): void {
  if (first === undefined) return
  throw new CommandError(
    `${paths.devices}: ${first.problem}; what is entered now could be in it already`,
    { hint: 'restore that file from a backup first' },
  )
}
