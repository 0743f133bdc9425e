import { usageError } from '../administration/command-error.ts'
import { readGivenFile } from '../administration/given-file.ts'
import { comparableName } from '../certificate/identity.ts'
import { readBlocks } from '../certificate/pem.ts'
import type { CertificateVerdict } from '../certificate/verify.ts'
import type { Config } from '../config/config.ts'
import { nearest, quote } from '../config/text.ts'
import { dataPaths, readCertificateCopy } from '../store/data-directory.ts'
import { isInvited } from '../store/device-registry.ts'
import type { Snapshot } from '../store/snapshot.ts'

/** The certificate that the client is assumed to show. */
export interface Shown {
  readonly name: string
  readonly certificate: Buffer
  /** The verdict to use where the certificate itself is not available. */
  readonly verdict?: CertificateVerdict
}

/** Reads a certificate, PEM or DER; a key in the same file is ignored. */
export async function readCertificateFile(path: string): Promise<Shown> {
  const file = `--certificate is ${quote(path)}: the file`
  const [certificate] = readBlocks(await readGivenFile(path, file), 'CERTIFICATE')
  if (certificate !== undefined) return { name: `the certificate in ${quote(path)}`, certificate }
  throw usageError(`${file} holds no certificate, in PEM or DER`)
}

/** Returns the newest certificate that a device of the built-in CA has: not one that was not collected. */
export async function shownByDevice(
  name: string,
  { registry }: Snapshot,
  { dataDir, ca }: Config,
): Promise<Shown> {
  if (registry === undefined) {
    throw usageError(
      `certlatch keeps no list of devices for the CA of ${ca.file}`,
      'give --certificate instead',
    )
  }
  const device = registry.devices.find(
    (entry) => comparableName(entry.name) === comparableName(name),
  )
  const certificates = device?.certificates ?? []
  const entry =
    certificates.findLast((one) => !isInvited(one)) ??
    certificates.findLast(({ revokedAt }) => revokedAt !== undefined)
  if (entry === undefined) {
    if (certificates.length > 0) {
      throw usageError(
        `${quote(name)} was only invited: it has no certificate until its link is used`,
        'certlatch device show says until when the link works',
      )
    }
    const names = registry.devices.map((known) => known.name)
    const near = nearest(name, names)
    const hint = near === undefined ? 'certlatch device list shows all' : `did you mean "${near}"?`
    const problem = device === undefined ? 'there is no device' : 'there is no certificate of'
    throw usageError(`${problem} ${quote(name)}`, hint)
  }
  const whole = `the newest certificate of ${quote(name)}`
  const der = await readCertificateCopy(dataPaths(dataDir), entry.serial)
  if (der !== undefined) return { name: whole, certificate: der }
  return {
    name: `${whole} (its file is not kept here, so the issuer, serial number and dates of its entry are used)`,
    certificate: Buffer.from(entry.serial, 'hex'),
    verdict: {
      ok: true,
      verified: {
        issuerKeyHash: entry.issuerKeyHash,
        serial: entry.serial,
        sha256: '',
        notBefore: entry.notBefore,
        notAfter: entry.notAfter,
        distributionPoints: undefined,
        name: undefined,
      },
    },
  }
}
