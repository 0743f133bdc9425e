import { LRUCache } from 'lru-cache'
import type { CertificateReference } from '../../decide.ts'
import { certificateKey } from '../../store/certificate-id.ts'
import type { SeenCertificate } from '../../store/service-state-files.ts'

/** When a certificate was last let in; Unix seconds, 0: never. */
export interface Seen {
  certificateAt: number
  sessionAt: number
}

interface Slot extends Seen {
  readonly reference: Omit<SeenCertificate, keyof Seen>
}

/**
 * Who came when. Certificates of the registry have a place of their own; of others the most recent
 * thousand are kept, for their number is somebody else's decision.
 */
export interface LastSeen {
  /** The place of a certificate that is in the registry. */
  ofDevice(certificate: CertificateReference, name: string): Seen
  /** The place of one that names its holder itself. */
  ofOther(certificate: CertificateReference, name: string): Seen
  all(): readonly SeenCertificate[]
  /** Takes over what was remembered before a restart; what is newer here stays. */
  restore(seen: Iterable<SeenCertificate>): void
}

const MOST_OTHERS = 1_000

export function createLastSeen(): LastSeen {
  const devices = new Map<string, Slot>()
  const others = new LRUCache<string, Slot>({ max: MOST_OTHERS })
  const restored = new Map<string, SeenCertificate>()

  const makeSlot = (key: string, certificate: CertificateReference, name: string): Slot => {
    const { issuerKeyHash, serial } = certificate
    const before = restored.get(key) ?? others.peek(key)
    restored.delete(key)
    const sha256 = certificate.sha256 ?? known(before)?.sha256
    const notAfter = certificate.notAfter ?? known(before)?.notAfter
    return {
      reference: { issuerKeyHash, serial, name, sha256, notAfter },
      certificateAt: before?.certificateAt ?? 0,
      sessionAt: before?.sessionAt ?? 0,
    }
  }
  return {
    ofDevice(certificate, name) {
      const key = certificateKey(certificate.issuerKeyHash, certificate.serial)
      let slot = devices.get(key)
      if (slot === undefined) {
        slot = makeSlot(key, certificate, name)
        devices.set(key, slot)
      }
      return slot
    },
    ofOther(certificate, name) {
      const key = certificateKey(certificate.issuerKeyHash, certificate.serial)
      let slot = others.get(key)
      if (slot === undefined || (slot.reference.sha256 === undefined && certificate.sha256)) {
        slot = makeSlot(key, certificate, name)
        others.set(key, slot)
      }
      return slot
    },
    all: () => [
      ...[...devices.values(), ...others.values()].map(
        ({ reference, certificateAt, sessionAt }) => ({ ...reference, certificateAt, sessionAt }),
      ),
      ...restored.values(),
    ],
    restore(seen) {
      for (const entry of seen) {
        const key = certificateKey(entry.issuerKeyHash, entry.serial)
        const slot = devices.get(key) ?? others.peek(key)
        if (slot === undefined) {
          restored.set(key, entry)
        } else {
          slot.certificateAt = Math.max(slot.certificateAt, entry.certificateAt)
          slot.sessionAt = Math.max(slot.sessionAt, entry.sessionAt)
        }
      }
    },
  }
}

const known = (before: Slot | SeenCertificate | undefined) =>
  before !== undefined && 'reference' in before ? before.reference : before
