import { isIP } from 'node:net'
import { containsAddress, type Networks } from './networks.ts'

/**
 * Where the request came from: the rightmost X-Forwarded-For entry that is not one of our proxies;
 * what stands left of it a client can have written. `undefined` if none is left, or it is no address.
 */
export function clientAddress(
  forwardedFor: string | undefined,
  trustedProxies: Networks,
): string | undefined {
  const entries = forwardedFor?.split(',') ?? []
  for (const entry of entries.reverse()) {
    const address = entry.trim()
    if (isIP(address) === 0) return undefined
    if (!containsAddress(trustedProxies, address)) return address.replace(/^::ffff:(?=\d+\.)/i, '')
  }
  return undefined
}
