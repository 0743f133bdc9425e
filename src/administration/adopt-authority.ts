import { isEncryptedKey, readBlocks, writePem } from '../certificate/pem.ts'
import type { RevokedCertificate } from '../certificate/revocation-reason.ts'
import type { CertificateProblem, Issuer } from '../certificate/verify.ts'
import { type IndexEntry, readIndex } from '../enrollment/openssl-index.ts'
import { writeAuthorityKey } from '../store/create-authority.ts'
import { type FirstFiles, firstSessionKeys } from '../store/data-directory.ts'
import { type Device, type DeviceCertificate, writeEntry } from '../store/device-registry.ts'
import { gatherDevices, nameOf, readCertificates } from './adopted-devices.ts'
import {
  decryptKey,
  readIssuers,
  readWrittenList,
  signerOf,
  type WrittenList,
} from './authorities.ts'
import { CommandError, usageError } from './command-error.ts'
import { readGivenFile } from './given-file.ts'
import { nextNumber, revocationsAmong, writeList } from './sign-revocation-lists.ts'

/** The paths of an existing CA's files. */
export interface AdoptedFiles {
  readonly certificate: string
  readonly key: string
  readonly revocationList: string | undefined
  readonly index: string | undefined
  readonly certificates: string | undefined
}

export interface Adoption {
  readonly files: FirstFiles
  readonly issuer: Issuer
  readonly devices: readonly Device[]
  readonly revokedCount: number
  /** Certificates that will be denied, each with the reason: `Ada's phone (4f…): certificate-weak`. */
  readonly refused: readonly Refused[]
  /** What was skipped, and why. */
  readonly skipped: readonly string[]
}

interface Refused {
  readonly name: string
  readonly serial: string
  readonly problem: CertificateProblem
}

/** Reads a CA and everything it is known to have issued; writes nothing. */
export async function readAdoption(
  files: AdoptedFiles,
  encryptWith: string | undefined,
  passphrase: (path: string) => Promise<string | undefined>,
  nowSeconds: number,
): Promise<Adoption> {
  const issuer = await readAdoptedIssuer(files.certificate, nowSeconds)
  const keyText = (await readGivenFile(files.key)).toString('latin1')
  const secret = isEncryptedKey(keyText) ? await passphrase(files.key) : undefined
  const signer = signerOf(decryptKey(files.key, keyText, secret), [issuer])
  if (signer === undefined) {
    throw new CommandError(`${files.key} is not the key of ${files.certificate}`)
  }
  const before = await readAdoptedList(files.revocationList, issuer)
  const index = await readAdoptedIndex(files.index)
  const certificates =
    files.certificates === undefined
      ? { read: [], skipped: [] }
      : await readCertificates(files.certificates, issuer)
  const joined = gatherDevices(index, certificates.read, issuer, nowSeconds)
  const revocations = revocationsAmong(index)
  const listed = before?.entries ?? []
  const revokedAt = new Map([...listed, ...revocations].map((entry) => [entry.serial, entry]))
  const devices = joined.devices.map((device) => ({
    ...device,
    certificates: device.certificates.map((certificate) => markRevoked(certificate, revokedAt)),
  }))
  const number = nextNumber(before === undefined ? [] : [before], nowSeconds, 0n)
  return {
    issuer,
    devices,
    revokedCount: revokedAt.size,
    refused: certificates.read.flatMap(({ certificate, problem }) =>
      problem === undefined
        ? []
        : [{ name: nameOf(certificate) ?? '(no name)', serial: certificate.serial, problem }],
    ),
    skipped: [...joined.skipped, ...certificates.skipped],
    files: {
      authority: {
        key:
          encryptWith === undefined ? keyText : writeAuthorityKey(signer.privateKey, encryptWith),
        certificate: writePem('CERTIFICATE', issuer.certificate.der),
        revocationList: writeList(signer, before, revocations, number, nowSeconds),
      },
      sessionKeys: firstSessionKeys(),
      devices: new Map(devices.map((device) => [device.id, writeEntry(device)])),
      certificates: new Map(
        certificates.read
          .filter(({ certificate }) => !joined.repeated.has(certificate.serial))
          .map(({ certificate: { serial, der } }) => [serial, writePem('CERTIFICATE', der)]),
      ),
    },
  }
}

async function readAdoptedIssuer(path: string, nowSeconds: number): Promise<Issuer> {
  const [issuer, ...others] = readIssuers(path, await readGivenFile(path))
  if (issuer === undefined || others.length > 0) {
    throw usageError(`${path} must contain one certificate, that of the CA`)
  }
  if (issuer.certificate.notAfter < nowSeconds) {
    throw new CommandError(`${path}: the CA has expired`, {
      hint: 'certlatch init makes a new one',
    })
  }
  if (!issuer.signsRevocationLists) {
    throw new CommandError(
      `${path}: the CA may not sign CRLs (keyUsage without cRLSign), so nothing could be revoked`,
      { hint: 'certlatch init makes a new one' },
    )
  }
  return issuer
}

async function readAdoptedList(
  path: string | undefined,
  issuer: Issuer,
): Promise<WrittenList | undefined> {
  if (path === undefined) return undefined
  const [der] = readBlocks(await readGivenFile(path), 'X509 CRL')
  if (der === undefined) throw usageError(`${path} holds no CRL, in PEM or DER`)
  const read = readWrittenList(der, [issuer])
  if (!read.ok) throw usageError(`${path}: ${read.problem}`)
  return read.list
}

async function readAdoptedIndex(path: string | undefined): Promise<readonly IndexEntry[]> {
  if (path === undefined) return []
  const read = readIndex((await readGivenFile(path)).toString('latin1'))
  if (!read.ok) throw usageError(`${path} ${read.problem}`)
  return read.entries
}

function markRevoked(
  certificate: DeviceCertificate,
  revoked: ReadonlyMap<string, RevokedCertificate>,
): DeviceCertificate {
  const entry = revoked.get(certificate.serial)
  if (entry === undefined) return certificate
  return { ...certificate, revokedAt: entry.revokedAt, reason: entry.reason }
}
