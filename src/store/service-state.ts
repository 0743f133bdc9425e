import { type CertificateId, certificateKey } from '../certificate/certificate-id.ts'
import { isKeyHash, isOptional, isSerial, isTime, parseObject } from './json-file.ts'

/** When a certificate, and when a session of it, was last accepted; Unix seconds, 0: never. */
export interface SeenTimes {
  readonly certificateAt: number
  readonly sessionAt: number
}

/** The same, and which certificate it is. */
export interface SeenCertificate extends CertificateId, SeenTimes {
  /** The device's name, or the one in the certificate. */
  readonly name: string
  /** SHA-256 of the certificate, base64url; `undefined`: only a session has been seen. */
  readonly sha256: string | undefined
  readonly notAfter: number | undefined
}

/** What a service has loaded and seen; times are Unix seconds. */
export interface RunningState {
  readonly schemaVersion: 1
  readonly listen: string
  readonly host: string
  readonly version: string
  /** Its process, as in a lock; comparable only where the identity is the same. */
  readonly pid?: number
  readonly identity?: string
  readonly startedAt: number
  /** `undefined`: it has not been stopped. */
  readonly stoppedAt: number | undefined
  /** Of its built-in CA's CRLs the highest, of external CAs' the lowest, decimal; `undefined`: it has none. */
  readonly crlNumber: string | undefined
  readonly blocksNumber: number
  readonly keySet: string
  /** The fingerprint of the device registry; absent: it has none, or did not report it. */
  readonly devices?: string
  /** How long its sessions live; `undefined`: it did not report it. */
  readonly sessionTtlSeconds?: number
  /** Why it has not loaded the current files; absent: it has. */
  readonly problems?: readonly string[]
  readonly lastSeen: readonly SeenCertificate[]
}

/** Parses a service's file; `undefined` if it is broken or has an unknown version. */
export function parseRunningState(text: string): RunningState | undefined {
  const fields = parseObject(text)
  if (fields?.['schemaVersion'] !== 1) return undefined
  const { listen, host, version, startedAt, stoppedAt, crlNumber, blocksNumber, keySet } = fields
  const { pid, identity, devices, sessionTtlSeconds } = fields
  return isText(listen) &&
    isText(host) &&
    isText(version) &&
    isTime(startedAt) &&
    isOptional(stoppedAt, isTime) &&
    isOptional(crlNumber, isText) &&
    isTime(blocksNumber) &&
    isText(keySet)
    ? {
        schemaVersion: 1,
        listen,
        host,
        version,
        startedAt,
        stoppedAt,
        crlNumber,
        blocksNumber,
        keySet,
        lastSeen: readSeen(fields['lastSeen']),
        ...(isTime(pid) && pid > 0 && { pid }),
        ...(isText(identity) && { identity }),
        ...(isText(devices) && { devices }),
        ...(isTime(sessionTtlSeconds) && { sessionTtlSeconds }),
        ...readProblems(fields['problems']),
      }
    : undefined
}

/** Parses last-seen.json; empty if it is broken. */
export function parseLastSeen(text: string): readonly SeenCertificate[] {
  const fields = parseObject(text)
  return fields?.['schemaVersion'] === 1 ? readSeen(fields['lastSeen']) : []
}

/** Merges by `certificateKey`: the latest of each time, and the facts that were seen last. */
export function joinLastSeen(
  lists: Iterable<Iterable<SeenCertificate>>,
): ReadonlyMap<string, SeenCertificate> {
  const joined = new Map<string, SeenCertificate>()
  for (const list of lists) {
    for (const seen of list) {
      const key = certificateKey(seen)
      const before = joined.get(key)
      joined.set(key, before === undefined ? seen : joinTwo(before, seen))
    }
  }
  return joined
}

function joinTwo(one: SeenCertificate, other: SeenCertificate): SeenCertificate {
  const isLater = latest(other) >= latest(one)
  const [older, newer] = isLater ? [one, other] : [other, one]
  return {
    ...newer,
    sha256: newer.sha256 ?? older.sha256,
    notAfter: newer.notAfter ?? older.notAfter,
    ...joinTimes([one, other]),
  }
}

/** The latest of each time. */
export const joinTimes = (times: readonly SeenTimes[]): SeenTimes => ({
  certificateAt: Math.max(0, ...times.map(({ certificateAt }) => certificateAt)),
  sessionAt: Math.max(0, ...times.map(({ sessionAt }) => sessionAt)),
})

/** When it was last accepted, by certificate or session. */
export const latest = ({ certificateAt, sessionAt }: SeenTimes): number =>
  Math.max(certificateAt, sessionAt)

function readProblems(list: unknown): Pick<RunningState, 'problems'> {
  const problems = Array.isArray(list) ? list.filter(isText) : []
  return problems.length > 0 ? { problems } : {}
}

function readSeen(list: unknown): readonly SeenCertificate[] {
  return Array.isArray(list) ? list.map(readEntry).filter((entry) => entry !== undefined) : []
}

function readEntry(entry: unknown): SeenCertificate | undefined {
  const fields = (entry ?? {}) as Partial<Record<keyof SeenCertificate, unknown>>
  const { issuerKeyHash, serial, name, sha256, notAfter, certificateAt, sessionAt } = fields
  return isKeyHash(issuerKeyHash) &&
    isSerial(serial) &&
    isText(name) &&
    isOptional(sha256, isKeyHash) &&
    isOptional(notAfter, isTime) &&
    isTime(certificateAt) &&
    isTime(sessionAt)
    ? { issuerKeyHash, serial, name, sha256, notAfter, certificateAt, sessionAt }
    : undefined
}

/** Safe to show on a terminal. */
const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= 1_000 && !/\p{Cc}/u.test(value)
