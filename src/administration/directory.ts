import { readFile, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { DataPaths } from '../store/data-directory.ts'
import {
  type Device,
  readRegistry,
  readRegistryFolder,
  writeDevice,
} from '../store/device-registry.ts'
import { errorCode, MODE, makeFolder, replaceFile } from '../store/files.ts'
import type { Lock } from '../store/lock.ts'
import { AdministrationError } from './problem.ts'

/** A data directory that nobody else changes meanwhile. */
export interface Directory {
  readonly paths: DataPaths
  readonly nowSeconds: number
  readonly lock: Lock
  /** Replaces a file, unless somebody else has become the writer. */
  replace(path: string, content: string | Buffer, mode: number): Promise<void>
  remove(path: string): Promise<void>
  readDevices(): Promise<readonly Device[]>
  writeDevice(device: Device): Promise<void>
}

export function directoryOf(paths: DataPaths, lock: Lock, nowSeconds: number): Directory {
  return {
    paths,
    nowSeconds,
    lock,
    replace: async (path, content, mode) => {
      await makeFolder(dirname(path), MODE.secretFolder)
      await lock.assertHeld()
      await replaceFile(path, content, mode)
    },
    remove: async (path) => {
      await lock.assertHeld()
      await rm(path, { force: true })
    },
    readDevices: () => readDevices(paths),
    writeDevice: async (device) => {
      await lock.assertHeld()
      await writeDevice(paths.devices, device.id, device)
    },
  }
}

/** All devices of the registry, or an AdministrationError that says which entry is broken. */
export async function readDevices(paths: DataPaths): Promise<readonly Device[]> {
  const read = readRegistry(await readRegistryFolder(paths.devices))
  if (read.ok) return read.registry.devices
  throw new AdministrationError(
    `${paths.devices}: ${read.problem}; restore that file from a backup`,
  )
}

/** The file's content as text; `undefined` if there is no such file. */
export async function readTextIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}
