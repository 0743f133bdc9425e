import { dirname, join } from 'node:path'
import type { CertificateId } from '../certificate/certificate-id.ts'
import { type Look, lookAtFiles } from './file-signature.ts'
import {
  createFile,
  ifThere,
  listIfThere,
  MODE,
  makeFolder,
  readTextIfThere,
  replaceFile,
} from './files.ts'
import { readOwnFile, removeFile } from './folder.ts'
import { isKeyHash, isSerial, isTime, parseObject } from './json-file.ts'

/** An invitation that can be collected; all times in Unix seconds. */
export interface Invitation {
  /** A hash of its code, and its file's name without `.json`. */
  readonly id: string
  readonly device: {
    readonly id: string
    readonly name: string
    readonly owner: string | undefined
  }
  readonly certificate: CertificateId & { readonly notAfter: number; readonly der: Buffer }
  readonly invitedAt: number
  readonly endsAt: number
  /** The origin of its link, the only one where it can be collected: `https://home.example.org`. */
  readonly site: string
  /** `Packages`, sealed under the code. */
  readonly sealed: Buffer
}

/**
 * How an invitation was settled. Written once, by the first that collects, ends or revokes it; until
 * then the invitation waits.
 */
export type Claim =
  | {
      readonly outcome: 'collected'
      readonly at: number
      /** Hash of the claimant's nonce: with it, a lost answer is given again. */
      readonly nonceHash: string
      /** Browser and address, for people. */
      readonly by: string
    }
  | { readonly outcome: 'ended'; readonly at: number }

/** How long the claimant gets the same answer again and can download the packages. */
export const REPLAY_SECONDS = 3_600

const SCHEMA_VERSION = 1

/** The file `<id>.json`. */
export const invitationPath = (folder: string, id: string): string => join(folder, `${id}.json`)
const claimPath = (folder: string, id: string): string => join(folder, `${id}.claim`)
/** The packages, sealed under the key in the claimant's cookie. */
const collectedPath = (folder: string, id: string): string => join(folder, `${id}.collected`)

/** The content of `<id>.json`. */
export function writeInvitation({ id: _, certificate, sealed, ...rest }: Invitation): Buffer {
  const entry = {
    schemaVersion: SCHEMA_VERSION,
    ...rest,
    certificate: { ...certificate, der: certificate.der.toString('base64') },
    sealed: sealed.toString('base64'),
  }
  return Buffer.from(`${JSON.stringify(entry, undefined, 2)}\n`)
}

/** The invitation; `undefined` if there is none, or its file is not valid. */
export async function readInvitation(folder: string, id: string): Promise<Invitation | undefined> {
  const fields = parseObject((await readTextIfThere(invitationPath(folder, id))) ?? '')
  if (fields?.['schemaVersion'] !== SCHEMA_VERSION) return undefined
  const { invitedAt, endsAt, site, sealed } = fields
  const device = fields['device'] as Partial<Invitation['device']> | undefined
  const certificate = fields['certificate'] as Record<string, unknown> | undefined
  if (typeof device?.id !== 'string' || typeof device.name !== 'string') return undefined
  const { issuerKeyHash, serial, notAfter, der } = certificate ?? {}
  if (!isKeyHash(issuerKeyHash) || !isSerial(serial) || !isTime(notAfter)) return undefined
  if (!isTime(invitedAt) || !isTime(endsAt) || typeof site !== 'string') return undefined
  if (typeof der !== 'string' || typeof sealed !== 'string') return undefined
  const { id: deviceId, name, owner } = device
  return {
    id,
    device: { id: deviceId, name, owner },
    certificate: { issuerKeyHash, serial, notAfter, der: Buffer.from(der, 'base64') },
    invitedAt,
    endsAt,
    site,
    sealed: Buffer.from(sealed, 'base64'),
  }
}

/** How the invitation was settled; `undefined`: not yet. A claim that is not valid means ended. */
export async function readClaim(folder: string, id: string): Promise<Claim | undefined> {
  const text = await readTextIfThere(claimPath(folder, id))
  if (text === undefined) return undefined
  const { outcome, at, nonceHash, by } = parseObject(text) ?? {}
  if (!isTime(at)) return { outcome: 'ended', at: 0 }
  return outcome === 'collected' && typeof nonceHash === 'string' && typeof by === 'string'
    ? { outcome, at, nonceHash, by }
    : { outcome: 'ended', at }
}

/**
 * Settles an invitation unless it is settled already: of all processes and machines only the first
 * succeeds. Returns whether this call did.
 */
export async function settle(folder: string, id: string, claim: Claim): Promise<boolean> {
  const content = JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...claim })
  await makeFolder(dirname(folder), MODE.secretFolder)
  await makeFolder(folder, MODE.secretFolder)
  return await createFile(claimPath(folder, id), content, MODE.secret)
}

/** Stores the packages for the claimant's downloads, replacing earlier ones. */
export const writeCollected = (folder: string, id: string, sealed: Buffer): Promise<void> =>
  replaceFile(collectedPath(folder, id), sealed, MODE.secret)

export const readCollected = (folder: string, id: string): Promise<Buffer | undefined> =>
  ifThere(readOwnFile(collectedPath(folder, id)))

/** Deletes the packages under both seals, but not the claim. */
export async function removePackages(folder: string, id: string): Promise<void> {
  await removeFile(collectedPath(folder, id))
  await removeFile(invitationPath(folder, id))
}

/** Ids of invitations: those with packages, and those with only a claim left. */
export interface InvitationFiles {
  readonly waiting: readonly string[]
  readonly settled: readonly string[]
}

const FILE = /^([0-9a-f]{32})\.(json|claim)$/

export async function listInvitations(folder: string): Promise<InvitationFiles> {
  const names = await listIfThere(folder)
  const matches = names.map((name) => FILE.exec(name) ?? [])
  const of = (kind: string) => matches.flatMap(([, id = '', found]) => (found === kind ? [id] : []))
  const waiting = of('json')
  return { waiting, settled: of('claim').filter((id) => !waiting.includes(id)) }
}

/**
 * Returns whether an invitation or a claim has this id. It goes by the files' names, and lists them
 * again only when the folder has changed: wrong codes are cheap.
 */
export function createInvitationIndex(folder: string): (id: string) => Promise<boolean> {
  let listed: Look | undefined
  let ids: ReadonlySet<string> = new Set()
  return async (id) => {
    const look = await lookAtFiles([folder], undefined, listed)
    if (look !== listed || !look.settled) {
      const { waiting, settled } = await listInvitations(folder)
      ids = new Set([...waiting, ...settled])
      listed = look
    }
    return ids.has(id)
  }
}

/** Deletes a claim: the code is unknown from then on. */
export const forgetClaim = (folder: string, id: string): Promise<void> =>
  removeFile(claimPath(folder, id))
