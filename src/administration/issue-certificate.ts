import { createHash, generateKeyPair, type KeyObject, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { type Certificate, readCertificate } from '../certificate/certificate.ts'
import { BACKDATE_SECONDS, issueCertificate, publicKeyInfoOf } from '../certificate/issue.ts'
import { writePem } from '../certificate/pem.ts'
import { packageFileName } from '../enrollment/file-name.ts'
import type { Packages } from '../enrollment/packages.ts'
import { PASSWORD_RANDOM_BYTES, packagePassword } from '../enrollment/password.ts'
import { type Pkcs12Form, writePkcs12 } from '../enrollment/pkcs12.ts'
import { writeProfile } from '../enrollment/profile.ts'
import type { Signer } from './authorities.ts'
import { CommandError } from './command-error.ts'
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
  /** The folder of the package. */
  readonly folder: string
}

/** A new certificate in its package, not registered yet. */
export interface Issued {
  readonly certificate: Certificate
  readonly package: Package
  /** `undefined` if nothing is encrypted. */
  readonly password: string | undefined
}

const SECONDS_PER_DAY = 86_400
const generate = promisify(generateKeyPair)

type NamedDevice = { readonly id: string; readonly name: string }

/** Creates key, certificate and package for a device; writes nothing. */
export async function issueFor(
  device: NamedDevice,
  signer: Signer,
  options: IssueOptions,
  nowSeconds: number,
): Promise<Issued> {
  const { certificate, privateKey } = await issueKeyPair(device, signer, options, nowSeconds)
  return { certificate, ...pack(device, certificate, privateKey, signer, options) }
}

/** A new certificate with all packages of an invitation. */
export interface IssuedPackages {
  readonly certificate: Certificate
  readonly packages: Packages
}

/** Creates key, certificate and every package for a device; writes nothing. */
export async function issuePackagesFor(
  device: NamedDevice,
  signer: Signer,
  options: Pick<IssueOptions, 'days' | 'key'>,
  nowSeconds: number,
): Promise<IssuedPackages> {
  const made = { ...options, publicKeyInfo: undefined }
  const { certificate, privateKey } = await issueKeyPair(device, signer, made, nowSeconds)
  if (privateKey === undefined) throw new Error('a certificate without a signing request has a key')
  const password = packagePassword(randomBytes(PASSWORD_RANDOM_BYTES))
  const request = {
    friendlyName: device.name,
    password,
    certificate: certificate.der,
    privateKey,
  }
  const p12 = writePkcs12({ ...request, form: 'compat' }, randomBytes)
  const fileName = packageFileName(device.name, certificate.serial, 'p12')
  const profile = writeProfile({
    deviceName: device.name,
    deviceId: device.id,
    organization: organizationOf(signer.issuer.certificate),
    fileName,
    pkcs12: p12,
    password,
  })
  const packages = {
    password,
    fileName: fileName.replace(/\.p12$/, ''),
    p12,
    modernP12: writePkcs12({ ...request, form: 'modern' }, randomBytes),
    mobileconfig: Buffer.from(profile),
  }
  return { certificate, packages }
}

async function issueKeyPair(
  device: NamedDevice,
  signer: Signer,
  options: Pick<IssueOptions, 'days' | 'key' | 'publicKeyInfo'>,
  nowSeconds: number,
): Promise<{ readonly certificate: Certificate; readonly privateKey: KeyObject | undefined }> {
  const privateKey = options.publicKeyInfo ? undefined : await generateKey(options.key)
  const publicKeyInfo = options.publicKeyInfo ?? publicKeyInfoOf(privateKey as KeyObject)
  const seconds = options.days * SECONDS_PER_DAY
  return { certificate: certify(device, signer, publicKeyInfo, seconds, nowSeconds), privateKey }
}

/** Issues a certificate for a device's key; it does not outlive the CA. */
export function certify(
  device: NamedDevice,
  { authority }: Signer,
  publicKeyInfo: Buffer,
  seconds: number,
  nowSeconds: number,
): Certificate {
  if (authority.certificate.notAfter <= nowSeconds) {
    throw new CommandError('the CA has expired', { hint: 'run certlatch ca renew first' })
  }
  const der = issueCertificate(
    {
      // Not before its CA's notBefore: until then the CA itself is not valid.
      notBefore: Math.max(nowSeconds - BACKDATE_SECONDS, authority.certificate.notBefore),
      notAfter: Math.min(nowSeconds + seconds, authority.certificate.notAfter),
      commonName: device.name,
      publicKeyInfo,
      serial: randomBytes(16),
      uri: `urn:uuid:${device.id}`,
    },
    authority,
  )
  const certificate = readCertificate(der)
  if (certificate === undefined) throw new Error('made a certificate that cannot be read back')
  return certificate
}

async function generateKey(type: KeyType): Promise<KeyObject> {
  const { privateKey } =
    type === 'p256'
      ? await generate('ec', { namedCurve: 'prime256v1' })
      : await generate('rsa', { modulusLength: 2048 })
  return privateKey
}

function pack(
  device: NamedDevice,
  certificate: Certificate,
  privateKey: KeyObject | undefined,
  { issuer }: Signer,
  { format, form, folder }: IssueOptions,
): Omit<Issued, 'certificate'> {
  const named = (extension: string, content: Buffer): Package => {
    const name = packageFileName(device.name, certificate.serial, extension)
    return { path: `${folder}/${name}`, content }
  }
  const certificatePem = writePem('CERTIFICATE', certificate.der)
  if (privateKey === undefined) {
    return { package: named('crt', Buffer.from(certificatePem)), password: undefined }
  }
  if (format === 'pem') {
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
    return { package: named('pem', Buffer.from(`${key}${certificatePem}`)), password: undefined }
  }
  const password = packagePassword(randomBytes(PASSWORD_RANDOM_BYTES))
  const pkcs12 = writePkcs12(
    { form, friendlyName: device.name, password, certificate: certificate.der, privateKey },
    randomBytes,
  )
  if (format === 'p12') return { package: named('p12', pkcs12), password }
  const profile = writeProfile({
    deviceName: device.name,
    deviceId: device.id,
    organization: organizationOf(issuer.certificate),
    fileName: packageFileName(device.name, certificate.serial, 'p12'),
    pkcs12,
  })
  return { package: named('mobileconfig', Buffer.from(profile)), password }
}

const organizationOf = ({ subject }: Certificate): string =>
  subject.attributes.find(({ text }) => text !== undefined)?.text ?? 'certlatch'

/** A fingerprint as browsers and phones show it: `AB:CD:…`. */
export function fingerprint(der: Buffer, algorithm: 'sha256' | 'sha1'): string {
  const digest = createHash(algorithm).update(der).digest('hex').toUpperCase()
  return (digest.match(/../g) ?? []).join(':')
}
