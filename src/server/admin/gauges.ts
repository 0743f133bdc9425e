import { createHash } from 'node:crypto'
import type { Registry } from 'prom-client'
import { DEVICE_STATES } from '../../store/device-state.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { activeRevocationLists, firstAuthorityExpiry } from './active-authorities.ts'
import type { HolderOverview } from './device-status.ts'
import { type Reading, type Register, registerIn } from './metric.ts'
import type { Readiness } from './routes.ts'

/** What gauges and `/status` read when they are requested. */
export interface Measured {
  readonly version: string
  readonly sessionMaxAgeSeconds: number
  nowSeconds(): number
  snapshot(): Snapshot
  readiness(): Readiness
  holders(): HolderOverview
  cacheEntries(): number
}

/** The device label for all unregistered certificates together. */
const OTHER = 'other'

/** Registers the gauges; every label has a bounded set of values. */
export function registerGauges(registry: Registry, measured: Measured): void {
  const gauge = registerIn(registry, 'gauge')
  registerServiceGauges(gauge, measured)
  registerFileGauges(gauge, measured)
  registerDeviceGauges(gauge, measured)
}

function registerServiceGauges(gauge: Register, measured: Measured): void {
  const { version } = measured
  gauge(
    'certlatch_build_info',
    'Always 1; the labels say which certlatch runs on which Node',
    () => [[{ version, node: process.version }, 1]],
  )
  gauge(
    'certlatch_check_ok',
    'Whether a check of /readyz passes (1) or not (0); /readyz and the log say what is wrong',
    () => measured.readiness().checks.map(({ name, ok }) => [{ check: name }, ok ? 1 : 0]),
  )
  gauge(
    'certlatch_session_max_age_seconds',
    'How long a session is renewed without the certificate being shown: CERTLATCH_SESSION_MAX_AGE',
    () => measured.sessionMaxAgeSeconds,
  )
  gauge(
    'certlatch_verdict_cache_entries',
    'Cached verdicts; each change of the files empties the cache',
    () => measured.cacheEntries(),
  )
}

function registerFileGauges(gauge: Register, measured: Measured): void {
  const { snapshot, holders, nowSeconds } = measured
  gauge(
    'certlatch_ca_not_after_timestamp_seconds',
    'When the first CA certificate expires that devices depend on; renew it before',
    () => firstAuthorityExpiry(snapshot(), holders().issuersInUse, nowSeconds()),
  )
  gauge(
    'certlatch_crl_next_update_timestamp_seconds',
    'When the first CRL goes out of date (0: there is none); fetch a new one before',
    () =>
      leastOf(activeRevocationLists(snapshot(), nowSeconds()).map(({ nextUpdate }) => nextUpdate)),
  )
  gauge(
    'certlatch_crl_number',
    'The lowest loaded cRLNumber (0: none); a replica with a lower one has missed a revocation',
    () => Number(measured.readiness().crlNumber ?? 0),
  )
  gauge(
    'certlatch_revocations_info',
    'Always 1; replicas whose label differs have not loaded the same CRLs and blocks',
    () => [[{ revocations: revocationsOf(snapshot()) }, 1]],
  )
  gauge(
    'certlatch_session_keys_info',
    "Always 1; replicas whose key_set differs do not accept each other's cookies",
    () => [[{ key_set: measured.readiness().keySet }, 1]],
  )
}

/** A hash over all CRLs and blocks: the lowest number alone does not show which CRL is old. */
function revocationsOf({ trust, blocks }: Snapshot): string {
  const lists = [...trust.revocationLists].map(
    ([keyHash, { number, thisUpdate }]) => `${keyHash} ${number ?? ''} ${thisUpdate}`,
  )
  const all = [...lists.sort(), `blocks ${blocks.number}`].join('\n')
  return createHash('sha256').update(all).digest('hex').slice(0, 16)
}

const leastOf = (numbers: readonly number[]): number =>
  numbers.length === 0 ? 0 : Math.min(...numbers)

function registerDeviceGauges(gauge: Register, measured: Measured): void {
  gauge(
    'certlatch_devices',
    'Registered devices by the state of their certificate; only active and invited ones are accepted',
    () => {
      const { devices } = measured.holders()
      return DEVICE_STATES.map((state) => [
        { state },
        devices.filter((device) => device.state === state).length,
      ])
    },
  )
  gauge(
    'certlatch_device_last_seen_timestamp_seconds',
    'When a device was last allowed, by its certificate or by its session (0: never); other: all unregistered certificates',
    () => {
      const { devices, others } = measured.holders()
      return [{ name: OTHER, ...others }, ...devices].flatMap(
        ({ name, certificateAt, sessionAt }): readonly Reading[] => [
          [{ device: name, via: 'certificate' }, certificateAt],
          [{ device: name, via: 'session' }, sessionAt],
        ],
      )
    },
  )
  gauge(
    'certlatch_device_certificate_not_after_timestamp_seconds',
    'When a device is locked out unless it gets a new certificate (0: it has no usable one, or none is known); renew it before',
    () => {
      const { devices, others } = measured.holders()
      return [{ name: OTHER, ...others }, ...devices].map(({ name, certificateNotAfter }) => [
        { device: name },
        certificateNotAfter,
      ])
    },
  )
}
