import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { changeDirectory } from '../../src/administration/change-directory.ts'
import { claimInvitation, type Place } from '../../src/administration/claim-invitation.ts'
import { reportDevices } from '../../src/administration/device-report.ts'
import { inviteDevice } from '../../src/administration/invite-device.ts'
import { dataPaths } from '../../src/store/data-directory.ts'
import { initialized } from '../support/command.ts'
import { crashPoints, runWithFault } from '../support/faults.ts'
import { NOON_SECONDS } from '../support/service.ts'

const PROGRAM = fileURLToPath(new URL('../support/claim-program.js', import.meta.url))
const NOW = String(NOON_SECONDS)

let folder = ''
let template = ''
let code = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'certlatch-crash-'))
  const directory = await initialized()
  const options = { days: 397, key: 'p256', validSeconds: 86_400, site: 'https://ha.test' } as const
  const device = { name: 'Phone', owner: undefined }
  const renewal = { ...options, overlapSeconds: undefined }
  code = (await inviteDevice(directory.change(), device, renewal)).code
  template = directory.dataDir
})
after(() => rm(folder, { recursive: true, force: true }))

const placeOf = (dataDir: string): Place => ({
  ...{ dataDir, revocationList: undefined, host: 'ha.test', nowSeconds: NOON_SECONDS },
  exists: () => Promise.resolve(true),
  isAcceptable: () => Promise.resolve(true),
})

const claimant = (nonce: string) => ({
  ...{ nonce, by: 'a test' },
  onUnmarked: (error: unknown) => {
    throw error
  },
})

test('Whenever a claim is killed, its own page gets the answer; no other page does if the claim counted', async (context) => {
  let dataDir = ''
  let run = 0
  const points = await crashPoints(
    'kill',
    async (fault) => {
      run += 1
      dataDir = join(folder, String(run))
      await cp(template, dataDir, { recursive: true })
      return runWithFault([PROGRAM, dataDir, code, NOW], fault)
    },
    async (_, at) => {
      const isOdd = at % 2 === 1
      // By turns: the next visit finds what is there, or the next command does.
      if (isOdd) {
        const change = { dataDir, who: 'test', nowSeconds: NOON_SECONDS }
        await changeDirectory(change, () => Promise.resolve())
      }
      const other = await claimInvitation(placeOf(dataDir), code, claimant('two'))
      const own = await claimInvitation(placeOf(dataDir), code, claimant('one'))
      assert.equal([other, own].filter(({ ok }) => ok).length, 1, `killed before change ${at}`)
      const [report] = await reportDevices(dataPaths(dataDir), NOON_SECONDS)
      assert.equal(report?.state, 'active')
    },
  )
  context.diagnostic(`${points} changes`)
  assert.ok(points > 5)
})

for (const kind of ['ENOSPC', 'EROFS'] as const) {
  test(`Whichever write of a claim fails (${kind}), the claim is reported and undone, or it counts`, async (context) => {
    let dataDir = ''
    const outcomes = new Set<string>()
    const points = await crashPoints(
      kind,
      async (fault) => {
        dataDir = join(folder, `${kind}-${fault.at}`)
        await cp(template, dataDir, { recursive: true })
        return runWithFault([PROGRAM, dataDir, code, NOW], fault)
      },
      async ({ stdout, exitCode }, at) => {
        assert.equal(exitCode, 0, `at change ${at}`)
        const isCollected = stdout.trim() !== 'read-only'
        outcomes.add(isCollected ? 'collected' : 'read-only')
        const other = await claimInvitation(placeOf(dataDir), code, claimant('two'))
        const said = other.ok ? 'collected' : other.problem
        assert.equal(said, isCollected ? 'used' : 'collected', `at change ${at}: ${stdout}`)
      },
    )
    context.diagnostic(`${points} changes`)
    assert.deepEqual([...outcomes].sort(), ['collected', 'read-only'])
  })
}

test('Of fifty processes that claim at once exactly one succeeds', async () => {
  const dataDir = join(folder, 'race')
  await cp(template, dataDir, { recursive: true })
  const claim = (nonce: string) =>
    new Promise<string>((resolve) => {
      const options = { env: { PATH: process.env['PATH'] ?? '', NONCE: nonce } }
      execFile(process.execPath, [PROGRAM, dataDir, code, NOW], options, (_error, stdout) =>
        resolve(stdout.trim()),
      )
    })
  const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => claim(`n${index}`)))
  assert.equal(answers.filter((answer) => answer === 'used').length, 49, answers.join(' '))
  assert.equal(answers.filter((answer) => /^[a-z2-9-]{24}$/.test(answer)).length, 1)
})
