import { isIP } from 'node:net'
import { containsAddress, ipv6Prefix, type Networks } from './networks.ts'

/** No request passes through more proxies than this. */
const MAX_ENTRIES = 32
/** IPv6 with an IPv4 address at its end, and a zone name. */
const MAX_ADDRESS_LENGTH = 64

const IPV4_MAPPED = /^::ffff:(?=\d+\.)/i

/**
 * Returns the client's address: the rightmost X-Forwarded-For entry that is not a trusted proxy's,
 * because a client can have written everything left of it. `undefined` if that entry is not an address,
 * or not among the last 32.
 */
export function clientAddress(
  forwardedFor: string | undefined,
  trustedProxies: Networks,
): string | undefined {
  // From the right, one by one: nearly always the last entry is the client's.
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

/** The key under which rate limits count a client: over IPv6 its /64, all of which it can use. */
export function clientKey(address: string | undefined): string {
  if (address === undefined) return 'unknown'
  return isIP(address) === 6 ? ipv6Prefix(address) : address
}
