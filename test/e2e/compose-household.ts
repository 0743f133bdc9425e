// What a person does with the shipped docker-compose.yml and Home Assistant itself.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Project, type ProjectOptions, prepareProject } from './compose-project.ts'
import { HOST, type Received, type Target } from './support/client.ts'
import { PERSON, type Person } from './support/home-assistant.ts'
import { httpSettingsOf } from './support/home-assistant-client.ts'
import { type HouseholdDevice, send } from './support/home-assistant-household.ts'
import { findProgram, until } from './support/tools.ts'

/** The shipped project with Home Assistant itself, up and healthy. */
export async function startProject(options: ProjectOptions): Promise<Project> {
  const project = await prepareProject(options)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void project.end().finally(() => process.exit(1)))
  }
  await project.up()
  return project
}

export const targetOf = async (project: Project): Promise<Target> => ({
  port: await project.port(),
  serverCertificate: project.serverAuthority,
})

export const isOpen = (target: Target, credential: HouseholdDevice): Promise<boolean> =>
  send(target, { credential }).then(
    ({ status }) => status === 200,
    () => false,
  )

export async function addDevice(
  folder: string,
  project: Project,
  target: Target,
): Promise<HouseholdDevice> {
  const device = await packed(folder, await project.addDevice("Ada's phone"))
  await until('the device is known', () => isOpen(target, device))
  return device
}

/** What Home Assistant would undo by itself, and whom it believes. */
export async function trialOf(target: Target, person: Person, credential: HouseholdDevice) {
  const {
    stable,
    pending,
    revert_at: revertAt,
  } = await httpSettingsOf(target, person, {
    credential,
  })
  return { proxies: stable.trusted_proxies, pending, revertAt }
}

/** The first user, as Home Assistant's own page makes one, with the certificate. */
export async function onboard(target: Target, credential: HouseholdDevice): Promise<Person> {
  const post = async (path: string, body: Buffer, type: string, bearer?: string) => {
    const headers = [
      ['Content-Type', type] as const,
      ...(bearer === undefined ? [] : [['Authorization', `Bearer ${bearer}`] as const]),
    ]
    return answerOf(path, await send(target, { method: 'POST', path, headers, body, credential }))
  }
  const postJson = (path: string, told: unknown, bearer?: string) =>
    post(path, Buffer.from(JSON.stringify(told)), 'application/json', bearer)
  const clientId = `https://${HOST}:${target.port}/`
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
  const last = { client_id: clientId, redirect_uri: `${clientId}?auth_callback=1` }
  await postJson('/api/onboarding/integration', last, accessToken)
  return { accessToken }
}

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
