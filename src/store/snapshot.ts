import { describeName } from '../certificate/name.ts'
import { readPemBlocks } from '../certificate/pem.ts'
import { type RevocationList, readRevocationList } from '../certificate/revocation.ts'
import { groupByKeyHash, type TrustSet } from '../certificate/trust.ts'
import { type Issuer, readIssuer } from '../certificate/verify.ts'
import type { Policy } from '../policy/policy.ts'
import { type KeyRing, readKeyRing } from '../session/key-ring.ts'
import { readAdopted, type UnlistedIssuers } from './adopted.ts'
import { type Blocks, NO_BLOCKS, readBlocks } from './blocks.ts'
import { type DeviceRegistry, deviceKey, readRegistry } from './device-registry.ts'
import { isSerial, parseObject } from './json-file.ts'
import { type PolicySource, type ReadRules, readPolicySource, unknownHolders } from './rules.ts'

/** What the files say, whole and checked; never changed, only replaced. */
export interface Snapshot {
  readonly trust: TrustSet
  readonly keyRing: KeyRing
  /** `undefined` with an external CA, whose certificates name their holders themselves. */
  readonly registry: DeviceRegistry | undefined
  readonly unlistedIssuers: UnlistedIssuers
  readonly blocks: Blocks
  readonly policy: Policy
  /** From which the policy is; kept while its file stays the same. */
  readonly rules: ReadRules
  readonly warnings: readonly string[]
  /** The newest CRL ever in force, by issuer, also of those that are not trusted any more. */
  readonly newestLists: ReadonlyMap<string, ListAge>
}

/** How old a CRL is. */
type ListAge = Pick<RevocationList, 'number' | 'thisUpdate'>

/** The files' contents, each with the name by which a person knows it. */
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
  readonly adopted: Source | undefined
  readonly blocks: Source | undefined
  /** What a command that hands out a certificate leaves while it is under way. */
  readonly undelivered: Source | undefined
  /** `undefined`: none is configured. */
  readonly policy: PolicySource | undefined
}

export interface Source {
  readonly name: string
  readonly content: Buffer
}

export type CompiledSnapshot =
  | { readonly ok: true; readonly snapshot: Snapshot }
  | { readonly ok: false; readonly problems: readonly string[] }

type Part<T> = { readonly value: T; readonly problems: readonly string[] }

/**
 * Makes one snapshot of all files, or says everything that is wrong with them. Against the previous
 * one it never goes back: no CRL of a trusted CA disappears, or is older than one before.
 */
export function compileSnapshot(
  sources: Sources,
  staleRevocationList: 'deny' | 'allow',
  previous: Snapshot | undefined,
): CompiledSnapshot {
  const issuers = readAuthorities(sources.authorities)
  const isOwn = sources.devices !== undefined
  const lists = readRevocationLists(sources.revocationLists, issuers.value, previous, isOwn)
  const keys = readKeyRing(sources.sessionKeys.content.toString('utf8'))
  const undelivered = readUndelivered(sources.undelivered)
  const registry = sources.devices && readRegistry(sources.devices.files, undelivered.value)
  const blocks = readBlocksSource(sources.blocks, previous)
  const adopted = readAdoptedSource(sources.adopted)
  const policy = readPolicySource(sources.policy, previous?.rules)
  const parts = [issuers, lists, blocks, adopted, undelivered, policy]
  const problems = parts.flatMap((part) => part.problems)
  if (!keys.ok) problems.push(`${sources.sessionKeys.name} ${keys.problem}`)
  if (registry?.ok === false) problems.push(`${sources.devices?.name}: ${registry.problem}`)
  // Devices are revoked, never removed: a registry that is empty all at once has lost its folder.
  const before = previous?.registry?.devices.length ?? 0
  if (registry?.ok && registry.registry.devices.length === 0 && before > 0) {
    problems.push(`${sources.devices?.name} has lost all its device entries`)
  }
  if (problems.length > 0 || !keys.ok || registry?.ok === false) return { ok: false, problems }
  const trust: TrustSet = {
    issuers: issuers.value,
    issuersByKeyHash: groupByKeyHash(issuers.value),
    revocationLists: lists.value.byIssuer,
    revocationListRequired: sources.revocationLists !== undefined,
    staleRevocationList,
    revoked: new Set(registry === undefined ? [] : markedAsRevoked(registry.registry)),
    blocked: new Set(
      blocks.value.certificates.map(({ issuerKeyHash, serial }) =>
        deviceKey(issuerKeyHash, serial),
      ),
    ),
  }
  return {
    ok: true,
    snapshot: {
      trust,
      keyRing: keys.ring,
      registry: registry?.registry,
      unlistedIssuers: adopted.value,
      blocks: blocks.value,
      policy: policy.value.policy,
      rules: policy.value,
      warnings: [
        ...lists.value.warnings,
        ...policy.value.warnings,
        // Holders of another CA's certificates are in no registry.
        ...(adopted.value.size > 0 ? [] : unknownHolders(policy.value.policy, registry?.registry)),
      ],
      newestLists: newest(lists.value.byIssuer, previous),
    },
  }
}

