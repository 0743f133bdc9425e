import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parse, stringify } from 'yaml'
import { KEYS, parsePolicy, RULE_KEYS } from '../../src/policy/parse.ts'
import { ACCESS } from '../../src/policy/policy.ts'
import { PRESETS } from '../../src/policy/presets/presets.ts'
import { isValid, type Schema } from '../support/json-schema.ts'
import { documentsBelow } from '../support/markdown.ts'
import { POLICY_SCHEMA, policySchema, policySchemaText } from '../support/policy-schema.ts'
import { repository } from '../support/repository.ts'
import { LOOPBACK } from '../support/request.ts'

const read = (path: string): string => readFileSync(join(repository(), path), 'utf8')
const SCHEMA = policySchema()
const SHIPPED = 'deploy/compose/policy/policy.yaml'

/** An editor reads YAML's core schema, in which 1 is a number. */
const isValidText = (text: string): boolean => isValid(parse(text), SCHEMA)
const isAccepted = (text: string): boolean => parsePolicy(Buffer.from(text), LOOPBACK).ok

test("The shipped JSON Schema is the parser's", () => {
  const repair = 'run: npm run build && node dist/test/support/policy-schema.js'
  assert.equal(read(POLICY_SCHEMA), policySchemaText(), repair)
})

test('The shipped policy file refers to it for editors', () => {
  const [, path = ''] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(read(SHIPPED)) ?? []
  assert.equal(join(dirname(SHIPPED), path), POLICY_SCHEMA)
  assert.ok(existsSync(join(repository(), POLICY_SCHEMA)))
})

test('All shipped and documented policy files are valid', () => {
  const shipped = read(SHIPPED)
  const documented = documentsBelow(repository()).flatMap(
    (path) => read(path).match(/(?<=^```yaml\n)version: 1\n[^`]*/gm) ?? [],
  )
  assert.ok(documented.length >= 2)
  for (const text of [shipped, shipped.replace('# enable:', 'enable:'), ...documented]) {
    assert.ok(isValidText(text), text)
  }
})

const RULE = (text: string): string => `version: 1\nrules:\n  - {${text}}\n`

describe('An error of shape is refused by parser and schema', () => {
  const ROWS: readonly (readonly [what: string, text: string])[] = [
    ['nothing at all', ''],
    ['a list', '- x'],
    ['no version', 'rules: []\n'],
    ['another version', 'version: 2\n'],
    ['an empty version', 'version:\n'],
    ['a list of versions', 'version: [1]\n'],
    ['an unknown key', 'version: 1\nrule: {}\n'],
    ['a rule that is a word', 'version: 1\nrules: open\n'],
    ['a rule that is nothing', 'version: 1\nrules:\n'],
    ['rules in a list in a list', 'version: 1\nrules: [[{access: deny}]]\n'],
    [
      'more rules than a person writes',
      `version: 1\nrules:\n${'  - {access: deny}\n'.repeat(201)}`,
    ],
    ['an unknown key of a rule', RULE('acces: deny, access: deny')],
    ['no access', RULE('path: /a')],
    ['another access', RULE('path: /a, access: allow')],
    ['an access that is a list', RULE('path: /a, access: [deny]')],
    ['a danger that is a guess', RULE('path: /a, access: open, dangerous: yes')],
    ['a name that is a list', RULE('name: [a], access: deny')],
    ['an empty name', RULE('name: "", access: deny')],
    ['an empty list', RULE('host: [], access: deny')],
    ['no value', RULE('host: , access: deny')],
    ['a map in place of a text', RULE('host: [{a: b}], access: deny')],
    ['a list in a list', RULE('device: [[a]], access: deny')],
    ['a URL for a host', RULE('host: https://home.example.org, access: deny')],
    ['a pattern of hosts', RULE('host: "*.example.org", access: deny')],
    ['a path without slash', RULE('path: api/x, access: deny')],
    ['a method in small letters', RULE('methods: get, access: deny')],
    ['a path for an origin', 'version: 1\nallow_origins: https://a.test/\n'],
    ['another preset', 'version: 1\npreset: homeassistant\n'],
    ['a preset for nothing', 'version: 1\npreset: {home-assistant: []}\n'],
    ['a preset for no value', 'version: 1\npreset: {home-assistant: }\n'],
    ['another switch', 'version: 1\npreset: home-assistant\nenable: [cast]\n'],
    ['a network left out', 'version: 1\npreset: home-assistant\nenable: local-network\n'],
  ]
  for (const [what, text] of ROWS) {
    test(what, () => {
      assert.deepEqual([isAccepted(text), isValidText(text)], [false, false])
    })
  }
})

