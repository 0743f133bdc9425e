import { access, constants, readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import type { ParseArgsConfig } from 'node:util'
import { type Added, takeBackAdded } from '../administration/add-device.ts'
import type { Change } from '../administration/change-directory.ts'
import { CommandError } from '../administration/command-error.ts'
import {
  fingerprint,
  type IssueOptions,
  KEY_TYPES,
  PACKAGE_FORMATS,
} from '../administration/issue-certificate.ts'
import { readPemBlocks } from '../certificate/pem.ts'
import { readSigningRequest } from '../certificate/signing-request.ts'
import type { Config } from '../config/config.ts'
import { dataPaths } from '../store/data-directory.ts'
import { describeFileError } from '../store/files.ts'
import { choiceFlag, daysFlag, textFlag } from './arguments.ts'
import type { Invocation } from './command.ts'
import { authorityPassphrase, changeOf } from './command-context.ts'
import { day, shellWord } from './format.ts'

/**
 * Three years: public CAs' limit of 397 days is for server certificates, and a lost device is revoked
 * within a second however long its certificate lasts.
 */
export const CERTIFICATE_DAYS = 1_095
export const MOST_DAYS = 3_653

export const ISSUE_OPTIONS = {
  days: { type: 'string' },
  key: { type: 'string' },
  format: { type: 'string' },
  p12: { type: 'string' },
  out: { type: 'string' },
  json: { type: 'boolean' },
  csr: { type: 'string' },
  certificate: { type: 'string' },
} as const satisfies NonNullable<ParseArgsConfig['options']>

export const ISSUE_HELP = `      --days N       how long the certificate lasts, ${CERTIFICATE_DAYS} by default, ${MOST_DAYS} at most
      --key p256|rsa2048
                     the kind of key; rsa2048 for Home Assistant's app on Android
      --format p12|mobileconfig|pem
                     p12 (the default) for everything; mobileconfig for Apple's devices; pem for curl
                     and programs, where the key is not encrypted
      --p12 compat|modern
                     compat (the default) is what every system imports; modern is encrypted better,
                     for Windows 10, Linux, iOS 18, macOS 15, Android 16 and later
      --out FOLDER   where the package goes, here by default; - for standard output
      --csr FILE     sign this request instead: the key never leaves the device`

/** Where a package goes. */
export interface Place {
  readonly handOut: 'file' | 'print'
  readonly folder: string
  /** How a person fetches it from the container that this is; `undefined` outside of one. */
  readonly container: Container | undefined
}

/** The words before a copy and before a command in a container, and what they call it. */
interface Container {
  readonly program: 'docker compose' | 'docker' | 'podman'
  readonly name: string
}

/** A container has its short id as host name, unless another was chosen for it. */
const SHORT_ID = /^[0-9a-f]{12}$/

/** `container` is what podman sets, systemd reads and our image says of itself. */
function containerOf(
  { environment }: Invocation,
  { composeService }: Config,
): Container | undefined {
  if (composeService !== undefined) return { program: 'docker compose', name: composeService }
  const { container } = environment
  if (container !== 'docker' && container !== 'podman') return undefined
  return { program: container, name: SHORT_ID.test(hostname()) ? hostname() : 'CONTAINER' }
}

/**
 * The folder that was named, or this one; where a container has only its volumes to write to, one of
 * those.
 */
async function placeOf(invocation: Invocation, config: Config): Promise<Place> {
  const out = textFlag(invocation, 'out')
  const container = containerOf(invocation, config)
  if (out === '') throw new CommandError('--out is empty: expected a folder, or -', 2)
  if (out === '-' && invocation.flags['json'] === true) {
    throw new CommandError('--json does not go with --out -: the package goes there', 2)
  }
  if (out === '-') return { handOut: 'print', folder: '.', container }
  if (out !== undefined) {
    return { handOut: 'file', folder: out.replace(/(?<=.)\/+$/, ''), container }
  }
  const folder =
    container !== undefined && !(await isWritable('.'))
      ? join(dataPaths(config.dataDir).privateFolder, 'packages')
      : '.'
  return { handOut: 'file', folder, container }
}

async function isWritable(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** What it takes to make a certificate: everything that can be wrong with it is asked for here. */
export async function prepareIssue(invocation: Invocation, config: Config, who: string) {
  const place = await placeOf(invocation, config)
  const options = await issueOptionsOf(invocation, place)
  const passphrase = await authorityPassphrase(invocation, config)
  return { place, options, passphrase, change: changeOf(invocation, config, who) }
}

async function issueOptionsOf(invocation: Invocation, { folder }: Place): Promise<IssueOptions> {
  const csr = textFlag(invocation, 'csr')
  const format = choiceFlag(invocation, 'format', PACKAGE_FORMATS, 'p12')
  for (const flag of csr === undefined ? [] : ['key', 'format', 'p12']) {
    if (invocation.flags[flag] === undefined) continue
    throw new CommandError(`--${flag} does not go with --csr: the device has its key`, 2)
  }
  if (format === 'pem' && invocation.flags['p12'] !== undefined) {
    throw new CommandError('--p12 does not go with --format pem', 2)
  }
  return {
    days: daysFlag(invocation, MOST_DAYS, CERTIFICATE_DAYS),
    key: choiceFlag(invocation, 'key', KEY_TYPES, 'p256'),
    format,
    form: choiceFlag(invocation, 'p12', ['compat', 'modern'], 'compat'),
    publicKeyInfo: csr === undefined ? undefined : await readRequest(csr),
    folder,
  }
}

async function readRequest(path: string): Promise<Buffer> {
  let content: Buffer
  try {
    content = await readFile(path)
  } catch (error) {
    throw new CommandError(`--csr ${path} ${describeFileError(error)}`, 2)
  }
  const text = content.toString('latin1')
  const [der = content] =
    readPemBlocks(text, 'CERTIFICATE REQUEST', true) ??
    readPemBlocks(text, 'NEW CERTIFICATE REQUEST', true) ??
    []
  const read = readSigningRequest(der)
  if (read.ok) return read.request.publicKeyInfo
  throw new CommandError(`--csr ${path} ${read.problem}`, 2)
}

/**
 * Says what was made; the password appears here, once, and nowhere else. Answers whether it could be
 * written.
 */
export async function handOut(
  invocation: Invocation,
  added: Added,
  place: Place,
): Promise<boolean> {
  const { terminal, streams, flags } = invocation
  const { device, certificate, password } = added
  const path = added.package.path.replace(/^\.\//, '')
  if (place.handOut === 'print') {
    if (!(await isWritten(streams.stdout, added.package.content))) return false
    const secret = password === undefined ? '' : `certlatch: password: ${password}\n`
    terminal.tell(described(added))
    return isWritten(streams.stderr, secret)
  }
  if (flags['json'] === true) {
    const made = {
      schemaVersion: 1,
      device: { id: device.id, name: device.name, owner: device.owner },
      certificate: {
        serial: certificate.serial,
        notBefore: certificate.notBefore,
        notAfter: certificate.notAfter,
        sha256: fingerprint(certificate.der, 'sha256'),
      },
      package: resolve(path),
      password,
    }
    return isWritten(streams.stdout, `${JSON.stringify(made, undefined, 2)}\n`)
  }
  const lines = [described(added), `package   ${path}`]
  if (password !== undefined) lines.push(`password  ${password}`)
  if (!(await isWritten(streams.stdout, `${lines.join('\n')}\n`))) return false
  tellNext(invocation, path, password, place)
  return true
}

const isWritten = (stream: NodeJS.WritableStream, content: string | Buffer): Promise<boolean> =>
  new Promise((resolve) => {
    stream.write(content, (error) => resolve(error === undefined || error === null))
  })

/** Takes back what nobody can have read. Always fails, for that is what happened. */
export async function undelivered(change: Change, added: Added): Promise<never> {
  await takeBackAdded(change, added)
  throw new CommandError(
    'the result could not be written to standard output, so nobody has the password: what was made is taken back',
  )
}

const described = ({ device, certificate }: Added): string =>
  `"${device.name}" may enter until ${day(certificate.notAfter)}${device.owner === undefined ? '' : ` as ${device.owner}`}`

function tellNext(
  { terminal }: Invocation,
  path: string,
  password: string | undefined,
  { container }: Place,
): void {
  if (password !== undefined) {
    terminal.tell('the password is not kept: type it where the package is imported')
  }
  if (container !== undefined) {
    const { program, name } = container
    const place = resolve(path)
    const whose = name === 'CONTAINER' ? ` (CONTAINER is its name in ${program} ps)` : ''
    terminal.tell(
      `next, outside of the container${whose}: bring the package out, and delete it in there`,
    )
    terminal.print(`${program} cp ${shellWord(`${name}:${place}`)} .`)
    terminal.print(`${program} exec ${name} rm ${shellWord(place)}`)
    return
  }
  terminal.tell('next: bring the package to the device, import it, and delete it here')
}
