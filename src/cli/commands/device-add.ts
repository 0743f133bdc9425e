import { addDevice } from '../../administration/add-device.ts'
import { onlyName, textFlag } from '../arguments.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'
import { ownSettingsOf } from '../command-context.ts'
import { confirmDevice } from '../confirmation.ts'
import { handOut, ISSUE_HELP, ISSUE_OPTIONS, prepareIssue, undelivered } from '../issue-options.ts'
import { register } from '../register-certificate.ts'

const HELP = `Usage: certlatch device add NAME [options]

Makes a key and a certificate for a device, and packs both for its import under a password that is
shown once and kept nowhere.

Options:
      --owner WHO    whose device it is: what the application gets as its user (Remote-User)
${ISSUE_HELP}
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
  },
  takesPositionals: true,
  run: runDeviceAdd,
}

async function runDeviceAdd(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(invocation, 'issue them there')
  const name = onlyName(invocation, 'certlatch device add "Ada\'s phone"')
  const device = { name, owner: textFlag(invocation, 'owner') }
  const path = textFlag(invocation, 'certificate')
  if (path !== undefined) return register(invocation, config, device, path, 'new')
  const { place, options, passphrase, change } = await prepareIssue(
    invocation,
    config,
    'device add',
  )
  const added = await addDevice(change, device, options, passphrase, place.handOut)
  if (!(await handOut(invocation, added, place))) return undelivered(change, added)
  await confirmDevice(invocation, config)
  return 0
}
