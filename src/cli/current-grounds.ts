import { CommandError } from '../administration/command-error.ts'
import type { Config } from '../config/config.ts'
import type { Grounds } from '../decide.ts'
import { createTally } from '../server/admin/tally.ts'
import { trustFiles } from '../server/files/trust-source.ts'
import { createGrounds } from '../server/verify/grounds.ts'
import { createLastSeen } from '../server/verify/last-seen.ts'
import { createVerificationBudget } from '../server/verify/verification-budget.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { openTrustStore } from '../store/trust-store.ts'

/** What the service would decide by if it read the files now. */
export interface CurrentGrounds {
  readonly snapshot: Snapshot
  readonly grounds: Grounds
}

/** Throws a `CommandError` with everything that is wrong with the files. */
export async function currentGrounds(config: Config): Promise<CurrentGrounds> {
  const snapshot = await currentSnapshot(config)
  const budget = createVerificationBudget(config.trustedProxies, () => performance.now())
  const { grounds } = createGrounds(config, snapshot, createTally().cache, createLastSeen(), budget)
  return { snapshot, grounds }
}

/** Reads the files once, and checks them as the service does. */
async function currentSnapshot(config: Config): Promise<Snapshot> {
  const ignore = () => undefined
  const opened = await openTrustStore(trustFiles(config), {
    onReplaced: ignore,
    onProblem: ignore,
  })
  if (!opened.ok) throw new CommandError(opened.problems, { code: 'usage' })
  opened.store.close()
  return opened.store.current
}
