import { type DeviceReport, reportDevices } from '../../administration/device-report.ts'
import type { Config } from '../../config/config.ts'
import { latest, type SeenCertificate } from '../../store/service-state.ts'
import { readLastSeen } from '../../store/service-state-files.ts'
import { noNames } from '../arguments.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'
import { pathsOfConfig, settingsOf } from '../command-context.ts'
import { day, span, table } from '../format.ts'

const HELP = `Usage: certlatch device list [--json]

Lists all devices with their owners: when the newest certificate was issued and when it expires, when
the device was last seen, and its state. With CERTLATCH_CA_FILE it lists the certificates that the
service has accepted: only the CA knows which ones it has issued.

Options:
      --json  print the same as JSON, with times in Unix seconds

Example:
  $ certlatch device list`

export const deviceList: Command = {
  help: () => HELP,
  options: { json: { type: 'boolean' } },
  takesPositionals: true,
  run: runDeviceList,
}

async function runDeviceList(invocation: Invocation): Promise<ExitCode> {
  const config = settingsOf(invocation)
  noNames(invocation)
  if (config.ca.kind === 'external') return listSeen(invocation, config)
  const { flags, terminal, nowSeconds } = invocation
  const now = nowSeconds()
  const devices = await reportDevices(pathsOfConfig(config), now, terminal.warn)
  if (flags['json'] === true) {
    terminal.print(JSON.stringify({ schemaVersion: 1, devices }, undefined, 2))
  } else if (devices.length === 0) {
    terminal.note('no device yet: certlatch device add "Ada\'s phone" adds the first')
  } else {
    terminal.print(table([HEAD, ...devices.map((report) => rowOf(report, now))]))
  }
  return 0
}

const HEAD = ['NAME', 'OWNER', 'ISSUED', 'EXPIRES IN', 'LAST SEEN', 'STATE'] as const

function rowOf(report: DeviceReport, now: number): readonly string[] {
  const { name, owner = '-', certificates, state, lastSeenAt } = report
  const newest = certificates.at(-1)
  const issuedAt = newest?.issuedAt ?? newest?.notBefore ?? 0
  const issued = issuedAt === 0 ? '-' : day(issuedAt)
  const isOver = newest === undefined || newest.notAfter < now
  return [
    name,
    owner,
    issued,
    isOver ? '-' : span(newest.notAfter - now),
    ago(lastSeenAt, now),
    state,
  ]
}

export const ago = (seconds: number, now: number): string =>
  seconds === 0 ? 'never' : seconds >= now ? 'just now' : `${span(now - seconds)} ago`

/** Lists the certificates of an external CA that have been used. */
async function listSeen(invocation: Invocation, config: Config): Promise<ExitCode> {
  const { flags, terminal, nowSeconds } = invocation
  const now = nowSeconds()
  const seen = [...(await readLastSeen(pathsOfConfig(config).running)).values()]
  seen.sort((one, other) => one.name.localeCompare(other.name, 'en'))
  if (flags['json'] === true) {
    terminal.print(JSON.stringify({ schemaVersion: 1, seen }, undefined, 2))
  } else if (seen.length === 0) {
    terminal.note(
      'no certificate has been used yet, or certlatch serve does not run with this directory',
    )
  } else {
    terminal.print(table([SEEN_HEAD, ...seen.map((entry) => seenRowOf(entry, now))]))
  }
  return 0
}

const SEEN_HEAD = ['NAME', 'SERIAL', 'EXPIRES IN', 'LAST SEEN'] as const

function seenRowOf(entry: SeenCertificate, now: number): readonly string[] {
  const { name, serial, notAfter } = entry
  const end = notAfter === undefined ? '-' : notAfter < now ? 'expired' : span(notAfter - now)
  return [name, serial, end, ago(latest(entry), now)]
}
