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
type Shown = Omit<CertificateReference, 'name'>

/**
 * Records when each certificate was last accepted. Registered certificates are all kept; for an external
 * CA only the most recent thousand, because their number is not under our control.
 */
export interface LastSeen {
  /** The record of a registered certificate. */
  ofDevice(certificate: Shown, name: string): Seen
  /** The record of an external CA's certificate, by the name in it. */
  ofOther(certificate: Shown, name: string): Seen
  all(): readonly SeenCertificate[]
  /** Restores what was saved before a restart, without overwriting newer times. */
  restore(seen: Iterable<SeenCertificate>): void
}

const MOST_OTHERS = 1_000

export function createLastSeen(): LastSeen {
  const devices = new Map<string, Slot>()
  const others = new LRUCache<string, Slot>({ max: MOST_OTHERS })
  const restored = new Map<string, SeenCertificate>()

  const slotIn = (slots: typeof devices | typeof others, certificate: Shown, name: string) => {
    const key = certificateKey(certificate)
    const known = slots.get(key)
    // A session knows less of its certificate than the certificate itself.
    if (known !== undefined && (known.sha256 !== undefined || !certificate.sha256)) return known
    const { issuerKeyHash, serial } = certificate
    const previous = known ?? restored.get(key) ?? others.peek(key)
    restored.delete(key)
    const slot: Slot = {
      issuerKeyHash,
      serial,
      name,
      sha256: certificate.sha256 ?? previous?.sha256,
      notAfter: certificate.notAfter ?? previous?.notAfter,
      certificateAt: previous?.certificateAt ?? 0,
      sessionAt: previous?.sessionAt ?? 0,
    }
    slots.set(key, slot)
    return slot
  }
  return {
    ofDevice: (certificate, name) => slotIn(devices, certificate, name),
    ofOther: (certificate, name) => slotIn(others, certificate, name),
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
