import { readElements } from '../certificate/der.ts'
import { describeName } from '../certificate/name.ts'
import { isDer, readPemFile } from '../certificate/pem.ts'
import {
  type ReadRevocationList,
  type RevocationList,
  readRevocationList,
} from '../certificate/revocation.ts'
import type { Issuer } from '../certificate/verify.ts'
import type { Part } from '../result.ts'

/** The file of CRLs, with what they are checked against. */
export interface ListSource {
  readonly name: string
  readonly content: Buffer
  /** The file that the issuers are from. */
  readonly authorities: Buffer
  readonly issuers: readonly Issuer[]
  /** Whether the issuers are built-in CAs. */
  readonly isOwn: boolean
}

/** What follows from these bytes alone: who signed each CRL, and what it revokes. */
export interface ReadLists {
  readonly content: Buffer
  readonly authorities: Buffer
  /** In the order of the file, including those that cannot be used. */
  readonly lists: readonly ReadRevocationList[]
}

/** How old a CRL is. */
export type ListAge = Pick<RevocationList, 'number' | 'thisUpdate'>

/** What is loaded, as far as new CRLs depend on it. */
interface LoadedLists {
  readonly lists: ReadLists | undefined
  readonly trust: { readonly revocationLists: ReadonlyMap<string, RevocationList> }
  /** By issuer. */
  readonly newestLists: ReadonlyMap<string, ListAge>
}

interface Lists {
  readonly byIssuer: ReadonlyMap<string, RevocationList>
  readonly read: ReadLists | undefined
  readonly warnings: readonly string[]
  /** What is not applied, although the rest of the file is. */
  readonly leftOut: readonly string[]
}

/**
 * Returns the newest CRL of each issuer: each must have one, and none may be older than the loaded
 * one. A CRL that is missing, older or unreadable does not affect the others: the loaded one of its
 * issuer stays, and `leftOut` says so.
 */
export function readListSource(
  source: ListSource | undefined,
  previous: LoadedLists | undefined,
): Part<Lists> {
  const read = source && readLists(source, previous?.lists)
  if (source === undefined || read === undefined) {
    const value = { byIssuer: new Map(), read: undefined, warnings: [], leftOut: [] }
    return { value, problems: source ? [`${source.name} holds no CRL, in PEM or DER`] : [] }
  }
  const { name, issuers, isOwn } = source
  const byIssuer = newestOf(read.lists, isOwn)
  const refused = read.lists.flatMap((one) => (one.ok ? [] : [one]))
  const lineOf = ({ problem }: { readonly problem: string }) => `${name}: ${problem}`
  const warnings = refused
    .filter(({ foreign }) => foreign)
    .map((one) => `${lineOf(one)}; it is ignored`)
  const leftOut = refused.filter(({ foreign }) => !foreign).map(lineOf)
  const problems: string[] = []
  let kept = 0
  for (const issuer of issuers) {
    const problem = listProblem(issuer, byIssuer, previous?.newestLists, isOwn)
    const loaded = previous?.trust.revocationLists.get(issuer.keyHash)
    if (problem === undefined) continue
    if (loaded === undefined) {
      problems.push(`${name} ${problem}`)
      continue
    }
    // A CRL that cannot be read was reported above.
    if (byIssuer.has(issuer.keyHash) || leftOut.length === 0) leftOut.push(`${name} ${problem}`)
    byIssuer.set(issuer.keyHash, loaded)
    kept += 1
  }
  // A file without a single usable CRL is refused as a whole.
  if (kept === issuers.length) {
    return { value: { byIssuer, read, warnings, leftOut: [] }, problems: [...leftOut, ...problems] }
  }
  return { value: { byIssuer, read, warnings, leftOut }, problems }
}

function newestOf(lists: readonly ReadRevocationList[], isOwn: boolean) {
  const byIssuer = new Map<string, RevocationList>()
  for (const one of lists) {
    if (!one.ok) continue
    const other = byIssuer.get(one.list.issuerKeyHash)
    if (other === undefined || !isOlder(one.list, other, isOwn)) {
      byIssuer.set(one.list.issuerKeyHash, one.list)
    }
  }
  return byIssuer
}

/**
 * The same bytes under the same CA certificates are not read again: a large CRL takes a tenth of a
 * second, and answers would wait for it whenever a device is added.
 */
function readLists(source: ListSource, previous: ReadLists | undefined): ReadLists | undefined {
  const { content, authorities, issuers } = source
  const lists =
    previous !== undefined && isSame(previous, source)
      ? previous.lists
      : readListBlocks(content, issuers)
  // With the new buffers, so that the previous ones can be freed.
  return lists && { content, authorities, lists }
}

const isSame = (before: ReadLists, { content, authorities }: ListSource): boolean =>
  before.content.equals(content) && before.authorities.equals(authorities)

/** One list after another in DER, or blocks of PEM; `undefined` if there is no CRL at all. */
function readListBlocks(
  content: Buffer,
  issuers: readonly Issuer[],
): readonly ReadRevocationList[] | undefined {
  if (isDer(content)) {
    const lists = readElements(content)?.map(({ bytes }) => bytes) ?? [content]
    return lists.map((der) => readRevocationList(der, issuers))
  }
  const blocks = readPemFile(content.toString('latin1'))
  if (!blocks.some(({ label, der }) => label === PEM_LABEL && der)) return undefined
  return blocks.map(({ label, der }, index) => {
    const refuse = (problem: string, foreign: boolean): ReadRevocationList => ({
      ok: false,
      problem: `block ${index + 1} ${problem}`,
      foreign,
    })
    if (label !== PEM_LABEL) return refuse(`is no CRL: "${label}"`, true)
    return der === undefined
      ? refuse('is not a whole CRL in PEM', false)
      : readRevocationList(der, issuers)
  })
}

const PEM_LABEL = 'X509 CRL'

function listProblem(
  { keyHash, certificate }: Issuer,
  byIssuer: ReadonlyMap<string, RevocationList>,
  newestLists: LoadedLists['newestLists'] | undefined,
  isOwn: boolean,
): string | undefined {
  const list = byIssuer.get(keyHash)
  const authority = `"${describeName(certificate.subject)}"`
  if (list === undefined) return `has no CRL of the CA ${authority}`
  const before = newestLists?.get(keyHash)
  return before !== undefined && isOlder(list, before, isOwn)
    ? `has an older CRL of the CA ${authority} than the loaded one`
    : undefined
}

/**
 * Compares cRLNumber and thisUpdate; an issuer that has used numbers must keep using them. Built-in
 * CAs always do, and are compared by number alone: a wrong clock may have set their dates.
 */
function isOlder(list: ListAge, than: ListAge, isOwn: boolean): boolean {
  if (!isOwn && list.thisUpdate < than.thisUpdate) return true
  return than.number !== undefined && (list.number === undefined || list.number < than.number)
}

/** The ages of these CRLs, and of the previous ones of other issuers. */
export function newestAges(
  lists: ReadonlyMap<string, RevocationList>,
  before: LoadedLists['newestLists'] | undefined,
): ReadonlyMap<string, ListAge> {
  const ages = new Map(before)
  for (const [keyHash, { number, thisUpdate }] of lists) ages.set(keyHash, { number, thisUpdate })
  return ages
}
