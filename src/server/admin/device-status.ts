import { certificateKey } from '../../certificate/certificate-id.ts'
import { comparableName } from '../../certificate/identity.ts'
import {
  CERTIFICATE_STATES,
  type CertificateState,
  certificateState,
} from '../../store/certificate-state.ts'
import type { Device, DeviceCertificate } from '../../store/device-registry.ts'
import { certificatesOf } from '../../store/device-registry.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { LastSeen, Seen } from '../verify/last-seen.ts'

/** A device's state: that of the certificate it uses. */
export const DEVICE_STATES = [...CERTIFICATE_STATES, 'no-certificate'] as const
type DeviceState = (typeof DEVICE_STATES)[number]

/** When a device was last accepted, and until when it can be; Unix seconds. */
export interface Presence {
  /** 0: never. */
  readonly certificateAt: number
  readonly sessionAt: number
  /**
   * When the device is locked out unless its certificate is renewed: the end of the certificate that
   * it uses, which a renewal may have brought forward; of several in use, the first. 0: it has none
   * that could be accepted.
   */
  readonly certificateNotAfter: number
}

export interface DeviceStatus extends Presence {
  readonly name: string
  readonly owner: string | undefined
  readonly state: DeviceState
}

export interface People {
  /** The devices of the registry, by name. */
  readonly devices: readonly DeviceStatus[]
  /** All holders not in the registry, together: an external CA decides how many there are. */
  readonly others: Presence
  /** Key hashes of the CAs whose certificates are in use, or would be next. */
  readonly reliedUpon: ReadonlySet<string>
}

type SeenCertificates = ReturnType<LastSeen['all']>

/** Describes the devices and other holders, and when they were seen. */
export function describePeople(
  snapshot: Snapshot,
  seen: SeenCertificates,
  nowSeconds: number,
): People {
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
    reliedUpon: new Set(all.map(({ issuerKeyHash }) => issuerKeyHash)),
  }
}

interface Use extends Readonly<Seen> {
  readonly issuerKeyHash: string
  /** From when on it is denied, Unix seconds. */
  readonly end: number
}

const DAY_SECONDS = 86_400
/**
 * A phone's app may use the new certificate while its browser keeps using the old one: so both count
 * as in use.
 */
const TOGETHER_SECONDS = DAY_SECONDS

/** One holder's certificates in use, the first to end first; if none is, the last to end. */
function inUse<T extends Use>(certificates: readonly T[]): readonly T[] {
  const sorted = certificates.toSorted((one, other) => one.end - other.end)
  const latest = Math.max(0, ...sorted.map(lastUse))
  if (latest === 0) return sorted.slice(-1)
  return sorted.filter(
    (certificate) => lastUse(certificate) > Math.max(0, latest - TOGETHER_SECONDS),
  )
}

const lastUse = ({ certificateAt, sessionAt }: Readonly<Seen>): number =>
  Math.max(certificateAt, sessionAt)

/** A replaced one counts until the device has shown its successor: it may be locked out. */
const ENDING: readonly string[] = ['active', 'expired', 'not-yet-valid', 'replaced']

interface Held extends Use {
  readonly state: DeviceState
  readonly issuedAt: number | undefined
}

/**
 * Whether a replaced certificate is unused since its successor exists, and the successor is used: as
 * after a renewal without overlap. With an overlap, something on the device may still use it.
 */
const isLeft = (one: Held, all: readonly Held[]): boolean =>
  one.state === 'replaced' &&
  all.some(
    (other) =>
      other.state === 'active' &&
      lastUse(other) >= one.end &&
      (other.issuedAt ?? 0) >= Math.max(1, lastUse(one)),
  )

function describeDevice(
  device: Device,
  snapshot: Snapshot,
  seen: ReadonlyMap<string, Seen>,
  nowSeconds: number,
): { readonly status: DeviceStatus; readonly used: readonly Use[] } {
  const { name, owner } = device
  const known = certificatesOf(device, nowSeconds).map((certificate) => {
    const { issuerKeyHash, issuedAt, notAfter, endsAt = notAfter } = certificate
    const { certificateAt = 0, sessionAt = 0 } = seen.get(certificateKey(certificate)) ?? {}
    const state = stateOf(certificate, snapshot, nowSeconds)
    const end = Math.min(notAfter, endsAt)
    return { issuerKeyHash, state, issuedAt, end, certificateAt, sessionAt }
  })
  const used = inUse(known.filter((one) => ENDING.includes(one.state) && !isLeft(one, known)))
  const status = {
    name,
    owner,
    state: (used.at(-1) ?? known.at(-1))?.state ?? 'no-certificate',
    certificateAt: Math.max(0, ...known.map(({ certificateAt }) => certificateAt)),
    sessionAt: Math.max(0, ...known.map(({ sessionAt }) => sessionAt)),
    certificateNotAfter: used[0]?.end ?? 0,
  } as const
  return { status, used }
}

function stateOf(
  certificate: DeviceCertificate,
  { trust }: Snapshot,
  nowSeconds: number,
): CertificateState {
  const { issuerKeyHash, serial } = certificate
  const key = certificateKey(certificate)
  const isListed = trust.revocationLists.get(issuerKeyHash)?.serials.has(serial) === true
  const facts = {
    issuers: trust.issuersByKeyHash.get(issuerKeyHash) ?? [],
    isRevoked: isListed || trust.revoked.has(key),
    isBlocked: trust.blocked.has(key),
  }
  return certificateState(certificate, facts, nowSeconds)
}

/** How long a holder with an expired certificate, and no other, is reported. */
const ENDED_SECONDS = 7 * DAY_SECONDS

function describeOthers(
  seen: SeenCertificates,
  snapshot: Snapshot,
  nowSeconds: number,
): { readonly presence: Presence; readonly used: readonly Use[] } {
  const byName = new Map<string, Use[]>()
  for (const entry of seen) {
    const { issuerKeyHash, notAfter: end } = entry
    const name = comparableName(entry.name)
    if (end === undefined || end < nowSeconds - ENDED_SECONDS) continue
    const state = stateOf({ ...entry, notBefore: 0, notAfter: end }, snapshot, nowSeconds)
    if (!ENDING.includes(state)) continue
    const { certificateAt, sessionAt } = entry
    const use = { issuerKeyHash, end, certificateAt, sessionAt }
    const known = byName.get(name)
    if (known === undefined) byName.set(name, [use])
    else known.push(use)
  }
  const used = [...byName.values()].flatMap(inUse)
  const presence = {
    certificateAt: Math.max(0, ...seen.map(({ certificateAt }) => certificateAt)),
    sessionAt: Math.max(0, ...seen.map(({ sessionAt }) => sessionAt)),
    certificateNotAfter: used.length === 0 ? 0 : Math.min(...used.map(({ end }) => end)),
  }
  return { presence, used }
}
