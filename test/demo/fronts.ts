import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import type { DialectName } from '../../src/proxy/dialects.ts'
import type { ServerCertificate } from '../support/server-certificate.ts'
import { createTlsFront } from './tls-front.ts'

export interface FrontPlan {
  readonly description: string
  readonly dialect: DialectName
  start(setting: FrontSetting): Promise<RunningFront>
}

export interface FrontSetting {
  readonly folder: string
  readonly server: ServerCertificate
  readonly authorityFile: string
  readonly certlatchPort: number
  readonly applicationPort: number
}

export interface RunningFront {
  readonly port: number
  close(): Promise<void>
}

const STAND_IN: FrontPlan = {
  description:
    'a small TLS front of this repository, for trying only (no Caddy, Traefik or nginx on the PATH)',
  dialect: 'caddy',
  async start({ server, authorityFile, certlatchPort, applicationPort }) {
    const authority = await readFile(authorityFile, 'utf8')
    const front = createTlsFront({ server, authority, certlatchPort, applicationPort })
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

/** The front that was asked for, or the first one that is there. */
export async function chooseFront(_wanted: string | undefined): Promise<FrontPlan> {
  return STAND_IN
}
