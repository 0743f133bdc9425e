import type { CertificateId } from '../certificate/certificate-id.ts'

/** Shared checks of certlatch's JSON files, which may be old, foreign or edited by hand. */

/** The fields of a JSON object; `undefined` if the text is not one. */
export function parseObject(text: string): { readonly [field: string]: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

const SERIAL = /^-?(?:[0-9a-f]{2}){1,21}$/
const KEY_HASH = /^[A-Za-z0-9_-]{43}$/

export const isString = (value: unknown): value is string => typeof value === 'string'

/** As in `Certificate.serial`. */
export const isSerial = (value: unknown): value is string => isString(value) && SERIAL.test(value)

/** As in `Issuer.keyHash`: SHA-256, base64url. */
export const isKeyHash = (value: unknown): value is string =>
  isString(value) && KEY_HASH.test(value)

/** Whether the fields name a certificate. */
export const isCertificateId = (fields: {
  readonly issuerKeyHash?: unknown
  readonly serial?: unknown
}): fields is CertificateId => isKeyHash(fields.issuerKeyHash) && isSerial(fields.serial)

/** Unix seconds, or any other count. */
export const isTime = (value: unknown): value is number => Number.isSafeInteger(value)

/** Whether the field is missing or valid. */
export const isOptional = <T>(
  value: unknown,
  is: (value: unknown) => value is T,
): value is T | undefined => value === undefined || is(value)
