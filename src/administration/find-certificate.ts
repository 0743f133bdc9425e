import { readFile } from 'node:fs/promises'
import { readCertificate } from '../certificate/certificate.ts'
import type { CertificateId } from '../certificate/certificate-id.ts'
import {
  type CertificateProblem,
  sha256Base64Url,
  verifyCertificate,
} from '../certificate/verify.ts'
import type { DataPaths } from '../store/data-directory.ts'
import { readIssuers } from './authorities.ts'
import { CommandError, usageError } from './command-error.ts'
import { needed } from './given-file.ts'
import { findSeen, type Search } from './unregistered.ts'

/** Identifies a certificate in a file, which must be signed by a CA that certlatch trusts. */
export async function certificateIdOfFile(
  path: string,
  der: Buffer,
  caFile: string,
): Promise<CertificateId> {
  const authorities = await needed(caFile, readFile(caFile))
  const verdict = verifyCertificate(der, readIssuers(caFile, authorities))
  if (verdict.ok) return verdict.verified
  const why = whyUnacceptable(verdict.problem, caFile)
  throw new CommandError(`${path}: ${why}, so it is never accepted; there is nothing to block`)
}

/** A clause about a certificate that the CAs of this file do not make acceptable. */
export const whyUnacceptable = (problem: CertificateProblem, caFile: string): string =>
  problem === 'certificate-untrusted' ? `no CA in ${caFile} has signed it` : problem

const SERIAL = /^(?:[0-9a-f]{2}){1,21}$/

/** Identifies a certificate by serial number, `4F:1C:08` or `4f1c08`, and its CA's certificate. */
export function certificateIdOfSerial(
  serial: string,
  issuerPath: string,
  issuerDer: Buffer,
): CertificateId {
  const hex = plainHex(serial)
  const whole = hex.length % 2 === 0 ? hex : `0${hex}`
  if (!SERIAL.test(whole)) {
    throw usageError(
      `the serial number is "${serial}": expected hexadecimal digits such as 4f:1c:08`,
    )
  }
  const issuer = readCertificate(issuerDer)
  if (issuer === undefined) {
    throw usageError(`${issuerPath} is not a certificate in strict DER`)
  }
  return { issuerKeyHash: sha256Base64Url(issuer.publicKeyInfo), serial: shortest(whole) }
}

const plainHex = (text: string): string => text.replace(/[:\s]/g, '').toLowerCase()

/** As in DER: without redundant leading bytes. */
const shortest = (hex: string): string => hex.replace(/^(?:00)+(?=..)/, '')

/** Only for certificates that were accepted before: the id can't be derived from the fingerprint. */
export async function certificateIdByFingerprint(
  paths: DataPaths,
  given: string,
  search: Search = {},
): Promise<CertificateId> {
  const hex = plainHex(given)
  if (!/^[0-9a-f]{64}$/.test(hex)) {
    throw usageError(
      `the fingerprint is "${given}": expected a SHA-256 fingerprint, 64 hexadecimal digits`,
    )
  }
  const sha256 = Buffer.from(hex, 'hex').toString('base64url')
  const found = await findSeen(paths, (seen) => seen.sha256 === sha256, search)
  if (found !== undefined) return found
  throw new CommandError('no certificate with this fingerprint has been accepted so far', {
    hint: 'name it by its file, or by its serial number and its CA',
  })
}
