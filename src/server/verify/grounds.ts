import { comparableName } from '../../certificate/identity.ts'
import type { Config } from '../../config/config.ts'
import type { CertificateReference, Grounds, Recognised } from '../../decide.ts'
import type { Identity } from '../../decision.ts'
import type { RequestHeaders } from '../../proxy/request-headers.ts'
import { cookieValues } from '../../session/cookie.ts'
import { certificateKey } from '../../store/certificate-id.ts'
import { acceptedUntil } from '../../store/device-registry.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { LastSeen, Seen } from './last-seen.ts'
import { type CacheTally, createVerdictCache, type VerdictCache } from './verdict-cache.ts'
import type { VerificationBudget } from './verification-budget.ts'

/** What one snapshot judges by; its memory ends with it. */
export interface Judge {
  readonly grounds: Grounds
  readonly cache: VerdictCache
  /** Where to note when somebody whom `recognise` has named was let in. */
  seenOf(identity: Identity): Seen | undefined
  /** Whose certificate or session a request carries, if a trusted key has signed it; for the log. */
  deviceOf(headers: RequestHeaders): string | undefined
}

export function createJudge(
  config: Config,
  snapshot: Snapshot,
  tally: CacheTally,
  lastSeen: LastSeen,
  budget: VerificationBudget,
): Judge {
  const { trust, keyRing } = snapshot
  const cache = createVerdictCache(
    trust.issuers,
    keyRing,
    config.dialect.encoding,
    tally,
    budget,
    config.identity,
  )
  const seen = new WeakMap<Identity, Seen>()
  const signOuts = latestSignOuts(snapshot.blocks)
  const grounds: Grounds = {
    proxy: config.dialect.name,
    proxySecret:
      config.proxySecret === undefined ? undefined : Buffer.from(config.proxySecret, 'latin1'),
    policy: snapshot.policy,
    trustedProxies: config.trustedProxies,
    trust,
    cookieName: config.cookieName,
    cookieDomain: config.cookieDomain,
    lifetime: {
      ttlSeconds: config.sessionTtlSeconds,
      maxAgeSeconds: config.sessionMaxAgeSeconds,
    },
    verifyCertificate: cache.verifyCertificate,
    verifyToken: cache.verifyToken,
    recognise: createRecognise(snapshot, lastSeen, seen),
    signedOutAt: (device) => (signOuts.size > 0 ? signOuts.get(comparableName(device)) : undefined),
  }
  return {
    grounds,
    cache,
    seenOf: (identity) => seen.get(identity),
    deviceOf: (headers) => deviceOf(headers, config.cookieName, cache, snapshot),
  }
}

/** By name, however it is written. */
function latestSignOuts({ signOuts }: Snapshot['blocks']): ReadonlyMap<string, number> {
  const latest = new Map<string, number>()
  for (const { name: written, at } of signOuts) {
    const name = comparableName(written)
    latest.set(name, Math.max(at, latest.get(name) ?? 0))
  }
  return latest
}

interface Known {
  readonly recognised: Recognised & { ok: true }
  readonly endsAt: number
  readonly place: Seen
}

/** Whose a certificate is: by the registry, or with an external CA by the name in it. */
function createRecognise(
  { registry }: Snapshot,
  lastSeen: LastSeen,
  seen: WeakMap<Identity, Seen>,
): Grounds['recognise'] {
  // By issuer and serial number apart: one key of both, joined for each request, cost 0.2 µs.
  const known = new Map<string, Map<string, Known>>()
  for (const { device, certificate } of registry?.byCertificate.values() ?? []) {
    const identity = { device: device.name, user: device.owner ?? device.name }
    const endsAt = acceptedUntil(certificate) ?? Number.POSITIVE_INFINITY
    // When certlatch doctor came is of no interest, and would outlast its certificate.
    const place = device.doctor
      ? { certificateAt: 0, sessionAt: 0 }
      : lastSeen.ofDevice({ ...certificate, name: undefined }, device.name)
    seen.set(identity, place)
    const ofIssuer = known.get(certificate.issuerKeyHash) ?? new Map<string, Known>()
    known.set(certificate.issuerKeyHash, ofIssuer)
    const recognised = { ok: true, identity, name: undefined } as const
    ofIssuer.set(certificate.serial, { recognised, endsAt, place })
  }
  // As long as its place is kept: an identity for each request, and a WeakMap that takes it in, cost
  // 0.2 µs of the 2 that a decision takes.
  const named = new WeakMap<Seen, Recognised & { ok: true }>()
  const byItsName = (certificate: CertificateReference): Recognised => {
    const { name } = certificate
    if (name === undefined) return { ok: false, reason: 'no-identity' }
    const place = lastSeen.ofOther(certificate, name)
    const before = named.get(place)
    // A CA can give one serial number to two certificates, with a name each.
    if (before?.name === name) return before
    const recognised = { ok: true, identity: { device: name, user: name }, name } as const
    seen.set(recognised.identity, place)
    named.set(place, recognised)
    return recognised
  }
  return (certificate, nowSeconds) => {
    const found = known.get(certificate.issuerKeyHash)?.get(certificate.serial)
    if (found !== undefined) {
      const { certificateSeenAt } = certificate
      // A session still knows it where this service has lost it, with its folder for instance.
      if (certificateSeenAt !== undefined && found.place.certificateAt === 0) {
        found.place.certificateAt = certificateSeenAt
      }
      const hasEnded = nowSeconds >= found.endsAt
      return hasEnded ? { ok: false, reason: 'certificate-superseded' } : found.recognised
    }
    return registry === undefined ? byItsName(certificate) : { ok: false, reason: 'unknown-device' }
  }
}

function deviceOf(
  { certificate, cookie }: RequestHeaders,
  cookieName: string,
  cache: VerdictCache,
  { registry }: Snapshot,
): string | undefined {
  const [token] = (cookie !== undefined && cookieValues(cookie, cookieName)) || []
  const shown =
    (certificate !== undefined && cache.knownCertificate(certificate)) ||
    (token !== undefined && cache.knownToken(token)) ||
    undefined
  if (shown === undefined) return undefined
  const entry = registry?.byCertificate.get(certificateKey(shown.issuerKeyHash, shown.serial))
  return entry?.device.name ?? shown.name
}
