import assert from 'node:assert/strict'
import fileSystem, { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { certificateKey } from '../../src/certificate/certificate-id.ts'
import type { Lock } from '../../src/store/lock.ts'
import { machineIdentity } from '../../src/store/lock-owner.ts'
import { labelOf } from '../../src/store/service-standing.ts'
import {
  joinLastSeen,
  parseRunningState,
  type RunningState,
  type SeenCertificate,
} from '../../src/store/service-state.ts'
import {
  awaitRunning,
  mergeEnded,
  readLastSeen,
  readRunning,
  runningId,
  writeRunning,
} from '../../src/store/service-state-files.ts'
import { present, temporaryFolder } from '../support/service.ts'

const KEY_HASH = 'A'.repeat(43)
const seen: SeenCertificate = {
  issuerKeyHash: KEY_HASH,
  serial: '4a01',
  name: 'Phone of Ada',
  sha256: 'B'.repeat(43),
  notAfter: 2_000_000_000,
  certificateAt: 100,
  sessionAt: 200,
}
const state: RunningState = {
  schemaVersion: 1,
  listen: '127.0.0.1:9180',
  host: 'nas',
  version: '0.1.0',
  startedAt: 50,
  stoppedAt: undefined,
  crlNumber: '1764000000',
  blocksNumber: 0,
  keySet: 'abc',
  lastSeen: [seen],
}
const ID = runningId('nas', state.listen)
const OTHER = { ...state, listen: '127.0.0.1:9280' }
const OTHER_ID = runningId('nas', OTHER.listen)
const LAST_SEEN = 'last-seen.json'

/** A writer's lock that counts its calls. */
function countingLock(): Lock & { readonly asked: () => number } {
  let asked = 0
  return {
    asked: () => asked,
    assertHeld: async () => {
      asked += 1
    },
    release: async () => undefined,
  }
}

const runningFolder = async () => join(await temporaryFolder(), 'private', 'running')
const pathOf = (folder: string, id: string) => join(folder, `${id}.json`)

async function makeOld(path: string, seconds: number): Promise<void> {
  const then = Date.now() / 1000 - seconds
  await utimes(path, then, then)
}

test('What a service writes about itself is read back, and readable only for its owner', async () => {
  const folder = await runningFolder()
  await writeRunning(folder, ID, state)
  await writeRunning(folder, ID, { ...state, blocksNumber: 7 })
  const [service, ...others] = await readRunning(folder)
  assert.deepEqual(others, [])
  assert.equal(service?.id, ID)
  assert.deepEqual(service?.state, { ...state, blocksNumber: 7 })
  assert.equal(service?.isFresh, true)
  assert.ok(Math.abs(present(service).ageSeconds) < 5)
  const modes = await Promise.all(
    [join(folder, '..'), folder, pathOf(folder, ID)].map(
      async (path) => (await stat(path)).mode & 0o777,
    ),
  )
  assert.deepEqual(modes, [0o700, 0o700, 0o600])
  assert.deepEqual(await readdir(folder), [`${ID}.json`])
})

test('A file is named after its host and address, so that a restart finds its own', () => {
  assert.match(ID, /^[0-9a-f]{16}$/)
  assert.equal(runningId('nas', state.listen), ID)
  assert.equal(new Set([ID, OTHER_ID, runningId('attic', state.listen)]).size, 3)
})

test('A service is running if it has written within 30 seconds and has not said that it is stopping', async () => {
  const folder = await runningFolder()
  const isFresh = async () => (await readRunning(folder)).map((service) => service.isFresh)
  await writeRunning(folder, ID, state)
  for (const [seconds, expected] of [
    [25, true],
    [35, false],
    // The clock has been set back since.
    [-3_600, false],
  ] as const) {
    await makeOld(pathOf(folder, ID), seconds)
    assert.deepEqual(await isFresh(), [expected])
  }
  await writeRunning(folder, ID, { ...state, stoppedAt: 300 })
  assert.deepEqual(await isFresh(), [false])
})

test('Incomplete, broken and foreign files are skipped', async () => {
  const folder = await runningFolder()
  assert.deepEqual(await readRunning(folder), [])
  await writeRunning(folder, ID, state)
  const whole = await readFile(pathOf(folder, ID), 'utf8')
  await writeFile(join(folder, `${ID}.json.0123456789ab.tmp`), whole)
  await writeFile(join(folder, 'notes.json'), whole)
  let number = 0
  for (const content of [
    '',
    'null',
    whole.slice(0, -1),
    JSON.stringify({ ...state, schemaVersion: 2 }),
    ...Object.keys(state)
      .filter((name) => !['stoppedAt', 'crlNumber', 'lastSeen'].includes(name))
      .map((name) => JSON.stringify({ ...state, [name]: undefined })),
    JSON.stringify({ ...state, stoppedAt: 'now' }),
    JSON.stringify({ ...state, crlNumber: 7 }),
    JSON.stringify({ ...state, host: 'n\u001b[2Jas' }),
  ]) {
    number += 1
    await writeFile(join(folder, `${String(number).padStart(16, '0')}.json`), content)
  }
  assert.deepEqual(
    (await readRunning(folder)).map(({ id }) => id),
    [ID],
  )
  assert.equal((await readLastSeen(folder)).size, 1)
})

test('Broken entries are skipped, and the other entries of that service count', () => {
  const entries = [
    7,
    null,
    { ...seen, issuerKeyHash: 'short' },
    { ...seen, serial: '4a0' },
    { ...seen, name: 7 },
    { ...seen, sha256: 'short' },
    { ...seen, notAfter: 'never' },
    { ...seen, certificateAt: 1.5 },
    { ...seen, sessionAt: undefined },
    { ...seen, sha256: undefined, notAfter: undefined },
  ]
  const parsed = parseRunningState(JSON.stringify({ ...state, lastSeen: entries }))
  assert.deepEqual(parsed?.lastSeen, [{ ...seen, sha256: undefined, notAfter: undefined }])
  assert.deepEqual(parseRunningState(JSON.stringify({ ...state, lastSeen: 7 }))?.lastSeen, [])
})

test('A folder that cannot be read does not pass for an empty one', async () => {
  const file = join(await temporaryFolder(), 'file')
  await writeFile(file, '')
  await assert.rejects(readRunning(file), { code: 'ENOTDIR' })
  const folder = await runningFolder()
  await mkdir(pathOf(folder, ID), { recursive: true })
  await assert.rejects(readRunning(folder), { code: 'EISDIR' })
  await rm(pathOf(folder, ID), { recursive: true })
  await mkdir(join(folder, LAST_SEEN))
  await assert.rejects(readLastSeen(folder), { code: 'EISDIR' })
})

test('If nothing can be written, the age of a file is judged by our own clock', async (t) => {
  const folder = await runningFolder()
  await writeRunning(folder, ID, state)
  const { open } = fileSystem
  const setOpen = (value: unknown) => {
    Object.assign(fileSystem, { open: value })
    syncBuiltinESMExports()
  }
  t.after(() => setOpen(open))
  setOpen(() => Promise.reject(Object.assign(new Error('EROFS'), { code: 'EROFS' })))
  assert.equal((await readRunning(folder))[0]?.isFresh, true)
})

test('Merging takes the latest of each time, in whatever order', () => {
  const later = { ...seen, name: 'Renamed', sha256: undefined, notAfter: undefined }
  const joined = { ...seen, name: 'Renamed', certificateAt: 100, sessionAt: 300 }
  const other = { ...later, certificateAt: 0, sessionAt: 300 }
  for (const lists of [
    [[seen], [other]],
    [[other], [seen]],
  ]) {
    assert.deepEqual(
      [...joinLastSeen(lists)],
      [[certificateKey({ issuerKeyHash: KEY_HASH, serial: '4a01' }), joined]],
    )
  }
  const entry = fc.record({
    serial: fc.constantFrom('01', '02', '03'),
    certificateAt: fc.nat(5),
    sessionAt: fc.nat(5),
  })
  fc.assert(
    fc.property(fc.array(fc.array(entry.map((times) => ({ ...seen, ...times })))), (lists) => {
      const result = joinLastSeen(lists)
      for (const { serial, certificateAt, sessionAt } of result.values()) {
        const same = lists.flat().filter((given) => given.serial === serial)
        assert.equal(certificateAt, Math.max(...same.map((given) => given.certificateAt)))
        assert.equal(sessionAt, Math.max(...same.map((given) => given.sessionAt)))
      }
      assert.equal(result.size, new Set(lists.flat().map(({ serial }) => serial)).size)
      assert.deepEqual(joinLastSeen([result.values()]), result)
    }),
  )
})

test('What services saw outlives them: stopped and long silent ones are folded together', async () => {
  const folder = await runningFolder()
  const lock = countingLock()
  await mergeEnded(folder, lock)
  assert.equal(lock.asked(), 0)
  const ids = [ID, OTHER_ID, runningId('attic', 'x'), runningId('shed', 'x')] as const
  const withSeen = (serial: string, sessionAt: number, stoppedAt?: number) => ({
    ...state,
    stoppedAt,
    lastSeen: [{ ...seen, serial, sessionAt }],
  })
  await writeRunning(folder, ids[0], withSeen('01', 400, 500))
  await writeRunning(folder, ids[1], withSeen('02', 401))
  await makeOld(pathOf(folder, ids[1]), 90_000)
  await writeRunning(folder, ids[2], withSeen('01', 600))
  await writeRunning(folder, ids[3], withSeen('03', 402))
  await makeOld(pathOf(folder, ids[3]), 3_600)
  const before = await readLastSeen(folder)
  assert.equal(
    before.get(certificateKey({ issuerKeyHash: KEY_HASH, serial: '01' }))?.sessionAt,
    600,
  )
  await mergeEnded(folder, lock)
  assert.ok(lock.asked() > 0)
  assert.deepEqual(
    (await readdir(folder)).sort(),
    [`${ids[2]}.json`, `${ids[3]}.json`, LAST_SEEN].sort(),
  )
  assert.equal((await stat(join(folder, LAST_SEEN))).mode & 0o777, 0o600)
  assert.deepEqual(new Map([...(await readLastSeen(folder))].sort()), new Map([...before].sort()))
  // And again, with what was folded before.
  await writeRunning(folder, ids[2], withSeen('04', 700, 800))
  await mergeEnded(folder, lock)
  assert.equal(
    (await readLastSeen(folder)).get(certificateKey({ issuerKeyHash: KEY_HASH, serial: '04' }))
      ?.sessionAt,
    700,
  )
  assert.equal(
    (await readLastSeen(folder)).get(certificateKey({ issuerKeyHash: KEY_HASH, serial: '02' }))
      ?.sessionAt,
    401,
  )
})

test('A broken memory file counts as empty, and is replaced at the next folding', async () => {
  const folder = await runningFolder()
  await writeRunning(folder, ID, { ...state, stoppedAt: 1 })
  await writeFile(join(folder, LAST_SEEN), '{"schemaVersion":1,')
  assert.equal((await readLastSeen(folder)).size, 1)
  await mergeEnded(folder, countingLock())
  assert.deepEqual([...(await readLastSeen(folder)).values()], [seen])
})

test('A service that starts again while its file is folded keeps its file', async () => {
  const folder = await runningFolder()
  await writeRunning(folder, ID, { ...state, stoppedAt: 1 })
  const lock = { ...countingLock(), assertHeld: () => writeRunning(folder, ID, state) }
  await mergeEnded(folder, lock)
  assert.equal((await readRunning(folder))[0]?.isFresh, true)
  await writeRunning(folder, ID, { ...state, stoppedAt: 1 })
  await mergeEnded(folder, { ...lock, assertHeld: () => rm(pathOf(folder, ID)) })
  assert.deepEqual(await readdir(folder), [LAST_SEEN])
})

test('A process that has lost the lock folds nothing', async () => {
  const folder = await runningFolder()
  await writeRunning(folder, ID, { ...state, stoppedAt: 1 })
  const lost = { ...countingLock(), assertHeld: () => Promise.reject(new Error('lost')) }
  await assert.rejects(mergeEnded(folder, lost), /lost/)
  assert.deepEqual(await readdir(folder), [`${ID}.json`])
})

test('At most 20,000 certificates are remembered, the latest ones', async () => {
  const folder = await runningFolder()
  const lastSeen = Array.from({ length: 20_010 }, (_, index) => ({
    ...seen,
    serial: (index + 4_096).toString(16).padStart(6, '0'),
    certificateAt: index,
    sessionAt: 0,
  }))
  await writeRunning(folder, ID, { ...state, stoppedAt: 1, lastSeen })
  await mergeEnded(folder, countingLock())
  const remembered = [...(await readLastSeen(folder)).values()]
  assert.equal(remembered.length, 20_000)
  assert.equal(Math.min(...remembered.map(({ certificateAt }) => certificateAt)), 10)
})

test('What a killed service had begun to write is cleaned up after an hour', async () => {
  const folder = await runningFolder()
  await mkdir(folder, { recursive: true })
  const [old, young] = [`${ID}.json.0123456789ab.tmp`, `${ID}.json.ba9876543210.tmp`] as const
  await writeFile(join(folder, old), '')
  await makeOld(join(folder, old), 4_000)
  await writeFile(join(folder, young), '')
  await mergeEnded(folder, countingLock())
  assert.deepEqual(await readdir(folder), [young])
  // Another process may be faster.
  await makeOld(join(folder, young), 4_000)
  await mergeEnded(folder, { ...countingLock(), assertHeld: () => rm(join(folder, young)) })
  assert.deepEqual(await readdir(folder), [])
})

// --- waiting --------------------------------------------------------------------------------------

/** Waits for CRL number 2, with something that happens at each pause. */
async function awaitNumber2(folder: string, onPause: (pauses: number) => Promise<unknown>) {
  let milliseconds = 0
  let pauses = 0
  const confirmation = await awaitRunning(folder, ({ crlNumber }) => crlNumber === '2', {
    timeoutMilliseconds: 5_000,
    pollMilliseconds: 100,
    now: () => milliseconds,
    sleep: async (pause) => {
      milliseconds += pause
      pauses += 1
      await onPause(pauses)
    },
  })
  return { ...confirmation, pauses }
}

const NOTHING = async () => undefined

test('Without a running service nothing is waited for', async () => {
  const folder = await runningFolder()
  const expected = { confirmed: [], missing: [], problems: [], silent: [], pauses: 0 }
  assert.deepEqual(await awaitNumber2(folder, NOTHING), expected)
  await writeRunning(folder, ID, { ...state, stoppedAt: 1 })
  assert.deepEqual(await awaitNumber2(folder, NOTHING), expected)
})

test('Waiting is over as soon as every running service has confirmed', async () => {
  const folder = await runningFolder()
  await writeRunning(folder, ID, { ...state, crlNumber: '1' })
  await writeRunning(folder, OTHER_ID, { ...OTHER, crlNumber: '1' })
  const outcome = await awaitNumber2(folder, async (pauses) => {
    if (pauses === 2) await writeRunning(folder, ID, { ...state, crlNumber: '2' })
    if (pauses === 4) await writeRunning(folder, OTHER_ID, { ...OTHER, crlNumber: '2' })
  })
  assert.deepEqual([...outcome.confirmed].sort(), [
    '127.0.0.1:9180 on nas',
    '127.0.0.1:9280 on nas',
  ])
  assert.deepEqual(
    { ...outcome, confirmed: [] },
    { confirmed: [], missing: [], problems: [], silent: [], pauses: 4 },
  )
})

test('A service that does not confirm in time is named', async () => {
  const folder = await runningFolder()
  await writeRunning(folder, ID, { ...state, crlNumber: '2' })
  await writeRunning(folder, OTHER_ID, { ...OTHER, crlNumber: '1' })
  assert.deepEqual(await awaitNumber2(folder, NOTHING), {
    confirmed: ['127.0.0.1:9180 on nas'],
    missing: ['127.0.0.1:9280 on nas'],
    problems: [],
    silent: [],
    pauses: 50,
  })
})

test('A service that has fallen silent is named and not waited for, nor is one that stops meanwhile', async () => {
  const folder = await runningFolder()
  await writeRunning(folder, ID, { ...state, crlNumber: '1' })
  await makeOld(pathOf(folder, ID), 40)
  await writeRunning(folder, OTHER_ID, { ...OTHER, crlNumber: '1' })
  const outcome = await awaitNumber2(folder, async () => {
    await writeRunning(folder, OTHER_ID, { ...OTHER, crlNumber: '1', stoppedAt: 300 })
  })
  assert.deepEqual(outcome, {
    confirmed: [],
    missing: [],
    problems: [],
    silent: [{ name: '127.0.0.1:9180 on nas', label: '127.0.0.1:9180@nas', hasIt: false }],
    pauses: 1,
  })
})

test('Waiting also works with the real clock and pauses', async () => {
  const folder = await runningFolder()
  await writeRunning(folder, ID, { ...state, crlNumber: '1' })
  const waiting = awaitRunning(folder, ({ crlNumber }) => crlNumber === '2', {
    timeoutMilliseconds: 60_000,
  })
  await writeRunning(folder, ID, { ...state, crlNumber: '2' })
  assert.deepEqual((await waiting).confirmed, ['127.0.0.1:9180 on nas'])
})

test('A service that has not loaded it says why, one line each, and only with printable characters', async () => {
  const folder = await runningFolder()
  const problems = ['ca.crl is empty', 'a\nb', 7]
  const text = JSON.stringify({ ...state, problems })
  await writeRunning(folder, ID, state)
  await writeFile(join(folder, `${ID}.json`), text)
  const outcome = await awaitNumber2(folder, NOTHING)
  assert.deepEqual(outcome.missing, ['127.0.0.1:9180 on nas'])
  assert.deepEqual(outcome.problems, ['127.0.0.1:9180 on nas: ca.crl is empty'])
})

// --- services that have ended
// ---------------------------------------------------------------------

/** A service that was silent for this long, as the only one of its name or beside another. */
async function standing(silent: Partial<RunningState>, seconds: number, beside?: RunningState) {
  const folder = await runningFolder()
  await writeRunning(folder, ID, { ...state, ...silent })
  await makeOld(pathOf(folder, ID), seconds)
  if (beside !== undefined) await writeRunning(folder, OTHER_ID, beside)
  const service = (await readRunning(folder)).find(({ id }) => id === ID)
  const { isFresh, hasEnded } = present(service)
  return isFresh ? 'runs' : hasEnded ? 'has ended' : 'is silent'
}

test('A silent service has ended if that is known, and may be running otherwise', async () => {
  const own = present(await machineIdentity())
  const [host = '', boot = '', space = ''] = own.split(' ')
  const gone = { pid: 2 ** 31 - 1, identity: own }
  const cases: readonly (readonly [string, Partial<RunningState>, number, RunningState?])[] = [
    ['is silent', {}, 33],
    ['is silent', {}, 86_000],
    ['has ended', {}, 87_000],
    ['has ended', { stoppedAt: 1 }, 1],
    // Its process: gone, there, or of a number that means another one.
    ['has ended', gone, 33],
    ['has ended', gone, 1],
    ['is silent', { ...gone, pid: process.pid }, 33],
    ['is silent', { pid: gone.pid }, 33],
    ['is silent', { ...gone, identity: `${host} ${boot} pid:[1]` }, 33],
    ['is silent', { ...gone, identity: `other ${boot} ${space}` }, 33],
    ['is silent', { ...gone, identity: 'nonsense' }, 33],
    // Its machine was started again: that one, and not another, and not while it writes.
    ['has ended', { ...gone, identity: `${host} other ${space}` }, 33],
    ['has ended', { ...gone, identity: `${host} other pid:[1]` }, 33],
    ['runs', { ...gone, identity: `${host} other ${space}` }, 1],
    ['is silent', { ...gone, identity: `other other ${space}` }, 33],
    // Another one answers in its place.
    ['has ended', {}, 33, state],
    ['is silent', {}, 33, OTHER],
    ['is silent', {}, 33, { ...state, host: 'attic' }],
    ['is silent', {}, 33, { ...state, stoppedAt: 1 }],
  ]
  for (const [expected, silent, seconds, beside] of cases) {
    const told = JSON.stringify({ silent, seconds, beside })
    assert.equal(await standing(silent, seconds, beside), expected, told)
  }
})

test('A silent service counts as not having loaded it until it has, has ended, or is declared gone', async () => {
  const folder = await runningFolder()
  const outcome = async (forgotten: readonly string[] = []) => {
    const confirmation = await awaitRunning(folder, ({ crlNumber }) => crlNumber === '2', {
      timeoutMilliseconds: 0,
      forgotten,
    })
    return [confirmation.missing.length, confirmation.silent.map(({ hasIt }) => hasIt)]
  }
  const label = labelOf(state)
  await writeRunning(folder, ID, { ...state, crlNumber: '1' })
  // What runs cannot be forgotten.
  assert.deepEqual(await outcome([label]), [1, []])
  await makeOld(pathOf(folder, ID), 40)
  assert.deepEqual(await outcome(), [0, [false]])
  assert.deepEqual(await outcome([labelOf(OTHER)]), [0, [false]])
  assert.deepEqual(await outcome([label]), [0, []])
  await writeRunning(folder, ID, { ...state, crlNumber: '2' })
  await makeOld(pathOf(folder, ID), 40)
  assert.deepEqual(await outcome(), [0, [true]])
})
