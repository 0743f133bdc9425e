import { awaitConfirmation } from '../../administration/confirmation.ts'
import { renewAuthority } from '../../administration/renew-authority.ts'
import { describeName } from '../../certificate/name.ts'
import type { Issuer } from '../../certificate/verify.ts'
import { daysFlag, noNames } from '../arguments.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'
import { authorityPassphrase, changeOf, ownSettingsOf, pathsOfConfig } from '../command-context.ts'
import { tellConfirmation } from '../confirmation.ts'
import { day } from '../format.ts'
import { readAuthorityName } from './init.ts'

const AUTHORITY_DAYS = 3653
const MOST_DAYS = 36_500

const HELP = `Usage: certlatch ca renew [--name NAME] [--days N]

Makes a successor for the CA. New certificates come from it; those that the CA before has signed stay
good until they end, and can be revoked. public/ca.crt then holds both: tell the proxy to read it
again, so that it asks for certificates of the new one.

Options:
      --name NAME  the name of the new CA, as phones show it; default: one with a random end
      --days N     how long it lasts, ${AUTHORITY_DAYS} by default (ten years)

Example:
  $ certlatch ca renew --name "Lovelace family 2036"`

export const caRenew: Command = {
  help: () => HELP,
  options: { name: { type: 'string' }, days: { type: 'string' } },
  takesPositionals: true,
  run: runCaRenew,
}

async function runCaRenew(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(invocation, 'renew that CA where it is kept')
  noNames(invocation)
  const commonName = readAuthorityName(invocation)
  const days = daysFlag(invocation, MOST_DAYS, AUTHORITY_DAYS)
  const renewed = await renewAuthority(
    changeOf(invocation, config, 'ca renew'),
    { commonName, days },
    await authorityPassphrase(invocation, config),
  )
  const { terminal } = invocation
  const { authority, before, dropped, crlNumber } = renewed
  const described = ({ certificate }: Issuer): string =>
    `"${describeName(certificate.subject)}", until ${day(certificate.notAfter)}`
  terminal.print(`new CA     ${described(authority)}`)
  for (const issuer of before) terminal.print(`beside it  ${described(issuer)}`)
  for (const issuer of dropped) terminal.print(`removed    ${described(issuer)}`)
  const confirmation = await awaitConfirmation(
    pathsOfConfig(config),
    (state) => state.crlNumber !== undefined && BigInt(state.crlNumber) >= crlNumber,
  )
  const isInForce = tellConfirmation(terminal, confirmation, 'other')
  terminal.note(
    'next: let the proxy read public/ca.crt again, then certlatch device renew for each device before its CA ends',
  )
  return isInForce ? 0 : 1
}
