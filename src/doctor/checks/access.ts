import { isFromApplication, isProxyError, isRefusal, sessionPair, summaryOf } from '../answers.ts'
import { type Check, type Finding, failed, unseen, warning } from '../check.ts'
import type { Facts } from '../facts.ts'
import { dialectHint, hintFor } from '../hints.ts'
import { type Observation, request } from '../probe.ts'

const HTML = [['Accept', 'text/html']] as const
const PROTOCOLS = ['HTTP/1.1', 'HTTP/2'] as const

const nothingShown: Check = {
  name: 'no-credentials',
  group: 'closed',
  title: 'without credentials, certlatch itself refuses',
  reason: 'This is what the gate is for. Its own refusal page helps those who should have access.',
  needs: [],
  plan: ({ closedPath }) => [
    request('GET', { path: closedPath }),
    request('a page', { path: closedPath, headers: HTML }),
    request('POST', {
      path: closedPath === '/' ? '/certlatch-doctor' : closedPath,
      method: 'POST',
    }),
  ],
  judge: (facts, asked) => {
    for (const { probe, seen } of asked) {
      const finding = judgeRefusal(facts, probe.label, seen)
      if (finding !== undefined) return [finding]
    }
    return []
  },
}

const UNANSWERED =
  "see the proxy's log; is certlatch serve running, at the address that the proxy uses?"

function judgeRefusal(facts: Facts, label: string, seen: Observation): Finding | undefined {
  if (isRefusal(seen)) return undefined
  if (isFromApplication(seen)) {
    const networks = facts.here?.policy.rules.some(
      ({ access, conditions }) => access === 'open' && conditions.from !== undefined,
    )
    if (networks) {
      return warning(
        `a request without credentials is allowed from here (${summaryOf(seen)})`,
        'a rule allows some networks, and this may be one of them: run this from elsewhere, with --certificate and --key',
      )
    }
    return failed(
      `a request without credentials is allowed (${label}): the application answers ${summaryOf(seen)}`,
      hintFor('ask-certlatch', facts),
    )
  }
  if (seen.kind === 'none') {
    // TLS 1.3 sends the first, earlier versions the second. Clients without a certificate need a page.
    const insists = /alert "(certificate required|handshake failure)"/.test(seen.problem)
    return failed(
      `no answer to a plain request: ${seen.problem}`,
      insists
        ? `the proxy must request the certificate, not require it: ${hintFor('ask-for-certificate', facts)}`
        : undefined,
    )
  }
  if (seen.kind !== 'answer') return undefined
  if (seen.status >= 500) {
    return failed(
      `the proxy answers ${seen.status}: it gets no answer from certlatch, or cannot read it`,
      UNANSWERED,
    )
  }
  if (seen.status === 404 || seen.status === 421) {
    return failed(
      `the proxy answers ${seen.status}: it does not know this host`,
      hintFor('only-its-host', facts),
    )
  }
  return warning(
    `the refusal (${label}) is not certlatch's own: ${summaryOf(seen)}`,
    hintFor('refusal-page', facts),
  )
}

const certificate: Check = {
  name: 'certificate',
  group: 'access',
  title: 'the certificate is accepted',
  reason:
    'If it is not, the result of `explain` shows whether the rules, the files or the proxy is at fault.',
  needs: [],
  plan: () => [],
  judge: (facts) => {
    const { first, here, hasAccess } = facts
    if (hasAccess) return []
    const seen = first.certificate
    const expected = here?.explain({ method: 'GET', path: '/', shown: 'certificate' })
    if (expected !== undefined && !expected.allow) {
      return [
        failed(
          `certlatch refuses the certificate: ${expected.reason} (rule ${expected.rule})`,
          expected.advice,
        ),
      ]
    }
    if (seen.kind === 'none')
      return [failed(`no answer to a request with the certificate: ${seen.problem}`)]
    if (isRefusal(seen)) {
      const text = 'the certificate was presented, and certlatch refuses'
      const hint = dialectHint(facts) ?? hintFor('pass-certificate', facts)
      return [
        failed(
          `${text}; according to its files it would accept it, so the proxy does not pass it on intact`,
          hint,
        ),
      ]
    }
    const isFault = seen.kind === 'answer' && seen.status >= 500
    if (isFault && !isProxyError(seen)) {
      const text = `the application answers ${summaryOf(seen)}`
      return [failed(text, 'check whether the application is running')]
    }
    const hint = isFault ? faultHint(facts) : hintFor('ask-certlatch', facts)
    return [failed(`the certificate is not accepted: ${summaryOf(seen)}`, hint)]
  },
}

