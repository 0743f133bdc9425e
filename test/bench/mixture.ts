import { join } from 'node:path'
import { freePort } from '../support/free-port.ts'
import { type RunningServer, startServer } from './processes.ts'
import {
  certificateHeader,
  headersOf,
  type Scene,
  settingsOf,
  withBrokenSignature,
  writeFiles,
} from './scene.ts'
import { requestsFile } from './target.ts'
import { CERTLATCH } from './targets.ts'

/** One certlatch process, and files with every kind of request. */
export interface Mixture {
  readonly server: RunningServer
  readonly adminPort: number
  readonly known: string
  readonly manyCookies: string
  readonly forged: string
  readonly certificate: string
  readonly refused: string
  /** New certificates with a broken signature, from one address. */
  readonly badCertificates: string
  /** Forty-five kilobytes of headers each. */
  readonly longHeaders: string
  readonly revocationListFile: string
}

/** More than certlatch remembers of each kind. */
const DISTINCT_SESSIONS = 20_000
const DISTINCT_BAD = 20_000
const DISTINCT_FORGED = 5_000
export const ATTACKER = '203.0.113.7'

export async function startMixture(folder: string, scene: Scene): Promise<Mixture> {
  const files = await writeFiles(folder, scene)
  const [port, adminPort] = [await freePort(), await freePort()]
  const der = scene.issueCertificate()
  const write = requestsFile.bind(undefined, folder)
  const session = () => scene.mintSession()
  const known = headersOf({ session: session() })
  const shown = certificateHeader('traefik', der)
  const many = Array.from({ length: DISTINCT_SESSIONS }, () => headersOf({ session: session() }))
  const forged = Array.from({ length: DISTINCT_FORGED }, () =>
    headersOf({ session: scene.forgeSession() }),
  )
  const bad = Array.from({ length: DISTINCT_BAD }, (_, index) =>
    headersOf({
      more: {
        ...certificateHeader('traefik', withBrokenSignature(der, index)),
        'X-Forwarded-For': ATTACKER,
      },
    }),
  )
  const padding = Object.fromEntries(
    Array.from({ length: 180 }, (_, index) => [`X-Padding-${index}`, 'x'.repeat(240)]),
  )
  return {
    server: await startServer(
      CERTLATCH,
      ['serve'],
      port,
      settingsOf(files, 'traefik', port, adminPort),
      { headers: known, status: 200 },
    ),
    adminPort,
    known: await write('known', [known]),
    manyCookies: await write('many cookies', many),
    forged: await write('forged', forged),
    certificate: await write('certificate', [headersOf({ more: shown })]),
    refused: await write('refused', [headersOf({})]),
    badCertificates: await write('bad certificates', bad),
    longHeaders: await write('long headers', [headersOf({ more: padding })]),
    revocationListFile: join(folder, 'ca.crl'),
  }
}
