import { randomBytes } from 'node:crypto'
import { invitationId, nonceHash } from '../enrollment/invitation-code.ts'
import { type Packages, readPackages } from '../enrollment/packages.ts'
import { SEALING_IV_BYTES, seal, unseal } from '../enrollment/sealing.ts'
import type { Problem, Result } from '../result.ts'
import { errorCode } from '../store/files.ts'
import {
  type Claim,
  forgetClaim,
  type Invitation,
  listInvitations,
  REPLAY_SECONDS,
  readClaim,
  readCollected,
  readInvitation,
  removePackages,
  settle,
  writeCollected,
} from '../store/invitations.ts'
import { type Change, changeDirectory, pathsOf } from './change-directory.ts'

type Collected = Extract<Claim, { outcome: 'collected' }>

/** Why an invitation is not shown, or not collected; `at` is when it was collected, in Unix seconds. */
export interface InvitationProblem extends Problem<'unknown' | 'used' | 'ended' | 'read-only'> {
  readonly at?: number
}

export interface Place extends Pick<Change, 'dataDir' | 'revocationList'> {
  /** The host of the request, without port: an invitation can be collected only at its own. */
  readonly host: string
  readonly nowSeconds: number
  /** Whether there is or was an invitation with this id. */
  exists(id: string): Promise<boolean>
  /** Whether the certificate would be accepted according to the current files. */
  isAcceptable(invitation: Invitation): Promise<boolean>
}

export type FoundInvitation = Result<
  { invitation: Invitation; claim: Collected | undefined },
  InvitationProblem
>

const UNKNOWN = { ok: false, problem: 'unknown' } as const
const ENDED = { ok: false, problem: 'ended' } as const

/**
 * The invitation of this code, if it can be collected; with a nonce also one that was collected with
 * the same nonce a short while ago.
 */
export async function findInvitation(
  place: Place,
  code: string,
  nonce?: string,
): Promise<FoundInvitation> {
  const folder = pathsOf(place).invitations
  const { host, nowSeconds } = place
  const id = invitationId(code)
  if (!(await place.exists(id))) return UNKNOWN
  const [claim, invitation] = await Promise.all([readClaim(folder, id), readInvitation(folder, id)])
  if (invitation !== undefined && new URL(invitation.site).hostname !== host) return UNKNOWN
  if (claim?.outcome === 'ended') return ENDED
  if (claim?.outcome === 'collected') {
    const isReplay =
      invitation !== undefined &&
      nonce !== undefined &&
      nonceHash(nonce) === claim.nonceHash &&
      nowSeconds < claim.at + REPLAY_SECONDS
    if (!isReplay) return { ok: false, problem: 'used', at: claim.at }
    return (await place.isAcceptable(invitation)) ? { ok: true, invitation, claim } : ENDED
  }
  if (invitation === undefined) return UNKNOWN
  if (nowSeconds >= invitation.endsAt || !(await place.isAcceptable(invitation))) return ENDED
  return { ok: true, invitation, claim: undefined }
}

interface CollectedPackages extends HeldPackages {
  readonly isReplay: boolean
  /** For the claimant's cookie; needed to download the packages. */
  readonly ticket: string
}

export type CollectedInvitation = Result<CollectedPackages, InvitationProblem>

export interface Claimant {
  readonly nonce: string
  /** Browser and address, for people. */
  readonly by: string
  /** Called if the registry could not be changed yet; the next command or sweep does it. */
  onUnmarked(error: unknown): void
}

/**
 * Collects an invitation: of all attempts at all replicas only one succeeds. The same claimant gets the
 * same answer again, because a lost answer must not use the invitation up.
 */
export async function claimInvitation(
  place: Place,
  code: string,
  claimant: Claimant,
): Promise<CollectedInvitation> {
  const found = await findInvitation(place, code, claimant.nonce)
  if (!found.ok) return found
  const { invitation } = found
  const { id } = invitation
  const opened = unseal(invitation.sealed, { secret: code, purpose: 'code', id })
  if (opened === undefined) return UNKNOWN
  const folder = pathsOf(place).invitations
  const isReplay = found.claim !== undefined
  const claim = found.claim ?? collectedNow(place, claimant)
  let ticket: string
  try {
    // Another claimant was faster: trying again returns that outcome.
    if (!isReplay && !(await settle(folder, id, claim))) {
      return await claimInvitation(place, code, claimant)
    }
    ticket = await keepForDownloads(folder, id, opened)
  } catch (error) {
    if (!isReadOnly(error)) throw error
    if (!isReplay) await undoClaim(folder, id, claim)
    return { ok: false, problem: 'read-only' }
  }
  await mark(place, claimant)
  // It may have been revoked in the meantime.
  if (!(await place.isAcceptable(invitation))) return ENDED
  return { ok: true, invitation, packages: readPackages(opened), claim, isReplay, ticket }
}

