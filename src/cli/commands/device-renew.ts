import { renewDevice } from '../../administration/renew-device.ts'
import { durationFlag, onlyName, textFlag } from '../arguments.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { ownSettingsOf } from '../command-context.ts'
import { confirmDevice } from '../confirmation.ts'
import { moment } from '../format.ts'
import { ISSUE_HELP, ISSUE_OPTIONS, OVERLAP_SECONDS, prepareIssue } from '../issue-options.ts'
import { handOut, rollBackIssue } from '../package-output.ts'
import { register } from '../register-certificate.ts'

export const help = `Usage: certlatch device renew NAME [options]

Creates a new certificate for a device, which keeps its name, owner and history. The old certificate
keeps working for a while, so that there is time to install the new one; certlatch device revoke NAME
--replaced revokes it earlier. An invitation of the device that was not collected yet ends.

Options:
      --overlap T    how long the old certificate keeps working: 14d by default; 0 for no longer
${ISSUE_HELP}
      --certificate FILE
                     register an existing one, signed by certlatch's CA, for instance after a backup
                     was restored; the device's other certificates stay as they are
      --json         print the result as JSON

Example:
  $ certlatch device renew "Ada's phone" --overlap 7d`

export const options = { ...ISSUE_OPTIONS, overlap: { type: 'string' } } as const

export const takesPositionals = true

export async function run(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(invocation, 'renew them there')
  const name = onlyName(invocation)
  const existing = textFlag(invocation, 'certificate')
  if (existing !== undefined) {
    return register(invocation, config, { name, owner: undefined }, existing, 'another')
  }
  const overlapSeconds = durationFlag(invocation, 'overlap', '400d', OVERLAP_SECONDS)
  const { place, issue, change } = await prepareIssue(invocation, config)
  const renewed = await renewDevice(change, name, issue, overlapSeconds)
  if (renewed.hasEndedInvitation) {
    invocation.terminal.note(
      "the device's open invitation has ended: its link does not work anymore",
    )
  }
  if (!(await handOut(invocation, renewed, place))) return rollBackIssue(change, renewed)
  const { othersEndAt } = renewed
  if (othersEndAt !== undefined) {
    invocation.terminal.note(
      overlapSeconds === 0
        ? 'the previous certificate has expired'
        : `the previous certificate keeps working until ${moment(othersEndAt)}; delete it from the device, because some browsers continue to use it`,
    )
  }
  await confirmDevice(invocation, config)
  return 0
}
