import type { Problem, Result } from '../result.ts'
import { readAlgorithm, readOptionalExtensions, readSigned, readTimeField } from './certificate.ts'
import {
  contextTag,
  type DerElement,
  isInteger,
  readBoolean,
  readElement,
  readElements,
  readIntegerHex,
  readSequence,
  readSmallInteger,
  readTime,
  SequenceReader,
  TAG,
} from './der.ts'
import {
  authorityKeyIdentifier,
  EXTENSION,
  type Extensions,
  hasUnknownCritical,
  NO_EXTENSIONS,
  readDistributionPointName,
  readExtensions,
} from './extensions.ts'
import { describeName, readName } from './name.ts'
import { type RevokedCertificate, readReason } from './revocation-reason.ts'
import { isSignedBy, signatureProblem } from './signature.ts'
import type { Issuer } from './verify.ts'

/** A CRL (RFC 5280 §5) that a trusted issuer signed. */
export interface RevocationList {
  readonly issuerKeyHash: string
  /** cRLNumber; `undefined` if the CA writes none. */
  readonly number: bigint | undefined
  /** Unix seconds. */
  readonly thisUpdate: number
  readonly nextUpdate: number
  /** Serial numbers as in `Certificate.serial`. */
  readonly serials: ReadonlySet<string>
  /** The distribution points that it covers; `undefined`: it covers all certificates of the issuer. */
  readonly distributionPoints: readonly string[] | undefined
}

/** `foreign`: the CRL of a CA that is not trusted. */
export type ReadRevocationList = Result<{ list: RevocationList }, Problem & { foreign: boolean }>

const MAX_SERIAL_BYTES = 21
const MAX_CRL_NUMBER_BYTES = 21
const UNDERSTOOD_OF_LIST: ReadonlySet<string> = new Set([
  EXTENSION.authorityKeyIdentifier,
  EXTENSION.crlNumber,
  EXTENSION.issuingDistributionPoint,
])
const UNDERSTOOD_OF_ENTRY: ReadonlySet<string> = new Set([EXTENSION.reasonCode])

/** The CRL that fills `der`, signed by one of the issuers, or why it cannot be used. */
export function readRevocationList(der: Buffer, issuers: readonly Issuer[]): ReadRevocationList {
  const refuse = (problem: string, foreign = false): ReadRevocationList => ({
    ok: false,
    problem,
    foreign,
  })
  const signed = readSigned(der)
  const fields = signed && readListFields(signed.tbs, signed.algorithmDer)
  if (signed === undefined || fields === undefined) return refuse('not a CRL in strict DER')
  const { issuerName, extensions, thisUpdate, nextUpdate } = fields
  const refuseOf = (why: string, foreign = false) =>
    refuse(`the CRL of "${describeName(issuerName)}" ${why}`, foreign)
  const named = issuers.filter(
    ({ certificate }) => certificate.subject.comparable === issuerName.comparable,
  )
  if (named.length === 0) return refuseOf('belongs to no CA in the CA file', true)
  if (nextUpdate === undefined) return refuseOf('has no nextUpdate')
  if (extensions.has(EXTENSION.deltaCrlIndicator)) {
    return refuseOf('is a delta CRL, and certlatch accepts only complete ones')
  }
  if (hasUnknownCritical(extensions, UNDERSTOOD_OF_LIST)) {
    return refuseOf('has a critical extension that certlatch does not know')
  }
  const unfit = signatureProblem(signed.signatureAlgorithm)
  if (unfit !== undefined) return refuseOf(unfit)
  const authority = authorityKeyIdentifier(extensions)
  if (authority === 'malformed') return refuseOf('has an unreadable authorityKeyIdentifier')
  const signers = named.filter((candidate) =>
    isSignedBy({ ...signed, tbs: signed.tbs.bytes }, candidate.key),
  )
  if (signers.length === 0) {
    const keyIdentifier = authority === 'absent' ? undefined : authority.keyIdentifier
    const isForeign =
      keyIdentifier !== undefined && named.every((other) => isOtherKey(other, keyIdentifier))
    return isForeign
      ? refuseOf('belongs to another CA of the same name', true)
      : refuseOf('is not signed by that CA')
  }
  const issuer = signers.find(({ signsRevocationLists }) => signsRevocationLists)
  if (issuer === undefined) {
    return refuseOf(
      'is signed by a CA certificate that may not sign CRLs (keyUsage without cRLSign)',
    )
  }
  const scope = readScope(extensions)
  if (scope === 'partial') {
    return refuseOf('covers only some certificates or reasons (issuingDistributionPoint)')
  }
  const number = readNumber(extensions)
  if (number === 'malformed') return refuseOf('has an unreadable cRLNumber')
  const serials = readSerials(fields.entries)
  if (serials === undefined) return refuseOf('has an entry that certlatch cannot read')
  return {
    ok: true,
    list: {
      issuerKeyHash: issuer.keyHash,
      number: number === 'absent' ? undefined : number,
      thisUpdate,
      nextUpdate,
      serials,
      distributionPoints: scope === 'all' ? undefined : scope,
    },
  }
}

