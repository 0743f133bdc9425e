import { CommandError } from '../administration/command-error.ts'
import type { Config } from '../config/config.ts'
import { createTally } from '../server/admin/tally.ts'
import { trustFiles } from '../server/files/trust-source.ts'
import { createGrounds } from '../server/verify/grounds.ts'
import { createLastSeen } from '../server/verify/last-seen.ts'
import { createVerificationBudget } from '../server/verify/verification-budget.ts'
import { openTrustStore } from '../store/trust-store.ts'

/**
 * What the service would decide by if it read the files now. Throws a `CommandError` with everything
 * that is wrong with them.
 */
export async function currentGrounds(config: Config) {
  const ignore = () => undefined
  const opened = await openTrustStore(trustFiles(config), { onReplaced: ignore, onProblem: ignore })
  if (!opened.ok) throw new CommandError(opened.problems, { code: 'usage' })
  opened.store.close()
  const snapshot = opened.store.current
  const budget = createVerificationBudget(config.trustedProxies, () => performance.now())
  const { grounds } = createGrounds(config, snapshot, createTally().cache, createLastSeen(), budget)
  return { snapshot, grounds }
}
