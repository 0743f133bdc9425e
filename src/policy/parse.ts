import type { Networks } from '../proxy/networks.ts'
import { CLOSED_POLICY, type ConditionalRule, createPolicy, type Policy } from './policy.ts'
import { readPresets } from './preset-rules.ts'
import { compileRule, type RuleDraft } from './rule.ts'
import { orderWarning, presetWarning } from './rule-warnings.ts'
import {
  type Fields,
  fieldsOf,
  itemsOf,
  type Notes,
  openFile,
  positionOf,
  quote,
  textOf,
  textsOf,
  type Value,
} from './yaml-reader.ts'

export type ParsedPolicy =
  | { readonly ok: true; readonly policy: Policy; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] }

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
/** More would be a machine's work, and each is compared with all others for the warnings. */
export const MAX_RULES = 200
/** What a person writes is far shorter; and with YAML's aliases a long text can mean a huge one. */
const MAX_BYTES = 32 * 1024
/** Paths, hosts and so on of all rules, each counted where it is named again by an alias. */
const MAX_VALUES = 2000

/**
 * The rules that a policy file makes, with what is likely not meant in it; or everything that is
 * wrong with it, each with its place: `line 3, column 9: …`.
 */
export function parsePolicy(content: Buffer, trustedProxies: Networks): ParsedPolicy {
  if (content.length > MAX_BYTES) {
    return {
      ok: false,
      problems: [`is longer than ${MAX_BYTES / 1024} kB: expected rules for people`],
    }
  }
  const text = decode(content)
  if (text === undefined) return { ok: false, problems: ['is not UTF-8 text'] }
  const problems: { readonly at: number; readonly sentence: string }[] = []
  const warnings: typeof problems = []
  const notes: Notes = {
    problem: (at, sentence) => void problems.push({ at, sentence }),
    warning: (at, sentence) => void warnings.push({ at, sentence }),
  }
  const { fields, place } = openFile(text, KEYS, notes)
  const policy = fields && readPolicy(fields, trustedProxies, notes)
  const told = (noted: typeof problems): readonly string[] =>
    [...noted]
      .sort((one, other) => one.at - other.at)
      .map(({ at, sentence }) => `${place(at)}: ${sentence}`)
  return problems.length > 0 || policy === undefined
    ? { ok: false, problems: told(problems) }
    : { ok: true, policy, warnings: told(warnings) }
}

function decode(content: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch {
    return undefined
  }
}

function readPolicy(fields: Fields, trustedProxies: Networks, notes: Notes): Policy {
  const version = textOf(fields.get('version'), notes)
  if (version?.text !== VERSION && !(fields.has('version') && version === undefined)) {
    const found = version === undefined ? 'there is no version' : `version ${quote(version.text)}`
    notes.problem(version?.at ?? 0, `${found}: expected "version: ${VERSION}"`)
  }
  const own = readRules(fields.get('rules'), notes)
  const presets = readPresets(fields, notes)
  const origins = readOrigins(fields.get('allow_origins'), notes)
  const values = sum([...own, ...presets].map(valuesOf))
  if (values > MAX_VALUES) {
    notes.problem(0, `the rules list ${values} values in all: expected ${MAX_VALUES} at most`)
    return CLOSED_POLICY
  }
  const compiled = (draft: RuleDraft) => compileRule(draft, trustedProxies, notes)
  const warn = (at: number, warning: string | undefined): void => {
    if (warning !== undefined) notes.warning(at, warning)
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

const valuesOf = ({ host, path, methods, from, device, owner }: RuleDraft): number =>
  sum([host, path, methods, from, device, owner].map((values) => values?.length ?? 0))

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)

function readRules(value: Value | undefined, notes: Notes): readonly RuleDraft[] {
  if (value === undefined) return []
  const items = itemsOf(value)
  if (items.length > MAX_RULES) {
    notes.problem(positionOf(value), `has ${items.length} rules: expected ${MAX_RULES} at most`)
    return []
  }
  const drafts = items.flatMap((item, index) => readRule(item, `rule ${index + 1}`, notes) ?? [])
  for (const [index, { name, at }] of drafts.entries()) {
    const first = drafts.findIndex((draft) => draft.name === name)
    if (first < index) notes.problem(at, `${quote(name)} is the name of another rule too`)
  }
  return drafts
}

function readRule(item: Value, numbered: string, notes: Notes): RuleDraft | undefined {
  const fields = fieldsOf(item, numbered, RULE_KEYS, notes)
  if (fields === undefined) return undefined
  const list = (key: (typeof RULE_KEYS)[number]) => textsOf(fields.get(key), notes)
  const isDangerous = readSwitch(fields.get('dangerous'), notes)
  return {
    name: textOf(fields.get('name'), notes)?.text ?? numbered,
    at: positionOf(item),
    host: list('host'),
    path: list('path'),
    methods: list('methods'),
    from: list('from'),
    device: list('device'),
    owner: list('owner'),
    access: textOf(fields.get('access'), notes),
    opensAnything: isDangerous,
    opensProxies: isDangerous,
    isPreset: false,
  }
}

function readSwitch(value: Value | undefined, notes: Notes): boolean {
  const written = textOf(value, notes)
  if (written === undefined || written.text === 'false') return false
  if (written.text === 'true') return true
  notes.problem(written.at, `dangerous ${quote(written.text)}: expected true or false`)
  return false
}

const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/
const DEFAULT_PORT = /^(?:https:.*:443|http:.*:80)$/

function readOrigins(value: Value | undefined, notes: Notes): readonly string[] {
  return (textsOf(value, notes) ?? []).map(({ text, at }) => {
    const origin = text.toLowerCase()
    if (!ORIGIN.test(origin)) {
      notes.problem(
        at,
        `origin ${quote(text)} is not one: expected scheme and host such as https://cast.example.org, without path`,
      )
    } else if (DEFAULT_PORT.test(origin)) {
      notes.problem(at, `origin ${quote(text)} has the port that browsers leave out: so must it`)
    }
    return origin
  })
}
