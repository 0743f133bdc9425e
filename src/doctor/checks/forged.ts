import { SESSION_PATH } from '../../policy/page-policy.ts'
import { isLetIn, isRefusal, sessionPair, told } from '../answers.ts'
import { type Check, type Finding, failed, warning } from '../check.ts'
import type { Facts } from '../facts.ts'
import { CERTIFICATE_HEADERS, encodings, forgedCertificate } from '../forged-lines.ts'
import { dialectHint, hintFor } from '../hints.ts'
import { openedAddress, openPlaces } from '../open-rules.ts'
import { type Asked, type HeaderLine, request } from '../probe.ts'

/** Whether the request was let in, or given a session. */
const isBelieved = (facts: Facts, { seen }: Asked): boolean =>
  isLetIn(seen) || sessionPair(seen, facts.cookieName) !== undefined

const believed = (
  facts: Facts,
  asked: readonly Asked[],
  topic: Parameters<typeof hintFor>[0],
): readonly Finding[] => {
  const first = asked.find((one) => isBelieved(facts, one))
  if (first === undefined) return []
  const text = `a client can forge the certificate: ${first.probe.label} is believed`
  return [failed(text, dialectHint(facts) ?? hintFor(topic, facts))]
}

const forgedCertificates: Check = {
  name: 'forged-certificate',
  group: 'forged',
  title: 'no header with a certificate is believed from a client',
  reason:
    'Who knows a certificate, which is no secret, would be that device. Tried: the header of each proxy in each encoding, alone and twice, over HTTP/1.1 and HTTP/2, and at the pages.',
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
      // That port judges by the same headers, and mints sessions too.
      request(`${line[0]} at certlatch's own pages`, { path: SESSION_PATH, headers: [line] }),
      request(`${line[0]} over HTTP/2`, { path, protocol: 'HTTP/2', headers: [line] }),
      request(`${line[0]} over HTTP/2, twice`, { path, protocol: 'HTTP/2', headers: [line, line] }),
    ]),
  ],
  judge: (facts, asked) => believed(facts, asked, 'blank-certificate'),
}

const underscored = (name: string): string => name.replaceAll('-', '_')

const forgedSpellings: Check = {
  name: 'forged-spelling',
  group: 'forged',
  title: 'nor under another spelling, named in Connection, or as a trailer',
  reason:
    'Proxies have let such copies through where they removed the plain one (CVE-2026-39858, CVE-2024-45410).',
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
  judge: (facts, asked) => believed(facts, asked, 'blank-certificate'),
}

/** Values that make certlatch refuse where they reach it, and that no application minds. */
const MALFORMED: readonly HeaderLine[] = [
  ['X-Forwarded-Method', '(doctor)'],
  ['X-Forwarded-Proto', 'doctor'],
  ['X-Forwarded-Host', '(doctor)'],
  ['X-Forwarded-Uri', 'doctor'],
]

const forgedRequests: Check = {
  name: 'forged-request',
  group: 'forged',
  title: 'nothing is believed of what a client says in X-Forwarded-Method, -Proto, -Host and -Uri',
  reason:
    'The rules go by them: a client could name an open path, and get a closed one (CVE-2026-40575).',
  needs: ['closed'],
  plan: (facts) => {
    const { closedPath: path, door } = facts
    const [open] = openPlaces(facts)
    const whole: readonly HeaderLine[] = [
      ['X-Forwarded-Method', 'GET'],
      ['X-Forwarded-Proto', 'https'],
      ['X-Forwarded-Host', door.authority],
      ['X-Forwarded-Uri', '/'],
    ]
    return [
      ...(facts.isLetIn
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
      return probe.shown === 'nothing' || !facts.isLetIn ? isLetIn(seen) : isRefusal(seen)
    }
    const names = new Set(asked.filter(isWrong).map(({ probe }) => probe.label))
    if (names.size === 0) return []
    const text = `what a client says in ${[...names].join(', ')} reaches certlatch`
    return [failed(text, hintFor('blank-request', facts))]
  },
}

const forgedAddress: Check = {
  name: 'forged-address',
  group: 'forged',
  title: "no client's X-Forwarded-For is believed",
  reason: 'A rule that opens to the network at home would open to all who say that they are there.',
  needs: ['closed', 'here', 'network-rules'],
  plan: (facts) => {
    const address = openedAddress(facts) ?? ''
    const lines: readonly HeaderLine[] = [
      ['X-Forwarded-For', address],
      ['X-Real-Ip', address],
      ['Forwarded', `for=${address}`],
    ]
    return lines.map((line) => request(line[0], { path: facts.closedPath, headers: [line] }))
  },
  judge: (facts, asked) =>
    asked
      .filter(({ seen }) => isLetIn(seen))
      .slice(0, 1)
      .map(({ probe }) =>
        failed(
          `a client can forge its address: ${probe.label} is believed, and a rule opens to it`,
          hintFor('blank-address', facts),
        ),
      ),
}

const forgedMarks: Check = {
  name: 'forged-marks',
  group: 'forged',
  title: "nothing comes of a client's Remote-User and X-Certlatch-* headers",
  reason:
    'They are what certlatch and the proxy say to each other, and to the application. What the application is told cannot be seen from here.',
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
      return isShown ? isRefusal(seen) : isLetIn(seen)
    })
    if (wrong === undefined) return []
    const text = `${wrong.probe.label} of a client makes a difference: ${told(wrong.seen)}`
    return [failed(text, hintFor('blank-marks', facts))]
  },
}

const ALIASES = ['Remote_User', 'X_Forwarded_Uri', 'X_Forwarded_Proto'] as const

const aliases: Check = {
  name: 'aliases',
  group: 'forged',
  title: 'headers with "_" in place of "-" do not get as far as certlatch',
  reason:
    'Many applications take Remote_User for Remote-User (CVE-2026-54763). certlatch refuses such requests, so none gets in that way.',
  needs: ['let-in', 'session'],
  plan: () =>
    ALIASES.map((name) => request(name, { headers: [[name, 'doctor']], shown: 'cookie' })),
  judge: (facts, asked) => {
    const names = asked.filter(({ seen }) => isRefusal(seen)).map(({ probe }) => probe.label)
    if (names.length === 0) return []
    const text = `the proxy hands on ${names.join(', ')}, and certlatch has to refuse the request`
    return [warning(text, hintFor('aliases', facts))]
  },
}

const FOREIGN_HOST = 'certlatch-doctor.invalid'

const otherHosts: Check = {
  name: 'other-hosts',
  group: 'forged',
  title: 'a foreign Host in the request leads nowhere',
  reason:
    'Rules and sessions go by the host: a client must not be able to name one that the proxy does not go by (CVE-2026-48491).',
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
        isLetIn(seen) &&
        (seen.status < 300 || seen.status === 401 || sessionPair(seen, facts.cookieName)),
    )
    if (wrong === undefined) return []
    const text = `${wrong.probe.label}: ${told(wrong.seen)}, as if it were this host`
    return [failed(text, hintFor('only-its-host', facts))]
  },
}

export const FORGED_CHECKS: readonly Check[] = [
  forgedCertificates,
  forgedSpellings,
  forgedRequests,
  forgedAddress,
  forgedMarks,
  aliases,
  otherHosts,
]
