import type { Confirmation } from '../administration/confirmation.ts'
import type { Terminal } from './terminal.ts'
import { count } from './words.ts'

/** Says who has a change in force; answers whether nobody who runs lacks it. */
export function tellConfirmation(
  terminal: Terminal,
  { confirmed, missing, problems, dead }: Confirmation,
): boolean {
  for (const service of dead) {
    terminal.tell(`${service} has not been heard of for 30 seconds or more, and was not waited for`)
  }
  if (missing.length > 0) {
    for (const service of missing) {
      terminal.tell(
        `${service} has not confirmed it within 5 seconds: look at its log, and stop it if it should not run`,
      )
    }
    for (const problem of problems) terminal.tell(problem)
    return false
  }
  if (confirmed.length > 0) {
    terminal.print(`in force: ${count(confirmed.length, 'service')} confirmed it`)
  } else {
    terminal.tell(
      'not confirmed: no running service has written into this directory; one that may only read it has the change within a second of seeing the files',
    )
  }
  return true
}
