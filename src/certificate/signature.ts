import { constants, type KeyObject, verify } from 'node:crypto'
import { readAlgorithm, type SignatureAlgorithm } from './certificate.ts'
import {
  contextTag,
  type DerElement,
  readElement,
  readSequence,
  readSmallInteger,
  SequenceReader,
  TAG,
} from './der.ts'
import { writeElement } from './der-writer.ts'

interface FitAlgorithm {
  readonly keyType: 'ec' | 'rsa' | 'ed25519'
  /** `null` where the algorithm hashes by itself. */
  readonly hash: string | null
  /** Bytes; only for RSASSA-PSS. */
  readonly saltLength?: number
}

/** SHA-256 or better (RFC 5758, RFC 4055, RFC 8410). */
const FIT_ALGORITHMS: ReadonlyMap<string, FitAlgorithm> = new Map([
  ['1.2.840.10045.4.3.2', { keyType: 'ec', hash: 'sha256' }],
  ['1.2.840.10045.4.3.3', { keyType: 'ec', hash: 'sha384' }],
  ['1.2.840.10045.4.3.4', { keyType: 'ec', hash: 'sha512' }],
  ['1.2.840.113549.1.1.11', { keyType: 'rsa', hash: 'sha256' }],
  ['1.2.840.113549.1.1.12', { keyType: 'rsa', hash: 'sha384' }],
  ['1.2.840.113549.1.1.13', { keyType: 'rsa', hash: 'sha512' }],
  ['1.3.101.112', { keyType: 'ed25519', hash: null }],
])

/** ECDSA and RSA with MD2, MD4, MD5, SHA-1 or SHA-224: known to be weak. */
const WEAK_ALGORITHMS: ReadonlySet<string> = new Set([
  '1.2.840.10045.4.1',
  '1.2.840.10045.4.3.1',
  '1.2.840.113549.1.1.2',
  '1.2.840.113549.1.1.3',
  '1.2.840.113549.1.1.4',
  '1.2.840.113549.1.1.5',
  '1.2.840.113549.1.1.14',
  '1.3.14.3.2.29',
])

const RSASSA_PSS = '1.2.840.113549.1.1.10'
const MGF1 = '1.2.840.113549.1.1.8'

/** The hashes of RSASSA-PSS; its salt has their length, as in TLS 1.3. */
const PSS_HASHES: ReadonlyMap<string, FitAlgorithm> = new Map([
  ['2.16.840.1.101.3.4.2.1', { keyType: 'rsa', hash: 'sha256', saltLength: 32 }],
  ['2.16.840.1.101.3.4.2.2', { keyType: 'rsa', hash: 'sha384', saltLength: 48 }],
  ['2.16.840.1.101.3.4.2.3', { keyType: 'rsa', hash: 'sha512', saltLength: 64 }],
])

const DER_NULL = writeElement(TAG.null)

const hasNoParameters = ({ parameters }: SignatureAlgorithm): boolean =>
  parameters === undefined || parameters.equals(DER_NULL)

/** The algorithm, if it is supported with these parameters. */
function fitAlgorithm(algorithm: SignatureAlgorithm): FitAlgorithm | undefined {
  if (algorithm.oid === RSASSA_PSS) return algorithm.parameters && readPss(algorithm.parameters)
  const fit = FIT_ALGORITHMS.get(algorithm.oid)
  // RSA has NULL, ECDSA none (RFC 4055 §5, RFC 5758 §3.2); every reader accepts either for both.
  const isSpelled = fit?.keyType === 'ed25519' ? algorithm.parameters === undefined : true
  return isSpelled && hasNoParameters(algorithm) ? fit : undefined
}

/** RSASSA-PSS-params (RFC 4055 §3.1): one hash for all, and a salt of its length. */
function readPss(parameters: Buffer): FitAlgorithm | undefined {
  const fields = new SequenceReader(readSequence(parameters) ?? [])
  const hash = readInside(fields.take(contextTag(0, true)), TAG.sequence)
  const mask = readInside(fields.take(contextTag(1, true)), TAG.sequence)
  const salt = readInside(fields.take(contextTag(2, true)), TAG.integer)
  const trailer = fields.take(contextTag(3, true))
  const algorithm = hash && readAlgorithm(hash.bytes)
  const generator = mask && readAlgorithm(mask.bytes)
  const maskHash = generator?.parameters && readAlgorithm(generator.parameters)
  if (!fields.atEnd || !algorithm || generator?.oid !== MGF1 || !maskHash) return undefined
  if (!hasNoParameters(algorithm) || !hasNoParameters(maskHash)) return undefined
  const fit = PSS_HASHES.get(algorithm.oid)
  if (fit === undefined || maskHash.oid !== algorithm.oid) return undefined
  if (salt === undefined || readSmallInteger(salt.content) !== fit.saltLength) return undefined
  const trailerField = readInside(trailer, TAG.integer)
  // The DEFAULT 1 is the only value defined.
  if (trailer && !(trailerField && readSmallInteger(trailerField.content) === 1)) return undefined
  return fit
}

const readInside = (tagged: DerElement | undefined, tag: number): DerElement | undefined =>
  tagged && readElement(tagged.content, tag)

/** Whether signatures of this algorithm are accepted, and if not, why. */
export function signatureFitness(algorithm: SignatureAlgorithm): 'fit' | 'weak' | 'unsupported' {
  if (WEAK_ALGORITHMS.has(algorithm.oid)) return 'weak'
  return fitAlgorithm(algorithm) === undefined ? 'unsupported' : 'fit'
}

/** Why the algorithm of a CRL or a request is refused, as a clause after its name. */
export function signatureProblem(algorithm: SignatureAlgorithm): string | undefined {
  switch (signatureFitness(algorithm)) {
    case 'fit':
      return undefined
    case 'weak':
      return 'is signed with an algorithm weaker than SHA-256'
    case 'unsupported':
      return `is signed with an algorithm, or with parameters of it, that certlatch does not support (${algorithm.oid})`
  }
}

export interface SignedBytes {
  readonly tbs: Buffer
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly signature: Buffer
}

/** Whether the holder of `key` signed these bytes with an algorithm that is accepted. */
export function isSignedBy(signed: SignedBytes, key: KeyObject): boolean {
  const { tbs, signatureAlgorithm, signature } = signed
  const fit = fitAlgorithm(signatureAlgorithm)
  if (fit === undefined || fit.keyType !== key.asymmetricKeyType) return false
  const { hash, saltLength } = fit
  if (saltLength === undefined) return verify(hash, tbs, key, signature)
  const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
  return verify(hash, tbs, pss, signature)
}
