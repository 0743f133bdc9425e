import { AggregatorRegistry, Registry } from 'prom-client'
import type { Config, Values } from '../../config/config.ts'
import { dataPaths } from '../../store/data-directory.ts'
import type { TrustStore } from '../../store/trust-store.ts'
import { createAdminApp } from '../app.ts'
import { createErrorLog } from '../gate.ts'
import { createLastSeen, type LastSeen } from '../last-seen.ts'
import { closeSoon, createHttpServer } from '../lifecycle.ts'
import { describeAddress, listenOn } from '../listeners.ts'
import { createLog, type Log } from '../log.ts'
import { createTally, registerProcess, type Tally } from '../metrics.ts'
import { type Observation, observe } from '../observe.ts'
import { makeFirstFiles, openFiles, warnOfFiles } from '../open-files.ts'
import { readiness } from '../readiness.ts'
import { inForce, openRunningFile, type RunningFile } from '../running-file.ts'
import type { RunningService, StartOptions } from '../start.ts'
import { watchAge } from '../watch-age.ts'
import { joinReadiness, lowestInForce, noteSeen, problemsOf, sumInto } from './aggregate.ts'
import { type Crew, startCrew } from './crew.ts'
import type { ProcessMetrics, WorkerReport } from './messages.ts'

export interface ClusterOptions extends Omit<StartOptions, 'now'> {
  /** What the configuration was made of. */
  readonly values: Values
  readonly count: number
}

/**
 * Builds the service in several processes. The workers answer `/verify`, each from files that it
 * reads itself once it has what this one has in force; this one makes what a first start needs,
 * answers on the admin listener for all of them, and tells commands what all of them have in force.
 */
export async function startCluster(options: ClusterOptions): Promise<RunningService> {
  const { config, version } = options
  const log = createLog(config.logLevel, options.logDestination, config.logFormat)
  for (const warning of options.warnings) log.warn(warning)
  await makeFirstFiles(config, nowSeconds(), log)

  const tally = createTally()
  const lastSeen = createLastSeen()
  const state: State = { crew: undefined, members: () => [], running: undefined, draining: false }
  const tell = () => void state.running?.write()
  const trust = await openFiles({ config, tally, log, onReplaced: tell, onRefused: tell })
  warnOfFiles(config, trust.current, nowSeconds(), log)
  const stopWatchingAge = watchAge(trust, nowSeconds, log)
  const shared = { config, log, tally, lastSeen, trust }
  const observation = observeAll({ ...shared, version }, options.count, state)
  const close = async () => {
    trust.close()
    stopWatchingAge()
    observation.close()
    await state.crew?.stop()
  }
  const told = { ...shared, version, nowSeconds, sessionTtlSeconds: config.sessionTtlSeconds }
  const openFile = async (listen: string) => {
    state.running = await openRunningFile({
      ...told,
      listen,
      folder: dataPaths(config.dataDir).running,
      inForce: () => lowestInForce(inForce(trust.current), state.members()),
      problems: () => problemsOf(trust, state.members()),
    })
  }
  const { host, port } = config.listen
  try {
    // Before anybody is answered: a revocation that does not wait for it yet is read right behind.
    if (port !== 0) {
      await openFile(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)
      await trust.refresh()
    }
    const crew = await openCrew(options, shared, state)
    const admin = createHttpServer(
      createAdminApp(observation.operations, createErrorLog(log)).callback(),
    )
    const adminAddress = await listenOn(admin, 'CERTLATCH_ADMIN_LISTEN', config.adminListen)
    const { address } = crew
    const listen = describeAddress(address)
    if (port === 0) {
      await openFile(listen)
      crew.restore(lastSeen.all())
    }
    await state.running?.own()
    const workers = options.count
    log.info({ listen, admin: describeAddress(adminAddress), version, workers }, 'ready')
    return {
      address,
      adminAddress,
      refresh: () => trust.refresh(),
      stop: async () => {
        state.draining = true
        log.info('stopping')
        await close()
        await state.running?.close()
        await closeSoon(admin)
        log.info('stopped')
      },
    }
  } catch (error) {
    await close()
    await state.running?.abandon()
    throw error
  }
}

const nowSeconds = (): number => Math.floor(Date.now() / 1000)

interface State {
  crew: Crew | undefined
  /** Of the crew, while it is still being gathered too. */
  members: Crew['members']
  running: RunningFile | undefined
  draining: boolean
}

interface Shared {
  readonly config: Config
  readonly log: Log
  readonly tally: Tally
  readonly lastSeen: LastSeen
  readonly trust: TrustStore
}

function observeAll(
  shared: Shared & { readonly version: string },
  count: number,
  state: State,
): Observation {
  const { trust } = shared
  const own = new Registry()
  registerProcess(own, { process: 'primary' })
  const members = () => state.members()
  return observe({
    ...shared,
    nowSeconds,
    isDraining: () => state.draining,
    readiness: () =>
      joinReadiness(
        readiness(trust, state.running?.problem, nowSeconds(), state.draining),
        members(),
        count,
      ),
    cacheEntries: () => members().reduce((sum, { report }) => sum + report.cacheEntries, 0),
    workers: () => ({
      serving: members().filter(({ isServing }) => isServing).length,
      restarts: state.crew?.restarts ?? 0,
    }),
    gather: async () => {
      const told = (await state.crew?.gather()) ?? []
      return describeProcesses([await own.getMetricsAsJSON(), ...told])
    },
  })
}

/** Each process has its own label: added up, a counter would seem to begin anew with each death. */
function describeProcesses(processes: readonly ProcessMetrics[]): Promise<string> {
  const asTheyAre = processes.map((metrics) =>
    metrics.map((metric) => ({ ...metric, aggregator: 'first' })),
  )
  return AggregatorRegistry.aggregate(asTheyAre).metrics()
}

async function openCrew(
  { count, values, logDestination }: ClusterOptions,
  { config, log, tally, lastSeen, trust }: Shared,
  state: State,
): Promise<Crew> {
  const retired = createTally()
  const addUp = () => {
    const reports = state.members().map(({ report }) => report.tally)
    sumInto(tally, [retired, ...reports])
  }
  let told = ''
  const onReport = ({ seen }: WorkerReport) => {
    const firstToday = seen.filter((entry) => noteSeen(lastSeen, trust.current, entry))
    // Else each of them would tell of it.
    if (firstToday.length > 0) state.crew?.restore(firstToday)
    addUp()
    const members = state.members()
    const holds = JSON.stringify([
      lowestInForce(inForce(trust.current), members),
      problemsOf(trust, members),
    ])
    if (holds !== told) void state.running?.write()
    told = holds
  }
  state.crew = await startCrew({
    ...{ count, values, log, logDestination, onReport },
    onHiring: (members) => {
      state.members = members
    },
    listen: config.listen,
    seen: () => lastSeen.all(),
    origin: () => trust.origin,
    onEnded: (report) => {
      sumInto(retired, [retired, report.tally])
      addUp()
    },
  })
  return state.crew
}
