import { usageError } from '../../administration/command-error.ts'
import { runHook } from '../../administration/revocation-hook.ts'
import { type Revoked, type RevokedPart, revokeDevice } from '../../administration/revoke-device.ts'
import type { RevocationReason } from '../../certificate/revocation-reason.ts'
import type { Config } from '../../config/config.ts'
import { choiceFlag, onlyName, textFlag } from '../arguments.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { ownSettingsOf, pathsOfConfig, signingChangeOf } from '../command-context.ts'
import {
  confirmChange,
  FORGET_OPTION,
  forgetHelp,
  forgottenServices,
  hasRevocationList,
} from '../confirmation.ts'
import { count } from '../format.ts'

export const help = `Usage: certlatch device revoke NAME [options]

Revokes a device: its certificates go on the CRL, which also ends its sessions. The command returns
when every running service has loaded the new CRL (within five seconds, else exit code 1), so that the
device's next request is denied; then it runs CERTLATCH_ON_REVOKE.

Options:
      --reason R     the reason, as RFC 5280 names it: unspecified (the default),
                     keyCompromise, affiliationChanged, superseded or cessationOfOperation
      --replaced     only the certificates that a renewal replaced
      --serial HEX   only this one; certlatch device show lists them
${forgetHelp(21)}

Example:
  $ certlatch device revoke "Ada's phone" --reason keyCompromise`

export const options = {
  reason: { type: 'string' },
  replaced: { type: 'boolean' },
  serial: { type: 'string' },
  ...FORGET_OPTION,
} as const

export const takesPositionals = true

/** The reasons that fit a device; the others are for CAs, or are temporary. */
const REASONS = [
  'unspecified',
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
] as const satisfies readonly RevocationReason[]

export async function run(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(
    invocation,
    'revoke them there, or block one with certlatch device block',
  )
  const name = onlyName(invocation)
  const reason = choiceFlag(invocation, 'reason', REASONS, 'unspecified')
  const part = partOf(invocation)
  const forgotten = await forgottenServices(invocation, pathsOfConfig(config))
  const change = await signingChangeOf(invocation, config)
  const revoked = await revokeDevice(change, name, part, reason)
  const { terminal } = invocation
  const what = count(revoked.certificates.length, 'certificate')
  const already = revoked.wasRevoked ? ' (already)' : ''
  terminal.print(`revoked${already}: ${what} of "${revoked.device.name}", and its sessions`)
  const hasIt = hasRevocationList(revoked.crlNumber)
  const isApplied = await confirmChange(invocation, config, hasIt, 'revoking', forgotten)
  if (!revoked.isMarked) {
    terminal.error(
      'the revocation is in effect, but the entry of the device could not be marked',
      'run the command again',
    )
  }
  const hookWorked = isApplied && (await callHook(invocation, config, revoked, reason))
  if (!isApplied && config.onRevoke !== undefined) {
    terminal.error(
      'CERTLATCH_ON_REVOKE was not run: a service that has not confirmed would allow the device to reconnect',
      'run the command again',
    )
  }
  noteOpenConnections(invocation, config)
  return isApplied && hookWorked && revoked.isMarked ? 0 : 1
}

function partOf(invocation: Invocation): RevokedPart {
  const serial = textFlag(invocation, 'serial')
  const isReplaced = invocation.flags['replaced'] === true
  if (serial !== undefined && isReplaced) {
    throw usageError('--serial and --replaced do not go together')
  }
  if (serial !== undefined) return { serial }
  return isReplaced ? 'replaced' : 'all'
}

async function callHook(
  { terminal, environment }: Invocation,
  { onRevoke }: Config,
  { device, certificates }: Revoked,
  reason: string,
): Promise<boolean> {
  if (onRevoke === undefined) return true
  const serial = certificates.map((certificate) => certificate.serial).join(',')
  const facts = { device: device.name, serial, reason }
  const problem = await runHook(onRevoke, facts, environment['PATH'])
  if (problem === undefined) {
    terminal.print('CERTLATCH_ON_REVOKE is done')
    return true
  }
  terminal.error(`CERTLATCH_ON_REVOKE: ${onRevoke[0]} ${problem}; the revocation is in effect`)
  return false
}

/** Notes what certlatch can't end: the proxy sent its auth request when the connection began. */
function noteOpenConnections({ terminal }: Invocation, { onRevoke }: Config): void {
  terminal.note(
    onRevoke === undefined
      ? 'not ended: WebSockets and downloads that are open now; the guide for your proxy explains how to end them, and CERTLATCH_ON_REVOKE can do it each time'
      : 'not ended, unless CERTLATCH_ON_REVOKE does it: WebSockets and downloads that are open now',
  )
  terminal.note(
    "not ended: the webhook of Home Assistant's companion app, which needs no certificate; delete the device in Home Assistant, under Settings, Devices, Mobile App",
  )
}
