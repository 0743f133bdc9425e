import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { DestinationStream } from 'pino'
import type { Config, ListenAddress } from '../config/config.ts'
import { dataPaths } from '../store/data-directory.ts'
import { errorCode } from '../store/files.ts'
import type { TrustStore } from '../store/trust-store.ts'
import { createAdminApp, createVerifyApp } from './app.ts'
import { createAudit } from './audit.ts'
import { createCheckBudget } from './check-budget.ts'
import { createJudge } from './judge.ts'
import { createLastSeen, type LastSeen } from './last-seen.ts'
import { closeSoon, createHttpServer, createVerifyServer, drain, listen } from './lifecycle.ts'
import { createLog, type Log } from './log.ts'
import { countDecision, createTally, type Tally } from './metrics.ts'
import { observe } from './observe.ts'
import { makeFirstFiles, openFiles, warnOfFiles } from './open-files.ts'
import { agingProblems, readiness } from './readiness.ts'
import type { Operations } from './routes/operations.ts'
import type { VerifyService } from './routes/verify.ts'
import { openRunningFile, type RunningFile } from './running-file.ts'
import { StartError } from './start-error.ts'

/** How often CRLs, CAs and keys are asked whether they have aged. */
const AGING_MILLISECONDS = 30_000

/** What the process gives the service. */
export interface StartOptions {
  readonly config: Config
  /** Of the configuration, to be logged. */
  readonly warnings: readonly string[]
  readonly logDestination: DestinationStream
  readonly version: string
  /** Milliseconds since 1970; tests bring their own. */
  readonly now?: () => number
}

export interface RunningService {
  readonly address: AddressInfo
  readonly adminAddress: AddressInfo
  /** Looks at the files at once. */
  refresh(): Promise<void>
  /** Answers everything under way, then ends. */
  stop(): Promise<void>
}

/** The one place that builds things: configuration → files → applications → listeners. */
export async function startService(options: StartOptions): Promise<RunningService> {
  const { config, version, now = Date.now } = options
  const log = createLog(config.logLevel, options.logDestination, config.logFormat)
  const nowSeconds = () => Math.floor(now() / 1000)
  for (const warning of options.warnings) log.warn(warning)
  await makeFirstFiles(config, nowSeconds(), log)

  const tally = createTally()
  const lastSeen = createLastSeen()
  let running: RunningFile | undefined
  const state = { draining: false }
  const { trust, judge } = await openJudge(config, tally, lastSeen, log, () => running?.write())
  warnOfFiles(config, trust.current, nowSeconds(), log)

  const stopWatchingAge = watchAge(trust, nowSeconds, log)
  const service: VerifyService = {
    ...verifyConfigOf(config),
    grounds: () => judge().grounds,
    keyRing: () => trust.current.keyRing,
    nowSeconds,
    catchUp: () => trust.catchUp(performance.now()),
    isDraining: () => state.draining,
    countDecision: (decision, seconds) => countDecision(tally, decision, seconds),
    seenOf: (identity) => judge().seenOf(identity),
    deviceOf: (headers) => judge().deviceOf(headers),
    audit: createAudit(log, () => performance.now()),
    logError: (error) => log.error({ error: describeError(error) }, 'internal error'),
  }
  const observation = observe({
    config,
    version,
    tally,
    lastSeen,
    trust,
    nowSeconds,
    readiness: () => readiness(trust, running?.problem, nowSeconds(), state.draining),
    cacheEntries: () => judge().cache.entries,
  })
  const listeners = createListeners(service, observation.operations, config)
  const { address, adminAddress } = await openListeners(listeners, config, trust)
  running = await openRunningFile({
    folder: dataPaths(config.dataDir).running,
    listen: describeAddress(address),
    version,
    sessionTtlSeconds: config.sessionTtlSeconds,
    lastSeen,
    log,
    snapshot: () => trust.current,
    nowSeconds,
  })
  tellReady(log, { address, adminAddress, version })
  return {
    address,
    adminAddress,
    refresh: () => trust.refresh(),
    stop: async () => {
      state.draining = true
      log.info('stopping')
      await drain(listeners.verify)
      await close(listeners, trust, running)
      stopWatchingAge()
      observation.close()
      log.info('stopped')
    },
  }
}

