import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import fileSystem, { mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { writeKey } from '../../src/session/key-ring.ts'
import { writeDevice } from '../../src/store/device-registry.ts'
import { MODE, replaceFile } from '../../src/store/files.ts'
import type { Snapshot } from '../../src/store/snapshot.ts'
import type { TrustFiles } from '../../src/store/snapshot-sources.ts'
import { openTrustStore, type TrustStore } from '../../src/store/trust-store.ts'
import { LOOPBACK } from '../support/request.ts'
import { makeAuthority, makeList, temporaryFolder } from '../support/service.ts'

const authority = makeAuthority('Household')

interface Opened {
  readonly store: TrustStore
  readonly files: TrustFiles
  readonly paths: Readonly<Record<'ca' | 'crl' | 'keys' | 'policy', string>>
  readonly devices: string
  readonly replaced: readonly Snapshot[]
  readonly told: readonly (readonly string[])[]
  refresh(): Promise<void>
}

async function writeAll() {
  const folder = await temporaryFolder()
  const paths = {
    ca: join(folder, 'ca.crt'),
    crl: join(folder, 'ca.crl'),
    keys: join(folder, 'session.keys'),
    policy: join(folder, 'policy.yaml'),
  }
  const devices = join(folder, 'devices')
  await writeFile(paths.ca, authority.pem)
  await writeFile(paths.crl, makeList(authority, { number: 10 }))
  await writeFile(paths.keys, `${writeKey(randomBytes(32))}\n`)
  await writeFile(paths.policy, 'version: 1\n')
  await mkdir(devices)
  const named = (path: string) => ({ path, name: path.slice(folder.length + 1) })
  const files: TrustFiles = {
    authorities: named(paths.ca),
    revocationLists: named(paths.crl),
    sessionKeys: named(paths.keys),
    devices: named(devices),
    blocks: named(join(folder, 'blocks.json')),
    undelivered: named(join(folder, 'undelivered.json')),
    policy: { ...named(paths.policy), trustedProxies: LOOPBACK },
    staleRevocationList: 'deny',
  }
  return { paths, devices, files, folder }
}

async function open(context: TestContext): Promise<Opened> {
  const { paths, devices, files } = await writeAll()
  const replaced: Snapshot[] = []
  const told: (readonly string[])[] = []
  const opened = await openTrustStore(files, {
    onReplaced: (snapshot) => replaced.push(snapshot),
    onProblem: (problems) => told.push(problems),
  })
  assert.ok(opened.ok)
  const { store } = opened
  context.after(() => store.close())
  const refresh = async () => {
    // The first may be one that was under way already, and have looked too early.
    await store.refresh()
    await store.refresh()
  }
  return { store, files, paths, devices, replaced, told, refresh }
}

const numberInForce = ({ store }: Opened) =>
  store.current.trust.revocationLists.get(authority.keyHash)?.number

const list = (number: number) => makeList(authority, { number })

/** As if all files had been written long ago: then time stamps alone reveal changes. */
const letSettle = (context: TestContext) => {
  const { now } = Date
  context.mock.method(Date, 'now', () => now() + 60_000)
}

test('Unchanged files stay loaded as they are, and nothing is reported', async (context) => {
  const opened = await open(context)
  const before = opened.store.current
  await opened.refresh()
  letSettle(context)
  await opened.refresh()
  await opened.refresh()
  assert.equal(opened.store.current, before)
  assert.deepEqual([opened.replaced, opened.told, opened.store.problems], [[], [], []])
})

test('A file replaced atomically is loaded by the next check', async (context) => {
  const opened = await open(context)
  await replaceFile(opened.paths.crl, list(11), MODE.public)
  await opened.refresh()
  assert.equal(numberInForce(opened), 11n)
  assert.deepEqual(opened.replaced, [opened.store.current])
})

test('A change is noticed without a request for it, within half a second', async (context) => {
  const { paths, files } = await writeAll()
  const seen = new Promise<Snapshot>((resolve) => {
    void openTrustStore(files, { onReplaced: resolve, onProblem: () => {} }).then((opened) => {
      assert.ok(opened.ok)
      context.after(() => opened.store.close())
      return replaceFile(paths.crl, list(11), MODE.public)
    })
  })
  // The poll does not keep a process alive; this does until it has looked.
  const waiting = setTimeout(() => {}, 10_000)
  const { trust } = await seen
  clearTimeout(waiting)
  assert.equal(trust.revocationLists.get(authority.keyHash)?.number, 11n)
})

test('A file rewritten in place is loaded by the next check, even within one clock tick', async (context) => {
  const opened = await open(context)
  for (let number = 11; number < 16; number += 1) {
    await writeFile(opened.paths.crl, list(number))
    await opened.refresh()
    assert.equal(numberInForce(opened), BigInt(number))
  }
  assert.equal(opened.replaced.length, 5)
})

test('A change of files that had settled is noticed by their time stamps', async (context) => {
  const opened = await open(context)
  letSettle(context)
  await opened.refresh()
  await writeFile(opened.paths.crl, list(11))
  await opened.refresh()
  assert.equal(numberInForce(opened), 11n)
})

test('A swapped link is followed, as Kubernetes swaps ..data', async (context) => {
  const { paths, files, folder } = await writeAll()
  const place = async (version: string, number: number) => {
    await mkdir(join(folder, version))
    await writeFile(join(folder, version, 'ca.crl'), list(number))
  }
  await place('..1', 10)
  await symlink('..1', join(folder, '..data'))
  await rm(paths.crl)
  await symlink(join('..data', 'ca.crl'), paths.crl)
  const opened = await openTrustStore(files, { onReplaced: () => {}, onProblem: () => {} })
  assert.ok(opened.ok)
  context.after(() => opened.store.close())
  letSettle(context)
  await opened.store.refresh()
  await place('..2', 11)
  await symlink('..2', join(folder, '..data_tmp'))
  await rename(join(folder, '..data_tmp'), join(folder, '..data'))
  await opened.store.refresh()
  await opened.store.refresh()
  const { revocationLists } = opened.store.current.trust
  assert.equal(revocationLists.get(authority.keyHash)?.number, 11n)
})

test('A device added or replaced is known after the next check', async (context) => {
  const opened = await open(context)
  const certificates = [
    { issuerKeyHash: authority.keyHash, serial: '4a', notBefore: 1, notAfter: 2 },
  ]
  const known = () =>
    opened.store.current.registry?.byCertificate.get(`${authority.keyHash}/4a`)?.device.name
  letSettle(context)
  await opened.refresh()
  await writeDevice(opened.devices, 'a', { name: 'One', owner: undefined, certificates })
  await opened.refresh()
  assert.equal(known(), 'One')
  await writeDevice(opened.devices, 'a', { name: 'Two', owner: undefined, certificates })
  await opened.refresh()
  assert.equal(known(), 'Two')
})

test('A device entry rewritten in place is noticed too, as a restore with cp writes it', async (context) => {
  const opened = await open(context)
  const entry = (name: string) =>
    JSON.stringify({
      schemaVersion: 1,
      name,
      certificates: [{ issuerKeyHash: authority.keyHash, serial: '4a', notBefore: 1, notAfter: 2 }],
    })
  const path = join(opened.devices, 'a.json')
  await writeFile(path, entry('One'))
  await opened.refresh()
  letSettle(context)
  await opened.refresh()
  await writeFile(path, entry('Two'))
  await opened.refresh()
  const { registry } = opened.store.current
  assert.equal(registry?.byCertificate.get(`${authority.keyHash}/4a`)?.device.name, 'Two')
})

/** Ways to break each file, by what the problem says of it. */
const BREAKING: readonly {
  readonly how: string
  readonly file: keyof Opened['paths']
  readonly breakIt: (path: string) => Promise<unknown>
  readonly problem: RegExp
}[] = [
  { how: 'deleted', file: 'ca', breakIt: (path) => rm(path), problem: /^ca\.crt does not exist$/ },
  { how: 'deleted', file: 'crl', breakIt: (path) => rm(path), problem: /^ca\.crl does not exist$/ },
  { how: 'deleted', file: 'keys', breakIt: (path) => rm(path), problem: /^session\.keys does not/ },
  { how: 'emptied', file: 'ca', breakIt: (path) => truncate(path), problem: /^ca\.crt holds no/ },
  { how: 'emptied', file: 'crl', breakIt: (path) => truncate(path), problem: /^ca\.crl holds no/ },
  { how: 'emptied', file: 'keys', breakIt: (path) => truncate(path), problem: /has no key$/ },
  { how: 'cut off', file: 'ca', breakIt: (path) => truncate(path, 99), problem: /^ca\.crt holds/ },
  { how: 'cut off', file: 'crl', breakIt: (path) => truncate(path, 99), problem: /^ca\.crl holds/ },
  {
    how: 'cut off',
    file: 'keys',
    breakIt: (path) => truncate(path, 9),
    problem: /line 1 is not a/,
  },
  {
    how: 'made a folder',
    file: 'keys',
    breakIt: (path) => rm(path).then(() => mkdir(path)),
    problem: /^session\.keys is not a file$/,
  },
  {
    how: 'a link to nowhere',
    file: 'crl',
    breakIt: (path) => rm(path).then(() => symlink('nowhere', path)),
    problem: /^ca\.crl does not exist$/,
  },
  {
    how: 'older',
    file: 'crl',
    breakIt: (path) => writeFile(path, list(9)),
    problem: /^ca\.crl has an older CRL/,
  },
  {
    how: 'of another CA',
    file: 'crl',
    breakIt: (path) => writeFile(path, makeList(makeAuthority('Office'))),
    problem: /^ca\.crl has no CRL of the CA "CN=Household"$/,
  },
  {
    how: 'not what a rule may be',
    file: 'policy',
    breakIt: (path) => writeFile(path, 'version: 1\nrules: [{access: opne}]\n'),
    problem: /^policy\.yaml, line 2, column 18: access "opne" does not exist: expected open, /,
  },
  {
    how: 'gone',
    file: 'policy',
    breakIt: (path) => rm(path),
    problem: /^policy\.yaml does not exist$/,
  },
  {
    how: 'another CA without its CRL',
    file: 'ca',
    breakIt: (path) => writeFile(path, authority.pem + makeAuthority('Office').pem),
    problem: /^ca\.crl has no CRL of the CA "CN=Office"$/,
  },
]

for (const { how, file, breakIt, problem } of BREAKING) {
  test(`A ${file} file that is ${how} leaves the previous state active, and is reported once`, async (context) => {
    const opened = await open(context)
    const before = opened.store.current
    await breakIt(opened.paths[file])
    await opened.refresh()
    await opened.refresh()
    assert.equal(opened.store.current, before)
    assert.equal(opened.told.length, 1)
    assert.deepEqual(opened.store.problems, opened.told[0])
    assert.equal(opened.store.problems.length, 1)
    assert.match(opened.store.problems[0] ?? '', problem)
    assert.equal(opened.replaced.length, 0)
  })
}

test('A broken file that is whole again works again', async (context) => {
  const opened = await open(context)
  await writeFile(opened.paths.crl, 'broken')
  await opened.refresh()
  await writeFile(opened.paths.crl, 'broken in another way, and reported again')
  await opened.refresh()
  assert.equal(opened.told.length, 2)
  await writeFile(opened.paths.crl, list(10))
  await opened.refresh()
  assert.deepEqual(opened.store.problems, [])
  assert.equal(opened.replaced.length, 1)
  assert.equal(numberInForce(opened), 10n)
})

test('A change of another file leaves the CRL as it was read', async (context) => {
  const opened = await open(context)
  const { paths, devices, refresh } = opened
  const listInForce = () => opened.store.current.trust.revocationLists.get(authority.keyHash)
  const first = listInForce()
  await writeDevice(devices, 'a', { name: 'Phone', owner: undefined, certificates: [] })
  await refresh()
  await writeFile(paths.keys, `${writeKey(randomBytes(32))}\n`)
  await refresh()
  assert.equal(opened.replaced.length, 2)
  assert.equal(listInForce(), first)
  await replaceFile(paths.crl, list(11), MODE.public)
  await refresh()
  assert.notEqual(listInForce(), first)
  assert.equal(numberInForce(opened), 11n)
})

test('A CRL that was missing comes back as it was, and never as an older one', async (context) => {
  const opened = await open(context)
  const [older, same] = [list(10), list(11)]
  await replaceFile(opened.paths.crl, same, MODE.public)
  await opened.refresh()
  for (const [back, problems] of [
    [older, 1],
    [same, 0],
  ] as const) {
    await rm(opened.paths.crl)
    await opened.refresh()
    assert.equal(opened.store.problems.length, 1)
    await writeFile(opened.paths.crl, back)
    await opened.refresh()
    assert.equal(opened.store.problems.length, problems)
    assert.equal(numberInForce(opened), 11n)
  }
})

test('Changed rules apply after the next check', async (context) => {
  const { store, paths, replaced, refresh } = await open(context)
  assert.deepEqual(store.current.policy.rules, [])
  await writeFile(paths.policy, 'version: 1\npreset: home-assistant\n')
  await refresh()
  assert.deepEqual(store.problems, [])
  assert.equal(replaced[0]?.policy.rules[0]?.name, 'home-assistant: webhooks')
})

test('A broken device entry leaves the previous devices active', async (context) => {
  const opened = await open(context)
  const before = opened.store.current
  await writeFile(join(opened.devices, 'a.json'), '{')
  await opened.refresh()
  assert.equal(opened.store.current, before)
  assert.deepEqual(opened.store.problems, ['devices: a.json is not a device entry'])
  await rm(join(opened.devices, 'a.json'))
  await opened.refresh()
  assert.deepEqual(opened.store.problems, [])
})

test('A devices folder that became a file leaves the previous devices active', async (context) => {
  const opened = await open(context)
  await rm(opened.devices, { recursive: true })
  await writeFile(opened.devices, '')
  await opened.refresh()
  assert.deepEqual(opened.store.problems, [
    'devices has something in its path that is not a folder',
  ])
})

test('A fault in a listener for new snapshots is reported, not thrown', async (context) => {
  const { paths, files } = await writeAll()
  const told: string[] = []
  const opened = await openTrustStore(files, {
    onReplaced: () => {
      throw new Error('a bug')
    },
    onProblem: (problems) => told.push(...problems),
  })
  assert.ok(opened.ok)
  context.after(() => opened.store.close())
  await replaceFile(paths.crl, list(11), MODE.public)
  await opened.store.refresh()
  await opened.store.refresh()
  assert.deepEqual(told, ['the files could not be read again: Error: a bug'])
  assert.deepEqual(opened.store.problems, told)
})

test('Checks requested at the same time are one check', async (context) => {
  const { store, paths, replaced } = await open(context)
  await store.refresh()
  await replaceFile(paths.crl, list(11), MODE.public)
  await store.refresh()
  await Promise.all([store.refresh(), store.refresh(), store.refresh()])
  assert.equal(replaced.length, 1)
})

test('Opening reports everything wrong with the files at once, each by its name', async () => {
  const { paths, files, devices } = await writeAll()
  await rm(paths.ca)
  await rm(paths.keys)
  await writeFile(join(devices, 'a.json'), '')
  const nothing = { onReplaced: () => {}, onProblem: () => {} }
  const unread = await openTrustStore(files, nothing)
  assert.deepEqual(unread, {
    ok: false,
    problems: ['ca.crt does not exist', 'session.keys does not exist'],
  })
  await writeFile(paths.ca, authority.pem)
  await writeFile(paths.keys, 'short')
  const unfit = await openTrustStore(files, nothing)
  assert.ok(!unfit.ok)
  assert.equal(unfit.problems.length, 2)
})

test('Without a CRL and without devices only CA and keys are checked', async (context) => {
  const { files, paths } = await writeAll()
  const replaced: Snapshot[] = []
  const opened = await openTrustStore(
    { ...files, revocationLists: undefined, devices: undefined },
    { onReplaced: (snapshot) => replaced.push(snapshot), onProblem: () => {} },
  )
  assert.ok(opened.ok)
  context.after(() => opened.store.close())
  await rm(paths.crl)
  await opened.store.refresh()
  assert.deepEqual([replaced, opened.store.problems], [[], []])
  assert.equal(opened.store.current.registry, undefined)
})

test('The files are checked every 400 ms until the store is closed', async (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] })
  const opened = await open(context)
  await replaceFile(opened.paths.crl, list(11), MODE.public)
  context.mock.timers.tick(400)
  // Joins the look that the timer has begun.
  await opened.store.refresh()
  assert.equal(numberInForce(opened), 11n)
  opened.store.close()
  const look = context.mock.method(Date, 'now')
  context.mock.timers.tick(4000)
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(look.mock.callCount(), 0)
})

