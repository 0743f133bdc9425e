import assert from 'node:assert/strict'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { addDevice } from '../../src/administration/add-device.ts'
import { blockCertificate } from '../../src/administration/block-certificate.ts'
import { changeDirectory } from '../../src/administration/change-directory.ts'
import {
  claimInvitation,
  findInvitation,
  finishEnrollment,
  openTicket,
  type Place,
  sweepInvitations,
} from '../../src/administration/claim-invitation.ts'
import { reportDevices } from '../../src/administration/device-report.ts'
import {
  type InviteOptions,
  inviteDevice,
  takeBackInvited,
} from '../../src/administration/invite-device.ts'
import { renewDevice } from '../../src/administration/renew-device.ts'
import { revokeDevice } from '../../src/administration/revoke-device.ts'
import { endOpenInvitation } from '../../src/administration/settle-invitations.ts'
import { unseal } from '../../src/enrollment/sealing.ts'
import { acceptedUntil } from '../../src/store/device-registry.ts'
import { readCollected, readInvitation, settle } from '../../src/store/invitations.ts'
import {
  certlatch,
  initialized,
  problemOf,
  type TestDirectory,
  treeOf,
} from '../support/command.ts'
import { NOON_SECONDS } from '../support/service.ts'

const OPTIONS: InviteOptions = {
  days: 397,
  key: 'p256',
  validSeconds: 86_400,
  site: 'https://ha.test',
  overlapSeconds: undefined,
}
const PHONE = { name: "Ada's phone", owner: 'Ada' }
const CLAIMANT = {
  nonce: 'one',
  by: 'iPhone, Safari, from 203.0.113.7',
  onUnmarked: (error: unknown) => {
    throw error
  },
}

const place = (directory: TestDirectory, laterSeconds = 0, more: Partial<Place> = {}): Place => ({
  dataDir: directory.dataDir,
  host: 'ha.test',
  nowSeconds: NOON_SECONDS + laterSeconds,
  exists: () => Promise.resolve(true),
  isAcceptable: () => Promise.resolve(true),
  ...more,
})

const invite = (directory: TestDirectory, options: Partial<InviteOptions> = {}, later = 0) =>
  inviteDevice(directory.change(later), PHONE, { ...OPTIONS, ...options })

const filesOf = async (directory: TestDirectory): Promise<readonly string[]> => {
  const names = await readdir(directory.paths.invitations)
  return names.map((name) => name.replace(/^[0-9a-f]{32}/, '')).sort()
}

const settleLater = (directory: TestDirectory, later: number) =>
  changeDirectory(directory.change(later), () => Promise.resolve())

const stateOf = async (directory: TestDirectory, later = 0) =>
  (await reportDevices(directory.paths, NOON_SECONDS + later)).map(({ name, state }) => [
    name,
    state,
  ])

test('An invited device exists, and its certificate is accepted only until the invitation expires', async () => {
  const directory = await initialized()
  const { code, invitation, certificate } = await invite(directory)
  assert.match(code, /^[a-km-np-z2-9]{20}$/)
  assert.equal(invitation.endsAt, NOON_SECONDS + 86_400)
  assert.equal(acceptedUntil(certificate), NOON_SECONDS + 86_400)
  assert.deepEqual(await stateOf(directory), [["Ada's phone", 'invited']])
})

test('Neither the code nor the secrets it protects are stored in the directory', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  const found = await claimInvitation(place(directory), code, CLAIMANT)
  assert.ok(found.ok)
  for (const [name, content] of Object.entries(await treeOf(directory.dataDir))) {
    assert.ok(!content.includes(code), name)
    assert.ok(!content.includes(found.packages.password), name)
    assert.ok(!content.includes(found.ticket.slice(33)), name)
    if (name.includes('invitations/')) assert.doesNotMatch(content, /PRIVATE KEY/)
  }
})

