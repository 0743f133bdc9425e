import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { userInfo } from 'node:os'
import { delimiter, join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import type { DialectName } from '../../src/proxy/dialects.ts'
import type { Places, ProxyKind } from '../e2e/support/gate.ts'
import { CADDY, NGINX, TRAEFIK } from '../e2e/support/proxies.ts'
import { repositoryFolder, until } from '../e2e/support/tools.ts'
import { freePort } from '../support/free-port.ts'
import type { ServerCertificate } from '../support/server-certificate.ts'
import { createTlsFront } from './tls-front.ts'

/** The proxy in front of certlatch and the application. */
export interface FrontPlan {
  readonly description: string
  readonly dialect: DialectName
  start(setting: FrontSetting): Promise<RunningFront>
}

export interface FrontSetting {
  readonly folder: string
  readonly host: string
  readonly server: ServerCertificate
  readonly authorityFile: string
  readonly certlatchPort: number
  readonly pagesPort: number
  readonly applicationPort: number
}

export interface RunningFront {
  readonly port: number
  close(): Promise<void>
}

/** A proxy that is there and does not take the shipped files: an old version, most likely. */
export class FrontError extends Error {}

const KINDS: readonly ProxyKind[] = [CADDY, TRAEFIK, NGINX]
export const STAND_IN_NAME = 'stand-in'

/**
 * The requested front, or the first proxy on the PATH, or the stand-in. `undefined` if the
 * requested one is not installed.
 */
export function chooseFront(wanted: string | undefined): FrontPlan | undefined {
  if (wanted === STAND_IN_NAME) return STAND_IN
  const kind = KINDS.find(({ dialect }) => (wanted ?? dialect) === dialect && isOnPath(dialect))
  if (kind !== undefined) return proxyFront(kind)
  return wanted === undefined ? STAND_IN : undefined
}

function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

const STAND_IN: FrontPlan = {
  description:
    'a small TLS front of this repository, for trying only (no Caddy, Traefik or nginx is on the PATH, or it was asked for)',
  dialect: 'caddy',
  async start({ server, authorityFile, ...ports }) {
    const authority = await readFile(authorityFile, 'utf8')
    const front = createTlsFront({ server, authority, ...ports })
    front.listen(0, '127.0.0.1')
    await once(front, 'listening')
    return {
      port: (front.address() as AddressInfo).port,
      close: async () => {
        front.closeAllConnections()
        front.close()
      },
    }
  },
}

/** A real proxy with its shipped files, in which only addresses, paths and the host are filled in. */
const proxyFront = (kind: ProxyKind): FrontPlan => ({
  description: `${kind.dialect}, with the files of deploy/${kind.dialect}`,
  dialect: kind.dialect,
  async start(setting) {
    const folder = join(setting.folder, kind.dialect)
    await mkdir(folder, { mode: 0o755 })
    const port = await freePort()
    const places: Places = {
      folder,
      port,
      sparePort: await freePort(),
      certlatchPort: setting.certlatchPort,
      pagesPort: setting.pagesPort,
      applicationPort: setting.applicationPort,
      pki: (await writeServerFiles(folder, setting)) as Places['pki'],
      user: userInfo().username,
    }
    for (const file of kind.files) await writeShippedFile(kind, file, places, setting.host)
    const [program, ...args] = kind.command(folder)
    const child = spawn(program, args, {
      cwd: folder,
      env: {
        PATH: process.env['PATH'],
        HOME: folder,
        XDG_DATA_HOME: folder,
        XDG_CONFIG_HOME: folder,
      },
      stdio: 'ignore',
    })
    process.once('exit', () => child.kill())
    const close = async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
    }
    try {
      await until(`${program} answers`, () => {
        if (child.exitCode !== null) throw new Error(`it ended with code ${child.exitCode}`)
        return answers(port, setting.host)
      })
    } catch (error) {
      await close()
      throw new FrontError(`${program} does not start here (${(error as Error).message})`)
    }
    return { port, close }
  },
})

async function writeServerFiles(folder: string, { server, authorityFile }: FrontSetting) {
  const serverCertificateFile = join(folder, 'server.crt')
  const serverKeyFile = join(folder, 'server.key')
  await writeFile(serverCertificateFile, server.certificate)
  await writeFile(serverKeyFile, server.key, { mode: 0o600 })
  return { authorityFile, serverCertificateFile, serverKeyFile }
}

async function writeShippedFile(kind: ProxyKind, file: string, places: Places, host: string) {
  const shipped = join(repositoryFolder(), 'deploy', kind.dialect, file)
  let text = await readFile(shipped, 'utf8')
  for (const change of kind.fill(places).filter((one) => one.file === file)) {
    text = text.replaceAll(change.text, () => change.becomes)
  }
  await writeFile(join(places.folder, file), text.replaceAll('home.example', host))
}

/** Whether the proxy has its routes: before, it refuses the connection or answers 404. */
function answers(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTls({
      host: '127.0.0.1',
      port,
      servername: host,
      rejectUnauthorized: false,
    })
    let answer = ''
    socket.on('secureConnect', () => {
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}:${port}\r\nConnection: close\r\n\r\n`)
    })
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1')
    })
    socket.on('close', () => resolve(answer.startsWith('HTTP/1.1 403')))
    socket.on('error', () => resolve(false))
  })
}
