import { coversNetworks, overlap } from '../proxy/networks.ts'
import {
  ACCESS,
  type ConditionalRule,
  type Conditions,
  includesPath,
  type Paths,
} from './policy.ts'
import { quote } from './yaml-reader.ts'

/**
 * Warns of a likely mistake: an `earlier` rule matches everything that this one matches, or a part of
 * it with less strict access. An earlier rule that covers only a part of what this one matches is an
 * exception to it, which is ordinary.
 */
export function orderWarning(
  rule: ConditionalRule,
  earlier: readonly ConditionalRule[],
): string | undefined {
  const covering = earlier.find((other) => covers(other, rule))
  if (covering !== undefined) {
    return `${quote(rule.name)} is never reached: ${quote(covering.name)} comes before it and matches all of it`
  }
  const generous = earlier.find(
    (other) =>
      ACCESS.indexOf(other.access) < ACCESS.indexOf(rule.access) &&
      meet(other.conditions, rule.conditions) &&
      !covers(rule, other),
  )
  return generous === undefined
    ? undefined
    : `${quote(generous.name)} comes before ${quote(rule.name)} and is less strict where both match: change their order if that is not intended`
}

/**
 * Warns where the file's own rules deny all that a preset's rule allows. Where one of them allows a
 * part of it, the rest is denied on purpose: some webhooks, and no others.
 */
export function presetWarning(
  rule: ConditionalRule,
  own: readonly ConditionalRule[],
): string | undefined {
  if (rule.access !== 'open') return undefined
  const covering = own.find((other) => other.access !== rule.access && covers(other, rule))
  const place = { ...rule, conditions: onlyPaths(rule.conditions.paths) }
  const isOnPurpose = own.some((other) => other.access === rule.access && covers(place, other))
  return covering === undefined || isOnPurpose
    ? undefined
    : `${quote(rule.name)} has no effect: ${quote(covering.name)} comes before it and matches all of it`
}

const onlyPaths = (paths: Paths | undefined): Conditions => ({
  hosts: undefined,
  methods: undefined,
  from: undefined,
  paths,
})

/** Whether the outer rule matches every request that the inner one matches. */
function covers(outer: ConditionalRule, inner: ConditionalRule): boolean {
  const { hosts, paths, methods, from } = outer.conditions
  const within = inner.conditions
  return (
    includes(hosts, within.hosts) &&
    includes(methods, within.methods) &&
    (paths === undefined || (within.paths !== undefined && includesPaths(paths, within.paths))) &&
    (from === undefined || (within.from !== undefined && coversNetworks(from, within.from))) &&
    // A rule with `from` matches unknown addresses only if it denies.
    !(from !== undefined && inner.access === 'deny' && outer.access !== 'deny')
  )
}

type Names = ReadonlySet<string> | undefined

function includes(outer: Names, inner: Names): boolean {
  if (outer === undefined) return true
  return inner !== undefined && [...inner].every((name) => outer.has(name))
}

function includesPaths(outer: Paths, inner: Paths): boolean {
  const isBelow = (path: string) => outer.below.some((folder) => path.startsWith(folder))
  return inner.below.every(isBelow) && [...inner.exact].every((path) => includesPath(outer, path))
}

/** Whether both may match the same request. */
function meet(one: Conditions, other: Conditions): boolean {
  return (
    share(one.hosts, other.hosts) &&
    share(one.methods, other.methods) &&
    (one.paths === undefined || other.paths === undefined || sharePaths(one.paths, other.paths)) &&
    (one.from === undefined || other.from === undefined || overlap(one.from, other.from))
  )
}

function share(one: Names, other: Names): boolean {
  return one === undefined || other === undefined || [...one].some((name) => other.has(name))
}

function sharePaths(one: Paths, other: Paths): boolean {
  return (
    [...one.exact, ...one.below].some((path) => includesPath(other, path)) ||
    [...other.exact, ...other.below].some((path) => includesPath(one, path))
  )
}
