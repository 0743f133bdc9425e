import { constants, existsSync } from 'node:fs'
import { access } from 'node:fs/promises'
import { type Config, filesToMake } from '../../config/config.ts'
import { ENROLL_PATH, ruleClosingEnrollment } from '../../policy/page-policy.ts'
import { dataPaths, prepareDataDirectory } from '../../store/data-directory.ts'
import { describeFileError } from '../../store/files.ts'
import { readPolicySource } from '../../store/policy-file.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { policyParser, readRegularFile, type TrustFiles } from '../../store/snapshot-sources.ts'
import { openTrustStore, type TrustEvents, type TrustStore } from '../../store/trust-store.ts'
import { isClockWrong } from '../admin/readiness.ts'
import type { Tally } from '../admin/tally.ts'
import type { Log } from '../log.ts'
import { StartError } from '../start-error.ts'
import { describeChanges } from './snapshot-diff.ts'

/** Creates the files of a first start. Throws a StartError if the data directory is unsuitable. */
export async function makeFirstFiles(config: Config, nowSeconds: number, log: Log): Promise<void> {
  const needed = filesToMake(config)
  if (!Object.values(needed).includes(true)) return
  await requireNamedFiles(config)
  try {
    const prepared = await prepareDataDirectory(config.dataDir, needed, nowSeconds)
    if (!prepared.ok) throw new StartError([prepared.problem])
    for (const file of prepared.made) log.info({ file }, 'created on first start')
  } catch (error) {
    if (error instanceof StartError) throw error
    const path = error instanceof Error && 'path' in error ? String(error.path) : config.dataDir
    throw new StartError([
      `the data directory ${config.dataDir} cannot be prepared: ${path} ${describeFileError(error)}; set CERTLATCH_DATA_DIR to a folder that this user may write`,
    ])
  }
}

/** Files named by a setting are never created, and while one is missing, no others are either. */
async function requireNamedFiles(config: Config): Promise<void> {
  const files = trustFiles(config)
  const named = [
    config.externalCa && files.authorities,
    config.crlFileNamed && files.revocationLists,
    config.sessionKeysFileNamed && files.sessionKeys,
    files.policy,
  ]
  const problems: string[] = []
  for (const file of named) {
    if (!file) continue
    try {
      await access(file.path, constants.R_OK)
    } catch (error) {
      problems.push(`${file.name} ${describeFileError(error)}`)
    }
  }
  if (problems.length === 0 && files.policy !== undefined && isFirstStart(config)) {
    problems.push(...(await wrongRules(files.policy)))
  }
  if (problems.length > 0) throw new StartError(problems)
}

const isFirstStart = ({ caFile, sessionKeysFile }: Config): boolean =>
  !existsSync(caFile) || !existsSync(sessionKeysFile)

/** Validates the policy first, so that a failed start leaves no CA behind. */
async function wrongRules(file: NonNullable<TrustFiles['policy']>): Promise<readonly string[]> {
  const content = await readRegularFile(file.path)
  const parse = await policyParser()
  return readPolicySource({ ...file, content, parse }, undefined).problems
}

/** The files of the configuration, with the names that messages use for them. */
export function trustFiles(config: Config): TrustFiles {
  const named = (path: string, setting: string, isSet: boolean) => ({
    path,
    name: isSet ? `${setting} ${path}` : path,
  })
  const { crlFile, policyFile, trustedProxies } = config
  const { devices, blocks, undelivered } = dataPaths(config.dataDir)
  return {
    authorities: named(config.caFile, 'CERTLATCH_CA_FILE', config.externalCa),
    revocationLists:
      crlFile === undefined ? undefined : named(crlFile, 'CERTLATCH_CRL_FILE', config.crlFileNamed),
    sessionKeys: named(
      config.sessionKeysFile,
      'CERTLATCH_SESSION_KEYS_FILE',
      config.sessionKeysFileNamed,
    ),
    devices: config.externalCa ? undefined : { path: devices, name: devices },
    blocks: { path: blocks, name: blocks },
    undelivered: { path: undelivered, name: undelivered },
    policy:
      policyFile === undefined
        ? undefined
        : { ...named(policyFile, 'CERTLATCH_POLICY_FILE', true), trustedProxies },
    // The built-in CA's CRL is valid as long as the CA, even if a machine with a wrong clock wrote it.
    staleRevocationList: config.externalCa ? config.staleCrl : 'allow',
  }
}

export interface OpenFilesOptions {
  readonly config: Config
  readonly tally: Tally
  readonly log: Log
  onReplaced(snapshot: Snapshot): void
  onRefused(): void
}

/** Reads all files and watches them. Throws a StartError that lists everything wrong with them. */
export async function openFiles(options: OpenFilesOptions): Promise<TrustStore> {
  const { config, tally, log, onReplaced, onRefused } = options
  let previous: Snapshot | undefined
  const events: TrustEvents = {
    onReplaced: (snapshot) => {
      tally.reloads += 1
      onReplaced(snapshot)
      log.info(describeSnapshot(snapshot), 'files reloaded')
      if (previous !== undefined) logChanges(log, previous, snapshot)
      previous = snapshot
      warnOfSnapshot(config, snapshot, log)
    },
    onProblem: (problems) => {
      tally.reloadFailures += 1
      onRefused()
      for (const problem of problems) {
        log.error({ problem }, 'reload failed, keeping the previous files')
      }
    },
  }
  const opened = await openTrustStore(trustFiles(config), events)
  if (!opened.ok) throw new StartError(opened.problems)
  previous = opened.store.current
  return opened.store
}

/** Restoring a whole registry makes many changes: beyond this, only their number is logged. */
const MOST_CHANGES_LOGGED = 100

function logChanges(log: Log, before: Snapshot, after: Snapshot): void {
  const changes = describeChanges(before, after)
  for (const { what, fields } of changes.slice(0, MOST_CHANGES_LOGGED)) log.info(fields, what)
  const suppressed = changes.length - MOST_CHANGES_LOGGED
  if (suppressed > 0) log.info({ suppressed }, 'changes suppressed')
}

function describeSnapshot({ trust, keyRing, registry, policy }: Snapshot) {
  return {
    authorities: trust.issuers.length,
    revoked: [...trust.revocationLists.values()].reduce(
      (sum, { serials }) => sum + serials.size,
      0,
    ),
    sessionKeys: keyRing.keys.length,
    rules: policy.rules.length,
    ...(registry && { certificates: registry.byCertificate.size }),
  }
}

/** Logs at startup what an operator should know about the files. */
export function warnOfFiles(
  config: Config,
  snapshot: Snapshot,
  nowSeconds: number,
  log: Log,
): void {
  warnOfSnapshot(config, snapshot, log)
  for (const problem of snapshot.problems) log.error({ problem }, 'some files were not loaded')
  if (config.crlFile === undefined) {
    log.warn('no CERTLATCH_CRL_FILE: a certificate that the CA revokes stays valid here')
  }
  if (isClockWrong(snapshot, nowSeconds)) {
    log.error('the clock is wrong: it is earlier than the beginning of the CA certificate')
  }
}

function warnOfSnapshot(config: Config, { policy, warnings }: Snapshot, log: Log): void {
  for (const warning of warnings) log.warn(warning)
  if (config.externalCa) return
  const rule = ruleClosingEnrollment(policy, config.url, config.trustedProxies)
  if (rule === undefined) return
  log.warn(
    `the rule "${rule}" of ${config.policyFile} denies ${ENROLL_PATH}: links of certlatch device invite do not open where it holds`,
  )
}
