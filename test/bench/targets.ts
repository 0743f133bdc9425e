import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../support/free-port.ts'
import { repository } from '../support/repository.ts'
import { makePeers } from './peers.ts'
import { type Ask, startServer } from './processes.ts'
import {
  certificateHeader,
  type Headers,
  headersOf,
  OPEN_URI,
  type Scene,
  settingsOf,
  withBrokenSignature,
  writeFiles,
  writePolicy,
} from './scene.ts'
import { requestsFile, type Target } from './target.ts'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
/** In a checkout that is built. */
export const PROGRAM = 'dist/src/cli/main.js'
export const CERTLATCH = join(repository(), PROGRAM)
export const BARE = here('bare-server.js')
const NAIVE = here('naive-server.js')

/** More than certlatch remembers: requested in turn, each is forgotten before it comes again. */
const DISTINCT_SESSIONS = 20_000
const DISTINCT_FORGED = 5_000

export interface CertlatchTargets {
  readonly knownCookie: Target
  readonly refused: Target
  /** In the order of the report. */
  readonly all: readonly Target[]
}

export interface Targets extends CertlatchTargets {
  readonly bare: Target
  readonly naive: Target
}

/** Everything that is put under load; `all` has everything but the bare server. `folder` is for their files. */
export async function makeTargets(
  folder: string,
  scene: Scene,
  tell: (line: string) => void,
): Promise<Targets> {
  const known = headersOf({ session: scene.mintSession() })
  const bare = await scriptTarget('bare node:http', BARE, [], known, folder)
  const bareAgain = await scriptTarget('bare node:http again (noise)', BARE, [], known, folder)
  const certlatch = await makeCertlatchTargets(folder, scene)
  const naive = await scriptTarget('naive koa', NAIVE, [scene.key], known, folder)
  const peers = await makePeers(folder, tell)
  return { ...certlatch, bare, naive, all: [bareAgain, ...certlatch.all, naive, ...peers] }
}

/** Certlatch under every kind of load: what is built in a checkout, by default this one. */
export async function makeCertlatchTargets(
  folder: string,
  scene: Scene,
  checkout = repository(),
): Promise<CertlatchTargets> {
  const files = await writeFiles(folder, scene)
  const session = scene.mintSession()
  const der = scene.issueCertificate()
  const known = headersOf({ session })
  const many = Array.from({ length: DISTINCT_SESSIONS }, () =>
    headersOf({ session: scene.mintSession() }),
  )
  const forged = Array.from({ length: DISTINCT_FORGED }, () =>
    headersOf({ session: scene.forgeSession() }),
  )
  const certlatch = (
    name: string,
    proxy: 'traefik' | 'caddy',
    status: number,
    requests: readonly Headers[],
    environment: Headers = files,
  ) => certlatchTarget({ name, proxy, status, requests, folder, files: environment, checkout })
  const withRules = await writePolicy(folder, files)
  const shown = certificateHeader('traefik', der)
  const shownBefore = headersOf({ session: scene.mintSession(der), more: shown })
  const knownCookie = await certlatch('cookie, known', 'traefik', 200, [known])
  const refused = await certlatch('refused: nothing shown', 'traefik', 403, [headersOf({})])
  return {
    knownCookie,
    refused,
    all: [
      knownCookie,
      await certlatch('cookie, known, asked by Caddy', 'caddy', 200, [known]),
      await certlatch('cookie, not known', 'traefik', 200, many),
      await certlatch('certificate, known, with its cookie', 'traefik', 200, [shownBefore]),
      await certlatch('certificate, known: sets a cookie', 'traefik', 200, [
        headersOf({ more: shown }),
      ]),
      await certlatch('cookie, known, under rules', 'traefik', 200, [known], withRules),
      await certlatch(
        'open by a rule: nothing shown',
        'traefik',
        200,
        [headersOf({ more: { 'X-Forwarded-Uri': OPEN_URI } })],
        withRules,
      ),
      refused,
      await certlatch('refused: forged cookie, known', 'traefik', 403, [
        headersOf({ session: scene.forgeSession() }),
      ]),
      await certlatch('refused: bad certificate, known', 'traefik', 403, [
        headersOf({ more: certificateHeader('traefik', withBrokenSignature(der, 0)) }),
      ]),
      await certlatch('refused: forged cookie, not known', 'traefik', 403, forged),
    ],
  }
}

/** The two whose starts are compared. */
export async function makeStartTargets(
  folder: string,
  scene: Scene,
): Promise<{ readonly certlatch: Target; readonly bare: Target }> {
  const files = await writeFiles(folder, scene)
  const known = headersOf({ session: scene.mintSession() })
  return {
    certlatch: await certlatchTarget({
      ...{ name: 'cookie, known', proxy: 'traefik', status: 200, requests: [known] },
      ...{ folder, files, checkout: repository() },
    }),
    bare: await scriptTarget('bare node:http', BARE, [], known, folder),
  }
}

interface CertlatchTarget {
  readonly name: string
  readonly proxy: 'traefik' | 'caddy'
  readonly status: number
  readonly requests: readonly Headers[]
  readonly folder: string
  readonly files: Headers
  readonly checkout: string
}

async function certlatchTarget(target: CertlatchTarget): Promise<Target> {
  const { name, proxy, status, requests, folder, files, checkout } = target
  const [port, adminPort] = [await freePort(), await freePort()]
  const ask: Ask = { headers: requests[0] ?? {}, status }
  const settings = settingsOf(files, proxy, port, adminPort)
  const program = join(checkout, PROGRAM)
  return {
    name,
    requests: await requestsFile(folder, name, requests),
    ask,
    adminPort,
    start: (nodeOptions) =>
      startServer(program, ['serve'], port, settings, ask, { nodeOptions, checkout }),
  }
}

async function scriptTarget(
  name: string,
  script: string,
  words: readonly string[],
  headers: Headers,
  folder: string,
): Promise<Target> {
  const port = await freePort()
  const ask: Ask = { headers, status: 200 }
  return {
    name,
    requests: await requestsFile(folder, name, [headers]),
    ask,
    adminPort: undefined,
    start: (nodeOptions) =>
      startServer(script, [String(port), ...words], port, {}, ask, { nodeOptions }),
  }
}
