import { isFromApplication, isProxyError, isRefusal, setCookies, summaryOf } from '../answers.ts'
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
      if (finding !== undefined) return finding
    }
    return undefined
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
      hintFor('auth-request', facts),
    )
  }
  if (seen.kind === 'none') {
    // TLS 1.3 sends the first, earlier versions the second. Clients without a certificate need a page.
    const insists = /alert "(certificate required|handshake failure)"/.test(seen.problem)
    return failed(
      `no answer to a plain request: ${seen.problem}`,
      insists
        ? `the proxy must request the certificate, not require it: ${hintFor('request-certificate', facts)}`
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
  judge: (facts) => {
    const { first, here, hasAccess } = facts
    if (hasAccess) return undefined
    const seen = first.certificate
    const denial = here?.certificateDenial()
    if (denial !== undefined) {
      const text = `certlatch refuses the certificate: ${denial.reason} (rule ${denial.rule})`
      return failed(text, denial.advice)
    }
    if (seen.kind === 'none') {
      return failed(`no answer to a request with the certificate: ${seen.problem}`)
    }
    if (isRefusal(seen)) {
      return failed(
        'the certificate was presented, and certlatch refuses; according to its files it would accept it, so the proxy does not pass it on intact',
        dialectHint(facts) ?? hintFor('pass-certificate', facts),
      )
    }
    const isFault = seen.kind === 'answer' && seen.status >= 500
    if (isFault && !isProxyError(seen)) {
      const text = `the application answers ${summaryOf(seen)}`
      return failed(text, 'check whether the application is running')
    }
    const hint = isFault ? faultHint(facts) : hintFor('auth-request', facts)
    return failed(`the certificate is not accepted: ${summaryOf(seen)}`, hint)
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
  judge: (facts) => {
    const lines = setCookies(facts.first.certificate)
    const own = lines.filter((line) => line.includes(`${facts.cookieName}=`))
    const [line = ''] = own
    const hint = hintFor('session-cookie', facts)
    if (own.length === 0) return failed(`no ${facts.cookieName} arrives with the answer`, hint)
    if (own.length > 1) return failed(`${facts.cookieName} arrives ${own.length} times`, hint)
    if (!line.startsWith(`${facts.cookieName}=v`)) {
      return failed('the session was merged with another cookie into one header', hint)
    }
    const given = new Set(line.split(';').map((part) => part.trim().toLowerCase()))
    const lost = ATTRIBUTES.filter((attribute) => !given.has(attribute.toLowerCase()))
    if (lost.length === 0) return undefined
    return failed(`the session lost ${lost.join(', ')} on the way`, hint)
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
    if (asked === undefined || isFromApplication(asked.seen)) return undefined
    const text = `the session alone is not accepted: ${summaryOf(asked.seen)}`
    return failed(text, hintFor('pass-cookie', facts))
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
    if (asked === undefined) return undefined
    const { seen } = asked
    if (seen.kind === 'answer' && seen.status === 101) return undefined
    if (isRefusal(seen) || seen.kind === 'none') {
      const text = `a WebSocket with only the session is refused: ${summaryOf(seen)}`
      return failed(text, hintFor('pass-cookie', facts))
    }
    if (!facts.isHomeAssistant) return undefined
    return failed(
      `Home Assistant's WebSocket does not open: ${summaryOf(seen)}`,
      'the proxy must pass Upgrade and Connection on: in nginx, proxy_set_header Upgrade $http_upgrade;',
    )
  },
}

const resumption: Check = {
  name: 'resumption',
  group: 'access',
  title: 'a resumed TLS connection still has the certificate, or none is resumed',
  reason: 'If the proxy loses it, a device is refused on its second visit.',
  needs: ['access'],
  plan: () => [
    { kind: 'resume', label: 'TLSv1.2', version: 'TLSv1.2' },
    { kind: 'resume', label: 'TLSv1.3', version: 'TLSv1.3' },
  ],
  judge: (facts, asked) => {
    const lost = asked.find(
      ({ seen }) => seen.kind === 'answer' && seen.isResumed === true && isRefusal(seen),
    )
    if (lost === undefined) return undefined
    const text = `on a resumed ${lost.probe.label} connection the certificate is gone`
    return failed(text, hintFor('pass-certificate', facts))
  },
}

const protocols: Check = {
  name: 'protocols',
  group: 'access',
  title: 'HTTP/1.1 and HTTP/2 get the same answers',
  reason: 'Browsers use HTTP/2 for pages and HTTP/1.1 for WebSockets, so both must be protected.',
  needs: ['access', 'closed'],
  plan: ({ closedPath, hasSession }) =>
    PROTOCOLS.flatMap((protocol) => [
      request('nothing shown', { protocol, path: closedPath }),
      request('the certificate', { protocol, shown: 'certificate' }),
      ...(hasSession ? [request('the session', { protocol, shown: 'cookie' })] : []),
    ]),
  judge: (facts, asked) => {
    for (const label of ['nothing shown', 'the certificate', 'the session']) {
      const [one, two] = asked.filter(({ probe }) => probe.label === label).map(({ seen }) => seen)
      if (one === undefined || two === undefined) continue
      if (two.kind === 'none' && /not offered/.test(two.problem)) {
        return unseen('HTTP/2 is not offered')
      }
      if (isFromApplication(one) === isFromApplication(two) && isRefusal(one) === isRefusal(two))
        continue
      const text = `${label}: HTTP/1.1 gets ${summaryOf(one)}, and HTTP/2 gets ${summaryOf(two)}`
      const hint = hintFor(label === 'the session' ? 'pass-cookie' : 'pass-certificate', facts)
      return failed(text, hint)
    }
    return undefined
  },
}

export const REVOKED_CHECK: Check = {
  name: 'revoked',
  group: 'operation',
  title: 'the certificate is refused within a second of its revocation',
  reason:
    "This tests the whole chain: command, files, service, proxy. It uses doctor's own certificate, at the end.",
  needs: ['access', 'own-device'],
  judge: ({ revokedAfterMilliseconds: after }) => {
    if (after !== undefined && after <= 1_000) return undefined
    const hint =
      'does the service read the same data directory as this command? certlatch status shows what it has loaded; and there must be no cache between the proxy and certlatch'
    if (after === undefined) {
      return failed('the certificate is revoked, and still accepted after 5 s', hint)
    }
    const seconds = (after / 1000).toFixed(1)
    return warning(`the revoked certificate was refused only after ${seconds} s`, hint)
  },
}

export const ACCESS_CHECKS: readonly Check[] = [
  nothingShown,
  certificate,
  sessionCookie,
  session,
  webSocket,
  resumption,
  protocols,
]
