import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import type { DialectName } from '../../../src/proxy/dialects.ts'
import { freePort } from '../../support/free-port.ts'
import { type Backend, type HeaderLine, NUMBER_HEADER, type Seen, startBackend } from './backend.ts'
import { type Certlatch, dataFolder, PROXY_SECRET, startCertlatch } from './certlatch.ts'
import {
  exchange,
  HOST,
  type OpenedSocket,
  openWebSocket,
  type Received,
  type Sent,
  type Target,
} from './client.ts'
import { type Credential, type CredentialName, makePki, type Pki } from './pki.ts'
import { type AskedQuestion, type Relay, startRelay } from './relay.ts'
import { findProgram, repositoryFolder, until } from './tools.ts'

/** Text of a shipped file, and its replacement. */
export interface Change {
  readonly file: string
  readonly text: string
  readonly becomes: string
}

/** What a proxy reads of a PKI. */
export type ProxyFiles = Pick<
  Pki,
  'authorityFile' | 'serverCertificateFile' | 'serverKeyFile' | 'serverBundleFile'
>

/** The paths and addresses that the shipped files should use. */
export interface Places {
  readonly folder: string
  readonly port: number
  /** Additional ports that a proxy opens. */
  readonly sparePort: number
  readonly certlatchPort: number
  readonly pagesPort: number
  readonly applicationPort: number
  readonly pki: ProxyFiles
  /** Who runs the tests. */
  readonly user: string
}

/** A proxy: its shipped files, what a person has to change in them, and how it is started. */
export interface ProxyKind {
  readonly dialect: DialectName
  /** Where its files are shipped, below `deploy`: without it, under the dialect's name. */
  readonly shippedIn?: string
  readonly files: readonly string[]
  /** Where a layout has them, below the folder of its configuration. */
  readonly placedIn?: string
  /** What a layout has besides: its path and text. */
  readonly others?: (places: Places) => Readonly<Record<string, string>>
  readonly fill: (places: Places) => readonly Change[]
  readonly command: (folder: string) => readonly [program: string, ...args: string[]]
  /** Stops it with its open connections, as a restart or a reload would. */
  readonly endingSignal: 'SIGTERM' | 'SIGHUP' | 'SIGUSR1'
  /** How long that may take, in milliseconds. */
  readonly endsWithin: number
}

/** What stays up for all the tests of one proxy: application, certlatch, and a relay to it. */
export interface World {
  readonly kind: ProxyKind
  readonly folder: string
  readonly pki: Pki
  readonly backend: Backend
  readonly certlatch: Certlatch
  readonly relay: Relay
  /** The same before the pages. */
  readonly pagesRelay: Relay
  /** The sessions that were created first; a wrongly configured proxy may not deliver any. */
  readonly sessions: Map<CredentialName, string>
  close(): Promise<void>
}

