import assert from 'node:assert/strict'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { hasRotation, rotateSessionKeys } from '../../src/administration/rotate-session-keys.ts'
import { readKeyRing, signingKey } from '../../src/session/key-ring.ts'
import { runningId, writeRunning } from '../../src/store/service-state-files.ts'
import { initialized, problemOf, type TestDirectory } from '../support/command.ts'
import { NOON_SECONDS, present } from '../support/service.ts'

const rotate = (directory: TestDirectory, later = 0, endSessions = false) =>
  rotateSessionKeys(directory.change(later), directory.paths.sessionKeys, {
    afterSeconds: 5,
    ttlSeconds: 3600,
    endSessions,
  })

async function ringOf({ paths }: TestDirectory) {
  const read = readKeyRing(await readFile(paths.sessionKeys, 'utf8'))
  assert.ok(read.ok)
  return read.ring
}

test('A new key starts signing after a delay; the previous one verifies until its last session is over', async () => {
  const directory = await initialized()
  const [before] = (await ringOf(directory)).keys
  const rotated = await rotate(directory)
  const ring = await ringOf(directory)
  assert.equal(ring.fingerprint, rotated.fingerprint)
  assert.equal(ring.keys.length, 2)
  assert.equal(signingKey(ring, NOON_SECONDS + 4)?.id, present(before).id)
  assert.equal(signingKey(ring, NOON_SECONDS + 5)?.id, ring.keys[1]?.id)
  assert.equal(rotated.signsFrom, NOON_SECONDS + 5)
  assert.equal(rotated.oldUntil, NOON_SECONDS + 5 + 3600 + 60)
  assert.equal(ring.keys[0]?.verifiesUntil, rotated.oldUntil)
  assert.equal((await stat(directory.paths.sessionKeys)).mode & 0o777, 0o600)
})

test('A service with a longer session TTL than the command knows about logs no one out', async () => {
  const directory = await initialized()
  await writeRunning(directory.paths.running, runningId('host', '127.0.0.1:9180'), {
    ...{ schemaVersion: 1, listen: '127.0.0.1:9180', host: 'host', version: '0.0.0' },
    ...{ startedAt: NOON_SECONDS, stoppedAt: undefined, crlNumber: '1', blocksNumber: 0 },
    ...{ keySet: '0', lastSeen: [], sessionTtlSeconds: 12 * 3600 },
  })
  assert.equal((await rotate(directory)).oldUntil, NOON_SECONDS + 5 + 12 * 3600 + 60)
})

test('An expiry that is already earlier stays, and expired keys are dropped', async () => {
  const directory = await initialized()
  const first = await rotate(directory)
  await rotate(directory, 60)
  const two = await ringOf(directory)
  assert.equal(two.keys.length, 3)
  assert.equal(two.keys[0]?.verifiesUntil, first.oldUntil)
  await rotate(directory, 2 * 3600)
  const later = await ringOf(directory)
  assert.equal(later.keys.length, 2)
  assert.equal(later.keys[0]?.id, two.keys[2]?.id)
})

test('A key that may be compromised is dropped at once, and a new one signs at once', async () => {
  const directory = await initialized()
  const before = await ringOf(directory)
  const { oldUntil } = await rotate(directory, 10, true)
  const after = await ringOf(directory)
  assert.equal(oldUntil, undefined)
  assert.equal(after.keys.length, 1)
  assert.notEqual(after.keys[0]?.id, before.keys[0]?.id)
  assert.ok(signingKey(after, NOON_SECONDS + 10))
})

test('A broken or missing key file is reported, and is only recreated by ending all sessions', async () => {
  const directory = await initialized()
  const { sessionKeys } = directory.paths
  await writeFile(sessionKeys, 'short\n')
  assert.match(
    await problemOf(rotate(directory)),
    /session\.keys .*\nhint: certlatch key rotate --now makes a new file and ends all sessions$/,
  )
  assert.equal(await readFile(sessionKeys, 'utf8'), 'short\n')
  await rm(sessionKeys)
  assert.match(
    await problemOf(rotate(directory)),
    /session\.keys does not exist\nhint: certlatch init makes the first session key$/,
  )
  await rotate(directory, 0, true)
  assert.equal((await ringOf(directory)).keys.length, 1)
})

test('Of two simultaneous rotations, each counts as loaded where the keys of both are', async () => {
  const directory = await initialized()
  const path = directory.paths.sessionKeys
  const before = (await ringOf(directory)).fingerprint
  const first = await rotate(directory)
  assert.ok(await hasRotation(path, first, first.fingerprint))
  const second = await rotate(directory)
  assert.ok(await hasRotation(path, first, second.fingerprint))
  assert.ok(await hasRotation(path, second, second.fingerprint))
  // A service that has the first alone lacks the second, and one that has neither both.
  assert.ok(!(await hasRotation(path, second, first.fingerprint)))
  assert.ok(!(await hasRotation(path, first, before)))
  // A rotation that dropped all keys ends these too; its own keys are the loaded ones.
  const third = await rotate(directory, 0, true)
  assert.ok(await hasRotation(path, second, third.fingerprint))
  await writeFile(path, 'broken')
  assert.ok(!(await hasRotation(path, second, third.fingerprint)))
  await rm(path)
  assert.ok(!(await hasRotation(path, second, third.fingerprint)))
})
