import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { processEnvironment } from '../../src/config/load.ts'
import { makeServerCertificate } from '../support/server-certificate.ts'
import { HOST } from './support/client.ts'
import { homeAssistantRoot, pythonOf } from './support/home-assistant.ts'
import type { ServerFiles } from './support/home-assistant-household.ts'
import type { Credential } from './support/pki.ts'
import { toolsFolder } from './support/tools.ts'

export const REPOSITORY = join(import.meta.dirname, '../../..')
const NAME = 'certlatch-e2e'
const GRAFANA = 'grafana/grafana:13.2.3'
const HOME_ASSISTANT = 'ghcr.io/home-assistant/home-assistant:stable'
/** There is no buildx where Docker comes from Debian. */
const ENVIRONMENT = { ...processEnvironment(), DOCKER_BUILDKIT: '0' }
const TOOLS = toolsFolder()

export const DOMAIN = HOST

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end; its output is the answer, whatever the exit code. */
export async function run(program: string, ...args: readonly string[]): Promise<Ended> {
  try {
    const options = { env: ENVIRONMENT, maxBuffer: 64 << 20 }
    const { stdout, stderr } = await promisify(execFile)(program, [...args], options)
    return { code: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string }
    if (typeof code !== 'number') throw error
    return { code, stdout: stdout ?? '', stderr: stderr ?? '' }
  }
}

