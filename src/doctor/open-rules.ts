import type { ConditionalRule } from '../policy/policy.ts'
import type { Facts } from './facts.ts'
import type { RequestProbe } from './probe.ts'

/** A path that a rule makes public, and how to request it without changing anything. */
export interface OpenPath {
  readonly rule: string
  readonly method: RequestProbe['method']
  readonly path: string
  /** The folder below which everything is open; `undefined`: only this path. */
  readonly folder: string | undefined
}

const MOST_RULES = 10

/** The paths that the rules make public, from any network. */
export function openPaths(facts: Facts): readonly OpenPath[] {
  const { here, target } = facts
  if (here === undefined) return []
  const open = here.policy.rules.filter(
    ({ access, conditions: { from, hosts } }) =>
      access === 'open' && from === undefined && (hosts === undefined || hosts.has(target.host)),
  )
  return open
    .flatMap((rule) => pathsOf(rule, facts.nowhere))
    .filter(({ method, path }) => here.isOpen(method, path))
    .slice(0, MOST_RULES)
}

function pathsOf({ name, conditions }: ConditionalRule, nowhere: string): readonly OpenPath[] {
  const { paths, methods } = conditions
  if (paths === undefined) return []
  const has = (method: string) => methods === undefined || methods.has(method)
  const harmless = (['GET', 'HEAD', 'OPTIONS'] as const).find(has)
  const below = paths.below.flatMap((folder): OpenPath[] => {
    // The path below the folder does not exist: posting there reaches nothing.
    const method = harmless ?? (has('POST') ? 'POST' : undefined)
    return method === undefined ? [] : [{ rule: name, method, path: `${folder}${nowhere}`, folder }]
  })
  const exact = harmless === undefined ? [] : [...paths.exact]
  return [
    ...below,
    ...exact.map((path) => ({ rule: name, method: harmless ?? 'GET', path, folder: undefined })),
  ]
}

/** An address that some rule allows, and a request that it allows; never loopback. */
export function allowedAddress({ here }: Pick<Facts, 'here'>): string | undefined {
  for (const { access, conditions } of here?.policy.rules ?? []) {
    if (access !== 'open') continue
    for (const network of conditions.from?.text ?? []) {
      const [address = ''] = network.split('/')
      if (network !== 'loopback' && !/^127\.|^::1$/.test(address)) return insideOf(address, network)
    }
  }
  return undefined
}

/** The address after a network's own, or the single address itself. */
function insideOf(address: string, network: string): string {
  if (!network.includes('/') || /\/(32|128)$/.test(network)) return address
  return address.includes(':')
    ? `${address.replace(/::$/, '')}::1`.replace(':::', '::')
    : address.replace(/\d+$/, (last) => String(Number(last) + 1))
}
