import {
  CERTIFICATE_STATES,
  type CertificateFacts,
  type CertificateState,
  certificateState,
} from './certificate-state.ts'
import { certificatesOf, type Device, type DeviceCertificate, endOf } from './device-registry.ts'
import { latest, type SeenTimes } from './service-state.ts'

/** A device's state: that of the certificate it uses. */
export const DEVICE_STATES = [...CERTIFICATE_STATES, 'no-certificate'] as const
export type DeviceState = (typeof DEVICE_STATES)[number]

/** When a certificate was used, and until when it can be. */
export interface Use extends SeenTimes {
  readonly issuerKeyHash: string
  /** From when on it is denied, Unix seconds. */
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
  /** Those in use, the first to end first. */
  readonly used: readonly Use[]
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
    return { certificate, state, issuerKeyHash, end: endOf(certificate), certificateAt, sessionAt }
  })
  const used = inUse(
    certificates.filter((one) => mayBeInUse(one.state) && !isLeft(one, certificates)),
  )
  const state = (used.at(-1) ?? certificates.at(-1))?.state ?? 'no-certificate'
  return { state, certificates, used }
}

const DAY_SECONDS = 86_400
/**
 * A phone's app may use the new certificate while its browser keeps using the old one: so both count
 * as in use.
 */
const TOGETHER_SECONDS = DAY_SECONDS

/** One holder's certificates in use, the first to end first; if none is, the last to end. */
export function inUse<T extends Use>(certificates: readonly T[]): readonly T[] {
  const sorted = certificates.toSorted((one, other) => one.end - other.end)
  const lastUse = Math.max(0, ...sorted.map(latest))
  if (lastUse === 0) return sorted.slice(-1)
  return sorted.filter(
    (certificate) => latest(certificate) > Math.max(0, lastUse - TOGETHER_SECONDS),
  )
}

const ENDING: readonly CertificateState[] = ['active', 'expired', 'not-yet-valid', 'replaced']

/** A replaced one counts until the device has shown its successor: it may be locked out. */
export const mayBeInUse = (state: CertificateState): boolean => ENDING.includes(state)

/**
 * Whether a replaced certificate is unused since its successor exists, and the successor is used: as
 * after a renewal without overlap. With an overlap, something on the device may still use it.
 */
const isLeft = (one: Held, all: readonly Held[]): boolean =>
  one.state === 'replaced' &&
  all.some(
    (other) =>
      other.state === 'active' &&
      latest(other) >= one.end &&
      (other.certificate.issuedAt ?? 0) >= Math.max(1, latest(one)),
  )
