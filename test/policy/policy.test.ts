import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parsePolicy } from '../../src/policy/parse.ts'
import { isPermitted, type Policy, type Rule, ruleFor } from '../../src/policy/policy.ts'
import type { OriginalRequest } from '../../src/proxy/original-request.ts'
import { LOOPBACK, policyFrom } from '../support/request.ts'

interface Asked extends Partial<OriginalRequest> {
  readonly forwardedFor?: string | undefined
}

function rule(policy: Policy, path: string, asked: Asked = {}): Rule {
  const { forwardedFor = '192.0.2.7', ...request } = asked
  const whole: OriginalRequest = {
    method: 'GET',
    scheme: 'https',
    host: 'ha.test',
    port: undefined,
    path,
    isWebSocket: false,
    ...request,
  }
  return ruleFor(policy, whole, forwardedFor, LOOPBACK)
}

const nameAt = (policy: Policy, path: string, asked?: Asked): string =>
  rule(policy, path, asked).name

describe('The first matching rule', () => {
  test('counts; without one it is the default', () => {
    const policy = policyFrom(
      'rules:',
      '  - {name: one, path: /a/b, access: deny}',
      '  - {name: two, path: /a/*, access: open}',
    )
    assert.equal(nameAt(policy, '/a/b'), 'one')
    assert.equal(nameAt(policy, '/a/c'), 'two')
    assert.equal(nameAt(policy, '/b'), 'default')
    assert.equal(rule(policy, '/b').access, 'certificate-or-session')
  })

  test('is one for the host, or for any host, in file order', () => {
    const policy = policyFrom(
      'rules:',
      '  - {name: ha only, host: [HA.test, b.test.], path: /a, access: deny}',
      '  - {name: any host, path: /a, access: certificate}',
      '  - {name: ha again, host: ha.test, path: /b, access: deny}',
    )
    assert.equal(nameAt(policy, '/a'), 'ha only')
    assert.equal(nameAt(policy, '/a', { host: 'b.test' }), 'ha only')
    assert.equal(nameAt(policy, '/a', { host: 'c.test' }), 'any host')
    assert.equal(nameAt(policy, '/b'), 'ha again')
    assert.equal(nameAt(policy, '/b', { host: 'c.test' }), 'default')
  })

  test('is one for the method', () => {
    const policy = policyFrom('rules: {name: posts, methods: [POST, PUT], path: /a, access: open}')
    assert.equal(nameAt(policy, '/a', { method: 'POST' }), 'posts')
    assert.equal(nameAt(policy, '/a', { method: 'GET' }), 'default')
    assert.equal(nameAt(policy, '/a', { method: 'post' }), 'default')
  })

  test('cannot be avoided by another spelling, nor by requesting only the head', () => {
    const policy = policyFrom(
      'rules:',
      '  - {name: no posts, methods: POST, path: /a, access: deny}',
      '  - {name: no gets, methods: GET, path: /b, access: deny}',
    )
    assert.equal(nameAt(policy, '/a', { method: 'post' }), 'no posts')
    assert.equal(nameAt(policy, '/a', { method: 'GET' }), 'default')
    assert.equal(nameAt(policy, '/b', { method: 'HEAD' }), 'no gets')
    assert.equal(nameAt(policy, '/b', { method: 'POST' }), 'default')
  })
})

describe('A path', () => {
  const ROWS: readonly (readonly [pattern: string, path: string, matches: boolean])[] = [
    ['/a', '/a', true],
    ['/a', '/a/', false],
    ['/a', '/A', false],
    ['/a', '/ab', false],
    ['/a/*', '/a/', true],
    ['/a/*', '/a/b/c', true],
    ['/a/*', '/a', false],
    ['/a/*', '/ab', false],
    ['/*', '/', true],
    ['/config', '/%63onfig', true],
    ['/%63onfig', '/config', true],
    ['/a,b', '/a%2Cb', true],
    ['/café', '/caf%C3%A9', true],
    ['/café', '/caf\xc3\xa9', true],
    ['/caf%c3%a9', '/caf%C3%A9', true],
    ['/a b', '/a%20b', true],
  ]
  for (const [pattern, path, matches] of ROWS) {
    test(`${path} ${matches ? 'matches' : 'does not match'} ${pattern}`, () => {
      const policy = policyFrom(`rules: {name: yes, path: "${pattern}", access: certificate}`)
      assert.equal(nameAt(policy, path), matches ? 'yes' : 'default')
    })
  }
})

