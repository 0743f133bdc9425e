import { comparableName } from '../certificate/identity.ts'
import { clientAddress } from '../proxy/client-address.ts'
import { containsAddress, type Networks } from '../proxy/networks.ts'
import type { OriginalRequest } from '../proxy/original-request.ts'
import { readRequestPath } from '../proxy/request-path.ts'

/** What a rule requires, from the most to the least generous. */
export const ACCESS = ['open', 'certificate-or-session', 'certificate', 'deny'] as const
export type Access = (typeof ACCESS)[number]

/** Which devices a rule permits: the named ones, and every device of the named owners. */
export interface Holders {
  readonly devices: Names
  /** As sent to the application in Remote-User. */
  readonly owners: Names
}

/** Names as written, by `comparableName`. */
type Names = ReadonlyMap<string, string>

/** What a request has to satisfy. */
export interface Rule {
  readonly name: string
  readonly access: Access
  /** Each must be satisfied; without any, every device that certlatch knows may pass. */
  readonly holders: readonly Holders[]
  /**
   * For a path that can be read in several ways: the rule of its literal reading, which this one
   * replaces.
   */
  readonly insteadOf?: Rule
}

/** Which requests a rule matches; `undefined` means any. */
export interface Conditions {
  readonly hosts: ReadonlySet<string> | undefined
  readonly paths: Paths | undefined
  readonly methods: ReadonlySet<string> | undefined
  readonly from: Networks | undefined
}

/** As in `RequestPath.literal`. */
export interface Paths {
  readonly exact: ReadonlySet<string>
  /** `/a/` matches itself and every path that begins with it. */
  readonly below: readonly string[]
}

export interface ConditionalRule extends Rule {
  readonly conditions: Conditions
}

export interface Policy {
  /** In order of precedence: the first that matches applies. */
  readonly rules: readonly ConditionalRule[]
  /** The rules that can match a host, for each host that any rule names. */
  readonly rulesByHost: ReadonlyMap<string, readonly ConditionalRule[]>
  /** The rules that can match any other host. */
  readonly rulesOfAnyHost: readonly ConditionalRule[]
  /** Applies where no other rule matches. */
  readonly defaultRule: Rule
  /** Lower case; other sites whose pages may send requests that change something. */
  readonly allowedOrigins: ReadonlySet<string>
}

/** Everything needs a certificate or a session, and no other site is allowed. */
export const CLOSED_POLICY: Policy = createPolicy([], [])

export function createPolicy(
  rules: readonly ConditionalRule[],
  allowedOrigins: readonly string[],
): Policy {
  const hosts = new Set(rules.flatMap(({ conditions }) => [...(conditions.hosts ?? [])]))
  const rulesOf = (host: string) =>
    rules.filter(({ conditions }) => conditions.hosts === undefined || conditions.hosts.has(host))
  return {
    rules,
    rulesByHost: new Map([...hosts].map((host) => [host, rulesOf(host)])),
    rulesOfAnyHost: rules.filter(({ conditions }) => conditions.hosts === undefined),
    defaultRule: { name: 'default', access: 'certificate-or-session', holders: [] },
    allowedOrigins: new Set(allowedOrigins),
  }
}

/**
 * The rule for this request: the first that matches, or the default. A path that a proxy and an
 * application could read differently gets the strictest rule of all that it might reach.
 */
export function ruleFor(
  policy: Policy,
  request: OriginalRequest,
  forwardedFor: string | undefined,
  trustedProxies: Networks,
): Rule {
  const candidates = policy.rulesByHost.get(request.host) ?? policy.rulesOfAnyHost
  if (candidates.length === 0) return policy.defaultRule
  const path = readRequestPath(request.path)
  const asked = { method: request.method, forwardedFor, trustedProxies, client: undefined }
  const literal =
    candidates.find(
      (rule) => includesPath(rule.conditions.paths, path.literal) && isFor(rule, asked),
    ) ?? policy.defaultRule
  const { certain } = path
  if (certain === undefined) return literal
  const counted = candidates.filter((rule) => reachesBelow(rule, certain) && isFor(rule, asked))
  return strictest([...counted, policy.defaultRule], literal)
}

/** Whether a literal path is one of these; `undefined` means any. */
export function includesPath(paths: Conditions['paths'], literal: string): boolean {
  if (paths === undefined || paths.exact.has(literal)) return true
  return paths.below.some((folder) => literal.startsWith(folder))
}

/** Whether the rule matches some path that begins with `start`. */
function reachesBelow({ conditions: { paths } }: ConditionalRule, start: string): boolean {
  if (paths === undefined) return true
  if (paths.below.some((folder) => folder.startsWith(start) || start.startsWith(folder))) {
    return true
  }
  return [...paths.exact].some((path) => path.startsWith(start))
}

interface Asked {
  readonly method: string
  readonly forwardedFor: string | undefined
  readonly trustedProxies: Networks
  /** Computed when the first rule needs it. */
  client: { readonly address: string | undefined } | undefined
}

/** Whether the rule matches the method and the client's network. */
function isFor({ access, conditions }: ConditionalRule, asked: Asked): boolean {
  const { methods, from } = conditions
  if (
    methods !== undefined &&
    !methods.has(asked.method) &&
    !isStrictlyFor(access, methods, asked)
  ) {
    return false
  }
  if (from === undefined) return true
  asked.client ??= { address: clientAddress(asked.forwardedFor, asked.trustedProxies) }
  const { address } = asked.client
  // Hiding its address must not help a client past a rule that denies, or into one that allows.
  return address === undefined ? access === 'deny' : containsAddress(from, address)
}

/**
 * A rule that requires something also matches other spellings of its methods, and HEAD where it names
 * GET (RFC 9110 §9.3.2): some applications treat them the same.
 */
function isStrictlyFor(
  access: Rule['access'],
  methods: ReadonlySet<string>,
  { method }: Asked,
): boolean {
  if (access === 'open') return false
  const usual = method.toUpperCase()
  return methods.has(usual) || (usual === 'HEAD' && methods.has('GET'))
}

function strictest(counted: readonly Rule[], literal: Rule): Rule {
  const strict = counted.reduce((before, rule) =>
    ACCESS.indexOf(rule.access) > ACCESS.indexOf(before.access) ? rule : before,
  )
  const holders = counted.flatMap((rule) => rule.holders)
  // The literal reading's own rule is always among them.
  const isNoStricter = strict.access === literal.access && holders.length === literal.holders.length
  return isNoStricter
    ? literal
    : { name: strict.name, access: strict.access, holders, insteadOf: literal }
}

/** Whether the rule permits this device, or its owner with any device. */
export function isPermitted(
  { holders }: Rule,
  { device, user }: { readonly device: string; readonly user: string },
): boolean {
  if (holders.length === 0) return true
  const names = [comparableName(device), comparableName(user)] as const
  return holders.every(({ devices, owners }) => devices.has(names[0]) || owners.has(names[1]))
}

/** A rule as data; in messages the preset's name precedes its name. */
export interface PresetRule {
  readonly name: string
  readonly path?: readonly string[]
  readonly methods?: readonly string[]
  readonly access: Access
}

/** Rules that apply only where the policy file enables them. */
interface Switch {
  readonly rules: readonly PresetRule[]
  /** Whether the file must name the networks that they apply to. */
  readonly needsNetworks: boolean
}

/** Rules for one kind of application, which the policy file names. */
export interface Preset {
  readonly name: string
  /** Whether the hosts must be named with it: at other hosts its paths mean something else. */
  readonly needsHost?: true
  readonly rules: readonly PresetRule[]
  readonly switches: Readonly<Record<string, Switch>>
}
