import { isIP } from 'node:net'
import { coversNetworks, type Networks, overlap, parseNetworks } from '../proxy/networks.ts'
import type { Preset, PresetRule } from './policy.ts'
import { PRESETS } from './presets/presets.ts'
import type { RuleDraft } from './rule.ts'
import {
  type Diagnostics,
  type Entry,
  entriesOf,
  type Fields,
  listOf,
  quote,
  type Written,
} from './yaml-reader.ts'

interface NamedPreset {
  readonly preset: Preset
  readonly entry: Entry
}

/** The rules of the presets that the file names, and of the switches that it enables. */
export function readPresets(fields: Fields, diagnostics: Diagnostics): readonly RuleDraft[] {
  const named = entriesOf(fields.get('preset'), diagnostics).flatMap(
    (entry): readonly NamedPreset[] => {
      const preset = PRESETS.find(({ name }) => name === entry.name.text)
      if (preset !== undefined) {
        if (preset.needsHost && entry.values === undefined) requireHost(entry, diagnostics)
        return [{ preset, entry }]
      }
      const names = listOf(
        PRESETS.map(({ name }) => name),
        'or',
      )
      diagnostics.problem(
        entry.name.at,
        `preset ${quote(entry.name.text)} does not exist: expected ${names}`,
      )
      return []
    },
  )
  warnOfEmptyPresets(named, diagnostics)
  const enabled = entriesOf(fields.get('enable'), diagnostics)
  const known = [...new Set(named.flatMap(({ preset }) => Object.keys(preset.switches)))]
  for (const { name } of enabled) {
    if (known.includes(name.text)) continue
    const expected = known.length === 0 ? 'no preset here has switches' : listOf(known, 'or')
    diagnostics.problem(name.at, `${quote(name.text)} cannot be enabled: expected ${expected}`)
  }
  for (const choice of enabled) {
    const needsNetworks = named.some(
      ({ preset }) => preset.switches[choice.name.text]?.needsNetworks,
    )
    if (needsNetworks) reportNetworks(choice, diagnostics)
  }
  return named.flatMap(({ preset, entry }) => {
    const draft = (rule: PresetRule, from: readonly Written[] | undefined) =>
      presetDraft(preset.name, rule, entry, from)
    const switched = enabled.flatMap((choice) => {
      const { rules = [] } = preset.switches[choice.name.text] ?? {}
      return rules.map((rule) => draft(rule, choice.values))
    })
    return [...preset.rules.map((rule) => draft(rule, undefined)), ...switched]
  })
}

function requireHost({ name: { text, at } }: Entry, diagnostics: Diagnostics): void {
  const example = `{${text}: app.example.org}`
  diagnostics.problem(
    at,
    `preset ${quote(text)} needs the host of its application: write ${example}`,
  )
}

/** A preset without rules does not restrict another one, though it may look as if it did. */
function warnOfEmptyPresets(named: readonly NamedPreset[], diagnostics: Diagnostics): void {
  for (const { preset, entry } of named) {
    if (preset.rules.length > 0) continue
    const other = named.find((one) => one.preset.rules.length > 0 && meet(one.entry, entry))
    if (other === undefined) continue
    diagnostics.warning(
      entry.name.at,
      `preset ${quote(preset.name)} denies nothing that ${quote(other.preset.name)} allows: name a host for each, or leave it out`,
    )
  }
}

function meet({ values: some }: Entry, { values: others }: Entry): boolean {
  const names = new Set(others?.map(({ text }) => text.toLowerCase()))
  return (
    some === undefined ||
    others === undefined ||
    some.some(({ text }) => names.has(text.toLowerCase()))
  )
}

function reportNetworks({ name, values }: Entry, diagnostics: Diagnostics): void {
  if (values === undefined) {
    const example = `"${name.text}: 192.168.1.0/24"`
    diagnostics.problem(name.at, `${quote(name.text)} needs your network: write ${example}`)
  }
  for (const { text, at } of values ?? []) {
    const parsed = parseNetworks([text])
    if (!parsed.ok || isOfHousehold(text, parsed.networks)) continue
    diagnostics.problem(
      at,
      `${quote(name.text)} grants access to ${quote(text)}, which is wider than a household: name a private network, or at most a /24 of public addresses (IPv6: /48); or, if that is intended, write a rule of your own with "dangerous: true" instead`,
    )
  }
}

/** RFC 1918, 3927, 4193 and 4291: addresses that never come from the internet. */
const PRIVATE = [
  ...['loopback', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16'],
  ...['fc00::/7', 'fe80::/10'],
]
const IPV4_AS_IPV6 = ['::ffff:0:0/96']
/** The shortest prefix of a public network that one household may have. */
const LEAST = { ipv4: 24, mapped: 96 + 24, ipv6: 48 } as const

function isOfHousehold(text: string, networks: Networks): boolean {
  const within = parseNetworks(PRIVATE)
  if (within.ok && coversNetworks(within.networks, networks)) return true
  const mapped = parseNetworks(IPV4_AS_IPV6)
  const [address = '', prefix = '128'] = text.split('/')
  const ipv6 = mapped.ok && overlap(mapped.networks, networks) ? LEAST.mapped : LEAST.ipv6
  return Number(prefix) >= (isIP(address) === 4 ? LEAST.ipv4 : ipv6)
}

function presetDraft(
  preset: string,
  { name, path, methods, access }: PresetRule,
  { name: { at }, values: host }: Entry,
  from: readonly Written[] | undefined,
): RuleDraft {
  const written = (texts: readonly string[] | undefined) => texts?.map((text) => ({ text, at }))
  return {
    name: `${preset}: ${name}`,
    at,
    host,
    path: written(path),
    methods: written(methods),
    from,
    device: undefined,
    owner: undefined,
    access: { text: access, at },
    // The paths of a preset are reviewed; the networks are the user's choice.
    mayExposeAnything: true,
    mayExposeProxies: false,
    isPreset: true,
  }
}
