import type { Networks } from '../proxy/networks.ts'
import type { Problems, Result } from '../result.ts'
import { CLOSED_POLICY, type ConditionalRule, createPolicy, type Policy } from './policy.ts'
import { readPresets } from './preset-rules.ts'
import { compileRule, type RuleDraft } from './rule.ts'
import { orderWarning, presetWarning } from './rule-warnings.ts'
import {
  type Diagnostics,
  type Fields,
  fieldsOf,
  itemsOf,
  positionOf,
  quote,
  readFields,
  textOf,
  textsOf,
  type Value,
  type Written,
} from './yaml-reader.ts'

export type ParsedPolicy = Result<{ policy: Policy; warnings: readonly string[] }, Problems>

const VERSION = '1'
export const KEYS = ['version', 'preset', 'enable', 'allow_origins', 'rules'] as const
export const RULE_KEYS = [
  'name',
  'host',
  'path',
  'methods',
  'from',
  'device',
  'owner',
  'access',
  'dangerous',
] as const
/** Files with more are generated, and the warnings compare each rule with all others. */
export const MAX_RULES = 200
/** Files written by hand are far shorter, and aliases can make a huge value of a long text. */
const MAX_BYTES = 32 * 1024
/** Paths, hosts and so on of all rules, counted again for each alias. */
const MAX_VALUES = 2000

/**
 * Parses a policy file into its rules and warnings of likely mistakes, or into everything that is
 * wrong with it, each problem with its place: `line 3, column 9: …`.
 */
export function parsePolicy(content: Buffer, trustedProxies: Networks): ParsedPolicy {
  if (content.length > MAX_BYTES) {
    return {
      ok: false,
      problems: [`is longer than ${MAX_BYTES / 1024} kB: expected a file written by hand`],
    }
  }
  const text = decode(content)
  if (text === undefined) return { ok: false, problems: ['is not UTF-8 text'] }
  const problems: { readonly at: number; readonly sentence: string }[] = []
  const warnings: typeof problems = []
  const diagnostics: Diagnostics = {
    problem: (at, sentence) => void problems.push({ at, sentence }),
    warning: (at, sentence) => void warnings.push({ at, sentence }),
  }
  const { fields, place } = readFields(text, KEYS, diagnostics)
  const policy = fields && readPolicy(fields, trustedProxies, diagnostics)
  const sentences = (noted: typeof problems): readonly string[] =>
    [...noted]
      .sort((one, other) => one.at - other.at)
      .map(({ at, sentence }) => `${place(at)}: ${sentence}`)
  return problems.length > 0 || policy === undefined
    ? { ok: false, problems: sentences(problems) }
    : { ok: true, policy, warnings: sentences(warnings) }
}

function decode(content: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch {
    return undefined
  }
}

function readPolicy(fields: Fields, trustedProxies: Networks, diagnostics: Diagnostics): Policy {
  const version = textOf(fields.get('version'), diagnostics)
  if (version?.text !== VERSION && !(fields.has('version') && version === undefined)) {
    const found = version === undefined ? 'there is no version' : `version ${quote(version.text)}`
    diagnostics.problem(version?.at ?? 0, `${found}: expected "version: ${VERSION}"`)
  }
  const own = readRules(fields.get('rules'), diagnostics)
  const presets = readPresets(fields, diagnostics)
  const origins = readOrigins(fields.get('allow_origins'), diagnostics)
  const values = [...own, ...presets].flatMap(valuesOf).length
  if (values > MAX_VALUES) {
    diagnostics.problem(0, `the rules list ${values} values in all: expected ${MAX_VALUES} at most`)
    return CLOSED_POLICY
  }
  const compiled = (draft: RuleDraft) => compileRule(draft, trustedProxies, diagnostics)
  const warn = (at: number, warning: string | undefined): void => {
    if (warning !== undefined) diagnostics.warning(at, warning)
  }
  const ownRules: ConditionalRule[] = []
  for (const draft of own) {
    const rule = compiled(draft)
    warn(draft.at, orderWarning(rule, ownRules))
    ownRules.push(rule)
  }
  const presetRules = presets.map((draft) => {
    const rule = compiled(draft)
    warn(draft.at, presetWarning(rule, ownRules))
    return rule
  })
  return createPolicy([...ownRules, ...presetRules], origins)
}

const valuesOf = ({ host, path, methods, from, device, owner }: RuleDraft): readonly Written[] =>
  [host, path, methods, from, device, owner].flatMap((values) => values ?? [])

function readRules(value: Value | undefined, diagnostics: Diagnostics): readonly RuleDraft[] {
  if (value === undefined) return []
  const items = itemsOf(value)
  if (items.length > MAX_RULES) {
    diagnostics.problem(
      positionOf(value),
      `has ${items.length} rules: expected ${MAX_RULES} at most`,
    )
    return []
  }
  const drafts = items.flatMap(
    (item, index) => readRule(item, `rule ${index + 1}`, diagnostics) ?? [],
  )
  for (const [index, { name, at }] of drafts.entries()) {
    const first = drafts.findIndex((draft) => draft.name === name)
    if (first < index) diagnostics.problem(at, `${quote(name)} is also the name of another rule`)
  }
  return drafts
}

function readRule(item: Value, numbered: string, diagnostics: Diagnostics): RuleDraft | undefined {
  const fields = fieldsOf(item, numbered, RULE_KEYS, diagnostics)
  if (fields === undefined) return undefined
  const list = (key: (typeof RULE_KEYS)[number]) => textsOf(fields.get(key), diagnostics)
  const isDangerous = readSwitch(fields.get('dangerous'), diagnostics)
  return {
    name: textOf(fields.get('name'), diagnostics)?.text ?? numbered,
    at: positionOf(item),
    host: list('host'),
    path: list('path'),
    methods: list('methods'),
    from: list('from'),
    device: list('device'),
    owner: list('owner'),
    access: textOf(fields.get('access'), diagnostics),
    mayExposeAnything: isDangerous,
    mayExposeProxies: isDangerous,
    isPreset: false,
  }
}

function readSwitch(value: Value | undefined, diagnostics: Diagnostics): boolean {
  const written = textOf(value, diagnostics)
  if (written === undefined || written.text === 'false') return false
  if (written.text === 'true') return true
  diagnostics.problem(written.at, `dangerous ${quote(written.text)}: expected true or false`)
  return false
}

const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/
const DEFAULT_PORT = /^(?:https:.*:443|http:.*:80)$/

function readOrigins(value: Value | undefined, diagnostics: Diagnostics): readonly string[] {
  return (textsOf(value, diagnostics) ?? []).map(({ text, at }) => {
    const origin = text.toLowerCase()
    if (!ORIGIN.test(origin)) {
      diagnostics.problem(
        at,
        `origin ${quote(text)} is not an origin: expected scheme and host such as https://cast.example.org, without path`,
      )
    } else if (DEFAULT_PORT.test(origin)) {
      diagnostics.problem(
        at,
        `origin ${quote(text)} has a default port, which browsers leave out: leave it out too`,
      )
    }
    return origin
  })
}
