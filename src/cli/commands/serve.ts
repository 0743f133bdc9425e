import { CommandError } from '../../administration/command-error.ts'
import { loadConfig } from '../../config/load.ts'
import { limitHeapGrowth } from '../../server/heap-growth.ts'
import { type StartedService, startService } from '../../server/start.ts'
import { StartError } from '../../server/start-error.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { settingsHelp } from '../usage.ts'
import { packageVersion } from '../version.ts'

export const help = `Usage: certlatch serve

Answers the reverse proxy's auth requests: is this request allowed? Creates a CA, an empty CRL and
session keys on first start, logs JSON lines to standard output, and stops on SIGTERM or SIGINT once
pending requests are answered. Exit code 2: a setting or a file is wrong.

Example:
  $ CERTLATCH_PROXY=caddy CERTLATCH_DATA_DIR=/var/lib/certlatch certlatch serve

Settings, all from the environment:
${settingsHelp()}`

export async function run(invocation: Invocation): Promise<ExitCode> {
  const { environment, streams } = invocation
  const loaded = loadConfig(environment)
  if (!loaded.ok) throw new CommandError(loaded.problems, { code: 'usage' })
  limitHeapGrowth()
  // Listen before the start: a container's first process ignores signals without a listener.
  const stopped = invocation.waitForStop()
  let service: StartedService
  try {
    const { config, warnings } = loaded
    const logDestination = streams.stdout
    service = await startService({ config, warnings, logDestination, version: packageVersion() })
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    throw new CommandError(error.problems, { code: 'usage' })
  }
  await stopped
  await service.stop()
  return 0
}
