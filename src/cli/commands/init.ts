import {
  type AdoptedFiles,
  type Adoption,
  readAdoption,
} from '../../administration/adopt-authority.ts'
import { CommandError, usageError } from '../../administration/command-error.ts'
import { fill, initialize } from '../../administration/initialize.ts'
import { type Config, filesToMake } from '../../config/config.ts'
import { quote } from '../../config/text.ts'
import { AUTHORITY_DAYS } from '../../store/create-authority.ts'
import { dataPaths } from '../../store/data-directory.ts'
import type { Device } from '../../store/device-registry.ts'
import { textFlag } from '../arguments.ts'
import { authorityOptionsOf } from '../authority-options.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { settingsOf } from '../command-context.ts'
import { count, day } from '../format.ts'
import { askSecret } from '../terminal.ts'

export const help = `Usage: certlatch init [--name NAME] [--days N] [--encrypt]
       certlatch init --adopt CA.CRT CA.KEY [options]

Fills the data directory: a CA that signs device certificates, its empty CRL, and the session keys.
Nothing that exists is overwritten. certlatch serve does the same on first start; this command is for
a CA with a name, a lifetime or an encrypted key of your choice, and for importing an existing one.

Options:
      --name NAME    the name of the CA, as phones show it; default: one with a random suffix
      --days N       the CA's lifetime, ${AUTHORITY_DAYS} by default (ten years)
      --encrypt      encrypt the CA's key; each command that signs then asks for the passphrase, or
                     reads it from CERTLATCH_CA_PASSPHRASE_FILE

      --adopt        import a CA made with openssl: its certificate and its key (in PEM)
      --crl FILE     its CRL; what is revoked stays revoked
      --index FILE   the database of openssl ca (index.txt): each name in it becomes a device
      --certificates FOLDER
                     the certificates that it issued: each becomes a device. One of the two is
                     needed: what is in neither is denied until device add registers it
      --dry-run      print what would be imported, and write nothing

Example:
  $ certlatch init --name "Lovelace family"
  $ certlatch init --adopt ca.crt ca.key --index demoCA/index.txt --certificates demoCA/newcerts`

export const options = {
  name: { type: 'string' },
  days: { type: 'string' },
  encrypt: { type: 'boolean' },
  adopt: { type: 'boolean' },
  crl: { type: 'string' },
  index: { type: 'string' },
  certificates: { type: 'string' },
  'dry-run': { type: 'boolean' },
} as const

export const takesPositionals = true

export async function run(invocation: Invocation): Promise<ExitCode> {
  const config = settingsOf(invocation)
  checkArguments(invocation)
  if (invocation.flags['adopt'] === true) return adopt(invocation, config)
  requireOwnListPlace(config, 'init')
  const named = authorityOptionsOf(invocation)
  const authority = { ...named, passphrase: await newPassphrase(invocation, config) }
  const now = invocation.nowSeconds()
  const made = await initialize(config.dataDir, neededOf(config), authority, now)
  return reportMade(invocation, config, made)
}

const FLAGS_OF_IMPORT = ['crl', 'index', 'certificates', 'dry-run'] as const
const FLAGS_OF_NEW = ['name', 'days'] as const

function checkArguments({ flags, positionals: [first] }: Invocation): void {
  const isImport = flags['adopt'] === true
  for (const name of isImport ? FLAGS_OF_NEW : FLAGS_OF_IMPORT) {
    if (flags[name] === undefined) continue
    const why = isImport ? 'the imported CA has its own' : 'it needs --adopt'
    throw usageError(`--${name} cannot be given here: ${why}`)
  }
  if (!isImport && first !== undefined) {
    throw usageError(`unexpected argument ${quote(first)}`, 'see certlatch init --help')
  }
}

/** Files that settings name are managed elsewhere, so they are not created. */
function neededOf(config: Config) {
  const needed = filesToMake(config)
  if (Object.values(needed).includes(true)) return needed
  throw usageError(
    'CERTLATCH_CA_FILE and CERTLATCH_SESSION_KEYS_FILE are set: there is nothing for certlatch to make',
  )
}

