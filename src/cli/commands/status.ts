import { CommandError } from '../../administration/command-error.ts'
import { printable } from '../../config/text.ts'
import type { Status } from '../../server/admin/status.ts'
import { askAdminListener, unexpectedStatus } from '../admin-listener.ts'
import { noNames } from '../arguments.ts'
import type { Command, ExitCode, Invocation } from '../command.ts'
import { settingsOf } from '../command-context.ts'
import { count, day, span, table } from '../format.ts'
import { ago } from './device-list.ts'

const TIMEOUT_MILLISECONDS = 5_000

const HELP = `Usage: certlatch status [--json]

Asks the service at CERTLATCH_ADMIN_LISTEN, with the token of CERTLATCH_METRICS_TOKEN if there is
one: which version runs, whether something is wrong, who was let in when and by what, what ends
next, and what was refused in the last hour. Exit code 0: it is ready. 1: it is not, or does not
answer. 2: a setting is wrong.

Options:
      --json  print the same as JSON, with times in seconds since 1970

Example:
  $ certlatch status`

export const status: Command = {
  help: () => HELP,
  options: { json: { type: 'boolean' } },
  takesPositionals: true,
  run: runStatus,
}

async function runStatus(invocation: Invocation): Promise<ExitCode> {
  const { flags, terminal } = invocation
  noNames(invocation)
  const { adminListen, metricsToken } = settingsOf(invocation)
  const page = { path: '/status', token: metricsToken } as const
  const asked = await askAdminListener(adminListen, page, TIMEOUT_MILLISECONDS)
  if (!asked.ok) {
    throw new CommandError(asked.problem, { hint: asked.hint })
  }
  const told = asked.status === 200 ? readStatus(asked.body) : undefined
  if (told === undefined) {
    const { problem, hint } = unexpectedStatus(asked.place, asked.status)
    throw new CommandError(problem, { hint })
  }
  terminal.print(flags['json'] === true ? JSON.stringify(told, undefined, 2) : describe(told))
  return told.ready ? 0 : 1
}

function readStatus(body: string): Status | undefined {
  try {
    const value = JSON.parse(body)
    return value?.schemaVersion === 1 ? value : undefined
  } catch {
    return undefined
  }
}

/** What came from elsewhere, such as names in certificates, gives the terminal no orders. */
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
  end < now ? `ended on ${day(end)}` : `ends on ${day(end)} (in ${span(end - now)})`

function devices({ devices, others, now }: Status): string {
  const other = { name: 'others', owner: undefined, state: '-', ...others }
  const isSeen = others.certificateAt + others.sessionAt > 0
  const all = [...devices, ...(isSeen ? [other] : [])]
  if (all.length === 0) return 'no device yet, and nobody was let in'
  const head = ['NAME', 'OWNER', 'STATE', 'ENDS IN', 'BY CERTIFICATE', 'BY SESSION']
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
  const told = `${time}: ${count(allowed, 'request')} let in, ${refused} refused`
  const rows = reasons.map(({ reason, count }) => [String(count), reason])
  return rows.length === 0 ? told : `${told}\n${table(rows)}`
}
