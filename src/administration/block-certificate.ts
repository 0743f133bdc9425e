import { type CertificateId, isSameCertificate } from '../certificate/certificate-id.ts'
import { comparableName } from '../certificate/identity.ts'
import { type Blocks, NO_BLOCKS, readBlocks, writeBlocks } from '../store/blocks.ts'
import { type DataPaths, dataPaths } from '../store/data-directory.ts'
import { MODE, readTextIfThere } from '../store/files.ts'
import { readLastSeen } from '../store/service-state-files.ts'
import { type Change, changeDirectory } from './change-directory.ts'
import { CommandError } from './command-error.ts'
import { endInvitations } from './settle-invitations.ts'

export interface Blocked {
  /** The number of the blocks that every service has to load. */
  readonly blocksNumber: number
  readonly hasChanged: boolean
  /** Whether the certificate waited in an invitation, which has ended for good. */
  readonly hasEndedInvitation: boolean
}

/** Blocks one certificate, whichever CA issued it. */
export function blockCertificate(change: Change, id: CertificateId): Promise<Blocked> {
  return changeBlocks(change, (blocks) => {
    if (blocks.certificates.some((known) => isSameCertificate(known, id))) return undefined
    const added = { ...id, blockedAt: change.nowSeconds }
    return { ...blocks, certificates: [...blocks.certificates, added] }
  })
}

/** Removes a block. Throws a CommandError if there is none. */
export function unblockCertificate(change: Change, id: CertificateId): Promise<Blocked> {
  return changeBlocks(change, (blocks) => {
    const certificates = blocks.certificates.filter((known) => !isSameCertificate(known, id))
    if (certificates.length === blocks.certificates.length) {
      throw new CommandError('this certificate is not blocked')
    }
    return { ...blocks, certificates }
  })
}

/** Browsers keep no cookie longer than 400 days. */
const LONGEST_SESSION_SECONDS = 400 * 86_400

/**
 * Ends all current sessions of a name: those of certificates seen until now, or until later if a
 * service's clock is ahead.
 */
export async function signOut(change: Change, name: string): Promise<Blocked> {
  const isSameName = (entry: { readonly name: string }) =>
    comparableName(entry.name) === comparableName(name)
  const seen = await readLastSeen(dataPaths(change.dataDir).running)
  const times = [...seen.values()].filter(isSameName).map(({ certificateAt }) => certificateAt)
  return changeBlocks(change, (blocks) => {
    const before = blocks.signOuts.find(isSameName)
    const at = Math.max(change.nowSeconds, before?.at ?? 0, ...times)
    const others = blocks.signOuts.filter(
      (known) => !isSameName(known) && known.at > at - LONGEST_SESSION_SECONDS,
    )
    return { ...blocks, signOuts: [...others, { name, at }] }
  })
}

export async function readBlocksFile({ blocks: path }: DataPaths): Promise<Blocks> {
  const text = await readTextIfThere(path)
  const blocks = text === undefined ? NO_BLOCKS : readBlocks(text)
  if (blocks !== undefined) return blocks
  throw new CommandError(`${path} is not a list of blocks`, { hint: 'restore it from a backup' })
}

function changeBlocks(
  change: Change,
  next: (blocks: Blocks) => Blocks | undefined,
): Promise<Blocked> {
  return changeDirectory(change, async (directory) => {
    const before = await readBlocksFile(directory.paths)
    const after = next(before)
    if (after === undefined) {
      return { blocksNumber: before.number, hasChanged: false, hasEndedInvitation: false }
    }
    // Also higher than the number of a file that a restored backup has replaced.
    const number = Math.max(before.number + 1, change.nowSeconds)
    await directory.replace(directory.paths.blocks, writeBlocks({ ...after, number }), MODE.secret)
    const ending = endInvitations(directory, after.certificates)
    const hasEndedInvitation = await ending.catch(() => false)
    return { blocksNumber: number, hasChanged: true, hasEndedInvitation }
  })
}
