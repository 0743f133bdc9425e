import { randomBytes } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  bodyMatches,
  isFromApplication,
  isRefusal,
  isUntrustedProxy,
  sessionName,
  sessionPair,
  summaryOf,
} from './answers.ts'
import { type Check, type Finding, unmetNeed } from './check.ts'
import { REVOKED_CHECK } from './checks/access.ts'
import { CHECKS } from './checks.ts'
import { type Client, clauseOf } from './client.ts'
import type { Facts, Here } from './facts.ts'
import { type Asked, type Observation, type Probe, request } from './probe.ts'
import { looksLike, ODD_REQUEST } from './proxy-looks.ts'
import type { Target } from './target.ts'

/** The outcome of a check. */
export interface Outcome {
  readonly check: Check
  readonly result: 'ok' | 'warning' | 'failed' | 'not tried'
  readonly findings: readonly Finding[]
  /** Why it was not tried, as a clause. */
  readonly obstacle?: string
  /** Follows the title if all is well. */
  readonly detail?: string
  /** Whether certlatch refused one of its requests, and so has logged it. */
  readonly isLogged?: true
}

export interface Run {
  readonly target: Target
  readonly here: Here | undefined
  /** The certificate that is presented, in DER. */
  readonly certificate: Buffer
  readonly cookieName: string
  readonly client: Client
  /** Which checks to report; all depend on the same first requests. */
  readonly isAsked: (check: Check) => boolean
  /** Revokes the certificate; `undefined`: it is not doctor's own. */
  readonly revoke: (() => Promise<void>) | undefined
  nowSeconds(): number
  onOutcome(outcome: Outcome): void
  onProgress(done: number, all: number): void
}

/** Runs all checks, and returns the outcome of each, in order. */
export async function runChecks(run: Run): Promise<readonly Outcome[]> {
  const checks = CHECKS.filter(run.isAsked)
  const outcomes: Outcome[] = []
  const report = (outcome: Outcome) => {
    outcomes.push(outcome)
    run.onOutcome(outcome)
    run.onProgress(outcomes.length, checks.length)
  }
  run.onProgress(0, checks.length)
  let facts = await firstFacts(run)
  const obstacle = await checkConnection(run, facts)
  if (obstacle === undefined) facts = await sendFirstRequests(run, facts)
  // Why most checks cannot be tried; those of the group `connection` report the cause.
  const general =
    obstacle ?? (facts.first.nothing.kind === 'none' ? 'the server gives no answer' : undefined)
  const ordinary = checks.filter((check) => check !== REVOKED_CHECK)
  const pending = ordinary.map((check) => runCheck(run, facts, check, general))
  for (const outcome of pending) report(await outcome)
  if (checks.includes(REVOKED_CHECK)) report(await judgeRevoked(run, facts, general))
  return outcomes
}

const LOOKUP_MILLISECONDS = 3_000

/** Why the name does not resolve, as a clause; `undefined` if it does, or is an address. */
async function resolutionProblem({ connectHost }: Target): Promise<string | undefined> {
  const found = lookup(connectHost).then(() => undefined, clauseOf)
  const late = sleep(LOOKUP_MILLISECONDS, 'no name server answers', { ref: false })
  return Promise.race([found, late])
}

const NOTHING: Observation = { kind: 'none', problem: 'it was not tried' }

async function firstFacts(run: Run): Promise<Facts> {
  const { target, here, certificate, cookieName } = run
  const nowhere = randomBytes(32).toString('hex')
  return {
    target,
    here,
    addressProblem: await resolutionProblem(target),
    nowSeconds: run.nowSeconds(),
    cookieName,
    certificate,
    closedPath: here?.isOpen('GET', '/') ? `/${nowhere}` : '/',
    nowhere,
    first: { nothing: NOTHING, certificate: NOTHING, manifest: NOTHING, atSeconds: 0 },
    hasAccess: false,
    hasSession: false,
    isHomeAssistant: false,
    looks: undefined,
    isOwnDevice: run.revoke !== undefined,
    revokedAfterMilliseconds: undefined,
  }
}

