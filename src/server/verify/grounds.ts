import { certificateKey } from '../../certificate/certificate-id.ts'
import { comparableName } from '../../certificate/identity.ts'
import type { Config } from '../../config/config.ts'
import type { CertificateReference, Grounds, Recognized } from '../../decide.ts'
import type { Identity } from '../../decision.ts'
import type { RequestHeaders } from '../../proxy/request-headers.ts'
import { cookieValues } from '../../session/cookie.ts'
import { acceptedUntil } from '../../store/device-registry.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { LastSeen, Seen } from './last-seen.ts'
import { type CacheTally, createVerdictCache, type VerdictCache } from './verdict-cache.ts'
import type { VerificationBudget } from './verification-budget.ts'

/** The grounds of one snapshot, with a cache that is discarded with it. */
export interface SnapshotGrounds {
  readonly grounds: Grounds
  readonly cache: VerdictCache
  /** Where to note that an identity returned by `recognize` was allowed. */
  seenOf(identity: Identity): Seen | undefined
  /** The device whose certificate or session a request carries, if a trusted key signed it; for the log. */
  deviceOf(headers: RequestHeaders): string | undefined
}

export function createGrounds(
  config: Config,
  snapshot: Snapshot,
  tally: CacheTally,
  lastSeen: LastSeen,
  budget: VerificationBudget,
): SnapshotGrounds {
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
    recognize: createRecognize(snapshot, lastSeen, seen),
    signedOutAt: (device) => (signOuts.size > 0 ? signOuts.get(comparableName(device)) : undefined),
  }
  return {
    grounds,
    cache,
    seenOf: (identity) => seen.get(identity),
    deviceOf: (headers) => deviceOf(headers, config.cookieName, cache, snapshot),
  }
}

/** The latest sign-out per name, by its comparable form. */
function latestSignOuts({ signOuts }: Snapshot['blocks']): ReadonlyMap<string, number> {
  const latest = new Map<string, number>()
  for (const { name: spelled, at } of signOuts) {
    const name = comparableName(spelled)
    latest.set(name, Math.max(at, latest.get(name) ?? 0))
  }
  return latest
}

interface RegisteredCertificate {
  readonly recognized: Recognized & { ok: true }
  /** When the registry stops accepting it, Unix seconds. */
  readonly endsAt: number
  /** When its invitation was collected, Unix seconds: a session from then was started without it. */
  readonly claimedAt: number
  readonly seen: Seen
}

/** Finds a certificate's holder in the registry, or with an external CA by the name in it. */
function createRecognize(
  { registry }: Snapshot,
  lastSeen: LastSeen,
  seenByIdentity: WeakMap<Identity, Seen>,
): Grounds['recognize'] {
  // Two levels of maps: joining issuer and serial number into one key costs 0.2 µs per request.
  const registered = new Map<string, Map<string, RegisteredCertificate>>()
  for (const { device, certificate } of registry?.byCertificate.values() ?? []) {
    const identity = { device: device.name, user: device.owner ?? device.name }
    const { invitation } = certificate
    const endsAt = acceptedUntil(certificate) ?? Number.POSITIVE_INFINITY
    const claimedAt =
      invitation === undefined ? 0 : (invitation.collectedAt ?? Number.POSITIVE_INFINITY)
    // Visits of certlatch doctor are not recorded: they would outlast its certificate.
    const seen = device.doctor
      ? { certificateAt: 0, sessionAt: 0 }
      : lastSeen.ofDevice(certificate, device.name)
    seenByIdentity.set(identity, seen)
    const ofIssuer =
      registered.get(certificate.issuerKeyHash) ?? new Map<string, RegisteredCertificate>()
    registered.set(certificate.issuerKeyHash, ofIssuer)
    const recognized = { ok: true, identity, name: undefined } as const
    ofIssuer.set(certificate.serial, { recognized, endsAt, claimedAt, seen })
  }
  // Kept as long as its `Seen`: creating an identity per request and adding it to a WeakMap costs 0.2 of
  // the 2 µs that a decision takes.
  const named = new WeakMap<Seen, Recognized & { ok: true }>()
  const recognizeByName = (certificate: CertificateReference): Recognized => {
    const { name } = certificate
    if (name === undefined) return { ok: false, problem: 'no-identity' }
    const seen = lastSeen.ofOther(certificate, name)
    const remembered = named.get(seen)
    // A CA can give one serial number to two certificates with different names.
    if (remembered?.name === name) return remembered
    const recognized = { ok: true, identity: { device: name, user: name }, name } as const
    seenByIdentity.set(recognized.identity, seen)
    named.set(seen, recognized)
    return recognized
  }
  return (certificate, nowSeconds) => {
    const found = registered.get(certificate.issuerKeyHash)?.get(certificate.serial)
    if (found !== undefined) {
      const { certificateSeenAt = 0 } = certificate
      // If this service has lost the time, for instance with its state file, the session still has it.
      if (found.seen.certificateAt === 0 && certificateSeenAt > found.claimedAt) {
        found.seen.certificateAt = certificateSeenAt
      }
      const hasEnded = nowSeconds >= found.endsAt
      return hasEnded ? { ok: false, problem: 'certificate-superseded' } : found.recognized
    }
    return registry === undefined
      ? recognizeByName(certificate)
      : { ok: false, problem: 'unknown-device' }
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
  const entry = registry?.byCertificate.get(certificateKey(shown))
  return entry?.device.name ?? shown.name
}
