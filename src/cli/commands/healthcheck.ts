import type { ListenAddress } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { askAdminListener, somethingElse } from '../admin-listener.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'

const TIMEOUT_MILLISECONDS = 3_000

const HELP = `Usage: certlatch healthcheck

Asks the service at CERTLATCH_ADMIN_LISTEN whether it is ready, for three seconds at most.
Exit code 0: it is. 1: it is not, or does not answer. 2: a setting is wrong.

Example:
  $ CERTLATCH_ADMIN_LISTEN=127.0.0.1:9181 certlatch healthcheck
  ready`

export const healthcheck: Command = {
  help: () => HELP,
  run: runHealthcheck,
}

async function runHealthcheck({ environment, terminal }: Invocation): Promise<ExitCode> {
  const loaded = loadConfig(environment)
  if (!loaded.ok) {
    for (const problem of loaded.problems) terminal.tell(problem)
    return 2
  }
  const obstacle = await readinessObstacle(loaded.config.adminListen, TIMEOUT_MILLISECONDS)
  if (obstacle === undefined) {
    terminal.print('ready')
    return 0
  }
  terminal.tell(obstacle)
  return 1
}

/** Why the service at this address is not ready, in one line; `undefined` if it is. */
export async function readinessObstacle(
  address: ListenAddress,
  timeoutMilliseconds: number,
): Promise<string | undefined> {
  const page = { path: '/readyz', token: undefined } as const
  const asked = await askAdminListener(address, page, timeoutMilliseconds)
  if (!asked.ok) return asked.obstacle
  if (asked.status === 200) return undefined
  if (asked.status === 503) return `not ready: ${failedChecks(asked.body)}`
  return somethingElse(asked.place, asked.status)
}

/** The details of the checks that failed, from the body of `/readyz`. */
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
