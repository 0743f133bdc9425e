// A device enrols itself through each proxy: from the invitation's link to the application, by session
// and by the certificate that it has downloaded.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { type HeaderLine, valuesOf } from './support/backend.ts'
import { runCommand, startCommand } from './support/certlatch.ts'
import { HOST } from './support/client.ts'
import { type Answer, type Gate, startGate, startWorld, type World } from './support/gate.ts'
import { CADDY, HAPROXY, NGINX, TRAEFIK } from './support/proxies.ts'
import { until } from './support/tools.ts'

const ENROLL = '/.certlatch/auth/enroll'
const NAVIGATION: readonly HeaderLine[] = [
  ['Sec-Fetch-Mode', 'navigate'],
  ['Sec-Fetch-Dest', 'document'],
  ['Sec-Fetch-Site', 'same-origin'],
]

for (const kind of [TRAEFIK, CADDY, NGINX, HAPROXY]) {
  describe(`Behind ${kind.dialect}`, () => {
    let world: World
    let gate: Gate
    let folder = ''
    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'certlatch-enroll-'))
      world = await startWorld(kind, 'own')
      gate = await startGate(world)
    })
    after(async () => {
      await gate?.close()
      await world?.close()
      rmSync(folder, { recursive: true, force: true })
    })

    const ownOrigin: readonly HeaderLine[] = [
      ['Origin', `https://${HOST}`],
      ['Sec-Fetch-Site', 'same-origin'],
      ['Content-Type', 'application/json'],
    ]
    const post = (path: string, fields: object, headers: readonly HeaderLine[] = ownOrigin) =>
      gate.send({ method: 'POST', path, body: Buffer.from(JSON.stringify(fields)), headers })
    const cookiesOf = ({ headers }: Answer) =>
      (headers['set-cookie'] ?? []).map((line) => line.split(';')[0]).join('; ')

    async function invite(name: string): Promise<string> {
      const args = ['device', 'invite', name, '--url', `https://${HOST}`, '--json']
      const { code, stdout, stderr } = await runCommand(world.certlatch.environment, ...args)
      assert.equal(code, 0, stderr)
      return JSON.parse(stdout).invitation.code
    }

    test('the invitation leads to the application, first with the session and then with the certificate', async () => {
      const code = await invite('Phone')
      const page = await gate.send({ path: ENROLL })
      assert.equal(page.status, 200)
      assert.equal(page.seen, undefined)
      const looked = await post(`${ENROLL}/look`, { code })
      assert.equal(looked.status, 200, looked.body)
      assert.equal(JSON.parse(looked.body).device, 'Phone')
      const claimed = await post(ENROLL, { code, nonce: 'one' })
      assert.equal(claimed.status, 200, claimed.body)
      const { password, downloads } = JSON.parse(claimed.body)
      const cookie = cookiesOf(claimed)
      const inside = await gate.send({ cookie })
      assert.equal(inside.status, 200)
      assert.deepEqual(valuesOf(inside.seen?.headers ?? [], 'x-certlatch-device'), ['Phone'])
      const kept = valuesOf(inside.seen?.headers ?? [], 'cookie').join()
      assert.doesNotMatch(kept, /__Host-certlatch=/, 'the application sees no session')
      const download = await gate.send({ path: downloads.p12, cookie, headers: NAVIGATION })
      assert.equal(download.status, 200)
      assert.deepEqual(download.headers['content-type'], ['application/x-pkcs12'])
      const away = await gate.send({ path: ENROLL, cookie, headers: NAVIGATION })
      assert.equal(away.status, 303)
      const [path = ''] = away.headers['location'] ?? []
      const steps = await gate.send({ path, cookie, headers: NAVIGATION })
      assert.ok(steps.body.includes(password))
      const profile = await gate.send({ path: downloads.mobileconfig, cookie, headers: NAVIGATION })
      const [, base64 = ''] =
        /<key>PayloadContent<\/key>\s*<data>([^<]+)<\/data>/.exec(profile.body) ?? []
      const file = join(folder, 'phone.p12')
      writeFileSync(file, Buffer.from(base64, 'base64'))
      const open = (...args: readonly string[]) =>
        execFileSync(
          'openssl',
          ['pkcs12', '-legacy', '-in', file, '-passin', `pass:${password}`, ...args],
          {
            encoding: 'utf8',
          },
        )
      const certificate = open('-nokeys', '-clcerts')
      const key = open('-nocerts', '-nodes')
      const shown = await gate.send({ credential: { certificate, key } })
      assert.equal(shown.status, 200)
      assert.deepEqual(valuesOf(shown.seen?.headers ?? [], 'x-certlatch-via'), ['certificate'])
      const done = await post(`${ENROLL}/done`, {}, [...ownOrigin, ['Cookie', cookie]])
      assert.equal(done.status, 204)
      assert.equal(
        (await gate.send({ path: downloads.p12, cookie, headers: NAVIGATION })).status,
        404,
      )
    })

    test('a page of another origin, and a second claimant, get nothing', async () => {
      const code = await invite('Tablet')
      const foreign = await post(ENROLL, { code, nonce: 'one' }, [
        ['Origin', 'https://evil.example'],
        ['Sec-Fetch-Site', 'cross-site'],
        ['Content-Type', 'application/json'],
      ])
      assert.equal(foreign.status, 403)
      assert.equal((await post(ENROLL, { code, nonce: 'one' })).status, 200)
      const second = await post(ENROLL, { code, nonce: 'two' })
      assert.equal(second.status, 409, second.body)
      assert.equal(JSON.parse(second.body).problem, 'used')
    })

    test('--wait reports which browser collected the invitation', async () => {
      const args = ['device', 'invite', 'Watch', '--url', `https://${HOST}`, '--wait', '--json']
      const waiting = startCommand(world.certlatch.environment, ...args)
      let printed = ''
      waiting.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString('utf8')))
      const ended = Promise.all([text(waiting.stderr), once(waiting, 'close')])
      const codeIn = () => /"code": "(\w+)"/.exec(printed)?.[1]
      await until('the code is printed', () => codeIn() !== undefined)
      const code = codeIn()
      const claimed = await post(ENROLL, { code, nonce: 'one' }, [
        ...ownOrigin,
        ['User-Agent', 'Mozilla/5.0 (Linux; Android 10; K) Chrome/142.0.0.0 Mobile Safari/537.36'],
      ])
      assert.equal(claimed.status, 200)
      const [stderr, [exitCode]] = await ended
      assert.equal(exitCode, 0)
      assert.match(stderr, /the invitation of "Watch" was collected by Android, Chrome$/m)
    })

    test('the code is in no auth request, and no request with it reaches the application', async () => {
      const code = await invite('Laptop')
      const answer = await post(`${ENROLL}/look`, { code })
      assert.deepEqual(answer.questions, [])
      assert.equal(answer.seen, undefined)
      assert.ok(!JSON.stringify(answer.visits).includes(code))
    })
  })
}
