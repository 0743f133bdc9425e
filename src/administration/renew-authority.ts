import { commonName } from '../certificate/name.ts'
import { isEncryptedKey, writePem } from '../certificate/pem.ts'
import type { Issuer } from '../certificate/verify.ts'
import { makeAuthority } from '../store/create-authority.ts'
import { describeFileError, MODE } from '../store/files.ts'
import { readOwnFile } from '../store/folder.ts'
import {
  readActiveSigner,
  readIssuers,
  readOwnAuthorities,
  type Signer,
  signerOf,
} from './authorities.ts'
import { type Change, changeDirectory, completeAuthorityRenewal } from './change-directory.ts'
import { CommandError } from './command-error.ts'
import type { Directory } from './locked-directory.ts'
import { writeLists } from './sign-revocation-lists.ts'

export interface AuthorityRenewal {
  readonly commonName: string | undefined
  readonly days: number
}

export interface RenewedAuthority {
  readonly authority: Issuer
  /** Previous CAs that stay trusted until they expire. */
  readonly before: readonly Issuer[]
  /** Expired CAs, which were removed. */
  readonly dropped: readonly Issuer[]
  readonly crlNumber: bigint
}

/**
 * Creates a successor CA. Certificates of previous CAs stay valid and can be revoked, because their
 * keys keep signing their CRLs. The commit point is the replacement of ca.crt: the successor's key and
 * CRL exist by then.
 */
export async function renewAuthority(
  change: Change,
  { commonName, days }: AuthorityRenewal,
): Promise<RenewedAuthority> {
  const { nowSeconds } = change
  return changeDirectory(change, async (directory) => {
    const { paths, passphrase } = directory
    const authorities = await readOwnAuthorities(paths)
    const active = await readActiveSigner(directory, authorities)
    const activeKey = (await readOwnFile(paths.authorityKey)).toString('latin1')
    const made = makeAuthority(
      { commonName, days, passphrase: isEncryptedKey(activeKey) ? passphrase : undefined },
      nowSeconds,
    )
    const issuers = readIssuers(paths.nextAuthority, Buffer.from(made.certificate))
    const successor = signerOf(made.privateKey, issuers)
    if (successor === undefined) throw new Error('made a CA that cannot be read back')
    requireNewName(successor, authorities.issuers)
    const hasEnded = ({ certificate }: Issuer): boolean => certificate.notAfter < nowSeconds
    const kept = authorities.issuers.filter((before) => !hasEnded(before))
    const bundle = [...kept, successor].map(({ certificate }) =>
      writePem('CERTIFICATE', certificate.der),
    )
    await directory.replace(paths.previousKeyOf(active.issuer.keyHash), activeKey, MODE.secret)
    await directory.replace(paths.nextAuthorityKey, made.key, MODE.secret)
    await directory.replace(paths.nextAuthority, made.certificate, MODE.secret)
    const crlNumber = await writeLists(directory, authorities, [], successor)
    await directory.replace(paths.authority, bundle.join(''), MODE.public)
    await finishRenewal(directory)
    return {
      authority: successor.issuer,
      before: kept,
      dropped: authorities.issuers.filter(hasEnded),
      crlNumber,
    }
  })
}

/** Browsers that ask which certificate to use identify its CA only by name. */
function requireNewName({ certificate }: Signer, others: readonly Issuer[]): void {
  const { comparable } = certificate.subject
  if (others.every((other) => other.certificate.subject.comparable !== comparable)) return
  throw new CommandError('there is a CA of that name already', {
    hint: `give the new one another name, such as "${commonName(certificate.subject)} 2"`,
  })
}

/** After the commit point: if this fails, the next command does the same. */
async function finishRenewal(directory: Directory): Promise<void> {
  const { paths } = directory
  try {
    await completeAuthorityRenewal(directory)
  } catch (error) {
    throw new CommandError(
      `the new CA is in ${paths.authority}, but ${paths.authorityKey} ${describeFileError(error)}`,
      { hint: 'the next command completes it' },
    )
  }
}
