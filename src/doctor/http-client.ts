import { randomBytes } from 'node:crypto'
import { type IncomingMessage, type RequestOptions, request as requestPlain } from 'node:http'
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2'
import { Agent, request as requestTls } from 'node:https'
import type { Readable } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Answer, HeaderLine, Observation, Probe, RequestProbe } from './probe.ts'
import type { Target } from './target.ts'
import { MOST_BODY_BYTES, openTls, tlsOptions } from './wire.ts'

/** Connections to one server, kept open from request to request. */
export interface HttpClient {
  /** Rejects if there is no answer. */
  ask(probe: RequestProbe, cookie: string | undefined, signal: AbortSignal): Promise<Answer>
  close(): void
}

/** `mayRepeat` is called before a request is repeated, and counts it. */
export function createHttpClient(target: Target, mayRepeat: () => boolean): HttpClient {
  const agents = new Map<string, Agent>()
  const sessions = new Map<string, Promise<ClientHttp2Session>>()
  /** Also closes the connections of sessions that are still being opened. */
  const closing = new AbortController()
  const connectionOptions = ({ shown, serverName }: RequestProbe) => ({
    ...tlsOptions(target, shown === 'certificate'),
    // Under another name the server certificate is a different one; nothing secret is sent there.
    ...(serverName !== undefined && { servername: serverName, rejectUnauthorized: false }),
  })
  /** Connections with the certificate are never used without it. */
  const keyOf = ({ shown, serverName = '-' }: RequestProbe) =>
    `${shown === 'certificate'} ${serverName}`
  const agentOf = (probe: RequestProbe): Agent => {
    const key = keyOf(probe)
    const known = agents.get(key)
    if (known !== undefined) return known
    const agent = new Agent({
      ...connectionOptions(probe),
      ALPNProtocols: ['http/1.1'],
      keepAlive: true,
      maxSockets: 6,
      maxCachedSessions: 0,
    })
    agents.set(key, agent)
    return agent
  }
  const sessionOf = async (probe: RequestProbe): Promise<ClientHttp2Session> => {
    const key = keyOf(probe)
    for (;;) {
      const known = sessions.get(key)
      if (known === undefined) break
      const session = await known
      if (!session.closed && !session.destroyed) return session
      // Another probe may have replaced it meanwhile.
      if (sessions.get(key) === known) sessions.delete(key)
    }
    const options = { ...connectionOptions(probe), ALPNProtocols: ['h2', 'http/1.1'] }
    const opening = openTls(options, closing.signal).then((socket) => startSession(target, socket))
    sessions.set(key, opening)
    opening.catch(() => sessions.delete(key))
    return opening
  }
  return {
    ask: async (probe, cookie, signal) => {
      const shown: readonly HeaderLine[] =
        probe.shown === 'cookie' && cookie !== undefined ? [['Cookie', cookie]] : []
      const lines = [...probe.headers, ...shown]
      if (probe.protocol === 'HTTP/2') {
        return askHttp2(target, probe, lines, await sessionOf(probe), signal)
      }
      for (;;) {
        const answer = await askHttp1(target, probe, lines, agentOf(probe), signal)
        if (answer !== undefined) return answer
        if (!mayRepeat()) throw new Error('the connection was closed without an answer')
      }
    },
    close: () => {
      for (const agent of agents.values()) agent.destroy()
      closing.abort()
    },
  }
}

const webSocketLines = (): readonly HeaderLine[] => [
  ['Connection', 'Upgrade'],
  ['Upgrade', 'websocket'],
  ['Sec-WebSocket-Version', '13'],
  ['Sec-WebSocket-Key', randomBytes(16).toString('base64')],
]

