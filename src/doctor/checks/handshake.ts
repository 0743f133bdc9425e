import { describeName, readName } from '../../certificate/name.ts'
import { isFromApplication, summaryOf } from '../answers.ts'
import { type Check, type Finding, failed, unseen, warning } from '../check.ts'
import type { Facts } from '../facts.ts'
import { hintFor } from '../hints.ts'
import { type Asked, isRequest, request } from '../probe.ts'
import { serverNameOf } from '../target.ts'

const certificateRequest: Check = {
  name: 'certificate-request',
  group: 'handshake',
  title: 'the proxy requests a client certificate, and names every CA in ca.crt',
  reason:
    'Browsers offer only certificates of the CAs that are named, and none of a successor that the proxy has not loaded yet. This is read from a TLS 1.2 handshake, where it is not encrypted.',
  plan: ({ target }) => [
    { kind: 'hello', label: 'TLS 1.2', version: 'TLS 1.2', serverName: serverNameOf(target) },
  ],
  judge: (facts, [asked]) => {
    const seen = asked?.seen
    if (seen?.kind !== 'flight') return unseen('a TLS 1.2 handshake is not answered')
    const { flight } = seen
    // A TLS 1.3 only server: there the request is encrypted, and cannot be seen.
    if (flight.kind === 'refused' && flight.alert === 'protocol version') {
      return unseen("the server supports only TLS 1.3, where the proxy's request is encrypted")
    }
    if (flight.kind !== 'answered') {
      const why = flight.kind === 'refused' ? `the alert "${flight.alert}"` : 'no handshake'
      return warning(`whether the proxy requests a certificate cannot be seen: ${why}`)
    }
    if (!flight.requestsCertificate) {
      const text = 'the proxy does not request a client certificate'
      return failed(text, hintFor('request-certificate', facts))
    }
    return judgeNames(facts, flight.authorities)
  },
}

function judgeNames(facts: Facts, authorities: readonly Buffer[]): Finding | undefined {
  if (authorities.length === 0) {
    const text = 'the proxy names no CA, so browsers offer every certificate that they have'
    return warning(text, hintFor('request-certificate', facts))
  }
  const names = authorities.map((der) => readName(der))
  const offered = new Set(names.map((name) => name?.comparable))
  const missing = (facts.here?.authorities ?? []).filter(
    ({ comparable }) => !offered.has(comparable),
  )
  if (missing.length === 0) return undefined
  const listed = names.map((name) => (name ? describeName(name) : 'one that cannot be read'))
  return failed(
    `the proxy does not name ${missing.map(({ name }) => name).join(' and ')}, which is in ca.crt; it names ${listed.slice(0, 5).join(', ')}`,
    hintFor('read-authorities', facts),
  )
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
    'A proxy that selects its TLS options by server name may not request a certificate under another name (CVE-2026-32305, CVE-2025-23419).',
  needs: ['closed'],
  plan: ({ closedPath: path }) =>
    OTHER_NAMES.flatMap((name) => {
      const label = labelFor(name)
      const serverName = name ?? ''
      return [
        { kind: 'hello', label, version: 'TLS 1.2', serverName: name } as const,
        request(label, { path, serverName }),
        request(label, { path, serverName, shown: 'certificate' }),
      ]
    }),
  judge: (facts, asked) => {
    const open = asked
      .filter(isRequest)
      .find(({ probe, seen }) => probe.shown === 'nothing' && isFromApplication(seen))
    if (open === undefined) return servedWithoutRequest(facts, asked)
    const text = `${open.probe.label}, a request without credentials is allowed: ${summaryOf(open.seen)}`
    return failed(text, hintFor('all-names', facts))
  },
}

/** Devices are locked out where this host is served without requesting a certificate. */
function servedWithoutRequest(facts: Facts, asked: readonly Asked[]): Finding | undefined {
  if (!facts.hasAccess) return undefined
  for (const { probe, seen } of asked) {
    const requestsNone =
      seen.kind === 'flight' && seen.flight.kind === 'answered' && !seen.flight.requestsCertificate
    if (probe.kind !== 'hello' || !requestsNone) continue
    const byCertificate = asked
      .filter(isRequest)
      .find((other) => other.probe.label === probe.label && other.probe.shown === 'certificate')
    if (byCertificate?.seen.kind !== 'answer' || byCertificate.seen.status === 421) continue
    const text = `${probe.label}, no certificate is requested, and the host is served nevertheless`
    return warning(text, hintFor('all-names', facts))
  }
  return undefined
}

export const HANDSHAKE_CHECKS: readonly Check[] = [certificateRequest, otherNames]
