import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { readBlocks } from '../certificate/pem.ts'
import type { Result } from '../result.ts'
import { writeKey } from '../session/key-ring.ts'
import { type AuthorityOptions, type MadeAuthority, makeAuthority } from './create-authority.ts'
import {
  exists,
  ifThere,
  listIfThere,
  MODE,
  makeFolder,
  midChange,
  removeTemporaries,
  removeTree,
  renameFile,
  replaceFile,
} from './files.ts'
import { inFolder, readOwnFile } from './folder.ts'
import { acquireLock } from './lock.ts'

/** The paths in the data directory. */
export interface DataPaths {
  readonly publicFolder: string
  readonly privateFolder: string
  readonly authority: string
  readonly revocationList: string
  readonly authorityKey: string
  readonly sessionKeys: string
  readonly devices: string
  readonly blocks: string
  readonly running: string
  /** The keys of previous CAs, `<key hash>.key`: they still sign their own CRLs. */
  readonly previous: string
  readonly certificates: string
  readonly invitations: string
  /** Exist only while a command runs. */
  readonly nextAuthority: string
  readonly nextAuthorityKey: string
  readonly undelivered: string
  /** Exists only while `certlatch doctor` runs. */
  readonly doctor: string
  /** A copy of a certificate, for people and `explain`; no decision depends on it. */
  certificateOf(serial: string): string
  previousKeyOf(keyHash: string): string
}

export function dataPaths(dataDir: string): DataPaths {
  const publicFolder = join(dataDir, 'public')
  const privateFolder = join(dataDir, 'private')
  const certificates = join(privateFolder, 'certificates')
  const previous = join(privateFolder, 'previous')
  return {
    publicFolder,
    privateFolder,
    authority: join(publicFolder, 'ca.crt'),
    revocationList: join(publicFolder, 'ca.crl'),
    authorityKey: join(privateFolder, 'ca.key'),
    sessionKeys: join(privateFolder, 'session.keys'),
    devices: join(privateFolder, 'devices'),
    blocks: join(privateFolder, 'blocks.json'),
    running: join(privateFolder, 'running'),
    previous,
    certificates,
    invitations: join(privateFolder, 'invitations'),
    nextAuthority: join(privateFolder, 'next-ca.crt'),
    nextAuthorityKey: join(privateFolder, 'next-ca.key'),
    undelivered: join(privateFolder, 'undelivered.json'),
    doctor: join(privateFolder, 'doctor.json'),
    certificateOf: (serial) => join(certificates, `${serial}.pem`),
    previousKeyOf: (keyHash) => join(previous, `${keyHash}.key`),
  }
}

/** The DER of the kept copy of a certificate, if there is one. */
export async function readCertificateCopy(
  paths: DataPaths,
  serial: string,
): Promise<Buffer | undefined> {
  const pem = await ifThere(readOwnFile(paths.certificateOf(serial)))
  return pem && readBlocks(pem, 'CERTIFICATE')[0]
}

/** Which files must exist at their default paths, or be created there. */
export interface Needed {
  readonly authority: boolean
  readonly revocationList: boolean
  readonly sessionKeys: boolean
}

/** The first contents of a data directory; keys in PEM. */
export interface FirstFiles {
  readonly authority?: Omit<MadeAuthority, 'privateKey'>
  readonly sessionKeys?: string
  /** Entries of the registry by their id. */
  readonly devices?: ReadonlyMap<string, string>
  /** Certificates issued earlier, in PEM, by serial number. */
  readonly certificates?: ReadonlyMap<string, string>
}

export type Prepared = Result<{ made: readonly string[] }>

const LOCK_WAIT_MILLISECONDS = 10_000

/**
 * A clock that shows an earlier time is wrong: certlatch did not exist then. Machines without a battery
 * show one until they have synchronized, and a CA created then would expire years too early.
 */
export const EARLIEST_NOW_SECONDS: number = Date.UTC(2026, 10, 24) / 1000

