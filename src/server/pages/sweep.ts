import { sweepInvitations } from '../../administration/claim-invitation.ts'

const SWEEP_MILLISECONDS = 60_000

/**
 * Deletes packages whose hour is over while no command does it. Where nothing can be written there is
 * nothing to delete either; and what is left is refused all the same.
 */
export function sweepRegularly(
  place: { readonly dataDir: string; readonly revocationList: string | undefined },
  nowSeconds: () => number,
): () => void {
  const timer = setInterval(() => {
    const change = { ...place, who: 'serve, for invitations', nowSeconds: nowSeconds() }
    sweepInvitations(change).catch(() => undefined)
  }, SWEEP_MILLISECONDS)
  timer.unref()
  return () => clearInterval(timer)
}
