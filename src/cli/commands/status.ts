import { CommandError } from '../../administration/command-error.ts'
import { printable } from '../../config/text.ts'
import type { Status } from '../../server/admin/status.ts'
import { askStatus } from '../admin-listener.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { settingsOf } from '../command-context.ts'
import { ago, count, day, span, table } from '../format.ts'

const TIMEOUT_MILLISECONDS = 5_000

export const help = `Usage: certlatch status [--json]

Asks the service at CERTLATCH_ADMIN_LISTEN, with the token in CERTLATCH_METRICS_TOKEN if it is set:
which version runs, whether anything is wrong, when each device was last seen and by what, what
expires next, and what was denied in the last hour. Exit code 0: it is ready. 1: it is not, or does
not answer. 2: a setting is wrong.

Options:
      --json  print the same as JSON, with times in Unix seconds

Example:
  $ certlatch status`

export const options = { json: { type: 'boolean' } } as const

export async function run(invocation: Invocation): Promise<ExitCode> {
  const { flags, terminal } = invocation
  const asked = await askStatus(settingsOf(invocation), TIMEOUT_MILLISECONDS)
  if (!asked.ok) throw new CommandError(asked.problem, { hint: asked.hint })
  const { status } = asked
  terminal.print(flags['json'] === true ? JSON.stringify(status, undefined, 2) : describe(status))
  return status.ready ? 0 : 1
}

/** Escapes control characters: names in certificates are untrusted. */
function describe(status: Status): string {
  const parts = [summary(status), devices(status), refusals(status)]
  return parts
    .filter((part) => part !== '')
    .join('\n\n')
    .split('\n')
    .map(printable)
    .join('\n')
}

function summary(status: Status): string {
  const { version, node, now, startedAt, checks, authorities, revocationLists } = status
  const failed = checks.filter(({ ok }) => !ok)
  const rows = [
    ['certlatch', `${version} on Node ${node}, up for ${span(now - startedAt)}`],
    ['state', status.ready ? 'ready' : 'not ready'],
    ...failed.map(({ name, detail }) => ['', `${name}: ${detail}`]),
    ...authorities.map(({ name, notAfter }) => ['CA', `${name}, ${until(notAfter, now)}`]),
    ...revocationLists.map(({ number, nextUpdate, revoked }) => [
      'CRL',
      `number ${number ?? '-'}, ${count(revoked, 'certificate')} revoked, ${until(nextUpdate, now)}`,
    ]),
    ['session keys', status.keySet],
  ]
  return table(rows)
}

const until = (end: number, now: number): string =>
  end < now ? `expired on ${day(end)}` : `expires on ${day(end)} (in ${span(end - now)})`

function devices({ devices, others, now }: Status): string {
  const other = { name: 'others', owner: undefined, state: '-', ...others }
  const isSeen = others.certificateAt + others.sessionAt > 0
  const all = [...devices, ...(isSeen ? [other] : [])]
  if (all.length === 0) return 'no device yet, and none was seen'
  const head = ['NAME', 'OWNER', 'STATE', 'EXPIRES IN', 'BY CERTIFICATE', 'BY SESSION']
  const rows = all.map(({ name, owner = '-', state, ...times }) => [
    name,
    owner,
    state,
    times.certificateNotAfter <= now ? '-' : span(times.certificateNotAfter - now),
    ago(times.certificateAt, now),
    ago(times.sessionAt, now),
  ])
  return table([head, ...rows])
}

function refusals({ lastHour, now, startedAt }: Status): string {
  const { allowed, refused, reasons } = lastHour
  const time = now - startedAt < 3_600 ? 'since the start' : 'in the last hour'
  const summary = `${time}: ${count(allowed, 'request')} allowed, ${refused} denied`
  const rows = reasons.map(({ reason, count }) => [String(count), reason])
  return rows.length === 0 ? summary : `${summary}\n${table(rows)}`
}