/** Why nothing can be tried at all: a session is only sent to a server that proved its name. */
async function checkConnection(
  { client }: Run,
  { addressProblem }: Facts,
): Promise<string | undefined> {
  if (addressProblem !== undefined) return 'the name does not resolve'
  const seen = await client.ask({ kind: 'tls', label: 'TLS' })
  if (seen.kind !== 'server') return 'there is no TLS connection'
  if (seen.problem === undefined) return undefined
  return "the server's certificate is not valid, so anyone could be answering"
}

const KNOWN_WITHIN_MILLISECONDS = 3_000

/** The first requests, on which the others depend. */
async function sendFirstRequests(run: Run, facts: Facts): Promise<Facts> {
  const { client, here } = run
  const [nothing, odd] = await Promise.all([
    client.ask(request('nothing shown', { path: facts.closedPath })),
    client.ask({ kind: 'raw', label: 'an odd request', text: ODD_REQUEST }),
  ])
  const atSeconds = run.nowSeconds()
  const shown = request('the certificate', { shown: 'certificate' })
  let certificate = await client.ask(shown)
  const until = performance.now() + KNOWN_WITHIN_MILLISECONDS
  // The service must load the new device first.
  while (facts.isOwnDevice && isRefusal(certificate) && performance.now() < until) {
    await sleep(200)
    certificate = await client.ask(shown)
  }
  // Without certlatch's settings, the cookie's name is read from the answer.
  const seenName = here === undefined ? sessionName(certificate) : undefined
  const cookieName = seenName ?? run.cookieName
  const hasAccess = isFromApplication(certificate)
  const cookie = hasAccess ? sessionPair(certificate, cookieName) : undefined
  if (cookie !== undefined) client.useCookie(cookie)
  const manifest = hasAccess
    ? await client.ask(request('the manifest', { path: '/manifest.json', shown: 'certificate' }))
    : NOTHING
  return {
    ...facts,
    cookieName,
    first: { nothing, certificate, manifest, atSeconds },
    hasAccess,
    hasSession: cookie !== undefined,
    isHomeAssistant: isHomeAssistant(certificate, manifest),
    looks: looksLike(odd, [nothing, certificate]),
  }
}

const isHomeAssistant = (page: Observation, manifest: Observation): boolean =>
  bodyMatches(manifest, /"(short_)?name":\s*"Home Assistant"/) ||
  bodyMatches(page, /<home-assistant\b/) ||
  isUntrustedProxy(page)

/** Checks that do not depend on the server's answers. */
const WITHOUT_ANSWERS: ReadonlySet<string> = new Set([
  ...['name', 'tls', 'server-certificate', 'plain-http', 'bypass'],
  ...['service', 'dates', 'replicas'],
])

async function runCheck(
  { client }: Run,
  facts: Facts,
  check: Check,
  general: string | undefined,
): Promise<Outcome> {
  const obstacle = obstacleOf(facts, check, general)
  if (obstacle !== undefined) return notTried(check, obstacle)
  const probes = check.plan?.(facts) ?? []
  const asked = await Promise.all(
    probes.map(async (probe) => ({ probe, seen: await client.ask(probe) })),
  )
  const judged = judge(check, facts, asked)
  const isLogged = asked.some(({ seen }) => isRefusedByService(facts, seen))
  const outcome: Outcome = isLogged ? { ...judged, isLogged } : judged
  const silence = outcome.result === 'ok' ? asked.find(isSilent) : undefined
  if (silence === undefined) return outcome
  return notTried(check, `${silence.probe.label}: ${summaryOf(silence.seen)}`)
}

/** A proxy may pass on only the status of a refusal. */
const isRefusedByService = ({ here }: Facts, seen: Observation): boolean =>
  isRefusal(seen) || (here?.service !== undefined && seen.kind === 'answer' && seen.status === 403)

