import { awaitConfirmation } from '../../administration/confirmation.ts'
import { renewAuthority } from '../../administration/renew-authority.ts'
import { describeName } from '../../certificate/name.ts'
import type { Issuer } from '../../certificate/verify.ts'
import { daysFlag, noNames } from '../arguments.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'
import { ownSettingsOf, pathsOfConfig, signingChangeOf } from '../command-context.ts'
import { reportConfirmation } from '../confirmation.ts'
import { day } from '../format.ts'
import { readAuthorityName } from './init.ts'

const AUTHORITY_DAYS = 3653
const MOST_DAYS = 36_500

const HELP = `Usage: certlatch ca renew [--name NAME] [--days N]

Creates a successor to the CA, which signs new certificates from then on. Certificates of the previous
CA stay valid until they expire, and can be revoked. public/ca.crt then holds both CAs: reload the
proxy, so that it asks for certificates of the new one too.

Options:
      --name NAME  the name of the new CA, as phones show it; default: one with a random suffix
      --days N     its lifetime, ${AUTHORITY_DAYS} by default (ten years)

Example:
  $ certlatch ca renew --name "Lovelace family 2036"`

export const caRenew: Command = {
  help: () => HELP,
  options: { name: { type: 'string' }, days: { type: 'string' } },
  takesPositionals: true,
  run: runCaRenew,
}

async function runCaRenew(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(invocation, 'renew the CA where it is managed')
  noNames(invocation)
  const commonName = readAuthorityName(invocation)
  const days = daysFlag(invocation, MOST_DAYS, AUTHORITY_DAYS)
  const renewed = await renewAuthority(await signingChangeOf(invocation, config, 'ca renew'), {
    commonName,
    days,
  })
  const { terminal } = invocation
  const { authority, before, dropped, crlNumber } = renewed
  const described = ({ certificate }: Issuer): string =>
    `"${describeName(certificate.subject)}", until ${day(certificate.notAfter)}`
  terminal.print(`new CA     ${described(authority)}`)
  for (const issuer of before) terminal.print(`alongside  ${described(issuer)}`)
  for (const issuer of dropped) terminal.print(`removed    ${described(issuer)}`)
  const confirmation = await awaitConfirmation(
    pathsOfConfig(config),
    (state) => state.crlNumber !== undefined && BigInt(state.crlNumber) >= crlNumber,
  )
  const isApplied = reportConfirmation(terminal, confirmation, 'other')
  terminal.note(
    'next: reload the proxy, because public/ca.crt has changed; then certlatch device renew for each device before its CA expires',
  )
  return isApplied ? 0 : 1
}