test('After a suspension a check is due first, once for all callers', async (context) => {
  const opened = await open(context)
  assert.equal(opened.store.catchUp(performance.now()), undefined)
  await replaceFile(opened.paths.crl, list(11), MODE.public)
  const later = performance.now() + 60_000
  const first = opened.store.catchUp(later)
  assert.equal(opened.store.catchUp(later), first)
  await first
  assert.equal(numberInForce(opened), 11n)
})

test('A check that began before the suspension does not count as one after it', async (context) => {
  const opened = await open(context)
  await opened.refresh()
  const { stat } = fileSystem
  let resume = () => {}
  const held = new Promise<void>((resolve) => {
    resume = resolve
  })
  const set = (value: unknown) => {
    Object.assign(fileSystem, { stat: value })
    syncBuiltinESMExports()
  }
  context.after(() => set(stat))
  set(async (...values: Parameters<typeof stat>) => {
    const found = await stat(...values)
    await held
    return found
  })
  const begun = performance.now()
  const look = opened.store.refresh()
  await setImmediate()
  // The process is suspended here: its knowledge of the files is outdated.
  while (performance.now() < begun + 50) await setImmediate()
  await replaceFile(opened.paths.crl, list(11), MODE.public)
  set(stat)
  resume()
  await look
  const ended = performance.now()
  assert.equal(opened.store.catchUp(begun + 1_990), undefined)
  const caughtUp = opened.store.catchUp(ended + 1_990)
  assert.notEqual(caughtUp, undefined)
  await caughtUp
  assert.equal(numberInForce(opened), 11n)
})

