import { ENROLL_PATH, PAGES_PREFIX } from '../../policy/page-policy.ts'
import { DIALECTS } from '../../proxy/dialects.ts'
import { bodyMatches, headerOf, sessionPair, summaryOf } from '../answers.ts'
import { type Check, failed } from '../check.ts'
import { type Facts, proxyOf } from '../facts.ts'
import { forgedCertificate } from '../forged-lines.ts'
import { hintFor } from '../hints.ts'
import { type HeaderLine, isRequest, type Observation, request } from '../probe.ts'

/** How a page is recognized. */
const PAGES: Readonly<Record<string, RegExp>> = {
  [`${PAGES_PREFIX}reset`]: /serviceWorker/,
  [`${PAGES_PREFIX}rescue.js`]: /home-assistant/,
  [ENROLL_PATH]: /<form/,
}

/** certlatch's answer for a page that it does not have: with an external CA there is no enrollment. */
const isOwnNotFound = (seen: Observation): boolean =>
  seen.kind === 'answer' && seen.status === 404 && seen.body === 'not found\n'

const UNANSWERED =
  'is certlatch serve running, with the CERTLATCH_PAGES_LISTEN to which the proxy routes these paths?'

const pages: Check = {
  name: 'pages',
  group: 'own-pages',
  title: "certlatch's own pages are served without credentials",
  reason:
    'With them a refused browser gets past its service worker, and a new device is enrolled. Tested: reset, rescue.js and, with the built-in CA, enroll.',
  plan: ({ here }) => {
    const isExternal = here?.config.ca.kind === 'external'
    return Object.keys(PAGES)
      .filter((path) => !isExternal || path !== ENROLL_PATH)
      .map((path) => request(path, { path }))
  },
  judge: (facts, asked) => {
    const isThere = (path: string, seen: Observation): boolean => {
      // Without the files it is not known whether the CA is external.
      const mayBeMissing = path === ENROLL_PATH && facts.here === undefined
      if (mayBeMissing && isOwnNotFound(seen)) return true
      return seen.kind === 'answer' && seen.status === 200 && PAGES[path]?.test(seen.body) === true
    }
    const missing = asked.filter(isRequest).filter(({ probe, seen }) => !isThere(probe.path, seen))
    const [first] = missing
    if (first === undefined) return undefined
    const paths = missing.map(({ probe }) => probe.path).join(' and ')
    const text = `${paths} cannot be reached: ${summaryOf(first.seen)}`
    const isUnanswered = first.seen.kind === 'answer' && first.seen.status >= 500
    return failed(text, isUnanswered ? UNANSWERED : hintFor('own-pages', facts))
  },
}

/** Answers that only certlatch's own listeners give. */
const INNER: Readonly<Record<string, (seen: Observation) => boolean>> = {
  '/verify': (seen) =>
    seen.kind === 'answer' &&
    (headerOf(seen, 'x-certlatch-via') !== '' || seen.headers['remote-user'] !== undefined),
  '/metrics': (seen) => bodyMatches(seen, /^certlatch_/m),
  '/readyz': (seen) => bodyMatches(seen, /"keySet"/),
  '/status': (seen) => bodyMatches(seen, /"lastHour"/),
}

/** Ways from a page to `/verify`, which trusts headers. */
const DETOURS = [
  '/.certlatch/auth/../../verify',
  '/.certlatch/auth/..%2F..%2Fverify',
  '/.certlatch/auth/%2e%2e/%2e%2e/verify',
  '/.certlatch/auth/reset/../../../verify',
  '/.certlatch/auth/reset/..;/..;/..;/verify',
  '/.certlatch/auth/reset%3f/../../../verify',
  '//verify',
] as const

const innerPaths: Check = {
  name: 'inner-paths',
  group: 'own-pages',
  title: '/verify, /metrics, /readyz and /status cannot be reached from outside',
  reason:
    'A client that reaches /verify can write the headers that certlatch trusts, and is given a session.',
  plan: (facts) => {
    const inner = Object.keys(INNER)
    const lines = forgedCertificate(facts.certificate)
    // certlatch refuses the headers of two proxies in one request.
    const header = DIALECTS[proxyOf(facts) ?? 'caddy'].certificateHeader
    const own = lines.filter(([name]) => name.toLowerCase() === header)
    return [
      ...inner.map((path) => request(path, { path })),
      ...inner.map((path) => request(path, { path, shown: 'certificate' })),
      ...lines.map((line) => request('/verify', { path: '/verify', headers: forged(facts, line) })),
      ...DETOURS.flatMap((path) =>
        own.map((line) => request(path, { path, headers: forged(facts, line) })),
      ),
    ]
  },
  judge: (facts, asked) => {
    const isSession = (seen: Observation) => sessionPair(seen, facts.cookieName) !== undefined
    const wrong = asked.filter(isRequest).find(({ probe, seen }) => {
      const isInner = INNER[probe.path] ?? INNER['/verify']
      return isInner?.(seen) || (probe.headers.length > 0 && isSession(seen))
    })
    if (wrong === undefined) return undefined
    const { path } = wrong.probe
    const isAdmin = ['/metrics', '/readyz', '/status'].includes(path)
    return failed(
      `${path} of certlatch can be reached from outside`,
      isAdmin
        ? 'no route of the proxy may lead to CERTLATCH_ADMIN_LISTEN: remove it'
        : hintFor('no-verify', facts),
    )
  },
}

/** Everything that the proxy would send, with the certificate in one proxy's header. */
function forged(facts: Facts, line: HeaderLine): readonly HeaderLine[] {
  const proxy = proxyOf(facts)
  return [
    line,
    ['X-Forwarded-Method', 'GET'],
    ['X-Forwarded-Uri', '/'],
    ['X-Forwarded-Host', facts.target.authority],
    ['X-Forwarded-Proto', 'https'],
    ...(proxy === undefined ? [] : ([['X-Certlatch-Proxy', proxy]] as const)),
  ]
}

export const PAGE_CHECKS: readonly Check[] = [pages, innerPaths]