/** `undefined`: the server had already closed the connection, which had been kept alive. */
function askHttp1(
  target: Target,
  { method, path, host, trailer, webSocket }: RequestProbe,
  headers: readonly HeaderLine[],
  agent: Agent,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  return new Promise((resolve, reject) => {
    const lines: readonly HeaderLine[] = [
      ['Host', host ?? target.authority],
      ...headers,
      ...(webSocket ? webSocketLines() : []),
      ...(trailer ? ([['Transfer-Encoding', 'chunked']] as const) : []),
      ...(method === 'POST' && !trailer ? ([['Content-Length', '0']] as const) : []),
    ]
    // As one flat list, so that a header can be sent twice.
    const options = { method, path, agent, signal, headers: lines.flat() }
    const outgoing = requestTls(options as unknown as RequestOptions)
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      const isStale = outgoing.reusedSocket && error.code === 'ECONNRESET'
      if (isStale && !signal.aborted) resolve(undefined)
      else reject(error)
    })
    outgoing.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve(answerOf(response, ''))
    })
    outgoing.on('response', (response) => resolve(readAnswer(response)))
    if (trailer) outgoing.addTrailers([[trailer[0], trailer[1]]])
    outgoing.end()
  })
}

const readAnswer = async (response: IncomingMessage): Promise<Answer> =>
  answerOf(response, await readBody(response))

function answerOf(response: IncomingMessage, body: string): Answer {
  const headers = response.headersDistinct as Answer['headers']
  return { kind: 'answer', status: response.statusCode ?? 0, headers, body }
}

/** Reads as much as an `Answer` holds, and closes the stream if there is more. */
async function readBody(stream: Readable): Promise<string> {
  let body = ''
  stream.setEncoding('latin1')
  for await (const chunk of stream) {
    body += chunk
    if (body.length > MOST_BODY_BYTES) break
  }
  return body.slice(0, MOST_BODY_BYTES)
}

function startSession(target: Target, socket: TLSSocket): ClientHttp2Session {
  if (socket.alpnProtocol !== 'h2') {
    socket.destroy()
    throw new Error('HTTP/2 is not offered')
  }
  const session = connectHttp2(`https://${target.authority}`, {
    createConnection: () => socket,
    // A pushed answer would be a separate stream, whose errors nothing handles.
    settings: { enablePush: false },
  })
  // The requests on it report the error.
  session.on('error', () => undefined)
  return session
}

function askHttp2(
  target: Target,
  { method, path, host }: RequestProbe,
  headers: readonly HeaderLine[],
  session: ClientHttp2Session,
  signal: AbortSignal,
): Promise<Answer> {
  const lines: Record<string, string[]> = {}
  for (const [name, value] of headers) lines[name] = [...(lines[name] ?? []), value]
  return new Promise((resolve, reject) => {
    const stream = session.request(
      {
        ':method': method,
        ':scheme': 'https',
        ':authority': host ?? target.authority,
        ':path': path,
        ...lines,
      },
      { endStream: true, signal },
    )
    stream.on('response', (head) => resolve(readHttp2Answer(head, stream)))
    stream.on('error', reject)
    stream.on('close', () => reject(new Error('the connection was closed')))
  })
}

async function readHttp2Answer(
  head: IncomingHttpHeaders & IncomingHttpStatusHeader,
  stream: Readable,
): Promise<Answer> {
  const lines = Object.entries(head).filter(([name]) => !name.startsWith(':'))
  const headers = Object.fromEntries(lines.map(([name, value = []]) => [name, [value].flat()]))
  return { kind: 'answer', status: head[':status'] ?? 0, headers, body: await readBody(stream) }
}

export function askUrl(
  { url, connectHost }: Extract<Probe, { kind: 'get' }>,
  signal: AbortSignal,
): Promise<Observation> {
  const options = {
    ...(connectHost !== undefined && { hostname: connectHost }),
    headers: { Host: url.host },
    agent: false,
    rejectUnauthorized: false,
    signal,
  }
  return new Promise((resolve, reject) => {
    const send: typeof requestPlain = url.protocol === 'https:' ? requestTls : requestPlain
    const outgoing = send(url, options)
    outgoing.on('error', reject)
    outgoing.on('response', (response) => resolve(readAnswer(response)))
    outgoing.end()
  })
}
