import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync, utimesSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../../support/free-port.ts'
import { type Ended, runCommand } from './certlatch.ts'
import { type Answer, type Gate, type ProxyKind, startGate, startWorld } from './gate.ts'
import type { Credential } from './pki.ts'
import { CADDY, HAPROXY, NGINX, TRAEFIK } from './proxies.ts'
import { findProgram, repositoryFolder } from './tools.ts'

/** A proxy that can be controlled while it runs, as its page says. */
export interface TalkingKind extends ProxyKind {
  /** Reads ca.crt again. */
  readonly reread: (gate: Gate) => Promise<unknown>
  /** Puts this run's places into the hook of the proxy's text. */
  readonly placeHook: (hook: readonly string[], gate: Gate) => readonly string[]
}

const now = (path: string) => utimesSync(path, new Date(), new Date())
const runProgram = (program: string, args: readonly string[]) =>
  promisify(execFile)(findProgram(program), args)

const traefik: TalkingKind = {
  ...TRAEFIK,
  reread: async ({ folder }) => now(join(folder, 'dynamic.yml')),
  placeHook: (hook, { world }) =>
    replaced(hook, '127.0.0.1:8123', `127.0.0.1:${world.backend.port}`),
}

async function caddy(): Promise<TalkingKind> {
  const admin = `127.0.0.1:${await freePort()}`
  return {
    ...CADDY,
    fill: (places) =>
      CADDY.fill(places).map((change) => ({
        ...change,
        becomes: change.becomes.replace('admin off', `admin ${admin}`),
      })),
    reread: ({ folder }) =>
      runProgram('caddy', [
        ...['reload', '--force', '--address', admin],
        ...['--config', join(folder, 'Caddyfile')],
      ]),
    placeHook: (hook) => replaced(hook, 'http://localhost:2019', `http://${admin}`),
  }
}

const nginx: TalkingKind = {
  ...NGINX,
  reread: async ({ process: proxy }) => proxy.kill('SIGHUP'),
  placeHook: ([program = '', ...args], { folder }) => [
    program,
    ...['-p', folder, '-e', 'stderr', '-c', `${folder}/nginx.conf`],
    ...['-g', `pid ${folder}/nginx.pid; error_log stderr;`],
    ...args,
  ],
}

const haproxy: TalkingKind = {
  ...HAPROXY,
  // As its service runs it: with a master, that can start another worker.
  command: (folder) => ['haproxy', '-W', '-db', '-f', `${folder}/haproxy.cfg`],
  reread: async ({ process: proxy }) => proxy.kill('SIGUSR2'),
  placeHook: (hook, { folder }) =>
    replaced(hook, '/run/haproxy/admin.sock', `${folder}/admin.sock`),
}

function replaced(hook: readonly string[], text: string, becomes: string): readonly string[] {
  assert.ok(hook.includes(text), `the hook has ${text}`)
  return hook.map((word) => (word === text ? becomes : word))
}

export const talkingKinds = async (): Promise<readonly TalkingKind[]> => [
  traefik,
  await caddy(),
  nginx,
  haproxy,
]

/** A proxy in front of a certlatch with its own CA, and the commands on its directory. */
export interface Household {
  readonly gate: Gate
  /** Runs a command of certlatch to its end. */
  certlatch(...args: readonly string[]): Promise<Ended>
  /** The same for one that has to succeed; answers its standard output. */
  done(...args: readonly string[]): Promise<string>
  /** The same with the hook that the proxy's text has for after a revocation. */
  withHook(...args: readonly string[]): Promise<Ended>
  /** `device add`, or another command that makes a certificate. */
  issue(...args: readonly string[]): Promise<Credential>
  /** The same with the package that phones get, opened with its password. */
  issuePackage(...args: readonly string[]): Promise<Credential>
  /** The subjects of the CAs that the proxy requests certificates from. */
  askedFor(): Promise<string>
  close(): Promise<void>
}

export async function startHousehold(
  kind: TalkingKind,
  authority: 'own' | 'external' = 'own',
): Promise<Household> {
  const world = await startWorld(kind, authority)
  const gate = await startGate(world).catch(async (error) => {
    await world.close()
    throw error
  })
  const { environment } = world.certlatch
  const certlatch = (...args: readonly string[]) => runCommand(environment, ...args)
  const done = async (...args: readonly string[]) => succeeded(args, await certlatch(...args))
  return {
    gate,
    certlatch,
    done,
    withHook: (...args) => {
      const hook = kind.placeHook(shippedHook(kind), gate)
      const [program = '', ...rest] = hook
      const found = isAbsolute(program) ? program : findProgram(program)
      const set = JSON.stringify([found, ...rest])
      const path = { PATH: process.env['PATH'], CERTLATCH_ON_REVOKE: set }
      return runCommand({ ...environment, ...path }, ...args)
    },
    issue: async (...args) => {
      const pem = await done(...args, '--format', 'pem', '--out', '-')
      return { certificate: pem, key: pem }
    },
    issuePackage: async (...args) => {
      const said = await done(...args, '--out', world.folder)
      const [, path = ''] = /^package +(.+)$/m.exec(said) ?? []
      const [, password = ''] = /^password +(.+)$/m.exec(said) ?? []
      const { stdout } = await runProgram('openssl', [
        ...['pkcs12', '-in', path, '-nodes', '-passin', `pass:${password}`],
      ])
      return { certificate: stdout, key: stdout }
    },
    askedFor: () => namesAskedFor(gate),
    close: async () => {
      await gate.close()
      await world.close()
    },
  }
}

export function succeeded(args: readonly string[], { code, stdout, stderr }: Ended): string {
  assert.equal(code, 0, `certlatch ${args.join(' ')} ended with ${code}: ${stderr}`)
  return stdout
}

/** The value of CERTLATCH_ON_REVOKE in the proxy's text, with this repository's folder in it. */
function shippedHook({ dialect }: ProxyKind): readonly string[] {
  const text = readFileSync(join(repositoryFolder(), 'deploy', dialect, 'README.md'), 'utf8')
  const [, value] = /^CERTLATCH_ON_REVOKE='(.*)'$/m.exec(text) ?? []
  assert.ok(value, `deploy/${dialect}/README.md has a hook`)
  return JSON.parse(value.replaceAll('/opt/certlatch', repositoryFolder()))
}

async function namesAskedFor({ target }: Gate): Promise<string> {
  const address = `127.0.0.1:${target.port}`
  const args = ['s_client', '-connect', address, '-servername', 'home.example']
  return new Promise((resolve) => {
    execFile(findProgram('openssl'), args, (_, out) => resolve(out)).stdin?.end()
  })
}

export function assertOpens(answer: Answer): void {
  assert.equal(answer.status, 200, `opens: expected 200, got ${answer.status}`)
  assert.ok(answer.seen, 'opens: the application saw the request')
}

export function assertRefuses(answer: Answer): void {
  assert.equal(answer.status, 403, `refused: expected 403, got ${answer.status}`)
  assert.equal(answer.seen, undefined, 'refused: the application saw nothing of it')
  assert.deepEqual(answer.headers['x-certlatch'], ['refused'], "refused: in certlatch's words")
}
