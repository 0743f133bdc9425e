import { createHash } from 'node:crypto'
import { readFile as readFileCallback } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type CertificateId, certificateKey } from '../certificate/certificate-id.ts'
import { comparableName, isPrintableName } from '../certificate/identity.ts'
import { isInvitationId } from '../enrollment/invitation-code.ts'
import type { Result } from '../result.ts'
import { listIfThere, MODE, makeFolder, replaceFile } from './files.ts'
import { isCertificateId, isOptional, isString, isTime, parseObject } from './json-file.ts'

/** A device with certificates of the built-in CA. */
export interface Device {
  /** The entry's file name without `.json`. */
  readonly id: string
  readonly name: string
  readonly owner: string | undefined
  /** In the order of issue; empty if the first one was never handed out. */
  readonly certificates: readonly DeviceCertificate[]
  /** Marks the device of `certlatch doctor`, which no list, metric or alert shows. */
  readonly doctor?: true
}

/** What is recorded of a certificate; all times in Unix seconds. */
export interface DeviceCertificate extends CertificateId {
  readonly notBefore: number
  readonly notAfter: number
  /** The time of issue, which is later than notBefore. */
  readonly issuedAt?: number | undefined
  /** Set by a renewal: the certificate is denied from then on. */
  readonly endsAt?: number | undefined
  /** Why it is denied although the CA has signed it; only imported certificates have this. */
  readonly unfit?: string | undefined
  /** Set once the CRL lists it; the CRL alone decides. */
  readonly revokedAt?: number | undefined
  /** A reason of RFC 5280 §5.3.1. */
  readonly reason?: string | undefined
  /** Set if the certificate was issued for an invitation. */
  readonly invitation?: CertificateInvitation | undefined
}

/** The invitation that delivers a certificate to its device; all times in Unix seconds. */
export interface CertificateInvitation {
  /** As in `Invitation.id`. */
  readonly id: string
  /** Not collected by then, the certificate is no longer accepted. */
  readonly endsAt: number
  /** A renewal's: how long the device's other certificates are accepted after the collection. */
  readonly overlapSeconds?: number | undefined
  readonly collectedAt?: number | undefined
  /** The browser and address that collected it, for people. */
  readonly collectedBy?: string | undefined
}

/** Whether the certificate is sealed in an invitation that was not collected. */
export const isInvited = ({ invitation }: Pick<DeviceCertificate, 'invitation'>): boolean =>
  invitation !== undefined && invitation.collectedAt === undefined

/** The certificates that a device has or can still collect. */
export const certificatesOf = (
  { certificates }: Device,
  nowSeconds: number,
): readonly DeviceCertificate[] =>
  certificates.filter(
    (certificate) => !isInvited(certificate) || nowSeconds < (acceptedUntil(certificate) ?? 0),
  )

/** Until when the registry allows the certificate, Unix seconds; `undefined`: no limit. */
export function acceptedUntil(certificate: DeviceCertificate): number | undefined {
  const { endsAt, invitation } = certificate
  if (invitation === undefined || !isInvited(certificate)) return endsAt
  return Math.min(endsAt ?? invitation.endsAt, invitation.endsAt)
}

/** When a certificate expires, or is denied earlier because it was replaced; Unix seconds. */
export const endTimeOf = ({
  endsAt,
  notAfter,
}: Pick<DeviceCertificate, 'endsAt' | 'notAfter'>): number => Math.min(endsAt ?? notAfter, notAfter)

/** Whether a renewal still has to limit the certificate: it has neither ended nor been revoked. */
export const isStillValid = (certificate: DeviceCertificate, nowSeconds: number): boolean =>
  certificate.revokedAt === undefined && nowSeconds < endTimeOf(certificate)

/** The certificate as a renewal leaves it. Never extends an earlier end. */
export const withEnd = (certificate: DeviceCertificate, endsAt: number): DeviceCertificate => ({
  ...certificate,
  endsAt: Math.min(certificate.endsAt ?? endsAt, endsAt),
})

interface RegisteredCertificate {
  readonly device: Device
  readonly certificate: DeviceCertificate
}

export interface DeviceRegistry {
  readonly devices: readonly Device[]
  /** By `certificateKey`. */
  readonly byCertificate: ReadonlyMap<string, RegisteredCertificate>
}

const SCHEMA_VERSION = 1
const ENTRY = /^[0-9a-f-]{1,64}\.json$/

export type ReadRegistry = Result<{ registry: DeviceRegistry }>

/**
 * Joins the entries of the folder. Device names and certificates are unique; the certificate with
 * the serial number `undelivered` is left out.
 */
export function readRegistry(
  files: ReadonlyMap<string, string>,
  undelivered?: string,
): ReadRegistry {
  const { broken, ...registry } = sortEntries(files, undelivered)
  const [first] = broken
  return first === undefined ? { ok: true, registry } : { ok: false, problem: first.problem }
}

/** An entry that is not valid, or contradicts another one. */
export interface BrokenEntry {
  /** Begins with the file's name. */
  readonly problem: string
  /** The device's name, if there is another entry of that name or certificate. */
  readonly name: string | undefined
}

export interface SortedEntries extends DeviceRegistry {
  readonly broken: readonly BrokenEntry[]
}

