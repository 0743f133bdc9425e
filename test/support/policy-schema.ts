/**
 * The JSON Schema of the policy file, for editors: its keys, accesses, presets and limits are the
 * parser's own. Run directly, this file writes it: `npm run build && node
 * dist/test/support/policy-schema.js`
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type KEYS, MAX_RULES, type RULE_KEYS } from '../../src/policy/parse.ts'
import { ACCESS } from '../../src/policy/policy.ts'
import { PRESETS } from '../../src/policy/presets/presets.ts'
import type { Schema } from './json-schema.ts'
import { repository } from './repository.ts'

export const POLICY_SCHEMA = 'deploy/compose/policy/policy.schema.json'

/** The parser takes every value as the text that is written; an editor sees numbers and booleans. */
const text = (pattern?: string): Schema => ({
  type: ['string', 'number', 'boolean'],
  minLength: 1,
  ...(pattern !== undefined && { pattern }),
})

/** One of them, or a list. */
const oneOrMore = (one: Schema, description: string): Schema => ({
  description,
  anyOf: [one, { type: 'array', items: one, minItems: 1 }],
})

const texts = (description: string, pattern?: string): Schema =>
  oneOrMore(text(pattern), description)

const RULE: Readonly<Record<(typeof RULE_KEYS)[number], Schema>> = {
  name: { ...text(), description: 'What log, metrics and explain call the rule.' },
  host: texts('Host names, without port; left out: any.', '^[^/*]+$'),
  path: texts('An exact path such as /a, or /a/* for all below it; left out: any.', '^/'),
  methods: texts('Such as GET; left out: any.', '^[^a-z*]+$'),
  from: texts('Networks of clients, such as 192.168.1.0/24; left out: any.'),
  device: texts('Names of devices, as certlatch device list has them.'),
  owner: texts('Names of owners, as certlatch device list has them.'),
  access: { description: 'What the rule asks for.', enum: ACCESS },
  dangerous: {
    description: 'Whether the rule may open what a slip should not open.',
    enum: [true, false, 'true', 'false'],
  },
}

const switches = PRESETS.flatMap(({ switches }) => Object.entries(switches))

/** Known names, each alone or with its own texts: `local-network: 192.168.1.0/24`. */
function entries(alone: readonly string[], all: readonly string[], description: string): Schema {
  const values = texts('What it is for.')
  const one: readonly Schema[] = [
    { enum: [...new Set(alone)] },
    {
      type: 'object',
      properties: Object.fromEntries(all.map((name) => [name, values])),
      additionalProperties: false,
    },
  ]
  return { description, anyOf: [...one, { type: 'array', items: { anyOf: one } }] }
}

const presetNames = PRESETS.map(({ name }) => name)

const FILE: Readonly<Record<(typeof KEYS)[number], Schema>> = {
  version: { description: 'The version of this format.', enum: [1, '1'] },
  preset: entries(presetNames, presetNames, 'Rules for an application, for all hosts or some.'),
  enable: entries(
    switches.filter(([, { needsNetworks }]) => needsNetworks !== true).map(([name]) => name),
    switches.map(([name]) => name),
    'What of a preset is off unless it is named.',
  ),
  allow_origins: texts(
    'Other sites whose pages may act here, such as https://cast.example.org.',
    '^[A-Za-z][A-Za-z0-9+.-]*://[^/]+$',
  ),
  rules: {
    description: 'The first one that matches a request applies.',
    anyOf: [
      { $ref: '#/definitions/rule' },
      { type: 'array', items: { $ref: '#/definitions/rule' }, maxItems: MAX_RULES },
    ],
  },
}

export function policySchema(): Schema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'The policy file of certlatch (CERTLATCH_POLICY_FILE)',
    type: 'object',
    properties: FILE,
    required: ['version'],
    additionalProperties: false,
    definitions: {
      rule: {
        type: 'object',
        properties: RULE,
        required: ['access'],
        additionalProperties: false,
      },
    },
  }
}

export const policySchemaText = (): string => `${JSON.stringify(policySchema(), undefined, 2)}\n`

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(join(repository(), POLICY_SCHEMA), policySchemaText())
}
