import type { CertificateId } from '../certificate/certificate-id.ts'
import { BACKDATE_SECONDS, issueRevocationList } from '../certificate/issue.ts'
import { writePem } from '../certificate/pem.ts'
import { type RevokedCertificate, reasonNamed } from '../certificate/revocation-reason.ts'
import type { Issuer } from '../certificate/verify.ts'
import type { DataPaths } from '../store/data-directory.ts'
import { MODE } from '../store/files.ts'
import { readRunning } from '../store/service-state-files.ts'
import {
  type OwnAuthorities,
  readActiveSigner,
  readPreviousSigner,
  type Signer,
  type WrittenList,
} from './authorities.ts'
import type { Directory } from './locked-directory.ts'

/** The revocation of a certificate of a built-in CA. */
export type Revocation = RevokedCertificate & CertificateId

/**
 * Writes new CRLs of all built-in CAs with these revocations, under one number, and returns it. A
 * previous CA keeps signing its own CRL until it expires; a successor gets its first.
 */
export async function writeLists(
  directory: Directory,
  authorities: OwnAuthorities,
  revocations: readonly Revocation[],
  successor?: Signer,
): Promise<bigint> {
  const { paths, nowSeconds } = directory
  const active = await readActiveSigner(directory, authorities)
  const number = nextNumber(authorities, nowSeconds, await highestLoaded(paths))
  // A CRL from a restored backup may lack revocations that the devices' entries still have.
  const all = [...revocations, ...(await markedRevocations(directory))]
  const blocks: string[] = []
  for (const issuer of onePerKey(authorities.issuers)) {
    const own = all.filter(({ issuerKeyHash }) => issuerKeyHash === issuer.keyHash)
    const known = authorities.lists.get(issuer.keyHash)
    if (known !== undefined && issuer.certificate.notAfter < nowSeconds) {
      // None of its certificates is accepted any more, and its key may be gone.
      blocks.push(writePem('X509 CRL', known.der))
      continue
    }
    const signer =
      issuer.keyHash === active.issuer.keyHash
        ? active
        : await readPreviousSigner(directory, issuer)
    const before = authorities.lists.get(issuer.keyHash)
    blocks.push(writeList(signer, before, own, number, nowSeconds))
  }
  if (successor !== undefined) blocks.push(writeList(successor, undefined, [], number, nowSeconds))
  await directory.replace(paths.revocationList, blocks.join(''), MODE.public)
  return number
}

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
  { lists }: Pick<OwnAuthorities, 'lists'>,
  nowSeconds: number,
  loaded: bigint,
): bigint {
  let number = BigInt(nowSeconds)
  for (const list of lists.values()) if (list.number >= number) number = list.number + 1n
  // A number far above all known ones is broken, or of another directory's service.
  const isPlausible = loaded < number + FARTHEST_AHEAD
  return isPlausible && loaded >= number ? loaded + 1n : number
}

/** In seconds: a clock that was thirty years wrong. */
const FARTHEST_AHEAD = 1_000_000_000n

/** The highest CRL number that a service has reported. */
async function highestLoaded({ running }: DataPaths): Promise<bigint> {
  let highest = 0n
  for (const { state } of await readRunning(running)) {
    const { crlNumber = '' } = state
    const number = /^\d{1,60}$/.test(crlNumber) ? BigInt(crlNumber) : 0n
    if (number > highest) highest = number
  }
  return highest
}

async function markedRevocations(directory: Directory): Promise<readonly Revocation[]> {
  const { devices } = await directory.readDevices()
  return devices.flatMap(({ certificates }) =>
    certificates.flatMap(({ issuerKeyHash, serial, revokedAt, reason }) =>
      revokedAt === undefined
        ? []
        : [{ issuerKeyHash, serial, revokedAt, reason: reasonNamed(reason) }],
    ),
  )
}

export function writeList(
  { issuer, authority }: Signer,
  before: WrittenList | undefined,
  revocations: readonly RevokedCertificate[],
  number: bigint,
  nowSeconds: number,
): string {
  const known = new Set(before?.entries.map(({ serial }) => serial))
  const added = revocations.filter(({ serial }) => !known.has(serial))
  const der = issueRevocationList(
    {
      number,
      // Other readers of the CRL may have a clock that is slow.
      thisUpdate: Math.min(nowSeconds - BACKDATE_SECONDS, issuer.certificate.notAfter),
      nextUpdate: issuer.certificate.notAfter,
      revoked: [...(before?.entries ?? []), ...added],
    },
    authority,
  )
  return writePem('X509 CRL', der)
}
