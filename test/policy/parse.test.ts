import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parsePolicy } from '../../src/policy/parse.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { LOOPBACK, networksOf } from '../support/request.ts'

const PROXIES = networksOf('127.0.0.1', '10.157.92.2')

const parse = (text: string) => parsePolicy(Buffer.from(text), PROXIES)

function policyOf(text: string): Policy {
  const parsed = parse(text)
  assert.ok(parsed.ok, JSON.stringify(parsed))
  return parsed.policy
}

function problemsOf(text: string): readonly string[] {
  const parsed = parse(text)
  assert.ok(!parsed.ok)
  return parsed.problems
}

function warningsOf(text: string): readonly string[] {
  const parsed = parse(text)
  assert.ok(parsed.ok, JSON.stringify(parsed))
  return parsed.warnings
}

describe('A policy file', () => {
  test('with only a version denies everything', () => {
    const { rules, allowedOrigins, defaultRule } = policyOf('version: 1\n')
    assert.deepEqual([rules, [...allowedOrigins]], [[], []])
    assert.equal(defaultRule.access, 'certificate-or-session')
  })

  test('has rules with every key, as single values or lists', () => {
    const [first, second] = policyOf(`
version: 1
allow_origins: [https://Cast.example.org, capacitor://localhost]
rules:
  # Comments are what YAML is for.
  - name: the children's tablet
    host: [home.example.org, HOME2.example.org.]
    path: [/lovelace/children, /static/*]
    methods: [GET, HEAD]
    from: [192.168.1.0/24, fd00::/8]
    device: Tablet
    owner: [ada, grace]
    access: certificate
    dangerous: false
  - path: /b
    access: deny
`).rules
    assert.ok(first && second)
    assert.equal(first.name, "the children's tablet")
    assert.equal(first.access, 'certificate')
    const { hosts, paths, methods, from } = first.conditions
    assert.deepEqual([...(hosts ?? [])], ['home.example.org', 'home2.example.org'])
    assert.deepEqual(
      [[...(paths?.exact ?? [])], paths?.below],
      [['/lovelace/children'], ['/static/']],
    )
    assert.deepEqual([...(methods ?? [])], ['GET', 'HEAD'])
    assert.deepEqual(from?.text, ['192.168.1.0/24', 'fd00::/8'])
    const [holders] = first.holders
    assert.deepEqual([...(holders?.devices.values() ?? [])], ['Tablet'])
    assert.deepEqual([...(holders?.owners.values() ?? [])], ['ada', 'grace'])
    assert.equal(second.name, 'rule 2')
    assert.deepEqual(second.holders, [])
    assert.deepEqual(second.conditions.hosts, undefined)
  })

  test('lists other sites, in lower case', () => {
    const text = 'version: 1\nallow_origins: [HTTPS://Cast.example.org, "https://[::1]:8443"]\n'
    assert.deepEqual(
      [...policyOf(text).allowedOrigins],
      ['https://cast.example.org', 'https://[::1]:8443'],
    )
  })

  test('has texts as values, whatever they look like', () => {
    const [rule] = policyOf(
      'version: 1\nrules: {device: [on, 12, 0x1f], access: certificate}',
    ).rules
    assert.deepEqual([...(rule?.holders[0]?.devices.values() ?? [])], ['on', '12', '0x1f'])
  })

  test('may define a value once and refer to it again', () => {
    const { rules } = policyOf(
      'version: 1\nrules:\n  - {host: &ha home.example.org, path: /a, access: deny}\n  - {host: *ha, path: /b, access: deny}\n',
    )
    assert.deepEqual([...(rules[1]?.conditions.hosts ?? [])], ['home.example.org'])
  })
})

const RULE = (text: string): string => `version: 1\nrules:\n  - {${text}}\n`

