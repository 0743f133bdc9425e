import { randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { type Certificate, readCertificate } from '../certificate/certificate.ts'
import { certificateIdentity, comparableName, isPrintableName } from '../certificate/identity.ts'
import { ATTRIBUTE, lastAttribute } from '../certificate/name.ts'
import { readBlocks } from '../certificate/pem.ts'
import { type CertificateProblem, type Issuer, verifyCertificate } from '../certificate/verify.ts'
import { deviceNameProblem, normalizeName } from '../enrollment/device-name.ts'
import type { IndexEntry } from '../enrollment/openssl-index.ts'
import type { Device, DeviceCertificate } from '../store/device-registry.ts'
import { describeFileError } from '../store/files.ts'
import { usageError } from './command-error.ts'

export interface FoundCertificate {
  readonly path: string
  readonly certificate: Certificate
  /** Why it is denied, although the CA has signed it. */
  readonly problem: CertificateProblem | undefined
}

interface Gathered {
  readonly devices: readonly Device[]
  /** What was skipped, and why. */
  readonly skipped: readonly string[]
  /** Serial numbers of more than one certificate. */
  readonly repeated: ReadonlySet<string>
}

interface Issued extends DeviceCertificate {
  readonly name: string | undefined
  /** For messages. */
  readonly origin: string
  readonly place: string
  /** `undefined`: only the index mentions it. */
  readonly der: Buffer | undefined
}

/**
 * Makes one device for each name among the certificates of a CA; several certificates of one name are
 * renewals. Expired certificates are left out.
 */
export function gatherDevices(
  index: readonly IndexEntry[],
  certificates: readonly FoundCertificate[],
  issuer: Issuer,
  nowSeconds: number,
): Gathered {
  const all = allIssued(index, certificates, issuer)
  const current = all.filter(({ notAfter }) => notAfter >= nowSeconds)
  const expired = new Set(all.filter((one) => !current.includes(one)).map(({ serial }) => serial))
    .size
  const groups = joinBySerial(current)
  const repeated = groups.filter(({ length }) => length > 1)
  const devices = new Map<string, Device>()
  const skipped = repeated.map(describeRepeated)
  const issued = groups.filter(({ length }) => length === 1).flat()
  for (const { name: given, origin, place: _place, der: _der, ...certificate } of issued) {
    const name = normalizeName(given ?? '')
    const problem = deviceNameProblem(name)
    if (problem !== undefined) {
      skipped.push(
        `${origin}: its name ${problem}; register it with certlatch device add NAME --certificate FILE`,
      )
      continue
    }
    const key = comparableName(name)
    const device = devices.get(key) ?? {
      id: randomUUID(),
      name,
      owner: undefined,
      certificates: [],
    }
    devices.set(key, { ...device, certificates: [...device.certificates, certificate] })
  }
  if (expired > 0) {
    skipped.push(`${expired} certificate${expired === 1 ? ' that has' : 's that have'} expired`)
  }
  return {
    devices: [...devices.values()],
    skipped,
    repeated: new Set(repeated.flatMap(([first]) => first?.serial ?? [])),
  }
}

function allIssued(
  index: readonly IndexEntry[],
  certificates: readonly FoundCertificate[],
  { keyHash: issuerKeyHash }: Issuer,
): readonly Issued[] {
  return [
    ...index.map(({ serial, notAfter, commonName: name, line }): Issued => {
      const place = `line ${line} of the index`
      const dates = { notBefore: 0, notAfter }
      return { issuerKeyHash, serial, ...dates, name, origin: place, place, der: undefined }
    }),
    ...certificates.map(({ certificate, problem: unfit, path: place }): Issued => {
      const { serial, notBefore, notAfter, der } = certificate
      const name = nameOf(certificate)
      const origin = `the certificate ${serial}`
      return { issuerKeyHash, serial, notBefore, notAfter, unfit, name, origin, place, der }
    }),
  ].sort((one, other) => one.notAfter - other.notAfter)
}

/** Groups certificates by serial number: one each, unless the CA has used a number twice. */
function joinBySerial(issued: readonly Issued[]): readonly (readonly Issued[])[] {
  const groups = new Map<string, readonly Issued[]>()
  for (const one of issued) {
    const others = groups.get(one.serial) ?? []
    const same = others.find((other) => isSameCertificate(one, other))
    groups.set(one.serial, [...others.filter((other) => other !== same), joined(one, same)])
  }
  return [...groups.values()]
}

/** A file takes precedence over the index, except for a name that it lacks. */
function joined(one: Issued, same: Issued | undefined): Issued {
  const [main, other] = one.der === undefined ? [same ?? one, one] : [one, same]
  return { ...main, name: main.name ?? other?.name }
}

/** The index has only the serial number, expiry and name of a certificate. */
function isSameCertificate(one: Issued, other: Issued): boolean {
  if (one.der !== undefined && other.der !== undefined) return one.der.equals(other.der)
  if (one.notAfter !== other.notAfter) return false
  const [short = '', long = ''] = [one.name, other.name]
    .filter((name) => name !== undefined && isLegible(name))
    .map((name = '') => comparableName(name))
    .sort((a, b) => a.length - b.length)
  // In the index a name ends at the first "/" in it.
  return long === '' || long.startsWith(short)
}

/** Whether the index has the certificate's name, and not the raw bytes of some string type. */
const isLegible = (name: string): boolean => isPrintableName(name) && !name.includes('\ufffd')

function describeRepeated(issued: readonly Issued[]): string {
  const named = issued.map(({ name, place }) => `"${name ?? '(no name)'}" (${place})`).join(' and ')
  const serial = issued[0]?.serial
  return `several certificates have the serial number ${serial}, ${named}: one could be accepted under the name of another, so none is imported; issue these devices new ones`
}

/** The CN, which a person chose; without one, any other name of the holder. */
export function nameOf(certificate: Certificate): string | undefined {
  const common = lastAttribute(certificate.subject, ATTRIBUTE.commonName)
  return common === undefined ? certificateIdentity(certificate) : common.text
}

const CERTIFICATE_NAMES: ReadonlySet<string> = new Set(['.pem', '.crt', '.cer', '.der'])

/** Reads every certificate of the CA in a folder; ignores other files. */
export async function readCertificates(folder: string, issuer: Issuer) {
  const read: FoundCertificate[] = []
  const skipped: string[] = []
  for (const name of await listGiven(folder)) {
    if (!CERTIFICATE_NAMES.has(extname(name).toLowerCase())) continue
    const path = join(folder, name)
    for (const der of readBlocks(await readFile(path), 'CERTIFICATE')) {
      const certificate = der && readCertificate(der)
      if (der === undefined || certificate === undefined) {
        skipped.push(`${path} holds a certificate that is not in strict DER`)
      } else if (isOf(issuer, certificate)) {
        const verdict = verifyCertificate(der, [issuer])
        read.push({ path, certificate, problem: verdict.ok ? undefined : verdict.problem })
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
    throw usageError(`${folder} ${describeFileError(error)}`)
  }
}
