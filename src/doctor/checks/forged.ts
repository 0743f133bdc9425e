import { SESSION_PATH } from '../../policy/page-policy.ts'
import { isFromApplication, isRefusal, sessionPair, summaryOf } from '../answers.ts'
import { type Check, type Finding, failed, warning } from '../check.ts'
import type { Facts } from '../facts.ts'
import { CERTIFICATE_HEADERS, encodings, forgedCertificate } from '../forged-lines.ts'
import { dialectHint, hintFor } from '../hints.ts'
import { allowedAddress, openPaths } from '../open-rules.ts'
import { type Asked, type HeaderLine, request } from '../probe.ts'

/** Whether the request was allowed, or given a session. */
const isTrusted = (facts: Facts, { seen }: Asked): boolean =>
  isFromApplication(seen) || sessionPair(seen, facts.cookieName) !== undefined

const judgeForgeries = (facts: Facts, asked: readonly Asked[]): readonly Finding[] => {
  const first = asked.find((one) => isTrusted(facts, one))
  if (first === undefined) return []
  const text = `a client can forge the certificate: ${first.probe.label} is trusted`
  return [failed(text, dialectHint(facts) ?? hintFor('blank-certificate', facts))]
}

const forgedCertificates: Check = {
  name: 'forged-certificate',
  group: 'forged',
  title: 'no certificate header from a client is trusted',
  reason:
    "Otherwise anyone who knows a certificate, which is no secret, could act as that device. Tested: each proxy's header in each encoding, alone and twice, over HTTP/1.1 and HTTP/2, and at the pages.",
  needs: ['closed'],
  plan: ({ certificate, closedPath: path }) => [
    ...CERTIFICATE_HEADERS.flatMap((name) =>
      encodings(certificate).flatMap(([encoding, value]) => [
        request(`${name} (${encoding})`, { path, headers: [[name, value]] }),
        request(`${name} (${encoding}, twice)`, {
          path,
          headers: [
            [name, value],
            [name, value],
          ],
        }),
      ]),
    ),
    ...forgedCertificate(certificate).flatMap((line) => [
      // Requests for the pages are decided by the same headers, and can start sessions too.
      request(`${line[0]} at certlatch's own pages`, { path: SESSION_PATH, headers: [line] }),
      request(`${line[0]} over HTTP/2`, { path, protocol: 'HTTP/2', headers: [line] }),
      request(`${line[0]} over HTTP/2, twice`, { path, protocol: 'HTTP/2', headers: [line, line] }),
    ]),
  ],
  judge: judgeForgeries,
}

const underscored = (name: string): string => name.replaceAll('-', '_')

const forgedSpellings: Check = {
  name: 'forged-spelling',
  group: 'forged',
  title: 'nor in another spelling, named in Connection, or as a trailer',
  reason:
    'Some proxies removed the plain header but let such copies through (CVE-2026-39858, CVE-2024-45410).',
  needs: ['closed'],
  plan: ({ certificate, closedPath: path, nowhere }) =>
    forgedCertificate(certificate).flatMap(([name, value]) => [
      request(name.toUpperCase(), { path, headers: [[name.toUpperCase(), value]] }),
      request(underscored(name), { path, headers: [[underscored(name), value]] }),
      request(`${underscored(name)} over HTTP/2`, {
        path,
        protocol: 'HTTP/2',
        headers: [[underscored(name), value]],
      }),
      request(`${name}, named in Connection`, {
        path,
        headers: [
          [name, value],
          ['Connection', `keep-alive, ${name}`],
        ],
      }),
      request(`${name} as a trailer`, {
        path: `/${nowhere}`,
        method: 'POST',
        trailer: [name, value],
      }),
    ]),
  judge: judgeForgeries,
}

/** Values that make certlatch refuse if they reach it, and that are harmless to applications. */
const MALFORMED: readonly HeaderLine[] = [
  ['X-Forwarded-Method', '(doctor)'],
  ['X-Forwarded-Proto', 'doctor'],
  ['X-Forwarded-Host', '(doctor)'],
  ['X-Forwarded-Uri', 'doctor'],
]

const forgedRequests: Check = {
  name: 'forged-request',
  group: 'forged',
  title: "a client's X-Forwarded-Method, -Proto, -Host and -Uri are not trusted",
  reason:
    'Rules depend on them: a client could name an open path, and get a protected one (CVE-2026-40575).',
  needs: ['closed'],
  plan: (facts) => {
    const { closedPath: path, target } = facts
    const [open] = openPaths(facts)
    const whole: readonly HeaderLine[] = [
      ['X-Forwarded-Method', 'GET'],
      ['X-Forwarded-Proto', 'https'],
      ['X-Forwarded-Host', target.authority],
      ['X-Forwarded-Uri', '/'],
    ]
    return [
      ...(facts.hasAccess
        ? MALFORMED.map((line) => request(line[0], { headers: [line], shown: 'certificate' }))
        : whole.map((line) => request(line[0], { headers: [line], shown: 'certificate' }))),
      ...(open === undefined
        ? []
        : [
            request('X-Forwarded-Uri', {
              path,
              headers: [
                ['X-Forwarded-Uri', open.path],
                ['X-Forwarded-Method', open.method],
              ],
            }),
          ]),
    ]
  },
  judge: (facts, asked) => {
    const isWrong = ({ probe, seen }: Asked) => {
      if (probe.kind !== 'request') return false
      return probe.shown === 'nothing' || !facts.hasAccess
        ? isFromApplication(seen)
        : isRefusal(seen)
    }
    const names = new Set(asked.filter(isWrong).map(({ probe }) => probe.label))
    if (names.size === 0) return []
    const text = `a client's ${[...names].join(', ')} reaches certlatch`
    return [failed(text, hintFor('blank-request', facts))]
  },
}

