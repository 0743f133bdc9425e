import { type DerElement, readElement, readSmallInteger, TAG } from './der.ts'
import { writeElement } from './der-writer.ts'

/** CRLReason (RFC 5280 §5.3.1): the index is the code; 7 is not used. */
const REASONS = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  undefined,
  'removeFromCRL',
  'privilegeWithdrawn',
  'aACompromise',
] as const

export type RevocationReason = NonNullable<(typeof REASONS)[number]>

/** The reason of that name. */
export const reasonNamed = (name: string | undefined): RevocationReason | undefined =>
  REASONS.find((reason) => reason !== undefined && reason === name)

/** One entry of a CRL. */
export interface RevokedCertificate {
  /** As in `Certificate.serial`. */
  readonly serial: string
  /** Unix seconds. */
  readonly revokedAt: number
  readonly reason?: RevocationReason | undefined
}

/** The value of a reasonCode extension. */
export const writeReason = (reason: RevocationReason): Buffer =>
  writeElement(TAG.enumerated, Buffer.from([REASONS.indexOf(reason)]))

/** The reason in a reasonCode extension; `undefined` for one that the standard does not define. */
export function readReason(value: Buffer): RevocationReason | undefined {
  const enumerated: DerElement | undefined = readElement(value, TAG.enumerated)
  const code = enumerated && readSmallInteger(enumerated.content)
  return code === undefined ? undefined : REASONS[code]
}