function notTried(check: Check, obstacle: string): Outcome {
  return { check, result: 'not tried', findings: [], obstacle }
}

/** From a proxy's rate limit: the request was not processed. */
const TOO_MANY_REQUESTS = 429

/** Probes for which silence is a good answer: a firewall may drop what it blocks. */
const MAY_BE_SILENT: ReadonlySet<Probe['kind']> = new Set(['get', 'quic'])

/** Whether the answer is unknown, so that the check must not report `ok`. */
const isSilent = ({ probe, seen }: Asked): boolean =>
  seen.kind === 'none'
    ? seen.isUnknown === true && !MAY_BE_SILENT.has(probe.kind)
    : seen.kind === 'answer' && seen.status === TOO_MANY_REQUESTS

function obstacleOf(facts: Facts, check: Check, general: string | undefined): string | undefined {
  // This check reports why a server that was reached does not answer.
  const explainsIt = check.name === 'no-credentials' && facts.first.nothing !== NOTHING
  if (general !== undefined && !WITHOUT_ANSWERS.has(check.name) && !explainsIt) return general
  const isOfConnection = check.group === 'connection' && check.name !== 'name'
  if (isOfConnection && facts.addressProblem !== undefined) return general
  return unmetNeed(check, facts)
}

function judge(check: Check, facts: Facts, asked: readonly Asked[]): Outcome {
  const judged = check.judge(facts, asked) ?? []
  if ('level' in judged && judged.level === 'unseen') return notTried(check, judged.text)
  const findings = [judged].flat()
  const detail = check.detail?.(facts, asked)
  if (findings.length === 0) return { check, result: 'ok', findings, ...(detail && { detail }) }
  const hasFailed = findings.some(({ level }) => level === 'failed')
  return { check, result: hasFailed ? 'failed' : 'warning', findings }
}

const REVOKED_WITHIN_MILLISECONDS = 5_000
/** So that a revocation without effect costs about 50 requests. */
const POLL_MILLISECONDS = 200

/** Revokes the certificate, and probes until neither it nor its session is accepted. */
async function judgeRevoked(run: Run, facts: Facts, general: string | undefined): Promise<Outcome> {
  const { client, revoke } = run
  const obstacle = obstacleOf(facts, REVOKED_CHECK, general)
  if (obstacle !== undefined) return notTried(REVOKED_CHECK, obstacle)
  await revoke?.()
  const begun = performance.now()
  const probes = [
    request('the certificate', { shown: 'certificate' }),
    ...(facts.hasSession ? [request('the session', { shown: 'cookie' })] : []),
  ]
  for (;;) {
    const seen = await Promise.all(probes.map((probe) => client.ask(probe)))
    const milliseconds = performance.now() - begun
    const isOver = milliseconds > REVOKED_WITHIN_MILLISECONDS
    const unclear = seen.find((one) => !isFromApplication(one) && !isDenial(facts, one))
    // A closed connection may be that of a proxy that reloads; anything else would not change.
    if (unclear !== undefined && (isOver || unclear.kind !== 'none' || unclear.isUnknown)) {
      return notTried(REVOKED_CHECK, `after the revocation: ${summaryOf(unclear)}`)
    }
    const isDenied = seen.every((one) => isDenial(facts, one))
    if (isDenied || isOver) {
      const revokedAfterMilliseconds = isDenied ? milliseconds : undefined
      return judge(REVOKED_CHECK, { ...facts, revokedAfterMilliseconds }, [])
    }
    await sleep(POLL_MILLISECONDS)
  }
}

/**
 * certlatch's refusal; from a proxy that passes on only its status, any 403. A rate limit or a fault
 * says nothing about the certificate.
 */
const isDenial = ({ first }: Facts, seen: Observation): boolean =>
  isRefusal(seen) || (seen.kind === 'answer' && seen.status === 403 && !isRefusal(first.nothing))