describe('A mistake', () => {
  const ROWS: readonly (readonly [what: string, text: string, problem: string])[] = [
    [
      'nothing at all',
      '',
      'line 1, column 1: the file has no keys: expected version, preset, enable, allow_origins or rules',
    ],
    [
      'a list',
      '- x',
      'line 1, column 1: the file has no keys: expected version, preset, enable, allow_origins or rules',
    ],
    ['no version', 'rules: []\n', 'line 1, column 1: there is no version: expected "version: 1"'],
    ['another version', 'version: 2\n', 'line 1, column 10: version "2": expected "version: 1"'],
    [
      'an empty version',
      'version:\n',
      'line 1, column 9: version is empty: give it one, or leave the key out',
    ],
    [
      'an unknown key',
      'version: 1\nrule: {}\n',
      'line 2, column 1: unknown key "rule": expected version, preset, enable, allow_origins or rules',
    ],
    [
      'an unknown key of a rule',
      RULE('acces: deny, access: deny'),
      'line 3, column 6: unknown key "acces": expected name, host, path, methods, from, device, owner, access or dangerous',
    ],
    [
      'a key that is a list',
      'version: 1\n? [a]\n: b\n',
      'line 2, column 3: unknown key "": expected version, preset, enable, allow_origins or rules',
    ],
    [
      'a rule that is a word',
      'version: 1\nrules: open\n',
      'line 2, column 8: rule 1 has no keys: expected name, host, path, methods, from, device, owner, access or dangerous',
    ],
    [
      'a rule that is nothing',
      'version: 1\nrules:\n',
      'line 2, column 7: rule 1 has no keys: expected name, host, path, methods, from, device, owner, access or dangerous',
    ],
    [
      'broken YAML',
      'version: 1\nrules: [{access: deny}\n',
      'line 3, column 1: is not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    [
      'a key twice',
      'version: 1\nversion: 1\n',
      'line 2, column 1: is not valid YAML: Map keys must be unique',
    ],
    [
      'a tag',
      'version: !!int 1\n',
      'line 1, column 10: is not valid YAML: Unresolved tag: tag:yaml.org,2002:int',
    ],
    [
      'an alias of nothing',
      RULE('host: *ha, access: deny'),
      'line 3, column 12: *ha refers to nothing: expected &ha before it',
    ],
    [
      'an alias of nothing for the rules',
      'version: 1\nrules: *rules\n',
      'line 2, column 8: *rules refers to nothing: expected &rules before it',
    ],
    [
      'a list that is a member of itself',
      RULE('path: &p [*p], access: open'),
      'line 3, column 16: path is not a single value: give it one, or leave the key out',
    ],
    [
      'a value in place of a list’s member',
      RULE('host: [{a: b}], access: deny'),
      'line 3, column 13: host is not a single value: give it one, or leave the key out',
    ],
    [
      'an empty list',
      RULE('host: [], access: deny'),
      'line 3, column 12: host is an empty list: name at least one, or leave the key out for any',
    ],
    [
      'no access',
      RULE('path: /a'),
      'line 3, column 5: "rule 1" has no access: expected open, certificate-or-session, certificate or deny',
    ],
    [
      'another access',
      RULE('path: /a, access: allow'),
      'line 3, column 24: access "allow" does not exist: expected open, certificate-or-session, certificate or deny',
    ],
    [
      'a danger that is a guess',
      RULE('path: /a, access: open, dangerous: yes'),
      'line 3, column 41: dangerous "yes": expected true or false',
    ],
    [
      'a host with a port',
      RULE('host: home.example.org:8443, access: deny'),
      'line 3, column 12: host "home.example.org:8443" has a port: rules are for all ports, write "home.example.org"',
    ],
    [
      'a URL for a host',
      RULE('host: https://home.example.org, access: deny'),
      'line 3, column 12: host "https://home.example.org" is more than a name: write the host alone',
    ],
    [
      'a pattern of hosts',
      RULE('host: "*.example.org", access: deny'),
      'line 3, column 12: host "*.example.org" has a "*": name each host, or leave host out for any',
    ],
    [
      'a host in its own script',
      RULE('host: höhle.example.org, access: deny'),
      'line 3, column 12: host "höhle.example.org" has characters that browsers do not send: write it as browsers send it, "xn--hhle-5qa.example.org"',
    ],
    [
      'a host that is none',
      RULE('host: "ö ö", access: deny'),
      'line 3, column 12: host "ö ö" has characters that browsers do not send',
    ],
    [
      'a host with a space',
      RULE('host: "a b", access: deny'),
      'line 3, column 12: host "a b" is not a host name',
    ],
    [
      'a method in small letters',
      RULE('methods: get, access: deny'),
      'line 3, column 15: method "get" is not in capitals: write "GET"',
    ],
    [
      'every method',
      RULE('methods: "*", access: deny'),
      'line 3, column 15: method "*" is not a method such as GET; leave methods out for any',
    ],
    [
      'a method that no request can have',
      RULE(`methods: ${'A'.repeat(65)}, access: deny`),
      `line 3, column 15: method "${'A'.repeat(65)}" is not a method such as GET; leave methods out for any`,
    ],
    [
      'a network that is none',
      RULE('from: lan, access: deny'),
      'line 3, column 12: network "lan" is not an address or network such as 192.168.1.10, 172.18.0.0/16 or fd00::/8',
    ],
    [
      'a network with host bits',
      RULE('from: 192.168.1.7/24, access: deny'),
      `line 3, column 12: network "192.168.1.7/24" has bits set beyond its prefix; write the network's first address, or drop "/24" for the one address`,
    ],
    [
      'a path without slash',
      RULE('path: api/x, access: deny'),
      'line 3, column 12: path "api/x" does not begin with "/": write an exact path such as /a, or one such as /a/* for everything below it',
    ],
    [
      'a regular expression',
      RULE('path: "^/api/.*", access: deny'),
      'line 3, column 12: path "^/api/.*" looks like a regular expression: write an exact path such as /a, or one such as /a/* for everything below it',
    ],
    [
      'the end of a regular expression',
      RULE('path: "/api$", access: deny'),
      'line 3, column 12: path "/api$" looks like a regular expression: write an exact path such as /a, or one such as /a/* for everything below it',
    ],
    [
      'a path with a query',
      RULE('path: "/a?b", access: deny'),
      'line 3, column 12: path "/a?b" has a query or fragment: rules are for the path before it',
    ],
    [
      'a * after something',
      RULE('path: "/a*", access: deny'),
      'line 3, column 12: path "/a*" has a "*" that is not its end, after a "/": write an exact path such as /a, or one such as /a/* for everything below it',
    ],
    [
      'a * in the middle',
      RULE('path: "/*/a", access: deny'),
      'line 3, column 12: path "/*/a" has a "*" that is not its end, after a "/": write an exact path such as /a, or one such as /a/* for everything below it',
    ],
    [
      'a path with a line break',
      RULE('path: "/a\\nb", access: deny'),
      'line 3, column 12: path "/a\\nb" has control characters',
    ],
    [
      'a broken escape',
      RULE('path: "/a%2", access: deny'),
      'line 3, column 12: path "/a%2" has a "%" without two hex digits',
    ],
    [
      'a path of several readings',
      RULE('path: /a/../b/*, access: deny'),
      'line 3, column 12: path "/a/../b/*" can be read in several ways: write it without "//", ".", "..", ";" and encoded separators',
    ],
    [
      'who may pass what is open',
      RULE('path: /a, device: Phone, access: open'),
      'line 3, column 24: device and owner have no effect where access is open: leave them out',
    ],
    [
      'who may pass what is closed',
      RULE('path: /a, owner: ada, access: deny'),
      'line 3, column 23: device and owner have no effect where access is deny: leave them out',
    ],
    [
      'a path for an origin',
      'version: 1\nallow_origins: https://a.test/\n',
      'line 2, column 16: origin "https://a.test/" is not an origin: expected scheme and host such as https://cast.example.org, without path',
    ],
    [
      'no origin',
      'version: 1\nallow_origins: ["null"]\n',
      'line 2, column 17: origin "null" is not an origin: expected scheme and host such as https://cast.example.org, without path',
    ],
    [
      'the default port in an origin',
      'version: 1\nallow_origins: https://a.test:443\n',
      'line 2, column 16: origin "https://a.test:443" has a default port, which browsers leave out: leave it out too',
    ],
    [
      'another preset',
      'version: 1\npreset: homeassistant\n',
      'line 2, column 9: preset "homeassistant" does not exist: expected home-assistant, audiobookshelf-shares, immich-shares, n8n-webhooks, vaultwarden or closed',
    ],
    [
      'another switch',
      'version: 1\npreset: home-assistant\nenable: [cast]\n',
      'line 3, column 10: "cast" cannot be enabled: expected google-assistant, alexa, cast-media, app-pictures or local-network',
    ],
    [
      'a switch without its preset',
      'version: 1\nenable: alexa\n',
      'line 2, column 9: "alexa" cannot be enabled: expected no preset here has switches',
    ],
    [
      'a switch of a preset that is named twice',
      'version: 1\npreset: [{home-assistant: a.test}, {home-assistant: b.test}]\nenable: cast\n',
      'line 3, column 9: "cast" cannot be enabled: expected google-assistant, alexa, cast-media, app-pictures or local-network',
    ],
    [
      'a local network without the network',
      'version: 1\npreset: home-assistant\nenable: local-network\n',
      'line 3, column 9: "local-network" needs your network: write "local-network: 192.168.1.0/24"',
    ],
    [
      'a local network that is none',
      'version: 1\npreset: home-assistant\nenable: {local-network: home}\n',
      'line 3, column 25: network "home" is not an address or network such as 192.168.1.10, 172.18.0.0/16 or fd00::/8',
    ],
    [
      'a preset for a host that is none',
      'version: 1\npreset: {home-assistant: "a:1"}\n',
      'line 2, column 26: host "a:1" has a port: rules are for all ports, write "a"',
    ],
    [
      'a name twice',
      'version: 1\nrules:\n  - {name: a, path: /a, access: deny}\n  - {name: a, path: /b, access: deny}\n',
      'line 4, column 5: "a" is also the name of another rule',
    ],
  ]
  for (const [what, text, problem] of ROWS) {
    test(`${what} is reported with its position and what would be right`, () => {
      assert.deepEqual(problemsOf(text), [problem])
    })
  }

  test('of many words is reported with the first of them', () => {
    const [problem = ''] = problemsOf(RULE(`path: ${'a'.repeat(200)}, access: deny`))
    assert.ok(problem.includes(`path "${'a'.repeat(100)}"… does not begin`))
  })

  test('in a list of presets or switches is reported for each', () => {
    const text = 'version: 1\npreset: [[a], ~x, {b: []}, "", {? [c] : d}]\n'
    assert.deepEqual(
      problemsOf(text).map((problem) => problem.slice(problem.indexOf(':') + 2)),
      [
        'preset is not a single value: give it one, or leave the key out',
        'preset "~x" does not exist: expected home-assistant, audiobookshelf-shares, immich-shares, n8n-webhooks, vaultwarden or closed',
        'preset "b" does not exist: expected home-assistant, audiobookshelf-shares, immich-shares, n8n-webhooks, vaultwarden or closed',
        'b is an empty list: name at least one, or leave the key out for any',
        'preset is empty: give it one, or leave the key out',
        'preset "" does not exist: expected home-assistant, audiobookshelf-shares, immich-shares, n8n-webhooks, vaultwarden or closed',
      ],
    )
  })

  test('does not hide others: all are reported at once, in file order', () => {
    const text = `version: 1
preset: [nope]
rules:
  - {path: a, host: "b:1", access: opn}
  - {from: 1.2.3.4/99, access: deny, what: ever}
`
    assert.deepEqual(
      problemsOf(text).map((problem) => problem.slice(0, problem.indexOf(':'))),
      [
        'line 2, column 10',
        'line 4, column 12',
        'line 4, column 21',
        'line 4, column 36',
        'line 5, column 12',
        'line 5, column 38',
      ],
    )
  })

  test('is a file that is not text', () => {
    const parsed = parsePolicy(Buffer.from([0x76, 0xff]), LOOPBACK)
    assert.deepEqual(parsed, { ok: false, problems: ['is not UTF-8 text'] })
  })

  test('is a file longer than a person would write', () => {
    const parsed = parsePolicy(Buffer.alloc(32 * 1024 + 1, '#'), LOOPBACK)
    assert.deepEqual(parsed, {
      ok: false,
      problems: ['is longer than 32 kB: expected a file written by hand'],
    })
  })

  test('is having more rules than a person would write', () => {
    const rules = Array.from({ length: 201 }, (_, index) => `  - {path: /${index}, access: deny}\n`)
    assert.deepEqual(problemsOf(`version: 1\nrules:\n${rules.join('')}`), [
      'line 3, column 3: has 201 rules: expected 200 at most',
    ])
  })

  test('is having more values than a person would write, also by referring to a list again', () => {
    const paths = Array.from({ length: 1000 }, (_, index) => `/${index}`).join()
    const rules = ['one', 'two', 'three'].map(
      (name) => `  - {name: ${name}, path: *p, access: deny}`,
    )
    const text = `version: 1\nrules:\n  - {path: &p [${paths}], access: deny}\n${rules.join('\n')}\n`
    assert.deepEqual(problemsOf(text), [
      'line 1, column 1: the rules list 4000 values in all: expected 2000 at most',
    ])
  })

  test('is having more aliases than a person would write', () => {
    const aliases = '*a,'.repeat(101)
    assert.deepEqual(
      problemsOf(RULE(`path: &a /a, access: deny}\n  - {path: [${aliases}], access: deny`)),
      ['line 4, column 313: has 101 aliases such as *a: expected 100 at most'],
    )
  })
})