const isOtherKey = ({ keyIdentifier }: Issuer, named: Buffer): boolean =>
  keyIdentifier !== undefined && !keyIdentifier.equals(named)

/** The fields of TBSCertList (RFC 5280 §5.1.2); `undefined` if they are malformed. */
function readListFields(tbs: DerElement, algorithmDer: Buffer) {
  const fields = new SequenceReader(readElements(tbs.content) ?? [])
  const version = fields.take(TAG.integer)
  const algorithm = fields.take(TAG.sequence)
  const issuer = fields.take(TAG.sequence)
  const issuerName = issuer && readName(issuer.bytes)
  const thisUpdateField = fields.takeOneOf([TAG.utcTime, TAG.generalizedTime])
  const thisUpdate = thisUpdateField && readTimeField(thisUpdateField)
  const nextUpdateField = fields.takeOneOf([TAG.utcTime, TAG.generalizedTime])
  const nextUpdate = nextUpdateField && readTimeField(nextUpdateField)
  const revoked = fields.take(TAG.sequence)
  const entries = revoked === undefined ? [] : readElements(revoked.content)
  const extensions = readOptionalExtensions(fields.take(contextTag(0, true)))
  // Version 2 is written as 1; version 1 has no version field and no extensions.
  if (version !== undefined && readSmallInteger(version.content) !== 1) return undefined
  if (algorithm === undefined || !algorithm.bytes.equals(algorithmDer)) return undefined
  if (readAlgorithm(algorithm.bytes) === undefined || issuerName === undefined) return undefined
  if (thisUpdate === undefined || entries === undefined || extensions === undefined)
    return undefined
  if (nextUpdateField !== undefined && nextUpdate === undefined) return undefined
  // RFC 5280 §5.1.2.6 omits an empty list; GnuTLS, cfssl and strongSwan write it.
  if (!fields.atEnd) return undefined
  if (version === undefined && extensions.size > 0) return undefined
  return { issuerName, thisUpdate, nextUpdate, entries, extensions }
}

function readNumber(extensions: Extensions): bigint | 'absent' | 'malformed' {
  const extension = extensions.get(EXTENSION.crlNumber)
  if (extension === undefined) return 'absent'
  const integer = readElement(extension.value, TAG.integer)
  const hex = integer && readIntegerHex(integer.content, MAX_CRL_NUMBER_BYTES)
  return hex === undefined || hex.startsWith('-') ? 'malformed' : BigInt(`0x${hex}`)
}

/**
 * Every serial number of the list. Any reason counts, certificateHold and removeFromCRL too: the
 * latter belongs to delta CRLs alone. An entry for another issuer's certificate (indirect CRL) has
 * a critical extension, and makes the whole list unusable.
 */
function readSerials(entries: readonly DerElement[]): ReadonlySet<string> | undefined {
  const serials = new Set<string>()
  const extensionsOf = readingOnce()
  for (const entry of entries) {
    const read = readEntry(entry, extensionsOf)
    if (read === undefined) return undefined
    const serial = readIntegerHex(read.serial, MAX_SERIAL_BYTES)
    // Too long for any accepted certificate: the other entries still count.
    if (serial !== undefined) serials.add(serial)
  }
  return serials
}

