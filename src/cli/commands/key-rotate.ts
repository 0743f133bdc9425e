import { usageError } from '../../administration/command-error.ts'
import { awaitConfirmation } from '../../administration/confirmation.ts'
import { hasRotation, rotateSessionKeys } from '../../administration/rotate-session-keys.ts'
import { durationFlag, noNames } from '../arguments.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'
import { changeOf, pathsOfConfig, settingsOf } from '../command-context.ts'
import { FORGET_OPTION, forgetHelp, forgottenServices, tellConfirmation } from '../confirmation.ts'
import { moment, span } from '../format.ts'

const AFTER_SECONDS = 5

const HELP = `Usage: certlatch key rotate [--after T]
       certlatch key rotate --now [--forget L@H]

Adds a key to those of the session cookie. It signs after a short while, when every replica has read
it; the keys before verify until the last session that they have signed is over. Nobody is logged
out.

Options:
      --after T      when the new key begins to sign: 5s by default
      --now          throw the keys before away: all sessions end, and certificates open new ones.
                     For keys that somebody else may have seen.
${forgetHelp(21)}

Example:
  $ certlatch key rotate`

export const keyRotate: Command = {
  help: () => HELP,
  options: { after: { type: 'string' }, now: { type: 'boolean' }, ...FORGET_OPTION },
  takesPositionals: true,
  run: runKeyRotate,
}

async function runKeyRotate(invocation: Invocation): Promise<ExitCode> {
  const config = settingsOf(invocation)
  noNames(invocation)
  const { flags, terminal } = invocation
  const endSessions = flags['now'] === true
  if (endSessions && flags['after'] !== undefined) {
    throw usageError('--now and --after do not go together')
  }
  if (!endSessions && flags['forget'] !== undefined) {
    throw usageError('--forget goes with --now: without it no session has to end')
  }
  const forgotten = await forgottenServices(invocation, pathsOfConfig(config))
  const afterSeconds = durationFlag(invocation, 'after', '1d', AFTER_SECONDS)
  const rotated = await rotateSessionKeys(
    changeOf(invocation, config, 'key rotate'),
    config.sessionKeysFile,
    { afterSeconds, ttlSeconds: config.sessionTtlSeconds, endSessions },
  )
  terminal.print(
    endSessions
      ? 'rotated: the keys before are gone, and with them all sessions'
      : `rotated: the new key signs in ${span(afterSeconds)}`,
  )
  if (rotated.oldUntil !== undefined) {
    terminal.print(`the keys before verify until ${moment(rotated.oldUntil)}`)
  }
  const confirmation = await awaitConfirmation(
    pathsOfConfig(config),
    ({ keySet }) => hasRotation(config.sessionKeysFile, rotated, keySet),
    forgotten,
  )
  return tellConfirmation(terminal, confirmation, endSessions ? 'closing' : 'other') ? 0 : 1
}