/** Depends on which one does not answer the proxy: certlatch or the application. */
const faultHint = ({ first: { nothing } }: Facts): string =>
  isRefusal(nothing)
    ? 'check whether the application is running, at the address that the proxy uses'
    : UNANSWERED

const ATTRIBUTES = ['Path=/', 'Secure', 'HttpOnly', 'SameSite=Lax'] as const

const sessionCookie: Check = {
  name: 'session-cookie',
  group: 'access',
  title: 'the session arrives once, with all its attributes',
  reason:
    'Without it every request must present the certificate, which Safari does not do for WebSockets.',
  needs: ['access'],
  plan: () => [],
  judge: (facts) => {
    const seen = facts.first.certificate
    const lines = seen.kind === 'answer' ? (seen.headers['set-cookie'] ?? []) : []
    const own = lines.filter((line) => line.includes(`${facts.cookieName}=`))
    const [line = ''] = own
    const hint = hintFor('session-cookie', facts)
    if (own.length === 0) return [failed(`no ${facts.cookieName} arrives with the answer`, hint)]
    if (own.length > 1) return [failed(`${facts.cookieName} arrives ${own.length} times`, hint)]
    if (!line.startsWith(`${facts.cookieName}=v`)) {
      return [failed('the session was merged with another cookie into one header', hint)]
    }
    const given = new Set(line.split(';').map((part) => part.trim().toLowerCase()))
    const lost = ATTRIBUTES.filter((attribute) => !given.has(attribute.toLowerCase()))
    if (lost.length === 0) return []
    return [failed(`the session lost ${lost.join(', ')} on the way`, hint)]
  },
}

const session: Check = {
  name: 'session',
  group: 'access',
  title: 'the session alone is accepted',
  reason: 'Browsers that do not present their certificate each time depend on it.',
  needs: ['access', 'session'],
  plan: () => [request('the session', { shown: 'cookie' })],
  judge: (facts, [asked]) => {
    if (asked === undefined || isFromApplication(asked.seen)) return []
    const text = `the session alone is not accepted: ${summaryOf(asked.seen)}`
    return [failed(text, hintFor('pass-cookie', facts))]
  },
}

const webSocket: Check = {
  name: 'websocket',
  group: 'access',
  title: 'a WebSocket with only the session is not refused',
  reason: 'Home Assistant depends on one, and Safari presents no certificate on it.',
  needs: ['access', 'session'],
  plan: ({ isHomeAssistant }) => [
    request('a WebSocket', {
      shown: 'cookie',
      path: isHomeAssistant ? '/api/websocket' : '/',
      webSocket: true,
    }),
  ],
  judge: (facts, [asked]) => {
    if (asked === undefined) return []
    const { seen } = asked
    if (seen.kind === 'answer' && seen.status === 101) return []
    if (isRefusal(seen) || seen.kind === 'none') {
      const text = `a WebSocket with only the session is refused: ${summaryOf(seen)}`
      return [failed(text, hintFor('pass-cookie', facts))]
    }
    if (!facts.isHomeAssistant) return []
    return [
      failed(
        `Home Assistant's WebSocket does not open: ${summaryOf(seen)}`,
        'the proxy must pass Upgrade and Connection on: in nginx, proxy_set_header Upgrade $http_upgrade;',
      ),
    ]
  },
}

