import { randomBytes } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { isFromApplication, isRefusal, sessionName, summaryOf } from './answers.ts'
import type { Check, Finding, Need } from './check.ts'
import { NEEDS } from './check.ts'
import { REVOKED_CHECK, sessionOf } from './checks/access.ts'
import { CHECKS } from './checks.ts'
import { type Client, clauseOf } from './client.ts'
import type { Facts, Here } from './facts.ts'
import { allowedAddress, openPaths } from './open-rules.ts'
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
  const addresses = await resolve(run.target)
  let facts = firstFacts(run, addresses)
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

interface Resolved {
  readonly addresses: readonly string[]
  readonly problem: string | undefined
}

const LOOKUP_MILLISECONDS = 3_000

async function resolve({ connectHost }: Target): Promise<Resolved> {
  if (isIP(connectHost) !== 0) return { addresses: [connectHost], problem: undefined }
  const late = sleep(LOOKUP_MILLISECONDS, undefined, { ref: false }).then(() => undefined)
  try {
    const found = await Promise.race([lookup(connectHost, { all: true }), late])
    if (found === undefined) return { addresses: [], problem: 'no name server answers' }
    return { addresses: found.map(({ address }) => address), problem: undefined }
  } catch (error) {
    return { addresses: [], problem: clauseOf(error) }
  }
}

const NOTHING: Observation = { kind: 'none', problem: 'it was not tried' }

function firstFacts(run: Run, { addresses, problem }: Resolved): Facts {
  const { target, here, certificate, cookieName } = run
  const nowhere = randomBytes(32).toString('hex')
  const isOpen = (path: string) =>
    here?.explain({ method: 'GET', path, shown: 'nothing' }).allow === true
  const facts: Facts = {
    target,
    here,
    addresses,
    addressProblem: problem,
    nowSeconds: run.nowSeconds(),
    cookieName,
    certificate,
    closedPath: isOpen('/') ? `/${nowhere}` : '/',
    nowhere,
    first: { nothing: NOTHING, certificate: NOTHING, manifest: NOTHING, atSeconds: 0 },
    hasAccess: false,
    hasSession: false,
    isHomeAssistant: false,
    looks: undefined,
    hasOpenRules: false,
    hasNetworkRules: allowedAddress({ here }) !== undefined,
    isOwnDevice: run.revoke !== undefined,
    revokedAfterMilliseconds: undefined,
  }
  return { ...facts, hasOpenRules: openPaths(facts).length > 0 }
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
  const cookie = sessionOf(certificate, cookieName)
  if (cookie !== undefined) client.useCookie(cookie)
  const manifest = isFromApplication(certificate)
    ? await client.ask(request('the manifest', { path: '/manifest.json', shown: 'certificate' }))
    : NOTHING
  return {
    ...facts,
    cookieName,
    first: { nothing, certificate, manifest, atSeconds },
    hasAccess: isFromApplication(certificate),
    hasSession: cookie !== undefined,
    isHomeAssistant: isHomeAssistant(certificate, manifest),
    looks: looksLike(odd, [nothing, certificate]),
  }
}

function isHomeAssistant(page: Observation, manifest: Observation): boolean {
  if (manifest.kind === 'answer' && /"(short_)?name":\s*"Home Assistant"/.test(manifest.body)) {
    return true
  }
  if (page.kind !== 'answer') return false
  return page.status === 400
    ? /^400: Bad Request/.test(page.body)
    : /<home-assistant\b/.test(page.body)
}

/** Checks that do not depend on the server's answers. */
const WITHOUT_ANSWERS: ReadonlySet<string> = new Set([
  ...['name', 'tls', 'server-certificate', 'plain-http', 'bypass'],
  ...['service', 'dates', 'replicas'],
])
/** Checks that report why there was no answer. */
const EXPLAINS_SILENCE: ReadonlySet<string> = new Set(['no-credentials'])

async function runCheck(
  { client }: Run,
  facts: Facts,
  check: Check,
  general: string | undefined,
): Promise<Outcome> {
  const obstacle = obstacleOf(facts, check, general)
  if (obstacle !== undefined) return { check, result: 'not tried', findings: [], obstacle }
  const probes = check.plan(facts)
  const asked = await Promise.all(
    probes.map(async (probe) => ({ probe, seen: await client.ask(probe) })),
  )
  const findings = check.judge(facts, asked)
  const silence = findings.length === 0 ? asked.find(isSilent) : undefined
  if (silence === undefined) return outcomeOf(check, findings, check.detail?.(facts, asked))
  const unknown = `${silence.probe.label}: ${summaryOf(silence.seen)}`
  return { check, result: 'not tried', findings: [], obstacle: unknown }
}

