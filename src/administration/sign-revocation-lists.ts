import type { CertificateId } from '../certificate/certificate-id.ts'
import { BACKDATE_SECONDS, issueRevocationList } from '../certificate/issue.ts'
import { describeName } from '../certificate/name.ts'
import { writePem } from '../certificate/pem.ts'
import { type RevokedCertificate, reasonNamed } from '../certificate/revocation-reason.ts'
import type { Issuer } from '../certificate/verify.ts'
import type { DataPaths } from '../store/data-directory.ts'
import type { DeviceCertificate } from '../store/device-registry.ts'
import { MODE } from '../store/files.ts'
import { readRunning } from '../store/service-state-files.ts'
import {
  type OwnAuthorities,
  readActiveSigner,
  readPreviousSigner,
  type Signer,
  type WrittenList,
} from './authorities.ts'
import { CommandError } from './command-error.ts'
import type { Directory } from './locked-directory.ts'

/** The revocation of a certificate of a built-in CA. */
export type Revocation = RevokedCertificate & CertificateId

/**
 * Writes new CRLs of all built-in CAs with these revocations, under one number, and returns it. A
 * previous CA keeps signing its own CRL until it expires; a successor gets its first. Without its key
 * a previous CA keeps its CRL: a CommandError only if one of these revocations belongs on it.
 */
export async function writeLists(
  directory: Directory,
  authorities: OwnAuthorities,
  revocations: readonly Revocation[],
  successor?: Signer,
): Promise<bigint> {
  const { paths, nowSeconds } = directory
  const active = await readActiveSigner(directory, authorities)
  const number = nextNumber([...authorities.lists.values()], nowSeconds, await highestLoaded(paths))
  // A CRL from a restored backup may lack revocations that the devices' entries still have.
  const { devices } = await directory.readDevices()
  const marked = revocationsAmong(devices.flatMap(({ certificates }) => certificates))
  const blocks: string[] = []
  for (const issuer of onePerKey(authorities.issuers)) {
    const isOwn = ({ issuerKeyHash }: Revocation): boolean => issuerKeyHash === issuer.keyHash
    const requested = revocations.filter(isOwn)
    const recorded = marked.filter(isOwn)
    const known = authorities.lists.get(issuer.keyHash)
    const write = (signer: Signer): string =>
      writeList(signer, known, [...requested, ...recorded], number, nowSeconds)
    const isActive = issuer.keyHash === active.issuer.keyHash
    const previous = { issuer, known, requested, recorded }
    blocks.push(isActive ? write(active) : await previousList(directory, previous, write))
  }
  if (successor !== undefined) blocks.push(writeList(successor, undefined, [], number, nowSeconds))
  await directory.replace(paths.revocationList, blocks.join(''), MODE.public)
  return number
}

interface PreviousList {
  readonly issuer: Issuer
  readonly known: WrittenList | undefined
  /** What the command revokes. */
  readonly requested: readonly Revocation[]
  /** What the registry marks as revoked. */
  readonly recorded: readonly Revocation[]
}

/** The CRL of a previous CA, in PEM: a new one, or the known one if there is no use or no key for that. */
async function previousList(
  directory: Directory,
  { issuer, known, requested, recorded }: PreviousList,
  write: (signer: Signer) => string,
): Promise<string> {
  const { certificate } = issuer
  // None of its certificates is accepted anymore, and its key may be gone.
  if (known !== undefined && certificate.notAfter < directory.nowSeconds) return pemOf(known)
  try {
    return write(await readPreviousSigner(directory, issuer))
  } catch (error) {
    if (!(error instanceof CommandError) || known === undefined) throw error
    if (requested.length > 0) throw new CommandError(error.problems, { hint: WITHOUT_KEY })
    const problem = error.problems.join('; ')
    const expiry = new Date(known.nextUpdate * 1000).toISOString()
    directory.notify(
      `the CRL of the CA "${describeName(certificate.subject)}" cannot be renewed and expires at ${expiry}: ${problem}`,
    )
    const listed = new Set(known.entries.map(({ serial }) => serial))
    for (const { serial } of recorded.filter((one) => !listed.has(one.serial))) {
      directory.notify(
        `that CRL lacks ${serial}, which was revoked: deny it with certlatch device block`,
      )
    }
    return pemOf(known)
  }
}

const WITHOUT_KEY =
  'put the key of the CA back there for this command, or deny its certificate with certlatch device block; --serial revokes the others of the device'

const pemOf = ({ der }: WrittenList): string => writePem('X509 CRL', der)

/** For each key the CA certificate that expires last: those of one key share their CRL. */
function onePerKey(issuers: readonly Issuer[]): Iterable<Issuer> {
  const byKey = new Map<string, Issuer>()
  for (const issuer of issuers) {
    const other = byKey.get(issuer.keyHash)
    if (other === undefined || issuer.certificate.notAfter > other.certificate.notAfter) {
      byKey.set(issuer.keyHash, issuer)
    }
  }
  return byKey.values()
}

/**
 * Seconds since 1970, so that a CRL written after restoring a backup still counts as the newest; but
 * always above every known number, even if the clock is wrong.
 */
export function nextNumber(
  lists: readonly WrittenList[],
  nowSeconds: number,
  loaded: bigint,
): bigint {
  const number = highest([BigInt(nowSeconds), ...lists.map((list) => list.number + 1n)])
  // A number far above all known ones is broken, or of another directory's service.
  const isPlausible = loaded < number + FARTHEST_AHEAD
  return isPlausible && loaded >= number ? loaded + 1n : number
}

/** In seconds: a clock that was thirty years wrong. */
const FARTHEST_AHEAD = 1_000_000_000n

/** The highest CRL number that a service has reported. */
async function highestLoaded({ running }: DataPaths): Promise<bigint> {
  const services = await readRunning(running)
  return highest(
    services.map(({ state: { crlNumber = '' } }) =>
      /^\d{1,60}$/.test(crlNumber) ? BigInt(crlNumber) : 0n,
    ),
  )
}

export function highest(numbers: readonly bigint[]): bigint {
  let most = 0n
  for (const number of numbers) if (number > most) most = number
  return most
}

/** Those that are marked as revoked, with reasons as CRLs have them. */
export const revocationsAmong = <T extends Pick<DeviceCertificate, 'revokedAt' | 'reason'>>(
  certificates: readonly T[],
) =>
  certificates.flatMap(({ revokedAt, reason, ...certificate }) =>
    revokedAt === undefined ? [] : [{ ...certificate, revokedAt, reason: reasonNamed(reason) }],
  )

export function writeList(
  signer: Signer,
  before: WrittenList | undefined,
  revocations: readonly RevokedCertificate[],
  number: bigint,
  nowSeconds: number,
): string {
  const known = new Set(before?.entries.map(({ serial }) => serial))
  const added = revocations.filter(({ serial }) => !known.has(serial))
  const { notAfter } = signer.certificate
  const der = issueRevocationList(
    {
      number,
      // Other readers of the CRL may have a clock that is slow.
      thisUpdate: Math.min(nowSeconds - BACKDATE_SECONDS, notAfter),
      nextUpdate: notAfter,
      revoked: [...(before?.entries ?? []), ...added],
    },
    signer,
  )
  return writePem('X509 CRL', der)
}
