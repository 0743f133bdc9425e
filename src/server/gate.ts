import type { Server } from 'node:http'
import type { Config } from '../config/config.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { TrustStore } from '../store/trust-store.ts'
import { countDecision, type Tally } from './admin/tally.ts'
import { createPagesApp, createVerifyApp } from './app.ts'
import { enrollPages } from './client-routes/enroll-routes.ts'
import { createEnrollment } from './client-routes/enrollment.ts'
import { sweepRegularly } from './client-routes/invitation-sweep.ts'
import { commonPages, type Pages } from './client-routes/routes.ts'
import { createWrongCodes } from './client-routes/wrong-codes.ts'
import { openFiles } from './files/trust-source.ts'
import { createGateServer, drain } from './http-server.ts'
import type { Log } from './log.ts'
import { createDecisionLog, loggedAddress } from './verify/decision-log.ts'
import { createGrounds } from './verify/grounds.ts'
import type { LastSeen } from './verify/last-seen.ts'
import type { VerifyService } from './verify/route.ts'
import { createVerificationBudget } from './verify/verification-budget.ts'

export interface GateOptions {
  readonly config: Config
  readonly log: Log
  readonly tally: Tally
  readonly lastSeen: LastSeen
  nowSeconds(): number
  /** Called when changed files were loaded or refused. */
  onFilesChanged(): void
}

/** The files, and the servers that decide by them, which do not listen yet. */
export interface Gate {
  readonly trust: TrustStore
  /** Answers `/verify`. */
  readonly verify: Server
  /** Serves the pages below `/.certlatch/auth/` to clients. */
  readonly pages: Server
  cacheEntries(): number
  isDraining(): boolean
  /** Finishes the requests in progress; from now on, each answer closes its connection. */
  drain(): Promise<void>
}

/** Throws a StartError that lists everything wrong with the files. */
export async function openGate(options: GateOptions): Promise<Gate> {
  const { config, log, tally, lastSeen, nowSeconds, onFilesChanged } = options
  // Outlives the snapshots, because each new one would otherwise start with a full budget.
  const budget = createVerificationBudget(config.trustedProxies, () => performance.now())
  const onReplaced = (snapshot: Snapshot) => {
    current = createGrounds(config, snapshot, tally.cache, lastSeen, budget)
    onFilesChanged()
  }
  const trust = await openFiles({ config, tally, log, onReplaced, onRefused: onFilesChanged })
  let current = createGrounds(config, trust.current, tally.cache, lastSeen, budget)
  let draining = false
  const decisionLog = createDecisionLog(log, () => performance.now())
  const timer = setInterval(() => decisionLog.logSuppressed(false), LOG_SUPPRESSED_MILLISECONDS)
  timer.unref()
  const stopSweeping = sweepRegularly(config, nowSeconds)
  const service: VerifyService = {
    ...verifyConfigOf(config),
    grounds: () => current.grounds,
    keyRing: () => trust.current.keyRing,
    nowSeconds,
    catchUp: () => trust.catchUp(performance.now()),
    endsConnection: () => draining,
    countDecision: (decision, seconds) => countDecision(tally, decision, seconds),
    seenOf: (identity) => current.seenOf(identity),
    deviceOf: (headers) => current.deviceOf(headers),
    decisionLog,
    logError: createErrorLog(log),
  }
  const onMalformed = (peer: string | undefined, code: string) => {
    service.countDecision(MALFORMED, 0)
    decisionLog.refused(MALFORMED, () => ({ peer: loggedAddress(service, peer), code }))
  }
  const verify = createGateServer(createVerifyApp(service).callback(), onMalformed)
  const pagesApp = createPagesApp(service, createPages(options, service, trust))
  const pages = createGateServer(pagesApp.callback(), onMalformed)
  return {
    trust,
    verify,
    pages,
    cacheEntries: () => current.cache.entries,
    isDraining: () => draining,
    drain: async () => {
      draining = true
      await Promise.all([drain(verify), drain(pages)])
      clearInterval(timer)
      stopSweeping()
      decisionLog.logSuppressed(true)
    },
  }
}

/** With an external CA there are no enrollment pages, because it issues the certificates. */
function createPages(
  { config, log, tally }: GateOptions,
  service: VerifyService,
  trust: TrustStore,
): Pages {
  const common = commonPages(config.sessionTtlSeconds)
  const { dataDir, ca } = config
  if (ca.kind === 'external') return (path) => common.get(path)
  const enrolling = enrollPages({
    service,
    enrollment: createEnrollment({
      dataDir,
      revocationList: ca.crlFile,
      trust,
      grounds: service.grounds,
    }),
    wrongCodes: createWrongCodes(() => performance.now()),
    log,
    count: (outcome) => {
      tally.invitations[outcome] += 1
    },
  })
  return (path) => common.get(path) ?? enrolling(path)
}

/** How often the numbers of suppressed refusals are logged. */
const LOG_SUPPRESSED_MILLISECONDS = 10_000

const MALFORMED = { allow: false, via: 'none', reason: 'malformed-http' } as const

const verifyConfigOf = (config: Config) => ({
  dialect: config.dialect,
  trustedProxies: config.trustedProxies,
  cookieName: config.cookieName,
  cookieDomain: config.cookieDomain,
  logClient: config.logClient,
  denial: config.denial,
  hasInvitations: config.ca.kind === 'built-in',
})

/** Logs bugs: the stack of an error, never an object that could contain a request. */
export function createErrorLog(log: Log): (error: unknown) => void {
  return (error) => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    log.error({ error: text }, 'internal error')
  }
}
