import { createSecretKey, hash, type KeyObject } from 'node:crypto'
import type { Result } from '../result.ts'

/** A key that signs sessions, or still verifies those that it signed. */
export interface SessionKey {
  /** Derived from the key, so that all replicas use the same one; not secret. */
  readonly id: string
  readonly key: KeyObject
  /** Unix seconds from which it may sign. */
  readonly signsFrom: number
  /** Unix seconds, exclusive, until which it verifies; `undefined`: without limit. */
  readonly verifiesUntil: number | undefined
}

/** In the order of the file: oldest first, newest last. Never empty. */
export interface KeyRing {
  readonly keys: readonly SessionKey[]
  /** Equal for two rings if and only if they hold the same keys in the same order; not secret. */
  readonly fingerprint: string
}

export type ReadKeyRing = Result<{ ring: KeyRing }>

const SHORTEST_KEY_BYTES = 32
const LONGEST_KEY_BYTES = 128
const KEY = /^[A-Za-z0-9+/_-]+={0,2}$/
const ATTRIBUTE = /^(signs-from|verifies-until)=(\d{1,12})$/

/**
 * Reads the key file: one key a line, oldest first, base64 or base64url of 32 random bytes or more,
 * with `signs-from=` and `verifies-until=` in Unix seconds where a rotation has set them. Lines
 * that begin with `#` are comments. A problem never quotes a key.
 */
export function readKeyRing(text: string): ReadKeyRing {
  const keys: SessionKey[] = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const words = line.trim().split(/[ \t]+/)
    if (words[0] === '' || words[0]?.startsWith('#')) continue
    const key = readKey(words)
    if (typeof key === 'string') return { ok: false, problem: `line ${index + 1} ${key}` }
    if (keys.some(({ id }) => id === key.id)) {
      return { ok: false, problem: `line ${index + 1} repeats a key` }
    }
    keys.push(key)
  }
  if (keys.length === 0) return { ok: false, problem: 'has no key' }
  const ids = keys.map(({ id }) => id).join(' ')
  return { ok: true, ring: { keys, fingerprint: hash('sha256', ids, 'hex').slice(0, 16) } }
}

function readKey([encoded = '', ...attributes]: readonly string[]): SessionKey | string {
  const bytes = Buffer.from(encoded, 'base64')
  if (!KEY.test(encoded) || bytes.length < SHORTEST_KEY_BYTES || bytes.length > LONGEST_KEY_BYTES) {
    return 'is not a key: expected base64 of 32 random bytes, as "openssl rand -base64 32" prints'
  }
  const times = new Map<string, number>()
  for (const attribute of attributes) {
    const [, name, value] = ATTRIBUTE.exec(attribute) ?? []
    if (name === undefined || times.has(name)) {
      return 'has something other than signs-from=<Unix seconds> or verifies-until=<Unix seconds> after the key'
    }
    times.set(name, Number(value))
  }
  return {
    id: keyId(bytes),
    key: createSecretKey(bytes),
    signsFrom: times.get('signs-from') ?? 0,
    verifiesUntil: times.get('verifies-until'),
  }
}

/** The prefix makes this hash differ from every other hash of the same bytes. */
function keyId(bytes: Buffer): string {
  const labeled = Buffer.concat([Buffer.from('certlatch session key id\0'), bytes])
  return hash('sha256', labeled, 'base64url').slice(0, 12)
}

/** One line of the key file. */
export function writeKey(bytes: Uint8Array, attributes: readonly string[] = []): string {
  return [Buffer.from(bytes).toString('base64url'), ...attributes].join(' ')
}

/**
 * Returns the newest key that may already sign, or the oldest if none may yet; never one that no longer
 * verifies.
 */
export function signingKey({ keys }: KeyRing, nowSeconds: number): SessionKey | undefined {
  const usable = keys.filter((key) => verifiesAt(key, nowSeconds))
  return usable.findLast(({ signsFrom }) => signsFrom <= nowSeconds) ?? usable[0]
}

export function verifiesAt({ verifiesUntil }: SessionKey, nowSeconds: number): boolean {
  return verifiesUntil === undefined || nowSeconds < verifiesUntil
}
