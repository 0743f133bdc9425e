/** What was counted in the last hour: see `LastHour.counts`. */
export interface LastHour {
  /** To be called each minute. */
  tick(): void
  /** Differences against an hour ago, or against the start if that was later. */
  counts(): ReadonlyMap<string, number>
}

const MINUTES = 60

/**
 * Looks back on counters that only grow. Nothing is done when they are counted: once a minute they
 * are copied, and the oldest copy that is kept is an hour old.
 */
export function createLastHour(counters: ReadonlyMap<string, number>): LastHour {
  const copies: ReadonlyMap<string, number>[] = [new Map(counters)]
  return {
    tick: () => {
      copies.push(new Map(counters))
      if (copies.length > MINUTES) copies.shift()
    },
    counts: () => {
      const [before] = copies
      return new Map([...counters].map(([key, now]) => [key, now - (before?.get(key) ?? 0)]))
    },
  }
}