/** Runs a program that has to succeed; answers its standard output. */
export async function succeed(program: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, ...args)
  if (code !== 0) {
    throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`)
  }
  return stdout
}

/** The shipped docker-compose.yml, up and running. */
export interface Project {
  /** Runs `docker compose` in it. */
  readonly compose: (...args: readonly string[]) => Promise<string>
  readonly tryCompose: (...args: readonly string[]) => Promise<Ended>
  /** Starts it, or applies what has changed, and waits until all of it is healthy. */
  readonly up: (...more: readonly string[]) => Promise<void>
  /** Edits .env as a person does: these settings, and else what .env.example has. */
  readonly edit: (settings: EnvironmentSettings) => Promise<void>
  /** The port of the proxy on the loopback interface. */
  readonly port: () => Promise<number>
  /** What `certlatch doctor` says of it from inside. */
  readonly doctor: () => Promise<readonly Check[]>
  /** Runs a line of the documents in a shell, with this project's `docker compose` in it. */
  readonly shell: (line: string) => Promise<string>
  /** Runs a module's text with Node in the image, with both volumes and in the given network. */
  readonly runInImage: (network: string, module: string) => Promise<string>
  /** As the README has it, in the container of the service. */
  readonly addDevice: (name: string) => Promise<Credential>
  /** Puts another release of Home Assistant under the name of its image, as a pull does. */
  readonly pullHomeAssistant: (release: string) => Promise<void>
  /** The id of a service's container. */
  readonly container: (service: string) => Promise<string>
  /** What a client trusts for the server's certificate. */
  readonly serverAuthority: string
  readonly homeAssistantConfig: string
  readonly end: () => Promise<void>
}

/** Lines of .env; `undefined` takes one out. */
export type EnvironmentSettings = Readonly<Record<string, string | undefined>>

/** A check as `certlatch doctor --json` prints it. */
export interface Check {
  readonly name: string
  readonly result: 'ok' | 'warning' | 'failed' | 'not tried'
  readonly obstacle?: string
  readonly findings: readonly unknown[]
}

/** Which of the shipped sets of files: one certlatch, or several. */
type Shape = 'compose' | 'scale'

export interface ProjectOptions {
  readonly shape?: Shape
  /** The server's certificate, for a browser; without it, a self-signed one is used. */
  readonly server?: ServerFiles
  /** A Home Assistant release installed by `tools.sh`, in place of a stand-in. */
  readonly homeAssistant?: string
  /** Edits of .env besides those that everyone makes. */
  readonly settings?: EnvironmentSettings
}

/** Makes what the run needs and a project that is not started yet. */
export async function prepareProject(options: ProjectOptions = {}): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), 'certlatch-compose-'))
  const clear = async () => {
    await rm(folder, { recursive: true, force: true })
    await endEngine()
  }
  try {
    await makeTools(options.homeAssistant === undefined ? [] : ['--home-assistant'])
    return await prepareIn(folder, options, clear)
  } catch (error) {
    await clear()
    throw error
  }
}

async function prepareIn(
  folder: string,
  { shape = 'compose', server, homeAssistant, settings = {} }: ProjectOptions,
  clear: () => Promise<void>,
): Promise<Project> {
  const homeAssistantConfig = join(folder, 'home-assistant')
  await mkdir(homeAssistantConfig)
  const edit = (edits: EnvironmentSettings) =>
    writeEnvironment(folder, {
      DOMAIN,
      HOME_ASSISTANT_CONFIG: homeAssistantConfig,
      ...(shape === 'scale' && {
        COMPOSE_FILE: 'docker-compose.yml:deploy/compose/scale.yml',
      }),
      ...settings,
      ...edits,
    })
  await edit({})
  const { certificate, key, authority } = await serverFilesOf(server)
  await writeOverride(folder, shape, { certificate, key }, homeAssistant !== undefined)
  const [program, ...first] = await composeCommand()
  const own = shape === 'scale' ? [join(REPOSITORY, 'deploy', 'compose', 'scale.yml')] : []
  const files = [
    ...['--project-name', NAME, '--project-directory', REPOSITORY],
    ...['--env-file', join(folder, '.env'), '--file', join(REPOSITORY, 'docker-compose.yml')],
    ...[...own, join(folder, 'override.yml')].flatMap((path) => ['--file', path]),
  ]
  const tryCompose = (...args: readonly string[]) => run(program, ...first, ...files, ...args)
  const compose = (...args: readonly string[]) => succeed(program, ...first, ...files, ...args)
  const remove = async () => {
    // Each has volumes that the other doesn't use.
    for (const proxy of ['traefik', 'caddy']) {
      await edit({ CERTLATCH_PROXY: proxy })
      const down = ['down', '--volumes', '--remove-orphans', '--timeout', '5']
      await compose('--profile', '*', ...down)
    }
    await edit({})
  }
  // What a run that was killed has left.
  await remove()
  if (homeAssistant === undefined) await makeStandInImage(folder)
  else await makeRealHomeAssistantImage(folder, homeAssistant)
  const runInImage = (network: string, module: string) =>
    succeed(
      ...(['docker', 'run', '--rm', '--network', network] as const),
      ...['--volume', `${NAME}_public:/data/public`, '--volume', `${NAME}_private:/data/private`],
      ...['--entrypoint', 'node', 'certlatch', '--input-type=module', '--eval', module],
    )
  const composeWords = [program, ...first, ...files].map((word) => `'${word}'`).join(' ')
  const shell = (line: string) =>
    succeed('bash', '-euc', line.replaceAll('docker compose', composeWords))
  return {
    compose,
    tryCompose,
    edit,
    up: async (...more) => {
      const up = ['up', '--detach', '--wait', '--wait-timeout', '240', ...more]
      const { code, stdout, stderr } = await tryCompose(...up)
      if (code !== 0) throw new Error(`${stdout}${stderr}${await compose('logs')}`)
    },
    port: async () => Number((await compose('port', 'proxy', '443')).trim().split(':').at(-1)),
    doctor: async () => {
      const doctor = `certlatch doctor --connect 10.157.90.2:443 --server-ca /dev/stdin --json https://${DOMAIN}`
      const exec = `docker compose exec -T certlatch ${doctor} || true`
      return JSON.parse(await shell(`printf %s '${authority}' | ${exec}`)).checks
    },
    shell,
    runInImage,
    addDevice: async (name) => {
      const add = ['certlatch', 'device', 'add', name, '--format', 'pem', '--out', '-']
      const pem = await compose('exec', '-T', 'certlatch', ...add)
      return { certificate: pem.slice(pem.indexOf('-----BEGIN CERTIFICATE')), key: pem }
    },
    pullHomeAssistant: (release) => makeRealHomeAssistantImage(folder, release),
    container: async (service) => (await compose('ps', '--quiet', service)).trim(),
    serverAuthority: authority,
    homeAssistantConfig,
    end: async () => {
      try {
        await remove()
      } finally {
        await clear()
      }
    },
  }
}

