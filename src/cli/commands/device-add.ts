import { addDevice } from '../../administration/add-device.ts'
import { onlyName, textFlag } from '../arguments.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { ownSettingsOf } from '../command-context.ts'
import { confirmDevice } from '../confirmation.ts'
import { ISSUE_HELP, ISSUE_OPTIONS, prepareIssue } from '../issue-options.ts'
import { handOut, rollBackIssue } from '../package-output.ts'
import { register } from '../register-certificate.ts'

export const help = `Usage: certlatch device add NAME [options]

Creates a key and a certificate for a device, and packs both for import, protected by a password that
is shown once and stored nowhere.

Options:
      --owner WHO    the device's owner, which the application gets as the user (Remote-User)
${ISSUE_HELP}
      --certificate FILE
                     register an existing certificate, signed by one of certlatch's CAs
      --json         print the result as JSON

Example:
  $ certlatch device add "Ada's phone" --owner Ada`

export const options = { ...ISSUE_OPTIONS, owner: { type: 'string' } } as const

export const takesPositionals = true

export async function run(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(invocation, 'issue them there')
  const name = onlyName(invocation)
  const device = { name, owner: textFlag(invocation, 'owner') }
  const path = textFlag(invocation, 'certificate')
  if (path !== undefined) return register(invocation, config, device, path, 'new')
  const { place, issue, change } = await prepareIssue(invocation, config)
  const added = await addDevice(change, device, issue)
  if (!(await handOut(invocation, added, place))) return rollBackIssue(change, added)
  await confirmDevice(invocation, config)
  return 0
}