test('A stolen directory opens nothing: no text in any file is the code, before or after the claim', async () => {
  const directory = await initialized()
  const { code, invitation } = await invite(directory)
  const { id } = invitation
  const opensAny = async (sealed: Buffer, purpose: 'code' | 'cookie') => {
    const tree = Object.entries(await treeOf(directory.dataDir))
    const words = tree.flatMap(([name, content]) => [
      content,
      name,
      ...`${name} ${content}`.split(/[^\w+/=-]+/),
    ])
    return [...new Set(words)].some(
      (secret) => unseal(sealed, { secret, purpose, id }) !== undefined,
    )
  }
  const sealed = (await readInvitation(directory.paths.invitations, id))?.sealed ?? Buffer.alloc(0)
  assert.ok(unseal(sealed, { secret: code, purpose: 'code', id }))
  assert.equal(await opensAny(sealed, 'code'), false)
  await claimInvitation(place(directory), code, CLAIMANT)
  const kept = await readCollected(directory.paths.invitations, id)
  assert.ok(kept)
  assert.equal(await opensAny(sealed, 'code'), false)
  assert.equal(await opensAny(kept, 'cookie'), false)
})

test('Looking at an invitation does not claim it', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  for (let look = 0; look < 3; look += 1) {
    const found = await findInvitation(place(directory), code)
    assert.equal(found.ok && found.invitation.device.name, "Ada's phone")
  }
  assert.deepEqual(await stateOf(directory), [["Ada's phone", 'invited']])
})

test('Claiming it returns the packages, and the registry records what claimed it', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  const claimed = await claimInvitation(place(directory, 60), code, CLAIMANT)
  assert.ok(claimed.ok)
  assert.equal(claimed.isReplay, false)
  assert.match(claimed.packages.password, /^[a-z2-9]{4}(-[a-z2-9]{4}){4}$/)
  const [report] = await reportDevices(directory.paths, NOON_SECONDS + 60)
  assert.equal(report?.state, 'active')
  const [certificate] = report?.certificates ?? []
  assert.equal(certificate?.invitation?.collectedAt, NOON_SECONDS + 60)
  assert.equal(certificate?.invitation?.collectedBy, CLAIMANT.by)
  assert.equal(certificate && acceptedUntil(certificate), undefined)
})

test('A second claimant learns that it was used, and when', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  await claimInvitation(place(directory, 60), code, CLAIMANT)
  const other = { ...CLAIMANT, nonce: 'two' }
  assert.deepEqual(await claimInvitation(place(directory, 70), code, other), {
    ok: false,
    problem: 'used',
    at: NOON_SECONDS + 60,
  })
})

test('The same claimant gets the same answer again for an hour', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  const first = await claimInvitation(place(directory), code, CLAIMANT)
  const again = await claimInvitation(place(directory, 3_599), code, CLAIMANT)
  assert.ok(first.ok && again.ok)
  assert.equal(again.isReplay, true)
  assert.deepEqual(again.packages, first.packages)
  assert.equal(again.claim.at, NOON_SECONDS)
  const late = await claimInvitation(place(directory, 3_600), code, CLAIMANT)
  assert.deepEqual(late, { ok: false, problem: 'used', at: NOON_SECONDS })
})

test('Of fifty simultaneous claims exactly one succeeds', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      claimInvitation(place(directory), code, { ...CLAIMANT, nonce: `n${index}` }),
    ),
  )
  assert.equal(answers.filter(({ ok }) => ok).length, 1)
  assert.ok(answers.every((answer) => answer.ok || answer.problem === 'used'))
})

test('Under another host, or with another code, it is unknown', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  const elsewhere = place(directory, 0, { host: 'evil.test' })
  const unknown = { ok: false, problem: 'unknown' }
  assert.deepEqual(await findInvitation(elsewhere, code), unknown)
  assert.deepEqual(await claimInvitation(elsewhere, code, CLAIMANT), unknown)
  assert.deepEqual(await findInvitation(place(directory), 'a'.repeat(20)), unknown)
})

test('After it expires it cannot be collected, and the next command revokes the certificate', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  const late = place(directory, 86_400)
  assert.deepEqual(await claimInvitation(late, code, CLAIMANT), { ok: false, problem: 'ended' })
  assert.deepEqual(await stateOf(directory, 86_400), [["Ada's phone", 'no-certificate']])
  await settleLater(directory, 86_400)
  assert.deepEqual(await filesOf(directory), ['.claim'])
  assert.deepEqual(await readdir(directory.paths.certificates), [])
  assert.deepEqual(await findInvitation(late, code), { ok: false, problem: 'ended' })
})

