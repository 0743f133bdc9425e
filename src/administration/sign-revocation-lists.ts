import type { CertificateId } from '../certificate/certificate-id.ts'
import { BACKDATE_SECONDS, issueRevocationList } from '../certificate/issue.ts'
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
  const number = nextNumber([...authorities.lists.values()], nowSeconds, await highestLoaded(paths))
  // A CRL from a restored backup may lack revocations that the devices' entries still have.
  const { devices } = await directory.readDevices()
  const marked = revocationsAmong(devices.flatMap(({ certificates }) => certificates))
  const all = [...revocations, ...marked]
  const blocks: string[] = []
  for (const issuer of onePerKey(authorities.issuers)) {
    const own = all.filter(({ issuerKeyHash }) => issuerKeyHash === issuer.keyHash)
    const known = authorities.lists.get(issuer.keyHash)
    if (known !== undefined && issuer.certificate.notAfter < nowSeconds) {
      // None of its certificates is accepted anymore, and its key may be gone.
      blocks.push(writePem('X509 CRL', known.der))
      continue
    }
    const signer =
      issuer.keyHash === active.issuer.keyHash
        ? active
        : await readPreviousSigner(directory, issuer)
    blocks.push(writeList(signer, known, own, number, nowSeconds))
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
