import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readCertificate } from '../certificate/certificate.ts'
import { BACKDATE_SECONDS, issueAuthority, issueRevocationList } from '../certificate/issue.ts'
import { writePem } from '../certificate/pem.ts'
import { writeKey } from '../session/key-ring.ts'
import { errorCode, MODE, makeFolder, replaceFile } from './files.ts'

const AUTHORITY_DAYS = 3653
const SECONDS_PER_DAY = 86_400

/** Where things lie below the data directory. */
export interface DataPaths {
  readonly publicFolder: string
  readonly privateFolder: string
  readonly authority: string
  readonly revocationList: string
  readonly authorityKey: string
  readonly sessionKeys: string
  readonly devices: string
  readonly adopted: string
  readonly blocks: string
  readonly running: string
}

export function dataPaths(dataDir: string): DataPaths {
  const publicFolder = join(dataDir, 'public')
  const privateFolder = join(dataDir, 'private')
  return {
    publicFolder,
    privateFolder,
    authority: join(publicFolder, 'ca.crt'),
    revocationList: join(publicFolder, 'ca.crl'),
    authorityKey: join(privateFolder, 'ca.key'),
    sessionKeys: join(privateFolder, 'session.keys'),
    devices: join(privateFolder, 'devices'),
    adopted: join(privateFolder, 'adopted.json'),
    blocks: join(privateFolder, 'blocks.json'),
    running: join(privateFolder, 'running'),
  }
}

/** Which of the files the service itself must find or make at their default places. */
export interface Needed {
  readonly authority: boolean
  readonly revocationList: boolean
  readonly sessionKeys: boolean
}

export type Prepared =
  | { readonly ok: true; readonly made: readonly string[] }
  | { readonly ok: false; readonly problem: string }

/**
 * Makes what a first start needs in an empty or missing data directory, and leaves a filled one
 * alone. A half-filled one is not completed: a missing CRL beside a CA may be an accident that
 * would bring revoked devices back. Throws the system's error if the folders can't be written.
 */
export async function prepareDataDirectory(
  dataDir: string,
  needed: Needed,
  nowSeconds: number,
): Promise<Prepared> {
  const paths = dataPaths(dataDir)
  await completeStagedFiles(paths)
  const names: string[] = []
  if (needed.authority) names.push(paths.authority)
  if (needed.revocationList) names.push(paths.revocationList)
  if (needed.sessionKeys) names.push(paths.sessionKeys)
  let there = await Promise.all(names.map(exists))
  if (there.includes(true) && there.includes(false)) {
    // Another service on the same directory may be between its two steps.
    await completeStagedFiles(paths)
    there = await Promise.all(names.map(exists))
  }
  if (there.every(Boolean)) return { ok: true, made: [] }
  const missing = names.filter((_, index) => !there[index])
  if (there.some(Boolean)) {
    return {
      ok: false,
      problem: `the data directory ${dataDir} is half-filled: ${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} missing; restore it from a backup, or empty the directory to start anew`,
    }
  }
  if (needed.authority && (await exists(paths.authorityKey))) {
    return {
      ok: false,
      problem: `the data directory ${dataDir} is half-filled: ${paths.authorityKey} is there without its certificate ${paths.authority}; restore that from a backup, or move the key away to start anew`,
    }
  }
  await makeFolder(paths.publicFolder, MODE.publicFolder)
  await makeFolder(paths.privateFolder, MODE.secretFolder)
  await stageFiles(paths, needed, nowSeconds)
  await completeStagedFiles(paths)
  return { ok: true, made: missing }
}

/** A first start writes all files into one folder, whose renaming makes them valid together. */
const stagedFolder = ({ privateFolder }: DataPaths): string => join(privateFolder, 'first-start')

async function stageFiles(paths: DataPaths, needed: Needed, nowSeconds: number): Promise<void> {
  const temporary = `${stagedFolder(paths)}.${randomBytes(6).toString('hex')}.tmp`
  await mkdir(temporary, { mode: MODE.secretFolder })
  try {
    const stage = (name: string, text: string) =>
      replaceFile(join(temporary, name), text, MODE.secret)
    if (needed.authority) {
      const { key, certificate, revocationList } = makeAuthority(nowSeconds)
      await stage('ca.key', key)
      await stage('ca.crl', revocationList)
      await stage('ca.crt', certificate)
    }
    if (needed.sessionKeys) await stage('session.keys', `${writeKey(randomBytes(32))}\n`)
    await rename(temporary, stagedFolder(paths))
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    // Another service on the same directory was quicker: its files are the ones.
    const code = errorCode(error)
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
  }
}

/** Moves staged files to their places; also what a first start that was killed has left to do. */
async function completeStagedFiles(paths: DataPaths): Promise<void> {
  const folder = stagedFolder(paths)
  if (!(await exists(folder))) return
  const places = [
    ['ca.key', paths.authorityKey, MODE.secret],
    ['session.keys', paths.sessionKeys, MODE.secret],
    ['ca.crl', paths.revocationList, MODE.public],
    ['ca.crt', paths.authority, MODE.public],
  ] as const
  for (const [name, place, mode] of places) {
    const content = await readIfThere(join(folder, name))
    if (content !== undefined && !(await exists(place))) await replaceFile(place, content, mode)
  }
  await rm(folder, { recursive: true, force: true })
}

/** A CA of our own and its empty CRL, in PEM; the CRL is valid as long as the CA. */
function makeAuthority(nowSeconds: number) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const validity = {
    notBefore: nowSeconds - BACKDATE_SECONDS,
    notAfter: nowSeconds + AUTHORITY_DAYS * SECONDS_PER_DAY,
  }
  const der = issueAuthority({
    ...validity,
    // Two CAs of one name would be told apart by their keys alone; a person could not.
    commonName: `Certlatch Device CA ${randomBytes(3).toString('hex')}`,
    privateKey,
    serial: randomBytes(16),
  })
  const certificate = readCertificate(der)
  if (certificate === undefined) throw new Error('made a CA certificate that cannot be read back')
  const list = issueRevocationList(
    {
      number: nowSeconds,
      thisUpdate: validity.notBefore,
      nextUpdate: validity.notAfter,
      revoked: [],
    },
    { certificate, privateKey },
  )
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificate: writePem('CERTIFICATE', der),
    revocationList: writePem('X509 CRL', list),
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}
