import { containsAddress, parseNetworks } from '../proxy/networks.ts'
import type { Config } from './config.ts'

const FIRST_AND_LAST = [
  ['0.0.0.0', '255.255.255.255'],
  ['::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
] as const

/** Whether a network is all of IPv4 or IPv6, however it is written (`::ffff:0:0/96`). */
function isEveryAddress(network: string): boolean {
  const parsed = parseNetworks([network])
  return (
    parsed.ok &&
    FIRST_AND_LAST.some((ends) => ends.every((end) => containsAddress(parsed.networks, end)))
  )
}

/** Warnings about a configuration that is valid. */
export function warningsOf(config: Config): readonly string[] {
  const warnings: string[] = []
  for (const network of config.trustedProxies.text) {
    if (!isEveryAddress(network)) continue
    const condition = config.proxySecret === undefined ? '' : ' and knows the secret'
    warnings.push(
      `CERTLATCH_TRUSTED_PROXIES has ${network}: any client that reaches the port${condition} is trusted; name the address of the proxy`,
    )
  }
  const exposed = exposedAdminListener(config)
  if (exposed !== undefined) warnings.push(exposed)
  if (config.cookieDomain !== undefined) {
    warnings.push(
      `CERTLATCH_COOKIE_DOMAIN is "${config.cookieDomain}": any application under it can act as the device`,
    )
  }
  return warnings
}

/** The admin listener shows when devices connected and what is wrong, which only operators should see. */
function exposedAdminListener({ listen, adminListen, metricsToken }: Config): string | undefined {
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
