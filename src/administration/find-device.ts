import { randomUUID } from 'node:crypto'
import { comparableName } from '../certificate/identity.ts'
import { deviceNameProblem, normalizeName } from '../enrollment/device-name.ts'
import type { Device } from '../store/device-registry.ts'
import { CommandError, usageError } from './command-error.ts'
import type { Devices } from './locked-directory.ts'

export interface NewDevice {
  readonly name: string
  readonly owner: string | undefined
}

/** Refuses another certificate for a device whose certificates are all revoked. */
export function requireNotRevoked(device: Device, verb: 'add' | 'invite'): void {
  if (!isWhollyRevoked(device)) return
  throw new CommandError(`all certificates of "${device.name}" are revoked`, {
    hint: `${verb} its replacement under a new name`,
  })
}

const isWhollyRevoked = ({ certificates }: Device): boolean =>
  certificates.length > 0 && certificates.every(({ revokedAt }) => revokedAt !== undefined)

function readName(given: string, what: 'device' | 'owner'): string {
  const name = normalizeName(given)
  const problem = deviceNameProblem(name, what === 'owner' ? 'Ada Lovelace' : undefined)
  if (problem !== undefined) throw usageError(`the ${what}'s name ${problem}`)
  return name
}

/** The entry of a new device, or of one whose first certificate was never handed out. */
export function newEntry(devices: readonly Device[], given: NewDevice): Device {
  const name = readName(given.name, 'device')
  const owner = given.owner === undefined ? undefined : readName(given.owner, 'owner')
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
    ? 'it is revoked for good; give its replacement another name'
    : 'certlatch device renew issues it a new certificate, device invite --renew creates a link to one; a second device needs a name of its own'
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
      `"${name}" is ambiguous: ${names.join(' or ')}?`,
      'write the name exactly as certlatch device list shows it',
    )
  }
  const found = exact ?? same[0]
  const ambiguous = broken.find(
    (entry) =>
      entry.name !== undefined && found !== undefined && isSameName(entry.name, found.name),
  )
  if (ambiguous !== undefined) {
    throw new CommandError(`"${name}" cannot be identified: ${ambiguous.problem}`, {
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
      `there is no device "${name}" among the intact entries, and ${unreadable.problem}`,
      { hint: 'restore that file from a backup first' },
    )
  }
  return found
}