/** From a proxy's rate limit: the request was not processed. */
const TOO_MANY_REQUESTS = 429

/** Probes for which silence is a good answer: a firewall may drop what it blocks. */
const MAY_BE_SILENT: ReadonlySet<Probe['kind']> = new Set(['plain', 'quic', 'application'])

/** Whether the answer is unknown, so that the check must not report `ok`. */
const isSilent = ({ probe, seen }: Asked): boolean =>
  seen.kind === 'none'
    ? seen.isUnknown === true && !MAY_BE_SILENT.has(probe.kind)
    : seen.kind === 'answer' && seen.status === TOO_MANY_REQUESTS

function obstacleOf(facts: Facts, check: Check, general: string | undefined): string | undefined {
  const isReached = facts.first.nothing !== NOTHING
  const explainsIt = isReached && EXPLAINS_SILENCE.has(check.name)
  if (general !== undefined && !WITHOUT_ANSWERS.has(check.name) && !explainsIt) return general
  if (
    check.name !== 'name' &&
    general === 'the name does not resolve' &&
    check.group === 'connection'
  ) {
    return general
  }
  const missing = check.needs.find((need) => !MET[need](facts))
  return missing && NEEDS[missing]
}

const MET: Readonly<Record<Need, (facts: Facts) => boolean>> = {
  here: ({ here }) => here !== undefined,
  service: ({ here }) => here?.service !== undefined,
  access: ({ hasAccess }) => hasAccess,
  session: ({ hasSession }) => hasSession,
  closed: ({ first }) => !isFromApplication(first.nothing),
  'home-assistant': (facts) => facts.isHomeAssistant,
  application: ({ target }) => target.application !== undefined,
  'own-device': ({ isOwnDevice }) => isOwnDevice,
  'open-rules': ({ hasOpenRules }) => hasOpenRules,
  'network-rules': ({ hasNetworkRules }) => hasNetworkRules,
}

function outcomeOf(check: Check, findings: readonly Finding[], detail?: string): Outcome {
  const has = (level: Finding['level']) => findings.some((finding) => finding.level === level)
  const unseen = findings.find(({ level }) => level === 'unseen')
  if (has('failed')) return { check, result: 'failed', findings }
  if (has('warning')) return { check, result: 'warning', findings }
  if (unseen === undefined) return { check, result: 'ok', findings, ...(detail && { detail }) }
  return { check, result: 'not tried', findings: [], obstacle: unseen.text }
}

const REVOKED_WITHIN_MILLISECONDS = 5_000
/** So that a revocation without effect costs about 50 requests. */
const POLL_MILLISECONDS = 200

/** Revokes the certificate, and probes until neither it nor its session is accepted. */
async function judgeRevoked(run: Run, facts: Facts, general: string | undefined): Promise<Outcome> {
  const { client, revoke } = run
  const notTried = (obstacle: string): Outcome => {
    return { check: REVOKED_CHECK, result: 'not tried', findings: [], obstacle }
  }
  const obstacle = obstacleOf(facts, REVOKED_CHECK, general)
  if (obstacle !== undefined) return notTried(obstacle)
  await revoke?.()
  const begun = performance.now()
  const shown = (['certificate', ...(facts.hasSession ? (['cookie'] as const) : [])] as const).map(
    (what) => request(what, { shown: what }),
  )
  for (;;) {
    const seen = await Promise.all(shown.map((probe) => client.ask(probe)))
    const milliseconds = performance.now() - begun
    const isOver = milliseconds > REVOKED_WITHIN_MILLISECONDS
    const unclear = seen.find((one) => !isFromApplication(one) && !isDenial(facts, one))
    // A closed connection may be that of a proxy that reloads; anything else would not change.
    if (unclear !== undefined && (isOver || unclear.kind !== 'none' || unclear.isUnknown)) {
      return notTried(`after the revocation: ${summaryOf(unclear)}`)
    }
    const isDenied = seen.every((one) => isDenial(facts, one))
    if (isDenied || isOver) {
      const revokedAfterMilliseconds = isDenied ? milliseconds : undefined
      const findings = REVOKED_CHECK.judge({ ...facts, revokedAfterMilliseconds }, [])
      return outcomeOf(REVOKED_CHECK, findings)
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