test('A device whose package was never collected can be invited again, which invalidates the earlier link', async () => {
  const directory = await initialized()
  const first = await invite(directory)
  const second = await invite(directory)
  assert.deepEqual(await findInvitation(place(directory), first.code), {
    ok: false,
    problem: 'ended',
  })
  assert.ok((await findInvitation(place(directory), second.code)).ok)
  const [report] = await reportDevices(directory.paths, NOON_SECONDS)
  assert.equal(report?.certificates.length, 1)
  assert.deepEqual(await filesOf(directory), ['.claim', '.json'])
})

test('An existing device can only be invited to a renewal', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  await claimInvitation(place(directory), code, CLAIMANT)
  assert.match(await problemOf(invite(directory)), /there is a device "Ada's phone" already/)
  assert.match(
    await problemOf(
      inviteDevice(
        directory.change(),
        { name: 'Nobody', owner: undefined },
        { ...OPTIONS, overlapSeconds: 0 },
      ),
    ),
    /there is no device "Nobody"/,
  )
})

test('A renewal changes nothing until it is collected; only then does the overlap start', async () => {
  const directory = await initialized()
  const issue = directory.issue()
  const added = await addDevice(directory.change(), PHONE, issue)
  const renewal = await invite(directory, { overlapSeconds: 100 })
  assert.equal(renewal.device.certificates.length, 2)
  const certificates = async () =>
    (await reportDevices(directory.paths, NOON_SECONDS))[0]?.certificates ?? []
  assert.equal((await certificates())[0]?.endsAt, undefined)
  assert.deepEqual(await stateOf(directory), [["Ada's phone", 'active']])
  await claimInvitation(place(directory, 5_000), renewal.code, CLAIMANT)
  const [old, renewed] = await certificates()
  assert.equal(old?.serial, added.certificate.serial)
  assert.equal(old?.endsAt, NOON_SECONDS + 5_100)
  assert.equal(renewed?.endsAt, undefined)
})

test('Renewing a device by file ends its open invitation, whose link then ends nothing', async () => {
  const directory = await initialized()
  await addDevice(directory.change(), PHONE, directory.issue())
  const { code } = await invite(directory, { overlapSeconds: 5 })
  const renewed = await renewDevice(directory.change(10), PHONE.name, directory.issue(), 5)
  assert.ok(renewed.hasEndedInvitation)
  assert.equal(renewed.othersEndAt, NOON_SECONDS + 15)
  assert.deepEqual(await findInvitation(place(directory, 20), code), {
    ok: false,
    problem: 'ended',
  })
  const [report] = await reportDevices(directory.paths, NOON_SECONDS + 60)
  assert.deepEqual(
    report?.certificates.map(({ state, endsAt }) => [state, endsAt]),
    [
      ['replaced', NOON_SECONDS + 15],
      ['active', undefined],
    ],
  )
  const again = await renewDevice(directory.change(60), PHONE.name, directory.issue(), 5)
  assert.ok(!again.hasEndedInvitation)
})

test('A device that was only invited has no previous certificate to renew', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  const renewed = await renewDevice(directory.change(10), PHONE.name, directory.issue(), 86_400)
  assert.ok(renewed.hasEndedInvitation)
  assert.equal(renewed.othersEndAt, undefined)
  assert.equal(renewed.device.certificates.length, 1)
  assert.equal((await claimInvitation(place(directory, 20), code, CLAIMANT)).ok, false)
})

test('An invitation that was collected meanwhile is not ended by a renewal', async () => {
  const directory = await initialized()
  const { device, invitation } = await invite(directory)
  const claim = { outcome: 'collected', at: NOON_SECONDS, nonceHash: 'a', by: 'x' } as const
  const ending = changeDirectory(directory.change(10), async (locked) => {
    await settle(directory.paths.invitations, invitation.id, claim)
    return await endOpenInvitation(locked, { devices: [device], broken: [] }, device)
  })
  assert.match(await problemOf(ending), /^the invitation of "Ada's phone" was collected just now/)
})

