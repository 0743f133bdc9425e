import { type CertificateId, certificateKey } from '../../certificate/certificate-id.ts'
import { comparableName } from '../../certificate/identity.ts'
import { type CertificateFacts, certificateState } from '../../store/certificate-state.ts'
import type { Device } from '../../store/device-registry.ts'
import {
  type DeviceState,
  deviceStanding,
  inUse,
  mayBeInUse,
  type Use,
} from '../../store/device-state.ts'
import { joinTimes, type SeenCertificate, type SeenTimes } from '../../store/service-state.ts'
import type { Snapshot } from '../../store/snapshot.ts'

/** When a device was last accepted, and until when it can be; Unix seconds. */
export interface Presence extends SeenTimes {
  /**
   * When the device is locked out unless its certificate is renewed: the expiry of the certificate
   * that it uses, or the earlier date that a renewal has set; with several in use, the earliest. 0: it
   * has none that could be accepted.
   */
  readonly certificateNotAfter: number
}

export interface DeviceStatus extends Presence {
  readonly name: string
  readonly owner: string | undefined
  readonly state: DeviceState
}

export interface HolderOverview {
  /** The devices of the registry, by name. */
  readonly devices: readonly DeviceStatus[]
  /** All holders that are not in the registry, together: an external CA decides how many there are. */
  readonly others: Presence
  /** Key hashes of the CAs whose certificates are in use, or would be next. */
  readonly issuersInUse: ReadonlySet<string>
}

/** Describes the devices and other holders, and when they were seen. */
export function describeHolders(
  snapshot: Snapshot,
  seen: readonly SeenCertificate[],
  nowSeconds: number,
): HolderOverview {
  const byKey = new Map(seen.map((entry) => [certificateKey(entry), entry] as const))
  const { registry } = snapshot
  const described = (registry?.devices ?? [])
    .filter(({ doctor }) => doctor === undefined)
    .map((device) => describeDevice(device, snapshot, byKey, nowSeconds))
    .sort((one, other) => (one.status.name < other.status.name ? -1 : 1))
  const others = [...byKey].filter(([key]) => registry?.byCertificate.has(key) !== true)
  const { presence, used } = describeOthers(
    others.map(([, entry]) => entry),
    snapshot,
    nowSeconds,
  )
  const all = [...used, ...described.flatMap((device) => device.used)]
  return {
    devices: described.map(({ status }) => status),
    others: presence,
    issuersInUse: new Set(all.map(({ issuerKeyHash }) => issuerKeyHash)),
  }
}

function describeDevice(
  device: Device,
  snapshot: Snapshot,
  seen: ReadonlyMap<string, SeenTimes>,
  nowSeconds: number,
): { readonly status: DeviceStatus; readonly used: readonly Use[] } {
  const { name, owner } = device
  const { state, certificates, used, certificateNotAfter } = deviceStanding(device, {
    factsOf: (certificate) => factsOf(certificate, snapshot),
    seenOf: (certificate) => seen.get(certificateKey(certificate)),
    nowSeconds,
  })
  return { status: { name, owner, state, ...joinTimes(certificates), certificateNotAfter }, used }
}

function factsOf(certificate: CertificateId, { trust }: Snapshot): CertificateFacts {
  const { issuerKeyHash, serial } = certificate
  const key = certificateKey(certificate)
  const isListed = trust.revocationLists.get(issuerKeyHash)?.serials.has(serial) === true
  return {
    issuers: trust.issuersByKeyHash.get(issuerKeyHash) ?? [],
    isRevoked: isListed || trust.revoked.has(key),
    isBlocked: trust.blocked.has(key),
  }
}

/** How long a holder with an expired certificate, and no other, is reported. */
const EXPIRED_SECONDS = 7 * 86_400

function describeOthers(
  seen: readonly SeenCertificate[],
  snapshot: Snapshot,
  nowSeconds: number,
): { readonly presence: Presence; readonly used: readonly Use[] } {
  const byName = new Map<string, Use[]>()
  for (const entry of seen) {
    const { issuerKeyHash, notAfter: end } = entry
    const name = comparableName(entry.name)
    if (end === undefined || end < nowSeconds - EXPIRED_SECONDS) continue
    const dates = { notBefore: 0, notAfter: end }
    const state = certificateState(dates, factsOf(entry, snapshot), nowSeconds)
    if (!mayBeInUse(state)) continue
    const { certificateAt, sessionAt } = entry
    const use = { issuerKeyHash, end, certificateAt, sessionAt }
    const known = byName.get(name)
    if (known === undefined) byName.set(name, [use])
    else known.push(use)
  }
  const used = [...byName.values()].flatMap(inUse)
  const certificateNotAfter = used.length === 0 ? 0 : Math.min(...used.map(({ end }) => end))
  return { presence: { ...joinTimes(seen), certificateNotAfter }, used }
}
