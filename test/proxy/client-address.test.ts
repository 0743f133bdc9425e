import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { clientAddress, clientKey } from '../../src/proxy/client-address.ts'
import { parseNetworks } from '../../src/proxy/networks.ts'

const parsed = parseNetworks(['loopback', '172.18.0.0/16', 'fd00::/8'])
assert.ok(parsed.ok)
const PROXIES = parsed.networks

const ROWS: readonly (readonly [
  name: string,
  forwardedFor: string | undefined,
  string | undefined,
])[] = [
  ['one address is the client', '192.0.2.7', '192.0.2.7'],
  ['the rightmost that is no proxy is the client', '192.0.2.7, 172.18.0.2', '192.0.2.7'],
  ['several proxies are passed over', '192.0.2.7, fd00::1, 172.18.0.2,127.0.0.1', '192.0.2.7'],
  ['what a client wrote to the left is not believed', '10.0.0.1, 192.0.2.7', '192.0.2.7'],
  ['garbage to the left is not even read', 'unknown, , 192.0.2.7, 172.18.0.2', '192.0.2.7'],
  ['white space does not count', ' \t192.0.2.7 ', '192.0.2.7'],
  ['IPv6', '2001:db8::7', '2001:db8::7'],
  ['IPv4 in IPv6 is IPv4', '::ffff:192.0.2.7', '192.0.2.7'],
  ['IPv4 in IPv6, in capitals', '::FFFF:192.0.2.7', '192.0.2.7'],
  ['another spelling of that stays as it is', '0::ffff:192.0.2.7', '0::ffff:192.0.2.7'],
  ['a proxy as IPv4 in IPv6 is a proxy', '192.0.2.7, ::ffff:172.18.0.2', '192.0.2.7'],
  ['no header', undefined, undefined],
  ['an empty header', '', undefined],
  ['proxies alone', '172.18.0.2, 127.0.0.1', undefined],
  ['garbage to the right', '192.0.2.7, unknown', undefined],
  ['nothing to the right', '192.0.2.7,', undefined],
  ['a hole among the proxies', '192.0.2.7,, 172.18.0.2', undefined],
  ['an address with a port', '192.0.2.7:1234', undefined],
  ['an address in brackets', '[2001:db8::7]', undefined],
  ['an obfuscated name', '_hidden', undefined],
  ['a network', '192.0.2.0/24', undefined],
]

describe("The client's address", () => {
  for (const [name, forwardedFor, expected] of ROWS) {
    test(`${name}: ${expected ?? 'unknown'}`, () => {
      assert.equal(clientAddress(forwardedFor, PROXIES), expected)
    })
  }
})

describe('For a header longer than any that proxies write', () => {
  const HEADERS: readonly (readonly [what: string, string, string | undefined])[] = [
    ['31 proxies behind the client', `192.0.2.7${', 172.18.0.2'.repeat(31)}`, '192.0.2.7'],
    ['32 proxies', `192.0.2.7${', 172.18.0.2'.repeat(32)}`, undefined],
    ['12,000 proxies', '::1,'.repeat(12_000).slice(0, -1), undefined],
    ['12,000 entries of a client, on its left', `${'::1,'.repeat(12_000)}192.0.2.7`, '192.0.2.7'],
    ['an address with a zone', 'fe80::1%eth0', 'fe80::1%eth0'],
    ['an address with a zone of 60 kB', `fe80::1%${'a'.repeat(60_000)}`, undefined],
    ['60 kB of white space', `192.0.2.7,${' '.repeat(60_000)}`, undefined],
  ]
  for (const [what, header, expected] of HEADERS) {
    test(`${what}: ${expected ?? 'unknown'}`, () => {
      assert.equal(clientAddress(header, PROXIES), expected)
    })
  }
})

test('Whatever a client prepends, its own address is found', () => {
  const front = fc.array(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6()), { maxLength: 5 })
  fc.assert(
    fc.property(front, (entries) => {
      const header = [...entries, '192.0.2.7', '172.18.0.2'].join(', ')
      assert.equal(clientAddress(header, PROXIES), '192.0.2.7')
    }),
  )
})

test('clients over IPv6 count as one if they share a /64', () => {
  assert.equal(clientKey('203.0.113.7'), '203.0.113.7')
  assert.equal(clientKey('2001:db8::1'), clientKey('2001:db8:0:0:ffff::2'))
  assert.notEqual(clientKey('2001:db8::1'), clientKey('2001:db8:0:1::1'))
  assert.equal(clientKey(undefined), 'unknown')
})
