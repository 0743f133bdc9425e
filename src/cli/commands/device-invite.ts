import { readFile } from 'node:fs/promises'
import { awaitCollection } from '../../administration/await-collection.ts'
import { CommandError, usageError } from '../../administration/command-error.ts'
import {
  type Invited,
  type InviteOptions,
  inviteDevice,
  takeBackInvited,
} from '../../administration/invite-device.ts'
import { KEY_TYPES } from '../../administration/issue-certificate.ts'
import type { Config } from '../../config/config.ts'
import { quote } from '../../config/text.ts'
import { readOrigin } from '../../config/values.ts'
import { ENROLL_PATH, ruleDenyingEnrollment } from '../../policy/page-policy.ts'
import { parsePolicy } from '../../policy/parse.ts'
import { readRunning } from '../../store/service-state-files.ts'
import { choiceFlag, daysFlag, durationFlag, onlyName, textFlag } from '../arguments.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { ownSettingsOf, pathsOfConfig, signingChangeOf } from '../command-context.ts'
import { jsonOf, minute } from '../format.ts'
import { CERTIFICATE_DAYS, MOST_DAYS, OVERLAP_SECONDS } from '../issue-options.ts'
import { qrCode } from '../qr-code.ts'
import { isWritten } from '../terminal.ts'

const VALID_SECONDS = 86_400

export const help = `Usage: certlatch device invite NAME [options]

Creates a certificate for a device, sealed with a code, and prints a link that contains the code. On the
device, the link leads to a page that installs the certificate and gives the browser access at once. It
works once. Until then the device is shown as invited; inviting it again revokes the earlier link.

Options:
      --owner WHO    the device's owner, which the application gets as the user (Remote-User)
      --days N       the certificate's lifetime, ${CERTIFICATE_DAYS} by default, ${MOST_DAYS} at most
      --key rsa2048|p256
                     the kind of key; rsa2048 (the default) works with every phone's apps
      --valid T      the link's lifetime: 24h by default, from 1s to 30d
      --url URL      the address of the application; CERTLATCH_URL by default
      --renew        issue a new certificate to a device that already has one
      --overlap T    with --renew: how long the old certificate keeps working once the new one is
                     collected: 14d by default; 0 for no longer
      --qr, --no-qr  show the link as a QR code, or not; by default on a terminal
      --wait         wait until the link is used, and print which browser used it
      --json         print the result as JSON, with times in Unix seconds

Example:
  $ CERTLATCH_URL=https://home.example.org certlatch device invite "Ada's phone" --owner Ada`

