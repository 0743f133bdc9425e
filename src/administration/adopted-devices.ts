import { randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { type Certificate, readCertificate } from '../certificate/certificate.ts'
import { certificateIdentity } from '../certificate/identity.ts'
import { commonName } from '../certificate/name.ts'
import { readPemBlocks } from '../certificate/pem.ts'
import { type CertificateProblem, type Issuer, verifyCertificate } from '../certificate/verify.ts'
import { deviceNameProblem, normalizeName } from '../enrollment/device-name.ts'
import type { IndexEntry } from '../enrollment/openssl-index.ts'
import type { Device, DeviceCertificate } from '../store/device-registry.ts'
import { describeFileError } from '../store/files.ts'
import { AdministrationError } from './problem.ts'

export interface FoundCertificate {
  readonly certificate: Certificate
  /** Why it does not open, though the CA has signed it. */
  readonly problem: CertificateProblem | undefined
}

interface Gathered {
  readonly devices: readonly Device[]
  /** What was left out, and why. */
  readonly skipped: readonly string[]
}

interface Issued extends DeviceCertificate {
  readonly name: string | undefined
  /** For messages. */
  readonly origin: string
}

/**
 * One device for each name among what a CA has issued; several certificates of one name are one
 * device's, renewed. What has ended is left out: it opens nothing.
 */
export function gatherDevices(
  index: readonly IndexEntry[],
  certificates: readonly FoundCertificate[],
  issuer: Issuer,
  nowSeconds: number,
): Gathered {
  const issued = joinBySerial(index, certificates, issuer)
  const devices = new Map<string, Device>()
  const skipped: string[] = []
  let ended = 0
  for (const { name: given, origin, ...certificate } of issued) {
    if (certificate.notAfter < nowSeconds) {
      ended += 1
      continue
    }
    const name = normalizeName(given ?? '')
    const problem = deviceNameProblem(name)
    if (problem !== undefined) {
      skipped.push(
        `${origin}: its name ${problem}; register it with certlatch device add NAME --certificate FILE`,
      )
      continue
    }
    const key = name.toLocaleLowerCase('en')
    const device = devices.get(key) ?? {
      id: randomUUID(),
      name,
      owner: undefined,
      certificates: [],
    }
    devices.set(key, { ...device, certificates: [...device.certificates, certificate] })
  }
  if (ended > 0) {
    skipped.push(`${ended} certificate${ended === 1 ? ' that has' : 's that have'} ended`)
  }
  return { devices: [...devices.values()], skipped }
}

function joinBySerial(
  index: readonly IndexEntry[],
  certificates: readonly FoundCertificate[],
  { keyHash: issuerKeyHash }: Issuer,
): readonly Issued[] {
  const issued = new Map<string, Issued>()
  for (const { serial, notAfter, commonName: name, line } of index) {
    const origin = `line ${line} of the index`
    issued.set(serial, { issuerKeyHash, serial, notBefore: 0, notAfter, name, origin })
  }
  for (const { certificate, problem: unfit } of certificates) {
    const { serial, notBefore, notAfter } = certificate
    const name = nameOf(certificate) ?? issued.get(serial)?.name
    const origin = `the certificate ${serial}`
    issued.set(serial, { issuerKeyHash, serial, notBefore, notAfter, unfit, name, origin })
  }
  return [...issued.values()].sort((one, other) => one.notAfter - other.notAfter)
}

export const nameOf = (certificate: Certificate): string | undefined =>
  commonName(certificate.subject) ?? certificateIdentity(certificate)

const CERTIFICATE_NAMES: ReadonlySet<string> = new Set(['.pem', '.crt', '.cer', '.der'])

/** Every certificate of the CA that lies in the folder; other files are passed over in silence. */
export async function readCertificates(folder: string, issuer: Issuer) {
  const read: FoundCertificate[] = []
  const skipped: string[] = []
  for (const name of await listGiven(folder)) {
    if (!CERTIFICATE_NAMES.has(extname(name).toLowerCase())) continue
    const path = join(folder, name)
    for (const der of certificateBlocks(await readFile(path, 'latin1'))) {
      const certificate = readCertificate(der)
      if (certificate === undefined) {
        skipped.push(`${path} holds a certificate that is not in strict DER`)
      } else if (isOf(issuer, certificate)) {
        const verdict = verifyCertificate(der, [issuer])
        read.push({ certificate, problem: verdict.ok ? undefined : verdict.problem })
      }
    }
  }
  return { read, skipped }
}

const isOf = (issuer: Issuer, { issuer: name, der }: Certificate): boolean =>
  name.comparable === issuer.certificate.subject.comparable && !der.equals(issuer.certificate.der)

async function listGiven(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    throw new AdministrationError(`${folder} ${describeFileError(error)}`, 2)
  }
}

/** Whether a file, read as latin1, begins as a certificate or CRL in DER does: a long SEQUENCE. */
export const isDer = (text: string): boolean => /^0[\x81-\x84]/.test(text)

/** The certificates of a file that may hold a key, and a text before each. */
function certificateBlocks(text: string): readonly Buffer[] {
  if (isDer(text)) return [Buffer.from(text, 'latin1')]
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return blocks.flatMap((block) => readPemBlocks(`${block}\n`, 'CERTIFICATE', true) ?? [])
}
