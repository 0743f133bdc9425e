import {
  type CertificateReport,
  type DeviceReport,
  findReport,
} from '../../administration/device-report.ts'
import { type DataPaths, readCertificateCopy } from '../../store/data-directory.ts'
import type { CertificateInvitation } from '../../store/device-registry.ts'
import { onlyName } from '../arguments.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { ownSettingsOf, pathsOfConfig } from '../command-context.ts'
import { ago, fingerprint, hexPairs, jsonOf, moment, span, table } from '../format.ts'

export const help = `Usage: certlatch device show NAME [--json]

Shows everything that is known about a device: each of its certificates with serial number,
fingerprints as browsers and phones show them, dates, state, and when it was last seen, by certificate
and by cookie.

Options:
      --json  print the same as JSON, with times in Unix seconds

Example:
  $ certlatch device show "Ada's phone"`

export const options = { json: { type: 'boolean' } } as const

export const takesPositionals = true

export async function run(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(
    invocation,
    'certlatch device list shows which certificates were used',
  )
  const name = onlyName(invocation)
  const { flags, terminal, nowSeconds } = invocation
  const paths = pathsOfConfig(config)
  const now = nowSeconds()
  const report = await findReport(paths, name, now, terminal.warn)
  const shown = await Promise.all(
    report.certificates.map((certificate) => withFingerprints(certificate, paths)),
  )
  if (flags['json'] === true) {
    terminal.print(jsonOf({ device: { ...report, certificates: shown } }))
    return 0
  }
  terminal.print(table(deviceRows(report, now)))
  for (const certificate of shown.toReversed()) {
    terminal.print('')
    terminal.print(table(certificateRows(certificate, now)))
  }
  return 0
}

interface ShownCertificate extends CertificateReport {
  /** `undefined` if only the certificate's entry in an index is known. */
  readonly sha256: string | undefined
  readonly sha1: string | undefined
}

async function withFingerprints(
  certificate: CertificateReport,
  paths: DataPaths,
): Promise<ShownCertificate> {
  const der = await readCertificateCopy(paths, certificate.serial)
  return {
    ...certificate,
    sha256: der && fingerprint(der, 'sha256'),
    sha1: der && fingerprint(der, 'sha1'),
  }
}

function deviceRows(report: DeviceReport, now: number): readonly (readonly string[])[] {
  return [
    ['name', report.name],
    ['owner', report.owner ?? '-'],
    ['state', report.state],
    ['last seen', seenAt(report.lastSeenAt, now)],
    ['id', report.id],
  ]
}

function certificateRows(shown: ShownCertificate, now: number): readonly (readonly string[])[] {
  const { serial, notBefore, notAfter, endsAt, revokedAt, reason, invitation } = shown
  const rows: (readonly string[])[] = [
    ['certificate', hexPairs(Buffer.from(serial, 'hex'))],
    ['state', shown.state],
    ['CA', shown.authority ?? '-'],
    ['valid from', notBefore === 0 ? '-' : moment(notBefore)],
    [
      'valid until',
      notAfter > now ? `${moment(notAfter)}, in ${span(notAfter - now)}` : moment(notAfter),
    ],
  ]
  if (invitation !== undefined) rows.push(['invitation', invitationOf(invitation)])
  if (endsAt !== undefined) rows.push(['replaced, ends', moment(endsAt)])
  if (revokedAt !== undefined)
    rows.push(['revoked', `${moment(revokedAt)}, ${reason ?? 'unspecified'}`])
  rows.push(
    ['seen', seenAt(shown.seenByCertificateAt, now)],
    ['seen by cookie', seenAt(shown.seenBySessionAt, now)],
    ['SHA-256', shown.sha256 ?? '-'],
    ['SHA-1', shown.sha1 ?? '-'],
  )
  return rows
}

/** Names the browser that collected it, so that the owner notices if it was not theirs. */
const invitationOf = ({ endsAt, collectedAt, collectedBy }: CertificateInvitation): string =>
  collectedAt === undefined
    ? `not collected, until ${moment(endsAt)}`
    : `collected ${moment(collectedAt)} by ${collectedBy ?? 'an unknown browser'}`

const seenAt = (seconds: number, now: number): string =>
  seconds === 0 ? 'never' : `${moment(seconds)}, ${ago(seconds, now)}`
