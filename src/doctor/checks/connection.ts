import { writeAddress } from '../../config/values.ts'
import { headerOf } from '../answers.ts'
import { type Check, failed, unseen, warning } from '../check.ts'
import { hintFor } from '../hints.ts'
import type { Asked } from '../probe.ts'
import { serverNameOf } from '../target.ts'

const seenOf = (asked: readonly Asked[], label: string) =>
  asked.find(({ probe }) => probe.label === label)?.seen

const name: Check = {
  name: 'name',
  group: 'connection',
  title: 'the name resolves',
  reason: 'Everything else is tested at the address that it resolves to.',
  judge: ({ target, addressProblem }) => {
    if (addressProblem !== undefined) {
      const hint =
        'if the name resolves only elsewhere, say where the proxy is with --connect HOST:PORT'
      return failed(`${target.connectHost}: ${addressProblem}`, hint)
    }
    return target.connectHost === target.host
      ? undefined
      : unseen(`${target.host} was not looked up, because of --connect`)
  },
}

const OLD = ['TLS 1.0', 'TLS 1.1'] as const

const tls: Check = {
  name: 'tls',
  group: 'connection',
  title: 'TLS works, only with version 1.2 or newer',
  reason: 'TLS 1.0 and 1.1 are broken, and browsers no longer speak them (RFC 8996).',
  plan: ({ target }) => [
    { kind: 'tls', label: 'TLS' },
    ...OLD.map(
      (version) =>
        ({ kind: 'hello', label: version, version, serverName: serverNameOf(target) }) as const,
    ),
  ],
  judge: (facts, asked) => {
    const { target } = facts
    const seen = seenOf(asked, 'TLS')
    if (seen?.kind === 'none') {
      const place = writeAddress({ host: target.connectHost, port: target.connectPort })
      const hint = `is the proxy running, and listening at ${place}? --connect HOST:PORT names another address`
      return failed(`no TLS connection: ${seen.problem}`, hint)
    }
    const old = OLD.filter((version) => {
      const answer = seenOf(asked, version)
      return answer?.kind === 'flight' && answer.flight.kind === 'answered'
    })
    if (old.length === 0) return undefined
    return warning(`${old.join(' and ')} can still be used`, hintFor('old-tls', facts))
  },
}

const DAY_SECONDS = 86_400
/** Automatic renewal, as with Let's Encrypt, happens earlier than this. */
const SOON_SECONDS = 14 * DAY_SECONDS
/** A short-lived certificate, as from Caddy's own CA, is renewed before a sixth of its life is left. */
const SOON_PART = 6

const serverCertificate: Check = {
  name: 'server-certificate',
  group: 'connection',
  title: "the server's certificate is valid for this name",
  reason: 'Users who are used to dismissing the warning also dismiss it for an attacker.',
  plan: () => [{ kind: 'tls', label: 'TLS' }],
  judge: ({ target, nowSeconds }, asked) => {
    const seen = seenOf(asked, 'TLS')
    if (seen?.kind !== 'server') return unseen('there is no TLS connection')
    if (seen.problem !== undefined) {
      return failed(
        `the server's certificate is not valid for ${target.host}: ${seen.problem}`,
        'if it comes from your own CA, name that with --server-ca FILE; if the name leads elsewhere, use --connect HOST:PORT',
      )
    }
    const left = seen.notAfter - nowSeconds
    const soon = Math.min(SOON_SECONDS, (seen.notAfter - seen.notBefore) / SOON_PART)
    if (left >= soon) return undefined
    return warning(
      `the server's certificate expires in ${Math.floor(left / DAY_SECONDS)} days`,
      'find out why the proxy, or the tool that renews its certificate, has not done so yet',
    )
  },
  detail: (_, asked) => {
    const seen = seenOf(asked, 'TLS')
    if (seen?.kind !== 'server') return undefined
    return `until ${new Date(seen.notAfter * 1000).toISOString().slice(0, 10)}`
  },
}

const plainHttp: Check = {
  name: 'plain-http',
  group: 'connection',
  title: 'plain HTTP redirects to https, or is closed',
  reason: 'Over plain HTTP there is no certificate, and everything can be read in transit.',
  plan: ({ target }) => {
    const url = new URL(`http://${target.authority}`)
    url.port = `${target.plainPort}`
    return [{ kind: 'get', label: 'port 80', url, connectHost: target.connectHost }]
  },
  judge: ({ target }, [asked]) => {
    const seen = asked?.seen
    if (seen?.kind !== 'answer') return undefined
    const { status } = seen
    const isRedirect = status >= 300 && status < 400
    if (isRedirect && /^https:\/\//i.test(headerOf(seen, 'location'))) return undefined
    // "Not found", "bad request" and the like don't come from an application.
    if (status >= 400 && status !== 401) return undefined
    return failed(
      `plain HTTP at port ${target.plainPort} answers ${status}${isRedirect ? `, and redirects to ${headerOf(seen, 'location').slice(0, 100)}` : ''}`,
      'redirect port 80 to https for this host, or close it',
    )
  },
}

const CLOCK_SECONDS = 60

const clock: Check = {
  name: 'clock',
  group: 'connection',
  title: 'the clocks of this machine and of the proxy agree',
  reason: 'Certificates, CRLs and sessions are judged by the clock.',
  judge: ({ first: { nothing, atSeconds } }) => {
    const date = nothing.kind === 'answer' ? Date.parse(headerOf(nothing, 'date')) / 1000 : NaN
    if (Number.isNaN(date)) return unseen('the answer has no Date')
    const difference = Math.round(Math.abs(date - atSeconds))
    if (difference <= CLOCK_SECONDS) return undefined
    const hint = 'synchronize the clocks of both machines by NTP'
    return failed(`the clocks of the proxy and of this machine differ by ${difference} s`, hint)
  },
}

export const CONNECTION_CHECKS: readonly Check[] = [name, tls, serverCertificate, plainHttp, clock]