test('A device whose invitation was revoked is revoked for good', async () => {
  const directory = await initialized()
  await invite(directory)
  await revokeDevice(directory.change(10), PHONE.name, 'all', 'unspecified')
  assert.match(
    await problemOf(invite(directory, {}, 20)),
    /^there is a device "Ada's phone" already\nhint: it is revoked for good; give its replacement/,
  )
  assert.match(
    await problemOf(invite(directory, { overlapSeconds: 0 }, 20)),
    /^all certificates of "Ada's phone" are revoked\nhint: invite its replacement under a new name/,
  )
})

test('After a renewal by invitation was revoked, the device can be invited to another', async () => {
  const directory = await initialized()
  await addDevice(directory.change(), PHONE, directory.issue())
  const { serial } = (await invite(directory, { overlapSeconds: 0 })).certificate
  await revokeDevice(directory.change(10), PHONE.name, { serial }, 'unspecified')
  const { code, device } = await invite(directory, { overlapSeconds: 0 }, 20)
  assert.deepEqual(
    device.certificates.map(({ revokedAt }) => revokedAt),
    [undefined, NOON_SECONDS + 10, undefined],
  )
  assert.ok((await claimInvitation(place(directory, 30), code, CLAIMANT)).ok)
})

test('What is not collected yet does not count as the end of the device', async () => {
  const directory = await initialized()
  const [end, days] = [NOON_SECONDS + 10 * 86_400, 10]
  const { certificate } = await addDevice(directory.change(), PHONE, directory.issue({ days }))
  assert.equal(certificate.notAfter, end)
  await invite(directory, { overlapSeconds: 0 })
  await inviteDevice(directory.change(), { name: 'Tablet', owner: undefined }, OPTIONS)
  const environment = { CERTLATCH_DATA_DIR: directory.dataDir }
  const { stdout } = await certlatch(['device', 'list'], environment)
  assert.match(stdout, /^Ada's phone .* 10 days .* active$/m)
  assert.match(stdout, /^Tablet .* - +never +invited$/m)
})

test('A renewal that is never collected leaves the device as it was', async () => {
  const directory = await initialized()
  await addDevice(directory.change(), PHONE, directory.issue())
  const before = await treeOf(directory.paths.devices)
  await invite(directory, { overlapSeconds: 0 })
  await settleLater(directory, 86_400)
  assert.deepEqual(await treeOf(directory.paths.devices), before)
})

test('A revocation ends the invitation, collected or not, and deletes the packages', async () => {
  for (const isCollected of [false, true]) {
    const directory = await initialized()
    const { code } = await invite(directory)
    if (isCollected) await claimInvitation(place(directory), code, CLAIMANT)
    await revokeDevice(directory.change(10), "Ada's phone", 'all', 'unspecified')
    const answer = await claimInvitation(place(directory, 20), code, CLAIMANT)
    assert.equal(answer.ok, false)
    assert.deepEqual(await filesOf(directory), ['.claim'])
    assert.deepEqual(await stateOf(directory, 20), [["Ada's phone", 'revoked']])
  }
})

test('A block does the same', async () => {
  for (const isCollected of [false, true]) {
    const directory = await initialized()
    const { code, certificate } = await invite(directory)
    if (isCollected) await claimInvitation(place(directory), code, CLAIMANT)
    await blockCertificate(directory.change(10), certificate)
    assert.equal((await claimInvitation(place(directory, 20), code, CLAIMANT)).ok, false)
    assert.deepEqual(await filesOf(directory), ['.claim'])
  }
})

test('With a claim, a revocation and the expiry at once, the first decides, and a revoked device never has access', async () => {
  for (let round = 0; round < 3; round += 1) {
    const directory = await initialized()
    const { code } = await invite(directory)
    const claimant = { ...CLAIMANT, onUnmarked: () => {} }
    const claiming = claimInvitation(place(directory), code, claimant)
    // An invitation that has expired already cannot be revoked.
    await Promise.allSettled([
      revokeDevice(directory.change(10), "Ada's phone", 'all', 'unspecified'),
      sweepInvitations(directory.change(86_400)),
    ])
    const claimed = await claiming
    const outcome = claimed.ok ? 'collected' : 'ended'
    await settleLater(directory, 86_400)
    const again = await claimInvitation(place(directory, 20), code, claimant)
    assert.equal(again.ok, false)
    if (outcome === 'collected') assert.equal(!again.ok && again.problem, 'used')
    assert.deepEqual(await filesOf(directory), ['.claim'])
    const [[, state] = []] = await stateOf(directory, 86_500)
    assert.ok(state === 'revoked' || state === 'no-certificate', state)
  }
})

test('A certificate that would be refused by now is not handed out', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  const refused = place(directory, 0, { isAcceptable: () => Promise.resolve(false) })
  assert.deepEqual(await claimInvitation(refused, code, CLAIMANT), { ok: false, problem: 'ended' })
  assert.ok((await findInvitation(place(directory), code)).ok)
})