/** Engine, compose and base images; what they say is worth seeing, for it can take two minutes. */
export async function makeTools(options: readonly string[]): Promise<void> {
  const script = join(REPOSITORY, 'test', 'e2e', 'compose-tools.sh')
  const child = spawn('bash', [script, ...options], {
    env: ENVIRONMENT,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const code = await exitCode(child)
  if (code !== 0) throw new Error(`${script} ended with ${code}`)
}

const exitCode = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', resolve)
  })

export async function composeCommand(): Promise<readonly [string, ...string[]]> {
  const { code } = await run('docker', 'compose', 'version')
  return code === 0 ? ['docker', 'compose'] : [join(TOOLS, 'docker-compose')]
}

/** .env, made of .env.example, which has to show whatever is changed. */
async function writeEnvironment(folder: string, settings: EnvironmentSettings): Promise<void> {
  const example = await readFile(join(REPOSITORY, '.env.example'), 'utf8')
  const text = Object.entries(settings).reduce((before, [name, value]) => {
    const line = new RegExp(`^(# )?${name}=.*$`, 'm')
    if (!line.test(before)) throw new Error(`.env.example has no ${name}`)
    return before.replace(line, () => (value === undefined ? '' : `${name}=${value}`))
  }, example)
  await writeFile(join(folder, '.env'), text)
}

interface ServerCertificate {
  readonly certificate: string
  readonly key: string
}

async function serverFilesOf(
  files: ServerFiles | undefined,
): Promise<ServerCertificate & { readonly authority: string }> {
  if (files === undefined) {
    const own = makeServerCertificate(DOMAIN, Math.floor(Date.now() / 1000))
    return { ...own, authority: own.certificate }
  }
  const [certificate, key, authority] = await Promise.all(
    [files.serverCertificateFile, files.serverKeyFile, files.serverAuthorityFile].map((file) =>
      readFile(file, 'utf8'),
    ),
  )
  return { certificate: certificate ?? '', key: key ?? '', authority: authority ?? '' }
}

/**
 * What this machine needs: a free port on the loopback interface, a server certificate from a file, and
 * the network of the machine to build with. The proxy finds no name server: nothing of this run goes out
 * to Let's Encrypt.
 */
async function writeOverride(
  folder: string,
  shape: Shape,
  server: ServerCertificate,
  isHomeAssistantReal: boolean,
): Promise<void> {
  const dynamic = join(folder, 'dynamic')
  await cp(join(REPOSITORY, 'deploy', 'traefik', shape, 'dynamic'), dynamic, { recursive: true })
  const caddy = join(folder, 'caddy')
  await mkdir(caddy)
  for (const place of [dynamic, caddy]) {
    await writeFile(join(place, 'server.crt'), server.certificate)
    await writeFile(join(place, 'server.key'), server.key)
  }
  const mounted = '/etc/traefik/dynamic'
  await writeFile(
    join(dynamic, 'certificate.yml'),
    `tls:
  certificates:
    - { certFile: ${mounted}/server.crt, keyFile: ${mounted}/server.key }
`,
  )
  const shipped = await readFile(join(REPOSITORY, 'deploy/caddy/compose/Caddyfile'), 'utf8')
  const files = '/etc/caddy/server.crt /etc/caddy/server.key'
  await writeFile(join(caddy, 'Caddyfile'), replaceLine(shipped, '\ttls {', `\ttls ${files} {`))
  // Its image can't be made of packages: where it is not there already, the rest is run without.
  const there = await run('docker', 'image', 'inspect', '--format', '{{ .Id }}', GRAFANA)
  const grafana =
    there.code === 0
      ? '  grafana:\n    ports: !override ["127.0.0.1::3000"]\n'
      : '  grafana: !reset null\n'
  await writeFile(
    join(folder, 'override.yml'),
    `services:
  proxy:
    dns: 127.0.0.1
    ports: !override ["127.0.0.1::443"]
    volumes: ["${dynamic}:${mounted}:ro", "${caddy}:/etc/caddy:ro"]
  certlatch:
    build: { network: host }
${grafana}${isHomeAssistantReal ? MOUNTS_OF_HOME_ASSISTANT : ''}`,
  )
}

