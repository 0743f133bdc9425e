import { generateKeyPair, type KeyObject, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { type Certificate, readCertificate } from '../certificate/certificate.ts'
import { BACKDATE_SECONDS, issueCertificate, publicKeyInfoOf } from '../certificate/issue.ts'
import { writePem } from '../certificate/pem.ts'
import { packageFileName } from '../enrollment/file-name.ts'
import type { Packages } from '../enrollment/packages.ts'
import { PASSWORD_RANDOM_BYTES, packagePassword } from '../enrollment/password.ts'
import { type Pkcs12Form, writePkcs12 } from '../enrollment/pkcs12.ts'
import { writeProfile } from '../enrollment/profile.ts'
import type { Device, DeviceCertificate } from '../store/device-registry.ts'
import { readActiveSigner, readOwnAuthorities } from './authorities.ts'
import { CommandError } from './command-error.ts'
import type { Directory } from './locked-directory.ts'
import type { Package } from './pending-delivery.ts'

export const KEY_TYPES = ['p256', 'rsa2048'] as const
type KeyType = (typeof KEY_TYPES)[number]
export const PACKAGE_FORMATS = ['p12', 'mobileconfig', 'pem'] as const
type PackageFormat = (typeof PACKAGE_FORMATS)[number]

/** How a certificate is issued and packed. */
export interface IssueOptions {
  readonly days: number
  readonly key: KeyType
  readonly format: PackageFormat
  readonly form: Pkcs12Form
  /** SubjectPublicKeyInfo of a signing request: then there is no private key to pack. */
  readonly publicKeyInfo: Buffer | undefined
  /** The folder of the package; `undefined`: the caller prints it. */
  readonly folder: string | undefined
}

/** A new certificate and its entry for the registry, not registered yet. */
interface Certified {
  readonly certificate: Certificate
  readonly entry: DeviceCertificate
}

/** The same with its package. */
export interface Issued extends Certified {
  readonly package: Package
  /** `undefined` if nothing is encrypted. */
  readonly password: string | undefined
}

/** The same with all packages of an invitation. */
export interface IssuedPackages extends Certified {
  readonly packages: Packages
}

const SECONDS_PER_DAY = 86_400
const generate = promisify(generateKeyPair)

type NamedDevice = Pick<Device, 'id' | 'name'>

/** Creates key, certificate and package for a device; writes nothing. */
export async function issueFor(
  directory: Directory,
  device: NamedDevice,
  options: IssueOptions,
): Promise<Issued> {
  const { days, format, form, folder } = options
  const privateKey = options.publicKeyInfo ? undefined : await generateKey(options.key)
  const publicKeyInfo = options.publicKeyInfo ?? publicKeyInfoOf(privateKey as KeyObject)
  const certified = await certify(directory, device, publicKeyInfo, days * SECONDS_PER_DAY)
  const { der, serial } = certified.certificate
  const packed = (extension: string, content: string | Buffer, password?: string): Issued => {
    const path = folder && `${folder}/${packageFileName(device.name, serial, extension)}`
    return { ...certified, package: { path, content: Buffer.from(content) }, password }
  }
  const certificatePem = writePem('CERTIFICATE', der)
  if (privateKey === undefined) return packed('crt', certificatePem)
  if (format === 'pem') {
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
    return packed('pem', `${key}${certificatePem}`)
  }
  const { password, pkcs12, profile } = encryptedPackages(device, certified, privateKey)
  return format === 'p12'
    ? packed('p12', pkcs12(form), password)
    : packed('mobileconfig', profile(pkcs12(form)), password)
}

/** Creates key, certificate and every package for a device; writes nothing. */
export async function issuePackagesFor(
  directory: Directory,
  device: NamedDevice,
  { days, key }: Pick<IssueOptions, 'days' | 'key'>,
): Promise<IssuedPackages> {
  const privateKey = await generateKey(key)
  const publicKeyInfo = publicKeyInfoOf(privateKey)
  const certified = await certify(directory, device, publicKeyInfo, days * SECONDS_PER_DAY)
  const made = encryptedPackages(device, certified, privateKey)
  const p12 = made.pkcs12('compat')
  const packages = {
    password: made.password,
    fileName: made.fileName.replace(/\.p12$/, ''),
    p12,
    modernP12: made.pkcs12('modern'),
    mobileconfig: Buffer.from(made.profile(p12, made.password)),
  }
  return { ...certified, packages }
}

/** Issues a certificate of the active CA for a device's key; it does not outlive the CA. */
export async function certify(
  directory: Directory,
  device: NamedDevice,
  publicKeyInfo: Buffer,
  seconds: number,
): Promise<Certified> {
  const { nowSeconds, paths } = directory
  const signer = await readActiveSigner(directory, await readOwnAuthorities(paths))
  const { certificate: authority } = signer
  if (authority.notAfter <= nowSeconds) {
    throw new CommandError('the CA has expired', { hint: 'run certlatch ca renew first' })
  }
  const der = issueCertificate(
    {
      // Not before its CA's notBefore: until then the CA itself is not valid.
      notBefore: Math.max(nowSeconds - BACKDATE_SECONDS, authority.notBefore),
      notAfter: Math.min(nowSeconds + seconds, authority.notAfter),
      commonName: device.name,
      publicKeyInfo,
      serial: randomBytes(16),
      uri: `urn:uuid:${device.id}`,
    },
    signer,
  )
  const certificate = readCertificate(der)
  if (certificate === undefined) throw new Error('made a certificate that cannot be read back')
  const { keyHash: issuerKeyHash } = signer.issuer
  const { serial, notBefore, notAfter } = certificate
  const entry = { issuerKeyHash, serial, notBefore, notAfter, issuedAt: nowSeconds }
  return { certificate, entry }
}

async function generateKey(type: KeyType): Promise<KeyObject> {
  const { privateKey } =
    type === 'p256'
      ? await generate('ec', { namedCurve: 'prime256v1' })
      : await generate('rsa', { modulusLength: 2048 })
  return privateKey
}

/** The packages that a new password protects. */
function encryptedPackages(
  device: NamedDevice,
  { certificate: { der, serial, issuer } }: Certified,
  privateKey: KeyObject,
) {
  const password = packagePassword(randomBytes(PASSWORD_RANDOM_BYTES))
  const fileName = packageFileName(device.name, serial, 'p12')
  const request = { friendlyName: device.name, password, certificate: der, privateKey }
  return {
    password,
    fileName,
    pkcs12: (form: Pkcs12Form) => writePkcs12({ ...request, form }, randomBytes),
    profile: (pkcs12: Buffer, included?: string) =>
      writeProfile({
        deviceName: device.name,
        deviceId: device.id,
        organization: organizationOf(issuer),
        fileName,
        pkcs12,
        password: included,
      }),
  }
}

const organizationOf = ({ attributes }: Certificate['issuer']): string =>
  attributes.find(({ text }) => text !== undefined)?.text ?? 'certlatch'
