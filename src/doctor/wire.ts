import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { connect as connectTcp } from 'node:net'
import { type ConnectionOptions, checkServerIdentity, connect, type TLSSocket } from 'node:tls'
import { readServerFlight, writeClientHello } from './client-hello.ts'
import type { Answer, Observation, Probe } from './probe.ts'
import { serverNameOf, type Target } from './target.ts'

/** The limit for reading an answer. */
export const MOST_BODY_BYTES = 64 * 1024
const MOST_FLIGHT_BYTES = 256 * 1024

/** For `tls.connect`, as a browser with or without the certificate. */
export function tlsOptions(target: Target, withCertificate: boolean): ConnectionOptions {
  const { connectHost, connectPort, host, certificate, key, serverAuthorities } = target
  return {
    host: connectHost,
    port: connectPort,
    servername: serverNameOf(target) ?? '',
    // If the URL has an IP address, Node would compare with the address that it connects to.
    checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
    ...(serverAuthorities !== undefined && { ca: serverAuthorities }),
    ...(withCertificate && { cert: certificate, key }),
  }
}

/** Resolves once the handshake is complete; the signal closes the connection at any time. */
export function openTls(options: ConnectionOptions, signal: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ALPNProtocols: ['http/1.1'], ...options })
    const abort = () => socket.destroy(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    socket.on('close', () => signal.removeEventListener('abort', abort))
    socket.on('error', reject)
    socket.once('secureConnect', () => resolve(socket))
  })
}

/** Sends the bytes and reads one answer, until the connection closes or enough was read. */
async function exchangeText(socket: TLSSocket, text: string): Promise<Answer> {
  socket.write(text, 'latin1')
  const received = await new Promise<string>((resolve, reject) => {
    let all = ''
    socket.on('data', (chunk: Buffer) => {
      all += chunk.toString('latin1')
      if (all.length > MOST_BODY_BYTES) socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(all))
  })
  return parseAnswer(received)
}

/** Throws if it is not HTTP. */
export function parseAnswer(text: string): Answer {
  const [, status, lines = '', body = ''] =
    /^HTTP\/1\.[01] (\d{3})[^\r\n]*\r?\n((?:[^\r\n]+\r?\n)*)\r?\n?([\s\S]*)$/.exec(text) ?? []
  if (status === undefined) throw new Error(text === '' ? 'the connection was closed' : 'not HTTP')
  const headers: Record<string, string[]> = {}
  for (const line of lines.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon <= 0) continue
    const name = line.slice(0, colon).toLowerCase()
    headers[name] = [...(headers[name] ?? []), line.slice(colon + 1).trim()]
  }
  return { kind: 'answer', status: Number(status), headers, body }
}

export async function askRaw(
  target: Target,
  { text }: Extract<Probe, { kind: 'raw' }>,
  signal: AbortSignal,
): Promise<Observation> {
  return exchangeText(await openTls(tlsOptions(target, false), signal), text)
}

const PROBLEMS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: "it is not valid yet, according to this machine's clock",
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is self-signed, and not trusted here',
  SELF_SIGNED_CERT_IN_CHAIN: 'its CA is not trusted here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its CA is not trusted here, or its chain is incomplete',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its CA is not trusted here, or its chain is incomplete',
}

/** Node's error code as a clause. */
function problemOf(code: string, names: string): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `it is for ${names.slice(0, 100)}`
  return PROBLEMS[code] ?? `it is not trusted here (${code})`
}

export async function askServer(target: Target, signal: AbortSignal): Promise<Observation> {
  const options = {
    ...tlsOptions(target, false),
    rejectUnauthorized: false,
    ALPNProtocols: ['h2', 'http/1.1'],
  }
  const socket = await openTls(options, signal)
  const peer = socket.getPeerCertificate()
  const { authorized, authorizationError } = socket
  const observation: Observation = {
    kind: 'server',
    problem: authorized
      ? undefined
      : problemOf(String(authorizationError ?? ''), peer.subjectaltname ?? 'none'),
    notBefore: Math.floor(Date.parse(peer.valid_from) / 1000),
    notAfter: Math.floor(Date.parse(peer.valid_to) / 1000),
  }
  socket.destroy()
  return observation
}

export async function askHello(
  { connectHost, connectPort }: Target,
  { version, serverName }: Extract<Probe, { kind: 'hello' }>,
  signal: AbortSignal,
): Promise<Observation> {
  const socket = connectTcp({ host: connectHost, port: connectPort, signal })
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const finish = () => {
      socket.destroy()
      resolve({ kind: 'flight', flight: readServerFlight(received) })
    }
    socket.on('connect', () => socket.write(writeClientHello(version, serverName, randomBytes(32))))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      const isOver = readServerFlight(received).kind !== 'unfinished'
      if (isOver || received.length > MOST_FLIGHT_BYTES) finish()
    })
    socket.on('error', reject)
    socket.on('end', finish)
    socket.on('close', () => reject(signal.reason ?? new Error('the connection was closed')))
  })
}

/** The request for both connections; its answer closes the connection. */
const plainGet = ({ authority }: Target): string =>
  `GET / HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`

export async function askResumed(
  target: Target,
  { version }: Extract<Probe, { kind: 'resume' }>,
  signal: AbortSignal,
): Promise<Observation> {
  const pinned = { ...tlsOptions(target, true), minVersion: version, maxVersion: version }
  const first = await openTls(pinned, signal)
  let session = first.getSession()
  first.on('session', (given) => {
    session = given
  })
  await exchangeText(first, plainGet(target))
  const second = await openTls({ ...pinned, ...(session && { session }) }, signal)
  const isResumed = second.isSessionReused()
  return { ...(await exchangeText(second, plainGet(target))), isResumed }
}

/** A version reserved for this (RFC 9000 §15), padded to the size that servers require. */
function quicPacket(): Buffer {
  const head = [0xc0, 0x1a, 0x2a, 0x3a, 0x4a]
  const connectionIds = [8, ...randomBytes(8), 8, ...randomBytes(8)]
  return Buffer.concat([Buffer.from([...head, ...connectionIds]), Buffer.alloc(1200)])
}

const QUIC_MILLISECONDS = 500

export async function askQuic(
  { connectHost, connectPort }: Target,
  signal: AbortSignal,
): Promise<Observation> {
  const { address, family } = await lookup(connectHost)
  return new Promise((resolve) => {
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
    const finish = (seen: Observation) => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      socket.on('error', () => undefined)
      socket.close()
      resolve(seen)
    }
    const nothing = { kind: 'none', problem: 'no QUIC server answers' } as const
    const timer = setTimeout(() => finish(nothing), QUIC_MILLISECONDS)
    socket.once('error', () => finish(nothing))
    socket.once('message', (message) => {
      const isNegotiation = message.length > 5 && message.readUInt32BE(1) === 0
      finish(isNegotiation ? { kind: 'quic' } : nothing)
    })
    socket.connect(connectPort, address, () => {
      if (!signal.aborted) socket.send(quicPacket())
    })
  })
}
