import {
  awaitConfirmation,
  awaitRegistry,
  requireForgettable,
} from '../administration/confirmation.ts'
import type { Config } from '../config/config.ts'
import type { DataPaths } from '../store/data-directory.ts'
import type { RunningState } from '../store/service-state.ts'
import type { RunningConfirmation } from '../store/service-state-files.ts'
import type { Invocation } from './command.ts'
import { pathsOfConfig } from './command-context.ts'
import { count, shellWord } from './format.ts'
import type { Terminal } from './terminal.ts'

/** The option of commands that take access away. */
export const FORGET_OPTION = { forget: { type: 'string', multiple: true } } as const

/** Its help text, with descriptions in column `width`. */
export const forgetHelp = (width: number): string =>
  [
    `${'      --forget L@H'.padEnd(width - 1)} do not wait for the silent service that listened on L on host H,`,
    `${' '.repeat(width)}because it is gone for good`,
  ].join('\n')

export function forgottenServices(
  { flags }: Invocation,
  paths: DataPaths,
): Promise<readonly string[]> {
  const given = flags['forget']
  return requireForgettable(paths, Array.isArray(given) ? given.map(String) : [])
}

/** Waits until the services have a change, and reports which do; returns false if a service lacks it. */
export async function confirmChange(
  { terminal }: Invocation,
  config: Config,
  hasIt: (state: RunningState) => boolean | Promise<boolean>,
  kind: 'revoking' | 'other',
  forgotten: readonly string[] = [],
): Promise<boolean> {
  const confirmation = await awaitConfirmation(pathsOfConfig(config), hasIt, forgotten)
  return reportConfirmation(terminal, confirmation, kind, forgotten.length > 0)
}

/** Whether a service has loaded the CRL of this number, or a later one. */
export const hasRevocationList =
  (number: bigint) =>
  ({ crlNumber }: RunningState): boolean =>
    crlNumber !== undefined && BigInt(crlNumber) >= number

/** Whether a service has loaded the blocks of this number, or later ones. */
export const hasBlocks =
  (number: number) =>
  ({ blocksNumber }: RunningState): boolean =>
    blocksNumber >= number

/**
 * Reports which services have applied a change; returns false if a service lacks it. A change that
 * takes access away also has to reach silent services: one may be cut off from the files and still
 * allow what it allowed before.
 */
function reportConfirmation(
  terminal: Terminal,
  { confirmed, missing, problems, silent }: RunningConfirmation,
  kind: 'revoking' | 'other',
  hasForgotten: boolean,
): boolean {
  const lacking = kind === 'revoking' ? silent.filter(({ hasIt }) => !hasIt) : []
  for (const service of silent) {
    const silence = `${service.name} has been silent for 30 seconds or more`
    if (lacking.includes(service)) {
      terminal.error(
        `${silence}, and has not confirmed the change: if it still runs, cut off from these files or suspended, it keeps using the previous ones`,
        `run this again once it answers or, if it is gone for good, with --forget ${shellWord(service.label)}`,
      )
    } else if (service.hasIt) {
      terminal.note(`${silence}; it had confirmed the change before`)
    } else {
      terminal.warn(`${silence}, and was not waited for`)
    }
  }
  for (const service of missing) terminal.error(unconfirmed(service), LOOK)
  for (const problem of problems) terminal.error(problem)
  if (missing.length > 0 || lacking.length > 0) return false
  if (confirmed.length > 0) {
    terminal.print(`confirmed by ${count(confirmed.length, 'service')}`)
  } else {
    const isQuiet = hasForgotten || silent.length > 0
    const who = isQuiet ? 'only silent services have' : 'no running service has'
    terminal.warn(
      `not confirmed: ${who} written to this directory; one that can only read it applies the change within a second of seeing the files`,
    )
  }
  return true
}

const unconfirmed = (service: string): string =>
  `${service} has not confirmed the change within 5 seconds`

const LOOK = 'look at its log, and stop it if it should not run'

/** Waits until every service has loaded a new device, whose first request could otherwise be denied. */
export async function confirmDevice({ terminal }: Invocation, config: Config): Promise<void> {
  const { missing, problems, silent } = await awaitRegistry(pathsOfConfig(config))
  for (const service of missing) terminal.warn(`${unconfirmed(service)}: ${LOOK}`)
  for (const problem of problems) terminal.warn(problem)
  for (const { name, hasIt } of silent) {
    if (hasIt) continue
    terminal.warn(
      `${name} has been silent for 30 seconds or more: if it still runs, it may refuse the device at first`,
    )
  }
}