/**
 * Creates what a first start needs in an empty or missing data directory; leaves a complete one
 * alone. A half-filled one is not completed: a new CRL in place of a lost one would bring revoked
 * devices back. Throws the system's error if the folders cannot be written.
 */
export async function prepareDataDirectory(
  dataDir: string,
  needed: Needed,
  nowSeconds: number,
  makeFiles: (needed: Needed) => FirstFiles = (what) => makeFirstFiles(what, nowSeconds),
): Promise<Prepared> {
  const paths = dataPaths(dataDir)
  await completeStagedFiles(paths)
  const before = await checkFiles(dataDir, needed)
  if (before !== 'empty') return before
  if (needed.authority && nowSeconds < EARLIEST_NOW_SECONDS) {
    const [today] = new Date(nowSeconds * 1000).toISOString().split('T')
    return {
      ok: false,
      problem: `the clock of this machine is wrong (${today}): a CA created now would expire too early; set the clock, then start again`,
    }
  }
  await makeFolder(paths.publicFolder, MODE.publicFolder)
  await makeFolder(paths.privateFolder, MODE.secretFolder)
  // Two services may start at once: the second one finds the files of the first.
  const acquired = await acquireLock(paths.privateFolder, {
    who: 'first start',
    waitMilliseconds: LOCK_WAIT_MILLISECONDS,
  })
  if (!acquired.ok) return { ok: false, problem: acquired.problem }
  try {
    await completeStagedFiles(paths)
    await removeTemporaries(paths.publicFolder, paths.privateFolder, paths.devices)
    const meanwhile = await checkFiles(dataDir, needed)
    if (meanwhile !== 'empty') return meanwhile
    await stageFiles(paths, needed, makeFiles(needed))
    await completeStagedFiles(paths)
  } catch (error) {
    throw midChange(error)
  } finally {
    await acquired.lock.release()
  }
  return { ok: true, made: neededPaths(paths, needed) }
}

const neededPaths = (paths: DataPaths, needed: Needed): readonly string[] =>
  (['authority', 'revocationList', 'sessionKeys'] as const)
    .filter((name) => needed[name])
    .map((name) => paths[name])

async function checkFiles(dataDir: string, needed: Needed): Promise<Prepared | 'empty'> {
  const paths = dataPaths(dataDir)
  const names = neededPaths(paths, needed)
  const look = async () => {
    const there = await Promise.all(names.map(exists))
    const isUsed = there.includes(true) || (needed.authority && (await hasDevices(paths)))
    return { there, isUsed }
  }
  let { there, isUsed } = await look()
  if (isUsed && there.includes(false)) {
    // Another service on the same directory may be between its two steps.
    await completeStagedFiles(paths)
    ;({ there, isUsed } = await look())
  }
  if (there.every(Boolean)) return { ok: true, made: [] }
  const missing = names.filter((_, index) => !there[index])
  if (isUsed) {
    return {
      ok: false,
      problem: `the data directory ${dataDir} is half-filled: ${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} missing; ${RESTORE}`,
    }
  }
  if (needed.authority && (await exists(paths.authorityKey))) {
    return {
      ok: false,
      problem: `the data directory ${dataDir} is half-filled: ${paths.authorityKey} is there without its certificate ${paths.authority}; restore that from a backup, or move the key away to start over`,
    }
  }
  return 'empty'
}

/** Whether there are devices, or copies of certificates: these belong to a CA that is lost, not to a new one. */
async function hasDevices({ devices, certificates }: DataPaths): Promise<boolean> {
  const [entries, copies] = await Promise.all([devices, certificates].map(listIfThere))
  const isDevice = (name: string) => name.endsWith('.json')
  const isCopy = (name: string) => name.endsWith('.pem')
  return entries?.some(isDevice) === true || copies?.some(isCopy) === true
}

const RESTORE = 'restore it from a backup, or empty the directory to start over'