async function newPassphrase(
  invocation: Invocation,
  { caPassphrase }: Config,
): Promise<string | undefined> {
  if (invocation.flags['encrypt'] !== true) return undefined
  if (caPassphrase !== undefined) return caPassphrase
  const first = await askSecret(invocation.streams, 'a passphrase for the CA key: ')
  if (first === undefined) {
    throw usageError(
      '--encrypt needs a passphrase',
      'set CERTLATCH_CA_PASSPHRASE_FILE to a file with one, or run this in a terminal',
    )
  }
  if (first === '') throw usageError('the passphrase is empty')
  const second = await askSecret(invocation.streams, 'repeat the passphrase: ')
  if (first === second) return first
  throw new CommandError('the two passphrases differ; nothing was changed')
}

/** Prints which files were created, and what comes next. */
function reportMade({ terminal }: Invocation, { ca }: Config, made: readonly string[]): ExitCode {
  for (const path of made) terminal.print(`created ${path}`)
  if (ca.kind === 'external') {
    terminal.note('next: certlatch serve; certificates come from the CA in CERTLATCH_CA_FILE')
    return 0
  }
  terminal.note('keep a backup of the private folder in a safe place: it can issue certificates')
  terminal.note(
    'next: certlatch serve, and certlatch device add "Ada\'s phone" for the first device',
  )
  return 0
}

async function adopt(invocation: Invocation, config: Config): Promise<ExitCode> {
  const { terminal, streams, nowSeconds } = invocation
  if (config.ca.kind === 'external') {
    throw usageError(
      '--adopt does not go with CERTLATCH_CA_FILE',
      'unset it to import the CA, or leave the CA where it is and import nothing',
    )
  }
  requireOwnListPlace(config, '--adopt')
  const files = adoptedFiles(invocation)
  const encryptWith = await newPassphrase(invocation, config)
  const ask = async (path: string) =>
    config.caPassphrase ?? (await askSecret(streams, `passphrase of ${path}: `))
  const adoption = await readAdoption(files, encryptWith, ask, nowSeconds())
  reportAdoption(invocation, adoption)
  if (invocation.flags['dry-run'] === true) {
    for (const device of adoption.devices) terminal.print(describeDevice(device))
    terminal.note('--dry-run: nothing was written')
    return 0
  }
  const made = await fill(config.dataDir, filesToMake(config), nowSeconds(), () => adoption.files)
  return reportMade(invocation, config, made)
}

/** Without its first CRL the CA could not be used. */
function requireOwnListPlace({ ca, dataDir }: Config, what: 'init' | '--adopt'): void {
  if (ca.kind === 'external' || !ca.crlFileNamed) return
  throw usageError(
    `${what} does not go with CERTLATCH_CRL_FILE: it writes the CRL to the data directory`,
    `unset it, or set it again after moving ${dataPaths(dataDir).revocationList} there`,
  )
}

function describeDevice({ name, certificates }: Device): string {
  const isRevoked = certificates.every(({ revokedAt }) => revokedAt !== undefined)
  return isRevoked ? `device "${name}", revoked` : `device "${name}"`
}

function adoptedFiles(invocation: Invocation): AdoptedFiles {
  const [certificate, key, ...more] = invocation.positionals
  if (certificate === undefined || key === undefined || more.length > 0) {
    throw usageError(
      '--adopt expects two files, the certificate and the key of the CA',
      'certlatch init --adopt ca.crt ca.key',
    )
  }
  const index = textFlag(invocation, 'index')
  const certificates = textFlag(invocation, 'certificates')
  if (index === undefined && certificates === undefined) {
    throw usageError(
      'what this CA has issued is not known',
      'give --index index.txt or --certificates FOLDER, which may be empty: a certificate in neither is denied until certlatch device add NAME --certificate FILE registers it',
    )
  }
  return { certificate, key, revocationList: textFlag(invocation, 'crl'), index, certificates }
}

/** Reports, before anything is written, what is imported and which certificates will be denied. */
function reportAdoption({ terminal }: Invocation, adoption: Adoption): void {
  const { issuer, devices, revokedCount, refused, skipped } = adoption
  terminal.note(`the CA expires on ${day(issuer.certificate.notAfter)}`)
  terminal.note(`${count(devices.length, 'device')}, ${count(revokedCount, 'revoked certificate')}`)
  for (const { name, serial, problem } of refused) {
    terminal.warn(`will be denied: "${name}" (${serial}): ${problem}`)
  }
  for (const reason of skipped) terminal.warn(`skipped: ${reason}`)
}
