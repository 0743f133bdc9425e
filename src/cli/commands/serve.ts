import { availableParallelism } from 'node:os'
import { loadConfig } from '../../config/load.ts'
import { limitHeapGrowth } from '../../server/heap-growth.ts'
import { type RunningService, startService } from '../../server/start.ts'
import { StartError } from '../../server/start-error.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'
import { settingsHelp } from '../usage.ts'
import { packageVersion } from '../version.ts'

export const serve: Command = {
  help: () => `Usage: certlatch serve

Answers the reverse proxy's question: may this request pass? Makes a CA, an empty CRL and session
keys at the first start, logs JSON lines to standard output, and stops at SIGTERM or SIGINT once
everything under way is answered. Exit code 2: a setting or a file is wrong.

Example:
  $ CERTLATCH_PROXY=caddy CERTLATCH_DATA_DIR=/var/lib/certlatch certlatch serve

Settings, all from the environment:
${settingsHelp()}`,
  run: runServe,
}

async function runServe(invocation: Invocation): Promise<ExitCode> {
  const { environment, terminal, streams } = invocation
  const loaded = loadConfig(environment)
  if (!loaded.ok) {
    for (const problem of loaded.problems) terminal.tell(problem)
    return 2
  }
  limitHeapGrowth()
  // Before the start: a container's first process is deaf to signals without a listener.
  let isStopping = false
  const stopped = invocation.waitForStop().then(() => {
    isStopping = true
  })
  let service: RunningService
  try {
    const { config, values, warnings } = loaded
    const { count, told } = countWorkers(config.workers, availableParallelism())
    const shared = { config, warnings: [...warnings, ...told], version: packageVersion() }
    const options = { ...shared, logDestination: streams.stdout }
    service =
      count === 1
        ? await startService(options)
        : await (await startOfCluster())({ ...options, values, count })
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    // What stops all processes of the service meets workers that do not listen to signals yet.
    if (isStopping && error.signal !== undefined) return 0
    for (const problem of error.problems) terminal.tell(problem)
    return 2
  }
  await stopped
  await service.stop()
  return 0
}

/** One process has no need of what several have. */
const startOfCluster = async () =>
  (await import('../../server/cluster/start-cluster.ts')).startCluster

/** How many processes are to answer, and what should be said about that. */
function countWorkers(workers: number | 'auto', cores: number) {
  if (workers === 'auto') return { count: cores, told: [] }
  const tooMany = `CERTLATCH_WORKERS is ${workers}, and there ${cores === 1 ? 'is 1 core' : `are ${cores} cores`}: more processes than cores only cost memory`
  return { count: workers, told: workers > cores ? [tooMany] : [] }
}
