import { dirname } from 'node:path'
import {
  completeStagedFiles,
  type DataPaths,
  dataPaths,
  missingFileHint,
} from '../store/data-directory.ts'
import { writeDevice } from '../store/device-registry.ts'
import {
  exists,
  MODE,
  makeFolder,
  midChange,
  readTextIfThere,
  removeTemporaries,
  renameFile,
  replaceFile,
} from '../store/files.ts'
import { removeFile } from '../store/folder.ts'
import { acquireLock, type Lock } from '../store/lock.ts'
import { mergeEnded } from '../store/service-state-files.ts'
import { CommandError } from './command-error.ts'
import { endDoctorDevice } from './doctor-note.ts'
import { type Directory, type Notify, readDevices } from './locked-directory.ts'
import { withdrawUndelivered } from './pending-delivery.ts'
import { settleInvitations } from './settle-invitations.ts'

/** A change to a data directory: by which command, and when. */
export interface Change {
  readonly dataDir: string
  /** The path of the built-in CA's CRL, if it is not in the directory. */
  readonly revocationList?: string | undefined
  /** The command, shown to processes that wait for it. */
  readonly who: string
  readonly nowSeconds: number
  /** The passphrase of the CA's key, if it is encrypted: for changes that sign. */
  readonly passphrase?: string | undefined
  /** Gets warnings: problems that do not stop the command. */
  readonly notify?: Notify | undefined
}

/** The paths of a data directory according to the settings. */
export function pathsOf({
  dataDir,
  revocationList,
}: Pick<Change, 'dataDir' | 'revocationList'>): DataPaths {
  const paths = dataPaths(dataDir)
  return revocationList === undefined ? paths : { ...paths, revocationList }
}

const WAIT_MILLISECONDS = 10_000

/**
 * Runs `work` as the only writer of a directory, after completing or undoing what a killed command has
 * left. Throws a CommandError if the directory is not initialized, or another writer does not finish.
 */
export async function changeDirectory<T>(
  change: Change,
  work: (directory: Directory) => Promise<T>,
): Promise<T> {
  const paths = pathsOf(change)
  if (!(await exists(paths.privateFolder))) {
    const isPartial = await exists(paths.authority)
    const what = isPartial
      ? `${paths.privateFolder} does not exist`
      : `the data directory ${change.dataDir} does not exist or is empty`
    throw new CommandError(what, { hint: await missingFileHint(paths) })
  }
  const acquired = await acquireLock(paths.privateFolder, {
    who: change.who,
    waitMilliseconds: WAIT_MILLISECONDS,
  })
  if (!acquired.ok) throw new CommandError(acquired.problem)
  const { lock } = acquired
  try {
    const directory = directoryOf(change, paths, lock)
    await completeInterrupted(directory)
    return await work(directory)
  } catch (error) {
    throw midChange(error)
  } finally {
    await lock.release()
  }
}

function directoryOf(
  { nowSeconds, passphrase, notify = () => {} }: Change,
  paths: DataPaths,
  lock: Lock,
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

/** Completes the work of a killed command if it had reached its commit point, or else undoes it. */
async function completeInterrupted(directory: Directory): Promise<void> {
  const { paths, lock } = directory
  await completeStagedFiles(paths)
  await completeAuthorityRenewal(directory)
  await withdrawUndelivered(directory)
  await settleInvitations(directory)
  await endDoctorDevice(directory, 'unless it runs')
  await mergeEnded(paths.running, lock)
  const { publicFolder, privateFolder, devices, certificates, previous } = paths
  await removeTemporaries(publicFolder, privateFolder, devices, certificates, previous)
}

/** Moves a successor CA's key to its path if ca.crt has the successor already; otherwise deletes it. */
export async function completeAuthorityRenewal({ paths, lock }: Directory): Promise<void> {
  const { nextAuthorityKey, nextAuthority, authority, authorityKey } = paths
  const next = await readTextIfThere(nextAuthority)
  if (next === undefined) {
    if (await exists(nextAuthorityKey)) await removeFile(nextAuthorityKey)
    return
  }
  await lock.assertHeld()
  const isCommitted = (await readTextIfThere(authority))?.includes(next.trim()) === true
  if (isCommitted && (await exists(nextAuthorityKey))) {
    await renameFile(nextAuthorityKey, authorityKey)
  }
  await removeFile(nextAuthorityKey)
  await removeFile(nextAuthority)
}
