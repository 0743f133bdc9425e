/** Counts of the last hour, from counters that only grow. */
export interface LastHour {
  /** Must be called once a minute. */
  tick(): void
  /** What was counted since an hour ago, or since the start if that was later. */
  counts(): ReadonlyMap<string, number>
}

const MINUTES = 60

/** Copies the counters once a minute and keeps an hour of copies, so that counting itself costs no more. */
export function createLastHour(counters: ReadonlyMap<string, number>): LastHour {
  const copies: ReadonlyMap<string, number>[] = [new Map(counters)]
  return {
    tick: () => {
      copies.push(new Map(counters))
      if (copies.length > MINUTES) copies.shift()
    },
    counts: () => {
      const [anHourAgo] = copies
      return new Map([...counters].map(([key, now]) => [key, now - (anHourAgo?.get(key) ?? 0)]))
    },
  }
}
