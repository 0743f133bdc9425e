import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  containsAddress,
  coversNetworks,
  ipv6Prefix,
  type Networks,
  overlap,
  parseNetworks,
  shortenAddress,
} from '../../src/proxy/networks.ts'

function networksOf(...items: readonly string[]): Networks {
  const parsed = parseNetworks(items)
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problems.join('\n'))
  return parsed.networks
}

/** Network, an address in it, one outside. */
const GOOD: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['192.168.1.10', ['192.168.1.10'], ['192.168.1.11', '::1', '::c0a8:10a']],
  ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255'], ['9.255.255.255', '11.0.0.0']],
  ['172.18.0.0/16', ['172.18.0.2'], ['172.19.0.2']],
  ['192.0.2.128/25', ['192.0.2.255'], ['192.0.2.127']],
  ['192.0.2.7/32', ['192.0.2.7'], ['192.0.2.6']],
  ['0.0.0.0/0', ['0.0.0.0', '255.255.255.255'], []],
  ['fd00::/8', ['fd12:3456::1'], ['fe80::1', '10.0.0.1']],
  ['2001:db8::/32', ['2001:db8:ffff::'], ['2001:db9::']],
  ['2001:db8:1:2:3:4:5:6', ['2001:db8:1:2:3:4:5:6'], ['2001:db8:1:2:3:4:5:7']],
  ['2001:DB8::1/128', ['2001:db8::1', '2001:db8:0:0:0:0:0:1'], ['2001:db8::2']],
  ['2001:db8:1:2:3:4:5:8000/113', ['2001:db8:1:2:3:4:5:ffff'], ['2001:db8:1:2:3:4:5:7fff']],
  ['1::', ['1::', '1:0::'], ['1::1']],
  ['::/0', ['::1', 'ffff::'], []],
  ['::1', ['::1'], ['::2', '127.0.0.1']],
  ['64:ff9b::192.0.2.0/120', ['64:ff9b::192.0.2.9'], ['64:ff9b::192.0.3.9']],
]

describe('A network', () => {
  for (const [text, inside, outside] of GOOD) {
    test(`${text} is read, and contains the addresses it should`, () => {
      const networks = networksOf(text)
      assert.deepEqual(networks.text, [text])
      for (const address of inside) assert.ok(containsAddress(networks, address), address)
      for (const address of outside) assert.ok(!containsAddress(networks, address), address)
    })
  }

  test('loopback is 127.0.0.0/8 and ::1', () => {
    const networks = networksOf('loopback')
    for (const address of ['127.0.0.1', '127.255.255.255', '::1', '::ffff:127.0.0.1']) {
      assert.ok(containsAddress(networks, address), address)
    }
    for (const address of ['128.0.0.1', '0.0.0.0', '::', '::2', '::ffff:128.0.0.1']) {
      assert.ok(!containsAddress(networks, address), address)
    }
    assert.deepEqual(networks.text, ['loopback'])
  })

  test('several make one set', () => {
    const networks = networksOf('loopback', '10.0.0.0/8', 'fd00::/8')
    for (const address of ['127.0.0.1', '10.1.2.3', 'fd00::1']) {
      assert.ok(containsAddress(networks, address), address)
    }
  })

  test('none contains no address', () => {
    assert.ok(!containsAddress(networksOf(), '127.0.0.1'))
  })
})

