import { readFile } from 'node:fs/promises'
import { addDevice, registerDevice } from '../../administration/add-device.ts'
import { readOwnAuthorities } from '../../administration/authorities.ts'
import type { Directory } from '../../administration/directory.ts'
import { AdministrationError } from '../../administration/problem.ts'
import type { Certificate } from '../../certificate/certificate.ts'
import { readCertificate } from '../../certificate/certificate.ts'
import { readPemBlocks } from '../../certificate/pem.ts'
import { verifyCertificate } from '../../certificate/verify.ts'
import type { Config } from '../../config/config.ts'
import { describeFileError } from '../../store/files.ts'
import { onlyName, textFlag } from '../arguments.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'
import { handOut, ISSUE_HELP, ISSUE_OPTIONS, issueOptionsOf, placeOf } from '../issuing.ts'
import { authorityPassphrase, changeOf, ownSettingsOf } from '../own-authority.ts'
import { day } from '../words.ts'

const HELP = `Usage: certlatch device add NAME [options]

Makes a key and a certificate for a device, and packs both for its import under a password that is
shown once and kept nowhere.

Options:
      --owner WHO    whose device it is: what the application gets as its user (Remote-User)
${ISSUE_HELP}
      --csr FILE     sign this request instead: the key never leaves the device
      --certificate FILE
                     enter a certificate that one of certlatch's CAs has signed before
      --json         print the result as JSON

Example:
  $ certlatch device add "Ada's phone" --owner Ada`

export const deviceAdd: Command = {
  help: () => HELP,
  options: {
    ...ISSUE_OPTIONS,
    owner: { type: 'string' },
    csr: { type: 'string' },
    certificate: { type: 'string' },
  },
  takesPositionals: true,
  run: runDeviceAdd,
}

async function runDeviceAdd(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(invocation, 'issue them there')
  const name = onlyName(invocation, 'certlatch device add "Ada\'s phone"')
  const device = { name, owner: textFlag(invocation, 'owner') }
  const path = textFlag(invocation, 'certificate')
  if (path !== undefined) return register(invocation, config, device, path)
  const place = await placeOf(invocation, config)
  const options = await issueOptionsOf(invocation, place)
  const added = await addDevice(
    changeOf(invocation, config, 'device add'),
    device,
    options,
    await authorityPassphrase(invocation, config),
    place.handOut,
  )
  handOut(invocation, added, place)
  return 0
}

type NamedDevice = { readonly name: string; readonly owner: string | undefined }

/** Enters a certificate that exists. */
async function register(
  invocation: Invocation,
  config: Config,
  device: NamedDevice,
  path: string,
): Promise<ExitCode> {
  const { flags, terminal } = invocation
  for (const flag of Object.keys(ISSUE_OPTIONS).concat('csr')) {
    if (flags[flag] === undefined || flag === 'json') continue
    throw new AdministrationError(`--${flag} does not go with --certificate: nothing is made`, 2)
  }
  const read = (directory: Directory) => readOwnCertificate(path, directory)
  const entered = await registerDevice(changeOf(invocation, config, 'device add'), device, read)
  const [certificate] = entered.certificates
  if (flags['json'] === true) {
    terminal.print(JSON.stringify({ schemaVersion: 1, device: entered }, undefined, 2))
  } else {
    terminal.print(`"${entered.name}" may enter until ${day(certificate?.notAfter ?? 0)}`)
  }
  return 0
}

async function readOwnCertificate(
  path: string,
  { paths }: Directory,
): Promise<{ certificate: Certificate; issuerKeyHash: string }> {
  const { issuers } = await readOwnAuthorities(paths)
  const der = await readOneCertificate(path)
  const certificate = readCertificate(der)
  const verdict = verifyCertificate(der, issuers)
  if (certificate !== undefined && verdict.ok) {
    return { certificate, issuerKeyHash: verdict.verified.issuerKeyHash }
  }
  const problem = verdict.ok ? 'certificate-malformed' : verdict.problem
  const hint =
    problem === 'certificate-untrusted'
      ? `no CA in ${paths.authority} has signed it`
      : 'it would be refused'
  throw new AdministrationError(`${path}: ${problem}; ${hint}`)
}

/** The DER of the one certificate in a file, PEM or DER. */
export async function readOneCertificate(path: string): Promise<Buffer> {
  let content: Buffer
  try {
    content = await readFile(path)
  } catch (error) {
    throw new AdministrationError(`${path} ${describeFileError(error)}`, 2)
  }
  if (content[0] === 0x30) return content
  const [der, ...more] = readPemBlocks(content.toString('latin1'), 'CERTIFICATE', true) ?? []
  if (der !== undefined && more.length === 0) return der
  throw new AdministrationError(`${path} has to hold one certificate, in PEM or DER`, 2)
}
