import { type KeyObject, verify } from 'node:crypto'
import type { SignatureAlgorithm } from './certificate.ts'
import { TAG } from './der.ts'
import { writeElement } from './der-writer.ts'

interface FitAlgorithm {
  readonly keyType: 'ec' | 'rsa' | 'ed25519'
  /** `null` where the algorithm hashes by itself. */
  readonly hash: string | null
}

/** SHA-256 or better (RFC 5758, RFC 4055, RFC 8410); all others are refused as weak. */
const FIT_ALGORITHMS: ReadonlyMap<string, FitAlgorithm> = new Map([
  ['1.2.840.10045.4.3.2', { keyType: 'ec', hash: 'sha256' }],
  ['1.2.840.10045.4.3.3', { keyType: 'ec', hash: 'sha384' }],
  ['1.2.840.10045.4.3.4', { keyType: 'ec', hash: 'sha512' }],
  ['1.2.840.113549.1.1.11', { keyType: 'rsa', hash: 'sha256' }],
  ['1.2.840.113549.1.1.12', { keyType: 'rsa', hash: 'sha384' }],
  ['1.2.840.113549.1.1.13', { keyType: 'rsa', hash: 'sha512' }],
  ['1.3.101.112', { keyType: 'ed25519', hash: null }],
])

const DER_NULL = writeElement(TAG.null)

/** Whether the algorithm is one that we check, with the parameters that its standard gives it. */
export function isFitSignature({ oid, parameters }: SignatureAlgorithm): boolean {
  const fit = FIT_ALGORITHMS.get(oid)
  if (fit === undefined) return false
  // RFC 4055 §5: RSA has NULL, and readers accept none; the others have none.
  return parameters === undefined || (fit.keyType === 'rsa' && parameters.equals(DER_NULL))
}

export interface SignedBytes {
  readonly tbs: Buffer
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly signature: Buffer
}

/** Whether the holder of `key` signed these bytes with an algorithm that is fit today. */
export function isSignedBy(signed: SignedBytes, key: KeyObject): boolean {
  const { tbs, signatureAlgorithm, signature } = signed
  const fit = FIT_ALGORITHMS.get(signatureAlgorithm.oid)
  if (fit === undefined || !isFitSignature(signatureAlgorithm)) return false
  return fit.keyType === key.asymmetricKeyType && verify(fit.hash, tbs, key, signature)
}
