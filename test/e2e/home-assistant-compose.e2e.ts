// The shipped docker-compose.yml with Home Assistant itself in it, used as a household uses it on its
// first evening: onboarding, a browser with a certificate, a browser without one, a phone app.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { processEnvironment } from '../../src/config/load.ts'
import { type Project, prepareProject } from './compose-project.ts'
import {
  type Browser,
  keepPicture,
  signIn,
  untilConnected,
  untilShown,
  untilWorkerIsActive,
} from './support/browser.ts'
import { chromiumMissing, startChromium } from './support/browser-chromium.ts'
import { HOST, type Received, type Target } from './support/client.ts'
import { homeAssistantMissing, PERSON, type Person } from './support/home-assistant.ts'
import { registration } from './support/home-assistant-app.ts'
import { connectAs } from './support/home-assistant-client.ts'
import {
  type HouseholdDevice,
  makeServerFiles,
  type ServerFiles,
  send,
  sessionOf,
} from './support/home-assistant-household.ts'
import { findProgram, until } from './support/tools.ts'

const skip =
  processEnvironment()['CERTLATCH_E2E_SKIP_COMPOSE'] === '1' ||
  homeAssistantMissing() ||
  chromiumMissing()

/** Rooms that Home Assistant makes for a new household. */
const DASHBOARD = /Living Room/