const collectedNow = ({ nowSeconds }: Place, { nonce, by }: Claimant): Collected => ({
  outcome: 'collected',
  at: nowSeconds,
  nonceHash: nonceHash(nonce),
  by,
})

const READ_ONLY: ReadonlySet<string | undefined> = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOSPC'])

const isReadOnly = (error: unknown): boolean => READ_ONLY.has(errorCode(error))

/** Updates the registry after a collection; the claim is valid without that. */
async function mark(place: Place, { onUnmarked }: Pick<Claimant, 'onUnmarked'>): Promise<void> {
  const { dataDir, revocationList, nowSeconds } = place
  const change = { dataDir, revocationList, who: 'serve, for an invitation', nowSeconds }
  try {
    // Every change begins by settling invitations, so an empty one is enough.
    await changeDirectory(change, () => Promise.resolve())
  } catch (error) {
    onUnmarked(error)
  }
}

/** Undoes a claim whose claimant received nothing, so that the link can be opened again. */
async function undoClaim(folder: string, id: string, { nonceHash }: Collected): Promise<void> {
  const claim = await readClaim(folder, id)
  const isOwn = claim?.outcome === 'collected' && claim.nonceHash === nonceHash
  // If that fails as well, only the page that made the claim can get the packages, for an hour.
  if (isOwn) await forgetClaim(folder, id).catch(() => undefined)
}

const COOKIE_KEY_BYTES = 32

async function keepForDownloads(folder: string, id: string, packages: Buffer): Promise<string> {
  const secret = randomBytes(COOKIE_KEY_BYTES)
  const key = { secret, purpose: 'cookie', id } as const
  await writeCollected(folder, id, seal(packages, key, randomBytes(SEALING_IV_BYTES)))
  return `${id}.${secret.toString('base64url')}`
}

const TICKET = /^([0-9a-f]{32})\.([A-Za-z0-9_-]{43})$/

export interface HeldPackages {
  readonly invitation: Invitation
  readonly packages: Packages
  readonly claim: Collected
}

/** The packages for a claimant's ticket; `undefined` if it is not valid, or no longer. */
export async function openTicket(place: Place, ticket: string): Promise<HeldPackages | undefined> {
  const [, id, secret] = TICKET.exec(ticket) ?? []
  if (id === undefined || secret === undefined) return undefined
  const folder = pathsOf(place).invitations
  const [claim, invitation, sealed] = await Promise.all([
    readClaim(folder, id),
    readInvitation(folder, id),
    readCollected(folder, id),
  ])
  if (claim?.outcome !== 'collected' || invitation === undefined || sealed === undefined) {
    return undefined
  }
  if (place.nowSeconds >= claim.at + REPLAY_SECONDS) return undefined
  const key = { secret: Buffer.from(secret, 'base64url'), purpose: 'cookie', id } as const
  const opened = unseal(sealed, key)
  if (opened === undefined || !(await place.isAcceptable(invitation))) return undefined
  return { invitation, packages: readPackages(opened), claim }
}

/** Deletes packages that the claimant has received. Returns whether the ticket was valid. */
export async function finishEnrollment(place: Place, ticket: string): Promise<boolean> {
  const held = await openTicket(place, ticket)
  if (held === undefined) return false
  let isMarked = true
  await mark(place, { onUnmarked: () => (isMarked = false) })
  // Until the registry is updated, the file shows that there is something to do.
  if (isMarked) await removePackages(pathsOf(place).invitations, held.invitation.id)
  return true
}

/** Ends expired invitations and deletes their packages, as every command does at its start. */
export async function sweepInvitations(change: Change): Promise<void> {
  const { waiting } = await listInvitations(pathsOf(change).invitations)
  // Takes the writers' lock only if there is something to do.
  if (waiting.length > 0) await changeDirectory(change, () => Promise.resolve())
}
