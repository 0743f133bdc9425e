import { isIP } from 'node:net'
import { containsAddress, type Networks } from './networks.ts'

const IPV4_MAPPED = /^::ffff:(?=\d+\.)/i

/**
 * Where the request came from: the rightmost X-Forwarded-For entry that is not one of our proxies;
 * what stands left of it a client can have written. `undefined` if none is left, or it is no address.
 */
export function clientAddress(
  forwardedFor: string | undefined,
  trustedProxies: Networks,
): string | undefined {
  // From the right, one by one: nearly always the first that is looked at is the client.
  let rest = forwardedFor
  while (rest !== undefined) {
    const comma = rest.lastIndexOf(',')
    const address = rest.slice(comma + 1).trim()
    if (isIP(address) === 0) return undefined
    if (!containsAddress(trustedProxies, address)) return address.replace(IPV4_MAPPED, '')
    rest = comma === -1 ? undefined : rest.slice(0, comma)
  }
  return undefined
}
