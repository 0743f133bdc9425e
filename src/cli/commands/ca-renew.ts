import { renewAuthority } from '../../administration/renew-authority.ts'
import { describeName } from '../../certificate/name.ts'
import type { Issuer } from '../../certificate/verify.ts'
import { AUTHORITY_DAYS } from '../../store/create-authority.ts'
import { authorityOptionsOf } from '../authority-options.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { ownSettingsOf, signingChangeOf } from '../command-context.ts'
import { confirmChange, hasRevocationList } from '../confirmation.ts'
import { day } from '../format.ts'

export const help = `Usage: certlatch ca renew [--name NAME] [--days N]

Creates a successor to the CA, which signs new certificates from then on. Certificates of the previous
CA stay valid until they expire, and can be revoked. public/ca.crt then holds both CAs: reload the
proxy, so that it asks for certificates of the new one too.

Options:
      --name NAME  the name of the new CA, as phones show it; default: one with a random suffix
      --days N     its lifetime, ${AUTHORITY_DAYS} by default (ten years)

Example:
  $ certlatch ca renew --name "Lovelace family 2036"`

export const options = { name: { type: 'string' }, days: { type: 'string' } } as const

export async function run(invocation: Invocation): Promise<ExitCode> {
  const config = ownSettingsOf(invocation, 'renew the CA where it is managed')
  const authorityOptions = authorityOptionsOf(invocation)
  const change = await signingChangeOf(invocation, config)
  const renewed = await renewAuthority(change, authorityOptions)
  const { terminal } = invocation
  const { authority, before, dropped, crlNumber } = renewed
  const described = ({ certificate }: Issuer): string =>
    `"${describeName(certificate.subject)}", until ${day(certificate.notAfter)}`
  terminal.print(`new CA     ${described(authority)}`)
  for (const issuer of before) terminal.print(`alongside  ${described(issuer)}`)
  for (const issuer of dropped) terminal.print(`removed    ${described(issuer)}`)
  const isApplied = await confirmChange(invocation, config, hasRevocationList(crlNumber), 'other')
  terminal.note(
    'next: reload the proxy, because public/ca.crt has changed; then certlatch device renew for each device before its CA expires',
  )
  return isApplied ? 0 : 1
}