describe('What could be opened by mistake', () => {
  const opens = (what: string) =>
    `"rule 1" grants access to ${what} without certificate or session: name a narrower path, or write "dangerous: true" if that is intended`
  const PROXY_NETWORK =
    '"rule 1" grants access to a network with an address of CERTLATCH_TRUSTED_PROXIES, from which any client may seem to come: name a smaller network, or write "dangerous: true" if that is intended'
  const ROWS: readonly (readonly [rule: string, problem: string])[] = [
    ['access: open', `line 3, column 5: ${opens('/')}`],
    ['path: /, access: open', `line 3, column 12: ${opens('/')}`],
    ['path: /*, access: open', `line 3, column 12: ${opens('/')}`],
    ['path: /api/*, access: open', `line 3, column 12: ${opens('/api/')}`],
    ['path: /%61pi/*, access: open', `line 3, column 12: ${opens('/api/')}`],
    ['path: /api/websocket, access: open', `line 3, column 12: ${opens('/api/websocket')}`],
    ['path: /auth/*, access: open', `line 3, column 12: ${opens('/auth/')}`],
    ['path: /auth/login_flow/*, access: open', `line 3, column 12: ${opens('/auth/login_flow/')}`],
    ['path: [/a, /auth/token], access: open', `line 3, column 13: ${opens('/auth/token')}`],
    ['methods: GET, host: a.test, access: open', `line 3, column 5: ${opens('/')}`],
    ['path: /a, from: 10.0.0.0/8, access: open', `line 3, column 22: ${PROXY_NETWORK}`],
    ['path: /a, from: loopback, access: open', `line 3, column 22: ${PROXY_NETWORK}`],
    [
      'path: /a, from: [192.168.1.0/24, "::/0"], access: open',
      `line 3, column 23: ${PROXY_NETWORK}`,
    ],
  ]
  for (const [rule, problem] of ROWS) {
    test(`is refused: {${rule}}`, () => {
      assert.deepEqual(problemsOf(RULE(rule)), [problem])
    })
    test(`is accepted if it is intended: {${rule}, dangerous: true}`, () => {
      assert.equal(policyOf(RULE(`${rule}, dangerous: true`)).rules.length, 1)
    })
    test(`does not concern other kinds of access: {${rule.replace('open', 'certificate')}}`, () => {
      assert.equal(
        policyOf(RULE(rule.replace('access: open', 'access: certificate'))).rules.length,
        1,
      )
    })
  }

  test('does not include narrower rules', () => {
    for (const rule of [
      'path: /api/webhook/*, access: open',
      'path: /authors, access: open',
      'path: /a, from: 10.157.92.0/31, access: open',
      'path: /a, from: [192.168.1.0/24, "fd00::/8"], access: open',
    ]) {
      assert.equal(policyOf(RULE(rule)).rules.length, 1, rule)
    }
  })

  test('causes a warning if no preset opens it, unless it is intended', () => {
    const opened = (path: string, more = '') =>
      warningsOf(RULE(`path: ${path}, access: open${more}`))
    for (const path of [
      '/api/services/*',
      '/api/states',
      '/api/web/*',
      '/api/google_assistant/x',
    ]) {
      const [warning, ...others] = opened(path)
      const what = path.replace('*', '')
      assert.deepEqual(others, [])
      assert.equal(
        warning,
        `line 3, column 12: "rule 1" grants everyone access to ${what}, which no preset needs: name a narrower path, or write "dangerous: true" if that is intended`,
      )
      assert.deepEqual(opened(path, ', dangerous: true'), [])
    }
    for (const path of [
      '/api/webhook/*',
      '/api/webhook/abc',
      '/api/hls/a/*',
      '/api/alexa/smart_home',
    ]) {
      assert.deepEqual(opened(path), [])
    }
  })

  const enabled = (network: string) =>
    `version: 1\npreset: home-assistant\nenable: {local-network: "${network}"}\n`

  test("includes the preset's local network, if it contains the proxy", () => {
    assert.deepEqual(problemsOf(enabled('10.0.0.0/8')), [
      'line 3, column 25: "home-assistant: local-network" grants access to a network with an address of CERTLATCH_TRUSTED_PROXIES, from which any client may seem to come: name a smaller network, or, if that is intended, write a rule of your own with "dangerous: true" instead',
    ])
  })

  for (const network of [
    ...['2000::/3', '2001:db8::/47', '::/48', '::ffff:203.0.0.0/119'],
    ...['128.0.0.0/1', '64.0.0.0/2', '203.0.112.0/23', '192.0.0.0/8', '172.0.0.0/10'],
  ]) {
    test(`includes a local network as wide as ${network}`, () => {
      const wide = `line 3, column 25: "local-network" grants access to "${network}", which is wider than a household: name a private network, or at most a /24 of public addresses (IPv6: /48); or, if that is intended, write a rule of your own with "dangerous: true" instead`
      assert.ok(problemsOf(enabled(network)).includes(wide))
    })
  }

  for (const network of [
    ...['192.168.0.0/16', '172.16.0.0/12', '169.254.0.0/16', 'fc00::/7', 'fe80::/10'],
    ...['203.0.113.0/24', '203.0.113.7', '2001:db8::/48', '2001:db8::1', '::ffff:203.0.113.0/120'],
  ]) {
    test(`does not include a local network such as ${network}`, () => {
      assert.deepEqual(warningsOf(enabled(network)), [])
    })
  }
})

