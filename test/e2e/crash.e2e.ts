import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import { changeDirectory } from '../../src/administration/change-directory.ts'
import { dataPaths, prepareDataDirectory } from '../../src/store/data-directory.ts'
import { runningId, writeRunning } from '../../src/store/service-state-files.ts'
import {
  type CommandOutcome,
  certlatch,
  initialized,
  lettingIn,
  snapshotOf,
  treeOf,
} from '../support/command.ts'
import { crashPoints, type Fault, type FaultyRun, runWithFault } from '../support/faults.ts'
import { fixturePath } from '../support/pki.ts'
import { NOON_SECONDS, present } from '../support/service.ts'
import { MAIN } from '../support/transcript.ts'

const ADOPTED = join(fixturePath('x'), '../../adopted')
const EVERYTHING = { authority: true, revocationList: true, sessionKeys: true }

/** A command, and what it finds: a directory with the device "Old", or none at all. */
interface Case {
  readonly argv: readonly string[]
  readonly isFirst?: boolean
  /** What the same command says once it was done after all. */
  readonly doneBefore?: RegExp
  /** The devices that a service accepts before and after. */
  readonly letsIn: readonly [before: readonly string[], after: readonly string[]]
}

const OLD = ['Old']
const CASES: readonly Case[] = [
  { argv: ['init'], isFirst: true, doneBefore: /has been initialized before/, letsIn: [[], []] },
  {
    argv: [
      ...['init', '--adopt', join(ADOPTED, 'ca.crt'), join(ADOPTED, 'ca.key')],
      ...['--index', join(ADOPTED, 'index.txt')],
    ],
    isFirst: true,
    doneBefore: /has been initialized before/,
    letsIn: [
      [],
      [
        ...['Adas Telefon', 'Jürgens Büro-Rechner', 'Only in the CRL', 'Version 1'],
        ...['Weak key', 'Web server'],
      ],
    ],
  },
  {
    argv: ['device', 'invite', 'New', '--url', 'https://ha.test', '--key', 'p256', '--json'],
    letsIn: [OLD, ['New', 'Old']],
  },
  {
    argv: ['device', 'add', 'New', '--out', 'packages'],
    doneBefore: /there is a device "New" already/,
    letsIn: [OLD, ['New', 'Old']],
  },
  {
    argv: ['device', 'renew', 'Old', '--out', 'packages', '--overlap', '0'],
    letsIn: [OLD, ['Old', 'Old']],
  },
  { argv: ['device', 'revoke', 'Old'], letsIn: [OLD, []] },
  { argv: ['device', 'sign-out', 'Old'], letsIn: [OLD, OLD] },
  { argv: ['device', 'block', '--certificate', 'old.pem'], letsIn: [OLD, []] },
  { argv: ['key', 'rotate'], letsIn: [OLD, OLD] },
  { argv: ['key', 'rotate', '--now'], letsIn: [OLD, OLD] },
  { argv: ['ca', 'renew'], letsIn: [OLD, OLD] },
]

let folder = ''
let template = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certlatch-crash-'))
  template = join(folder, 'template')
  const directory = await initialized()
  await addDevice(
    directory.change(),
    { name: 'Old', owner: undefined },
    directory.issue({ folder: undefined }),
  )
  // A service that has loaded everything, so that no command waits for one.
  await writeRunning(directory.paths.running, runningId('host', 'test'), {
    ...{ schemaVersion: 1, listen: 'test', host: 'host', version: '0', startedAt: NOON_SECONDS },
    ...{ stoppedAt: undefined, crlNumber: '9'.repeat(15), blocksNumber: 10 ** 15, keySet: '0' },
    lastSeen: [],
  })
  await cp(directory.dataDir, join(template, 'data'), { recursive: true })
  const [kept] = await readdir(directory.paths.certificates)
  await cp(join(directory.paths.certificates, present(kept)), join(template, 'old.pem'))
})
after(() => rm(folder, { recursive: true, force: true }))

/** The place of one run, as the command finds it. */
async function prepare(name: string, { argv, isFirst }: Case): Promise<string> {
  const place = join(folder, name)
  await rm(place, { recursive: true, force: true })
  if (isFirst) await mkdir(place, { recursive: true })
  else await cp(template, place, { recursive: true })
  // No service can have loaded new keys or a new device before they are made: none is waited for.
  const [group, action = ''] = argv
  if (group === 'key' || ['add', 'renew'].includes(action))
    await rm(dataPaths(join(place, 'data')).running, { recursive: true })
  return place
}

/** The same in this process, where nothing strikes. */
function runAgain(place: string, { argv }: Case): Promise<CommandOutcome> {
  const own = argv.map((word) =>
    word === 'packages' || word === 'old.pem' ? join(place, word) : word,
  )
  // By the previous command's clock: what that has signed must not be in the future.
  const laterSeconds = Math.max(0, Math.ceil(Date.now() / 1000) - NOON_SECONDS)
  return certlatch(own, { CERTLATCH_DATA_DIR: join(place, 'data') }, laterSeconds)
}

