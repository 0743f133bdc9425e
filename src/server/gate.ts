import type { Server } from 'node:http'
import type { Config } from '../config/config.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { TrustStore } from '../store/trust-store.ts'
import { countDecision, type Tally } from './admin/metrics.ts'
import { createPagesApp, createVerifyApp } from './app.ts'
import { enrollPages } from './client-routes/enroll-routes.ts'
import { createEnrollment } from './client-routes/enrollment.ts'
import { sweepRegularly } from './client-routes/invitation-sweep.ts'
import { type Pages, standingPages } from './client-routes/routes.ts'
import { createWrongCodes } from './client-routes/wrong-codes.ts'
import { openFiles } from './files/trust-source.ts'
import { createVerifyServer, drain } from './http-server.ts'
import type { Log } from './log.ts'
import { createDecisionLog, describeMalformed } from './verify/decision-log.ts'
import { createJudge } from './verify/grounds.ts'
import type { LastSeen } from './verify/last-seen.ts'
import type { VerifyService } from './verify/route.ts'
import { createVerificationBudget } from './verify/verification-budget.ts'

export interface GateOptions {
  readonly config: Config
  readonly log: Log
  readonly tally: Tally
  readonly lastSeen: LastSeen
  nowSeconds(): number
  /** Changed files have been loaded or refused. */
  onFilesChanged(): void
}

/** The files, what is judged by them, and servers that do not listen yet. */
export interface Gate {
  readonly trust: TrustStore
  /** Answers `/verify`. */
  readonly server: Server
  /** Answers clients, below `/.certlatch/auth/`. */
  readonly pages: Server
  cacheEntries(): number
  isDraining(): boolean
  /** Answers everything under way; from the call on, each answer ends its connection. */
  drain(): Promise<void>
}

/** Throws a StartError that tells everything wrong with the files. */
export async function openGate(options: GateOptions): Promise<Gate> {
  const { config, log, tally, lastSeen, nowSeconds, onFilesChanged } = options
  // Outlives the snapshots: else each of them would fill it again.
  const budget = createVerificationBudget(config.trustedProxies, () => performance.now())
  const onReplaced = (snapshot: Snapshot) => {
    judge = createJudge(config, snapshot, tally.cache, lastSeen, budget)
    onFilesChanged()
  }
  const trust = await openFiles({ config, tally, log, onReplaced, onRefused: onFilesChanged })
  let judge = createJudge(config, trust.current, tally.cache, lastSeen, budget)
  let draining = false
  const audit = createDecisionLog(log, () => performance.now())
  const timer = setInterval(() => audit.tellLeftOut(false), LEFT_OUT_MILLISECONDS)
  timer.unref()
  const stopSweeping = sweepRegularly(config, nowSeconds)
  const service: VerifyService = {
    ...verifyConfigOf(config),
    grounds: () => judge.grounds,
    keyRing: () => trust.current.keyRing,
    nowSeconds,
    catchUp: () => trust.catchUp(performance.now()),
    endsConnection: () => draining,
    countDecision: (decision, seconds) => countDecision(tally, decision, seconds),
    seenOf: (identity) => judge.seenOf(identity),
    deviceOf: (headers) => judge.deviceOf(headers),
    audit,
    logError: createErrorLog(log),
  }
  const onMalformed = (peer: string | undefined, code: string) => {
    service.countDecision(MALFORMED, 0)
    audit.refused(MALFORMED, () => describeMalformed(service, { peer, code }))
  }
  const server = createVerifyServer(createVerifyApp(service).callback(), onMalformed)
  const pagesApp = createPagesApp(service, createPages(options, service, trust))
  const pages = createVerifyServer(pagesApp.callback(), onMalformed)
  return {
    trust,
    server,
    pages,
    cacheEntries: () => judge.cache.entries,
    isDraining: () => draining,
    drain: async () => {
      draining = true
      await Promise.all([drain(server), drain(pages)])
      clearInterval(timer)
      stopSweeping()
      audit.tellLeftOut(true)
    },
  }
}

/** Devices of another's CA get their certificates there, so they have no page to enrol on. */
function createPages(
  { config, log, tally }: GateOptions,
  service: VerifyService,
  trust: TrustStore,
): Pages {
  const standing = standingPages(config.sessionTtlSeconds)
  if (config.externalCa) return (path) => standing.get(path)
  const { dataDir, crlFile: revocationList } = config
  const enrolling = enrollPages({
    service,
    enrollment: createEnrollment({ dataDir, revocationList, trust, grounds: service.grounds }),
    wrongCodes: createWrongCodes(() => performance.now()),
    log,
    count: (outcome) => {
      tally.invitations[outcome] += 1
    },
  })
  return (path) => standing.get(path) ?? enrolling(path)
}

/** How often it is looked whether the log owes a number. */
const LEFT_OUT_MILLISECONDS = 10_000

const MALFORMED = { allow: false, via: 'none', reason: 'malformed-http' } as const

const verifyConfigOf = (config: Config) => ({
  dialect: config.dialect,
  trustedProxies: config.trustedProxies,
  cookieName: config.cookieName,
  cookieDomain: config.cookieDomain,
  logClient: config.logClient,
  denial: config.denial,
})

/** Tells of bugs: the stack of an error of ours, never an object that could hold a request. */
export function createErrorLog(log: Log): (error: unknown) => void {
  return (error) => {
    const told = error instanceof Error ? (error.stack ?? error.message) : String(error)
    log.error({ error: told }, 'internal error')
  }
}