test('A certificate that becomes refused during collection is not handed out either', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  let looks = 0
  const isAcceptable = () => {
    looks += 1
    return Promise.resolve(looks === 1)
  }
  const answer = await claimInvitation(place(directory, 0, { isAcceptable }), code, CLAIMANT)
  assert.deepEqual(answer, { ok: false, problem: 'ended' })
})

test('The ticket, and no other, gives access to the packages for an hour', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  const claimed = await claimInvitation(place(directory), code, CLAIMANT)
  assert.ok(claimed.ok)
  const { ticket } = claimed
  const held = await openTicket(place(directory, 3_599), ticket)
  assert.deepEqual(held?.packages, claimed.packages)
  const flipped = `${ticket.slice(0, -2)}${ticket.endsWith('AA') ? 'BA' : 'AA'}`
  for (const other of ['', ticket.slice(0, -1), flipped, `${'0'.repeat(32)}${ticket.slice(32)}`]) {
    assert.equal(await openTicket(place(directory), other), undefined)
  }
  assert.equal(await openTicket(place(directory, 3_600), ticket), undefined)
  const refused = place(directory, 0, { isAcceptable: () => Promise.resolve(false) })
  assert.equal(await openTicket(refused, ticket), undefined)
})

test('After "done" neither the ticket nor the code gives anything out again', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  const claimed = await claimInvitation(place(directory), code, CLAIMANT)
  assert.ok(claimed.ok)
  assert.equal(await finishEnrollment(place(directory), 'nonsense'), false)
  assert.equal(await finishEnrollment(place(directory), claimed.ticket), true)
  assert.deepEqual(await filesOf(directory), ['.claim'])
  assert.equal(await openTicket(place(directory), claimed.ticket), undefined)
  const again = await claimInvitation(place(directory, 9), code, CLAIMANT)
  assert.deepEqual(again, { ok: false, problem: 'used', at: NOON_SECONDS })
  assert.equal(await finishEnrollment(place(directory), claimed.ticket), false)
})

test('The packages are deleted an hour after collection, and the record a month later', async () => {
  const directory = await initialized()
  const { code } = await invite(directory)
  await claimInvitation(place(directory), code, CLAIMANT)
  await settleLater(directory, 3_599)
  assert.deepEqual(await filesOf(directory), ['.claim', '.collected', '.json'])
  await sweepInvitations(directory.change(3_600))
  assert.deepEqual(await filesOf(directory), ['.claim'])
  await settleLater(directory, 30 * 86_400)
  assert.deepEqual(await filesOf(directory), [])
})

test('An invitation whose code could not be printed is rolled back', async () => {
  const directory = await initialized()
  const invited = await invite(directory)
  await takeBackInvited(directory.change(), invited)
  assert.deepEqual(await stateOf(directory), [["Ada's phone", 'no-certificate']])
  assert.deepEqual(await filesOf(directory), ['.claim'])
})

test('An unreadable entry has no say about an invitation', async () => {
  const directory = await initialized()
  const { code, device } = await invite(directory)
  const path = join(directory.paths.devices, `${device.id}.json`)
  const whole = await readFile(path, 'utf8')
  await writeFile(path, 'broken')
  await settleLater(directory, 10)
  assert.deepEqual(await filesOf(directory), ['.json'])
  await writeFile(path, whole)
  assert.ok((await findInvitation(place(directory), code)).ok)
  await rm(path)
  await settleLater(directory, 10)
  assert.deepEqual(await filesOf(directory), ['.claim'])
})
