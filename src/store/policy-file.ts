import { comparableName } from '../certificate/identity.ts'
import type { parsePolicy } from '../policy/parse.ts'
import { CLOSED_POLICY, type Policy } from '../policy/policy.ts'
import type { Networks } from '../proxy/networks.ts'
import type { Part } from '../result.ts'
import type { DeviceRegistry } from './device-registry.ts'

/** The policy file, with what its rules are checked against. */
export interface PolicySource {
  readonly name: string
  readonly content: Buffer
  readonly trustedProxies: Networks
  /** Loaded only if there is a policy file, because a YAML parser slows down the start. */
  readonly parse: typeof parsePolicy
}

/** A policy file as it was read. */
export interface ReadRules {
  readonly policy: Policy
  readonly warnings: readonly string[]
  /** `undefined`: there is no policy file. */
  readonly source: PolicySource | undefined
}

/**
 * The rules of the file; without one every request needs a certificate or a session. An unchanged
 * file is not parsed again: comparing each rule with all others takes time, and answers would wait.
 */
export function readPolicySource(
  source: PolicySource | undefined,
  previous: ReadRules | undefined,
): Part<ReadRules> {
  const none = { policy: CLOSED_POLICY, warnings: [], source: undefined }
  if (source === undefined) return { value: none, problems: [] }
  if (previous?.source !== undefined && isSame(previous.source, source)) {
    return { value: previous, problems: [] }
  }
  const parsed = source.parse(source.content, source.trustedProxies)
  const named = (lines: readonly string[]) => lines.map((line) => `${source.name}, ${line}`)
  return parsed.ok
    ? { value: { policy: parsed.policy, warnings: named(parsed.warnings), source }, problems: [] }
    : { value: none, problems: named(parsed.problems) }
}

function isSame(one: PolicySource, other: PolicySource): boolean {
  return (
    one.name === other.name &&
    one.content.equals(other.content) &&
    one.trustedProxies.text.join() === other.trustedProxies.text.join()
  )
}

/** Warns of names without a device: a rule with a typo applies to no device, or later to a wrong one. */
export function unknownHolders(
  { rules }: Policy,
  registry: DeviceRegistry | undefined,
): readonly string[] {
  if (registry === undefined) return []
  const names = new Set(registry.devices.map(({ name }) => comparableName(name)))
  const users = new Set(registry.devices.map(({ name, owner }) => comparableName(owner ?? name)))
  const warningFor = (rule: string, kind: string, name: string) =>
    `the rule ${JSON.stringify(rule)} names the ${kind} ${JSON.stringify(name)}, which no device entry has`
  return rules.flatMap(({ name: rule, holders }) =>
    holders.flatMap(({ devices, owners }) => [
      ...missing(devices, names).map((name) => warningFor(rule, 'device', name)),
      ...missing(owners, users).map((name) => warningFor(rule, 'owner', name)),
    ]),
  )
}

const missing = (
  written: ReadonlyMap<string, string>,
  known: ReadonlySet<string>,
): readonly string[] =>
  [...written].flatMap(([comparable, name]) => (known.has(comparable) ? [] : [name]))
