import { type IncomingMessage, request, type ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { connect, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { PAGES_PREFIX } from '../../src/policy/page-policy.ts'
import { PROXY_SECRET } from '../e2e/support/certlatch.ts'
import type { ServerCertificate } from '../support/server-certificate.ts'

/** Where the front finds what it needs. */
export interface FrontOptions {
  readonly server: ServerCertificate
  /** PEM of the CA whose certificates browsers should offer. */
  readonly authority: string
  readonly certlatchPort: number
  readonly pagesPort: number
  readonly applicationPort: number
}

/**
 * A stand-in for Caddy, for demonstration only: it terminates TLS, sends auth requests as Caddy
 * does, and forwards allowed requests to the application.
 */
export function createTlsFront(options: FrontOptions): Server {
  const server = createServer({
    cert: options.server.certificate,
    key: options.server.key,
    ca: options.authority,
    requestCert: true,
    rejectUnauthorized: false,
  })
  server.on('request', (req: IncomingMessage, res: ServerResponse) => {
    if (req.url?.startsWith(PAGES_PREFIX)) {
      visit(options, req, res)
      return
    }
    ask(options, req, (answer) => {
      if (answer.statusCode === 200) forward(options, req, res, answer)
      else {
        res.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(res)
      }
    })
  })
  server.on('upgrade', (req: IncomingMessage, socket: Socket, head: Buffer) => {
    ask(options, req, (answer) => {
      if (answer.statusCode === 200) tunnel(options, req, socket, head)
      else socket.end(`HTTP/1.1 ${answer.statusCode} Refused\r\nConnection: close\r\n\r\n`)
    })
  })
  return server
}

function ask(
  { certlatchPort }: FrontOptions,
  req: IncomingMessage,
  onAnswer: (answer: IncomingMessage) => void,
): void {
  const { headers } = req
  const question = request({
    host: '127.0.0.1',
    port: certlatchPort,
    path: '/verify',
    headers: {
      ...pick(headers, ['cookie', 'origin', 'accept', 'sec-fetch-site', 'sec-fetch-mode']),
      ...pick(headers, ['sec-websocket-key']),
      ...toldByProxy(req),
      'X-Forwarded-Method': req.method ?? '',
      'X-Forwarded-Uri': req.url ?? '',
    },
  })
  question.on('response', onAnswer)
  question.on('error', () => req.socket.destroy())
  question.end()
}

function toldByProxy(req: IncomingMessage) {
  const certificate = (req.socket as TLSSocket).getPeerX509Certificate?.()
  return {
    'Client-Cert': `:${certificate?.raw.toString('base64') ?? ''}:`,
    'X-Certlatch-Proxy-Secret': PROXY_SECRET,
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Host': req.headers.host ?? '',
    'X-Forwarded-For': req.socket.remoteAddress ?? '',
  }
}

const OF_A_VISIT = [
  ...['cookie', 'origin', 'accept', 'accept-language', 'user-agent', 'content-type'],
  ...['content-length', 'sec-fetch-site', 'sec-fetch-mode', 'sec-fetch-dest'],
] as const

/** Forwards requests for certlatch's own pages, about which certlatch decides itself. */
function visit({ pagesPort }: FrontOptions, req: IncomingMessage, res: ServerResponse): void {
  const onward = request({
    host: '127.0.0.1',
    port: pagesPort,
    method: req.method ?? 'GET',
    path: req.url ?? '/',
    headers: { ...pick(req.headers, OF_A_VISIT), ...toldByProxy(req) },
  })
  onward.on('response', (page) => {
    res.writeHead(page.statusCode ?? 502, page.headers)
    page.pipe(res)
  })
  onward.on('error', () => res.destroy())
  req.pipe(onward)
}

function pick(headers: IncomingMessage['headers'], names: readonly string[]) {
  return Object.fromEntries(names.flatMap((name) => (headers[name] ? [[name, headers[name]]] : [])))
}

function forward(
  { applicationPort }: FrontOptions,
  req: IncomingMessage,
  res: ServerResponse,
  answer: IncomingMessage,
): void {
  answer.resume()
  const headers = applicationHeaders(req, answer)
  const onward = request({
    host: '127.0.0.1',
    port: applicationPort,
    method: req.method ?? 'GET',
    path: req.url ?? '/',
    headers,
  })
  onward.on('response', (page) => {
    const cookies = [...(page.headers['set-cookie'] ?? []), ...(answer.headers['set-cookie'] ?? [])]
    const withCookies = cookies.length > 0 ? { 'set-cookie': cookies } : {}
    res.writeHead(page.statusCode ?? 502, { ...page.headers, ...withCookies })
    page.pipe(res)
  })
  onward.on('error', () => res.destroy())
  req.pipe(onward)
}

/** The application gets who came, and neither the certificate nor our cookie. */
function applicationHeaders(req: IncomingMessage, answer?: IncomingMessage) {
  const { cookie, ...headers } = req.headers
  const rest = (cookie ?? '').split('; ').filter((pair) => !pair.startsWith('__Host-certlatch='))
  return {
    ...headers,
    ...(rest.join('') === '' ? {} : { cookie: rest.join('; ') }),
    'remote-user': answer?.headers['remote-user'] ?? '',
  }
}

function tunnel(
  { applicationPort }: FrontOptions,
  req: IncomingMessage,
  socket: Socket,
  head: Buffer,
): void {
  const onward = connect(applicationPort, '127.0.0.1', () => {
    const lines = Object.entries(applicationHeaders(req)).map(
      ([name, value]) => `${name}: ${value}`,
    )
    onward.write(`GET ${req.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
    onward.write(head)
    onward.pipe(socket).pipe(onward)
  })
  onward.on('error', () => socket.destroy())
  socket.on('error', () => onward.destroy())
}
