import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { CertificateId } from '../certificate/certificate-id.ts'
import {
  BACKDATE_SECONDS,
  issueRevocationList,
  type SigningAuthority,
} from '../certificate/issue.ts'
import { describeName } from '../certificate/name.ts'
import { isEncryptedKey, readPemBlocks, writePem } from '../certificate/pem.ts'
import { readRevocationList, readRevokedEntries } from '../certificate/revocation.ts'
import { type RevokedCertificate, reasonNamed } from '../certificate/revocation-reason.ts'
import type { Issuer } from '../certificate/verify.ts'
import { readAuthoritiesFile } from '../store/authorities-file.ts'
import type { DataPaths } from '../store/data-directory.ts'
import { errorCode, MODE } from '../store/files.ts'
import { readOwnFile } from '../store/folder.ts'
import { readRunning } from '../store/service-state-files.ts'
import { CommandError } from './command-error.ts'
import { needed } from './given-file.ts'
import type { Directory } from './locked-directory.ts'

/** The built-in CAs and the contents of their CRLs. */
export interface OwnAuthorities {
  readonly issuers: readonly Issuer[]
  /** By the issuer's key hash. */
  readonly lists: ReadonlyMap<string, WrittenList>
}

export interface WrittenList {
  readonly der: Buffer
  readonly number: bigint
  /** Unix seconds. */
  readonly thisUpdate: number
  readonly entries: readonly RevokedCertificate[]
}

/** Reads ca.crt and ca.crl. Throws a CommandError if a service could not start with them. */
export async function readOwnAuthorities(paths: DataPaths): Promise<OwnAuthorities> {
  const issuers = readIssuers(paths.authority, await readInitialised(paths.authority))
  const crl = await readInitialised(paths.revocationList)
  const lists = new Map<string, WrittenList>()
  for (const der of readPemBlocks(crl.toString('latin1'), 'X509 CRL', true) ?? []) {
    const read = readRevocationList(der, issuers)
    const entries = readRevokedEntries(der)
    // A CRL of a CA that is no longer in ca.crt: the next write leaves it out.
    if (!read.ok && read.foreign) continue
    if (!read.ok || entries === undefined) {
      const problem = read.ok ? 'has an entry that certlatch cannot read' : read.problem
      throw new CommandError(`${paths.revocationList}: ${problem}`)
    }
    const { issuerKeyHash, number = 0n, thisUpdate } = read.list
    lists.set(issuerKeyHash, { der, number, thisUpdate, entries })
  }
  for (const { keyHash, certificate } of issuers) {
    if (lists.has(keyHash)) continue
    throw new CommandError(
      `${paths.revocationList} has no CRL of the CA "${describeName(certificate.subject)}"`,
      { hint: 'restore it from a backup: without it revoked devices would come back' },
    )
  }
  return { issuers, lists }
}

export function readIssuers(name: string, content: Buffer): readonly Issuer[] {
  const { value, problems } = readAuthoritiesFile(name, content)
  if (problems.length > 0) throw new CommandError(problems)
  return value
}

const readInitialised = (path: string): Promise<Buffer> =>
  needed(path, readFile(path), 'run certlatch init first')

/** A built-in CA with its key. */
export interface Signer {
  readonly issuer: Issuer
  readonly authority: SigningAuthority
}

/** The CA whose key is at `private/ca.key`: it signs new certificates. */
export async function readActiveSigner(
  paths: DataPaths,
  { issuers }: OwnAuthorities,
  passphrase: string | undefined,
  nowSeconds: number,
): Promise<Signer> {
  const privateKey = await readAuthorityKey(paths.authorityKey, passphrase)
  const issuer = issuerOf(privateKey, issuers)
  if (issuer === undefined) {
    throw new CommandError(`${paths.authorityKey} is not the key of a CA in ${paths.authority}`, {
      hint: 'restore the two from one backup',
    })
  }
  requirePlausibleClock(issuer, nowSeconds)
  return { issuer, authority: { certificate: issuer.certificate, privateKey } }
}

/** Refuses a clock before the CA's notBefore: the certificates would never be accepted. */
function requirePlausibleClock({ certificate }: Issuer, nowSeconds: number): void {
  if (nowSeconds < certificate.notBefore) {
    throw new CommandError('the clock is wrong: it is earlier than the beginning of the CA', {
      hint: 'set it, and run this again',
    })
  }
}

/** Reads a private key in PEM, and decrypts it if necessary. */
export async function readAuthorityKey(
  path: string,
  passphrase: string | undefined,
): Promise<KeyObject> {
  const hint = 'bring the key of the CA back to there for this command'
  const pem = await needed(path, readOwnFile(path), hint)
  return decryptKey(path, pem.toString('latin1'), passphrase)
}

export function decryptKey(path: string, pem: string, passphrase: string | undefined): KeyObject {
  const encrypted = isEncryptedKey(pem)
  if (encrypted && passphrase === undefined) {
    throw new CommandError(`${path} is encrypted`, {
      hint: 'set CERTLATCH_CA_PASSPHRASE_FILE to a file with its passphrase, or run this in a terminal',
    })
  }
  try {
    return createPrivateKey(encrypted ? { key: pem, passphrase: passphrase ?? '' } : pem)
  } catch (error) {
    if (!encrypted) throw new CommandError(`${path} is not a private key in PEM`)
    if (!UNKNOWN_CIPHER.test(errorCode(error) ?? '')) {
      throw new CommandError(`${path} cannot be decrypted: the passphrase is wrong`)
    }
    throw new CommandError(`${path} is encrypted with a cipher that this OpenSSL lacks`, {
      hint: `encrypt it again: openssl pkcs8 -topk8 -v2 aes-256-cbc -provider legacy -provider default -in ${path} -out new.key`,
    })
  }
}

/** Without errors of parsing the decrypted key, which a wrong passphrase can cause as well. */
const UNKNOWN_CIPHER =
  /^ERR_OSSL_(?:EVP_UNSUPPORTED|EVP_UNKNOWN_PBE_ALGORITHM|PEM_UNSUPPORTED_(?:CIPHER|ENCRYPTION))$/

export function issuerOf(privateKey: KeyObject, issuers: readonly Issuer[]): Issuer | undefined {
  const publicKey = createPublicKey(privateKey)
  return issuers.find(({ key }) => isSameKey(key, publicKey))
}

/**
 * Never calls `equals` with keys of two kinds: OpenSSL would leave an error behind, which Node reports
 * for the next key that is read.
 */
function isSameKey(one: KeyObject, other: KeyObject): boolean {
  return one.asymmetricKeyType === other.asymmetricKeyType && one.equals(other)
}

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
  passphrase: string | undefined,
  successor?: Signer,
): Promise<bigint> {
  const { paths, nowSeconds } = directory
  const active = await readActiveSigner(paths, authorities, passphrase, nowSeconds)
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
        : await readPreviousSigner(paths, issuer, passphrase)
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

async function readPreviousSigner(
  paths: DataPaths,
  issuer: Issuer,
  passphrase: string | undefined,
): Promise<Signer> {
  const path = paths.previousKeyOf(issuer.keyHash)
  const privateKey = await readAuthorityKey(path, passphrase)
  if (issuerOf(privateKey, [issuer]) === undefined) {
    throw new CommandError(`${path} is not the key of the CA that it is named after`)
  }
  return { issuer, authority: { certificate: issuer.certificate, privateKey } }
}
