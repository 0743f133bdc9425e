import type { TrustStore } from '../../store/trust-store.ts'
import { agingProblems } from '../admin/readiness.ts'
import type { Log } from '../log.ts'

/** How often CRLs, CAs and keys are asked whether they have aged. */
const AGING_MILLISECONDS = 30_000

/** Warns of each thing that has aged, once; answers what ends the watching. */
export function watchExpiry(trust: TrustStore, nowSeconds: () => number, log: Log): () => void {
  let told: readonly string[] = []
  const tell = () => {
    const problems = agingProblems(trust.current, nowSeconds())
    for (const problem of problems) {
      if (!told.includes(problem)) log.warn({ problem }, 'out of date')
    }
    told = problems
  }
  tell()
  const timer = setInterval(tell, AGING_MILLISECONDS)
  timer.unref()
  return () => clearInterval(timer)
}