/** What to do about a missing file that `certlatch init` creates. */
export async function missingFileHint(paths: DataPaths): Promise<string> {
  const { authority, revocationList, authorityKey, sessionKeys, devices } = paths
  const others = await Promise.all(
    [authority, revocationList, authorityKey, sessionKeys, devices].map(exists),
  )
  return others.includes(true)
    ? RESTORE
    : 'run certlatch init first, or set CERTLATCH_DATA_DIR to the one that certlatch serve uses'
}

/** A first start writes all files into one folder; renaming it commits them together. */
const stagedFolder = ({ privateFolder }: DataPaths): string => join(privateFolder, 'first-start')

async function stageFiles(paths: DataPaths, needed: Needed, files: FirstFiles): Promise<void> {
  const temporary = `${stagedFolder(paths)}.${randomBytes(6).toString('hex')}.tmp`
  await makeFolder(temporary, MODE.secretFolder)
  try {
    const stage = async (name: string, text: string | undefined) => {
      if (text !== undefined) await replaceFile(join(temporary, name), text, MODE.secret)
    }
    await stageFolder(join(temporary, 'devices'), 'json', files.devices)
    await stageFolder(join(temporary, 'certificates'), 'pem', files.certificates)
    await stage('ca.key', files.authority?.key)
    await stage('ca.crl', needed.revocationList ? files.authority?.revocationList : undefined)
    await stage('ca.crt', files.authority?.certificate)
    await stage('session.keys', files.sessionKeys)
    await renameFile(temporary, stagedFolder(paths))
  } catch (error) {
    await removeStaged(paths, temporary)
    throw error
  }
}

async function stageFolder(
  folder: string,
  extension: string,
  texts: ReadonlyMap<string, string> | undefined,
): Promise<void> {
  if (texts === undefined || texts.size === 0) return
  await makeFolder(folder, MODE.secretFolder)
  for (const [name, text] of texts) {
    await replaceFile(join(folder, `${name}.${extension}`), text, MODE.secret)
  }
}

/** Moves staged files to their paths, including those left by a first start that was killed. */
export async function completeStagedFiles(paths: DataPaths): Promise<void> {
  const folder = stagedFolder(paths)
  if (!(await exists(folder))) return
  const places = [
    ['ca.key', paths.authorityKey, MODE.secret],
    ['session.keys', paths.sessionKeys, MODE.secret],
    ['ca.crl', paths.revocationList, MODE.public],
    ['ca.crt', paths.authority, MODE.public],
  ] as const
  await completeStagedFolder(join(folder, 'certificates'), paths.certificates)
  await completeStagedFolder(join(folder, 'devices'), paths.devices)
  for (const [name, place, mode] of places) {
    await copyUnlessThere(join(folder, name), place, mode)
  }
  await removeStaged(paths, folder)
}

const removeStaged = ({ privateFolder }: DataPaths, folder: string): Promise<void> =>
  inFolder(privateFolder, (parent) => removeTree(parent, basename(folder)))

async function completeStagedFolder(staged: string, folder: string): Promise<void> {
  if (!(await exists(staged))) return
  await makeFolder(folder, MODE.secretFolder)
  for (const name of await readdir(staged)) {
    await copyUnlessThere(join(staged, name), join(folder, name), MODE.secret)
  }
}

async function copyUnlessThere(staged: string, place: string, mode: number): Promise<void> {
  const content = await ifThere(readOwnFile(staged))
  if (content !== undefined && !(await exists(place))) await replaceFile(place, content, mode)
}

/** The files of a first start, with a new CA. */
export function makeFirstFiles(
  needed: Needed,
  nowSeconds: number,
  options: AuthorityOptions = {},
): FirstFiles {
  return {
    ...(needed.authority && { authority: makeAuthority(options, nowSeconds) }),
    ...(needed.sessionKeys && { sessionKeys: firstSessionKeys() }),
  }
}

export const firstSessionKeys = (): string => `${writeKey(randomBytes(32))}\n`
