import { blockCertificate, unblockCertificate } from '../../administration/block-certificate.ts'
import { usageError } from '../../administration/command-error.ts'
import {
  certificateIdByFingerprint,
  certificateIdOfFile,
  certificateIdOfSerial,
} from '../../administration/find-certificate.ts'
import { readGivenCertificate } from '../../administration/given-file.ts'
import type { CertificateId } from '../../certificate/certificate-id.ts'
import type { Config } from '../../config/config.ts'
import { textFlag } from '../arguments.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { changeOf, pathsOfConfig, settingsOf } from '../command-context.ts'
import {
  confirmChange,
  FORGET_OPTION,
  forgetHelp,
  forgottenServices,
  hasBlocks,
} from '../confirmation.ts'

export const help = `Usage: certlatch device block --certificate FILE
       certlatch device block --serial HEX --issuer CA.CRT
       certlatch device block --fingerprint HEX

Blocks one certificate and its sessions, whichever CA issued it: for a CA whose CRL is not available,
or not soon enough. The block is stored by the CA's key and the serial number, because the fingerprint
of a certificate can be changed.

Options:
      --certificate FILE  the certificate, in PEM or DER
      --serial HEX        its serial number, which certlatch device show lists, or with
                          CERTLATCH_CA_FILE certlatch device list
      --issuer CA.CRT     the certificate of the CA that issued it
      --fingerprint HEX   its SHA-256 fingerprint, if it has been used here before
      --lift              remove the block
${forgetHelp(26)}

Example:
  $ certlatch device block --serial 4f:1c:08 --issuer intermediate-ca.crt`

export const options = {
  certificate: { type: 'string' },
  serial: { type: 'string' },
  issuer: { type: 'string' },
  fingerprint: { type: 'string' },
  lift: { type: 'boolean' },
  ...FORGET_OPTION,
} as const

export async function run(invocation: Invocation): Promise<ExitCode> {
  const config = settingsOf(invocation)
  const id = await idOf(invocation, config)
  const forgotten = await forgottenServices(invocation, pathsOfConfig(config))
  const change = changeOf(invocation, config)
  const isLifted = invocation.flags['lift'] === true
  const { blocksNumber, hasChanged, hasEndedInvitation } = isLifted
    ? await unblockCertificate(change, id)
    : await blockCertificate(change, id)
  const { terminal } = invocation
  const what = isLifted ? 'not blocked anymore' : hasChanged ? 'blocked' : 'blocked (already)'
  terminal.print(`${what}: the certificate ${id.serial}`)
  if (hasEndedInvitation) {
    terminal.note(
      'its invitation has ended, which --lift does not undo: to let the device in, invite it again',
    )
  }
  const kind = isLifted ? 'other' : 'revoking'
  const hasIt = hasBlocks(blocksNumber)
  const isApplied = await confirmChange(invocation, config, hasIt, kind, forgotten)
  if (!isLifted) terminal.note('not ended: WebSockets and downloads that are open now')
  return isApplied ? 0 : 1
}

async function idOf(invocation: Invocation, config: Config): Promise<CertificateId> {
  const certificate = textFlag(invocation, 'certificate')
  const serial = textFlag(invocation, 'serial')
  const issuer = textFlag(invocation, 'issuer')
  const fingerprint = textFlag(invocation, 'fingerprint')
  const ways = [certificate, serial ?? issuer, fingerprint].filter((way) => way !== undefined)
  if (ways.length !== 1) {
    throw usageError(
      'expected one certificate to block',
      'name it by --certificate FILE, by --serial HEX with --issuer CA.CRT, or by --fingerprint HEX',
    )
  }
  if (certificate !== undefined) {
    return certificateIdOfFile(certificate, await readGivenCertificate(certificate), config.ca.file)
  }
  if (fingerprint !== undefined) {
    return certificateIdByFingerprint(pathsOfConfig(config), fingerprint, {
      notify: invocation.terminal.note,
    })
  }
  if (serial === undefined || issuer === undefined) {
    throw usageError('--serial and --issuer go together')
  }
  return certificateIdOfSerial(serial, issuer, await readGivenCertificate(issuer))
}
