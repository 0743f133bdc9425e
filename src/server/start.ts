import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { DestinationStream } from 'pino'
import type { Config, ListenAddress } from '../config/config.ts'
import { errorCode } from '../store/files.ts'
import type { TrustStore } from '../store/trust-store.ts'
import { createAdminApp, createVerifyApp } from './app.ts'
import { createJudge } from './judge.ts'
import { createLastSeen } from './last-seen.ts'
import { closeNow, createHttpServer, createVerifyServer, drain, listen } from './lifecycle.ts'
import { createLog, createRefusalLog, type Log } from './log.ts'
import { countDecision, createTally } from './metrics.ts'
import { observe } from './observe.ts'
import { makeFirstFiles, openFiles, warnOfFiles } from './open-files.ts'
import { agingProblems, readiness } from './readiness.ts'
import type { VerifyService } from './routes/verify.ts'
import { StartError } from './start-error.ts'

/** How often CRLs, CAs and keys are asked whether they have aged. */
const AGING_MILLISECONDS = 30_000

const MALFORMED = { allow: false, via: 'none', reason: 'malformed-http' } as const

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
  const log = createLog(config.logLevel, options.logDestination)
  const nowSeconds = () => Math.floor(now() / 1000)
  for (const warning of options.warnings) log.warn(warning)
  await makeFirstFiles(config, nowSeconds(), log)

  const tally = createTally()
  const lastSeen = createLastSeen()
  const state = { draining: false }
  const trust = await openFiles(config, tally, log, (snapshot) => {
    current = createJudge(config, snapshot, tally.cache, lastSeen)
  })
  let current = createJudge(config, trust.current, tally.cache, lastSeen)
  warnOfFiles(config, trust.current, nowSeconds(), log)

  const stopWatchingAge = watchAge(trust, nowSeconds, log)
  const logError = (error: unknown) => log.error({ error: describeError(error) }, 'internal error')
  const service: VerifyService = {
    dialect: config.dialect,
    trustedProxies: config.trustedProxies,
    cookieName: config.cookieName,
    cookieDomain: config.cookieDomain,
    grounds: () => current.grounds,
    keyRing: () => trust.current.keyRing,
    nowSeconds,
    isDraining: () => state.draining,
    countDecision: (decision, seconds) => countDecision(tally, decision, seconds),
    seenOf: (identity) => current.seenOf(identity),
    logRefusal: createRefusalLog(log, () => performance.now()),
    logError,
  }
  const observation = observe({
    config,
    version,
    tally,
    lastSeen,
    trust,
    nowSeconds,
    readiness: () => readiness(trust, nowSeconds(), state.draining),
    cacheEntries: () => current.cache.entries,
  })
  const listeners = {
    verify: createVerifyServer(createVerifyApp(service).callback(), () =>
      countDecision(tally, MALFORMED, 0),
    ),
    admin: createHttpServer(createAdminApp(observation.operations, logError).callback()),
  }
  const { address, adminAddress } = await openListeners(listeners, config, trust)
  log.info(
    { listen: describeAddress(address), admin: describeAddress(adminAddress), version },
    'ready',
  )
  return {
    address,
    adminAddress,
    refresh: () => trust.refresh(),
    stop: async () => {
      state.draining = true
      log.info('stopping')
      await drain(listeners.verify)
      trust.close()
      stopWatchingAge()
      observation.close()
      await closeNow(listeners.admin)
      log.info('stopped')
    },
  }
}

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
