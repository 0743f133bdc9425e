import { renewDevice } from '../../administration/renew-device.ts'
import { durationFlag, onlyName, textFlag } from '../arguments.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'
import { ownSettingsOf } from '../command-context.ts'
import { confirmDevice } from '../confirmation.ts'
import { moment } from '../format.ts'
import { handOut, ISSUE_HELP, ISSUE_OPTIONS, prepareIssue, undelivered } from '../issue-options.ts'
import { register } from '../register-certificate.ts'

const OVERLAP_SECONDS = 14 * 86_400

const HELP = `Usage: certlatch device renew NAME [options]

Makes a new certificate for a device that stays the same: name, owner and history. The old certificate
goes on for a while, so that nothing has to happen at once; certlatch device revoke NAME --replaced
ends it earlier.

Options:
      --overlap T    how long the old certificate goes on: 14d by default; 0 ends it now
${ISSUE_HELP}
      --certificate FILE
                     enter one that certlatch's CA has signed before, after a restored backup for
                     instance; the ones that the device has stay as they are
      --json         print the result as JSON

Example:
  $ certlatch device renew "Ada's phone" --overlap 7d`

export const deviceRenew: Command = {
  help: () => HELP,
  options: {
    ...ISSUE_OPTIONS,
    overlap: { type: 'string' },
  },
  takesPositionals: true,
  run: runDeviceRenew,
}

async function runDeviceRenew(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(invocation, 'renew them there')
  const name = onlyName(invocation, 'certlatch device renew "Ada\'s phone"')
  const existing = textFlag(invocation, 'certificate')
  if (existing !== undefined) {
    return register(invocation, config, { name, owner: undefined }, existing, 'another')
  }
  const overlapSeconds = durationFlag(invocation, 'overlap', '400d', OVERLAP_SECONDS)
  const { place, options, passphrase, change } = await prepareIssue(
    invocation,
    config,
    'device renew',
  )
  const renewed = await renewDevice(
    change,
    name,
    options,
    overlapSeconds,
    passphrase,
    place.handOut,
  )
  if (!(await handOut(invocation, renewed, place))) return undelivered(change, renewed)
  const { othersEndAt } = renewed
  if (othersEndAt !== undefined) {
    invocation.terminal.note(
      overlapSeconds === 0
        ? 'the certificate before has ended'
        : `the certificate before goes on until ${moment(othersEndAt)}; delete it from the device, some browsers go on using it`,
    )
  }
  await confirmDevice(invocation, config)
  return 0
}
