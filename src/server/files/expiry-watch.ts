import type { TrustStore } from '../../store/trust-store.ts'
import { agingProblems } from '../admin/readiness.ts'
import type { Log } from '../log.ts'

/** How often CRLs, CAs and keys are checked for expiry. */
const AGING_MILLISECONDS = 30_000

/** Logs each expiry once. Returns a function that stops the watch. */
export function watchExpiry(trust: TrustStore, nowSeconds: () => number, log: Log): () => void {
  let logged: readonly string[] = []
  const check = () => {
    const problems = agingProblems(trust.current, nowSeconds())
    for (const problem of problems) {
      if (!logged.includes(problem)) log.warn({ problem }, 'out of date')
    }
    logged = problems
  }
  check()
  const timer = setInterval(check, AGING_MILLISECONDS)
  timer.unref()
  return () => clearInterval(timer)
}