describe('The order of rules', () => {
  const never = (rule: string, by: string) =>
    `"${rule}" is never reached: "${by}" comes before it and matches all of it`
  const partly = (rule: string, by: string) =>
    `"${by}" comes before "${rule}" and is less strict where both match: change their order if that is not intended`
  const ROWS: readonly (readonly [first: string, second: string, warning: string | undefined])[] = [
    ['access: deny', 'path: /a, access: deny', never('two', 'one')],
    ['path: /a/*, access: deny', 'path: [/a/b, /a/c/*], access: deny', never('two', 'one')],
    ['path: [/a, /b/*], access: deny', 'path: [/a, /b/c], access: deny', never('two', 'one')],
    [
      'methods: [GET, POST], access: deny',
      'methods: GET, path: /a, access: deny',
      never('two', 'one'),
    ],
    ['from: 10.0.0.0/8, access: deny', 'from: 10.1.0.0/16, access: deny', never('two', 'one')],
    [
      'host: [a.test, b.test], access: deny',
      'host: a.test, access: certificate',
      never('two', 'one'),
    ],
    ['path: /a/b, access: open', 'path: /a/*, access: certificate', undefined],
    ['path: /a/*, methods: GET, access: open', 'path: /a/b, access: deny', partly('two', 'one')],
    ['path: /a/*, access: open', 'path: /a/b, host: a.test, access: deny', never('two', 'one')],
    [
      'from: 192.168.1.0/24, path: /a/*, access: open',
      'path: /a/b, access: deny',
      partly('two', 'one'),
    ],
    [
      'from: 192.168.1.0/24, path: /a/*, access: open',
      'path: /a/b, from: 192.168.1.7, access: deny',
      partly('two', 'one'),
    ],
    [
      'from: 192.168.1.0/24, path: /a/*, access: open',
      'path: /a/b, from: 10.0.0.0/8, access: deny',
      undefined,
    ],
    ['host: a.test, path: /a/*, access: open', 'host: b.test, path: /a/b, access: deny', undefined],
    [
      'methods: GET, path: /a/*, access: open',
      'methods: POST, path: /a/b, access: deny',
      undefined,
    ],
    ['methods: GET, path: /a/*, access: open', 'path: /b/*, access: deny', undefined],
    ['methods: GET, path: /a, access: certificate', 'path: [/a, /b], access: deny', undefined],
    ['path: /a/*, access: deny', 'methods: GET, access: open, dangerous: true', undefined],
    ['path: /a/b, access: deny', 'path: /a/*, access: deny', undefined],
    ['path: /a/*, access: deny', 'path: /b/*, access: deny', undefined],
    ['path: /a, access: deny', 'access: certificate', undefined],
    ['host: a.test, access: deny', 'access: deny', undefined],
    ['methods: GET, access: deny', 'access: deny', undefined],
    ['from: 10.0.0.0/8, access: deny', 'access: deny', undefined],
  ]
  for (const [first, second, warning] of ROWS) {
    test(`{${first}} before {${second}}: ${warning === undefined ? 'no warning' : 'a warning'}`, () => {
      const text = `version: 1\nrules:\n  - {name: one, ${first}}\n  - {name: two, ${second}}\n`
      assert.deepEqual(
        warningsOf(text),
        warning === undefined ? [] : [`line 4, column 5: ${warning}`],
      )
    })
  }

  test("does not matter between the file and its presets: a file's own rules deliberately come first", () => {
    const text = `version: 1
preset: home-assistant
rules:
  - {name: my webhooks, path: /api/webhook/abc, access: open}
  - {name: no other, path: /api/webhook/*, access: certificate-or-session}
`
    assert.deepEqual(warningsOf(text), [])
    assert.deepEqual(
      policyOf(text).rules.map(({ name }) => name),
      ['my webhooks', 'no other', 'home-assistant: webhooks'],
    )
  })
})

