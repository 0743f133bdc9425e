import { BlockList, isIP } from 'node:net'
import type { Problems, Result } from '../result.ts'

/** A set of networks, for `containsAddress`. */
export interface Networks {
  readonly list: BlockList
  /** The IPv4 part as numbers: a look-up in Node's BlockList takes a microsecond. */
  readonly ipv4: readonly Range<number>[]
  /** As written, for messages. */
  readonly text: readonly string[]
}

interface Range<T> {
  readonly first: T
  readonly last: T
}

/** The networks, or a sentence for each item that is wrong, with what would be right. */
export type ParsedNetworks = Result<{ networks: Networks }, Problems>

const LOOPBACK = ['127.0.0.0/8', '::1/128'] as const

/**
 * Reads addresses and CIDR networks; `loopback` means 127.0.0.0/8 and ::1.
 * A network with host bits (`192.168.1.7/24`) is refused: it may mean the address or the network, and
 * Node's BlockList would silently take the network.
 */
export function parseNetworks(items: readonly string[]): ParsedNetworks {
  const list = new BlockList()
  const problems: string[] = []
  for (const item of items) {
    for (const network of item === 'loopback' ? LOOPBACK : [item]) {
      const problem = addNetwork(list, network)
      if (problem !== undefined) problems.push(problem)
    }
  }
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, networks: { list, ipv4: ipv4Of(rangesOf(items)), text: [...items] } }
}

function addNetwork(list: BlockList, network: string): string | undefined {
  const [address = '', prefix, ...rest] = network.split('/')
  const version = isIP(address)
  if (version === 0 || address.includes('%') || rest.length > 0) {
    return `"${network}" is not an address or network such as 192.168.1.10, 172.18.0.0/16 or fd00::/8`
  }
  const family = version === 4 ? 'ipv4' : 'ipv6'
  const bits = version === 4 ? 32 : 128
  if (prefix === undefined) {
    list.addAddress(address, family)
    return undefined
  }
  if (!/^(0|[1-9]\d{0,2})$/.test(prefix) || Number(prefix) > bits) {
    return `"${network}" has a prefix length that is not a number from 0 to ${bits}`
  }
  if (hasHostBits(address, version, Number(prefix))) {
    return `"${network}" has bits set beyond its prefix; write the network's first address, or drop "/${prefix}" for the one address`
  }
  list.addSubnet(address, Number(prefix), family)
  return undefined
}

function hasHostBits(address: string, version: number, prefixLength: number): boolean {
  const bits = version === 4 ? 32n : 128n
  const hostBits = bits - BigInt(prefixLength)
  return (addressValue(address, version) & ((1n << hostBits) - 1n)) !== 0n
}

function ipv4Value(address: string): number {
  let value = 0
  let part = 0
  for (let index = 0; index < address.length; index += 1) {
    const digit = address.charCodeAt(index) - ZERO
    if (digit < 0) {
      value = value * 256 + part
      part = 0
    } else {
      part = part * 10 + digit
    }
  }
  return value * 256 + part
}

const ZERO = 48

/** The address as one number; `address` has passed `isIP`. */
function addressValue(address: string, version: number): bigint {
  if (version === 4) return BigInt(ipv4Value(address))
  const withoutDotted = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => {
    const word = (high: string, low: string) => (Number(high) * 256 + Number(low)).toString(16)
    return `${word(a, b)}:${word(c, d)}`
  })
  const [head = '', tail] = withoutDotted.split('::')
  const words = (text: string | undefined) => (text ? text.split(':') : [])
  const left = words(head)
  const right = words(tail)
  const gap = tail === undefined ? 0 : 8 - left.length - right.length
  return [...left, ...Array<string>(gap).fill('0'), ...right].reduce(
    (value, word) => (value << 16n) | BigInt(`0x${word}`),
    0n,
  )
}

/** The first half of an IPv6 address, the same for a whole /64; `address` has passed `isIPv6`. */
export function ipv6Prefix(address: string): string {
  const [withoutZone = ''] = address.split('%')
  return (addressValue(withoutZone, 6) >> 64n).toString(16)
}

/** Whether one of the networks contains the address; an IPv4-mapped IPv6 address counts as IPv4. */
export function containsAddress(networks: Networks, address: string): boolean {
  const version = isIP(address)
  if (version === 4) {
    const value = ipv4Value(address)
    return networks.ipv4.some(({ first, last }) => first <= value && value <= last)
  }
  // BlockList compares ::ffff:a.b.c.d with its IPv4 networks by itself.
  return version === 6 && networks.list.check(address, 'ipv6')
}

/** Whether the two sets have an address in common. */
export function overlap(some: Networks, others: Networks): boolean {
  const ranges = rangesOf(others.text)
  return rangesOf(some.text).some((one) =>
    ranges.some((other) => one.first <= other.last && other.first <= one.last),
  )
}

/** Whether each inner network is part of one of the outer ones. */
export function coversNetworks(outer: Networks, inner: Networks): boolean {
  const ranges = rangesOf(outer.text)
  return rangesOf(inner.text).every((one) =>
    ranges.some((other) => other.first <= one.first && one.last <= other.last),
  )
}

const IPV4_MAPPED = 0xffffn << 32n

/** First and last address of each network as numbers of 128 bits; IPv4 as IPv4-mapped. */
function rangesOf(text: readonly string[]): readonly Range<bigint>[] {
  return text
    .flatMap((item) => (item === 'loopback' ? LOOPBACK : [item]))
    .map((network) => {
      const [address = '', prefix] = network.split('/')
      const isIPv4 = isIP(address) === 4
      const bits = isIPv4 ? 32n : 128n
      const size = 1n << (bits - BigInt(prefix ?? bits))
      const first = addressValue(address, isIPv4 ? 4 : 6) + (isIPv4 ? IPV4_MAPPED : 0n)
      return { first, last: first + size - 1n }
    })
}

function ipv4Of(ranges: readonly Range<bigint>[]): readonly Range<number>[] {
  const lowest = (value: bigint) => (value < IPV4_MAPPED ? 0 : Number(value - IPV4_MAPPED))
  const end = IPV4_MAPPED + (1n << 32n) - 1n
  return ranges
    .filter(({ first, last }) => first <= end && last >= IPV4_MAPPED)
    .map(({ first, last }) => ({ first: lowest(first), last: lowest(last < end ? last : end) }))
}

/** The network of an address (/24 or /48), for records that must not identify a person. */
export function shortenAddress(address: string): string {
  if (isIP(address) === 4) return `${address.split('.').slice(0, 3).join('.')}.0`
  const network = addressValue(address, 6) >> 80n
  const words = [32n, 16n, 0n].map((shift) => ((network >> shift) & 0xffffn).toString(16))
  return `${words.join(':')}::`
}
