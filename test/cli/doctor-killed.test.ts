import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { initialize } from '../../src/administration/initialize.ts'
import { dataPaths } from '../../src/store/data-directory.ts'
import { runCommand, startCommand } from '../e2e/support/certlatch.ts'
import { temporaryFolder } from '../support/service.ts'

/** Accepts connections and sends nothing, so that a run lasts until it is killed. */
const silent = createServer()
silent.listen(0, '127.0.0.1')
await once(silent, 'listening')
after(() => silent.close())
const { port } = silent.address() as { port: number }

const dataDir = join(await temporaryFolder(), 'data')
const environment = { CERTLATCH_DATA_DIR: dataDir }
const { authority, devices, doctor } = dataPaths(dataDir)
const everything = { authority: true, revocationList: true, sessionKeys: true }
await initialize(dataDir, everything, {}, Math.floor(Date.now() / 1000))

/** Starts `certlatch doctor`, and kills it once it has connected. */
async function killDoctor(): Promise<void> {
  const arrived = once(silent, 'connection') as Promise<[Socket]>
  const way = ['https://home.example', '--connect', `127.0.0.1:${port}`]
  const child = startCommand(environment, 'doctor', ...way)
  const [socket] = await arrived
  socket.on('error', () => undefined)
  child.kill('SIGKILL')
  await once(child, 'exit')
  socket.destroy()
}

async function ownEntry(): Promise<{ readonly certificates: readonly unknown[] }> {
  const names = await readdir(devices)
  const all = await Promise.all(names.map((name) => readFile(join(devices, name), 'utf8')))
  return all.map((text) => JSON.parse(text)).find((entry) => entry.doctor === true)
}

async function listed(): Promise<readonly string[]> {
  const { stdout } = await runCommand(environment, 'device', 'list', '--json')
  return JSON.parse(stdout).devices.map(({ name }: { readonly name: string }) => name)
}

/** Commands that change the data directory, run one after another. */
const NEXT: readonly (readonly string[])[] = [
  ['device', 'add', 'Phone', '--format', 'pem', '--out', '-'],
  ['device', 'invite', 'Tablet', '--url', 'https://home.example'],
  ['device', 'renew', 'Phone', '--format', 'pem', '--out', '-'],
  ['device', 'sign-out', 'Phone'],
  ['device', 'revoke', 'Phone'],
  ['device', 'block', '--serial', '4f1c08', '--issuer', authority],
  ['key', 'rotate'],
  ['ca', 'renew'],
  ['doctor', 'https://home.example', '--connect', '127.0.0.1:1', '--only', 'name'],
]

for (const args of NEXT) {
  test(`A killed doctor is cleaned up by certlatch ${args.slice(0, 2).join(' ')}`, async () => {
    await killDoctor()
    assert.equal((await ownEntry()).certificates.length, 1)
    const { code, stderr } = await runCommand(environment, ...args)
    assert.equal(code, 0, stderr)
    assert.deepEqual((await ownEntry()).certificates, [])
    await assert.rejects(readFile(doctor), { code: 'ENOENT' })
    assert.equal((await readdir(devices)).length, (await listed()).length + 1)
  })
}

test('A killed doctor is shown by no command that only reads', async () => {
  await killDoctor()
  assert.equal((await ownEntry()).certificates.length, 1)
  assert.deepEqual(await listed(), ['Phone', 'Tablet'])
  const shown = await runCommand(environment, 'device', 'show', 'certlatch doctor')
  assert.match(shown.stderr, /there is no device "certlatch doctor"/)
})