async function close(
  listeners: Listeners,
  trust: TrustStore,
  running: RunningFile | undefined,
): Promise<void> {
  trust.close()
  await running?.close()
  await closeSoon(listeners.admin)
}

/** The files, and the judge by what they say now. */
async function openJudge(
  config: Config,
  tally: Tally,
  lastSeen: LastSeen,
  log: Log,
  onReplaced: () => void,
) {
  // Outlives the snapshots: else each of them would fill it again.
  const budget = createCheckBudget(config.trustedProxies, () => performance.now())
  const trust = await openFiles(config, tally, log, (snapshot) => {
    current = createJudge(config, snapshot, tally.cache, lastSeen, budget)
    onReplaced()
  })
  let current = createJudge(config, trust.current, tally.cache, lastSeen, budget)
  return { trust, judge: () => current }
}

type Opened = Pick<RunningService, 'address' | 'adminAddress'> & { readonly version: string }

function tellReady(log: Log, { address, adminAddress, version }: Opened): void {
  const admin = describeAddress(adminAddress)
  log.info({ listen: describeAddress(address), admin, version }, 'ready')
}

const MALFORMED = { allow: false, via: 'none', reason: 'malformed-http' } as const

const verifyConfigOf = (config: Config) => ({
  dialect: config.dialect,
  trustedProxies: config.trustedProxies,
  cookieName: config.cookieName,
  cookieDomain: config.cookieDomain,
  logClient: config.logClient,
  denial: config.denial,
})

/** Warns of each thing that has aged, once; answers what ends the watching. */
function watchAge(trust: TrustStore, nowSeconds: () => number, log: Log): () => void {
  let told: readonly string[] = []
  const tell = () => {
    const problems = agingProblems(trust.current, nowSeconds())
    for (const problem of problems) {
      if (!told.includes(problem)) log.warn({ problem }, 'out of date')
    }
    told = problems
  }
  tell()
  const timer = setInterval(tell, AGING_MILLISECONDS)
  timer.unref()
  return () => clearInterval(timer)
}

interface Listeners {
  readonly verify: Server
  readonly admin: Server
}

function createListeners(
  service: VerifyService,
  operations: Operations,
  { sessionTtlSeconds }: Config,
): Listeners {
  return {
    verify: createVerifyServer(createVerifyApp(service, sessionTtlSeconds).callback(), () =>
      service.countDecision(MALFORMED, 0),
    ),
    admin: createHttpServer(createAdminApp(operations, service.logError).callback()),
  }
}

/** Opens both or none. */
async function openListeners(listeners: Listeners, config: Config, trust: TrustStore) {
  try {
    const address = await listenOn(listeners.verify, 'CERTLATCH_LISTEN', config.listen)
    const adminAddress = await listenOn(
      listeners.admin,
      'CERTLATCH_ADMIN_LISTEN',
      config.adminListen,
    )
    return { address, adminAddress }
  } catch (error) {
    trust.close()
    listeners.verify.close()
    throw error
  }
}

const LISTEN_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another process: stop that one, or choose another port',
  EACCES: 'may not be opened by this user: choose a port above 1023',
  EADDRNOTAVAIL: 'is not an address of this machine',
}

async function listenOn(
  server: Server,
  setting: string,
  { host, port }: ListenAddress,
): Promise<AddressInfo> {
  try {
    return await listen(server, host, port)
  } catch (error) {
    const code = errorCode(error) ?? String(error)
    const shown = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    throw new StartError([`${setting} ${shown} ${LISTEN_ERRORS[code] ?? `fails (${code})`}`])
  }
}

const describeAddress = ({ address, port, family }: AddressInfo): string =>
  family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`

/** The stack of an error of ours; never an object that could hold a request. */
function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