const NOT_AN_ADDRESS = 'is not an address or network'
const BAD_PREFIX = 'has a prefix length that is not a number from 0 to'
const HOST_BITS = 'has bits set beyond its prefix'
const BAD: Readonly<Record<string, string>> = {
  '': NOT_AN_ADDRESS,
  ' ': NOT_AN_ADDRESS,
  localhost: NOT_AN_ADDRESS,
  Loopback: NOT_AN_ADDRESS,
  'ha.test': NOT_AN_ADDRESS,
  '10.0.0': NOT_AN_ADDRESS,
  '10.0.0.256': NOT_AN_ADDRESS,
  '010.0.0.1': NOT_AN_ADDRESS,
  '10.0.0.1:80': NOT_AN_ADDRESS,
  ' 10.0.0.1': NOT_AN_ADDRESS,
  '10.0.0.0-10.0.0.9': NOT_AN_ADDRESS,
  '10.0.0.0/8/8': NOT_AN_ADDRESS,
  '/8': NOT_AN_ADDRESS,
  '[::1]': NOT_AN_ADDRESS,
  'fe80::1%eth0': NOT_AN_ADDRESS,
  '::1::': NOT_AN_ADDRESS,
  '10.0.0.0/': BAD_PREFIX,
  '10.0.0.0/33': BAD_PREFIX,
  '10.0.0.0/08': BAD_PREFIX,
  '10.0.0.0/-1': BAD_PREFIX,
  '10.0.0.0/ 8': BAD_PREFIX,
  '10.0.0.0/8.0': BAD_PREFIX,
  '10.0.0.0/255.0.0.0': BAD_PREFIX,
  '10.0.0.0/1e1': BAD_PREFIX,
  'fd00::/129': BAD_PREFIX,
  'fd00::/1000': BAD_PREFIX,
  '192.168.1.7/24': HOST_BITS,
  '10.0.0.1/0': HOST_BITS,
  '128.0.0.0/0': HOST_BITS,
  'fd00::1/8': HOST_BITS,
  '::1/127': HOST_BITS,
  '1::/8': HOST_BITS,
  '1::1/8': HOST_BITS,
  '2001:db8:1:2:3:4:5:6/112': HOST_BITS,
  '64:ff9b::192.0.2.1/120': HOST_BITS,
}

describe('An invalid network', () => {
  for (const [text, problem] of Object.entries(BAD)) {
    test(`${JSON.stringify(text)} is reported: ${problem}`, () => {
      const parsed = parseNetworks([text])
      assert.ok(!parsed.ok)
      assert.equal(parsed.problems.length, 1)
      assert.ok(parsed.problems[0]?.startsWith(`"${text}" ${problem}`), parsed.problems[0])
    })
  }

  test('is reported together with all others', () => {
    const parsed = parseNetworks(['10.0.0.1/8', '127.0.0.1', 'x'])
    assert.ok(!parsed.ok)
    assert.equal(parsed.problems.length, 2)
  })
})

describe('An IPv4-mapped address', () => {
  for (const address of [
    '::ffff:10.1.2.3',
    '::FFFF:10.1.2.3',
    '::ffff:a01:203',
    '0:0:0:0:0:ffff:a01:203',
  ]) {
    test(`${address} counts as its IPv4 address`, () => {
      assert.ok(containsAddress(networksOf('10.0.0.0/8'), address))
      assert.ok(!containsAddress(networksOf('192.168.0.0/16'), address))
    })
  }

  test('counts so in a network too', () => {
    assert.ok(containsAddress(networksOf('::ffff:10.0.0.0/104'), '10.1.2.3'))
    assert.ok(containsAddress(networksOf('::ffff:10.1.2.3'), '10.1.2.3'))
    assert.ok(!containsAddress(networksOf('::ffff:10.0.0.0/104'), '11.1.2.3'))
  })
})

describe('Anything but an address is in no network', () => {
  const everything = networksOf('0.0.0.0/0', '::/0')
  for (const text of [
    '',
    ' ',
    'x',
    '10.0.0.256',
    '010.0.0.1',
    '1.2.3',
    '[::1]',
    '10.0.0.1:80',
    '10.0.0.0/8',
  ]) {
    test(JSON.stringify(text), () => {
      assert.ok(!containsAddress(everything, text))
    })
  }
})

test('A link-local address with its zone is handled, and nothing throws', () => {
  assert.doesNotThrow(() => containsAddress(networksOf('fe80::/10'), 'fe80::1%eth0'))
  assert.ok(!containsAddress(networksOf('fd00::/8'), 'fe80::1%eth0'))
})

test('An address is in a network exactly if their first bits are equal', () => {
  const octets = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 })
  const value = (address: readonly number[]) => address.reduce((sum, octet) => sum * 256 + octet, 0)
  const text = (number: number) =>
    [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.')
  fc.assert(
    fc.property(octets, octets, fc.integer({ min: 0, max: 32 }), (one, other, bits) => {
      const size = 2 ** (32 - bits)
      const first = value(one) - (value(one) % size)
      const networks = networksOf(`${text(first)}/${bits}`)
      assert.ok(containsAddress(networks, text(value(one))))
      const inside = value(other) >= first && value(other) < first + size
      assert.equal(containsAddress(networks, text(value(other))), inside)
      assert.equal(containsAddress(networks, `::ffff:${text(value(other))}`), inside)
    }),
  )
})

