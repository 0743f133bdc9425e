import { certificateKey } from '../certificate/certificate-id.ts'
import { groupByKeyHash, type TrustSet } from '../certificate/trust.ts'
import type { Policy } from '../policy/policy.ts'
import type { Part, Problems, Result } from '../result.ts'
import { type KeyRing, readKeyRing } from '../session/key-ring.ts'
import { readAuthoritiesFile } from './authorities-file.ts'
import { type Blocks, NO_BLOCKS, readBlocks } from './blocks.ts'
import { type DeviceRegistry, readRegistry, registryFingerprint } from './device-registry.ts'
import { isSerial, parseObject } from './json-file.ts'
import {
  type PolicySource,
  type ReadRules,
  readPolicySource,
  unknownHolders,
} from './policy-file.ts'
import { type ListAge, newestAges, type ReadLists, readListSource } from './revocation-lists.ts'

/** The contents of all files, checked together; immutable. */
export interface Snapshot {
  readonly trust: TrustSet
  readonly keyRing: KeyRing
  /** `undefined` with an external CA, whose certificates name their holders themselves. */
  readonly registry: DeviceRegistry | undefined
  /** As commands compute it from the same files; `undefined` without a registry. */
  readonly devicesFingerprint: string | undefined
  readonly blocks: Blocks
  readonly policy: Policy
  /** The source of `policy`; reused while its file is unchanged. */
  readonly rules: ReadRules
  /** The source of the CRLs; reused while their file is unchanged. */
  readonly lists: ReadLists | undefined
  readonly warnings: readonly string[]
  /** What is not applied, although the rest of the files is. */
  readonly problems: readonly string[]
  /** The newest CRL ever loaded, by issuer, including issuers that are no longer trusted. */
  readonly newestLists: ReadonlyMap<string, ListAge>
}

/** The files' contents, each with its name in messages. */
export interface Sources {
  readonly authorities: Source
  /** `undefined`: no CRL is configured (external CA). */
  readonly revocationLists: Source | undefined
  readonly sessionKeys: Source
  /** `undefined` with an external CA. */
  readonly devices:
    | { readonly name: string; readonly files: ReadonlyMap<string, string> }
    | undefined
  /** `undefined`: there is no such file. */
  readonly blocks: Source | undefined
  /** Exists only while a command hands out a certificate. */
  readonly undelivered: Source | undefined
  /** `undefined`: none is configured. */
  readonly policy: PolicySource | undefined
}

export interface Source {
  readonly name: string
  readonly content: Buffer
}

export type CompiledSnapshot = Result<{ snapshot: Snapshot }, Problems>

/**
 * Makes one snapshot of all files, or reports everything that is wrong with them. It never undoes a
 * revocation: where the CRL of a trusted CA is missing, unreadable or older than before, the previous CRL
 * stays, and the snapshot's `problems` say so.
 */
export function compileSnapshot(
  sources: Sources,
  staleRevocationList: 'deny' | 'allow',
  previous: Snapshot | undefined,
): CompiledSnapshot {
  const issuers = readAuthoritiesFile(sources.authorities.name, sources.authorities.content)
  const lists = readListSource(
    sources.revocationLists && {
      ...sources.revocationLists,
      authorities: sources.authorities.content,
      issuers: issuers.value,
      isOwn: sources.devices !== undefined,
    },
    previous,
  )
  const keys = readKeyRing(sources.sessionKeys.content.toString('utf8'))
  const undelivered = readUndelivered(sources.undelivered)
  const registry = sources.devices && readRegistry(sources.devices.files, undelivered.value)
  const blocks = readBlocksSource(sources.blocks, previous)
  const policy = readPolicySource(sources.policy, previous?.rules)
  const parts = [issuers, lists, blocks, undelivered, policy]
  const problems = parts.flatMap((part) => part.problems)
  if (!keys.ok) problems.push(`${sources.sessionKeys.name} ${keys.problem}`)
  if (registry?.ok === false) problems.push(`${sources.devices?.name}: ${registry.problem}`)
  // Devices are revoked, never removed: a registry that is suddenly empty has lost its folder.
  const before = previous?.registry?.devices.length ?? 0
  if (registry?.ok && registry.registry.devices.length === 0 && before > 0) {
    problems.push(`${sources.devices?.name} has lost all its device entries`)
  }
  if (problems.length > 0 || !keys.ok || registry?.ok === false) {
    return { ok: false, problems: [...problems, ...lists.value.leftOut] }
  }
  const trust: TrustSet = {
    issuers: issuers.value,
    issuersByKeyHash: groupByKeyHash(issuers.value),
    revocationLists: lists.value.byIssuer,
    revocationListRequired: sources.revocationLists !== undefined,
    staleRevocationList,
    revoked: new Set(registry === undefined ? [] : markedAsRevoked(registry.registry)),
    blocked: new Set(blocks.value.certificates.map(certificateKey)),
  }
  return {
    ok: true,
    snapshot: {
      trust,
      keyRing: keys.ring,
      registry: registry?.registry,
      devicesFingerprint:
        sources.devices && registryFingerprint(sources.devices.files, undelivered.value),
      blocks: blocks.value,
      policy: policy.value.policy,
      rules: policy.value,
      lists: lists.value.read,
      warnings: [
        ...lists.value.warnings,
        ...policy.value.warnings,
        ...unknownHolders(policy.value.policy, registry?.registry),
      ],
      problems: lists.value.leftOut,
      newestLists: newestAges(lists.value.byIssuer, previous?.newestLists),
    },
  }
}

/** Blocks are never lost: a file that is missing, or older than the loaded one, is refused. */
function readBlocksSource(
  source: Source | undefined,
  previous: Snapshot | undefined,
): Part<Blocks> {
  const blocks = source === undefined ? NO_BLOCKS : readBlocks(source.content.toString('utf8'))
  if (blocks === undefined) {
    return { value: NO_BLOCKS, problems: [`${source?.name} is not a list of blocks`] }
  }
  if (previous === undefined || blocks.number >= previous.blocks.number) {
    return { value: blocks, problems: [] }
  }
  const problem =
    source === undefined
      ? 'the list of blocks is gone'
      : `${source.name} is older than the loaded one`
  return { value: NO_BLOCKS, problems: [problem] }
}

function* markedAsRevoked({ byCertificate }: DeviceRegistry): Iterable<string> {
  for (const [key, { certificate }] of byCertificate) {
    if (certificate.revokedAt !== undefined) yield key
  }
}

/** The serial number of a certificate that is denied because it was not handed out yet. */
function readUndelivered(source: Source | undefined): Part<string | undefined> {
  if (source === undefined) return { value: undefined, problems: [] }
  const serial = parseObject(source.content.toString('utf8'))?.['serial']
  return isSerial(serial)
    ? { value: serial, problems: [] }
    : { value: undefined, problems: [`${source.name} is not a note of an undelivered certificate`] }
}
