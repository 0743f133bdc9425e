import type { Device, DeviceCertificate } from '../store/device-registry.ts'
import { deviceKey } from '../store/device-registry.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { LastSeen, Seen } from './last-seen.ts'

/** What became of a device's certificate; only `active` ones open. */
export const DEVICE_STATES = [
  'active',
  'revoked',
  'blocked',
  'replaced',
  'expired',
  'not yet valid',
  'CA gone',
  'no certificate',
] as const
type DeviceState = (typeof DEVICE_STATES)[number]

/** When somebody was let in, and how long that can go on; Unix seconds. */
export interface Presence {
  /** 0: never. */
  readonly certificateAt: number
  readonly sessionAt: number
  /**
   * When the device is locked out unless somebody acts: the end of the certificate that it used
   * last, which a renewal can have brought forward. 0: it has none that could open.
   */
  readonly certificateNotAfter: number
}

export interface DeviceStatus extends Presence {
  readonly name: string
  readonly owner: string | undefined
  readonly state: DeviceState
}

export interface People {
  /** Of the registry, by name. */
  readonly devices: readonly DeviceStatus[]
  /** Everybody whom the certificate itself names, together: their number is somebody else's. */
  readonly others: Presence
}

type SeenCertificates = ReturnType<LastSeen['all']>

/** Who is known, and when they came. */
export function describePeople(
  snapshot: Snapshot,
  seen: SeenCertificates,
  nowSeconds: number,
): People {
  const byKey = new Map(
    seen.map((entry) => [deviceKey(entry.issuerKeyHash, entry.serial), entry] as const),
  )
  const { registry } = snapshot
  const devices = (registry?.devices ?? [])
    .map((device) => describeDevice(device, snapshot, byKey, nowSeconds))
    .sort((one, other) => (one.name < other.name ? -1 : 1))
  const others = [...byKey].filter(([key]) => registry?.byCertificate.has(key) !== true)
  return {
    devices,
    others: describeOthers(
      others.map(([, entry]) => entry),
      nowSeconds,
    ),
  }
}

const ENDING: readonly string[] = ['active', 'expired', 'not yet valid', 'replaced']

function describeDevice(
  { name, owner, certificates }: Device,
  snapshot: Snapshot,
  seen: ReadonlyMap<string, Seen>,
  nowSeconds: number,
): DeviceStatus {
  const known = certificates.map((certificate) => {
    const { certificateAt = 0, sessionAt = 0 } =
      seen.get(deviceKey(certificate.issuerKeyHash, certificate.serial)) ?? {}
    const state = stateOf(certificate, snapshot, nowSeconds)
    const { notAfter, endsAt = notAfter } = certificate
    return { state, end: Math.min(notAfter, endsAt), certificateAt, sessionAt }
  })
  const best = known.findLast(({ state }) => state === 'active') ?? known.at(-1)
  const ends = known
    // A replaced one counts as long as the device has not shown its successor: it is locked out.
    .filter(({ state }) => ENDING.includes(state))
    .sort((one, other) => lastUse(one) - lastUse(other) || one.end - other.end)
  return {
    name,
    owner,
    state: best?.state ?? 'no certificate',
    certificateAt: Math.max(0, ...known.map(({ certificateAt }) => certificateAt)),
    sessionAt: Math.max(0, ...known.map(({ sessionAt }) => sessionAt)),
    certificateNotAfter: ends.at(-1)?.end ?? 0,
  }
}

const lastUse = ({ certificateAt, sessionAt }: Readonly<Seen>): number =>
  Math.max(certificateAt, sessionAt)

/** In the order in which a request would be refused. */
function stateOf(
  { issuerKeyHash, serial, notBefore, notAfter, endsAt }: DeviceCertificate,
  { trust }: Snapshot,
  nowSeconds: number,
): DeviceState {
  const issuers = trust.issuersByKeyHash.get(issuerKeyHash)
  if (issuers === undefined) return 'CA gone'
  if (trust.revocationLists.get(issuerKeyHash)?.serials.has(serial)) return 'revoked'
  if (trust.blocked.has(deviceKey(issuerKeyHash, serial))) return 'blocked'
  const issuerEnds = Math.max(...issuers.map(({ certificate }) => certificate.notAfter))
  if (nowSeconds > notAfter || nowSeconds > issuerEnds) return 'expired'
  if (endsAt !== undefined && nowSeconds >= endsAt) return 'replaced'
  return nowSeconds < notBefore ? 'not yet valid' : 'active'
}

function describeOthers(seen: SeenCertificates, nowSeconds: number): Presence {
  const ends = seen.flatMap(({ notAfter = 0 }) => (notAfter > nowSeconds ? notAfter : []))
  return {
    certificateAt: Math.max(0, ...seen.map(({ certificateAt }) => certificateAt)),
    sessionAt: Math.max(0, ...seen.map(({ sessionAt }) => sessionAt)),
    certificateNotAfter: ends.length === 0 ? 0 : Math.min(...ends),
  }
}
