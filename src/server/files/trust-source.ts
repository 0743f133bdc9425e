import { type Config, filesToMake } from '../../config/config.ts'
import type { SettingName } from '../../config/options.ts'
import { ENROLL_PATH, ruleDenyingEnrollment } from '../../policy/page-policy.ts'
import { dataPaths } from '../../store/data-directory.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { TrustFiles } from '../../store/snapshot-sources.ts'
import { openTrustStore, type TrustStore } from '../../store/trust-store.ts'
import { CLOCK_IS_WRONG, isClockWrong } from '../admin/readiness.ts'
import type { Tally } from '../admin/tally.ts'
import type { Log } from '../log.ts'
import { StartError } from '../start-error.ts'
import { describeChanges } from './snapshot-diff.ts'

/**
 * The files of the configuration, with the names that messages use for them: the path, after the setting
 * if one names the file.
 */
export function trustFiles(config: Config): TrustFiles {
  const { ca, policyFile, trustedProxies } = config
  const { devices, blocks, undelivered } = dataPaths(config.dataDir)
  // A file that certlatch does not make itself is one that a setting names.
  const made = filesToMake(config)
  const named = (path: string, setting?: SettingName | false) => ({
    path,
    name: setting ? `${setting} ${path}` : path,
  })
  return {
    authorities: named(ca.file, !made.authority && 'CERTLATCH_CA_FILE'),
    revocationLists:
      ca.crlFile === undefined
        ? undefined
        : named(ca.crlFile, !made.revocationList && 'CERTLATCH_CRL_FILE'),
    sessionKeys: named(config.sessionKeysFile, !made.sessionKeys && 'CERTLATCH_SESSION_KEYS_FILE'),
    devices: ca.kind === 'external' ? undefined : named(devices),
    blocks: named(blocks),
    undelivered: named(undelivered),
    policy:
      policyFile === undefined
        ? undefined
        : { ...named(policyFile, 'CERTLATCH_POLICY_FILE'), trustedProxies },
    // The built-in CA's CRL is valid as long as the CA, even if a machine with a wrong clock wrote it.
    staleRevocationList: ca.kind === 'external' ? ca.staleCrl : 'allow',
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
  const opened = await openTrustStore(trustFiles(config), {
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
  })
  if (!opened.ok) throw new StartError(opened.problems)
  previous = opened.store.current
  return opened.store
}

/** Restoring a whole registry is many changes: beyond this, only their number is logged. */
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
  if (config.ca.crlFile === undefined) {
    log.warn('no CERTLATCH_CRL_FILE: a certificate that the CA revokes stays valid here')
  }
  if (isClockWrong(snapshot, nowSeconds)) {
    log.error(CLOCK_IS_WRONG)
  }
}

function warnOfSnapshot(config: Config, { policy, warnings }: Snapshot, log: Log): void {
  for (const warning of warnings) log.warn(warning)
  if (config.ca.kind === 'external') return
  const rule = ruleDenyingEnrollment(policy, config.url, config.trustedProxies)
  if (rule === undefined) return
  log.warn(
    `the rule "${rule}" of ${config.policyFile} denies ${ENROLL_PATH}: links of certlatch device invite do not work where it applies`,
  )
}
