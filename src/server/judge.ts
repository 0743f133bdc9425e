import type { Config } from '../config/config.ts'
import type { Grounds, Recognised } from '../decide.ts'
import { CLOSED_POLICY } from '../policy/policy.ts'
import { deviceKey } from '../store/device-registry.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type CacheTally, createVerdictCache, type VerdictCache } from './verdict-cache.ts'

/** What one snapshot judges by; its memory ends with it. */
export interface Judge {
  readonly grounds: Grounds
  readonly cache: VerdictCache
}

export function createJudge(config: Config, snapshot: Snapshot, tally: CacheTally): Judge {
  const { trust, keyRing, registry } = snapshot
  const cache = createVerdictCache(trust.issuers, keyRing, config.dialect.encoding, tally)
  const recognise: Grounds['recognise'] = ({ issuerKeyHash, serial, name }): Recognised => {
    if (registry === undefined) {
      return name === undefined
        ? { ok: false, reason: 'no-identity' }
        : { ok: true, identity: { device: name, user: name }, name }
    }
    const device = registry.get(deviceKey(issuerKeyHash, serial))
    return device === undefined
      ? { ok: false, reason: 'unknown-device' }
      : {
          ok: true,
          identity: { device: device.name, user: device.owner ?? device.name },
          name: undefined,
        }
  }
  const grounds: Grounds = {
    proxySecret:
      config.proxySecret === undefined ? undefined : Buffer.from(config.proxySecret, 'latin1'),
    policy: CLOSED_POLICY,
    trust,
    cookieName: config.cookieName,
    cookieDomain: config.cookieDomain,
    lifetime: {
      ttlSeconds: config.sessionTtlSeconds,
      maxAgeSeconds: config.sessionMaxAgeSeconds,
    },
    verifyCertificate: cache.verifyCertificate,
    verifyToken: cache.verifyToken,
    recognise,
  }
  return { grounds, cache }
}
