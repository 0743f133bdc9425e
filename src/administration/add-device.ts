import { randomUUID } from 'node:crypto'
import { dirname } from 'node:path'
import type { Certificate } from '../certificate/certificate.ts'
import { isSameCertificate } from '../certificate/certificate-id.ts'
import { comparableName } from '../certificate/identity.ts'
import { writePem } from '../certificate/pem.ts'
import { deviceNameProblem, normalizeName } from '../enrollment/device-name.ts'
import type { Device, DeviceCertificate } from '../store/device-registry.ts'
import { MODE, makeFolder } from '../store/files.ts'
import { removeFile } from '../store/folder.ts'
import { isListed, readActiveSigner, readOwnAuthorities } from './authorities.ts'
import { readBlocksFile } from './block-certificate.ts'
import { type Change, changeDirectory } from './change-directory.ts'
import { CommandError, usageError } from './command-error.ts'
import { type Issued, type IssueOptions, issueFor } from './issue-certificate.ts'
import { type Devices, type Directory, requireWhole } from './locked-directory.ts'
import { deliver, takeBack } from './pending-delivery.ts'

export interface NewDevice {
  readonly name: string
  readonly owner: string | undefined
}

/** A device with its new certificate. */
export interface Added extends Issued {
  readonly device: Device
  /** Its previous entry. */
  readonly before: Device
}

/**
 * Issues a certificate for a new device and registers both. `handOut`: whether the package goes into
 * the file that its path names, or the caller prints it.
 */
export async function addDevice(
  change: Change,
  { name: given, owner: givenOwner }: NewDevice,
  options: IssueOptions,
  handOut: 'file' | 'print',
): Promise<Added> {
  const name = readName(given, 'device')
  const owner = givenOwner === undefined ? undefined : readName(givenOwner, 'owner')
  return changeDirectory(change, async (directory) => {
    const known = await directory.readDevices()
    requireWhole(directory.paths, known)
    const before = newEntry(known.devices, name, owner)
    const authorities = await readOwnAuthorities(directory.paths)
    const signer = await readActiveSigner(directory, authorities)
    const issued = await issueFor(before, signer, options, change.nowSeconds)
    const certificate = describe(issued.certificate, signer.issuer.keyHash, change.nowSeconds)
    const device = { ...before, certificates: [certificate] }
    await enter(directory, before, device, issued, handOut)
    return { ...issued, device, before }
  })
}

/** Writes a certificate's entry and its package together. */
export async function enter(
  directory: Directory,
  before: Device,
  after: Device,
  issued: Issued,
  handOut: 'file' | 'print',
): Promise<void> {
  const { certificate } = issued
  if (handOut === 'file') {
    await makeFolder(dirname(issued.package.path), MODE.secretFolder)
  }
  const parcel = handOut === 'file' ? issued.package : undefined
  await deliver(directory, { before, after, certificate }, parcel)
}

/** Takes back a certificate whose package and password were not handed out. */
export async function takeBackAdded(
  change: Change,
  { before, certificate, package: parcel }: Added,
): Promise<void> {
  await changeDirectory(change, async (directory) => {
    await takeBack(directory, { before, serial: certificate.serial })
    await removeFile(parcel.path)
  })
}

/** A certificate that a built-in CA has issued earlier. */
export interface OwnCertificate {
  readonly certificate: Certificate
  readonly issuerKeyHash: string
}

/**
 * Registers a certificate that a built-in CA has issued earlier: for a new device, or as another one
 * of an existing device.
 */
export async function registerCertificate(
  change: Change,
  { name: given, owner: givenOwner }: NewDevice,
  kind: 'new' | 'another',
  readGiven: (directory: Directory) => Promise<OwnCertificate>,
): Promise<Device> {
  const name = readName(given, 'device')
  const owner = givenOwner === undefined ? undefined : readName(givenOwner, 'owner')
  return changeDirectory(change, async (directory) => {
    const known = await directory.readDevices()
    requireWhole(directory.paths, known)
    const { devices } = known
    const { certificate, issuerKeyHash } = await readGiven(directory)
    await requireAcceptable(directory, devices, { certificate, issuerKeyHash })
    const entry = kind === 'new' ? newEntry(devices, name, owner) : findDevice(known, name)
    requireNotRevoked(entry, 'add')
    const certificates = [...entry.certificates, describe(certificate, issuerKeyHash)]
    const pem = writePem('CERTIFICATE', certificate.der)
    await directory.replace(directory.paths.certificateOf(certificate.serial), pem, MODE.secret)
    await directory.writeDevice({ ...entry, certificates })
    return { ...entry, certificates }
  })
}

