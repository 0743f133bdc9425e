import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isPrintableName } from '../certificate/identity.ts'
import { errorCode, MODE, makeFolder, replaceFile } from './files.ts'

/** A device that our own CA has given certificates to. */
export interface Device {
  readonly name: string
  readonly owner: string | undefined
  readonly certificates: readonly DeviceCertificate[]
}

interface DeviceCertificate {
  /** As in `Issuer.keyHash` and `Certificate.serial`. */
  readonly issuerKeyHash: string
  readonly serial: string
  /** Unix seconds. */
  readonly notBefore: number
  readonly notAfter: number
}

/** Devices by what their certificates are: `<issuer key hash>/<serial>`. */
export type DeviceRegistry = ReadonlyMap<string, Device>

export const deviceKey = (issuerKeyHash: string, serial: string): string =>
  `${issuerKeyHash}/${serial}`

const SCHEMA_VERSION = 1
const ENTRY = /^[0-9a-f-]{1,64}\.json$/
const SERIAL = /^-?(?:[0-9a-f]{2}){1,21}$/
const KEY_HASH = /^[A-Za-z0-9_-]{43}$/

export type ReadRegistry =
  | { readonly ok: true; readonly registry: DeviceRegistry }
  | { readonly ok: false; readonly problem: string }

/** Joins the entries of the folder; names of devices and their certificates are unique. */
export function readRegistry(files: ReadonlyMap<string, string>): ReadRegistry {
  const registry = new Map<string, Device>()
  const names = new Map<string, string>()
  const owned: Device[] = []
  for (const [file, text] of files) {
    const device = readDevice(text)
    if (device === undefined) return { ok: false, problem: `${file} is not a device entry` }
    if (names.has(device.name)) {
      return { ok: false, problem: `${file} repeats the device name "${device.name}"` }
    }
    names.set(device.name, file)
    if (device.owner !== undefined && device.owner !== device.name) owned.push(device)
    for (const { issuerKeyHash, serial } of device.certificates) {
      const key = deviceKey(issuerKeyHash, serial)
      if (registry.has(key)) {
        return { ok: false, problem: `${file} repeats the certificate of another device` }
      }
      registry.set(key, device)
    }
  }
  for (const { owner = '' } of owned) {
    // The application could not tell the one from the other.
    const file = names.get(owner)
    if (file !== undefined) {
      return { ok: false, problem: `${file} has the name of another device's owner, "${owner}"` }
    }
  }
  return { ok: true, registry }
}

function readDevice(text: string): Device | undefined {
  const entry = parseObject(text)
  if (entry === undefined || entry['schemaVersion'] !== SCHEMA_VERSION) return undefined
  const { name, owner, certificates } = entry
  if (typeof name !== 'string' || !isPrintableName(name)) return undefined
  if (owner !== undefined && (typeof owner !== 'string' || !isPrintableName(owner))) {
    return undefined
  }
  if (!Array.isArray(certificates) || !certificates.every(isDeviceCertificate)) return undefined
  return { name, owner, certificates }
}

function parseObject(text: string): { [field: string]: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

function isDeviceCertificate(value: unknown): value is DeviceCertificate {
  if (typeof value !== 'object' || value === null) return false
  const { issuerKeyHash, serial, notBefore, notAfter } = value as Record<string, unknown>
  return (
    typeof issuerKeyHash === 'string' &&
    KEY_HASH.test(issuerKeyHash) &&
    typeof serial === 'string' &&
    SERIAL.test(serial) &&
    Number.isSafeInteger(notBefore) &&
    Number.isSafeInteger(notAfter)
  )
}

/** The names of the entries in a registry folder; none if there is no such folder. */
export async function listRegistryFolder(folder: string): Promise<readonly string[]> {
  return (await listFolder(folder)).filter((entry) => ENTRY.test(entry)).sort()
}

/** The texts of a registry folder by file name. */
export async function readRegistryFolder(folder: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>()
  for (const name of await listRegistryFolder(folder)) {
    files.set(name, await readFile(join(folder, name), 'utf8'))
  }
  return files
}

async function listFolder(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  }
}

/** Adds or replaces the entry `<id>.json`, atomically. */
export async function writeDevice(folder: string, id: string, device: Device): Promise<void> {
  await makeFolder(folder, MODE.secretFolder)
  const entry = { schemaVersion: SCHEMA_VERSION, ...device }
  await replaceFile(
    join(folder, `${id}.json`),
    `${JSON.stringify(entry, undefined, 2)}\n`,
    MODE.secret,
  )
}
