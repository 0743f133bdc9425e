import { headerOf } from '../answers.ts'
import { type Check, type Finding, failed, unseen, warning } from '../check.ts'
import { serverNameOf } from '../door.ts'
import { hintFor } from '../hints.ts'
import type { Asked } from '../probe.ts'

const seenOf = (asked: readonly Asked[], label: string) =>
  asked.find(({ probe }) => probe.label === label)?.seen

const name: Check = {
  name: 'name',
  group: 'door',
  title: 'the name resolves',
  reason: 'And everything else is asked of the address that it leads to.',
  needs: [],
  plan: () => [],
  judge: ({ door, addresses, addressProblem }) => {
    if (addressProblem !== undefined) {
      const hint =
        'if the name is known elsewhere alone, say with --connect HOST:PORT where the proxy is'
      return [failed(`${door.connectHost}: ${addressProblem}`, hint)]
    }
    if (door.connectHost === door.host || addresses.length === 0) return []
    return [unseen(`${door.host} was not looked up: --connect says where it is`)]
  },
}

const OLD = ['TLS 1.0', 'TLS 1.1'] as const

const tls: Check = {
  name: 'tls',
  group: 'door',
  title: 'TLS is there, of version 1.2 or newer alone',
  reason: 'TLS 1.0 and 1.1 are broken, and browsers no longer speak them (RFC 8996).',
  needs: [],
  plan: ({ door: { host } }) => [
    { kind: 'tls', label: 'TLS' },
    ...OLD.map(
      (version) =>
        ({
          kind: 'hello',
          label: version,
          version,
          serverName: serverNameOf(host) || undefined,
        }) as const,
    ),
  ],
  judge: (facts, asked) => {
    const seen = seenOf(asked, 'TLS')
    if (seen?.kind === 'none') return [failed(`no TLS connection: ${seen.problem}`)]
    const old = OLD.filter((version) => {
      const answer = seenOf(asked, version)
      return answer?.kind === 'flight' && answer.flight.kind === 'answered'
    })
    if (old.length === 0) return []
    return [warning(`${old.join(' and ')} can still be spoken`, hintFor('old-tls', facts))]
  },
}

const DAY_SECONDS = 86_400
/** What renews itself, as Let's Encrypt's does, has renewed itself by then. */
const SOON_SECONDS = 14 * DAY_SECONDS
/** So has what lives for hours, as that of Caddy's own CA, in this part of its life. */
const SOON_PART = 6

const serverCertificate: Check = {
  name: 'server-certificate',
  group: 'door',
  title: "the server's certificate is good for this name",
  reason: 'A browser that has to click a warning away does so for an attacker as well.',
  needs: [],
  plan: () => [{ kind: 'tls', label: 'TLS' }],
  judge: ({ door, nowSeconds }, asked) => {
    const seen = seenOf(asked, 'TLS')
    if (seen?.kind !== 'server') return []
    if (seen.problem !== undefined) {
      return [
        failed(
          `the server's certificate is not good for ${door.host}: ${seen.problem}`,
          'if it is of a CA of your own, give that with --server-ca FILE; if the name leads elsewhere, --connect HOST:PORT',
        ),
      ]
    }
    const left = seen.notAfter - nowSeconds
    if (left >= Math.min(SOON_SECONDS, (seen.notAfter - seen.notBefore) / SOON_PART)) return []
    const days = Math.floor(left / DAY_SECONDS)
    const text = `the server's certificate ends in ${days} days`
    return [
      warning(text, 'look why the proxy, or what renews its certificate, has not done so yet'),
    ]
  },
}

const plainHttp: Check = {
  name: 'plain-http',
  group: 'door',
  title: 'plain HTTP leads to https, or is closed',
  reason: 'Over plain HTTP there is no certificate, and everything can be read on the way.',
  needs: [],
  plan: () => [{ kind: 'plain', label: 'port 80' }],
  judge: ({ door }, [asked]): readonly Finding[] => {
    const seen = asked?.seen
    if (seen?.kind !== 'answer') return []
    const { status } = seen
    const isRedirect = status >= 300 && status < 400
    if (isRedirect && /^https:\/\//i.test(headerOf(seen, 'location'))) return []
    // "Not found", "bad request" and the like don't come from an application.
    if (status >= 400 && status !== 401) return []
    return [
      failed(
        `plain HTTP at port ${door.plainPort} answers ${status}${isRedirect ? `, and leads to ${headerOf(seen, 'location').slice(0, 100)}` : ''}`,
        'redirect port 80 to https for this host, or close it',
      ),
    ]
  },
}

const CLOCK_SECONDS = 60

const clock: Check = {
  name: 'clock',
  group: 'door',
  title: 'the clocks of this machine and of the proxy agree',
  reason: 'Certificates, CRLs and sessions are judged by the clock.',
  needs: [],
  plan: () => [],
  judge: ({ first }) => {
    const { nothing, atSeconds } = first
    const date =
      nothing.kind === 'answer' ? Date.parse(headerOf(nothing, 'date')) / 1000 : Number.NaN
    const difference = Math.round(Math.abs(date - atSeconds))
    if (Number.isNaN(date) || difference <= CLOCK_SECONDS) return []
    const hint = 'let both machines set their clocks by NTP'
    return [
      failed(`the clock of the proxy and that of this machine are ${difference} s apart`, hint),
    ]
  },
}

export const DOOR_CHECKS: readonly Check[] = [name, tls, serverCertificate, plainHttp, clock]