describe("The client's network", () => {
  const policy = policyFrom(
    'rules:',
    '  - {name: barred, from: 198.51.100.0/24, access: deny}',
    '  - {name: home, from: [192.168.1.0/24, "2001:db8::/32"], path: /a, access: open}',
  )
  const from = (forwardedFor: string | undefined) =>
    ruleFor(
      policy,
      {
        method: 'GET',
        scheme: 'https',
        host: 'ha.test',
        port: undefined,
        path: '/a',
        isWebSocket: false,
      },
      forwardedFor,
      LOOPBACK,
    ).name
  const ROWS: readonly (readonly [forwardedFor: string | undefined, name: string, why: string])[] =
    [
      ['192.168.1.9', 'home', 'an address of it'],
      ['2001:db8::1', 'home', 'or of the other one'],
      ['::ffff:192.168.1.9', 'home', 'IPv4 in the clothes of IPv6'],
      ['192.168.1.9, 127.0.0.1', 'home', 'the rightmost that is no proxy of ours'],
      ['192.168.1.9, 192.0.2.7', 'default', 'what stands left of it the client may have written'],
      ['198.51.100.1', 'barred', 'a rule that denies'],
      [undefined, 'barred', 'an unknown address is one of a rule that denies, and of no other'],
      ['127.0.0.1', 'barred', 'so is it where only proxies of ours are named'],
      ['192.168.1.x', 'barred', 'and where the rightmost one is none'],
    ]
  for (const [forwardedFor, name, why] of ROWS) {
    test(`X-Forwarded-For ${forwardedFor} is in "${name}": ${why}`, () => {
      assert.equal(from(forwardedFor), name)
    })
  }
})

describe('For a path that could be read differently', () => {
  const policy = policyFrom(
    'rules:',
    '  - {name: secret, path: /secret/x, access: deny}',
    '  - {name: ada, path: /ada/*, owner: ada, access: certificate}',
    '  - {name: posts, path: /a/*, methods: POST, access: deny}',
    '  - {name: public, path: /a/*, access: open}',
    '  - {name: other host, host: other.test, access: deny}',
  )
  const described = (path: string, asked?: Asked) => {
    const { name, access, holders, insteadOf } = rule(policy, path, asked)
    return `${name}: ${access}, ${holders.length} lists of holders, instead of ${insteadOf?.name}`
  }

  test('the strictest rule that it could be meant for counts, with every list of holders', () => {
    assert.equal(described('/a/../b'), 'secret: deny, 1 lists of holders, instead of public')
  })

  test('only rules count that could match what starts with its unambiguous part', () => {
    assert.equal(
      described('/a/b%2fc'),
      'default: certificate-or-session, 0 lists of holders, instead of public',
    )
    assert.equal(
      described('/ada/b%2fc'),
      'ada: certificate, 1 lists of holders, instead of undefined',
    )
    assert.equal(
      described('/secret/%78%2f'),
      'secret: deny, 0 lists of holders, instead of default',
    )
    assert.equal(
      described('/secret/b/%2f'),
      'default: certificate-or-session, 0 lists of holders, instead of undefined',
    )
  })

  test('only rules for its method and host count', () => {
    assert.equal(
      described('/a/b%2fc', { method: 'POST' }),
      'posts: deny, 0 lists of holders, instead of undefined',
    )
    assert.equal(
      described('/a/b%2fc', { host: 'other.test' }),
      'other host: deny, 0 lists of holders, instead of public',
    )
  })

  test('a rule without a path counts, wherever the path leads', () => {
    const closed = policyFrom('rules: {name: all, methods: GET, access: deny}')
    assert.equal(nameAt(closed, '/x%2fy'), 'all')
  })
})

