import { randomBytes } from 'node:crypto'
import { type KeyRing, readKeyRing, writeKey } from '../session/key-ring.ts'
import type { DataPaths } from '../store/data-directory.ts'
import { MODE, readTextIfThere } from '../store/files.ts'
import { readOwnFile } from '../store/folder.ts'
import { readRunning } from '../store/service-state-files.ts'
import { type Change, changeDirectory } from './change-directory.ts'
import { CommandError } from './command-error.ts'
import { needed } from './given-file.ts'

export interface Rotation {
  /** The new key only verifies for that long, until every replica has it. */
  readonly afterSeconds: number
  /** The lifetime of a session that the old key signed last. */
  readonly ttlSeconds: number
  /** Whether to remove the old keys now, which ends all sessions. */
  readonly endSessions: boolean
}

export interface Rotated {
  /** The fingerprint of the key ring that every service has to load. */
  readonly fingerprint: string
  /** The new key's id, as `SessionKey.id`. */
  readonly keyId: string
  /** Unix seconds: the new key signs from then on. */
  readonly signsFrom: number
  /** Unix seconds: the old keys verify until then; `undefined`: they are removed. */
  readonly oldUntil: number | undefined
}

/** For replicas whose clocks differ. */
const TOLERANCE_SECONDS = 60

/** Adds a new key at the end of the file. */
export async function rotateSessionKeys(
  change: Change,
  path: string,
  { afterSeconds, ttlSeconds, endSessions }: Rotation,
): Promise<Rotated> {
  const { nowSeconds } = change
  return changeDirectory(change, async (directory) => {
    const before = endSessions ? undefined : await readKeys(path)
    const signsFrom = endSessions ? nowSeconds : nowSeconds + afterSeconds
    const until = signsFrom + (await longestTtl(directory.paths, ttlSeconds)) + TOLERANCE_SECONDS
    const kept = (before?.keys ?? []).filter(
      ({ verifiesUntil }) => verifiesUntil === undefined || verifiesUntil > nowSeconds,
    )
    const lines = kept.map(({ key, signsFrom: from, verifiesUntil = until }) =>
      writeKey(key.export(), [
        ...(from > 0 ? [`signs-from=${from}`] : []),
        `verifies-until=${Math.min(verifiesUntil, until)}`,
      ]),
    )
    lines.push(writeKey(randomBytes(32), endSessions ? [] : [`signs-from=${signsFrom}`]))
    const text = `${lines.join('\n')}\n`
    await directory.replace(path, text, MODE.secret)
    const after = readKeyRing(text)
    if (!after.ok) throw new Error('wrote session keys that cannot be read back')
    return {
      fingerprint: after.ring.fingerprint,
      keyId: after.ring.keys.at(-1)?.id ?? '',
      signsFrom,
      oldUntil: kept.length > 0 ? until : undefined,
    }
  })
}

/**
 * Returns whether a service with this key set has loaded a rotation: its own keys, or those of a later
 * rotation that still has them.
 */
export async function hasRotation(
  path: string,
  { fingerprint, keyId }: Rotated,
  keySet: string,
): Promise<boolean> {
  if (keySet === fingerprint) return true
  const read = readKeyRing((await readTextIfThere(path)) ?? '')
  if (!read.ok || read.ring.fingerprint !== keySet) return false
  // If only one key is left, a later `--now` removed the others, including this rotation's.
  return read.ring.keys.length === 1 || read.ring.keys.some(({ id }) => id === keyId)
}

/** A service may be configured with a longer lifetime than this command. */
async function longestTtl({ running }: DataPaths, ttlSeconds: number): Promise<number> {
  const services = await readRunning(running)
  return Math.max(ttlSeconds, ...services.map(({ state }) => state.sessionTtlSeconds ?? 0))
}

async function readKeys(path: string): Promise<KeyRing> {
  const hint = 'certlatch init makes the first session key'
  const content = await needed(path, readOwnFile(path), hint)
  const read = readKeyRing(content.toString('utf8'))
  if (read.ok) return read.ring
  throw new CommandError(`${path} ${read.problem}`, {
    hint: 'certlatch key rotate --now makes a new file and ends all sessions',
  })
}
