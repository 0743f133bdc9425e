import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../support/free-port.ts'
import { findProgram, toolsFolder, until } from './tools.ts'

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
  /** Creates the first user; until then the page asks for one. */
  onboard(): Promise<Person>
  /** The answer to a request that bypasses the proxy. */
  ask(path: string, person: Person): Promise<unknown>
  log(): string
  close(): Promise<void>
}

export interface HomeAssistantOptions {
  /** `extra_module_url` of its frontend. */
  readonly extraModule?: string
  /** RELEASE, if none is given. */
  readonly release?: string
  /** False: the two settings that a proxy needs are left out. */
  readonly behindProxy?: boolean
  /** More lines of configuration.yaml. */
  readonly more?: string
  /** Where it runs, if not here. */
  readonly machine?: OtherMachine
}

/** A network namespace in the place of another machine. */
export interface OtherMachine {
  readonly namespace: string
  readonly address: string
  /** The address from which requests of the proxy come. */
  readonly proxy: string
}

/** The newest release; and one that reads its `http:` settings from configuration.yaml. */
export const RELEASE = '2026.11.0'
export const RELEASE_WITH_YAML = '2026.2.3'

/** The Debian in which tools.sh installs it, with a folder of each release under /ha. */
export const homeAssistantRoot = (): string => join(toolsFolder(), 'home-assistant')
export const pythonOf = (release: string): string => `/ha/${release}/bin/python`

/** What is missing to run it, as a reason to skip a test. */
export const homeAssistantMissing = (): string | false => {
  if (!existsSync(join(homeAssistantRoot(), 'installed-whole'))) {
    return 'Home Assistant is missing: run test/e2e/tools.sh as root'
  }
  return process.getuid?.() === 0 ? false : 'only root can start Home Assistant'
}

/** Its folder is /config; the mounts are this process's own and end with it. */
const IN_ITS_DEBIAN = `
mount --bind /dev "$1/dev"
mount --bind /proc "$1/proc"
mount --bind "$2" "$1/config"
root=$1
shift 2
exec chroot "$root" "$@"`

/** Runs a line of Home Assistant's Python with its folder, in the same process. */
export const spawnPython = (folder: string, release: string, ...args: readonly string[]) =>
  spawnPythonBy([], folder, release, ...args)

function spawnPythonBy(
  prefix: readonly string[],
  folder: string,
  release: string,
  ...args: readonly string[]
) {
  const [program = '', ...rest] = [
    ...prefix,
    ...[findProgram('unshare'), '--mount', 'sh', '-euc', IN_ITS_DEBIAN, 'sh'],
    ...[homeAssistantRoot(), folder, pythonOf(release), ...args],
  ]
  return spawn(program, rest, {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/config', LANG: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

type HttpSettings = Readonly<Record<string, unknown>>

/** Its own settings, as they are once a person has confirmed them; then its start. */
const start = (settings: HttpSettings) => `
import asyncio, json, sys
from homeassistant.__main__ import main
from homeassistant.components.http.config import HTTPConfigStore
from homeassistant.core import HomeAssistant

async def confirm():
    store = HTTPConfigStore(HomeAssistant('/config'))
    await store.async_migrate_yaml(json.loads(${JSON.stringify(JSON.stringify(settings))}))
    await store.async_promote_pending()

asyncio.run(confirm())
sys.exit(main())
`

const httpSettings = (
  port: number,
  { behindProxy = true, machine }: HomeAssistantOptions,
): HttpSettings => ({
  server_host: machine?.address ?? '127.0.0.1',
  server_port: port,
  ...(behindProxy && {
    use_x_forwarded_for: true,
    trusted_proxies: [machine?.proxy ?? '127.0.0.1'],
  }),
})

function configuration(port: number, options: HomeAssistantOptions) {
  const { extraModule, release, more = '' } = options
  // JSON is YAML.
  const http =
    release === RELEASE_WITH_YAML ? `http: ${JSON.stringify(httpSettings(port, options))}\n` : ''
  // `default_config` is named nowhere: it starts integrations that call home.
  return `
homeassistant:
  name: Home
  latitude: 51.5
  longitude: -0.1
  elevation: 0
  unit_system: metric
  time_zone: Europe/London
${http}frontend:
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
  const { release = RELEASE, machine } = options
  const begin =
    release === RELEASE_WITH_YAML
      ? ['-m', 'homeassistant']
      : ['-c', start(httpSettings(port, options))]
  const there = machine === undefined ? [] : [findProgram('ip'), 'netns', 'exec', machine.namespace]
  const child = spawnPythonBy(there, folder, release, ...begin, '-c', '/config', '--skip-pip')
  const log: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => log.push(chunk.toString('utf8')))
  }
  const address = `http://${machine?.address ?? '127.0.0.1'}:${port}`
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