function replaceLine(text: string, line: string, replacement: string): string {
  if (!text.split('\n').includes(line)) throw new Error(`there is no line ${line}`)
  return text.replace(line, replacement)
}

const STAND_IN_DOCKERFILE = `FROM node:26-trixie-slim
LABEL certlatch.made-here=true
COPY . /stand-in
RUN ln -s /stand-in/init /init && ln -s /stand-in/curl /usr/local/bin/curl
ENTRYPOINT ["/init"]
`

/** An image with Home Assistant's name is ours, or there is none: a pulled one is left alone. */
async function refuseForeignImage(): Promise<void> {
  const format = '{{ index .Config.Labels "certlatch.made-here" }}'
  const there = await run('docker', 'image', 'inspect', '--format', format, HOME_ASSISTANT)
  if (there.code === 0 && there.stdout.trim() !== 'true') {
    throw new Error(`${HOME_ASSISTANT} is the real one here; this run makes one of its own`)
  }
}

/**
 * Home Assistant is too large to be copied into an image for each run. Without a name server none of
 * its integrations goes out.
 */
const MOUNTS_OF_HOME_ASSISTANT = `  homeassistant:
    dns: 127.0.0.1
    volumes: ["${join(homeAssistantRoot(), 'ha')}:/ha:ro"]
`

/** Home Assistant itself under the name of its image, started as that one starts it. */
async function makeRealHomeAssistantImage(folder: string, release: string): Promise<void> {
  await refuseForeignImage()
  const context = join(folder, `home-assistant-${release}`)
  await mkdir(context)
  const python = pythonOf(release)
  const init = `#!/bin/sh\nexec ${python} -m homeassistant -c /config --skip-pip\n`
  await writeFile(join(context, 'init'), init, { mode: 0o755 })
  const dockerfile = `FROM certlatch-e2e/home-assistant-base
LABEL certlatch.made-here=true
ENV LANG=C.UTF-8 PATH=${dirname(python)}:/usr/sbin:/usr/bin:/sbin:/bin
COPY init /
ENTRYPOINT ["/init"]
`
  await writeFile(join(context, 'Dockerfile'), dockerfile)
  await succeed('docker', 'build', '--quiet', '--tag', HOME_ASSISTANT, context)
}

async function makeStandInImage(folder: string): Promise<void> {
  await refuseForeignImage()
  const context = join(folder, 'stand-in')
  const executable = { mode: 0o755 }
  await mkdir(context)
  await cp(join(import.meta.dirname, 'compose-home-assistant.js'), join(context, 'server.js'))
  await cp(join(REPOSITORY, 'node_modules', 'ws'), join(context, 'node_modules', 'ws'), {
    recursive: true,
  })
  await writeFile(join(context, 'package.json'), '{ "type": "module" }')
  await writeFile(join(context, 'init'), '#!/bin/sh\nexec node /stand-in/server.js\n', executable)
  // The real image has curl, for the health check of docker-compose.yml; this one has Node.
  const curl = `#!/usr/bin/env node
fetch(process.argv.at(-1)).then(({ ok }) => process.exit(ok ? 0 : 22), () => process.exit(7))
`
  await writeFile(join(context, 'curl'), curl, executable)
  await writeFile(join(context, 'Dockerfile'), STAND_IN_DOCKERFILE)
  await succeed('docker', 'build', '--quiet', '--tag', HOME_ASSISTANT, context)
}

/** Stops the engine if compose-tools.sh had to start it. */
export async function endEngine(): Promise<void> {
  const file = join(TOOLS, 'dockerd.pid')
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return
  await rm(file)
  const processId = Number(text)
  process.kill(processId, 'SIGTERM')
  await until(() => !isAlive(processId), 'the Docker engine ends')
}

function isAlive(processId: number): boolean {
  try {
    return process.kill(processId, 0)
  } catch {
    return false
  }
}

/** Retries until the answer is yes, for half a minute. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = Date.now() + 30_000
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`it did not happen within 30 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
