import type { ClientRequestArgs } from 'node:http'
import {
  type Connection,
  createConnection,
  createLongLivedTokenAuth,
  ERR_CANNOT_CONNECT,
  getStates,
  type HassEntity,
} from 'home-assistant-js-websocket'
import { type ClientOptions, WebSocket } from 'ws'
import { HOST, type Target } from './client.ts'
import type { Person } from './home-assistant.ts'
import type { Credential } from './pki.ts'

const LOOPBACK = { address: '127.0.0.1', family: 4 } as const

/** What a client shows; the session as a Cookie header's value. */
export interface ClientShows {
  readonly credential?: Credential
  readonly session?: string
}

/** The states of all entities, as Home Assistant's own client library gets them. */
export const connectAs = (
  target: Target,
  person: Person,
  shown: ClientShows,
): Promise<readonly HassEntity[]> => withConnection(target, person, shown, getStates)

/** Its own settings of how it is reached, with those that are on trial. */
export interface HttpSettings {
  readonly stable: {
    readonly server_host?: readonly string[]
    readonly use_x_forwarded_for?: boolean
    readonly trusted_proxies?: readonly string[]
  }
  readonly pending: unknown
  readonly revert_at: string | null
}

export const httpSettingsOf = (
  target: Target,
  person: Person,
  shown: ClientShows,
): Promise<HttpSettings> =>
  withConnection(target, person, shown, (connection) =>
    connection.sendMessagePromise<HttpSettings>({ type: 'http/config' }),
  )

async function withConnection<T>(
  target: Target,
  { accessToken }: Person,
  { credential, session }: ClientShows,
  ask: (connection: Connection) => Promise<T>,
): Promise<T> {
  const options: ClientOptions & ClientRequestArgs = {
    ca: target.serverCertificate,
    // No name server knows the household.
    lookup: (_, { all }, found) =>
      all ? found(null, [LOOPBACK]) : found(null, LOOPBACK.address, LOOPBACK.family),
    headers: {
      Origin: `https://${HOST}:${target.port}`,
      ...(session !== undefined && { Cookie: session }),
    },
    ...(credential && { cert: credential.certificate, key: credential.key }),
  }
  class OfThisClient extends WebSocket {
    constructor(address: string) {
      super(address, options)
    }
  }
  // The library makes its sockets of whatever bears this name.
  Object.assign(globalThis, { WebSocket: OfThisClient })
  const auth = createLongLivedTokenAuth(`https://${HOST}:${target.port}`, accessToken)
  const connection = await createConnection({ auth, setupRetry: 0 }).catch((problem: unknown) => {
    throw new Error(problem === ERR_CANNOT_CONNECT ? 'cannot connect' : `error ${problem}`)
  })
  try {
    return await ask(connection)
  } finally {
    connection.close()
  }
}
