// The shipped docker-compose.yml with Home Assistant itself, used as a household uses it on its
// first evening: onboarding, a browser with a certificate, a browser without one, a phone app. It
// continues past the five minutes after which Home Assistant undoes unconfirmed settings, and
// through restarts; and an installation that read its settings from configuration.yaml is updated.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { processEnvironment } from '../../src/config/load.ts'
import { addDevice, isOpen, onboard, startProject, targetOf, trialOf } from './compose-household.ts'
import type { Project } from './compose-project.ts'
import {
  type Browser,
  keepPicture,
  signIn,
  untilConnected,
  untilShown,
  untilWorkerIsActive,
} from './support/browser.ts'
import { chromiumMissing, startChromium } from './support/browser-chromium.ts'
import { HOST, type Target } from './support/client.ts'
import {
  homeAssistantMissing,
  type Person,
  RELEASE,
  RELEASE_WITH_YAML,
} from './support/home-assistant.ts'
import { registration } from './support/home-assistant-app.ts'
import { connectAs } from './support/home-assistant-client.ts'
import {
  type HouseholdDevice,
  makeServerFiles,
  type ServerFiles,
  send,
  sessionOf,
} from './support/home-assistant-household.ts'
import { pause, until } from './support/tools.ts'

const skip =
  processEnvironment()['CERTLATCH_E2E_SKIP_COMPOSE'] === '1' ||
  homeAssistantMissing() ||
  chromiumMissing()

/** Rooms that Home Assistant makes for a new household. */
const DASHBOARD = /Living Room/
/** Settings that were not confirmed are undone after five minutes, by a restart. */
const SEVEN_MINUTES = 420_000
const NOTHING_ON_TRIAL = {
  proxies: ['10.157.91.2/32'],
  pending: null,
  revertAt: null,
}

describe('Docker compose with Home Assistant itself', { skip, timeout: 1_500_000 }, () => {
  let folder: string
  let server: ServerFiles
  let project: Project
  let target: Target
  let device: HouseholdDevice
  let person: Person
  let browser: Browser | undefined
  let startedAt: number

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

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'certlatch-compose-home-'))
    server = makeServerFiles(folder)
    project = await startProject({ server, homeAssistant: RELEASE })
    startedAt = performance.now()
    target = await targetOf(project)
    device = await addDevice(folder, project, target)
  })

  after(async () => {
    await endBrowser()
    await project?.end()
    await rm(folder, { recursive: true, force: true })
  })

  test('starts with its default configuration, without any error about the gate', async () => {
    const log = await project.compose('logs', '--no-log-prefix', 'homeassistant')
    assert.doesNotMatch(log, /recovery mode|Setup failed for '?(http|frontend|mobile_app|webhook)/)
  })

  test('can be set up through the gate with a certificate, and not without', async () => {
    const path = '/api/onboarding/users'
    assert.equal((await send(target, { method: 'POST', path })).status, 403)
    person = await onboard(target, device)
  })

  test('accepts its client library with the certificate or the session, and not without both', async () => {
    const states = await connectAs(target, person, { credential: device })
    assert.ok(states.some(({ entity_id: id }) => id === 'person.ada'))
    const session = await sessionOf(target, device)
    assert.equal((await connectAs(target, person, { session })).length, states.length)
    await assert.rejects(connectAs(target, person, {}), /cannot connect/)
  })

  test('lets a browser with the certificate sign in and see the dashboard', async () => {
    const page = await startBrowser('laptop', { device })
    await signIn(page, address())
    await untilShown(page, DASHBOARD)
    await keepPicture(page, 'compose-dashboard')
    await untilWorkerIsActive(page)
  })

  test('keeps working by the session after a restart of the browser, on a narrow screen', async () => {
    const page = await startBrowser('laptop', { width: 390 })
    await page.open(`${address()}/`)
    await untilConnected(page)
    await untilShown(page, DASHBOARD)
    await keepPicture(page, 'compose-dashboard-narrow')
    await endBrowser()
  })

  test('has the rescue module in its page', async () => {
    const { body } = await send(target, { path: '/', credential: device })
    assert.ok(body.includes('/.certlatch/auth/rescue.js'))
  })

  test('lets a phone app register with its certificate, and report by its webhook without one', async () => {
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

  test('is unchanged after the five minutes of a trial: nothing is on trial, and a phone gets access', async () => {
    assert.deepEqual(await trialOf(target, person, device), NOTHING_ON_TRIAL)
    await pause(Math.max(0, startedAt + SEVEN_MINUTES - performance.now()))
    assert.deepEqual(await trialOf(target, person, device), NOTHING_ON_TRIAL)
    assert.ok((await connectAs(target, person, { credential: device })).length > 0)
    const log = await project.compose('logs', '--no-log-prefix', 'homeassistant')
    assert.doesNotMatch(log, /reverting|reverse proxy/)
  })

  const again: readonly (readonly string[])[] = [
    ['restart', 'homeassistant'],
    ['up', '--detach', '--force-recreate', '--no-deps', 'homeassistant'],
    ['down', '--timeout', '5'],
  ]
  for (const command of again) {
    test(`accepts the same phone after docker compose ${command[0]}`, async () => {
      await project.compose(...command)
      await project.up()
      target = await targetOf(project)
      await until('the phone gets in', () => isOpen(target, device), 60_000)
      assert.deepEqual(await trialOf(target, person, device), NOTHING_ON_TRIAL)
    })
  }

  test('accepts the same device, session and token with Caddy in place of Traefik', async () => {
    const session = await sessionOf(target, device)
    await project.edit({ CERTLATCH_PROXY: 'caddy' })
    await project.up()
    target = await targetOf(project)
    assert.ok((await connectAs(target, person, { credential: device })).length > 0)
    assert.ok((await connectAs(target, person, { session })).length > 0)
    await assert.rejects(connectAs(target, person, {}), /cannot connect/)
  })
})

describe('An update of Home Assistant with docker compose', { skip, timeout: 900_000 }, () => {
  let folder: string
  let server: ServerFiles
  let project: Project

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'certlatch-compose-update-'))
    server = makeServerFiles(folder)
    project = await startProject({ server, homeAssistant: RELEASE_WITH_YAML })
  })
  after(async () => {
    await project?.end()
    await rm(folder, { recursive: true, force: true })
  })

  test('keeps accepting the phone, from a version that reads configuration.yaml to one that does not', async () => {
    const target = await targetOf(project)
    const device = await addDevice(folder, project, target)
    const person = await onboard(target, device)
    assert.ok((await connectAs(target, person, { credential: device })).length > 0)
    const configuration = join(project.homeAssistantConfig, 'configuration.yaml')
    assert.match(await readFile(configuration, 'utf8'), /^ {2}trusted_proxies: 10\.157\.91\.2$/m)
    await project.pullHomeAssistant(RELEASE)
    await project.up()
    await until('the phone gets in', () => isOpen(target, device), 60_000)
    assert.deepEqual(await trialOf(target, person, device), NOTHING_ON_TRIAL)
  })
})
