import { containsAddress, parseNetworks } from '../proxy/networks.ts'
import type { ListenAddress } from './values.ts'

/** Of a configuration, who can reach what. */
interface Listening {
  readonly listen: ListenAddress
  readonly adminListen: ListenAddress
  readonly metricsToken: string | undefined
}

/** What the admin listener tells is for the operator alone: who came when, and what is wrong. */
export function exposedAdminListener({
  listen,
  adminListen,
  metricsToken,
}: Listening): string | undefined {
  const { host } = adminListen
  if (isLoopback(host)) return undefined
  const shared = host === listen.host ? ', where the proxy asks too' : ''
  const remedy =
    metricsToken === undefined
      ? 'set CERTLATCH_METRICS_TOKEN, and let only your monitoring reach it'
      : 'let only your monitoring reach it'
  return `CERTLATCH_ADMIN_LISTEN is on ${host}${shared}: ${remedy}`
}

const LOOPBACK = parseNetworks(['loopback'])

const isLoopback = (host: string): boolean =>
  LOOPBACK.ok && containsAddress(LOOPBACK.networks, host)
