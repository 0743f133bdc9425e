import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'

/** One header line, as it came. */
export type HeaderLine = readonly [name: string, value: string]

/** What the application saw of a request. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: readonly HeaderLine[]
  /** What came behind the body; complete when that is answered. */
  readonly trailers: readonly HeaderLine[]
}

/** The header that identifies a request, at the application and in auth requests. */
export const NUMBER_HEADER = 'x-request-number'

export const pairs = (rawHeaders: readonly string[]): HeaderLine[] =>
  rawHeaders.flatMap((name, index): HeaderLine[] =>
    index % 2 === 0 ? [[name, rawHeaders[index + 1] ?? '']] : [],
  )

export const valuesOf = (headers: readonly HeaderLine[], name: string): readonly string[] =>
  headers.filter(([given]) => given.toLowerCase() === name).map(([, value]) => value)

export const APPLICATION_COOKIES = ['app_a=1; Path=/', 'app_b=2; Path=/; HttpOnly'] as const

export interface Backend {
  readonly port: number
  /** How many requests arrived, of any number. */
  readonly count: number
  find(number: string): Seen | undefined
  /** Serves a text at a path from now on. */
  serve(path: string, text: string, headers: OutgoingHttpHeaders): void
  /** Sends the next event on all open event streams. */
  emit(): void
  close(): void
}

/**
 * The application behind the gate. It records what it sees, and has: pages, all with two cookies;
 * `/missing` (404); `/upload`, which returns the SHA-256 of the body; `/events`; a WebSocket echo; and
 * what a test has it serve.
 */
export async function startBackend(): Promise<Backend> {
  const seen = new Map<string, Seen>()
  let count = 0
  const streams = new Set<ServerResponse>()
  const served = new Map<string, { readonly text: string; readonly headers: OutgoingHttpHeaders }>()
  const record = (req: IncomingMessage) => {
    count += 1
    const headers = pairs(req.rawHeaders)
    const [number = ''] = valuesOf(headers, NUMBER_HEADER)
    const { method = '', url = '' } = req
    const request = { method, url, headers, trailers: [] }
    seen.set(number, request)
    req.on('end', () => seen.set(number, { ...request, trailers: pairs(req.rawTrailers) }))
  }
  const server = createServer((req, res) => {
    record(req)
    res.setHeader('Set-Cookie', [...APPLICATION_COOKIES])
    if (req.url === '/events') {
      res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
      res.write('data: first\n\n')
      streams.add(res)
      res.on('close', () => streams.delete(res))
      return
    }
    const own = served.get(req.url ?? '')
    if (own !== undefined) {
      res.writeHead(200, own.headers)
      res.end(own.text)
      return
    }
    const hash = createHash('sha256')
    req.on('data', (chunk: Buffer) => hash.update(chunk))
    req.on('end', () => {
      res.statusCode = req.url === '/missing' ? 404 : 200
      res.end(req.url === '/upload' ? hash.digest('hex') : 'the application')
    })
  })
  server.keepAliveTimeout = 120_000
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (req, socket, head) => {
    record(req)
    sockets.handleUpgrade(req, socket, head, (opened) => {
      opened.on('error', () => opened.terminate())
      opened.on('message', (message) => opened.send(`echo: ${message}`))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    get count() {
      return count
    },
    find: (number) => seen.get(number),
    serve: (path, text, headers) => served.set(path, { text, headers }),
    emit: () => {
      for (const stream of streams) stream.write('data: second\n\n')
    },
    close: () => {
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      server.close()
    },
  }
}
