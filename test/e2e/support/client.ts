import { connect as connectHttp2 } from 'node:http2'
import { Agent, type RequestOptions, request } from 'node:https'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { WebSocket } from 'ws'
import type { HeaderLine } from './backend.ts'
import type { Credential } from './pki.ts'

export type Protocol = 'HTTP/1.1' | 'HTTP/2'

/** The gate's address: always on the loopback interface, under the name in its certificate. */
export interface Target {
  readonly port: number
  readonly serverCertificate: string
}

export interface Sent {
  readonly protocol: Protocol
  readonly method: string
  readonly path: string
  readonly host: string
  readonly credential: Credential | undefined
  /** All but the host. */
  readonly headers: readonly HeaderLine[]
  readonly body: Buffer | undefined
  /** With it, connections are kept open (HTTP/1.1). */
  readonly agent: Agent | undefined
}

export interface Received {
  readonly status: number
  readonly headers: Readonly<Record<string, readonly string[]>>
  readonly body: string
}

export const HOST = 'home.example'

export const keepAliveAgent = (): Agent => new Agent({ keepAlive: true, maxSockets: 1 })

export function tlsOptions(
  { port, serverCertificate }: Target,
  credential: Credential | undefined,
): ConnectionOptions & { readonly port: number } {
  return {
    host: '127.0.0.1',
    port,
    servername: HOST,
    ca: serverCertificate,
    ...(credential && { cert: credential.certificate, key: credential.key }),
  }
}

export const exchange = (target: Target, sent: Sent): Promise<Received> =>
  sent.protocol === 'HTTP/2' ? exchangeHttp2(target, sent) : exchangeHttp1(target, sent)

function exchangeHttp1(target: Target, sent: Sent): Promise<Received> {
  return new Promise((resolve, reject) => {
    const length: HeaderLine[] = sent.body ? [['Content-Length', String(sent.body.length)]] : []
    const lines: readonly HeaderLine[] = [['Host', sent.host], ...sent.headers, ...length]
    const options: RequestOptions = {
      ...tlsOptions(target, sent.credential),
      method: sent.method,
      path: sent.path,
      agent: sent.agent ?? false,
    }
    // As one flat list, so that a header can be sent twice.
    const outgoing = request({ ...options, headers: lines.flat() } as unknown as RequestOptions)
    outgoing.on('response', (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', reject)
      answer.on('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          headers: definedOnly(answer.headersDistinct),
          body: Buffer.concat(chunks).toString('utf8'),
        }),
      )
    })
    outgoing.on('error', reject)
    outgoing.end(sent.body)
  })
}

function exchangeHttp2(target: Target, sent: Sent): Promise<Received> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(
      `https://127.0.0.1:${target.port}`,
      tlsOptions(target, sent.credential),
    )
    const fail = (error: Error) => {
      session.destroy()
      reject(error)
    }
    session.on('error', fail)
    // HAProxy understands HTTP/2 without having offered it.
    session.on('connect', () => {
      if (session.alpnProtocol !== 'h2') fail(new Error('HTTP/2 is not offered'))
    })
    const lines: Record<string, string | string[]> = {}
    for (const [name, value] of sent.headers) {
      const before = lines[name.toLowerCase()]
      lines[name.toLowerCase()] = before === undefined ? value : [before, value].flat()
    }
    const stream = session.request({
      ':method': sent.method,
      ':scheme': 'https',
      ':authority': sent.host,
      ':path': sent.path,
      ...lines,
    })
    const chunks: Buffer[] = []
    let headers: Readonly<Record<string, string | string[] | number | undefined>> = {}
    stream.on('response', (given) => {
      headers = given as typeof headers
    })
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', fail)
    stream.on('end', () => {
      session.close()
      resolve({
        status: Number(headers[':status'] ?? 0),
        headers: definedOnly(headers),
        body: Buffer.concat(chunks).toString('utf8'),
      })
    })
    stream.end(sent.body)
  })
}

function definedOnly(
  headers: Readonly<Record<string, string | string[] | number | undefined>>,
): Received['headers'] {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      value === undefined ? [] : [value].flat().map(String),
    ]),
  )
}

export interface OpenedSocket {
  readonly status: number
  readonly setCookie: readonly string[]
  readonly open: boolean
  echo(text: string): Promise<string>
  /** Resolves when the other side has closed it. */
  readonly closed: Promise<void>
  close(): void
}

export function openWebSocket(
  target: Target,
  credential: Credential | undefined,
  headers: readonly HeaderLine[],
): Promise<OpenedSocket> {
  return new Promise((resolve, reject) => {
    const { host, ...options } = tlsOptions(target, credential)
    const socket = new WebSocket(`wss://${host}:${target.port}/socket`, {
      ...options,
      headers: { Host: HOST, ...Object.fromEntries(headers) },
    })
    let setCookie: readonly string[] = []
    const closed = new Promise<void>((ended) => socket.on('close', () => ended()))
    const answer = (status: number, open: boolean): OpenedSocket => ({
      status,
      setCookie,
      open,
      closed,
      echo: (text) =>
        new Promise((heard) => {
          socket.once('message', (message) => heard(String(message)))
          socket.send(text)
        }),
      close: () => socket.terminate(),
    })
    socket.on('upgrade', (response) => {
      setCookie = response.headers['set-cookie'] ?? []
    })
    socket.on('open', () => resolve(answer(101, true)))
    socket.on('unexpected-response', (outgoing, response) => {
      outgoing.destroy()
      resolve(answer(response.statusCode ?? 0, false))
    })
    socket.on('error', reject)
  })
}

/** A TLS connection for what no proper client would send. */
export function openTls(
  target: Target,
  credential: Credential | undefined,
  more: ConnectionOptions = {},
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...tlsOptions(target, credential),
      ALPNProtocols: ['http/1.1'],
      ...more,
    })
    socket.once('error', reject)
    socket.once('secureConnect', () => {
      socket.off('error', reject)
      socket.on('error', () => socket.destroy())
      resolve(socket)
    })
  })
}

/** Sends the bytes and returns the status, or 0 if the connection closes without one. */
export function statusOf(socket: TLSSocket, bytes: string): Promise<number> {
  return new Promise((resolve) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const [, status] = /^HTTP\/1\.[01] (\d{3})[^\n]*\n[\s\S]*?\r\n\r\n/.exec(text) ?? []
      if (status !== undefined) {
        socket.destroy()
        resolve(Number(status))
      }
    })
    socket.on('close', () => resolve(0))
    socket.write(bytes, 'latin1')
  })
}
