import type { ChildProcess } from 'node:child_process'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { DIALECTS } from '../../../src/proxy/dialects.ts'
import { freePort } from '../../support/free-port.ts'
import { type Certlatch, dataFolder, runCommand, startCertlatch } from './certlatch.ts'
import { exchange, HOST, type Received, type Sent, type Target } from './client.ts'
import {
  type Change,
  endProxy,
  launchProxy,
  type ProxyFiles,
  type ProxyKind,
  SESSION,
} from './gate.ts'
import {
  type HomeAssistant,
  type HomeAssistantOptions,
  startHomeAssistant,
} from './home-assistant.ts'
import { type Recorder, startRecorder } from './home-assistant-recorder.ts'
import type { Credential } from './pki.ts'
import { findProgram, until } from './tools.ts'

/** Other sites, with certificates of the same authority. */
export const OTHER_HOST = 'elsewhere.example'
export const FRIENDLY_HOST = 'friend.example'

/** What a person carries to a device: certificate and key, as PEM and as one file with a password. */
export interface HouseholdDevice extends Credential {
  readonly package: string
  readonly password: string
}

/** A whole installation: Home Assistant, certlatch, and a proxy with its shipped files. */
export interface Household {
  readonly folder: string
  /** The address of the page, without a final slash. */
  readonly address: string
  readonly target: Target
  readonly server: ServerFiles
  readonly homeAssistant: HomeAssistant
  readonly certlatch: Certlatch
  readonly recorder: Recorder
  addDevice(name: string): Promise<HouseholdDevice>
  /** Ends all sessions of a device; its certificate can start new ones. */
  signOut(name: string): Promise<void>
  close(): Promise<void>
}

export interface HouseholdOptions {
  readonly homeAssistant?: HomeAssistantOptions
  readonly settings?: Readonly<Record<string, string>>
  /** The text of the policy file. */
  readonly policy?: string
  readonly changes?: readonly Change[]
}

export async function startHousehold(
  kind: ProxyKind,
  options: HouseholdOptions = {},
): Promise<Household> {
  const folder = mkdtempSync(join(tmpdir(), 'certlatch-home-'))
  // nginx and HAProxy drop root, and must be able to read these files.
  chmodSync(folder, 0o755)
  const started: (() => void | Promise<void>)[] = []
  const close = async () => {
    for (const end of started.toReversed()) await end()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    return await startIn(folder, kind, options, started, close)
  } catch (error) {
    await close()
    throw error
  }
}

async function startIn(
  folder: string,
  kind: ProxyKind,
  options: HouseholdOptions,
  started: (() => void | Promise<void>)[],
  close: () => Promise<void>,
): Promise<Household> {
  const server = makeServerFiles(folder)
  const homeAssistantFolder = join(folder, 'home-assistant')
  const [homeAssistant, certlatch] = await Promise.all([
    startHomeAssistant(homeAssistantFolder, options.homeAssistant).then((it) => {
      started.push(it.close)
      return it
    }),
    startCertlatch(folder, kind.dialect, undefined, settingsOf(folder, options)).then((it) => {
      started.push(it.close)
      return it
    }),
  ])
  const recorder = await startRecorder(certlatch, DIALECTS[kind.dialect].certificateHeader)
  started.push(recorder.close)
  const proxyFolder = join(folder, 'proxy')
  mkdirSync(proxyFolder)
  const port = await freePort()
  const { child, log } = launchProxy(
    kind,
    {
      folder: proxyFolder,
      port,
      sparePort: await freePort(),
      certlatchPort: recorder.port,
      pagesPort: recorder.pagesPort,
      applicationPort: homeAssistant.port,
      pki: { ...server, authorityFile: join(dataFolder(folder), 'public', 'ca.crt') },
      user: userInfo().username,
    },
    options.changes,
  )
  started.push(() => endProxy(child, kind))
  const target = { port, serverCertificate: readFileSync(server.serverAuthorityFile, 'latin1') }
  await untilItAsks(target, child, log)
  recorder.forget()
  return {
    folder,
    address: `https://${HOST}:${port}`,
    target,
    server,
    homeAssistant,
    certlatch,
    recorder,
    addDevice: async (name) => {
      const device = await addDevice(certlatch, join(folder, 'packages'), name)
      await untilItOpens(target, device)
      recorder.forget()
      return device
    },
    signOut: async (name) => {
      const ended = await runCommand(certlatch.environment, 'device', 'sign-out', name)
      if (ended.code !== 0) throw new Error(`certlatch device sign-out: ${ended.stderr}`)
    },
    close,
  }
}

