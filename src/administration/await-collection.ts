import { setTimeout as wait } from 'node:timers/promises'
import { type Claim, readClaim } from '../store/invitations.ts'

const POLL_MILLISECONDS = 500

/**
 * Waits until an invitation is settled, or ends at `endsAt` (Unix seconds); `undefined` if `stop` is
 * fulfilled before.
 */
export async function awaitCollection(
  folder: string,
  { id, endsAt }: { readonly id: string; readonly endsAt: number },
  nowSeconds: () => number,
  stop: Promise<void>,
): Promise<Claim | undefined> {
  let isStopped = false
  const stopped = stop.then(() => {
    isStopped = true
  })
  for (;;) {
    const claim = await readClaim(folder, id)
    if (claim !== undefined) return claim
    if (nowSeconds() >= endsAt) return { outcome: 'ended', at: endsAt }
    if (isStopped) return undefined
    await Promise.race([wait(POLL_MILLISECONDS), stopped])
  }
}
