import { sweepInvitations } from '../../administration/claim-invitation.ts'
import type { Config } from '../../config/config.ts'

const SWEEP_MILLISECONDS = 60_000

/**
 * Deletes packages whose hour is over even if no command runs. In a read-only directory there is
 * nothing to delete, and expired packages are refused in any case.
 */
export function sweepRegularly(config: Config, nowSeconds: () => number): () => void {
  const { dataDir, ca } = config
  if (ca.kind === 'external') return () => {}
  const timer = setInterval(() => {
    const change = {
      dataDir,
      revocationList: ca.crlFile,
      who: 'serve, for invitations',
      nowSeconds: nowSeconds(),
    }
    sweepInvitations(change).catch(() => undefined)
  }, SWEEP_MILLISECONDS)
  timer.unref()
  return () => clearInterval(timer)
}
