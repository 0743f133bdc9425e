import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type HeaderLine, pairs, valuesOf } from './backend.ts'
import { SESSION } from './gate.ts'

export type Shown = 'certificate' | 'session'

/** The auth request for a browser's request, and its answer. */
export interface Question {
  readonly method: string
  /** As the client sent it; of a query the names only. */
  readonly uri: string
  /** Those of the client's headers that say what kind of request it is. */
  readonly headers: Readonly<Record<string, string>>
  /** What reached certlatch. */
  readonly shown: readonly Shown[]
  readonly status: number
  /** True: the answer set the session's cookie. */
  readonly minted: boolean
}

/** What of a request is kept from certlatch, as if the browser had not shown it. */
export type Veil = (
  asked: Pick<Question, 'method' | 'uri' | 'headers' | 'shown'>,
) => readonly Shown[]

/**
 * Sits between proxy and certlatch, records everything, and can simulate a browser that presents
 * less.
 */
export interface Recorder {
  /**
   * Where the proxy sends auth requests, and where it forwards requests for certlatch's own pages.
   */
  readonly port: number
  readonly pagesPort: number
  /** All since the last `forget`, in order. */
  questions(): readonly Question[]
  forget(): void
  veil(veil: Veil): void
  close(): void
}

export const NO_VEIL: Veil = () => []
export const REFUSE_ALL: Veil = () => ['certificate', 'session']
export const NO_CERTIFICATE: Veil = () => ['certificate']
/** A browser that shows its certificate on its own navigations, and on nothing else. */
export const CERTIFICATE_ON_NAVIGATIONS_ONLY: Veil = ({ headers }) =>
  headers['sec-fetch-dest'] === 'document' ? [] : ['certificate']

const KEPT = [
  'sec-fetch-site',
  'sec-fetch-mode',
  'sec-fetch-dest',
  'sec-fetch-user',
  'origin',
  'upgrade',
  'service-worker',
  'service-worker-navigation-preload',
]

/** certlatch's ports: for auth requests, and for its pages. */
interface Target {
  readonly port: number
  readonly pagesPort: number
}

export async function startRecorder(target: Target, certificateHeader: string): Promise<Recorder> {
  let questions: Question[] = []
  let veil = NO_VEIL
  const agent = new Agent({ keepAlive: true })
  const passTo = (port: number) => (req: IncomingMessage, res: ServerResponse) => {
    const headers = pairs(req.rawHeaders)
    const asked = describe(req, headers, certificateHeader)
    const hidden = asked.shown.length === 0 ? [] : veil(asked)
    const onward = request({
      agent,
      port,
      method: req.method,
      path: req.url,
      headers: headersWithout(headers, hidden, certificateHeader).flat(),
      setHost: false,
      // As one flat list, so that a header can come twice.
    } as unknown as Parameters<typeof request>[0])
    onward.on('response', (answer) => {
      questions.push({
        ...asked,
        shown: asked.shown.filter((kind) => !hidden.includes(kind)),
        status: answer.statusCode ?? 0,
        minted: (answer.headers['set-cookie'] ?? []).some((line) => line.startsWith(SESSION)),
      })
      pass(answer, res)
    })
    onward.on('error', () => res.destroy())
    req.pipe(onward)
  }
  const servers = [target.port, target.pagesPort].map((port) => createServer(passTo(port)))
  const ports: number[] = []
  for (const server of servers) {
    server.keepAliveTimeout = 160_000
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    ports.push((server.address() as AddressInfo).port)
  }
  const [port = 0, pagesPort = 0] = ports
  return {
    port,
    pagesPort,
    questions: () => questions,
    forget: () => {
      questions = []
    },
    veil: (wanted) => {
      veil = wanted
    },
    close: () => {
      agent.destroy()
      for (const server of servers) {
        server.closeAllConnections()
        server.close()
      }
    },
  }
}

function pass(answer: IncomingMessage, res: ServerResponse): void {
  res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
  answer.pipe(res)
}

function describe(req: IncomingMessage, headers: readonly HeaderLine[], certificateHeader: string) {
  const first = (name: string): string | undefined => valuesOf(headers, name)[0]
  const kept = KEPT.flatMap((name): HeaderLine[] => {
    const value = first(name)
    return value === undefined ? [] : [[name, value]]
  })
  if (first('sec-websocket-key') !== undefined) kept.push(['upgrade', 'websocket'])
  const shown: Shown[] = []
  // Caddy sends the two colons of an empty value where there is none.
  if ((first(certificateHeader)?.length ?? 0) > 2) shown.push('certificate')
  if (first('cookie')?.includes(SESSION)) shown.push('session')
  return {
    method: first('x-forwarded-method') ?? req.method ?? '',
    uri: withoutValues(first('x-forwarded-uri') ?? req.url ?? ''),
    headers: Object.fromEntries(kept),
    shown,
  }
}

const withoutValues = (uri: string): string => {
  const at = uri.indexOf('?')
  return at === -1 ? uri : uri.slice(0, at) + uri.slice(at).replace(/=[^&]*/g, '=')
}

function headersWithout(
  headers: readonly HeaderLine[],
  hidden: readonly Shown[],
  certificateHeader: string,
): readonly HeaderLine[] {
  return headers.flatMap(([name, value]): HeaderLine[] => {
    const lower = name.toLowerCase()
    if (lower === certificateHeader && hidden.includes('certificate')) return []
    if (lower === 'cookie' && hidden.includes('session')) {
      const rest = value.split('; ').filter((pair) => !pair.startsWith(SESSION))
      return rest.length === 0 ? [] : [[name, rest.join('; ')]]
    }
    return [[name, value]]
  })
}
