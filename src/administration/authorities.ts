import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { CertificateId } from '../certificate/certificate-id.ts'
import type { SigningAuthority } from '../certificate/issue.ts'
import { describeName } from '../certificate/name.ts'
import { isEncryptedKey, readPemBlocks } from '../certificate/pem.ts'
import { readRevocationList, readRevokedEntries } from '../certificate/revocation.ts'
import type { RevokedCertificate } from '../certificate/revocation-reason.ts'
import type { Issuer } from '../certificate/verify.ts'
import type { Problem, Result } from '../result.ts'
import { readAuthoritiesFile } from '../store/authorities-file.ts'
import { type DataPaths, missingFileHint } from '../store/data-directory.ts'
import { errorCode } from '../store/files.ts'
import { readOwnFile } from '../store/folder.ts'
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
  readonly issuerKeyHash: string
  readonly der: Buffer
  readonly number: bigint
  /** Unix seconds. */
  readonly nextUpdate: number
  readonly entries: readonly RevokedCertificate[]
}

/** A CRL of one of the issuers, with its entries. */
export function readWrittenList(
  der: Buffer,
  issuers: readonly Issuer[],
): Result<{ list: WrittenList }, Problem & { foreign: boolean }> {
  const read = readRevocationList(der, issuers)
  if (!read.ok) return read
  const entries = readRevokedEntries(der)
  if (entries === undefined) {
    return { ok: false, problem: 'has an entry that certlatch cannot read', foreign: false }
  }
  const { issuerKeyHash, number = 0n, nextUpdate } = read.list
  return { ok: true, list: { issuerKeyHash, der, number, nextUpdate, entries } }
}

/** Whether its CA's CRL lists the certificate. */
export const isListed = (
  { lists }: Pick<OwnAuthorities, 'lists'>,
  { issuerKeyHash, serial }: CertificateId,
): boolean => lists.get(issuerKeyHash)?.entries.some((entry) => entry.serial === serial) === true

/** Reads ca.crt and ca.crl. Throws a CommandError if a service could not start with them. */
export async function readOwnAuthorities(paths: DataPaths): Promise<OwnAuthorities> {
  const issuers = readIssuers(paths.authority, await readInitialized(paths, paths.authority))
  const crl = await readInitialized(paths, paths.revocationList)
  const lists = new Map<string, WrittenList>()
  for (const der of readPemBlocks(crl.toString('latin1'), 'X509 CRL', true) ?? []) {
    const read = readWrittenList(der, issuers)
    if (read.ok) lists.set(read.list.issuerKeyHash, read.list)
    // The CRL of a CA that is no longer in ca.crt is left out: the next write drops it.
    else if (!read.foreign) throw new CommandError(`${paths.revocationList}: ${read.problem}`)
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

async function readInitialized(paths: DataPaths, path: string): Promise<Buffer> {
  const hint = await missingFileHint(paths)
  return needed(path, readFile(path), hint)
}

/** A built-in CA with its key. */
export interface Signer extends SigningAuthority {
  readonly issuer: Issuer
}

/** The CA whose key is at `private/ca.key`: it signs new certificates. */
export async function readActiveSigner(
  { paths, passphrase, nowSeconds }: Directory,
  { issuers }: OwnAuthorities,
): Promise<Signer> {
  const signer = signerOf(await readAuthorityKey(paths.authorityKey, passphrase), issuers)
  if (signer === undefined) {
    throw new CommandError(`${paths.authorityKey} is not the key of a CA in ${paths.authority}`, {
      hint: 'restore the two from one backup',
    })
  }
  if (nowSeconds < signer.certificate.notBefore) {
    throw new CommandError('the clock is wrong: according to it, the CA is not valid yet', {
      hint: 'set the clock, then run this again',
    })
  }
  return signer
}

/** A previous CA, which keeps signing its own CRL. */
export async function readPreviousSigner(
  { paths, passphrase }: Directory,
  issuer: Issuer,
): Promise<Signer> {
  const path = paths.previousKeyOf(issuer.keyHash)
  const signer = signerOf(await readAuthorityKey(path, passphrase), [issuer])
  if (signer !== undefined) return signer
  throw new CommandError(`${path} is not the key of the CA that it is named after`)
}

/** Reads a private key in PEM, and decrypts it if necessary. */
export async function readAuthorityKey(
  path: string,
  passphrase: string | undefined,
): Promise<KeyObject> {
  const hint = 'put the key of the CA back there for this command'
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

/** Leaves out parse errors of the decrypted key, because a wrong passphrase can cause those too. */
const UNKNOWN_CIPHER =
  /^ERR_OSSL_(?:EVP_UNSUPPORTED|EVP_UNKNOWN_PBE_ALGORITHM|PEM_UNSUPPORTED_(?:CIPHER|ENCRYPTION))$/

/** The CA that the key belongs to; `undefined` if it is none of these. */
export function signerOf(privateKey: KeyObject, issuers: readonly Issuer[]): Signer | undefined {
  const publicKey = createPublicKey(privateKey)
  const issuer = issuers.find(({ key }) => isSameKey(key, publicKey))
  return issuer && { issuer, certificate: issuer.certificate, privateKey }
}

/**
 * Never calls `equals` with keys of two kinds: OpenSSL would leave an error behind, which Node reports
 * for the next key that is read.
 */
function isSameKey(one: KeyObject, other: KeyObject): boolean {
  return one.asymmetricKeyType === other.asymmetricKeyType && one.equals(other)
}
