import { createHash } from 'node:crypto'
import { Gauge, type Registry } from 'prom-client'
import type { Snapshot } from '../../store/snapshot.ts'
import { firstAuthorityEnd, livingLists } from './active-authorities.ts'
import { DEVICE_STATES, type People } from './device-status.ts'
import type { Readiness } from './routes.ts'

/** What the gauges look at when they are scraped. */
export interface Measured {
  readonly version: string
  readonly sessionMaxAgeSeconds: number
  nowSeconds(): number
  snapshot(): Snapshot
  readiness(): Readiness
  people(): People
  cacheEntries(): number
}

/** Whom a series stands for that no device of the registry has. */
const OTHER = 'other'

/** What is so now: every value is looked up when somebody asks, and every label is bounded. */
export function registerGauges(registry: Registry, measured: Measured): void {
  ofTheService(registry, measured)
  ofTheFiles(registry, measured)
  ofDevices(registry, measured)
}

type Reading = readonly [labels: Readonly<Record<string, string>>, value: number]

function gauge(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly string[],
  read: () => readonly Reading[],
): void {
  new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      for (const [labels, value] of read()) this.set({ ...labels }, value)
    },
  })
}

function ofTheService(registry: Registry, measured: Measured): void {
  const { version } = measured
  gauge(
    registry,
    'certlatch_build_info',
    'Always 1; the labels say which certlatch runs on which Node',
    ['version', 'node'],
    () => [[{ version, node: process.version }, 1]],
  )
  gauge(
    registry,
    'certlatch_check_ok',
    'Whether a check of /readyz passes (1) or not (0); /readyz and the log say what is wrong',
    ['check'],
    () => measured.readiness().checks.map(({ name, ok }) => [{ check: name }, ok ? 1 : 0]),
  )
  gauge(
    registry,
    'certlatch_session_max_age_seconds',
    'How long a session is renewed without the certificate being shown: CERTLATCH_SESSION_MAX_AGE',
    [],
    () => [[{}, measured.sessionMaxAgeSeconds]],
  )
  gauge(
    registry,
    'certlatch_verdict_cache_entries',
    'Verdicts remembered now; they begin anew with each change of the files',
    [],
    () => [[{}, measured.cacheEntries()]],
  )
}

function ofTheFiles(registry: Registry, measured: Measured): void {
  const { snapshot, people, nowSeconds } = measured
  gauge(
    registry,
    'certlatch_ca_not_after_timestamp_seconds',
    'When the first of the CA certificates ends that somebody needs; renew it before',
    [],
    () => [[{}, firstAuthorityEnd(snapshot(), people().reliedUpon, nowSeconds())]],
  )
  gauge(
    registry,
    'certlatch_crl_next_update_timestamp_seconds',
    'When the first of the CRLs is out of date (0: there is none); fetch a new one before',
    [],
    () => [
      [{}, leastOf(livingLists(snapshot(), nowSeconds()).map(({ nextUpdate }) => nextUpdate))],
    ],
  )
  gauge(
    registry,
    'certlatch_crl_number',
    'The lowest cRLNumber in force (0: none); a replica that stays behind has not seen a revocation',
    [],
    () => [[{}, Number(measured.readiness().crlNumber ?? 0)]],
  )
  gauge(
    registry,
    'certlatch_revocations_info',
    'Always 1; replicas that do not say the same have not the same CRLs and blocks in force',
    ['revocations'],
    () => [[{ revocations: revocationsOf(snapshot()) }, 1]],
  )
  gauge(
    registry,
    'certlatch_session_keys_info',
    "Always 1; replicas that do not say the same key_set do not accept each other's cookies",
    ['key_set'],
    () => [[{ key_set: measured.readiness().keySet }, 1]],
  )
}

/** Of several CRLs the lowest number does not tell which one is old, nor is a block a CRL. */
function revocationsOf({ trust, blocks }: Snapshot): string {
  const lists = [...trust.revocationLists].map(
    ([keyHash, { number, thisUpdate }]) => `${keyHash} ${number ?? ''} ${thisUpdate}`,
  )
  const all = [...lists.sort(), `blocks ${blocks.number}`].join('\n')
  return createHash('sha256').update(all).digest('hex').slice(0, 16)
}

const leastOf = (numbers: readonly number[]): number =>
  numbers.length === 0 ? 0 : Math.min(...numbers)

function ofDevices(registry: Registry, measured: Measured): void {
  gauge(
    registry,
    'certlatch_devices',
    'Devices of the registry by what became of their certificate; only active ones are let in',
    ['state'],
    () => {
      const { devices } = measured.people()
      return DEVICE_STATES.map((state) => [
        { state },
        devices.filter((device) => device.state === state).length,
      ])
    },
  )
  gauge(
    registry,
    'certlatch_device_last_seen_timestamp_seconds',
    'When a device was last let in, by its certificate or by its session (0: never); other is whoever is in no registry of ours',
    ['device', 'via'],
    () => {
      const { devices, others } = measured.people()
      return [{ name: OTHER, ...others }, ...devices].flatMap(
        ({ name, certificateAt, sessionAt }): readonly Reading[] => [
          [{ device: name, via: 'certificate' }, certificateAt],
          [{ device: name, via: 'session' }, sessionAt],
        ],
      )
    },
  )
  gauge(
    registry,
    'certlatch_device_certificate_not_after_timestamp_seconds',
    'When a device is locked out unless it gets a new certificate (0: it has none that could open, or none is known); renew it before',
    ['device'],
    () => {
      const { devices, others } = measured.people()
      return [{ name: OTHER, ...others }, ...devices].map(({ name, certificateNotAfter }) => [
        { device: name },
        certificateNotAfter,
      ])
    },
  )
}