describe('docker compose with Home Assistant itself', { skip, timeout: 900_000 }, () => {
  let folder: string
  let server: ServerFiles
  let project: Project
  let target: Target
  let device: HouseholdDevice
  let person: Person
  let browser: Browser | undefined

  const endBrowser = async () => {
    await browser?.close()
    browser = undefined
  }
  const startBrowser = async (name: string, more: { device?: HouseholdDevice; width?: number }) => {
    await endBrowser()
    browser = await startChromium({ folder: join(folder, name), server, ...more })
    return browser
  }
  const address = () => `https://${HOST}:${target.port}`
  const targetOf = async (published: string): Promise<Target> => ({
    port: Number(published.trim().split(':').at(-1)),
    serverCertificate: await readFile(server.serverAuthorityFile, 'latin1'),
  })

  /** With the certificate, as a page of Home Assistant's asks. */
  async function post(path: string, body: Buffer, type: string, bearer?: string) {
    const headers = [
      ['Content-Type', type] as const,
      ...(bearer === undefined ? [] : [['Authorization', `Bearer ${bearer}`] as const]),
    ]
    const request = { method: 'POST', path, headers, body, credential: device }
    return answerOf(path, await send(target, request))
  }
  const postJson = (path: string, told: unknown, bearer?: string) =>
    post(path, Buffer.from(JSON.stringify(told)), 'application/json', bearer)

  async function onboard(): Promise<Person> {
    const clientId = `${address()}/`
    const user = await postJson('/api/onboarding/users', {
      ...PERSON,
      client_id: clientId,
      language: 'en',
    })
    const form = new URLSearchParams({
      client_id: clientId,
      grant_type: 'authorization_code',
      code: String(user['auth_code']),
    })
    const type = 'application/x-www-form-urlencoded'
    const tokens = await post('/auth/token', Buffer.from(form.toString()), type)
    const accessToken = String(tokens['access_token'])
    for (const step of ['core_config', 'analytics']) {
      await postJson(`/api/onboarding/${step}`, {}, accessToken)
    }
    const last = { client_id: clientId, redirect_uri: `${address()}/?auth_callback=1` }
    await postJson('/api/onboarding/integration', last, accessToken)
    return { accessToken }
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'certlatch-compose-home-'))
    server = makeServerFiles(folder)
    project = await prepareProject({ server, realHomeAssistant: true })
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => void project.end().finally(() => process.exit(1)))
    }
    const up = ['up', '--detach', '--build', '--wait', '--wait-timeout', '240']
    const { code, stdout, stderr } = await project.tryCompose(...up)
    if (code !== 0) throw new Error(`${stdout}${stderr}${await project.compose('logs')}`)
    target = await targetOf(await project.compose('port', 'traefik', '443'))
    const pem = await project.addDevice("Ada's phone")
    device = await packed(folder, pem)
    const isOpen = async () => (await send(target, { credential: device })).status === 200
    await until('the device is known', isOpen)
  })

  after(async () => {
    await endBrowser()
    await project?.end()
    await rm(folder, { recursive: true, force: true })
  })

  test('starts with its first configuration, in which nothing fails that is about the gate', async () => {
    const log = await project.compose('logs', '--no-log-prefix', 'homeassistant')
    assert.doesNotMatch(log, /recovery mode|Setup failed for '?(http|frontend|mobile_app|webhook)/)
  })

  test('is set up through the gate with a certificate, and by nobody else', async () => {
    const path = '/api/onboarding/users'
    assert.equal((await send(target, { method: 'POST', path })).status, 403)
    person = await onboard()
  })

  test('its client library connects with the certificate, with the session alone, and not without', async () => {
    const states = await connectAs(target, person, { credential: device })
    assert.ok(states.some(({ entity_id: id }) => id === 'person.ada'))
    const session = await sessionOf(target, device)
    assert.equal((await connectAs(target, person, { session })).length, states.length)
    await assert.rejects(connectAs(target, person, {}), /cannot connect/)
  })

  test('a browser with the certificate signs in and sees the dashboard', async () => {
    const page = await startBrowser('laptop', { device })
    await signIn(page, address())
    await untilShown(page, DASHBOARD)
    await keepPicture(page, 'compose-dashboard')
    await untilWorkerIsActive(page)
  })

  test('started again without it, on a narrow screen, it goes on by the session alone', async () => {
    const page = await startBrowser('laptop', { width: 390 })
    await page.open(`${address()}/`)
    await untilConnected(page)
    await untilShown(page, DASHBOARD)
    await keepPicture(page, 'compose-dashboard-narrow')
    await endBrowser()
  })

  test('the rescue module is part of the page', async () => {
    const { body } = await send(target, { path: '/', credential: device })
    assert.ok(body.includes('/.certlatch/auth/rescue.js'))
  })

  test('a phone app registers with its certificate, and reports by its webhook without', async () => {
    const register = registration(['Authorization', `Bearer ${person.accessToken}`])
    assert.equal((await send(target, register)).status, 403)
    const registered = await send(target, { ...register, credential: device })
    assert.equal(registered.status, 201)
    const { webhook_id: id } = JSON.parse(registered.body) as { readonly webhook_id: string }
    const reported = await send(target, {
      method: 'POST',
      path: `/api/webhook/${id}`,
      headers: [['Content-Type', 'application/json']],
      body: Buffer.from(JSON.stringify({ type: 'get_config' })),
    })
    assert.equal(reported.status, 200)
  })

  test('with Caddy in the place of Traefik the same device, session and token open', async () => {
    const session = await sessionOf(target, device)
    await project.compose('stop', 'traefik')
    const up = ['up', '--detach', '--wait', '--wait-timeout', '240']
    await project.composeWithCaddy(...up)
    target = await targetOf(await project.composeWithCaddy('port', 'caddy', '443'))
    const isAsked = async () => (await send(target).catch(() => undefined))?.status === 403
    await until('Caddy asks certlatch', isAsked)
    assert.ok((await connectAs(target, person, { credential: device })).length > 0)
    assert.ok((await connectAs(target, person, { session })).length > 0)
    await assert.rejects(connectAs(target, person, {}), /cannot connect/)
  })
})

function answerOf(path: string, { status, body }: Received): Readonly<Record<string, unknown>> {
  assert.equal(status, 200, `${path}: ${status} ${body}`)
  return JSON.parse(body)
}

/** As a person unpacks it for a browser: one file with a password. */
async function packed(
  folder: string,
  { certificate, key }: Pick<HouseholdDevice, 'certificate' | 'key'>,
): Promise<HouseholdDevice> {
  const [certificateFile, keyFile, file] = ['device.crt', 'device.key', 'device.p12'].map((name) =>
    join(folder, name),
  ) as [string, string, string]
  await writeFile(certificateFile, certificate)
  await writeFile(keyFile, key, { mode: 0o600 })
  const password = 'carried by hand'
  execFileSync(findProgram('openssl'), [
    ...['pkcs12', '-export', '-in', certificateFile, '-inkey', keyFile, '-out', file],
    ...['-passout', `pass:${password}`],
  ])
  return { certificate, key, package: file, password }
}