const resumption: Check = {
  name: 'resumption',
  group: 'access',
  title: 'a resumed TLS connection still has the certificate, or none is resumed',
  reason: 'A proxy that forgets it locks a device out on its second visit.',
  needs: ['access'],
  plan: () =>
    (['TLSv1.2', 'TLSv1.3'] as const).map((version) => ({
      kind: 'resume',
      label: version,
      version,
    })),
  judge: (facts, asked) =>
    asked
      .filter(({ seen }) => seen.kind === 'answer' && seen.isResumed === true && isRefusal(seen))
      .slice(0, 1)
      .map(({ probe }) =>
        failed(
          `on a resumed ${probe.label} connection the certificate is gone`,
          hintFor('pass-certificate', facts),
        ),
      ),
}

const protocols: Check = {
  name: 'protocols',
  group: 'access',
  title: 'HTTP/1.1 and HTTP/2 get the same answers',
  reason:
    'Browsers use HTTP/2 for pages and HTTP/1.1 for WebSockets: a gate for only one of them is half a gate.',
  needs: ['access', 'closed'],
  plan: ({ closedPath, hasSession }) =>
    PROTOCOLS.flatMap((protocol) => [
      request('nothing shown', { protocol, path: closedPath }),
      request('the certificate', { protocol, shown: 'certificate' }),
      ...(hasSession ? [request('the session', { protocol, shown: 'cookie' })] : []),
    ]),
  judge: (facts, asked) => {
    const of = (protocol: string, label: string) =>
      asked.find(
        ({ probe }) =>
          probe.kind === 'request' && probe.protocol === protocol && probe.label === label,
      )?.seen
    const isOffered = (seen: Observation | undefined): seen is Observation =>
      seen !== undefined && !(seen.kind === 'none' && /not offered/.test(seen.problem))
    for (const label of ['nothing shown', 'the certificate', 'the session']) {
      const [one, two] = PROTOCOLS.map((protocol) => of(protocol, label))
      if (one === undefined) continue
      if (!isOffered(two)) return [unseen('HTTP/2 is not offered')]
      if (isFromApplication(one) === isFromApplication(two) && isRefusal(one) === isRefusal(two))
        continue
      const text = `${label}: HTTP/1.1 says ${summaryOf(one)}, and HTTP/2 says ${summaryOf(two)}`
      const hint = hintFor(label === 'the session' ? 'pass-cookie' : 'pass-certificate', facts)
      return [failed(text, hint)]
    }
    return []
  },
}

const revoked: Check = {
  name: 'revoked',
  group: 'operation',
  title: 'the certificate is refused within a second of its revocation',
  reason:
    "This tests the whole chain: command, files, service, proxy. It uses doctor's own certificate, at the end.",
  needs: ['access', 'own-device'],
  plan: () => [],
  judge: ({ revokedAfterMilliseconds: after }) => {
    if (after !== undefined && after <= 1_000) return []
    const hint =
      'does the service read the same data directory as this command? certlatch status shows what it has loaded; and there must be no cache between the proxy and certlatch'
    const text =
      after === undefined
        ? 'the certificate is revoked, and still accepted after 5 s'
        : `the revoked certificate was refused only after ${(after / 1000).toFixed(1)} s`
    return [after === undefined ? failed(text, hint) : warning(text, hint)]
  },
}

/** The session in the answer to the certificate, if the application answered. */
export const sessionOf = (seen: Observation, cookieName: string): string | undefined =>
  isFromApplication(seen) ? sessionPair(seen, cookieName) : undefined

export const ACCESS_CHECKS: readonly Check[] = [
  nothingShown,
  certificate,
  sessionCookie,
  session,
  webSocket,
  resumption,
  protocols,
]
export const REVOKED_CHECK: Check = revoked
