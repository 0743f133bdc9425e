import { randomBytes } from 'node:crypto'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { request as requestPlain } from 'node:http'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { Agent, request as requestTls } from 'node:https'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Answer, HeaderLine, Observation, RequestProbe } from './probe.ts'
import type { Target } from './target.ts'
import { MOST_BODY_BYTES, tlsOptions } from './wire.ts'

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
  /** Of all sessions, also those that are still being opened. */
  const sockets = new Set<TLSSocket>()
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
    const socket = connectTls({ ...connectionOptions(probe), ALPNProtocols: ['h2', 'http/1.1'] })
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    const opening = openSession(target, socket)
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
      for (const socket of sockets) socket.destroy()
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
    outgoing.on('response', (response) => readAnswer(response, resolve, reject))
    if (trailer) outgoing.addTrailers([[trailer[0], trailer[1]]])
    outgoing.end()
  })
}

function readAnswer(
  response: IncomingMessage,
  resolve: (answer: Answer) => void,
  reject: (error: Error) => void,
): void {
  let body = ''
  response.setEncoding('latin1')
  response.on('data', (chunk: string) => {
    body += chunk
    if (body.length <= MOST_BODY_BYTES) return
    resolve(answerOf(response, body.slice(0, MOST_BODY_BYTES)))
    response.destroy()
  })
  response.on('error', reject)
  response.on('end', () => resolve(answerOf(response, body)))
}

function answerOf(response: IncomingMessage, body: string): Answer {
  const headers = response.headersDistinct as Answer['headers']
  return { kind: 'answer', status: response.statusCode ?? 0, headers, body }
}

function openSession(target: Target, socket: TLSSocket): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the connection was closed')))
    socket.once('secureConnect', () => {
      if (socket.alpnProtocol !== 'h2') {
        socket.destroy()
        reject(new Error('HTTP/2 is not offered'))
        return
      }
      const session = connectHttp2(`https://${target.authority}`, {
        createConnection: () => socket,
        // A pushed answer would be a separate stream, whose errors nothing handles.
        settings: { enablePush: false },
      })
      session.on('error', reject)
      resolve(session)
    })
  })
}

function askHttp2(
  target: Target,
  { method, path, host }: RequestProbe,
  headers: readonly HeaderLine[],
  session: ClientHttp2Session,
  signal: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const lines: Record<string, string | string[]> = {}
    for (const [name, value] of headers) {
      const before = lines[name.toLowerCase()]
      lines[name.toLowerCase()] = before === undefined ? value : [before, value].flat()
    }
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
    let head: Readonly<Record<string, string | string[] | number | undefined>> = {}
    let body = ''
    const finish = () => resolve(http2Answer(head, body.slice(0, MOST_BODY_BYTES)))
    stream.setEncoding('latin1')
    stream.on('response', (given) => {
      head = given as typeof head
    })
    stream.on('data', (chunk: string) => {
      body += chunk
      if (body.length <= MOST_BODY_BYTES) return
      finish()
      stream.close()
    })
    stream.on('error', reject)
    stream.on('close', () => reject(new Error('the connection was closed')))
    stream.on('end', finish)
  })
}

function http2Answer(
  head: Readonly<Record<string, string | string[] | number | undefined>>,
  body: string,
): Answer {
  const entries = Object.entries(head).filter(([name]) => !name.startsWith(':'))
  const headers = Object.fromEntries(
    entries.map(([name, value]) => [name, value === undefined ? [] : [value].flat().map(String)]),
  )
  return { kind: 'answer', status: Number(head[':status'] ?? 0), headers, body }
}

/** Plain HTTP, or the application itself. */
export function askPlain(
  url: URL,
  connectHost: string,
  authority: string,
  signal: AbortSignal,
): Promise<Observation> {
  const { port, pathname, protocol } = url
  const isTls = protocol === 'https:'
  return new Promise((resolve, reject) => {
    const options: RequestOptions = {
      host: connectHost,
      port: port === '' ? (isTls ? 443 : 80) : Number(port),
      path: pathname,
      agent: false,
      signal,
      headers: { Host: authority },
    }
    const outgoing = isTls
      ? requestTls({ ...options, rejectUnauthorized: false })
      : requestPlain(options)
    outgoing.on('error', reject)
    outgoing.on('response', (response) => readAnswer(response, resolve, reject))
    outgoing.end()
  })
}
