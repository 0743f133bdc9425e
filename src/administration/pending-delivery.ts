import { lstat, rm, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import type { Certificate } from '../certificate/certificate.ts'
import { writePem } from '../certificate/pem.ts'
import { isPackageFileName } from '../enrollment/file-name.ts'
import { isInvitationId } from '../enrollment/invitation-code.ts'
import { type Device, deviceOf } from '../store/device-registry.ts'
import {
  MODE,
  makeFolder,
  readTextIfThere,
  renameFile,
  syncFolder,
  writeDurably,
} from '../store/files.ts'
import { inFolder, removeFile } from '../store/folder.ts'
import { isSerial, parseObject } from '../store/json-file.ts'
import type { Directory } from './locked-directory.ts'

/** A package to be handed out. */
export interface Package {
  /** Its final path; `undefined`: the caller prints it. */
  readonly path: string | undefined
  readonly content: Buffer
}

/** A new certificate with its package, and the device's entry without and with it. */
interface Delivery {
  readonly before: Device
  readonly after: Device
  readonly certificate: Certificate
  readonly package: Package
}

/** `undelivered.json`: exists while a certificate is being handed out. */
interface Undelivered {
  /** The device's previous entry. */
  readonly before: Device
  readonly serial: string
  /** The package's temporary and final path, if it goes into a file. */
  readonly files: readonly string[]
}

/**
 * Registers a new certificate and hands its package out, both or neither: until the package is at its
 * path, a note records how to take the entry back. A command that is killed in between has not shown
 * the password, so what is taken back was never usable.
 */
export async function deliver(
  directory: Directory,
  { before, after, certificate: { serial, der }, package: { path, content } }: Delivery,
): Promise<void> {
  const { paths } = directory
  const staged = path === undefined ? undefined : { path, temporary: temporaryOf(path, serial) }
  if (staged !== undefined) await makeFolder(dirname(staged.path), MODE.secretFolder)
  const files = staged === undefined ? [] : [resolve(staged.temporary), resolve(staged.path)]
  const note: Undelivered = { before, serial, files }
  await directory.replace(paths.undelivered, JSON.stringify(note), MODE.secret)
  try {
    const pem = writePem('CERTIFICATE', der)
    await directory.replace(paths.certificateOf(serial), pem, MODE.secret)
    if (staged !== undefined) {
      await removeFile(staged.temporary)
      await writeDurably(staged.temporary, content, MODE.secret)
    }
    await directory.writeDevice(after)
    if (staged !== undefined) await renameFile(staged.temporary, staged.path)
    await directory.remove(paths.undelivered)
    // A note that reappears after a power cut would take back a certificate already in use.
    await syncFolder(paths.privateFolder)
  } catch (error) {
    // If this fails as well, as on a full disk, the note is left for the next command.
    await withdrawUndelivered(directory).catch(() => undefined)
    throw error
  }
}

const temporaryOf = (path: string, serial: string): string => `${path}.${serial.slice(-12)}.tmp`

/** Takes back a certificate that was registered but never handed out. */
export async function withdrawUndelivered(directory: Directory): Promise<void> {
  const { paths, notify } = directory
  const text = await readTextIfThere(paths.undelivered)
  if (text === undefined) return
  const note = readNote(text, resolve(paths.invitations))
  for (const file of note?.files ?? []) {
    // Its folder may be unreachable by now; the package there is useless.
    const outcome = await removePackage(directory, file).catch(() => 'gone')
    if (outcome === 'left') {
      notify(`left: ${file} is in a folder of another user; it is of no use, so delete it there`)
    }
  }
  if (note !== undefined) await takeBack(directory, note)
  await directory.remove(paths.undelivered)
}

/**
 * The service's user can write the note, and root acts on it: so only what a command can have written
 * is accepted.
 */
function readNote(text: string, invitations: string): Undelivered | undefined {
  const { before: given, serial, files } = parseObject(text) ?? {}
  const before = deviceOf(given)
  if (before === undefined || !isSerial(serial) || !Array.isArray(files)) return undefined
  return { before, serial, files: files.filter((file) => isPackageOf(file, serial, invitations)) }
}

function isPackageOf(file: unknown, serial: string, invitations: string): file is string {
  if (typeof file !== 'string' || !isAbsolute(file)) return false
  const end = temporaryOf('', serial)
  const place = file.endsWith(end) ? file.slice(0, -end.length) : file
  return isPackageFileName(basename(place), serial) || isInvitationFile(place, invitations)
}

/** The packages of an invitation are in the data directory itself, under the invitation's id. */
const isInvitationFile = (place: string, invitations: string): boolean =>
  dirname(place) === invitations && isInvitationId(basename(place).replace(/\.json$/, ''))

/** Removes a file only where the owner of the data directory could do so as well. */
async function removePackage({ paths }: Directory, file: string): Promise<'gone' | 'left'> {
  const owner = await inFolder(paths.privateFolder, ({ path }) => stat(path))
  return await inFolder(dirname(file), async (folder) => {
    const path = join(folder.path, basename(file))
    const isOurs = process.geteuid?.() !== 0 || (await stat(folder.path)).uid === owner.uid
    if (isOurs) await rm(path, { force: true })
    else await lstat(path)
    return isOurs ? 'gone' : 'left'
  })
}

/**
 * Restores the device's previous entry, and removes the copy of the certificate. Nothing else can have
 * changed the entry: every command takes back what is undelivered before it changes anything.
 */
async function takeBack(directory: Directory, { before, serial }: Undelivered): Promise<void> {
  const { devices } = await directory.readDevices()
  const now = devices.find(({ id }) => id === before.id)
  if (now?.certificates.some((certificate) => certificate.serial === serial)) {
    await directory.writeDevice(before)
  }
  await directory.remove(directory.paths.certificateOf(serial))
}