/** Reads each spelling once: of a hundred thousand entries nearly all have the same few. */
function readingOnce(): typeof readExtensions {
  const known = new Map<string, Extensions | undefined>()
  return (der) => {
    const spelling = der.toString('latin1')
    if (!known.has(spelling)) known.set(spelling, readExtensions(der))
    return known.get(spelling)
  }
}

/** Reads an entry; the date does not affect any decision, so it is not parsed here. */
function readEntry(entry: DerElement, extensionsOf: typeof readExtensions) {
  const fields = new SequenceReader(readElements(entry.content) ?? [])
  const serialNumber = entry.tag === TAG.sequence ? fields.take(TAG.integer) : undefined
  const serial = serialNumber && isInteger(serialNumber.content) ? serialNumber.content : undefined
  const date = fields.takeOneOf([TAG.utcTime, TAG.generalizedTime])
  const extensionsField = fields.take(TAG.sequence)
  const extensions = extensionsField ? extensionsOf(extensionsField.bytes) : NO_EXTENSIONS
  if (serial === undefined || date === undefined || extensions === undefined) return undefined
  if (!fields.atEnd || hasUnknownCritical(extensions, UNDERSTOOD_OF_ENTRY)) return undefined
  return { serial, date, extensions }
}

/**
 * The entries of a CRL that `readRevocationList` accepted, so that it can be written again;
 * `undefined` if one of them cannot be read completely.
 */
export function readRevokedEntries(der: Buffer): readonly RevokedCertificate[] | undefined {
  const signed = readSigned(der)
  const fields = signed && readListFields(signed.tbs, signed.algorithmDer)
  if (fields === undefined) return undefined
  const revoked: RevokedCertificate[] = []
  const extensionsOf = readingOnce()
  for (const entry of fields.entries) {
    const read = readEntry(entry, extensionsOf)
    const revokedAt = read && readTime(read.date)
    const serial = read && readIntegerHex(read.serial, read.serial.length)
    if (read === undefined || revokedAt === undefined || serial === undefined) return undefined
    const reasonCode = read.extensions.get(EXTENSION.reasonCode)
    const reason = reasonCode && readReason(reasonCode.value)
    revoked.push({ serial, revokedAt, reason })
  }
  return revoked
}

/** IssuingDistributionPoint (RFC 5280 §5.2.5): the certificates that the list covers. */
function readScope(extensions: Extensions): readonly string[] | 'all' | 'partial' {
  const extension = extensions.get(EXTENSION.issuingDistributionPoint)
  if (extension === undefined) return 'all'
  const elements = readSequence(extension.value)
  if (elements === undefined) return 'partial'
  const fields = new SequenceReader(elements)
  const name = fields.take(contextTag(0, true))
  // [1] onlyContainsUserCerts excludes nothing here: device certificates are user certificates.
  const userCertificatesOnly = fields.take(contextTag(1, false))
  if (userCertificatesOnly && readBoolean(userCertificatesOnly.content) === undefined) {
    return 'partial'
  }
  // All other fields limit the scope: [2] CA certificates, [3] some reasons, [4] indirect, [5]
  // attributes; except for a DEFAULT FALSE that is written out.
  for (const number of [2, 4, 5]) {
    const limit = fields.take(contextTag(number, false))
    if (limit && readBoolean(limit.content) !== false) return 'partial'
  }
  if (!fields.atEnd) return 'partial'
  return name === undefined ? 'all' : (readDistributionPointName(name) ?? 'partial')
}

/**
 * Whether the list covers a certificate with these distribution points (RFC 5280 §6.3.3): a list for
 * some of them does not cover a certificate that names none.
 */
export function coversCertificate(
  list: RevocationList,
  distributionPoints: readonly string[] | undefined,
): boolean {
  if (list.distributionPoints === undefined) return true
  return list.distributionPoints.some((name) => distributionPoints?.includes(name))
}
