import { describeName } from '../certificate/name.ts'
import { readPemBlocks } from '../certificate/pem.ts'
import {
  type ReadRevocationList,
  type RevocationList,
  readRevocationList,
} from '../certificate/revocation.ts'
import type { Issuer } from '../certificate/verify.ts'

/** The file of CRLs, with what they are held against. */
export interface ListSource {
  readonly name: string
  readonly content: Buffer
  /** The file that the issuers are from. */
  readonly authorities: Buffer
  readonly issuers: readonly Issuer[]
  /** Whether they are our own CA's. */
  readonly isOwn: boolean
}

/** What was made of the CRLs by these bytes alone: who signed each, and whom it revokes. */
export interface ReadLists {
  readonly content: Buffer
  readonly authorities: Buffer
  /** In the order of the file, with those that cannot be used. */
  readonly lists: readonly ReadRevocationList[]
}

/** How old a CRL is. */
export type ListAge = Pick<RevocationList, 'number' | 'thisUpdate'>

/** What is in force, as far as other CRLs depend on it. */
interface ListsInForce {
  readonly lists: ReadLists | undefined
  /** By issuer. */
  readonly newestLists: ReadonlyMap<string, ListAge>
}

interface Lists {
  readonly value: {
    readonly byIssuer: ReadonlyMap<string, RevocationList>
    readonly read: ReadLists | undefined
    readonly warnings: readonly string[]
  }
  readonly problems: readonly string[]
}

/** The newest CRL of each issuer: each has one, and none is older than the one in force. */
export function readListSource(
  source: ListSource | undefined,
  previous: ListsInForce | undefined,
): Lists {
  const byIssuer = new Map<string, RevocationList>()
  const warnings: string[] = []
  if (source === undefined) return { value: { byIssuer, read: undefined, warnings }, problems: [] }
  const { name, issuers, isOwn } = source
  const read = readLists(source, previous?.lists)
  if (read === undefined) {
    const problems = [`${name} holds no CRL, in PEM or DER`]
    return { value: { byIssuer, read, warnings }, problems }
  }
  const problems: string[] = []
  for (const one of read.lists) {
    if (!one.ok) {
      const told = `${name}: ${one.problem}`
      if (one.foreign) warnings.push(`${told}; it is ignored`)
      else problems.push(told)
      continue
    }
    const other = byIssuer.get(one.list.issuerKeyHash)
    if (other === undefined || !isOlder(one.list, other, isOwn)) {
      byIssuer.set(one.list.issuerKeyHash, one.list)
    }
  }
  if (problems.length === 0) {
    for (const issuer of issuers) {
      const problem = listProblem(issuer, byIssuer, previous?.newestLists, isOwn)
      if (problem !== undefined) problems.push(`${name} ${problem}`)
    }
  }
  return { value: { byIssuer, read, warnings }, problems }
}

/**
 * Those of the same bytes, under the same CA certificates, are taken over: a large one takes a tenth
 * of a second, and no answer waits for that when a device is added.
 */
function readLists(source: ListSource, previous: ReadLists | undefined): ReadLists | undefined {
  const { content, authorities, issuers } = source
  const lists =
    previous !== undefined && isSame(previous, source)
      ? previous.lists
      : readListBlocks(content)?.map((der) => readRevocationList(der, issuers))
  // With the bytes of now, so that those of before need not be kept beside them.
  return lists && { content, authorities, lists }
}

const isSame = (before: ReadLists, { content, authorities }: ListSource): boolean =>
  before.content.equals(content) && before.authorities.equals(authorities)

function readListBlocks(content: Buffer): readonly Buffer[] | undefined {
  const isDer = content[0] === 0x30
  return isDer ? [content] : readPemBlocks(content.toString('latin1'), 'X509 CRL', true)
}

function listProblem(
  { keyHash, certificate }: Issuer,
  byIssuer: ReadonlyMap<string, RevocationList>,
  newestLists: ListsInForce['newestLists'] | undefined,
  isOwn: boolean,
): string | undefined {
  const list = byIssuer.get(keyHash)
  const authority = `"${describeName(certificate.subject)}"`
  if (list === undefined) return `has no CRL of the CA ${authority}`
  const before = newestLists?.get(keyHash)
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

/** The ages of these, and of those that other issuers had before. */
export function newestAges(
  lists: ReadonlyMap<string, RevocationList>,
  before: ListsInForce['newestLists'] | undefined,
): ReadonlyMap<string, ListAge> {
  const ages = new Map(before)
  for (const [keyHash, { number, thisUpdate }] of lists) ages.set(keyHash, { number, thisUpdate })
  return ages
}
