import type { ParseArgsConfig } from 'node:util'
import { usageError } from '../administration/command-error.ts'
import { readGivenFile } from '../administration/given-file.ts'
import {
  type IssueOptions,
  KEY_TYPES,
  PACKAGE_FORMATS,
} from '../administration/issue-certificate.ts'
import { readBlocks } from '../certificate/pem.ts'
import { readSigningRequest } from '../certificate/signing-request.ts'
import type { Config } from '../config/config.ts'
import { choiceFlag, daysFlag, textFlag } from './arguments.ts'
import type { Invocation } from './command.ts'
import { signingChangeOf } from './command-context.ts'
import { type PackagePlace, packagePlaceOf } from './package-output.ts'

/**
 * Three years: the limits for public CAs are about server certificates, and a lost device is revoked
 * within a second, however long its certificate would be valid.
 */
export const CERTIFICATE_DAYS = 1_095
export const MOST_DAYS = 3_653
/** How long a renewed certificate keeps working by default. */
export const OVERLAP_SECONDS = 14 * 86_400

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

export const ISSUE_HELP = `      --days N       the certificate's lifetime, ${CERTIFICATE_DAYS} by default, ${MOST_DAYS} at most
      --key p256|rsa2048
                     the kind of key; rsa2048 for Home Assistant's app on Android
      --format p12|mobileconfig|pem
                     p12 (the default) for everything; mobileconfig for Apple devices; pem for curl
                     and programs: its key is not encrypted
      --p12 compat|modern
                     compat (the default) can be imported everywhere; modern has stronger encryption,
                     for Windows 10, Linux, iOS 18, macOS 15, Android 16 and later
      --out FOLDER   where to write the package, here by default; - for standard output
      --csr FILE     sign this request instead, so that the key never leaves the device`

/** Collects what issuing a certificate needs, and reports everything that is wrong with it. */
export async function prepareIssue(invocation: Invocation, config: Config) {
  const place = await packagePlaceOf(invocation, config)
  const issue = await issueOptionsOf(invocation, place)
  return { place, issue, change: await signingChangeOf(invocation, config) }
}

async function issueOptionsOf(
  invocation: Invocation,
  { folder }: PackagePlace,
): Promise<IssueOptions> {
  const csr = textFlag(invocation, 'csr')
  const format = choiceFlag(invocation, 'format', PACKAGE_FORMATS, 'p12')
  for (const flag of csr === undefined ? [] : ['key', 'format', 'p12']) {
    if (invocation.flags[flag] === undefined) continue
    throw usageError(`--${flag} does not go with --csr: the device has its key`)
  }
  if (format === 'pem' && invocation.flags['p12'] !== undefined) {
    throw usageError('--p12 does not go with --format pem')
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
  const content = await readGivenFile(path, `--csr ${path}`)
  const [der = content] = readBlocks(content, 'CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST')
  const read = readSigningRequest(der)
  if (read.ok) return read.request.publicKeyInfo
  throw usageError(`--csr ${path} ${read.problem}`)
}
