import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import fileSystem, {
  chown,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { acquireLock, type Lock, LockLostError } from '../../src/store/lock.ts'
import { createWatch, readHolder } from '../../src/store/lock-owner.ts'
import { crashPoints, runWithFault } from '../support/faults.ts'
import { present, temporaryFolder } from '../support/service.ts'

const LOCK_MODULE = new URL('../../src/store/lock.js', import.meta.url).href
// If process ids mean the same to both, a dead process is detected at once.
const KNOWS_PROCESSES = existsSync('/proc/sys/kernel/random/boot_id')
const WHO = 'device add Phone'

/** A clock that passes a quarter of a second with each look. */
function quickTime(onSleep: () => Promise<unknown> = async () => undefined) {
  let milliseconds = 0
  return {
    now: () => milliseconds,
    sleep: async () => {
      milliseconds += 250
      await onSleep()
    },
    passed: () => milliseconds,
  }
}

async function acquired(folder: string, waitMilliseconds = 0): Promise<Lock> {
  const result = await acquireLock(folder, { who: WHO, waitMilliseconds })
  assert.ok(result.ok, result.ok ? '' : result.problem)
  return result.lock
}

async function refusal(folder: string): Promise<string> {
  const result = await acquireLock(folder, { who: WHO, waitMilliseconds: 0 })
  return result.ok ? assert.fail('it must not become the writer') : result.problem
}

const generations = async (folder: string) => (await readdir(join(folder, 'lock'))).sort()

/** A folder in which a writer on another, or an unknown, machine is at work. */
async function folderOfAnother(content: object | string): Promise<string> {
  const folder = await temporaryFolder()
  await mkdir(join(folder, 'lock'))
  const text = typeof content === 'string' ? content : JSON.stringify(content)
  await writeFile(join(folder, 'lock', '7'), text)
  return folder
}

const ANOTHER = {
  who: 'ca renew',
  pid: process.pid,
  host: 'attic',
  identity: 'attic some-boot pid:[1]',
  startedAt: 0,
}

test('One process writes at a time, and any other learns which one', async () => {
  const folder = await temporaryFolder()
  const lock = await acquired(folder)
  assert.deepEqual(await generations(folder), ['1'])
  assert.match(
    await refusal(folder),
    /^another certlatch command is writing to .+ \(device add Phone, process \d+ on .+, running for 0 s\): wait for it to end, or stop it; nothing was changed$/,
  )
  await lock.assertHeld()
  await lock.release()
  assert.deepEqual(await generations(folder), ['1.free'])
  const next = await acquired(folder)
  assert.deepEqual(await generations(folder), ['2'])
  await next.release()
})

test('A released lock stays released, however often', async () => {
  const folder = await temporaryFolder()
  const lock = await acquired(folder)
  await lock.release()
  await assert.rejects(lock.assertHeld(), LockLostError)
  const next = await acquired(folder)
  await lock.release()
  await next.assertHeld()
  await next.release()
})

test("Folders and files of the lock are readable only for their owner, who is the folder's", async () => {
  const folder = join(await temporaryFolder(), 'private')
  const lock = await acquired(folder)
  const modes = await Promise.all(
    [folder, join(folder, 'lock'), join(folder, 'lock', '1')].map(
      async (path) => (await stat(path)).mode & 0o777,
    ),
  )
  assert.deepEqual(modes, [0o700, 0o700, 0o600])
  await lock.release()
  // Only root can give files away.
  if (process.getuid?.() !== 0) return
  await rm(join(folder, 'lock'), { recursive: true })
  await chown(folder, 12_345, 54_321)
  const next = await acquired(folder)
  for (const path of [join(folder, 'lock'), join(folder, 'lock', '1')]) {
    const { uid, gid } = await stat(path)
    assert.deepEqual([uid, gid], [12_345, 54_321])
  }
  await next.release()
})

test('A waiting process becomes the writer as soon as the previous one has finished', async () => {
  const folder = await temporaryFolder()
  const lock = await acquired(folder)
  const time = quickTime(async () => {
    if (time.passed() >= 2_000) await lock.release()
  })
  const result = await acquireLock(folder, { who: WHO, waitMilliseconds: 10_000, ...time })
  assert.ok(result.ok)
  assert.ok(time.passed() < 3_000)
  await result.lock.release()
})

// --- other processes ------------------------------------------------------------------------------

type Child = ChildProcessByStdio<Writable, Readable, null>

function startChild(t: TestContext, source: string, ...values: readonly string[]): Child {
  const program = `import { acquireLock } from ${JSON.stringify(LOCK_MODULE)}\n${source}`
  const child = spawn(
    process.execPath,
    ['--input-type=module', '--eval', program, '--', ...values],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  t.after(() => child.kill('SIGKILL'))
  return child
}

const said = async (child: Child): Promise<string> =>
  String((await once(child.stdout, 'data'))[0]).trim()

const HOLDER = `
  const { lock } = await acquireLock(process.argv[1], { who: 'init', waitMilliseconds: 0 })
  console.log('held')
  process.stdin.once('data', async () => {
    console.log(await lock.assertHeld().then(() => 'still held', (error) => error.name))
    process.exit()
  })
`

test('Many processes that append to the same file lose nothing', async (t) => {
  const folder = await temporaryFolder()
  const file = join(folder, 'sum')
  await writeFile(file, '0')
  const source = `
    import { readFile, writeFile } from 'node:fs/promises'
    const [, folder, file] = process.argv
    for (let i = 0; i < 20; i += 1) {
      const result = await acquireLock(folder, { who: 'add', waitMilliseconds: 60_000 })
      if (!result.ok) throw new Error(result.problem)
      const sum = Number(await readFile(file, 'utf8'))
      await result.lock.assertHeld()
      await writeFile(file, String(sum + 1))
      await result.lock.release()
    }
  `
  const children = [1, 2, 3, 4, 5].map(() => startChild(t, source, folder, file))
  const endings = await Promise.all(children.map((child) => once(child, 'exit')))
  assert.deepEqual(
    endings.map(([code]) => code),
    [0, 0, 0, 0, 0],
  )
  assert.equal(await readFile(file, 'utf8'), '100')
  assert.equal((await generations(folder)).at(-1), '100.free')
})

test('A killed writer on this machine is succeeded at once', {
  skip: !KNOWS_PROCESSES,
}, async (t) => {
  const folder = await temporaryFolder()
  const child = startChild(t, HOLDER, folder)
  assert.equal(await said(child), 'held')
  assert.match(await refusal(folder), /\(init, process/)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const lock = await acquired(folder)
  assert.deepEqual(await generations(folder), ['2'])
  await lock.release()
})

test('A writer that was suspended for long learns that another has taken over', async (t) => {
  const folder = await temporaryFolder()
  const child = startChild(t, HOLDER, folder)
  assert.equal(await said(child), 'held')
  child.kill('SIGSTOP')
  const time = quickTime()
  const result = await acquireLock(folder, { who: WHO, waitMilliseconds: 10_000, ...time })
  assert.ok(result.ok)
  assert.ok(time.passed() >= 5_000)
  child.kill('SIGCONT')
  child.stdin.write('go on\n')
  assert.equal(await said(child), 'LockLostError')
  await result.lock.assertHeld()
  await result.lock.release()
})

test('A crash at any point of taking and releasing locks no one out', {
  skip: !KNOWS_PROCESSES,
}, async () => {
  const folder = await temporaryFolder()
  const program = join(folder, 'program.mjs')
  await writeFile(
    program,
    `import { acquireLock } from ${JSON.stringify(LOCK_MODULE)}
     for (const who of ['first', 'second']) {
       const { lock } = await acquireLock('private', { who, waitMilliseconds: 0 })
       await lock.release()
     }`,
  )
  const points = await crashPoints(
    'kill',
    (fault) => runWithFault([program], fault, { cwd: folder }),
    async () => {
      const lock = await acquired(join(folder, 'private'))
      await lock.release()
      await rm(join(folder, 'private'), { recursive: true })
    },
  )
  assert.ok(points >= 7, `${points}`)
})

// --- others whose processes cannot be seen --------------------------------------------------------

test('A writer on another machine that has not moved for five seconds is succeeded', async () => {
  for (const content of [ANOTHER, { ...ANOTHER, identity: undefined }, {}, '', '{"pid":']) {
    const folder = await folderOfAnother(content)
    const time = quickTime()
    const result = await acquireLock(folder, { who: WHO, waitMilliseconds: 10_000, ...time })
    assert.ok(result.ok)
    assert.ok(time.passed() >= 5_000 && time.passed() < 6_000, `${time.passed()}`)
    assert.deepEqual(await generations(folder), ['8'])
    await result.lock.release()
  }
})

test('A writer that touches its file is alive, whatever its clock says', async () => {
  const folder = await folderOfAnother(ANOTHER)
  let ticks = 0
  const time = quickTime(async () => {
    ticks += 1
    if (ticks % 4 === 0) await utimes(join(folder, 'lock', '7'), ticks, ticks)
  })
  const result = await acquireLock(folder, { who: WHO, waitMilliseconds: 30_000, ...time })
  assert.ok(!result.ok)
  assert.match(result.problem, /\(ca renew, process \d+ on attic, running for \d+ s\)/)
  assert.deepEqual(await generations(folder), ['7'])
})

test('A writer without a description is called "another", and a description is made printable', async () => {
  assert.match(
    await refusal(await folderOfAnother('')),
    /^another certlatch command is writing to \S+: wait/,
  )
  const foul = await folderOfAnother({ ...ANOTHER, who: 'a\u001b[2Jb', host: 7, startedAt: 'x' })
  assert.match(await refusal(foul), /\(a\?\[2Jb, process \d+ on unknown, running for 0 s\)/)
})

test('Time during which the watcher was suspended does not count as watched', async () => {
  const folder = await folderOfAnother(ANOTHER)
  const holder = present(await readHolder(join(folder, 'lock', '7')))
  let milliseconds = 0
  const watch = createWatch(() => milliseconds)
  for (let looks = 0; looks < 20; looks += 1) {
    assert.equal(watch.isStill(holder), false)
    milliseconds += 60_000
  }
  assert.equal(watch.isStill(holder), true)
  assert.equal(watch.isStill({ ...holder, touchedAt: 1 }), false)
})

test('A writer that finished while its last words were read is not a writer', async () => {
  const file = join(await temporaryFolder(), '7')
  assert.equal(await readHolder(file), undefined)
  await writeFile(file, '')
  await assert.rejects(readHolder(join(file, '8')), { code: 'ENOTDIR' })
})

test('A released number is free, even if a late process has created it again', async () => {
  const folder = await folderOfAnother(ANOTHER)
  await writeFile(join(folder, 'lock', '7.free'), '')
  await writeFile(join(folder, 'lock', '08'), 'no number of ours')
  const lock = await acquired(folder)
  assert.deepEqual(await generations(folder), ['08', '8'])
  await lock.release()
})

test('A process that finds its lock removed has lost it', async () => {
  const folder = await temporaryFolder()
  const lock = await acquired(folder)
  await rm(join(folder, 'lock'), { recursive: true })
  await assert.rejects(lock.assertHeld(), LockLostError)
  await lock.release()
})

// --- between one call and the next ----------------------------------------------------------------

type Call = (...values: unknown[]) => Promise<unknown>

/** Puts something around every call of one of the file system's functions until the test is over. */
function around(
  t: TestContext,
  name: keyof typeof fileSystem,
  wrap: (call: () => Promise<unknown>, path: string) => Promise<unknown>,
): void {
  const original = fileSystem[name] as Call
  const wrapped: Call = (...values) => wrap(() => original(...values), String(values[0]))
  Object.assign(fileSystem, { [name]: wrapped })
  syncBuiltinESMExports()
  t.after(() => {
    Object.assign(fileSystem, { [name]: original })
    syncBuiltinESMExports()
  })
}

const systemError = (code: string, syscall = 'open'): Error =>
  Object.assign(new Error(code), { code, syscall })

test('A process that does see a heartbeat after all backs off', async (t) => {
  const folder = await folderOfAnother(ANOTHER)
  const other = join(folder, 'lock', '7')
  around(t, 'writeFile', async (call, path) => {
    await call()
    if (path.endsWith('8')) await utimes(other, 1, 1)
  })
  const result = await acquireLock(folder, { who: WHO, waitMilliseconds: 6_000, ...quickTime() })
  assert.ok(!result.ok)
  assert.deepEqual(await generations(folder), ['7'])
})

test('A failed write is reported in one line, and nothing is left behind', async (t) => {
  const folder = await temporaryFolder()
  let fails: string | undefined
  let code = 'ENOSPC'
  let syscall = 'open'
  for (const name of ['mkdir', 'writeFile', 'readdir', 'stat'] as const) {
    around(t, name, async (call) => {
      if (fails !== name) return await call()
      if (syscall === 'write') await call()
      throw systemError(code, syscall)
    })
  }
  const cases: readonly (readonly [string, string, string, RegExp])[] = [
    ['mkdir', 'ENOSPC', 'mkdir', / cannot be written: the disk is full; nothing was changed$/],
    ['mkdir', 'EROFS', 'mkdir', / is on a read-only file system; nothing was changed$/],
    ['writeFile', 'EACCES', 'open', / may not be written by this user: run the command as /],
    ['writeFile', 'EPERM', 'open', / may not be written by this user: run the command as /],
    ['writeFile', 'ENOSPC', 'write', / cannot be written: the disk is full; nothing was changed$/],
    ['readdir', 'EIO', 'scandir', / cannot be used \(EIO\); nothing was changed$/],
    ['stat', 'EIO', 'stat', / cannot be used \(EIO\); nothing was changed$/],
  ]
  for (const [name, error, call, expected] of cases) {
    fails = name
    code = error
    syscall = call
    const problem = await refusal(folder)
    fails = undefined
    assert.match(problem, expected)
    assert.equal(problem.split('\n').length, 1)
    assert.deepEqual(await readdir(folder), [], `${name} ${error}`)
  }
})

test('A fault after the lock file was created removes it again', async (t) => {
  const folder = await folderOfAnother('')
  await writeFile(join(folder, 'lock', '7.free'), '')
  let isMade = false
  around(t, 'writeFile', async (call) => {
    await call()
    isMade = true
  })
  around(t, 'readdir', async (call) => {
    if (!isMade) return await call()
    isMade = false
    throw systemError('EIO', 'scandir')
  })
  assert.match(await refusal(folder), /cannot be used \(EIO\)/)
  assert.deepEqual(await generations(folder), ['7', '7.free'])
})

test('A lock that cannot be checked or released is neither a silent success nor a crash', async (t) => {
  const folder = await temporaryFolder()
  const lock = await acquired(folder)
  for (const name of ['utimes', 'rename'] as const) {
    around(t, name, () => Promise.reject(systemError('EIO')))
  }
  await assert.rejects(lock.assertHeld(), { code: 'EIO' })
  await lock.release()
})

test('A bug is not mistaken for a disk error', async (t) => {
  const folder = await temporaryFolder()
  around(t, 'readdir', () => Promise.reject(new TypeError('a bug')))
  await assert.rejects(acquireLock(folder, { who: WHO, waitMilliseconds: 0 }), TypeError)
})

test('If the machine cannot be identified, a process is judged by its heartbeats', async (t) => {
  const folder = await temporaryFolder()
  around(t, 'readlink', () => Promise.reject(systemError('ENOENT')))
  const lock = await acquired(folder)
  const holder = present(await readHolder(join(folder, 'lock', '1')))
  assert.equal(holder.identity, undefined)
  assert.match(await refusal(folder), /another certlatch command/)
  await lock.release()
})

/** Lets each call of an actor wait for its turn, and lets one turn happen at a time. */
function stage(actors: number, turns: Iterator<number>) {
  const parked = new Map<number, () => void>()
  const current = new AsyncLocalStorage<number>()
  let playing = actors
  const next = () => {
    if (parked.size === 0 || parked.size < playing) return
    const names = [...parked.keys()].sort()
    const wanted = Number(turns.next().value ?? 0)
    const name = names.includes(wanted) ? wanted : present(names[0])
    const resume = present(parked.get(name))
    parked.delete(name)
    resume()
  }
  return {
    turn: () =>
      new Promise<void>((resolve) => {
        const name = current.getStore()
        if (name === undefined) return resolve()
        parked.set(name, resolve)
        next()
      }),
    play: (work: () => Promise<void>) =>
      Promise.all(
        Array.from({ length: actors }, (_, name) =>
          current.run(name, async () => {
            try {
              await work()
            } finally {
              playing -= 1
              next()
            }
          }),
        ),
      ),
  }
}

/** Some turns for one actor, some for another, and so on. */
function* turnsOf(bursts: readonly (readonly [number, number])[], actors: number) {
  for (const [actor, length] of bursts) for (let i = 0; i < length; i += 1) yield actor
  for (let i = 0; ; i += 1) yield i % actors
}

test('However the calls of several writers interleave, two are never at work at once', async (t) => {
  const actors = 3
  let turn = async (): Promise<void> => undefined
  for (const name of ['readdir', 'readFile', 'stat', 'writeFile', 'rename', 'rm'] as const) {
    around(t, name, async (call, path) => {
      if (path.includes('lock')) await turn()
      return await call()
    })
  }
  // One stops after a few calls, another goes all the way.
  const length = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 8, max: 20 }))
  const bursts = fc.array(fc.tuple(fc.nat(actors - 1), length), { maxLength: 20, size: 'max' })
  await fc.assert(
    fc.asyncProperty(bursts, fc.boolean(), async (bursts, isAfterCrash) => {
      const folder = await temporaryFolder()
      if (isAfterCrash) {
        await acquired(folder)
        // As if that process were gone: no process has this number.
        const path = join(folder, 'lock', '1')
        const content = JSON.parse(await readFile(path, 'utf8'))
        await writeFile(path, JSON.stringify({ ...content, pid: 2 ** 31 - 1 }))
      }
      const theatre = stage(actors, turnsOf(bursts, actors))
      turn = theatre.turn
      let atWork = 0
      let turns = 0
      await theatre.play(async () => {
        for (let i = 0; i < 2; i += 1) {
          const result = await acquireLock(folder, {
            who: WHO,
            waitMilliseconds: 60_000,
            sleep: theatre.turn,
          })
          assert.ok(result.ok)
          atWork += 1
          assert.equal(atWork, 1)
          await result.lock.assertHeld()
          await theatre.turn()
          assert.equal(atWork, 1)
          atWork -= 1
          turns += 1
          await result.lock.release()
        }
      })
      assert.equal(turns, actors * 2)
      assert.match((await generations(folder)).at(-1) ?? '', /\.free$/)
    }),
    { numRuns: 50 },
  )
})
