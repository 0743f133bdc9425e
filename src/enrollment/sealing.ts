import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'

/** What content is sealed under: the code of an invitation, or the key in a browser's cookie. */
export interface SealingKey {
  /** 100 random bits or more. */
  readonly secret: string | Uint8Array
  /** Separates the two keys of one invitation. */
  readonly purpose: 'code' | 'cookie'
  /** The invitation's id. */
  readonly id: string
}

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
export const SEALING_IV_BYTES = 12
const TAG_BYTES = 16

/** HKDF (RFC 5869) with the id as salt: the secret is random, so no slow hash is needed. */
function deriveKey({ secret, purpose, id }: SealingKey): Buffer {
  const info = `certlatch invitation sealed under a ${purpose}`
  return Buffer.from(hkdfSync('sha256', secret, id, info, KEY_BYTES))
}

/**
 * Encrypts and authenticates (AES-256-GCM): initialization vector, ciphertext, tag. `iv` is
 * `SEALING_IV_BYTES` random bytes; each key seals few contents, so random vectors do not repeat.
 */
export function seal(content: Uint8Array, key: SealingKey, iv: Uint8Array): Buffer {
  const cipher = createCipheriv(CIPHER, deriveKey(key), iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(key.id))
  const sealed = [cipher.update(content), cipher.final()]
  return Buffer.concat([iv, ...sealed, cipher.getAuthTag()])
}

/** Decrypts what was sealed under this key; `undefined` for another key, or if anything was changed. */
export function unseal(sealed: Buffer, key: SealingKey): Buffer | undefined {
  const end = sealed.length - TAG_BYTES
  if (end < SEALING_IV_BYTES) return undefined
  const iv = sealed.subarray(0, SEALING_IV_BYTES)
  const decipher = createDecipheriv(CIPHER, deriveKey(key), iv, { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(key.id))
  decipher.setAuthTag(sealed.subarray(end))
  const opened = decipher.update(sealed.subarray(SEALING_IV_BYTES, end))
  try {
    return Buffer.concat([opened, decipher.final()])
  } catch {
    return undefined
  }
}
