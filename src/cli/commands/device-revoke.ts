import { usageError } from '../../administration/command-error.ts'
import { awaitConfirmation } from '../../administration/confirmation.ts'
import { runHook } from '../../administration/revocation-hook.ts'
import { type Revoked, type RevokedPart, revokeDevice } from '../../administration/revoke-device.ts'
import type { RevocationReason } from '../../certificate/revocation-reason.ts'
import type { Config } from '../../config/config.ts'
import { choiceFlag, onlyName, textFlag } from '../arguments.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'
import { authorityPassphrase, changeOf, ownSettingsOf, pathsOfConfig } from '../command-context.ts'
import { FORGET_OPTION, forgetHelp, forgottenServices, tellConfirmation } from '../confirmation.ts'
import { count } from '../format.ts'

const HELP = `Usage: certlatch device revoke NAME [options]

Keeps a device outside: its certificates go on the CRL, and with them its sessions end. The command
returns when every running service has the new CRL (within five seconds, else exit code 1), so that
the device's next request is refused; then it runs CERTLATCH_ON_REVOKE.

Options:
      --reason R     why, in the words of RFC 5280: unspecified (the default), keyCompromise,
                     affiliationChanged, superseded or cessationOfOperation
      --replaced     only the certificates that a renewal has replaced
      --serial HEX   only this one; certlatch device show lists them
${forgetHelp(21)}

Example:
  $ certlatch device revoke "Ada's phone" --reason keyCompromise`

export const deviceRevoke: Command = {
  help: () => HELP,
  options: {
    reason: { type: 'string' },
    replaced: { type: 'boolean' },
    serial: { type: 'string' },
    ...FORGET_OPTION,
  },
  takesPositionals: true,
  run: runDeviceRevoke,
}

/** Those that a device can have; the others are for CAs, or can be taken back. */
const REASONS = [
  'unspecified',
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
] as const satisfies readonly RevocationReason[]

async function runDeviceRevoke(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(
    invocation,
    'revoke them there, or close to one with certlatch device block',
  )
  const name = onlyName(invocation, 'certlatch device revoke "Ada\'s phone"')
  const reason = choiceFlag(invocation, 'reason', REASONS, 'unspecified')
  const part = partOf(invocation)
  const forgotten = await forgottenServices(invocation, pathsOfConfig(config))
  const revoked = await revokeDevice(
    changeOf(invocation, config, 'device revoke'),
    name,
    part,
    reason,
    await authorityPassphrase(invocation, config),
  )
  const { terminal } = invocation
  const what = count(revoked.certificates.length, 'certificate')
  const already = revoked.wasRevoked ? ' (already)' : ''
  terminal.print(`revoked${already}: ${what} of "${revoked.device.name}", and its sessions`)
  const confirmation = await awaitConfirmation(
    pathsOfConfig(config),
    ({ crlNumber }) => crlNumber !== undefined && BigInt(crlNumber) >= revoked.crlNumber,
    forgotten,
  )
  const isInForce = tellConfirmation(terminal, confirmation, 'closing')
  if (!revoked.isMarked) {
    terminal.error(
      'the revocation stands, but the entry of the device could not be marked',
      'run the command again',
    )
  }
  const hookWorked = isInForce && (await callHook(invocation, config, revoked, reason))
  if (!isInForce && config.onRevoke !== undefined) {
    terminal.error(
      'CERTLATCH_ON_REVOKE was not run: a service that has not confirmed would allow again what it ends',
      'run the command again',
    )
  }
  tellWhatIsLeft(invocation, config)
  return isInForce && hookWorked && revoked.isMarked ? 0 : 1
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
  terminal.error(`CERTLATCH_ON_REVOKE: ${onRevoke[0]} ${problem}; the revocation stands`)
  return false
}

/** What a gate cannot reach once it has let somebody pass. */
function tellWhatIsLeft({ terminal }: Invocation, { onRevoke }: Config): void {
  terminal.note(
    onRevoke === undefined
      ? 'not ended: a WebSocket or download that is open now; the text for your proxy says what ends it, and CERTLATCH_ON_REVOKE does it each time'
      : 'not ended, unless CERTLATCH_ON_REVOKE does it: a WebSocket or download that is open now',
  )
  terminal.note(
    "not ended: the webhook of Home Assistant's companion app, which needs no certificate; delete the device in Home Assistant, under Settings, Devices, Mobile App",
  )
}
