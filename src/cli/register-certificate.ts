import { readFile } from 'node:fs/promises'
import {
  type NewDevice,
  type OwnCertificate,
  registerCertificate,
} from '../administration/add-device.ts'
import { readOwnAuthorities } from '../administration/authorities.ts'
import { CommandError, usageError } from '../administration/command-error.ts'
import type { Directory } from '../administration/locked-directory.ts'
import { readCertificate } from '../certificate/certificate.ts'
import { isDer, readPemBlocks } from '../certificate/pem.ts'
import { verifyCertificate } from '../certificate/verify.ts'
import type { Config } from '../config/config.ts'
import { describeFileError } from '../store/files.ts'
import type { ExitCode, Invocation } from './command.ts'
import { changeOf } from './command-context.ts'
import { confirmDevice } from './confirmation.ts'
import { day } from './format.ts'
import { ISSUE_OPTIONS } from './issue-options.ts'

/** Enters a certificate that exists, of a new device or as another one of a device that is there. */
export async function register(
  invocation: Invocation,
  config: Config,
  device: NewDevice,
  path: string,
  kind: 'new' | 'another',
): Promise<ExitCode> {
  const { flags, terminal } = invocation
  for (const flag of [...Object.keys(ISSUE_OPTIONS), 'overlap']) {
    if (flags[flag] === undefined || flag === 'json' || flag === 'certificate') continue
    throw usageError(`--${flag} does not go with --certificate: nothing is made`)
  }
  const read = (directory: Directory) => readOwnCertificate(path, directory)
  const change = changeOf(invocation, config, kind === 'new' ? 'device add' : 'device renew')
  const entered = await registerCertificate(change, device, kind, read)
  if (flags['json'] === true) {
    terminal.print(JSON.stringify({ schemaVersion: 1, device: entered }, undefined, 2))
  } else {
    const end = entered.certificates.at(-1)?.notAfter ?? 0
    terminal.print(`"${entered.name}" may enter until ${day(end)}`)
  }
  await confirmDevice(invocation, config)
  return 0
}

async function readOwnCertificate(path: string, { paths }: Directory): Promise<OwnCertificate> {
  const { issuers } = await readOwnAuthorities(paths)
  const der = await readOneCertificate(path)
  const certificate = readCertificate(der)
  const verdict = verifyCertificate(der, issuers)
  if (certificate !== undefined && verdict.ok) {
    return { certificate, issuerKeyHash: verdict.verified.issuerKeyHash }
  }
  const problem = verdict.ok ? 'certificate-malformed' : verdict.problem
  const why =
    problem === 'certificate-untrusted'
      ? `no CA in ${paths.authority} has signed it`
      : 'it would be refused'
  throw new CommandError(`${path}: ${problem}; ${why}`)
}

/** The DER of the one certificate in a file, PEM or DER. */
export async function readOneCertificate(path: string): Promise<Buffer> {
  let content: Buffer
  try {
    content = await readFile(path)
  } catch (error) {
    throw usageError(`${path} ${describeFileError(error)}`)
  }
  if (isDer(content)) return content
  // There may be a key beside it, as in what `--format pem` makes.
  const text = content.toString('latin1')
  const only = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  const [der, ...more] = readPemBlocks(`${only.join('\n')}\n`, 'CERTIFICATE', true) ?? []
  if (der !== undefined && more.length === 0) return der
  throw usageError(`${path} has to hold one certificate, in PEM or DER`)
}