/** Each value now and then of the wrong shape, so that both answers are seen. */
const words = fc.oneof(
  fc.constantFrom('a', 'TRUE', 'GET', '/a', '/a/*', 'home.example.org', '192.168.1.0/24'),
  fc.constantFrom('https://cast.example.org', '', '1', 'true', '0x1f'),
  fc.constantFrom<unknown>(1, 12, true, false),
  fc.string({ maxLength: 4 }),
)
const listed = (one: fc.Arbitrary<unknown>) => fc.oneof(one, fc.array(one, { maxLength: 3 }))
const apt = {
  path: fc.constantFrom('/a', '/a/*', '/b'),
  methods: fc.constantFrom<unknown>('GET', 'POST', 'TRUE', 12),
  host: fc.constantFrom<unknown>('home.example.org', 'b.test', 12),
  from: fc.constantFrom('192.168.1.0/24', 'fd00::/8'),
  device: words,
  owner: words,
} as const
const rule = fc
  .record(
    {
      ...Object.fromEntries(
        Object.entries(apt).map(([key, one]) => [
          key,
          listed(fc.oneof({ weight: 9, arbitrary: one }, words)),
        ]),
      ),
      access: fc.oneof({ weight: 9, arbitrary: fc.constantFrom<unknown>(...ACCESS) }, words),
      dangerous: fc.constantFrom<unknown>(true, false, 'true', 'yes'),
      name: words,
      what: words,
    },
    { requiredKeys: ['access'] },
  )
  .map(({ what, ...known }) => (what === 'a' ? { ...known, what } : known))
const named = (names: readonly string[]) => {
  const name = fc.constantFrom(...names)
  return listed(fc.oneof(name, fc.dictionary(name, listed(apt.from), { maxKeys: 2 })))
}
const file = fc.record(
  {
    version: fc.constantFrom<unknown>(1, '1'),
    preset: named(PRESETS.map((preset) => preset.name)),
    enable: named(PRESETS.flatMap(({ switches }) => Object.keys(switches))),
    allow_origins: listed(fc.constantFrom('https://cast.example.org', 'HTTP://[::1]:8123', 'x')),
    rules: listed(rule),
  },
  { requiredKeys: ['version'] },
)

test('Whatever the parser accepts is valid', () => {
  let accepted = 0
  fc.assert(
    fc.property(file, (value) => {
      const text = stringify(value)
      if (!isAccepted(text)) return
      accepted++
      assert.ok(isValidText(text), text)
    }),
    { numRuns: 2000 },
  )
  assert.ok(accepted > 50, `${accepted} were accepted`)
})

test('A bare null is not valid, because editors take it for no value: it belongs in quotes', () => {
  const [bare, quoted] = [
    RULE('device: null, access: certificate'),
    RULE('device: "null", access: certificate'),
  ]
  assert.deepEqual([isAccepted(bare), isValidText(bare)], [true, false])
  assert.deepEqual([isAccepted(quoted), isValidText(quoted)], [true, true])
})

test('Every key has a description for the editor', () => {
  const described = (schema: Schema | undefined) =>
    Object.entries(schema?.properties ?? {}).map(([key, { description }]) => {
      assert.ok(description?.endsWith('.'), key)
      return key
    })
  assert.deepEqual(described(SCHEMA), [...KEYS])
  assert.deepEqual(described(SCHEMA.definitions?.['rule']), [...RULE_KEYS])
})
