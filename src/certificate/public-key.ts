import { createPublicKey, type KeyObject } from 'node:crypto'
import { readObjectIdentifier, readOctetAlignedBits, readSequence, TAG } from './der.ts'

/** What kind of key a SubjectPublicKeyInfo holds, as far as fitness asks. */
export type PublicKeyKind =
  | { readonly type: 'ec'; readonly curve: string }
  | { readonly type: 'rsa'; readonly modulusBits: number }
  | { readonly type: 'ed25519' }
  | { readonly type: 'other'; readonly oid: string }

const EC_PUBLIC_KEY = '1.2.840.10045.2.1'
const RSA_ENCRYPTION = '1.2.840.113549.1.1.1'
const ED25519 = '1.3.101.112'

/** Curves that are fit today, with the length in bytes of a coordinate. */
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
  const first = modulus.content[0]
  if (first === undefined || first >= 0x80 || rest.length > 0) return undefined
  const digits = first === 0 ? modulus.content.subarray(1) : modulus.content
  const leadingBits = 32 - Math.clz32(digits[0] ?? 0)
  return { type: 'rsa', modulusBits: Math.max(0, (digits.length - 1) * 8) + leadingBits }
}

function readEcKey(bits: Buffer, curve: string | undefined): PublicKeyKind | undefined {
  if (curve === undefined) return undefined
  const bytes = FIT_CURVES[curve]
  const lengths: Readonly<Record<number, number>> =
    bytes === undefined ? {} : { 2: 1 + bytes, 3: 1 + bytes, 4: 1 + 2 * bytes }
  // The point of a curve that we do not know is not looked at: the key is refused as unfit.
  if (bytes !== undefined && lengths[bits[0] ?? 0] !== bits.length) return undefined
  return { type: 'ec', curve }
}

/** P-256, P-384, P-521, Ed25519, RSA from 2048 bits: everything else is weak or unheard of. */
export function isFitPublicKey(key: PublicKeyKind): boolean {
  switch (key.type) {
    case 'ec':
      return FIT_CURVES[key.curve] !== undefined
    case 'rsa':
      return key.modulusBits >= SMALLEST_MODULUS_BITS
    case 'ed25519':
      return true
    case 'other':
      return false
  }
}

/** The key of a SubjectPublicKeyInfo, `undefined` if OpenSSL cannot read it. */
export function readPublicKey(publicKeyInfo: Buffer): KeyObject | undefined {
  try {
    return createPublicKey({ key: publicKeyInfo, format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
}