/** Blocks are lifted, never lost: a file that is gone or older than the one in force is refused. */
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
      : `${source.name} is older than the one in force`
  return { value: NO_BLOCKS, problems: [problem] }
}

function* markedAsRevoked({ byCertificate }: DeviceRegistry): Iterable<string> {
  for (const [key, { certificate }] of byCertificate) {
    if (certificate.revokedAt !== undefined) yield key
  }
}

/** The serial number of a certificate that does not open yet: nobody has got it. */
function readUndelivered(source: Source | undefined): Part<string | undefined> {
  if (source === undefined) return { value: undefined, problems: [] }
  const serial = parseObject(source.content.toString('utf8'))?.['serial']
  return isSerial(serial)
    ? { value: serial, problems: [] }
    : { value: undefined, problems: [`${source.name} is not the note of a command`] }
}

function readAdoptedSource(source: Source | undefined): Part<UnlistedIssuers> {
  const value =
    source === undefined ? new Set<string>() : readAdopted(source.content.toString('utf8'))
  return value === undefined
    ? { value: new Set(), problems: [`${source?.name} is not a list of adopted CAs`] }
    : { value, problems: [] }
}

function newest(
  lists: ReadonlyMap<string, RevocationList>,
  previous: Snapshot | undefined,
): ReadonlyMap<string, ListAge> {
  const ages = new Map(previous?.newestLists)
  for (const [keyHash, { number, thisUpdate }] of lists) ages.set(keyHash, { number, thisUpdate })
  return ages
}

function readAuthorities({ name, content }: Source): Part<readonly Issuer[]> {
  const blocks = readPemBlocks(content.toString('latin1'), 'CERTIFICATE', true)
  if (blocks === undefined) {
    return {
      value: [],
      problems: [`${name} holds no PEM certificates (or other things beside them)`],
    }
  }
  const issuers: Issuer[] = []
  const problems: string[] = []
  for (const [index, der] of blocks.entries()) {
    const read = readIssuer(der)
    if (read.ok) issuers.push(read.issuer)
    else problems.push(`${name}, certificate ${index + 1}: ${read.problem}`)
  }
  return { value: issuers, problems }
}

interface Lists {
  readonly byIssuer: ReadonlyMap<string, RevocationList>
  readonly warnings: readonly string[]
}

function readRevocationLists(
  source: Source | undefined,
  issuers: readonly Issuer[],
  previous: Snapshot | undefined,
  isOwn: boolean,
): Part<Lists> {
  const byIssuer = new Map<string, RevocationList>()
  const warnings: string[] = []
  if (source === undefined) return { value: { byIssuer, warnings }, problems: [] }
  const { name } = source
  const blocks = readListBlocks(source.content)
  if (blocks === undefined) {
    return { value: { byIssuer, warnings }, problems: [`${name} holds no CRL, in PEM or DER`] }
  }
  const problems: string[] = []
  for (const der of blocks) {
    const read = readRevocationList(der, issuers)
    if (!read.ok) {
      const told = `${name}: ${read.problem}`
      if (read.foreign) warnings.push(`${told}; it is ignored`)
      else problems.push(told)
      continue
    }
    const other = byIssuer.get(read.list.issuerKeyHash)
    if (other === undefined || !isOlder(read.list, other, isOwn)) {
      byIssuer.set(read.list.issuerKeyHash, read.list)
    }
  }
  if (problems.length === 0) {
    for (const issuer of issuers) {
      const problem = listProblem(issuer, byIssuer, previous, isOwn)
      if (problem !== undefined) problems.push(`${name} ${problem}`)
    }
  }
  return { value: { byIssuer, warnings }, problems }
}

function readListBlocks(content: Buffer): readonly Buffer[] | undefined {
  const isDer = content[0] === 0x30
  return isDer ? [content] : readPemBlocks(content.toString('latin1'), 'X509 CRL', true)
}

function listProblem(
  { keyHash, certificate }: Issuer,
  byIssuer: ReadonlyMap<string, RevocationList>,
  previous: Snapshot | undefined,
  isOwn: boolean,
): string | undefined {
  const list = byIssuer.get(keyHash)
  const authority = `"${describeName(certificate.subject)}"`
  if (list === undefined) return `has no CRL of the CA ${authority}`
  const before = previous?.newestLists.get(keyHash)
  return before !== undefined && isOlder(list, before, isOwn)
    ? `has an older CRL of the CA ${authority} than the one in force`
    : undefined
}

/**
 * By cRLNumber and by thisUpdate; a number, once seen, must stay. Our own lists always have one, and
 * go by it alone: their dates are those of a machine whose clock may have been wrong.
 */
function isOlder(list: ListAge, than: ListAge, isOwn: boolean): boolean {
  if (!isOwn && list.thisUpdate < than.thisUpdate) return true
  return than.number !== undefined && (list.number === undefined || list.number < than.number)
}
