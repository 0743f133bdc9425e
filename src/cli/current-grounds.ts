import { AdministrationError } from '../administration/problem.ts'
import type { Config } from '../config/config.ts'
import type { Grounds } from '../decide.ts'
import { createCheckBudget } from '../server/check-budget.ts'
import { createJudge } from '../server/judge.ts'
import { createLastSeen } from '../server/last-seen.ts'
import { createTally } from '../server/metrics.ts'
import { trustFiles } from '../server/open-files.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { openTrustStore } from '../store/trust-store.ts'

/** What the service would judge by if it read the files now. */
export interface CurrentGrounds {
  readonly snapshot: Snapshot
  readonly grounds: Grounds
}

/** Throws an AdministrationError with everything that is wrong with the files. */
export async function currentGrounds(config: Config): Promise<CurrentGrounds> {
  const snapshot = await currentSnapshot(config)
  const budget = createCheckBudget(config.trustedProxies, () => performance.now())
  const { grounds } = createJudge(config, snapshot, createTally().cache, createLastSeen(), budget)
  return { snapshot, grounds }
}

/** The files as they are now, checked as the service checks them. */
async function currentSnapshot(config: Config): Promise<Snapshot> {
  const ignore = () => undefined
  const opened = await openTrustStore(trustFiles(config), {
    onReplaced: ignore,
    onProblem: ignore,
  })
  if (!opened.ok) throw new AdministrationError(opened.problems, 2)
  opened.store.close()
  return opened.store.current
}
