import { headerOf, isRefusal, setCookies } from '../answers.ts'
import { type Check, failed, warning } from '../check.ts'
import { hintFor } from '../hints.ts'
import type { Answer, Observation } from '../probe.ts'

const answersOf = (...seen: readonly Observation[]): readonly Answer[] =>
  seen.filter((one): one is Answer => one.kind === 'answer')

const http3: Check = {
  name: 'http3',
  group: 'transport',
  title: 'HTTP/3 is not offered',
  reason:
    'Over QUIC client certificates have been skipped, or lost on the second visit (Caddy #7953, CVE-2026-53622).',
  plan: () => [{ kind: 'quic', label: 'QUIC' }],
  judge: (facts, [asked]) => {
    const { nothing, certificate, manifest } = facts.first
    const offer = answersOf(nothing, certificate, manifest)
      .map((answer) => headerOf(answer, 'alt-svc'))
      .find((text) => /\bh3/.test(text))
    const hint = hintFor('no-http3', facts)
    if (offer !== undefined) {
      return failed(`HTTP/3 is offered: Alt-Svc: ${offer.slice(0, 100)}`, hint)
    }
    if (asked?.seen.kind !== 'quic') return undefined
    return warning(`a QUIC server answers at UDP port ${facts.target.connectPort}`, hint)
  },
}

const HITS = ['x-cache', 'cf-cache-status', 'x-proxy-cache'] as const

const caches: Check = {
  name: 'caches',
  group: 'transport',
  title: 'no cache keeps a refusal, or an answer with a session',
  reason:
    'A cache would show one device what is meant for another, or keep refusing one that has since got a certificate.',
  judge: ({ first }) => {
    for (const answer of answersOf(first.nothing, first.certificate)) {
      const hit = HITS.find((name) => /\bhit\b/i.test(headerOf(answer, name)))
      if (headerOf(answer, 'age') !== '' || hit !== undefined) {
        const hint = 'remove the cache in front of the proxy for this host'
        return failed(`an answer comes from a cache (${hit ?? 'Age'})`, hint)
      }
      const control = headerOf(answer, 'cache-control')
      if (isRefusal(answer) && !/\bno-store\b/.test(control)) {
        const hint = 'make the proxy pass on the Cache-Control header of the refusal'
        return failed('a refusal may be cached: it lacks Cache-Control: no-store', hint)
      }
      if (setCookies(answer).length > 0 && /\bpublic\b|\bs-maxage\b/.test(control)) {
        const hint = 'remove Cache-Control from the headers that the proxy adds'
        return failed('an answer that sets a session may be cached: Cache-Control: public', hint)
      }
    }
    return undefined
  },
}

export const TRANSPORT_CHECKS: readonly Check[] = [http3, caches]
