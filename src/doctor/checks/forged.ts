import { SESSION_PATH } from '../../policy/page-policy.ts'
import { isFromApplication, isRefusal, sessionPair, summaryOf } from '../answers.ts'
import { type Check, type Finding, failed, warning } from '../check.ts'
import type { Facts } from '../facts.ts'
import { CERTIFICATE_HEADERS, encodings, forgedCertificate } from '../forged-lines.ts'
import { dialectHint, hintFor } from '../hints.ts'
import { allowedAddress, openPaths } from '../open-rules.ts'
import { type Asked, type HeaderLine, isRequest, request } from '../probe.ts'

/** No request may be allowed, or given a session. */
function judgeForgeries(facts: Facts, asked: readonly Asked[]): Finding | undefined {
  const first = asked.find(
    ({ seen }) => isFromApplication(seen) || sessionPair(seen, facts.cookieName) !== undefined,
  )
  if (first === undefined) return undefined
  const text = `a client can forge the certificate: ${first.probe.label} is trusted`
  return failed(text, dialectHint(facts) ?? hintFor('overwrite-certificate', facts))
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
      encodings(certificate).flatMap(([encoding, value]) => {
        const line = [name, value] as const
        return [
          request(`${name} (${encoding})`, { path, headers: [line] }),
          request(`${name} (${encoding}, twice)`, { path, headers: [line, line] }),
        ]
      }),
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

const forgedSpellings: Check = {
  name: 'forged-spelling',
  group: 'forged',
  title:
    'a certificate header is not trusted in another spelling, named in Connection, or as a trailer',
  reason:
    'Some proxies removed the plain header but let such copies through (CVE-2026-39858, CVE-2024-45410).',
  needs: ['closed'],
  plan: ({ certificate, closedPath: path, nowhere }) =>
    forgedCertificate(certificate).flatMap((line) => {
      const [name, value] = line
      const upper = name.toUpperCase()
      const underscored = name.replaceAll('-', '_')
      const headers = [[underscored, value]] as const
      const connection = ['Connection', `keep-alive, ${name}`] as const
      return [
        request(upper, { path, headers: [[upper, value]] }),
        request(underscored, { path, headers }),
        request(`${underscored} over HTTP/2`, { path, protocol: 'HTTP/2', headers }),
        request(`${name}, named in Connection`, { path, headers: [line, connection] }),
        request(`${name} as a trailer`, { path: `/${nowhere}`, method: 'POST', trailer: line }),
      ]
    }),
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
    'Rules depend on them: a client could name a public path, and get a protected one (CVE-2026-40575).',
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
    const requests = (facts.hasAccess ? MALFORMED : whole).map((line) =>
      request(line[0], { headers: [line], shown: 'certificate' }),
    )
    if (open === undefined) return requests
    const headers = [
      ['X-Forwarded-Uri', open.path],
      ['X-Forwarded-Method', open.method],
    ] as const
    return [...requests, request('X-Forwarded-Uri', { path, headers })]
  },
  judge: (facts, asked) => {
    const wrong = asked
      .filter(isRequest)
      .filter(({ probe, seen }) =>
        probe.shown === 'nothing' || !facts.hasAccess ? isFromApplication(seen) : isRefusal(seen),
      )
    const names = new Set(wrong.map(({ probe }) => probe.label))
    if (names.size === 0) return undefined
    const text = `a client's ${[...names].join(', ')} reaches certlatch`
    return failed(text, hintFor('overwrite-request', facts))
  },
}

const forgedAddress: Check = {
  name: 'forged-address',
  group: 'forged',
  title: 'a client cannot forge its address',
  reason:
    'A rule that allows your home network would allow anyone who claims to be in it. Tested: X-Forwarded-For, X-Real-Ip, Forwarded.',
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
  judge: (facts, asked) => {
    const wrong = asked.find(({ seen }) => isFromApplication(seen))
    if (wrong === undefined) return undefined
    const text = `a client can forge its address: ${wrong.probe.label} is trusted, and a rule allows that address`
    return failed(text, hintFor('overwrite-address', facts))
  },
}

/** certlatch refuses a request, even one with a session, if one of these reaches it. */
const INTERNAL: readonly HeaderLine[] = [
  ['X-Certlatch-Page', '1'],
  ['X-Certlatch-Proxy', 'doctor'],
  ['X-Certlatch-Proxy-Secret', 'doctor'],
]

const forgedInternal: Check = {
  name: 'forged-internal',
  group: 'forged',
  title: "a client's Remote-User and X-Certlatch-* headers have no effect",
  reason:
    'The proxy and certlatch use them between themselves, and to tell the application which device it is. What the application receives cannot be seen from here.',
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
    ...(hasSession ? INTERNAL : []).map((line) =>
      request(line[0], { headers: [line], shown: 'cookie' }),
    ),
  ],
  judge: (facts, asked) => {
    const wrong = asked
      .filter(isRequest)
      .find(({ probe, seen }) =>
        probe.shown === 'cookie' ? isRefusal(seen) : isFromApplication(seen),
      )
    if (wrong === undefined) return undefined
    const text = `${wrong.probe.label} of a client has an effect: ${summaryOf(wrong.seen)}`
    return failed(text, hintFor('overwrite-internal', facts))
  },
}

const ALIASES = ['Remote_User', 'X_Forwarded_Uri', 'X_Forwarded_Proto'] as const

const aliases: Check = {
  name: 'aliases',
  group: 'forged',
  title: 'headers with "_" instead of "-" do not reach certlatch',
  reason:
    'Many applications mistake Remote_User for Remote-User (CVE-2026-54763). certlatch refuses such requests, so this is only a second line of defense.',
  needs: ['access', 'session'],
  plan: () =>
    ALIASES.map((name) => request(name, { headers: [[name, 'doctor']], shown: 'cookie' })),
  judge: (facts, asked) => {
    const names = asked.filter(({ seen }) => isRefusal(seen)).map(({ probe }) => probe.label)
    if (names.length === 0) return undefined
    const text = `the proxy passes on ${names.join(', ')}, so that certlatch must refuse the request`
    return warning(text, hintFor('aliases', facts))
  },
}

const FOREIGN_HOST = 'certlatch-doctor.invalid'

const otherHosts: Check = {
  name: 'other-hosts',
  group: 'forged',
  title: 'a request with a foreign Host is rejected',
  reason:
    'Rules and sessions depend on the host: a client must not be able to give certlatch another one than the proxy routes by (CVE-2026-48491).',
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
    if (wrong === undefined) return undefined
    const text = `${wrong.probe.label}: ${summaryOf(wrong.seen)}, as if it were this host`
    return failed(text, hintFor('only-its-host', facts))
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
