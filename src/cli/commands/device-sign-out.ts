import { signOut } from '../../administration/block-certificate.ts'
import { findKnownName } from '../../administration/unregistered.ts'
import { onlyName } from '../arguments.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { changeOf, pathsOfConfig, settingsOf } from '../command-context.ts'
import {
  confirmChange,
  FORGET_OPTION,
  forgetHelp,
  forgottenServices,
  hasBlocks,
} from '../confirmation.ts'

export const help = `Usage: certlatch device sign-out NAME [options]

Ends all sessions of a device: its cookies are no longer accepted, in any browser. The certificate
stays valid, and starts a new session when it is next shown. For a borrowed browser or a stolen cookie;
a lost device should be revoked.

Options:
${forgetHelp(21)}

Example:
  $ certlatch device sign-out "Ada's phone"`

export const options = FORGET_OPTION

export const takesPositionals = true

export async function run(invocation: Invocation): Promise<ExitCode> {
  const config = settingsOf(invocation)
  const given = onlyName(invocation)
  const paths = pathsOfConfig(config)
  const { terminal } = invocation
  // Broken entries of the registry need attention; a wait for an external CA's names does not.
  const notify = config.ca.kind === 'built-in' ? terminal.warn : terminal.note
  const name = await findKnownName(paths, given, config.ca.kind, { notify })
  const forgotten = await forgottenServices(invocation, paths)
  const { blocksNumber } = await signOut(changeOf(invocation, config), name)
  terminal.print(`signed out: all sessions of "${name}"`)
  const hasIt = hasBlocks(blocksNumber)
  return (await confirmChange(invocation, config, hasIt, 'revoking', forgotten)) ? 0 : 1
}
