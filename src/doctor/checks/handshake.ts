import { describeName, readName } from '../../certificate/name.ts'
import { isFromApplication, summaryOf } from '../answers.ts'
import { type Check, type Finding, failed, unseen, warning } from '../check.ts'
import type { Facts } from '../facts.ts'
import { hintFor } from '../hints.ts'
import { type Asked, request } from '../probe.ts'
import { serverNameOf } from '../target.ts'

const nameOf = ({ target }: Facts): string | undefined => serverNameOf(target.host) || undefined

const certificateRequest: Check = {
  name: 'certificate-request',
  group: 'handshake',
  title: 'the proxy requests a client certificate, and names every CA in ca.crt',
  reason:
    'Browsers offer only certificates of the CAs that are named, and none of a successor that the proxy has not loaded yet. This is read from a TLS 1.2 handshake, where it is not encrypted.',
  needs: [],
  plan: (facts) => [
    { kind: 'hello', label: 'TLS 1.2', version: 'TLS 1.2', serverName: nameOf(facts) },
  ],
  judge: (facts, [asked]) => {
    const seen = asked?.seen
    if (seen?.kind !== 'flight') return [unseen('a TLS 1.2 handshake is not answered')]
    const { flight } = seen
    // A TLS 1.3 only server: there the request is encrypted, and cannot be seen.
    if (flight.kind === 'refused' && flight.alert === 'protocol version') {
      return [unseen("the server supports only TLS 1.3, where the proxy's request is encrypted")]
    }
    if (flight.kind !== 'answered') {
      const why = flight.kind === 'refused' ? `the alert "${flight.alert}"` : 'no handshake'
      return [warning(`whether the proxy requests a certificate cannot be seen: ${why}`)]
    }
    if (!flight.requestsCertificate) {
      return [
        failed(
          'the proxy does not request a client certificate',
          hintFor('ask-for-certificate', facts),
        ),
      ]
    }
    return judgeNames(facts, flight.authorities)
  },
}

function judgeNames(facts: Facts, authorities: readonly Buffer[]): readonly Finding[] {
  if (authorities.length === 0) {
    const text = 'the proxy names no CA, so browsers offer every certificate that they have'
    return [warning(text, hintFor('ask-for-certificate', facts))]
  }
  const names = authorities.map((der) => readName(der))
  const offered = new Set(names.map((name) => name?.comparable))
  const missing = (facts.here?.authorities ?? []).filter(
    ({ comparable }) => !offered.has(comparable),
  )
  if (missing.length === 0) return []
  const listed = names.map((name) => (name ? describeName(name) : 'one that cannot be read'))
  return [
    failed(
      `the proxy does not name ${missing.map(({ name }) => name).join(' and ')}, which is in ca.crt; it names ${listed.slice(0, 5).join(', ')}`,
      hintFor('read-authorities', facts),
    ),
  ]
}

/** Names that cannot be this server's, and none at all. */
const OTHER_NAMES = [undefined, 'certlatch-doctor.invalid'] as const
const labelFor = (name: string | undefined): string =>
  name === undefined ? 'without a server name' : `for the server name ${name}`

const otherNames: Check = {
  name: 'other-names',
  group: 'handshake',
  title: 'no other server name in the handshake, nor a missing one, avoids the certificate request',
  reason:
    'A proxy that picks its TLS options by server name may let another one in without requesting a certificate (CVE-2026-32305, CVE-2025-23419).',
  needs: ['closed'],
  plan: (facts) =>
    OTHER_NAMES.flatMap((serverName) => [
      {
        kind: 'hello',
        label: labelFor(serverName),
        version: 'TLS 1.2',
        serverName,
      } as const,
      request(labelFor(serverName), { path: facts.closedPath, serverName: serverName ?? '' }),
      request(labelFor(serverName), {
        path: facts.closedPath,
        serverName: serverName ?? '',
        shown: 'certificate',
      }),
    ]),
  judge: (facts, asked) => {
    const open = asked.filter(
      ({ probe, seen }) =>
        probe.kind === 'request' && probe.shown === 'nothing' && isFromApplication(seen),
    )
    const [first] = open
    if (first !== undefined) {
      const hint = hintFor('all-names', facts)
      return [
        failed(
          `${first.probe.label}, a request without credentials is allowed: ${summaryOf(first.seen)}`,
          hint,
        ),
      ]
    }
    return servedWithoutRequest(facts, asked)
  },
}

/** Devices are locked out where this host is served without requesting a certificate. */
function servedWithoutRequest(facts: Facts, asked: readonly Asked[]): readonly Finding[] {
  if (!facts.hasAccess) return []
  for (const { probe, seen } of asked) {
    const requestsNone =
      seen.kind === 'flight' && seen.flight.kind === 'answered' && !seen.flight.requestsCertificate
    if (probe.kind !== 'hello' || !requestsNone) continue
    const byCertificate = asked.find(
      (other) =>
        other.probe.kind === 'request' &&
        other.probe.label === probe.label &&
        other.probe.shown === 'certificate',
    )
    if (byCertificate?.seen.kind !== 'answer' || byCertificate.seen.status === 421) continue
    const text = `${probe.label}, no certificate is requested, and the host is served nevertheless`
    return [warning(text, hintFor('all-names', facts))]
  }
  return []
}

export const HANDSHAKE_CHECKS: readonly Check[] = [certificateRequest, otherNames]
