import { completeStagedFiles, type DataPaths, dataPaths } from '../store/data-directory.ts'
import { exists, readTextIfThere, removeTemporaries, renameFile } from '../store/files.ts'
import { removeFile } from '../store/folder.ts'
import { acquireLock } from '../store/lock.ts'
import { mergeEnded } from '../store/service-state-files.ts'
import { CommandError } from './command-error.ts'
import { endDoctorDevice } from './doctor-note.ts'
import { type Directory, directoryOf, type Notify } from './locked-directory.ts'
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
  /** That of the CA's key, for changes that sign, if it is encrypted. */
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
 * left. Throws a CommandError if the directory is not initialised, or another writer does not finish.
 */
export async function changeDirectory<T>(
  change: Change,
  work: (directory: Directory) => Promise<T>,
): Promise<T> {
  const paths = pathsOf(change)
  if (!(await exists(paths.privateFolder))) {
    throw new CommandError(`the data directory ${change.dataDir} does not exist or is empty`, {
      hint: 'run certlatch init first, or set CERTLATCH_DATA_DIR to the one that certlatch serve uses',
    })
  }
  const acquired = await acquireLock(paths.privateFolder, {
    who: change.who,
    waitMilliseconds: WAIT_MILLISECONDS,
  })
  if (!acquired.ok) throw new CommandError(acquired.problem)
  const { lock } = acquired
  try {
    const { nowSeconds, passphrase, notify } = change
    const directory = directoryOf(paths, lock, nowSeconds, passphrase, notify)
    await completeInterrupted(directory)
    return await work(directory)
  } finally {
    await lock.release()
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
async function completeAuthorityRenewal({ paths, lock }: Directory): Promise<void> {
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