/** `own`: certlatch makes its CA itself, and commands issue certificates; else OpenSSL has done both. */
export async function startWorld(
  kind: ProxyKind,
  authority: 'external' | 'own' = 'external',
  settings: Readonly<Record<string, string>> = {},
): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'certlatch-e2e-'))
  // HAProxy and nginx drop root, and must be able to read these files.
  chmodSync(folder, 0o755)
  const made = makePki(folder)
  const isOwn = authority === 'own'
  const pki = isOwn ? { ...made, authorityFile: `${dataFolder(folder)}/public/ca.crt` } : made
  const backend = await startBackend()
  const certlatch = await startCertlatch(folder, kind.dialect, isOwn ? undefined : pki, settings)
  const relay = await startRelay(certlatch.port)
  const pagesRelay = await startRelay(certlatch.pagesPort)
  return {
    kind,
    folder,
    pki,
    backend,
    certlatch,
    relay,
    pagesRelay,
    sessions: new Map(),
    close: async () => {
      relay.close()
      pagesRelay.close()
      backend.close()
      await certlatch.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export interface Request extends Partial<Omit<Sent, 'credential' | 'headers'>> {
  readonly credential?: CredentialName | Credential
  /** The value of the Cookie header. */
  readonly cookie?: string
  readonly headers?: readonly HeaderLine[]
}

export interface Answer extends Received {
  /** What the application saw of it, if it got that far. */
  readonly seen: Seen | undefined
  /** The auth requests for it. */
  readonly questions: readonly AskedQuestion[]
  /** What certlatch's pages got of it. */
  readonly visits: readonly AskedQuestion[]
}

export interface SocketAnswer extends OpenedSocket {
  readonly seen: Seen | undefined
}

/** A running proxy in front of a world. */
export interface Gate {
  readonly world: World
  /** The folder of its configuration. */
  readonly folder: string
  readonly target: Target
  readonly process: ChildProcess
  send(request?: Request): Promise<Answer>
  openSocket(request?: Pick<Request, 'credential' | 'cookie' | 'headers'>): Promise<SocketAnswer>
  /** The session of this certificate, as a Cookie header's value. */
  session(name: CredentialName): Promise<string>
  close(): Promise<void>
}

let requestNumber = 0
/** A header that makes a request findable. */
export const nextNumber = (): string => {
  requestNumber += 1
  return String(requestNumber)
}

export async function startGate(
  world: World,
  changes: readonly Change[] = [],
  startsWithin = 10_000,
): Promise<Gate> {
  const { kind, pki, backend, relay } = world
  const port = await freePort()
  const folder = mkdtempSync(join(world.folder, 'proxy-'))
  chmodSync(folder, 0o755)
  const places: Places = {
    folder,
    port,
    sparePort: await freePort(),
    certlatchPort: relay.port,
    pagesPort: world.pagesRelay.port,
    applicationPort: backend.port,
    pki,
    user: userInfo().username,
  }
  const { child, log } = launchProxy(kind, places, changes)
  const target = {
    port,
    // Caddy's own CA is there only once it has started.
    get serverCertificate() {
      return pki.server.certificate
    },
  }
  const gate = makeGate(world, folder, target, child)
  try {
    await until(
      `${kind.dialect} lets a request through to be judged`,
      async () => {
        if (child.exitCode !== null) throw new Error(`${kind.dialect} ended: ${log.join('')}`)
        // Traefik listens before it has loaded its routes, and answers 404.
        const answer = await gate
          .send()
          .catch(() => gate.send({ credential: 'ada' }))
          .catch(() => undefined)
        return answer !== undefined && (answer.status !== 404 || kind.dialect !== 'traefik')
      },
      startsWithin,
    )
  } catch (error) {
    await gate.close()
    const said = log.join('').slice(-2000)
    throw new Error(`${kind.dialect} did not start (${error}): ${said}`, { cause: error })
  }
  return gate
}

/** Writes the shipped files, filled in and so changed, and starts the proxy on them. */
export function launchProxy(
  kind: ProxyKind,
  places: Places,
  changes: readonly Change[] = [],
): { readonly child: ChildProcess; readonly log: readonly string[] } {
  const { folder } = places
  // A test's changes refer to the text of the shipped file, so they come first.
  const all = [...changes, ...kind.fill(places)]
  const write = (path: string, file: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    const own = all.filter((change) => change.file === file)
    writeFileSync(join(folder, path), own.reduce(replaceText, text))
  }
  for (const file of kind.files) {
    const path = join(repositoryFolder(), 'deploy', kind.shippedIn ?? kind.dialect, file)
    write(join(kind.placedIn ?? '', file), file, readFileSync(path, 'utf8'))
  }
  for (const [file, text] of Object.entries(kind.others?.(places) ?? {})) write(file, file, text)
  const [program, ...args] = kind.command(folder)
  const log: string[] = []
  const child = spawn(findProgram(program), args, {
    cwd: folder,
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      XDG_DATA_HOME: folder,
      XDG_CONFIG_HOME: folder,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => log.push(chunk.toString('utf8')))
  }
  return { child, log }
}

function replaceText(text: string, change: Change): string {
  if (!text.includes(change.text)) {
    throw new Error(`deploy: ${change.file} has no ${JSON.stringify(change.text)}`)
  }
  return text.replaceAll(change.text, () => change.becomes)
}

function makeGate(world: World, folder: string, target: Target, child: ChildProcess): Gate {
  const { pki, backend, relay } = world
  const credentialOf = (given: CredentialName | Credential | undefined) =>
    typeof given === 'string' ? pki.credential(given) : given
  const cookieLine = (cookie: string | undefined): readonly HeaderLine[] =>
    cookie === undefined ? [] : [['Cookie', cookie]]
  const send = async (given: Request = {}): Promise<Answer> => {
    const number = nextNumber()
    const received = await exchange(target, {
      protocol: given.protocol ?? 'HTTP/1.1',
      method: given.method ?? 'GET',
      path: given.path ?? '/',
      host: given.host ?? HOST,
      credential: credentialOf(given.credential),
      headers: [...(given.headers ?? []), ...cookieLine(given.cookie), [NUMBER_HEADER, number]],
      body: given.body,
      agent: given.agent,
    })
    return {
      ...received,
      seen: backend.find(number),
      questions: relay.questions(number),
      visits: world.pagesRelay.questions(number),
    }
  }
  return {
    world,
    folder,
    target,
    process: child,
    send,
    openSocket: async (given = {}) => {
      const number = nextNumber()
      const headers = [...(given.headers ?? []), ...cookieLine(given.cookie)]
      const credential = credentialOf(given.credential)
      const opened = await openWebSocket(target, credential, [...headers, [NUMBER_HEADER, number]])
      return { ...opened, seen: backend.find(number) }
    },
    session: async (name) => {
      const before = world.sessions.get(name)
      if (before !== undefined) return before
      const pair = sessionOf(await send({ credential: name }))
      if (pair === undefined) throw new Error(`${name} got no session`)
      world.sessions.set(name, pair)
      return pair
    },
    close: () => endProxy(child, world.kind),
  }
}

export const SESSION = '__Host-certlatch='

/** The session that an answer sets, as a Cookie header's value. */
export function sessionOf({ headers }: Pick<Answer, 'headers'>): string | undefined {
  const [line] = (headers['set-cookie'] ?? []).filter((text) => text.startsWith(SESSION))
  return line?.split(';')[0]
}

export async function endProxy(child: ChildProcess, { dialect }: ProxyKind): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  // Workers are to end as well.
  child.kill(dialect === 'nginx' || dialect === 'haproxy' ? 'SIGTERM' : 'SIGKILL')
  const deadline = setTimeout(() => child.kill('SIGKILL'), 2_000)
  await ended
  clearTimeout(deadline)
}

export { PROXY_SECRET }