/** Sends a request through the proxy; left out, it is for a file that needs no login. */
export const send = (target: Target, given: Partial<Sent> = {}): Promise<Received> =>
  exchange(target, {
    protocol: 'HTTP/1.1',
    method: 'GET',
    path: '/manifest.json',
    host: `${HOST}:${target.port}`,
    credential: undefined,
    headers: [],
    body: undefined,
    agent: undefined,
    ...given,
  })

const statusOf = (target: Target, credential?: Credential): Promise<number> =>
  send(target, { credential }).then(
    ({ status }) => status,
    () => 0,
  )

function settingsOf(folder: string, { settings, policy }: HouseholdOptions) {
  if (policy === undefined) return settings
  const file = join(folder, 'policy.yaml')
  writeFileSync(file, policy)
  return { ...settings, CERTLATCH_POLICY_FILE: file }
}

/** Traefik listens before it has loaded its routes; 403 means that certlatch answered. */
async function untilItAsks(
  target: Target,
  child: ChildProcess,
  log: readonly string[],
): Promise<void> {
  await until('the proxy asks certlatch', async () => {
    if (child.exitCode !== null) throw new Error(`the proxy ended: ${log.join('')}`)
    return (await statusOf(target)) === 403
  })
}

const untilItOpens = (target: Target, device: Credential): Promise<void> =>
  until('the device is known', async () => ![0, 403].includes(await statusOf(target, device)))

/** Adds a device as a person would, and unpacks what it is given for clients that want PEM. */
async function addDevice(
  { environment }: Certlatch,
  folder: string,
  name: string,
): Promise<HouseholdDevice> {
  const command = ['device', 'add', name, '--json', '--out', folder]
  const { code, stdout, stderr } = await runCommand(environment, ...command)
  if (code !== 0) throw new Error(`certlatch ${command.join(' ')}: ${code} ${stderr}`)
  return unpackDevice(JSON.parse(stdout) as PackedDevice)
}

export type PackedDevice = Pick<HouseholdDevice, 'package' | 'password'>

export function unpackDevice(made: PackedDevice): HouseholdDevice {
  const unpack = (...only: readonly string[]) =>
    execFileSync(findProgram('openssl'), [
      ...['pkcs12', '-in', made.package, '-passin', `pass:${made.password}`, ...only],
    ]).toString('latin1')
  return {
    certificate: unpack('-nokeys', '-clcerts'),
    key: unpack('-nocerts', '-nodes'),
    package: made.package,
    password: made.password,
  }
}

/** An authority for the server's certificate, as a browser wants one. */
export interface ServerFiles extends Omit<ProxyFiles, 'authorityFile'> {
  readonly serverAuthorityFile: string
}

export function makeServerFiles(folder: string): ServerFiles {
  const file = (name: string) => join(folder, name)
  const openssl = (...args: readonly string[]) =>
    execFileSync(findProgram('openssl'), args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30']
  openssl(
    ...['req', '-x509', ...key, '-subj', '/CN=The web'],
    ...['-addext', 'keyUsage=critical,keyCertSign'],
    ...['-keyout', file('web.key'), '-out', file('web.crt')],
  )
  openssl(
    ...['req', '-x509', ...key, '-subj', `/CN=${HOST}`],
    ...['-CA', file('web.crt'), '-CAkey', file('web.key')],
    ...['-addext', `subjectAltName=DNS:${HOST},DNS:${OTHER_HOST},DNS:${FRIENDLY_HOST}`],
    ...['-addext', 'basicConstraints=critical,CA:FALSE'],
    ...['-addext', 'extendedKeyUsage=serverAuth'],
    ...['-keyout', file('server.key'), '-out', file('server.crt')],
  )
  const bundle = ['server.crt', 'server.key'].map((name) => readFileSync(file(name), 'latin1'))
  writeFileSync(file('server.pem'), bundle.join(''))
  return {
    serverAuthorityFile: file('web.crt'),
    serverCertificateFile: file('server.crt'),
    serverKeyFile: file('server.key'),
    serverBundleFile: file('server.pem'),
  }
}

/** The session of a certificate, as a Cookie header's value. */
export async function sessionOf(target: Target, credential: Credential): Promise<string> {
  const { headers } = await send(target, { credential })
  const line = (headers['set-cookie'] ?? []).find((text) => text.startsWith(SESSION))
  const [pair] = line?.split(';') ?? []
  if (pair === undefined) throw new Error('no session was opened')
  return pair
}