export const options = {
  owner: { type: 'string' },
  days: { type: 'string' },
  key: { type: 'string' },
  valid: { type: 'string' },
  url: { type: 'string' },
  renew: { type: 'boolean' },
  overlap: { type: 'string' },
  qr: { type: 'boolean' },
  'no-qr': { type: 'boolean' },
  wait: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

export const takesPositionals = true

export async function run(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(invocation, 'issue the certificate there')
  const name = onlyName(invocation)
  const invite = inviteOptionsOf(invocation, config)
  const owner = textFlag(invocation, 'owner')
  const change = await signingChangeOf(invocation, config)
  const invited = await inviteDevice(change, { name, owner }, invite)
  if (!(await print(invocation, invited, invite.site))) {
    await takeBackInvited(change, invited)
    throw new CommandError(
      'the link could not be written to standard output: the invitation is withdrawn',
    )
  }
  await warn(invocation, config, invite.site)
  return invocation.flags['wait'] === true ? await waitFor(invocation, config, invited) : 0
}

function inviteOptionsOf(invocation: Invocation, config: Config): InviteOptions {
  const { flags } = invocation
  const isRenewal = flags['renew'] === true
  const clash = (problem: string): never => {
    throw usageError(problem)
  }
  if (flags['qr'] === true && flags['no-qr'] === true) clash('--qr and --no-qr do not go together')
  if (!isRenewal && flags['overlap'] !== undefined) clash('--overlap needs --renew')
  if (isRenewal && flags['owner'] !== undefined) {
    clash('--owner does not go with --renew: the device keeps its owner')
  }
  return {
    days: daysFlag(invocation, MOST_DAYS, CERTIFICATE_DAYS),
    key: choiceFlag(invocation, 'key', KEY_TYPES, 'rsa2048'),
    validSeconds: durationFlag(invocation, 'valid', '30d', VALID_SECONDS, '1s'),
    site: siteOf(invocation, config),
    overlapSeconds: isRenewal
      ? durationFlag(invocation, 'overlap', '400d', OVERLAP_SECONDS)
      : undefined,
  }
}

function siteOf(invocation: Invocation, config: Config): string {
  const text = textFlag(invocation, 'url')
  if (text === undefined) {
    if (config.url !== undefined) return config.url
    throw usageError(
      'the address of the application is not known',
      'set CERTLATCH_URL, or name it with --url https://home.example.org',
    )
  }
  const read = readOrigin(text)
  if (read.ok) return read.value
  const expected =
    read.problems?.[0] ?? 'expected an https address such as https://home.example.org'
  throw usageError(`--url is ${quote(text)}: ${expected}`)
}

/** Returns whether it could be written: the link is stored nowhere else. */
async function print(invocation: Invocation, invited: Invited, site: string): Promise<boolean> {
  const { streams, flags } = invocation
  const { device, invitation, code } = invited
  const url = `${site}${ENROLL_PATH}#${code}`
  const { id, name, owner } = device
  if (flags['json'] === true) {
    const made = {
      device: { id, name, owner },
      invitation: { id: invitation.id, url, code, endsAt: invitation.endsAt },
    }
    return isWritten(streams.stdout, `${jsonOf(made)}\n`)
  }
  const as = owner === undefined ? '' : ` as ${owner}`
  const lines = [`"${name}" is invited${as} until ${minute(invitation.endsAt)}`]
  if (showsQrCode(invocation)) lines.push(qrCode(url))
  return isWritten(streams.stdout, `${[...lines, url].join('\n')}\n`)
}

function showsQrCode({ flags, streams }: Invocation): boolean {
  if (flags['no-qr'] === true) return false
  return flags['qr'] === true || ('isTTY' in streams.stdout && streams.stdout.isTTY === true)
}

async function warn(invocation: Invocation, config: Config, site: string): Promise<void> {
  const { terminal, flags } = invocation
  const services = await readRunning(pathsOfConfig(config).running)
  if (!services.some(({ isFresh }) => isFresh)) {
    terminal.warn(
      'no running service found: the link works once certlatch serve runs with this data directory and may write to it',
    )
  }
  const rule = await denyingRule(config, site)
  if (rule !== undefined) {
    terminal.warn(
      `the rule "${rule}" of ${config.policyFile} denies ${ENROLL_PATH}: clients that it applies to cannot use the link`,
    )
  }
  if (flags['json'] === true) return
  terminal.note(
    'next: open the link on the device, or scan the code with its camera; it works once',
  )
}

/** A policy that cannot be read is not reported here, because the service reports it. */
async function denyingRule(
  { policyFile, trustedProxies }: Config,
  site: string,
): Promise<string | undefined> {
  if (policyFile === undefined) return undefined
  const content = await readFile(policyFile).catch(() => Buffer.alloc(0))
  const parsed = parsePolicy(content, trustedProxies)
  if (!parsed.ok) return undefined
  return ruleDenyingEnrollment(parsed.policy, site, trustedProxies)
}

async function waitFor(
  invocation: Invocation,
  config: Config,
  { device, invitation }: Invited,
): Promise<ExitCode> {
  const { terminal, nowSeconds, waitForStop } = invocation
  const { invitations } = pathsOfConfig(config)
  const claim = await awaitCollection(invitations, invitation, nowSeconds, waitForStop())
  if (claim?.outcome === 'collected') {
    terminal.note(`the invitation of "${device.name}" was collected by ${claim.by}`)
    return 0
  }
  if (claim === undefined) {
    throw new CommandError(
      `not collected so far; the invitation is valid until ${minute(invitation.endsAt)}`,
    )
  }
  throw new CommandError(
    'the invitation ended before it was collected: it expired, or the device was revoked, blocked, renewed or invited again',
    { hint: 'to let the device in, invite it again' },
  )
}
