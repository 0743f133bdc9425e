import {
  CERTIFICATE_STATES,
  type CertificateFacts,
  type CertificateState,
  certificateState,
} from './certificate-state.ts'
import {
  certificatesOf,
  type Device,
  type DeviceCertificate,
  endTimeOf,
} from './device-registry.ts'
import { latest, type SeenTimes } from './service-state.ts'

/** A device's state: that of the certificate it uses. */
export const DEVICE_STATES = [...CERTIFICATE_STATES, 'no-certificate'] as const
export type DeviceState = (typeof DEVICE_STATES)[number]

/** When a certificate was used, and until when it can be. */
export interface Use extends SeenTimes {
  readonly issuerKeyHash: string
  /** When it stops being accepted, Unix seconds. */
  readonly end: number
}

/** A device's certificate, its state, and its use. */
interface Held extends Use {
  readonly certificate: DeviceCertificate
  readonly state: CertificateState
}

/** What is known besides a device's own entry. */
export interface Circumstances {
  factsOf(certificate: DeviceCertificate): CertificateFacts
  /** When the certificate was last accepted; `undefined`: never. */
  seenOf(certificate: DeviceCertificate): SeenTimes | undefined
  readonly nowSeconds: number
}

export interface DeviceStanding {
  readonly state: DeviceState
  /** Oldest first. */
  readonly certificates: readonly Held[]
  /** Those in use, in the order in which they end. */
  readonly used: readonly Use[]
  /**
   * When the device is locked out unless its certificate is renewed: the expiry of the certificate
   * that it uses, or the earlier date that a renewal has set; with several in use, the earliest. In Unix
   * seconds; 0: it has none that could be accepted.
   */
  readonly certificateNotAfter: number
}

/** The state of a device and of its certificates. */
export function deviceStanding(
  device: Device,
  { factsOf, seenOf, nowSeconds }: Circumstances,
): DeviceStanding {
  const certificates = certificatesOf(device, nowSeconds).map((certificate): Held => {
    const { issuerKeyHash } = certificate
    const { certificateAt = 0, sessionAt = 0 } = seenOf(certificate) ?? {}
    const state = certificateState(certificate, factsOf(certificate), nowSeconds)
    return {
      certificate,
      state,
      issuerKeyHash,
      end: endTimeOf(certificate),
      certificateAt,
      sessionAt,
    }
  })
  const used = inUse(
    certificates.filter((one) => mayBeInUse(one.state) && !isAbandoned(one, certificates)),
  )
  const state = (used.at(-1) ?? certificates.at(-1))?.state ?? 'no-certificate'
  return { state, certificates, used, certificateNotAfter: used[0]?.end ?? 0 }
}

/**
 * A phone's app may use the new certificate while its browser keeps using the old one: so both count
 * as in use if they were used within a day.
 */
const TOGETHER_SECONDS = 86_400

/**
 * One holder's certificates in use, in the order in which they end; if none was ever used, the one that
 * ends last.
 */
export function inUse<T extends Use>(certificates: readonly T[]): readonly T[] {
  const sorted = certificates.toSorted((one, other) => one.end - other.end)
  const lastUse = Math.max(0, ...sorted.map(latest))
  if (lastUse === 0) return sorted.slice(-1)
  return sorted.filter(
    (certificate) => latest(certificate) > Math.max(0, lastUse - TOGETHER_SECONDS),
  )
}

const USABLE: readonly CertificateState[] = ['active', 'expired', 'not-yet-valid', 'replaced']

/** A replaced certificate counts until its successor is used: the device may be locked out. */
export const mayBeInUse = (state: CertificateState): boolean => USABLE.includes(state)

/**
 * Whether the device has moved on from a replaced certificate: it was last used before its successor was
 * issued, and the successor is in use. This is usual after a renewal without overlap; with an overlap,
 * some program on the device may still use the old certificate.
 */
const isAbandoned = (one: Held, all: readonly Held[]): boolean =>
  one.state === 'replaced' &&
  all.some(
    (other) =>
      other.state === 'active' &&
      latest(other) >= one.end &&
      (other.certificate.issuedAt ?? 0) >= Math.max(1, latest(one)),
  )
