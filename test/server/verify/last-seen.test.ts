import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLastSeen } from '../../../src/server/verify/last-seen.ts'
import type { SeenCertificate } from '../../../src/store/service-state.ts'

const KEY_HASH = 'A'.repeat(43)

const certificate = (serial: string, sha256?: string, notAfter?: number) => ({
  ...{ issuerKeyHash: KEY_HASH, serial, name: undefined },
  ...(sha256 !== undefined && { sha256 }),
  ...(notAfter !== undefined && { notAfter }),
})

const seen = (serial: string, certificateAt: number, sessionAt: number): SeenCertificate => ({
  ...{ issuerKeyHash: KEY_HASH, serial, name: 'before', sha256: undefined, notAfter: undefined },
  ...{ certificateAt, sessionAt },
})

test('A registered certificate keeps its slot across any number of snapshots', () => {
  const lastSeen = createLastSeen()
  const place = lastSeen.ofDevice(certificate('01'), 'Phone')
  place.certificateAt = 5
  assert.equal(lastSeen.ofDevice(certificate('01'), 'Phone'), place)
  assert.deepEqual(lastSeen.all(), [
    { ...seen('01', 5, 0), name: 'Phone', sha256: undefined, notAfter: undefined },
  ])
})

test('Of unregistered certificates the latest thousand are kept', () => {
  const lastSeen = createLastSeen()
  for (let number = 0; number < 1_500; number += 1) {
    const serial = number.toString(16).padStart(4, '0')
    lastSeen.ofOther(certificate(serial), 'Ada').sessionAt = number + 1
  }
  const times = lastSeen.all().map(({ sessionAt }) => sessionAt)
  assert.equal(times.length, 1_000)
  assert.equal(Math.min(...times), 501)
})

test('What was seen before a restart is reported until it is seen again', () => {
  const lastSeen = createLastSeen()
  lastSeen.restore([seen('01', 5, 7), seen('02', 1, 2)])
  assert.equal(lastSeen.all().length, 2)
  const place = lastSeen.ofDevice(certificate('01', 'f'.repeat(43), 99), 'Phone')
  assert.deepEqual([place.certificateAt, place.sessionAt], [5, 7])
  place.sessionAt = 8
  const all = lastSeen.all()
  assert.equal(all.length, 2)
  assert.deepEqual(all[0], {
    ...{ issuerKeyHash: KEY_HASH, serial: '01', name: 'Phone', sha256: 'f'.repeat(43) },
    ...{ notAfter: 99, certificateAt: 5, sessionAt: 8 },
  })
})

test('Newer records survive when the stored ones are read', () => {
  const lastSeen = createLastSeen()
  lastSeen.ofDevice(certificate('01'), 'Phone').certificateAt = 9
  lastSeen.ofOther(certificate('02'), 'Ada').sessionAt = 1
  lastSeen.restore([seen('01', 5, 7), seen('02', 3, 4)])
  assert.deepEqual(
    lastSeen.all().map(({ certificateAt, sessionAt }) => [certificateAt, sessionAt]),
    [
      [9, 7],
      [3, 4],
    ],
  )
})

test('A certificate that is shown after its session has a fingerprint from then on', () => {
  const lastSeen = createLastSeen()
  lastSeen.ofOther(certificate('01'), 'Ada').sessionAt = 4
  lastSeen.ofOther(certificate('01', 'f'.repeat(43)), 'Ada').certificateAt = 5
  lastSeen.ofOther(certificate('01'), 'Ada').sessionAt = 6
  assert.deepEqual(
    lastSeen
      .all()
      .map(({ sha256, certificateAt, sessionAt }) => [sha256, certificateAt, sessionAt]),
    [['f'.repeat(43), 5, 6]],
  )
})
