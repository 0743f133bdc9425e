import { usageError } from '../../administration/command-error.ts'
import { hasRotation, rotateSessionKeys } from '../../administration/rotate-session-keys.ts'
import { durationFlag } from '../arguments.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { changeOf, pathsOfConfig, settingsOf } from '../command-context.ts'
import { confirmChange, FORGET_OPTION, forgetHelp, forgottenServices } from '../confirmation.ts'
import { moment, span } from '../format.ts'

const AFTER_SECONDS = 5

export const help = `Usage: certlatch key rotate [--after T]
       certlatch key rotate --now [--forget L@H]

Adds a key for session cookies. It starts to sign after a short while, when every replica has loaded
it; the previous keys verify until the last session that they signed has expired. No one is signed
out.

Options:
      --after T      when the new key starts to sign: 5s by default
      --now          delete the previous keys: all sessions end, and certificates start new ones.
                     For keys that may have leaked.
${forgetHelp(21)}

Example:
  $ certlatch key rotate`

export const options = {
  after: { type: 'string' },
  now: { type: 'boolean' },
  ...FORGET_OPTION,
} as const

export async function run(invocation: Invocation): Promise<ExitCode> {
  const config = settingsOf(invocation)
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
  const rotated = await rotateSessionKeys(changeOf(invocation, config), config.sessionKeysFile, {
    afterSeconds,
    ttlSeconds: config.sessionTtlSeconds,
    endSessions,
  })
  terminal.print(
    endSessions
      ? 'rotated: the previous keys are deleted, and all sessions have ended'
      : `rotated: the new key starts to sign in ${span(afterSeconds)}`,
  )
  if (rotated.oldUntil !== undefined) {
    terminal.print(`the previous keys verify until ${moment(rotated.oldUntil)}`)
  }
  const hasIt = ({ keySet }: { readonly keySet: string }) =>
    hasRotation(config.sessionKeysFile, rotated, keySet)
  const kind = endSessions ? 'revoking' : 'other'
  return (await confirmChange(invocation, config, hasIt, kind, forgotten)) ? 0 : 1
}
