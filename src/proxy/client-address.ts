import { isIP } from 'node:net'
import { containsAddress, type Networks } from './networks.ts'

/** More proxies than this do not stand one behind the other. */
const MAX_ENTRIES = 32
/** IPv6 with an IPv4 address at its end, and the name of a zone. */
const MAX_ADDRESS_LENGTH = 64

const IPV4_MAPPED = /^::ffff:(?=\d+\.)/i

/**
 * Where the request came from: the rightmost X-Forwarded-For entry that is not one of our proxies;
 * what stands left of it a client can have written. `undefined` if it is no address, or none is among
 * the last 32.
 */
export function clientAddress(
  forwardedFor: string | undefined,
  trustedProxies: Networks,
): string | undefined {
  // From the right, one by one: nearly always the first that is looked at is the client.
  let rest = forwardedFor
  for (let entries = 0; rest !== undefined && entries < MAX_ENTRIES; entries += 1) {
    const comma = rest.lastIndexOf(',')
    const address = rest.slice(comma + 1).trim()
    if (address.length > MAX_ADDRESS_LENGTH || isIP(address) === 0) return undefined
    if (!containsAddress(trustedProxies, address)) return address.replace(IPV4_MAPPED, '')
    rest = comma === -1 ? undefined : rest.slice(0, comma)
  }
  return undefined
}
