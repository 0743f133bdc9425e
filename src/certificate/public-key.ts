import { createPublicKey, type KeyObject } from 'node:crypto'
import type { Result } from '../result.ts'
import { isInteger, readObjectIdentifier, readOctetAlignedBits, readSequence, TAG } from './der.ts'
import { isEd25519Point } from './edwards.ts'

/** The kind of key in a SubjectPublicKeyInfo, as far as `publicKeyFitness` needs it. */
export type PublicKeyKind =
  | { readonly type: 'ec'; readonly curve: string }
  | { readonly type: 'rsa'; readonly modulusBits: number }
  | { readonly type: 'ed25519' }
  | { readonly type: 'other'; readonly oid: string }

const EC_PUBLIC_KEY = '1.2.840.10045.2.1'
const RSA_ENCRYPTION = '1.2.840.113549.1.1.1'
const ED25519 = '1.3.101.112'

/** Accepted curves, with the length of a coordinate in bytes. */
const FIT_CURVES: Readonly<Record<string, number>> = {
  '1.2.840.10045.3.1.7': 32,
  '1.3.132.0.34': 48,
  '1.3.132.0.35': 66,
}
const SMALLEST_MODULUS_BITS = 2048

/** Reads a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7, RFC 5480, RFC 8017, RFC 8410). */
export function readPublicKeyKind(der: Buffer): PublicKeyKind | undefined {
  const [algorithm, key, ...rest] = readSequence(der) ?? []
  if (algorithm === undefined || key?.tag !== TAG.bitString || rest.length > 0) return undefined
  const [type, parameters] = readSequence(algorithm.bytes) ?? []
  const oid = type?.tag === TAG.objectIdentifier ? readObjectIdentifier(type.content) : undefined
  const bits = readOctetAlignedBits(key.content)
  if (oid === undefined || bits === undefined) return undefined
  if (oid === RSA_ENCRYPTION) return readRsaKey(bits)
  if (oid === EC_PUBLIC_KEY && parameters?.tag === TAG.objectIdentifier) {
    return readEcKey(bits, readObjectIdentifier(parameters.content))
  }
  if (oid === ED25519) return bits.length === 32 ? { type: 'ed25519' } : undefined
  return { type: 'other', oid }
}

function readRsaKey(bits: Buffer): PublicKeyKind | undefined {
  const [modulus, exponent, ...rest] = readSequence(bits) ?? []
  if (modulus?.tag !== TAG.integer || exponent?.tag !== TAG.integer) return undefined
  if (!isInteger(modulus.content) || !isInteger(exponent.content)) return undefined
  if (modulus.content.readInt8() < 0 || exponent.content.readInt8() < 0) return undefined
  if (rest.length > 0) return undefined
  const digits = modulus.content[0] === 0 ? modulus.content.subarray(1) : modulus.content
  const leadingBits = 32 - Math.clz32(digits[0] ?? 0)
  return { type: 'rsa', modulusBits: Math.max(0, (digits.length - 1) * 8) + leadingBits }
}

function readEcKey(bits: Buffer, curve: string | undefined): PublicKeyKind | undefined {
  if (curve === undefined) return undefined
  const bytes = FIT_CURVES[curve]
  const lengths: Readonly<Record<number, number>> =
    bytes === undefined ? {} : { 2: 1 + bytes, 3: 1 + bytes, 4: 1 + 2 * bytes }
  // The point of an unknown curve is not checked: the key is refused as unsupported.
  if (bytes !== undefined && lengths[bits[0] ?? 0] !== bits.length) return undefined
  return { type: 'ec', curve }
}

/** Fit are P-256, P-384, P-521, Ed25519 and RSA of 2048 bits or more; shorter RSA is weak. */
export function publicKeyFitness(key: PublicKeyKind): 'fit' | 'weak' | 'unsupported' {
  switch (key.type) {
    case 'ec':
      return FIT_CURVES[key.curve] === undefined ? 'unsupported' : 'fit'
    case 'rsa':
      return key.modulusBits < SMALLEST_MODULUS_BITS ? 'weak' : 'fit'
    case 'ed25519':
      return 'fit'
    case 'other':
      return 'unsupported'
  }
}

/** The problem is a clause that follows the name of what holds the key. */
export type ReadPublicKey = Result<{ key: KeyObject }>

/** The key of a SubjectPublicKeyInfo, or why it is not secure. */
export function readPublicKey(kind: PublicKeyKind, publicKeyInfo: Buffer): ReadPublicKey {
  if (publicKeyFitness(kind) !== 'fit') {
    return {
      ok: false,
      problem: 'has a key that is not P-256, P-384, P-521, Ed25519 or RSA of 2048 bits or more',
    }
  }
  const key = createKey(publicKeyInfo)
  // For the other curves OpenSSL itself checks that the point is on the curve.
  if (key === undefined) return { ok: false, problem: 'has a public key that OpenSSL cannot read' }
  const { n = '', e = '', x = '' } = key.export({ format: 'jwk' })
  if (kind.type === 'rsa' && !isRsaKey(numberOf(n), numberOf(e))) {
    return { ok: false, problem: `has a public key that is not a usable RSA key: ${RSA_KEY}` }
  }
  if (kind.type === 'ed25519' && !isEd25519Point(Buffer.from(x, 'base64url'))) {
    return {
      ok: false,
      problem: 'has a public key that is not a usable Ed25519 key: not a valid point of the curve',
    }
  }
  return { ok: true, key }
}

function createKey(publicKeyInfo: Buffer): KeyObject | undefined {
  try {
    return createPublicKey({ key: publicKeyInfo, format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}

const numberOf = (base64url: string): bigint =>
  BigInt(`0x0${Buffer.from(base64url, 'base64url').toString('hex')}`)

const RSA_KEY =
  'its modulus has to be a product of two large primes, its exponent odd and at least 3'
const LARGEST_SMALL_FACTOR = 751n

/**
 * Whether both numbers are plausible for an RSA key, by the quick checks of NIST SP 800-56B §6.4.2.2:
 * without them anyone could know the private key, or need none.
 */
function isRsaKey(modulus: bigint, exponent: bigint): boolean {
  if (exponent < 3n || exponent % 2n === 0n || exponent >= modulus) return false
  if (modulus % 2n === 0n) return false
  for (let factor = 3n; factor <= LARGEST_SMALL_FACTOR; factor += 2n) {
    if (modulus % factor === 0n) return false
  }
  return true
}
