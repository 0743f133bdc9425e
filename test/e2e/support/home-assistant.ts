import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../support/free-port.ts'
import { toolsFolder, until } from './tools.ts'

/** The one person of the household, in Home Assistant. */
export const PERSON = { name: 'Ada', username: 'ada', password: 'a long walk home' } as const

/** What the automation's webhook is called; its automation sets the helper below. */
export const WEBHOOK_ID = 'doorbell-5f1c'
export const DOORBELL = 'input_boolean.doorbell'

export interface Person {
  readonly accessToken: string
}

/** A real Home Assistant with its frontend, on the loopback interface. */
export interface HomeAssistant {
  readonly port: number
  /** Makes the first user; until then the page asks for one. */
  onboard(): Promise<Person>
  /** The answer to a question that goes round the proxy. */
  ask(path: string, person: Person): Promise<unknown>
  log(): string
  close(): Promise<void>
}

export interface HomeAssistantOptions {
  /** `extra_module_url` of its frontend. */
  readonly extraModule?: string
  /** False: the two lines that a proxy needs are left out. */
  readonly behindProxy?: boolean
  /** More lines of configuration.yaml. */
  readonly more?: string
}

/** Its Python: tools.sh installs it beside the proxies. */
const python = () => join(toolsFolder(), 'homeassistant', 'bin', 'python')

/** What is missing to run it, as a reason to skip a test. */
export const homeAssistantMissing = (): string | false =>
  existsSync(join(toolsFolder(), 'homeassistant', 'installed-whole'))
    ? false
    : 'Home Assistant is missing: run test/e2e/tools.sh'

/**
 * Home Assistant asks for a later patch release of Python than may be there, for a fault that does
 * not matter here.
 */
export const START = `
import sys
import homeassistant.const
homeassistant.const.REQUIRED_PYTHON_VER = (3, 13, 0)
from homeassistant.__main__ import main
sys.exit(main())
`

function configuration(port: number, options: HomeAssistantOptions) {
  const { extraModule, behindProxy = true, more = '' } = options
  const proxy = '  use_x_forwarded_for: true\n  trusted_proxies: [127.0.0.1]\n'
  // `default_config` is named nowhere: it starts integrations that call home.
  return `
homeassistant:
  name: Home
  latitude: 51.5
  longitude: -0.1
  elevation: 0
  unit_system: metric
  time_zone: Europe/London
http:
  server_host: 127.0.0.1
  server_port: ${port}
${behindProxy ? proxy : ''}frontend:
${extraModule === undefined ? '' : `  extra_module_url: [${extraModule}]\n`}config:
webhook:
media_source:
mobile_app:
history:
logbook:
demo:
input_boolean:
  doorbell:
    name: Doorbell
automation:
  - alias: Doorbell
    triggers:
      - trigger: webhook
        webhook_id: ${WEBHOOK_ID}
        local_only: false
        allowed_methods: [POST]
    actions:
      - action: input_boolean.turn_on
        target: { entity_id: ${DOORBELL} }
${more}`
}

/** Everything but the user is done. */
const ONBOARDING = {
  version: 4,
  minor_version: 1,
  key: 'onboarding',
  data: { done: ['core_config', 'analytics', 'integration'] },
}

export async function startHomeAssistant(
  folder: string,
  options: HomeAssistantOptions = {},
): Promise<HomeAssistant> {
  const port = await freePort()
  mkdirSync(join(folder, '.storage'), { recursive: true })
  writeFileSync(join(folder, 'configuration.yaml'), configuration(port, options))
  writeFileSync(join(folder, '.storage', 'onboarding'), JSON.stringify(ONBOARDING))
  const child = spawn(python(), ['-c', START, '-c', folder, '--skip-pip'], {
    env: { PATH: '/usr/bin:/bin', HOME: folder, LANG: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => log.push(chunk.toString('utf8')))
  }
  const address = `http://127.0.0.1:${port}`
  const close = () => end(child)
  const isServed = async () => {
    if (child.exitCode !== null) throw new Error(`Home Assistant ended: ${log.join('')}`)
    return await fetch(`${address}/manifest.json`).then(
      ({ ok }) => ok,
      () => false,
    )
  }
  try {
    await until('Home Assistant serves its page', isServed, 90_000)
  } catch (error) {
    await close()
    throw new Error(`Home Assistant did not start: ${log.join('').slice(-2000)}`, { cause: error })
  }
  const ask = async (path: string, { accessToken }: Person): Promise<unknown> => {
    const headers = { Authorization: `Bearer ${accessToken}` }
    return (await fetch(address + path, { headers })).json()
  }
  return {
    port,
    onboard: async () => {
      const person = await onboard(address)
      await until(
        'Home Assistant runs',
        async () =>
          ((await ask('/api/config', person)) as { readonly state: string }).state === 'RUNNING',
        60_000,
      )
      return person
    },
    ask,
    log: () => log.join(''),
    close,
  }
}

async function onboard(address: string): Promise<Person> {
  const clientId = `${address}/`
  const { auth_code: code } = await answerOf(
    fetch(`${address}/api/onboarding/users`, {
      method: 'POST',
      body: JSON.stringify({ ...PERSON, client_id: clientId, language: 'en' }),
    }),
  )
  const { access_token: accessToken } = await answerOf(
    fetch(`${address}/auth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        client_id: clientId,
        grant_type: 'authorization_code',
        code: code ?? '',
      }),
    }),
  )
  if (accessToken === undefined) throw new Error('Home Assistant gave no token')
  return { accessToken }
}

async function answerOf(asked: Promise<Response>): Promise<Readonly<Record<string, string>>> {
  const answer = await asked
  if (!answer.ok) throw new Error(`${answer.url}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as Readonly<Record<string, string>>
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const deadline = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await ended
  clearTimeout(deadline)
}
