import {
  awaitRegistry,
  type Confirmation,
  requireForgettable,
} from '../administration/confirmation.ts'
import type { Config } from '../config/config.ts'
import type { DataPaths } from '../store/data-directory.ts'
import type { Invocation } from './command.ts'
import { pathsOfConfig } from './command-context.ts'
import { count, shellWord } from './format.ts'
import type { Terminal } from './terminal.ts'

/** The option of commands that close. */
export const FORGET_OPTION = { forget: { type: 'string', multiple: true } } as const

/** Its text, `width` columns from the option on. */
export const forgetHelp = (width: number): string =>
  [
    `${'      --forget L@H'.padEnd(width - 1)} do not wait for the service that listened on L on host H and is`,
    `${' '.repeat(width)}silent, because it is gone for good`,
  ].join('\n')

export function forgottenServices(
  { flags }: Invocation,
  paths: DataPaths,
): Promise<readonly string[]> {
  const given = flags['forget']
  return requireForgettable(paths, Array.isArray(given) ? given.map(String) : [])
}

/**
 * Reports who has a change; returns whether no service lacks it. Where the change closes something, a
 * silent service lacks it as one that runs does: it may be cut off, and go on by what it knew.
 */
export function tellConfirmation(
  terminal: Terminal,
  { confirmed, missing, problems, silent }: Confirmation,
  kind: 'closing' | 'other',
): boolean {
  const lacking = kind === 'closing' ? silent.filter(({ hasIt }) => !hasIt) : []
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
    terminal.warn(
      'not confirmed: no running service has written into this directory; one that may only read it has the change within a second of seeing the files',
    )
  }
  return true
}

const unconfirmed = (service: string): string =>
  `${service} has not confirmed the change within 5 seconds`

const LOOK = 'look at its log, and stop it if it should not run'

/** Waits for a device that opens from now on: until then its first request could be refused. */
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