/** Refuses to register a certificate that would be denied. */
async function requireAcceptable(
  { paths, nowSeconds }: Directory,
  devices: readonly Device[],
  { certificate: { serial, notAfter }, issuerKeyHash }: OwnCertificate,
): Promise<void> {
  const id = { issuerKeyHash, serial }
  const holder = devices.find(({ certificates }) =>
    certificates.some((known) => isSameCertificate(known, id)),
  )
  if (holder !== undefined) {
    throw new CommandError(`this certificate is registered already, as "${holder.name}"`)
  }
  if (notAfter < nowSeconds) {
    throw new CommandError('this certificate has expired', { hint: 'make the device a new one' })
  }
  if (isListed(await readOwnAuthorities(paths), id)) {
    throw new CommandError('this certificate is revoked', { hint: 'make the device a new one' })
  }
  const { certificates: blocked } = await readBlocksFile(paths)
  if (blocked.some((known) => isSameCertificate(known, id))) {
    throw usageError(
      'this certificate is blocked',
      'to give it access again, first run certlatch device block --lift --certificate FILE',
    )
  }
}

/** Refuses another certificate for a device whose certificates are all revoked. */
export function requireNotRevoked(device: Device, verb: 'add' | 'invite'): void {
  if (!isWhollyRevoked(device)) return
  throw new CommandError(`all certificates of "${device.name}" are revoked`, {
    hint: `${verb} the device that takes its place under a new name`,
  })
}

const isWhollyRevoked = ({ certificates }: Device): boolean =>
  certificates.length > 0 && certificates.every(({ revokedAt }) => revokedAt !== undefined)

export function describe(
  { serial, notBefore, notAfter }: Certificate,
  issuerKeyHash: string,
  issuedAt?: number,
): DeviceCertificate {
  return { issuerKeyHash, serial, notBefore, notAfter, issuedAt }
}

export function readName(given: string, what: 'device' | 'owner'): string {
  const name = normalizeName(given)
  const problem = deviceNameProblem(name, what === 'owner' ? 'Ada Lovelace' : undefined)
  if (problem !== undefined) throw usageError(`the ${what}'s name ${problem}`)
  return name
}

/** The entry of a new device, or of one whose first certificate was never handed out. */
export function newEntry(
  devices: readonly Device[],
  name: string,
  owner: string | undefined,
): Device {
  const same = devices.find((device) => isSameName(device.name, name))
  if (same !== undefined && same.certificates.length > 0) {
    throw new CommandError(`there is a device "${same.name}" already`, {
      hint: hintFor(same, name),
    })
  }
  for (const other of devices) {
    if (other === same) continue
    if (other.owner !== undefined && isSameName(other.owner, name)) {
      throw new CommandError(
        `"${name}" is the owner of "${other.name}": the application could not tell the two apart`,
        { hint: 'choose another name for the device' },
      )
    }
    if (owner !== undefined && isSameName(other.name, owner)) {
      throw new CommandError(
        `the owner "${owner}" is also the name of a device: the application could not tell the two apart`,
        { hint: 'choose another owner' },
      )
    }
  }
  return { id: same?.id ?? randomUUID(), name, owner, certificates: [] }
}

function hintFor(device: Device, given: string): string {
  if (device.name !== given) return 'names have to differ in more than upper and lower case'
  return isWhollyRevoked(device)
    ? 'it is revoked for good; give the device that takes its place another name'
    : 'certlatch device renew makes it a new certificate, device invite --renew a link to one; a second device needs a name of its own'
}

/** Stricter than the comparison in a decision: no two names differ only in case. */
const isSameName = (one: string, other: string): boolean =>
  comparableName(one).toLocaleLowerCase('en') === comparableName(other).toLocaleLowerCase('en')

/** The device of that name. Throws a CommandError if there is none, or more than one may be meant. */
export function findDevice({ devices, broken }: Devices, given: string): Device {
  const name = normalizeName(given)
  const shown = devices.filter(({ doctor }) => doctor === undefined)
  const same = shown.filter((device) => isSameName(device.name, name))
  const exact = same.find((device) => device.name.normalize('NFC') === name)
  if (exact === undefined && same.length > 1) {
    const names = same.map((device) => `"${device.name}"`)
    throw usageError(
      `which "${name}"? there are ${names.join(' and ')}`,
      'write the name exactly as certlatch device list shows it',
    )
  }
  const found = exact ?? same[0]
  const ambiguous = broken.find(
    (entry) =>
      entry.name !== undefined && found !== undefined && isSameName(entry.name, found.name),
  )
  if (ambiguous !== undefined) {
    throw new CommandError(`which "${name}"? ${ambiguous.problem}`, {
      hint: 'restore it from a backup first',
    })
  }
  if (found === undefined) {
    const [unreadable] = broken
    if (unreadable === undefined) {
      throw new CommandError(`there is no device "${name}"`, {
        hint: 'certlatch device list shows all',
      })
    }
    throw new CommandError(
      `there is no device "${name}" among the entries that are whole, and ${unreadable.problem}`,
      { hint: 'restore that file from a backup first' },
    )
  }
  return found
}
