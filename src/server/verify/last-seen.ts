import { LRUCache } from 'lru-cache'
import { certificateKey } from '../../certificate/certificate-id.ts'
import type { CertificateReference } from '../../decide.ts'
import { joinTimes, type SeenCertificate, type SeenTimes } from '../../store/service-state.ts'

/** The times are updated in place. */
type Updatable<T extends SeenTimes> = Omit<T, keyof SeenTimes> & {
  -readonly [time in keyof SeenTimes]: SeenTimes[time]
}

export type Seen = Updatable<SeenTimes>
type Slot = Updatable<SeenCertificate>

/**
 * Records when each certificate was last accepted. Registered certificates are all kept; for an external
 * CA only the most recent thousand, because their number is not under our control.
 */
export interface LastSeen {
  /** The record of a registered certificate. */
  ofDevice(certificate: CertificateReference, name: string): Seen
  /** The record of an external CA's certificate, by the name in it. */
  ofOther(certificate: CertificateReference, name: string): Seen
  all(): readonly SeenCertificate[]
  /** Restores what was saved before a restart, without overwriting newer times. */
  restore(seen: Iterable<SeenCertificate>): void
}

const MOST_OTHERS = 1_000

export function createLastSeen(): LastSeen {
  const devices = new Map<string, Slot>()
  const others = new LRUCache<string, Slot>({ max: MOST_OTHERS })
  const restored = new Map<string, SeenCertificate>()

  const makeSlot = (key: string, certificate: CertificateReference, name: string): Slot => {
    const { issuerKeyHash, serial } = certificate
    const previous = restored.get(key) ?? others.peek(key)
    restored.delete(key)
    return {
      issuerKeyHash,
      serial,
      name,
      sha256: certificate.sha256 ?? previous?.sha256,
      notAfter: certificate.notAfter ?? previous?.notAfter,
      certificateAt: previous?.certificateAt ?? 0,
      sessionAt: previous?.sessionAt ?? 0,
    }
  }
  return {
    ofDevice(certificate, name) {
      const key = certificateKey(certificate)
      let slot = devices.get(key)
      if (slot === undefined) {
        slot = makeSlot(key, certificate, name)
        devices.set(key, slot)
      }
      return slot
    },
    ofOther(certificate, name) {
      const key = certificateKey(certificate)
      let slot = others.get(key)
      if (slot === undefined || (slot.sha256 === undefined && certificate.sha256)) {
        slot = makeSlot(key, certificate, name)
        others.set(key, slot)
      }
      return slot
    },
    all: () => [
      ...[...devices.values(), ...others.values()].map((slot) => ({ ...slot })),
      ...restored.values(),
    ],
    restore(seen) {
      for (const entry of seen) {
        const key = certificateKey(entry)
        const slot = devices.get(key) ?? others.peek(key)
        if (slot === undefined) restored.set(key, entry)
        else Object.assign(slot, joinTimes([slot, entry]))
      }
    },
  }
}
