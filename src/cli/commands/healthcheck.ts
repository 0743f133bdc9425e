import { CommandError } from '../../administration/command-error.ts'
import type { ListenAddress } from '../../config/values.ts'
import { askAdminListener, unexpectedStatus } from '../admin-listener.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { settingsOf } from '../command-context.ts'

const TIMEOUT_MILLISECONDS = 3_000

export const help = `Usage: certlatch healthcheck

Asks the service at CERTLATCH_ADMIN_LISTEN whether it is ready, and waits three seconds at most.
Exit code 0: it is. 1: it is not, or does not answer. 2: a setting is wrong.

Example:
  $ CERTLATCH_ADMIN_LISTEN=127.0.0.1:9181 certlatch healthcheck
  ready`

export async function run(invocation: Invocation): Promise<ExitCode> {
  const { adminListen } = settingsOf(invocation)
  await requireReady(adminListen, TIMEOUT_MILLISECONDS)
  invocation.terminal.print('ready')
  return 0
}

/** Throws a `CommandError` unless the service at this address is ready. */
export async function requireReady(
  address: ListenAddress,
  timeoutMilliseconds: number,
): Promise<void> {
  const page = { path: '/readyz', token: undefined } as const
  const asked = await askAdminListener(address, page, timeoutMilliseconds)
  if (!asked.ok) throw new CommandError(asked.problem, { hint: asked.hint })
  if (asked.status === 200 && isReady(asked.body)) return
  if (asked.status === 503) throw new CommandError(`not ready: ${failedChecks(asked.body)}`)
  const { problem, hint } = unexpectedStatus(asked.place, asked.status)
  throw new CommandError(problem, { hint })
}

/** Whether the body of a 200 is certlatch's: another program on this port may answer 200 to every path. */
function isReady(body: string): boolean {
  try {
    const { ready, checks, keySet } = JSON.parse(body)
    return ready === true && Array.isArray(checks) && typeof keySet === 'string'
  } catch {
    return false
  }
}

/** Returns the details of the failed checks, from the body of `/readyz`. */
function failedChecks(body: string): string {
  try {
    const checks: readonly Check[] = JSON.parse(body).checks
    const failed = checks.filter(({ ok }) => ok !== true)
    return failed.map(({ name, detail }) => `${name}: ${detail}`).join('; ') || UNEXPLAINED
  } catch {
    return UNEXPLAINED
  }
}

const UNEXPLAINED = 'the answer does not say why'

interface Check {
  readonly name: unknown
  readonly ok: unknown
  readonly detail: unknown
}