test('A holder among the devices or owners is permitted; with several lists it must be in each', () => {
  const list = (devices: readonly string[], owners: readonly string[]) => ({
    devices: new Map(devices.map((name) => [name, name])),
    owners: new Map(owners.map((name) => [name, name])),
  })
  const asked = (holders: Rule['holders'], device: string, user: string) =>
    isPermitted({ name: 'x', access: 'certificate', holders }, { device, user })
  assert.ok(asked([], 'phone', 'ada'))
  assert.ok(asked([list(['phone'], [])], 'phone', 'ada'))
  assert.ok(asked([list([], ['ada'])], 'phone', 'ada'))
  assert.ok(!asked([list(['tablet'], ['grace'])], 'phone', 'ada'))
  assert.ok(!asked([list(['phone'], []), list([], ['grace'])], 'phone', 'ada'))
})

const STRICTNESS = ['open', 'certificate-or-session', 'certificate', 'deny']

describe('Whatever the rules are', () => {
  const places = fc.constantFrom('/a', '/a/b', '/a/*', '/a/b/*', '/b', '/*', '/b/a/*')
  const written = fc.record({
    path: fc.option(fc.array(places, { minLength: 1, maxLength: 2 }), { nil: undefined }),
    methods: fc.option(fc.constantFrom('GET', 'POST'), { nil: undefined }),
    from: fc.option(fc.constantFrom('192.0.2.0/24', '198.51.100.0/24'), { nil: undefined }),
    access: fc.constantFrom(...STRICTNESS),
  })
  const policies = fc.array(written, { maxLength: 5 }).map((rules) => {
    const file = { version: 1, rules: rules.map((one) => ({ ...one, dangerous: true })) }
    // JSON is YAML.
    const parsed = parsePolicy(Buffer.from(JSON.stringify(file)), LOOPBACK)
    assert.ok(parsed.ok, JSON.stringify(parsed))
    return parsed.policy
  })
  const names = fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 3 })

  /** Ways to write a path so that some application reads it as the one given. */
  const TRICKS: readonly ((segments: readonly string[]) => string)[] = [
    (segments) => `/${segments.join('%2f')}`,
    (segments) => `/${segments.join('%5C')}`,
    (segments) => `/${segments.join('%252f')}`,
    (segments) => `//${segments.join('/')}`,
    (segments) => `/${segments.join('//')}`,
    (segments) => `/b/../${segments.join('/')}`,
    (segments) => `/a/b/..%2f..%2f${segments.join('/')}`,
    (segments) => `/b/%2e%2e/${segments.join('/')}`,
    (segments) => `/b/..;/${segments.join('/')}`,
    (segments) => `/./${segments.join('/')}`,
    (segments) => `/${segments.join(';x=1/')};y`,
    (segments) => `\\${segments.join('\\')}`.replace('\\', '/'),
    (segments) => `/${segments.join('/')}%00.png`,
    (segments) => `/${segments.join('/')}%3fx`,
    (segments) => `/a/%c0%ae%c0%ae/${segments.join('/')}`,
  ]

  test('no way of writing a path gets more access than the path itself', () => {
    fc.assert(
      fc.property(
        policies,
        names,
        fc.constantFrom(...TRICKS),
        fc.constantFrom('GET', 'POST'),
        fc.constantFrom('192.0.2.7', '203.0.113.1', undefined),
        (policy, segments, trick, method, forwardedFor) => {
          const plain = rule(policy, `/${segments.join('/')}`, { method, forwardedFor })
          const tricky = trick(segments)
          fc.pre(tricky !== `/${segments.join('/')}`)
          const given = rule(policy, tricky, { method, forwardedFor })
          const strictness = ({ access }: Rule) => STRICTNESS.indexOf(access)
          assert.ok(
            strictness(given) >= strictness(plain),
            `${tricky} is ${given.access}, ${plain.access} without tricks`,
          )
          assert.notEqual(given.access, 'open')
        },
      ),
      { numRuns: 3000 },
    )
  })

  test('an encoded letter changes nothing', () => {
    fc.assert(
      fc.property(policies, names, fc.nat(), (policy, segments, at) => {
        const path = `/${segments.join('/')}`
        const letters = [...path].flatMap((character, index) => (character === '/' ? [] : [index]))
        const index = letters[at % letters.length] ?? 1
        const encoded = `${path.slice(0, index)}%${path.charCodeAt(index).toString(16)}${path.slice(index + 1)}`
        assert.equal(rule(policy, encoded), rule(policy, path))
      }),
    )
  })
})
