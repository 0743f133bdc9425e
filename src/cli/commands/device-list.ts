import { type DeviceReport, reportDevices } from '../../administration/device-report.ts'
import { isInvited } from '../../store/device-registry.ts'
import { latest, type SeenCertificate } from '../../store/service-state.ts'
import { readLastSeen } from '../../store/service-state-files.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { pathsOfConfig, settingsOf } from '../command-context.ts'
import { ago, day, hexPairs, jsonOf, span, table } from '../format.ts'

export const help = `Usage: certlatch device list [--json]

Lists all devices with their owners: when the newest certificate was issued, when the one in use
expires, when the device was last seen, and its state. With CERTLATCH_CA_FILE it lists the certificates
that the service has accepted: only the CA knows which ones it has issued.

Options:
      --json  print the same as JSON, with times in Unix seconds

Example:
  $ certlatch device list`

export const options = { json: { type: 'boolean' } } as const

export async function run(invocation: Invocation): Promise<ExitCode> {
  const { terminal, nowSeconds } = invocation
  const config = settingsOf(invocation)
  const paths = pathsOfConfig(config)
  const now = nowSeconds()
  if (config.ca.kind === 'built-in') {
    const devices = await reportDevices(paths, now, terminal.warn)
    const rows = devices.map((report) => rowOf(report, now))
    return print(invocation, { devices }, [HEAD, ...rows], NO_DEVICE)
  }
  const seen = [...(await readLastSeen(paths.running)).values()]
  seen.sort((one, other) => one.name.localeCompare(other.name, 'en'))
  const rows = seen.map((entry) => seenRowOf(entry, now))
  return print(invocation, { seen: seen.map(describeSeen) }, [SEEN_HEAD, ...rows], NONE_SEEN)
}

/** Prints JSON or a table; for a table without rows, the note. */
function print(
  { flags, terminal }: Invocation,
  result: object,
  rows: Parameters<typeof table>[0],
  note: string,
): ExitCode {
  if (flags['json'] === true) terminal.print(jsonOf(result))
  else if (rows.length > 1) terminal.print(table(rows))
  else terminal.note(note)
  return 0
}

const NO_DEVICE = 'no device yet: certlatch device add "Ada\'s phone" adds the first'
const HEAD = ['NAME', 'OWNER', 'ISSUED', 'EXPIRES IN', 'LAST SEEN', 'STATE'] as const

function rowOf(report: DeviceReport, now: number): readonly string[] {
  const { name, owner = '-', certificates, state, lastSeenAt, certificateNotAfter } = report
  const newest = certificates.findLast((one) => !isInvited(one)) ?? certificates.at(-1)
  const issuedAt = newest?.issuedAt ?? newest?.notBefore ?? 0
  const issued = issuedAt === 0 ? '-' : day(issuedAt)
  return [
    name,
    owner,
    issued,
    certificateNotAfter <= now ? '-' : span(certificateNotAfter - now),
    ago(lastSeenAt, now),
    state,
  ]
}

/** Certificates of an external CA are listed once they have been used. */
const NONE_SEEN =
  'no certificate has been used yet, or certlatch serve does not run with this directory'
const SEEN_HEAD = ['NAME', 'SERIAL', 'EXPIRES IN', 'LAST SEEN'] as const

/** For JSON: with the fingerprint in the notation of the other commands. */
const describeSeen = ({ sha256, ...seen }: SeenCertificate) => ({
  ...seen,
  sha256: sha256 && hexPairs(Buffer.from(sha256, 'base64url')),
})

function seenRowOf(entry: SeenCertificate, now: number): readonly string[] {
  const { name, serial, notAfter } = entry
  const end = notAfter === undefined ? '-' : notAfter < now ? 'expired' : span(notAfter - now)
  return [name, serial, end, ago(latest(entry), now)]
}