test('An IPv6 network is accepted exactly if no bit is set beyond its prefix', () => {
  const words = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(words, fc.integer({ min: 0, max: 128 }), fc.boolean(), (address, bits, dotted) => {
      const binary = address.map((word) => word.toString(2).padStart(16, '0')).join('')
      const hex = address.map((word) => word.toString(16))
      const [a = 0, b = 0] = address.slice(6)
      const written = dotted
        ? [...hex.slice(0, 6), [a >> 8, a & 255, b >> 8, b & 255].join('.')].join(':')
        : hex.join(':')
      const parsed = parseNetworks([`${written}/${bits}`])
      assert.equal(parsed.ok, !binary.slice(bits).includes('1'))
    }),
  )
})

describe('Two sets of networks', () => {
  const ROWS: readonly (readonly [
    one: readonly string[],
    other: readonly string[],
    meets: boolean,
    covers: boolean,
  ])[] = [
    [['10.0.0.0/8'], ['10.1.2.3'], true, true],
    [['10.1.2.3'], ['10.0.0.0/8'], true, false],
    [['10.0.0.0/8'], ['11.0.0.0/8'], false, false],
    [['10.0.0.0/8', '11.0.0.0/8'], ['11.0.0.0/9', '10.0.0.0/8'], true, true],
    [['10.0.0.0/8'], ['10.0.0.0/9', '11.0.0.0/9'], true, false],
    [['::/0'], ['10.0.0.0/8'], true, true],
    [['::ffff:10.0.0.0/104'], ['10.0.0.0/8'], true, true],
    [['fd00::/8'], ['10.0.0.0/8'], false, false],
    [['loopback'], ['127.0.0.1', '::1'], true, true],
    [['127.0.0.0/8'], ['loopback'], true, false],
    [['0.0.0.0/0'], ['255.255.255.255'], true, true],
  ]
  for (const [one, other, meets, covers] of ROWS) {
    test(`[${one}] ${meets ? 'meets' : 'does not meet'} [${other}], ${covers ? 'and covers it' : 'and does not cover it'}`, () => {
      assert.equal(overlap(networksOf(...one), networksOf(...other)), meets)
      assert.equal(overlap(networksOf(...other), networksOf(...one)), meets)
      assert.equal(coversNetworks(networksOf(...one), networksOf(...other)), covers)
    })
  }
})

test('An IPv4 address is in a set exactly if Node says so', () => {
  const part = fc.integer({ min: 0, max: 255 })
  const address = fc.tuple(part, part, part, part).map((parts) => parts.join('.'))
  const sets = fc.constantFrom(
    ['0.0.0.0/0'],
    ['::/0'],
    ['::ffff:0:0/96'],
    ['::ffff:128.0.0.0/97'],
    ['fd00::/8'],
    ['::/64'],
    ['ffff::/16', '10.0.0.0/8'],
    ['loopback'],
    ['128.0.0.0/1', '7.7.7.7'],
  )
  fc.assert(
    fc.property(
      sets,
      fc.oneof(
        address,
        fc.constantFrom('0.0.0.0', '127.255.255.255', '128.0.0.0', '255.255.255.255'),
      ),
      (items, one) => {
        const { list, ...networks } = networksOf(...items)
        assert.equal(containsAddress({ list, ...networks }, one), list.check(one, 'ipv4'))
      },
    ),
  )
})

test('The prefix of an IPv6 address is the same for its whole /64, however it is written', () => {
  assert.equal(ipv6Prefix('2001:db8:1:2::1'), '20010db800010002')
  assert.equal(ipv6Prefix('2001:DB8:1:2:ffff:0:0:9'), '20010db800010002')
  assert.equal(ipv6Prefix('fe80::1%eth0'), ipv6Prefix('fe80::2'))
  assert.notEqual(ipv6Prefix('2001:db8:1:3::1'), ipv6Prefix('2001:db8:1:2::1'))
})

test('An address is shortened to its network: /24, or /48', () => {
  assert.equal(shortenAddress('203.0.113.77'), '203.0.113.0')
  assert.equal(shortenAddress('2001:db8:9:a:b::77'), '2001:db8:9::')
  assert.equal(shortenAddress('::1'), '0:0:0::')
})