describe('A preset', () => {
  const rules = (...texts: readonly string[]) =>
    `version: 1\npreset: home-assistant\nrules:\n${texts.map((text) => `  - {${text}}\n`).join('')}`
  const nothing = (by: string) =>
    `line 2, column 9: "home-assistant: webhooks" has no effect: "${by}" comes before it and matches all of it`

  test('that own rules override completely causes a warning', () => {
    assert.deepEqual(warningsOf(rules('name: api, path: /api/*, access: certificate')), [
      nothing('api'),
    ])
    assert.deepEqual(warningsOf(rules('access: deny')), [nothing('rule 1')])
    assert.deepEqual(
      warningsOf(rules('name: other, path: /status, access: open', 'access: deny')),
      [nothing('rule 2')],
    )
  })

  test('that own rules override or open partly is fine', () => {
    assert.deepEqual(warningsOf(rules('path: /api/webhook/*, methods: GET, access: deny')), [])
    assert.deepEqual(warningsOf(rules('path: /api/webhook/*, access: open')), [])
    assert.deepEqual(
      warningsOf(rules('path: /api/webhook/a, access: open', 'path: /api/*, access: certificate')),
      [],
    )
  })

  const CLOSED =
    'line 2, column 10: preset "closed" denies nothing that "home-assistant" allows: name a host for each, or leave it out'
  for (const [presets, warnings] of [
    ['closed, home-assistant', [CLOSED]],
    ['{closed: a.test}, home-assistant', [CLOSED.replace('10', '11')]],
    ['{closed: A.test}, {home-assistant: a.test}', [CLOSED.replace('10', '11')]],
    ['{closed: a.test}, {home-assistant: b.test}', []],
    ['closed, closed', []],
  ] as const) {
    test(`that denies beside one that opens: ${warnings.length ? 'a warning' : 'no warning'}: ${presets}`, () => {
      assert.deepEqual(warningsOf(`version: 1\npreset: [${presets}]\n`), warnings)
    })
  }
})

test('No text makes the parser throw', () => {
  const words = fc.constantFrom(
    'version',
    'rules',
    ':',
    '-',
    '[',
    ']',
    '{',
    '}',
    ',',
    '\n',
    '  ',
    '&a',
    '*a',
    '"',
    '|',
    '?',
    '1',
    '/a',
    'access',
    'open',
    '#',
    '\t',
    '!',
    '%',
    '<<',
  )
  fc.assert(
    fc.property(fc.array(words, { maxLength: 40 }), (parts) => {
      const parsed = parse(`version: 1\n${parts.join(' ')}`)
      assert.ok(parsed.ok || parsed.problems.length > 0)
    }),
    { numRuns: 2000 },
  )
})