test('A new CRL is loaded even if another file is broken, which is still reported', async (context) => {
  const opened = await open(context)
  await writeFile(opened.paths.keys, 'not a key')
  await replaceFile(opened.paths.crl, list(11), MODE.public)
  await opened.refresh()
  assert.equal(numberInForce(opened), 11n)
  assert.equal(opened.store.problems.length, 1)
})

const NEWER_BLOCKS = JSON.stringify({
  ...{ schemaVersion: 1, number: 5 },
  certificates: [{ issuerKeyHash: authority.keyHash, serial: '4a', blockedAt: 5 }],
  signOuts: [],
})

test('A new CRL is loaded even if another file is gone, each time there is one', async (context) => {
  const opened = await open(context)
  await rm(opened.paths.policy)
  for (const number of [11, 12]) {
    await replaceFile(opened.paths.crl, list(number), MODE.public)
    await opened.refresh()
    assert.equal(numberInForce(opened), BigInt(number))
    assert.equal(opened.store.problems.length, 1)
  }
})

test('A new CRL is loaded even if the list of blocks is broken, and the other way round', async (context) => {
  const blocked = ({ store }: Opened) => store.current.trust.blocked.size
  const one = await open(context)
  await writeFile(one.files.blocks.path, 'nonsense')
  await replaceFile(one.paths.crl, list(11), MODE.public)
  await one.refresh()
  assert.deepEqual([numberInForce(one), blocked(one)], [11n, 0])
  const other = await open(context)
  await writeFile(other.files.blocks.path, NEWER_BLOCKS)
  await replaceFile(other.paths.crl, 'nonsense', MODE.public)
  await other.refresh()
  assert.deepEqual([numberInForce(other), blocked(other)], [10n, 1])
})
