import { text as textOfStream } from 'node:stream/consumers'
import { usageError } from '../../administration/command-error.ts'
import type { Config } from '../../config/config.ts'
import { PROXIES } from '../../config/options.ts'
import { quote } from '../../config/text.ts'
import type { Described } from '../../explain/auth-request.ts'
import { readCertificateFile, type Shown, shownByDevice } from '../../explain/credentials.ts'
import { adviceOf, conclusionOf, type Explanation, stepsOf } from '../../explain/explanation.ts'
import { explainRequest } from '../../explain/judgment.ts'
import { DIALECTS } from '../../proxy/dialects.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { choiceFlag, textFlag } from '../arguments.ts'
import type { ExitCode, Invocation } from '../command.ts'
import { settingsOf } from '../command-context.ts'
import { currentGrounds } from '../current-grounds.ts'
import { jsonOf, table } from '../format.ts'

export const help = `Usage: certlatch explain URL [--method M] [--from ADDRESS]
         [--certificate FILE | --device NAME] [--cookie -] [--origin ORIGIN]
         [--proxy NAME] [--json]

Explains how certlatch would answer this request and why, step by step, with the same rules and files
as certlatch serve. Nothing is changed. The path is checked as written; Traefik and nginx normalize
some paths ("//", "..") before they send the auth request. Exit code 0: allowed. 1: denied. 2: usage
error.

Options:
      --method M          the request's method, GET by default
      --from ADDRESS      the client's address; without it only rules that deny match by "from"
      --certificate FILE  as if the client showed this certificate, in PEM or DER
      --device NAME       as if it showed the newest certificate that this device has
      --cookie -          as if it sent the cookie read from standard input: its value, or a Cookie header
      --origin ORIGIN     as if a page of this site sent it, such as https://other.example.org; with
                          --method OPTIONS: as the preflight of such a request
      --proxy NAME        as if this proxy sent it: ${PROXIES.join(', ')}
      --json              print the same as JSON

Example:
  $ certlatch explain https://home.example.org/api/states --device "Ada's phone"`

export const options = {
  method: { type: 'string' },
  from: { type: 'string' },
  certificate: { type: 'string' },
  device: { type: 'string' },
  cookie: { type: 'string' },
  origin: { type: 'string' },
  proxy: { type: 'string' },
  json: { type: 'boolean' },
} as const

export const takesPositionals = true

export async function run(invocation: Invocation): Promise<ExitCode> {
  const [url = '', ...more] = invocation.positionals
  if (url === '' || more.length > 0) {
    throw usageError('expected one URL', 'certlatch explain https://home.example.org/')
  }
  const set = settingsOf(invocation)
  const proxy = choiceFlag(invocation, 'proxy', PROXIES, set.dialect.name)
  const config = proxy === set.dialect.name ? set : { ...set, dialect: DIALECTS[proxy] }
  const { snapshot, grounds } = await currentGrounds(config)
  const shown = await shownCertificate(invocation, config, snapshot)
  const described: Described = {
    url,
    method: textFlag(invocation, 'method') ?? 'GET',
    from: textFlag(invocation, 'from'),
    certificate: shown?.certificate,
    cookie: await givenCookie(invocation, config),
    origin: textFlag(invocation, 'origin'),
  }
  const explanation = explainRequest(described, shown, config, grounds, invocation.nowSeconds())
  print(invocation, described, explanation)
  return explanation.decision.allow ? 0 : 1
}

async function shownCertificate(
  invocation: Invocation,
  config: Config,
  snapshot: Snapshot,
): Promise<Shown | undefined> {
  const file = textFlag(invocation, 'certificate')
  const device = textFlag(invocation, 'device')
  if (file !== undefined && device !== undefined) {
    throw usageError('expected --certificate or --device, not both')
  }
  if (file !== undefined) return readCertificateFile(file)
  return device === undefined ? undefined : shownByDevice(device, snapshot, config)
}

/** Cookies are secrets, so they are read from standard input rather than the arguments. */
async function givenCookie(
  invocation: Invocation,
  { cookieName }: Config,
): Promise<string | undefined> {
  const flag = textFlag(invocation, 'cookie')
  if (flag === undefined) return undefined
  const { stdin } = invocation.streams
  if (flag !== '-' || stdin === undefined) {
    throw usageError(
      `--cookie is ${quote(flag.slice(0, 8))}: expected -, and the cookie on standard input`,
    )
  }
  const given = (await textOfStream(stdin)).trim()
  const header = given.replace(/^cookie: */i, '')
  if (header === '' || /\p{Cc}/u.test(header)) {
    throw usageError(
      'standard input is not one line: expected the value of a cookie, or a Cookie header',
    )
  }
  // The value itself has no "=".
  return header !== given || header.includes('=') ? header : `${cookieName}=${header}`
}

function print(
  { flags, terminal }: Invocation,
  { method, url }: Described,
  explanation: Explanation,
): void {
  const { decision, rule, client } = explanation
  const steps = stepsOf(explanation)
  const advice = adviceOf(decision)
  if (flags['json'] === true) {
    const explanation = {
      request: { method, url, client },
      outcome: decision.allow ? 'allow' : 'deny',
      via: decision.via,
      reason: decision.allow ? undefined : decision.reason,
      device: decision.allow ? decision.identity?.device : undefined,
      user: decision.allow ? decision.identity?.user : undefined,
      rule: rule && { name: rule.name, access: rule.access, insteadOf: rule.insteadOf?.name },
      setsCookie: decision.allow && decision.setSession !== undefined,
      steps,
      advice,
    }
    terminal.print(jsonOf({ explanation }))
    return
  }
  terminal.print(table(steps.map(({ check, finding }, index) => [`${index + 1}.`, check, finding])))
  terminal.print('')
  terminal.print(conclusionOf(decision))
  if (advice !== undefined) terminal.print(`to change that: ${advice}`)
}
