import { askUrl, createHttpClient, type HttpClient } from './http-client.ts'
import type { Observation, Probe } from './probe.ts'
import type { Target } from './target.ts'
import { askHello, askQuic, askRaw, askResumed, askServer } from './wire.ts'

/** The limits of a run. */
export interface Limits {
  readonly mostRequests: number
  readonly atOnce: number
  /** For one probe. */
  readonly probeMilliseconds: number
  /** For all of them. */
  readonly runMilliseconds: number
}

export const LIMITS: Limits = {
  mostRequests: 300,
  atOnce: 8,
  probeMilliseconds: 3_000,
  // Reading the files and the service's status takes the rest of the 20 seconds for a whole run.
  runMilliseconds: 15_000,
}

/** Sends probes, within the limits. */
export interface Client {
  /** Never rejects: no answer is an observation too. */
  ask(probe: Probe): Promise<Observation>
  /** Sets the session that `shown: 'cookie'` sends, as `name=value`. */
  useCookie(cookie: string): void
  readonly asked: number
  close(): void
}

/** After `stop` no more probes are sent. */
export function createClient(
  target: Target,
  limits: Limits = LIMITS,
  stop: AbortSignal = new AbortController().signal,
): Client {
  const http = createHttpClient(target, () => {
    if (asked >= limits.mostRequests) return false
    asked += 1
    return true
  })
  const endsAt = performance.now() + limits.runMilliseconds
  const waiting: (() => void)[] = []
  let running = 0
  let asked = 0
  let cookie: string | undefined

  const askInTime = async (probe: Probe): Promise<Observation> => {
    const left = endsAt - performance.now()
    // The second request of a resumed session counts as well.
    const requests = probe.kind === 'resume' ? 2 : 1
    if (asked + requests > limits.mostRequests)
      return unknown(`not tried: the limit of ${limits.mostRequests} requests is reached`)
    if (stop.aborted) return unknown('not tried: the run was stopped')
    if (left <= 0) return unknown('not tried: the time limit of the run is reached')
    asked += requests
    const milliseconds = Math.ceil(Math.min(left, limits.probeMilliseconds))
    // Not AbortSignal.any and .timeout: Node 20 may garbage-collect them, and they never fire.
    const ending = new AbortController()
    const end = () => ending.abort(new Error('ended'))
    const timer = setTimeout(end, milliseconds)
    stop.addEventListener('abort', end)
    const { signal } = ending
    try {
      return await Promise.race([askOnce(target, http, probe, cookie, signal), rejection(signal)])
    } catch (error) {
      if (stop.aborted) return unknown('not tried: the run was stopped')
      if (signal.aborted) return unknown(`no answer within ${(milliseconds / 1000).toFixed(0)} s`)
      const isReached = !UNREACHED.has((error as NodeJS.ErrnoException).code ?? '')
      const problem = clauseOf(error)
      return isReached ? { kind: 'none', problem } : unknown(problem)
    } finally {
      clearTimeout(timer)
      stop.removeEventListener('abort', end)
    }
  }
  return {
    ask: async (probe) => {
      if (running >= limits.atOnce) await new Promise<void>((resolve) => waiting.push(resolve))
      running += 1
      try {
        return await askInTime(probe)
      } finally {
        running -= 1
        waiting.shift()?.()
      }
    },
    useCookie: (given) => {
      cookie = given
    },
    get asked() {
      return asked
    },
    close: () => http.close(),
  }
}

function askOnce(
  target: Target,
  http: HttpClient,
  probe: Probe,
  cookie: string | undefined,
  signal: AbortSignal,
): Promise<Observation> {
  switch (probe.kind) {
    case 'request':
      return http.ask(probe, cookie, signal)
    case 'raw':
      return askRaw(target, probe, signal)
    case 'tls':
      return askServer(target, signal)
    case 'hello':
      return askHello(target, probe, signal)
    case 'resume':
      return askResumed(target, probe, signal)
    case 'quic':
      return askQuic(target, signal)
    case 'get':
      return askUrl(probe, signal)
  }
}

const unknown = (problem: string): Observation => ({ kind: 'none', problem, isUnknown: true })

/** For operations that do not observe the signal themselves. */
const rejection = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })

/** Nothing was reached: a firewall that blocks a client after many requests causes these too. */
const UNREACHED: ReadonlySet<string> = new Set([
  ...['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'],
])

const CLAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was closed without an answer',
  EPIPE: 'the connection was closed without an answer',
  ERR_STREAM_PREMATURE_CLOSE: 'the connection was closed before the end of the answer',
  ETIMEDOUT: 'nothing answers at that address',
  EHOSTUNREACH: 'the address cannot be reached',
  ENETUNREACH: 'the address cannot be reached',
  ENOTFOUND: 'the name does not resolve',
  EAI_AGAIN: 'the name does not resolve: no name server answers',
}

/** Why there was no answer, as a clause. */
export function clauseOf(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException
  const clause = CLAUSES[code]
  if (clause !== undefined) return clause
  if (/WRONG.VERSION.NUMBER|PACKET.LENGTH.TOO.LONG|HTTP.REQUEST/i.test(`${code} ${message}`)) {
    return 'the server does not speak TLS'
  }
  const [, alert] = /alert ([a-z ]+)/.exec(message) ?? []
  if (alert?.trim() === 'no application protocol') {
    return 'HTTP/1.1 is not offered, which WebSockets need'
  }
  if (alert !== undefined) return `the TLS alert "${alert.trim()}"`
  if (code === 'EPROTO') return 'the TLS handshake fails'
  if (/^HPE_/.test(code)) return 'the answer is not HTTP'
  if (code === '' || /^[a-z]/.test(message)) return message.split('\n')[0] ?? message
  return code
}
