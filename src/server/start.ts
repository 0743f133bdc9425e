import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { DestinationStream } from 'pino'
import type { Config } from '../config/config.ts'
import { writeAddress } from '../config/values.ts'
import { dataPaths } from '../store/data-directory.ts'
import { observe } from './admin/admin-service.ts'
import { readiness } from './admin/readiness.ts'
import { createTally } from './admin/tally.ts'
import { createAdminApp } from './app.ts'
import { watchExpiry } from './files/expiry-watch.ts'
import { type OwnStateFile, openStateFile, requireOwnName } from './files/state-file.ts'
import { warnOfFiles } from './files/trust-source.ts'
import { prepareFirstStart } from './first-start.ts'
import { createErrorLog, type Gate, openGate } from './gate.ts'
import { closeSoon, createHttpServer, listenOn } from './http-server.ts'
import { createLog } from './log.ts'
import { createLastSeen } from './verify/last-seen.ts'

/** What the service needs from its process. */
export interface StartOptions {
  readonly config: Config
  /** Warnings about the configuration, to be logged. */
  readonly warnings: readonly string[]
  readonly logDestination: DestinationStream
  readonly version: string
  /** Milliseconds since 1970; tests pass their own clock. */
  readonly now?: () => number
}

interface Listening {
  readonly address: AddressInfo
  readonly adminAddress: AddressInfo
  readonly pagesAddress: AddressInfo
}

export interface StartedService extends Listening {
  /** Checks the files now. */
  refresh(): Promise<void>
  /** Finishes the requests in progress, then stops. */
  stop(): Promise<void>
}

/** Builds the service: configuration → files → applications → listeners. */
export async function startService(options: StartOptions): Promise<StartedService> {
  const { config, version, now = Date.now } = options
  const log = createLog(config.logLevel, options.logDestination, config.logFormat)
  const nowSeconds = () => Math.floor(now() / 1000)
  for (const warning of options.warnings) log.warn(warning)
  await prepareFirstStart(config, nowSeconds(), log)
  const { port } = config.listen
  const listen = writeAddress(config.listen)
  const { running: folder } = dataPaths(config.dataDir)
  // A port chosen by the system cannot collide with that of another service.
  if (port !== 0) await requireOwnName(folder, listen)

  const tally = createTally()
  const lastSeen = createLastSeen()
  let running: OwnStateFile | undefined
  const shared = { config, log, tally, lastSeen, nowSeconds }
  const gate = await openGate({ ...shared, onFilesChanged: () => void running?.write() })
  const { trust } = gate
  warnOfFiles(config, trust.current, nowSeconds(), log)
  const stopExpiryWatch = watchExpiry(trust, nowSeconds, log)
  const observation = observe({
    ...shared,
    version,
    trust,
    isDraining: () => gate.isDraining(),
    readiness: () => readiness(trust, running?.problem, nowSeconds(), gate.isDraining()),
    cacheEntries: () => gate.cacheEntries(),
  })
  const admin = createHttpServer(
    createAdminApp(observation.operations, createErrorLog(log)).callback(),
  )
  const openFile = async (address: string) => {
    const { sessionTtlSeconds } = config
    const own = { folder, listen: address, version, trust, sessionTtlSeconds }
    running = await openStateFile({ ...shared, ...own })
  }
  // Write the state file before listening, then read the files again: a revocation made in between did
  // not wait for this service.
  if (port !== 0) {
    await openFile(listen)
    await trust.refresh()
  }
  const addresses = await openListeners(gate, admin, config, running)
  if (port === 0) await openFile(describeAddress(addresses.address))
  await running?.own()
  log.info(describeAddresses(addresses, version), 'ready')
  return {
    ...addresses,
    refresh: () => trust.refresh(),
    stop: async () => {
      log.info('stopping')
      await gate.drain()
      trust.close()
      await running?.close()
      await closeSoon(admin)
      stopExpiryWatch()
      observation.close()
      log.info('stopped')
    },
  }
}

const describeAddress = ({ address: host, port }: AddressInfo): string =>
  writeAddress({ host, port })

const describeAddresses = (
  { address, adminAddress, pagesAddress }: Listening,
  version: string,
) => ({
  listen: describeAddress(address),
  admin: describeAddress(adminAddress),
  pages: describeAddress(pagesAddress),
  version,
})

/** Starts all listeners, or none. */
async function openListeners(
  { verify, pages, trust }: Gate,
  admin: Server,
  config: Config,
  running: OwnStateFile | undefined,
): Promise<Listening> {
  try {
    const address = await listenOn(verify, 'CERTLATCH_LISTEN', config.listen)
    const adminAddress = await listenOn(admin, 'CERTLATCH_ADMIN_LISTEN', config.adminListen)
    const pagesAddress = await listenOn(pages, 'CERTLATCH_PAGES_LISTEN', config.pagesListen)
    return { address, adminAddress, pagesAddress }
  } catch (error) {
    trust.close()
    for (const listener of [verify, admin, pages]) listener.close()
    await running?.close()
    throw error
  }
}