const forgedAddress: Check = {
  name: 'forged-address',
  group: 'forged',
  title: "a client's X-Forwarded-For is not trusted",
  reason: 'A rule that allows your home network would allow anyone who claims to be in it.',
  needs: ['closed', 'here', 'network-rules'],
  plan: (facts) => {
    const address = allowedAddress(facts) ?? ''
    const lines: readonly HeaderLine[] = [
      ['X-Forwarded-For', address],
      ['X-Real-Ip', address],
      ['Forwarded', `for=${address}`],
    ]
    return lines.map((line) => request(line[0], { path: facts.closedPath, headers: [line] }))
  },
  judge: (facts, asked) =>
    asked
      .filter(({ seen }) => isFromApplication(seen))
      .slice(0, 1)
      .map(({ probe }) =>
        failed(
          `a client can forge its address: ${probe.label} is trusted, and a rule allows that address`,
          hintFor('blank-address', facts),
        ),
      ),
}

const forgedInternal: Check = {
  name: 'forged-internal',
  group: 'forged',
  title: "a client's Remote-User and X-Certlatch-* headers have no effect",
  reason:
    'certlatch and the proxy use them among themselves, and for the application. What the application receives cannot be seen from here.',
  needs: ['closed'],
  plan: ({ closedPath: path, hasSession }) => [
    request('Remote-User', { path, headers: [['Remote-User', 'doctor']] }),
    request('X-Certlatch-Via', {
      path,
      headers: [
        ['X-Certlatch-Device', 'doctor'],
        ['X-Certlatch-Via', 'certificate'],
      ],
    }),
    ...(hasSession
      ? [
          request('X-Certlatch-Page', { headers: [['X-Certlatch-Page', '1']], shown: 'cookie' }),
          request('X-Certlatch-Proxy', {
            headers: [['X-Certlatch-Proxy', 'doctor']],
            shown: 'cookie',
          }),
          request('X-Certlatch-Proxy-Secret', {
            headers: [['X-Certlatch-Proxy-Secret', 'doctor']],
            shown: 'cookie',
          }),
        ]
      : []),
  ],
  judge: (facts, asked) => {
    const wrong = asked.find(({ probe, seen }) => {
      const isShown = probe.kind === 'request' && probe.shown === 'cookie'
      return isShown ? isRefusal(seen) : isFromApplication(seen)
    })
    if (wrong === undefined) return []
    const text = `${wrong.probe.label} of a client has an effect: ${summaryOf(wrong.seen)}`
    return [failed(text, hintFor('blank-marks', facts))]
  },
}

const ALIASES = ['Remote_User', 'X_Forwarded_Uri', 'X_Forwarded_Proto'] as const

const aliases: Check = {
  name: 'aliases',
  group: 'forged',
  title: 'headers with "_" instead of "-" do not reach certlatch',
  reason:
    'Many applications mistake Remote_User for Remote-User (CVE-2026-54763). certlatch refuses such requests, so this is only a second line of defence.',
  needs: ['access', 'session'],
  plan: () =>
    ALIASES.map((name) => request(name, { headers: [[name, 'doctor']], shown: 'cookie' })),
  judge: (facts, asked) => {
    const names = asked.filter(({ seen }) => isRefusal(seen)).map(({ probe }) => probe.label)
    if (names.length === 0) return []
    const text = `the proxy passes on ${names.join(', ')}, so that certlatch must refuse the request`
    return [warning(text, hintFor('aliases', facts))]
  },
}

const FOREIGN_HOST = 'certlatch-doctor.invalid'

const otherHosts: Check = {
  name: 'other-hosts',
  group: 'forged',
  title: 'a request with a foreign Host is rejected',
  reason:
    'Rules and sessions depend on the host: a client must not be able to name another one than the proxy routes by (CVE-2026-48491).',
  needs: ['closed'],
  plan: ({ closedPath: path }) => [
    request(`Host: ${FOREIGN_HOST}`, { path, host: FOREIGN_HOST }),
    request(`Host: ${FOREIGN_HOST} over HTTP/2`, { path, host: FOREIGN_HOST, protocol: 'HTTP/2' }),
    request(`Host: ${FOREIGN_HOST}, with the certificate`, {
      path,
      host: FOREIGN_HOST,
      shown: 'certificate',
    }),
  ],
  judge: (facts, asked) => {
    const wrong = asked.find(
      ({ seen }) =>
        seen.kind === 'answer' &&
        isFromApplication(seen) &&
        (seen.status < 300 || seen.status === 401 || sessionPair(seen, facts.cookieName)),
    )
    if (wrong === undefined) return []
    const text = `${wrong.probe.label}: ${summaryOf(wrong.seen)}, as if it were this host`
    return [failed(text, hintFor('only-its-host', facts))]
  },
}

export const FORGED_CHECKS: readonly Check[] = [
  forgedCertificates,
  forgedSpellings,
  forgedRequests,
  forgedAddress,
  forgedInternal,
  aliases,
  otherHosts,
]