/** Whatever happened, a service starts and accepts the devices from before, or those from after. */
async function checkServes(place: string, { letsIn }: Case): Promise<void> {
  const dataDir = join(place, 'data')
  const prepared = await prepareDataDirectory(dataDir, EVERYTHING, NOON_SECONDS)
  assert.ok(prepared.ok, JSON.stringify(prepared))
  const found = await lettingIn(dataDir)
  assert.ok(
    letsIn.some((names) => JSON.stringify(names) === JSON.stringify(found)),
    `lets in ${JSON.stringify(found)}`,
  )
}

/** Once the next command has run, all certificates have packages, and all packages open. */
async function checkPackages(place: string): Promise<void> {
  const { registry } = await snapshotOf(join(place, 'data'))
  const serials = (registry?.devices ?? [])
    .flatMap(({ certificates }) => certificates)
    .map(({ serial }) => serial.slice(0, 8))
  const packages = await readdir(join(place, 'packages')).catch(() => [])
  const packed = packages.map((name) => /-([0-9a-f]{8})\.p12$/.exec(name)?.[1])
  for (const serial of packed) assert.ok(serials.includes(present(serial)), packages.join(' '))
  // The first is that of the old device, which was printed.
  assert.equal(packed.length, serials.length - 1, packages.join(' '))
}

async function checkAfter(place: string, given: Case): Promise<void> {
  const again = await runAgain(place, given)
  if (again.exitCode !== 0) assert.match(again.stderr, given.doneBefore ?? /only success/)
  if (given.argv.includes('packages')) await checkPackages(place)
  await checkServes(place, given).catch((error: unknown) => {
    // Renewed a second time, if the first time was the whole of it.
    if (given.argv[1] !== 'renew') throw error
  })
  // A start tidies up only what it has to; a command all of it.
  if (given.isFirst) {
    const change = { dataDir: join(place, 'data'), who: 'test', nowSeconds: NOON_SECONDS }
    await changeDirectory(change, async () => undefined)
  }
  const left = Object.keys(await treeOf(place))
    .filter((name) => /\.tmp|next-ca|undel/.test(name))
    // State files of services; leftovers there are removed after an hour.
    .filter((name) => !name.includes('/running/'))
    // Claim files, which are written without a lock; leftovers are also removed after an hour.
    .filter((name) => !/invitations\/.*\.claim\./.test(name))
  assert.deepEqual(left, [])
}

const runFaulty = (place: string, { argv }: Case, fault: Fault): Promise<FaultyRun> =>
  runWithFault([MAIN, ...argv], fault, { cwd: place })

describe('After a kill at any point the directory works and the same command can be run again', {
  concurrency: 3,
}, () => {
  for (const [index, given] of CASES.entries()) {
    test(`certlatch ${given.argv.slice(0, 3).join(' ')}`, async (context) => {
      let place = ''
      const points = await crashPoints(
        'kill',
        async (fault) => {
          place = await prepare(`kill-${index}`, given)
          return runFaulty(place, given, fault)
        },
        async ({ isStruck, exitCode, stderr }, at) => {
          try {
            assert.equal(exitCode, isStruck ? undefined : 0, stderr)
            if (at % 2 === 0) await checkServes(place, given)
            await checkAfter(place, given)
          } catch (error) {
            throw new Error(`killed before change ${at}: ${String(error)}`)
          }
        },
      )
      context.diagnostic(`${points} changes`)
      assert.ok(points > 5)
    })
  }
})

describe('A momentarily full disk is reported in one line, and the command can be run again', {
  concurrency: 3,
}, () => {
  for (const [index, given] of CASES.entries()) {
    test(`certlatch ${given.argv.slice(0, 3).join(' ')}`, async () => {
      let place = ''
      await crashPoints(
        'ENOSPC',
        async (fault) => {
          place = await prepare(`full-${index}`, given)
          return runFaulty(place, given, fault)
        },
        async ({ exitCode, stderr }, at) => {
          try {
            // What is merely tidied up may fail in silence.
            // And behind a revocation's commit point there is more to be said than that it failed.
            if (exitCode !== 0 && !stderr.includes('the revocation is in effect')) {
              assertOneLine(exitCode, stderr)
            }
            await checkAfter(place, given)
          } catch (error) {
            throw new Error(`failed at change ${at}: ${stderr}\n${String(error)}`)
          }
        },
      )
    })
  }
})

describe('In a read-only directory nothing changes, and one line says so', () => {
  for (const [index, given] of CASES.entries()) {
    test(`certlatch ${given.argv.slice(0, 3).join(' ')}`, async () => {
      const place = await prepare(`read-only-${index}`, given)
      const found = await treeOf(place)
      const { exitCode, stderr } = await runFaulty(place, given, { at: 1, kind: 'EROFS' })
      assertOneLine(exitCode, stderr)
      assert.match(stderr, /is on a read-only file system/)
      assert.deepEqual(await treeOf(place), found)
    })
  }
})

function assertOneLine(exitCode: number | undefined, stderr: string): void {
  assert.equal(exitCode, 1, stderr)
  assert.doesNotMatch(stderr, /internal error/)
  // What an import is going to do is reported in advance.
  const lines = stderr
    .split('\n')
    .filter((line) => /disk is full|read-only|cannot|power cut/.test(line))
  assert.equal(lines.length, 1, stderr)
}
