import { createHash, createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { findProgram } from '../e2e/support/tools.ts'
import { freePort } from '../support/free-port.ts'
import { type RunningServer, startProgram } from './processes.ts'
import { headersOf } from './scene.ts'
import { requestsFile, type Target } from './target.ts'

/** Other services for the same purpose; those that are not installed are reported and left out. */
export async function makePeers(
  folder: string,
  tell: (line: string) => void,
): Promise<readonly Target[]> {
  const targets: Target[] = []
  const makers = {
    'nginx + Lua': makeLua,
    'oauth2-proxy, its own session': makeOauth,
    'oauth2-proxy as it comes, with a log line for each': makeOauthThatLogs,
  }
  for (const [name, make] of Object.entries(makers)) {
    try {
      targets.push(await make(name, folder))
    } catch (error) {
      tell(`left out: ${name} (${String(error)}); test/bench/tools.sh brings it`)
    }
  }
  return targets
}

const MODULES = '/usr/lib/nginx/modules'
const SECRET = 'a secret of the benchmark'

/** The check in the proxy itself: expiry and MAC of a cookie, in Lua, by one worker. */
async function makeLua(name: string, folder: string): Promise<Target> {
  const nginx = findProgram('nginx')
  const port = await freePort()
  const home = join(folder, 'lua')
  await mkdir(home, { recursive: true })
  const file = join(home, 'nginx.conf')
  await writeFile(file, luaConfiguration(home, port))
  const said = `${'0'.repeat(64)}.${Math.floor(Date.now() / 1000) + 86_400}`
  const mac = createHmac('sha1', SECRET).update(said).digest('base64')
  const headers = { ...headersOf({}), Cookie: `theme=dark; access=${said}.${mac}` }
  const command = [nginx, '-p', home, '-e', 'stderr', '-c', file]
  const ask = { headers, status: 200 }
  const target: Target = {
    name,
    requests: await requestsFile(folder, name, [headers]),
    ask,
    adminPort: undefined,
    start: () => startProgram(command, port, {}, ask),
  }
  await tryIt(target)
  return target
}

/** One process, so that its CPU time and memory are all there is. */
const luaConfiguration = (home: string, port: number): string => `
load_module ${MODULES}/ndk_http_module.so;
load_module ${MODULES}/ngx_http_lua_module.so;
daemon off;
master_process off;
pid ${home}/nginx.pid;
error_log stderr crit;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${home}/body;
  proxy_temp_path ${home}/proxy;
  fastcgi_temp_path ${home}/fastcgi;
  uwsgi_temp_path ${home}/uwsgi;
  scgi_temp_path ${home}/scgi;
  keepalive_requests 100000000;
  server {
    listen 127.0.0.1:${port};
    location = /verify {
      content_by_lua_block {
        local hash, expires, mac = (ngx.var.cookie_access or ''):match('^(%x+)%.(%d+)%.(.+)$')
        if not hash or tonumber(expires) < ngx.time()
          or mac ~= ngx.encode_base64(ngx.hmac_sha1('${SECRET}', hash .. '.' .. expires)) then
          return ngx.exit(403)
        end
        ngx.header['Content-Length'] = 0
        return ngx.exit(200)
      }
    }
  }
}
`

const PASSWORD = 'benchmark'

/** oauth2-proxy with one signed-in user. */
export interface Oauth {
  readonly port: number
  readonly path: string
  /** The status of an answer that grants access. */
  readonly status: number
  /** The pair of the Cookie header. */
  readonly cookie: string
  start(ask: Target['ask']): Promise<RunningServer>
}

const WITHOUT_LOGS = [
  ...['--request-logging=false', '--auth-logging=false', '--standard-logging=false'],
]

/**
 * The most widely used forward-auth service, with a session of its own password file, in a cookie.
 * Measured at its best: more threads than cores, or logging, make each answer more expensive.
 */
export async function prepareOauth(folder: string, logging = WITHOUT_LOGS): Promise<Oauth> {
  const program = findProgram('oauth2-proxy')
  const port = await freePort()
  const file = join(folder, 'htpasswd')
  await writeFile(file, `ada:{SHA}${createHash('sha1').update(PASSWORD).digest('base64')}\n`)
  const command = [
    program,
    ...['--provider=github', '--client-id=x', '--client-secret=y', '--email-domain=*'],
    ...[`--cookie-secret=${'s'.repeat(32)}`, '--cookie-secure=false', '--reverse-proxy'],
    ...[`--htpasswd-file=${file}`, '--upstream=static://202', `--http-address=127.0.0.1:${port}`],
    ...logging,
  ]
  const start = (ask: Target['ask']) => startProgram(command, port, { GOMAXPROCS: '1' }, ask)
  const path = '/oauth2/auth'
  const first = await start({ headers: {}, status: 401, path })
  const cookie = await signIn(port).finally(() => first.stop())
  return { port, path, status: 202, cookie, start }
}

const makeOauthThatLogs = (name: string, folder: string) => makeOauth(name, folder, [])

async function makeOauth(name: string, folder: string, logging?: string[]): Promise<Target> {
  const { path, status, cookie, start } = await prepareOauth(folder, logging)
  const headers = { ...headersOf({}), Cookie: `theme=dark; ${cookie}` }
  const ask = { headers, status, path }
  return {
    name,
    requests: await requestsFile(folder, name, [headers], path),
    ask,
    adminPort: undefined,
    start: () => start(ask),
  }
}

async function signIn(port: number): Promise<string> {
  const sent = request({
    host: '127.0.0.1',
    port,
    path: '/oauth2/sign_in',
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    agent: false,
  })
  sent.end(`username=ada&password=${PASSWORD}`)
  const [response] = await once(sent, 'response')
  response.resume()
  const lines: readonly string[] = response.headers['set-cookie'] ?? []
  const pairs = lines.map((line) => line.split(';')[0])
  const session = pairs.find((pair) => pair?.startsWith('_oauth2_proxy='))
  if (session === undefined) throw new Error(`no session: ${response.statusCode}`)
  return session
}

/** A module that is missing shows when the program starts. */
async function tryIt(target: Target): Promise<void> {
  const server = await target.start()
  await server.stop()
}
