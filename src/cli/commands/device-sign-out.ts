import { signOut } from '../../administration/block-certificate.ts'
import { awaitConfirmation } from '../../administration/confirmation.ts'
import { findKnownName } from '../../administration/unregistered.ts'
import { onlyName } from '../arguments.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'
import { changeOf, pathsOfConfig, settingsOf } from '../command-context.ts'
import { FORGET_OPTION, forgetHelp, forgottenServices, tellConfirmation } from '../confirmation.ts'

const HELP = `Usage: certlatch device sign-out NAME [options]

Ends all sessions of a device: its cookie opens nothing any more, on whatever browser it is. The
certificate stays good, and opens a new session when it is shown. For a browser that was borrowed and
for a cookie that was stolen; a device that is lost is to be revoked.

Options:
${forgetHelp(21)}

Example:
  $ certlatch device sign-out "Ada's phone"`

export const deviceSignOut: Command = {
  help: () => HELP,
  options: FORGET_OPTION,
  takesPositionals: true,
  run: runDeviceSignOut,
}

async function runDeviceSignOut(invocation: Invocation): Promise<ExitCode> {
  const config = settingsOf(invocation)
  const given = onlyName(invocation, 'certlatch device sign-out "Ada\'s phone"')
  const paths = pathsOfConfig(config)
  const name = await findKnownName(paths, given, config.externalCa, {
    tell: invocation.terminal.note,
  })
  const forgotten = await forgottenServices(invocation, paths)
  const change = changeOf(invocation, config, 'device sign-out')
  const { blocksNumber } = await signOut(change, name)
  invocation.terminal.print(`signed out: all sessions of "${name}"`)
  const hasIt = (state: { readonly blocksNumber: number }) => state.blocksNumber >= blocksNumber
  const confirmation = await awaitConfirmation(paths, hasIt, forgotten)
  return tellConfirmation(invocation.terminal, confirmation, 'closing') ? 0 : 1
}