/** The same, with broken entries set aside. */
export function sortEntries(
  files: ReadonlyMap<string, string>,
  undelivered?: string,
): SortedEntries {
  const byCertificate = new Map<string, RegisteredCertificate>()
  const devices: Device[] = []
  const broken: BrokenEntry[] = []
  const names = new Map<string, string>()
  for (const [file, text] of files) {
    const device = readDevice(file.replace(/\.json$/, ''), text)
    const keys = device?.certificates.map((it) => certificateKey(it)) ?? []
    if (device === undefined) {
      broken.push({ problem: `${file} is not a device entry`, name: undefined })
    } else if (names.has(comparableName(device.name))) {
      const problem = `${file} repeats the device name "${device.name}"`
      broken.push({ problem, name: device.name })
    } else if (keys.some((key, index) => byCertificate.has(key) || keys.indexOf(key) < index)) {
      const problem = `${file} repeats the certificate of another device`
      broken.push({ problem, name: device.name })
    } else {
      names.set(comparableName(device.name), file)
      devices.push(device)
      for (const [index, certificate] of device.certificates.entries()) {
        if (certificate.serial === undelivered) continue
        byCertificate.set(keys[index] ?? '', { device, certificate })
      }
    }
  }
  for (const { name, owner } of devices) {
    // The application could not tell the two apart.
    const user = comparableName(owner ?? name)
    const file = user === comparableName(name) ? undefined : names.get(user)
    if (file !== undefined) {
      const problem = `${file} has the name of another device's owner, "${owner}"`
      broken.push({ problem, name: undefined })
    }
  }
  return { devices, byCertificate, broken }
}

function readDevice(id: string, text: string): Device | undefined {
  const entry = parseObject(text)
  return entry?.['schemaVersion'] === SCHEMA_VERSION ? readFields(id, entry) : undefined
}

/** Reads a device that is part of another file; `undefined` if it is not one. */
export function deviceOf(value: unknown): Device | undefined {
  const fields = (value ?? {}) as Record<string, unknown>
  const { id } = fields
  return typeof id === 'string' && ENTRY.test(`${id}.json`) ? readFields(id, fields) : undefined
}

function readFields(
  id: string,
  { name, owner, certificates, doctor }: Readonly<Record<string, unknown>>,
): Device | undefined {
  if (!isName(name) || !isOptional(owner, isName)) return undefined
  if (!Array.isArray(certificates) || !certificates.every(isDeviceCertificate)) return undefined
  if (doctor !== undefined && doctor !== true) return undefined
  return { id, name, owner, certificates, ...(doctor && { doctor }) }
}

const isName = (value: unknown): value is string => isString(value) && isPrintableName(value)

function isDeviceCertificate(value: unknown): value is DeviceCertificate {
  const fields = (value ?? {}) as Partial<Record<keyof DeviceCertificate, unknown>>
  return (
    isTime(fields.notBefore) &&
    isTime(fields.notAfter) &&
    [fields.issuedAt, fields.endsAt, fields.revokedAt].every((time) => isOptional(time, isTime)) &&
    isOptional(fields.reason, isString) &&
    isOptional(fields.unfit, isString) &&
    isOptional(fields.invitation, isCertificateInvitation) &&
    isCertificateId(fields)
  )
}

function isCertificateInvitation(value: unknown): value is CertificateInvitation {
  const fields = (value ?? {}) as Partial<Record<keyof CertificateInvitation, unknown>>
  return (
    isString(fields.id) &&
    isInvitationId(fields.id) &&
    isTime(fields.endsAt) &&
    isOptional(fields.overlapSeconds, isTime) &&
    isOptional(fields.collectedAt, isTime) &&
    isOptional(fields.collectedBy, isString)
  )
}

/** The names of the entries in a registry folder; none if there is no such folder. */
export async function listRegistryFolder(folder: string): Promise<readonly string[]> {
  return (await listIfThere(folder)).filter((entry) => ENTRY.test(entry)).sort()
}

/** For ten thousand small files it takes two thirds of the time of `readFile` from fs/promises. */
const readFile = promisify(readFileCallback)

/** Keeps the disk busy with few open files. */
const READ_AT_ONCE = 64

/** The texts of a registry folder by file name. */
export async function readRegistryFolder(folder: string): Promise<ReadonlyMap<string, string>> {
  const names = await listRegistryFolder(folder)
  const files = new Map<string, string>()
  for (let start = 0; start < names.length; start += READ_AT_ONCE) {
    const some = names.slice(start, start + READ_AT_ONCE)
    const texts = await Promise.all(some.map((name) => readFile(join(folder, name), 'utf8')))
    for (const [index, name] of some.entries()) files.set(name, texts[index] ?? '')
  }
  return files
}

/**
 * Equal for two readings if and only if entries and undelivered certificate were the same. With it, a
 * service reports which registry it has loaded.
 */
export function registryFingerprint(
  files: ReadonlyMap<string, string>,
  undelivered: string | undefined,
): string {
  const hash = createHash('sha256').update(JSON.stringify(undelivered ?? null))
  for (const [name, text] of [...files].sort(([one], [other]) => (one < other ? -1 : 1))) {
    hash.update(`${name} ${text.length} ${text}`)
  }
  return hash.digest('base64url')
}

/** Adds or replaces the entry `<id>.json`, atomically. */
export async function writeDevice(
  folder: string,
  id: string,
  device: Omit<Device, 'id'>,
): Promise<void> {
  await makeFolder(folder, MODE.secretFolder)
  await replaceFile(join(folder, `${id}.json`), writeEntry(device), MODE.secret)
}

/** The text of an entry. */
export function writeEntry({ name, owner, certificates, doctor }: Omit<Device, 'id'>): string {
  const entry = { schemaVersion: SCHEMA_VERSION, name, owner, doctor, certificates }
  return `${JSON.stringify(entry, undefined, 2)}\n`
}
