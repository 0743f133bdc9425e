import { LRUCache } from 'lru-cache'
import { clientKey } from '../../proxy/client-address.ts'

/** Limits how many wrong codes a client may try; a correct code is never limited. */
export interface WrongCodes {
  /** Counts one; returns whether the client has tried too many. */
  isTooMany(client: string | undefined): boolean
}

const MOST_IN_WINDOW = 60
const WINDOW_MILLISECONDS = 60_000
const CLIENTS = 10_000

export function createWrongCodes(nowMilliseconds: () => number): WrongCodes {
  const windows = new LRUCache<string, { readonly startedAt: number; count: number }>({
    max: CLIENTS,
  })
  return {
    isTooMany: (client) => {
      const name = clientKey(client)
      const now = nowMilliseconds()
      const known = windows.get(name)
      const isCurrent = known !== undefined && now - known.startedAt < WINDOW_MILLISECONDS
      const window = isCurrent ? known : { startedAt: now, count: 0 }
      window.count += 1
      windows.set(name, window)
      return window.count > MOST_IN_WINDOW
    },
  }
}
