import assert from 'node:assert/strict'
import { copyFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { claimInvitation } from '../../src/administration/claim-invitation.ts'
import { qrCode } from '../../src/cli/qr-code.ts'
import { listInvitations } from '../../src/store/invitations.ts'
import { certlatch, initialized } from '../support/command.ts'
import { NOON_SECONDS } from '../support/service.ts'

test('A QR code is black on white by its own colours, with a margin of four cells', () => {
  const lines = qrCode(`https://home.example.org/.certlatch/auth/enroll#${'a'.repeat(20)}`).split(
    '\n',
  )
  const cells = lines.map((line) => {
    assert.ok(line.startsWith('\u001b[38;5;16;48;5;231m') && line.endsWith('\u001b[0m'))
    return line.slice('\u001b[38;5;16;48;5;231m'.length, -'\u001b[0m'.length)
  })
  const [width] = new Set(cells.map(({ length }) => length))
  assert.equal(
    cells.every(({ length }) => length === width),
    true,
  )
  assert.match(cells[0] ?? '', /^ +$/)
  assert.match(cells[1] ?? '', /^ +$/)
  assert.ok(cells.every((line) => line.startsWith('    ') && line.endsWith('    ')))
  assert.match(cells[2] ?? '', /^ {4}█▀▀▀▀▀█/)
})

test('device show names what collected the invitation', async () => {
  const directory = await initialized()
  const environment = { CERTLATCH_DATA_DIR: directory.dataDir, CERTLATCH_URL: 'https://ha.test' }
  const waited = await certlatch(
    ['device', 'invite', 'Phone', '--key', 'p256', '--json'],
    environment,
  )
  const { code } = JSON.parse(waited.stdout).invitation
  assert.match(code, /^[a-km-np-z2-9]{20}$/)
  const claimed = await claimInvitation(
    {
      ...{ dataDir: directory.dataDir, revocationList: undefined, host: 'ha.test' },
      nowSeconds: NOON_SECONDS,
      exists: () => Promise.resolve(true),
      isAcceptable: () => Promise.resolve(true),
    },
    code,
    { nonce: 'one', by: 'iPhone, Safari, from 203.0.113.7', onUnmarked: () => {} },
  )
  assert.equal(claimed.ok, true)
  const shown = await certlatch(['device', 'show', 'Phone'], environment)
  assert.match(shown.stdout, /collected .* by iPhone, Safari, from 203\.0\.113\.7/)
})

test('Stopping the wait leaves the invitation valid', async () => {
  const directory = await initialized()
  const environment = { CERTLATCH_DATA_DIR: directory.dataDir, CERTLATCH_URL: 'https://ha.test' }
  const words = ['device', 'invite', 'Phone', '--key', 'p256', '--wait', '--qr']
  const { exitCode, stdout, stderr } = await certlatch(words, environment)
  assert.equal(exitCode, 1)
  assert.match(stderr, /not collected so far; the invitation is valid until 2026-11-25 12:00 UTC/)
  assert.match(stdout, /█▀▀▀▀▀█/)
  assert.equal((await listInvitations(directory.paths.invitations)).waiting.length, 1)
})

test('Blocking a certificate that was not collected says that the invitation has ended', async () => {
  const directory = await initialized()
  const environment = { CERTLATCH_DATA_DIR: directory.dataDir, CERTLATCH_URL: 'https://ha.test' }
  await certlatch(['device', 'invite', 'Phone', '--key', 'p256'], environment)
  const [file = ''] = await readdir(directory.paths.certificates)
  const path = join(directory.paths.certificates, file)
  const copy = join(directory.dataDir, 'copy.crt')
  await copyFile(path, copy)
  const block = ['device', 'block', '--certificate', copy]
  const blocked = await certlatch(block, environment)
  assert.match(blocked.stderr, /^its invitation has ended, which --lift does not undo: /m)
  const lifted = await certlatch([...block, '--lift'], environment)
  assert.doesNotMatch(lifted.stderr, /invitation/)
  const { stdout } = await certlatch(['device', 'list'], environment)
  assert.match(stdout, /^Phone .* no-certificate$/m)
})

test('device renew says that it has ended an open invitation', async () => {
  const directory = await initialized()
  const environment = { CERTLATCH_DATA_DIR: directory.dataDir, CERTLATCH_URL: 'https://ha.test' }
  await certlatch(['device', 'invite', 'Phone', '--key', 'p256'], environment)
  const renew = ['device', 'renew', 'Phone', '--format', 'pem', '--out', '-']
  const first = await certlatch(renew, environment)
  assert.match(first.stderr, /^the device's open invitation has ended: its link does not work/m)
  assert.doesNotMatch(first.stderr, /previous certificate/)
  const second = await certlatch(renew, environment)
  assert.doesNotMatch(second.stderr, /invitation/)
  assert.match(second.stderr, /the previous certificate keeps working until/)
})
