import { once } from 'node:events'
import type { RequestListener, Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type ListenAddress, writeAddress } from '../config/values.ts'
import { MAX_HEADERS } from '../proxy/request-headers.ts'
import { errorCode } from '../store/files.ts'
import { StartError } from './start-error.ts'

/**
 * Certificate chains and Home Assistant's cookies can exceed Node's default of 16 KiB. But Node parses
 * all headers before we can count them: 64 KiB of short ones take as long as twelve plain answers.
 */
const MAX_HEADER_BYTES = 48 * 1024
/**
 * Longer than any proxy keeps an idle connection (Caddy 120 s, Traefik 90 s): the side that closes
 * first must be the proxy, or a request meets a closing connection and becomes a 502.
 */
const KEEP_ALIVE_MILLISECONDS = 180_000
const REQUEST_MILLISECONDS = 30_000
const MAX_CONNECTIONS = 20_000

/**
 * Not imported: an import statement reads every export, and since Node 22 that of `WebSocket` loads all of
 * `fetch`, which nothing here uses: 15 MB of memory and a third of a bare server's start.
 */
const { createServer } = process.getBuiltinModule('node:http')

const REFUSED = [
  'HTTP/1.1 403 Forbidden',
  'Connection: close',
  'Cache-Control: no-store',
  'Content-Length: 0',
  '',
  '',
].join('\r\n')

/** A server for requests through a proxy: what Node's parser rejects is also answered with 403, and counted. */
export function createGateServer(
  listener: RequestListener,
  onMalformed: (peer: string | undefined, code: string) => void,
): Server {
  const server = createHttpServer(listener)
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code?.startsWith('HPE_')) onMalformed(socket.remoteAddress, error.code)
    refuse(socket, error.code === 'ECONNRESET')
  })
  server.on('connect', (_, socket: Socket) => {
    onMalformed(socket.remoteAddress, 'CONNECT')
    refuse(socket, false)
  })
  // `Expect: something` would be a 417; treat it like any other request.
  server.on('checkExpectation', listener)
  // There is no 'upgrade' listener: with one, auth requests would hang if the proxy forwards the
  // client's `Upgrade`.
  return server
}

export function createHttpServer(listener: RequestListener): Server {
  const options = {
    maxHeaderSize: MAX_HEADER_BYTES,
    keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
    headersTimeout: REQUEST_MILLISECONDS,
    requestTimeout: REQUEST_MILLISECONDS,
    requireHostHeader: false,
  }
  const server = createServer(options, listener)
  // Node silently drops headers beyond this count. It is one more than we accept, so that a truncated
  // request is noticed and refused. Without it, 60 kB of short headers took as long as 100 refusals.
  server.maxHeadersCount = MAX_HEADERS + 1
  server.maxConnections = MAX_CONNECTIONS
  return server
}

function refuse(socket: Socket, isGone: boolean): void {
  // The peer may reset the connection while we write; there is nothing left to do then.
  socket.on('error', () => socket.destroy())
  if (isGone || !socket.writable) {
    socket.destroy()
    return
  }
  socket.end(REFUSED)
  discardInput(socket)
}

/** How much may still arrive after headers that were too long, and for how long. */
const MAX_DISCARDED_BYTES = 1024 * 1024
const DISCARD_MILLISECONDS = 2_000

/**
 * Reads and discards what still arrives: with unread bytes the system would reset the connection, and a
 * proxy that finishes writing first would return a 5xx instead of the answer.
 */
function discardInput(socket: Socket): void {
  let left = MAX_DISCARDED_BYTES
  // The parser would report an error for each chunk again.
  socket.removeAllListeners('data')
  socket.on('data', (piece: Buffer) => {
    left -= piece.length
    if (left < 0) socket.destroy()
  })
  socket.setTimeout(DISCARD_MILLISECONDS, () => socket.destroy())
  socket.resume()
}

/**
 * Connections that wait to be accepted. Node's default of 511 overflows when a proxy opens many at once,
 * and a dropped one is retried only after a second. Linux caps this at its own somaxconn.
 */
const BACKLOG = 4_096

/** Throws the system's error (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`). */
export async function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  server.listen({ host, port, backlog: BACKLOG })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no address to listen on')
  return address
}

/** How long busy connections have to get an answer that closes them. */
const DRAIN_MILLISECONDS = 1_000
/** How long the requests that are still in progress then may take. */
const DEADLINE_MILLISECONDS = 5_000

/**
 * Stops without losing a request. For a moment every request is still answered, and each answer closes
 * its connection, so that the proxies move on. Then no more connections are accepted, and the requests
 * in progress finish.
 */
export async function drain(server: Server): Promise<void> {
  if ((await connectionCount(server)) > 0) await delay(DRAIN_MILLISECONDS)
  await closeWithin(server, DEADLINE_MILLISECONDS)
}

const connectionCount = (server: Server): Promise<number> =>
  new Promise((resolve) => server.getConnections((error, count) => resolve(error ? 1 : count)))

const delay = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

const LAST_ANSWERS_MILLISECONDS = 1_000

/** For a listener whose clients retry: accepts nothing new, and lets a scrape in progress finish. */
export const closeSoon = (server: Server): Promise<void> =>
  closeWithin(server, LAST_ANSWERS_MILLISECONDS)

async function closeWithin(server: Server, milliseconds: number): Promise<void> {
  const deadline = setTimeout(() => server.closeAllConnections(), milliseconds)
  await new Promise<void>((resolve) => server.close(() => resolve()))
  clearTimeout(deadline)
}

const LISTEN_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another process: stop that one, or choose another port',
  EACCES: 'may not be opened by this user: choose a port above 1023',
  EADDRNOTAVAIL: 'is not an address of this machine',
}

/** Listens on a setting's address. Throws a StartError that says what is wrong with it. */
export async function listenOn(
  server: Server,
  setting: 'CERTLATCH_LISTEN' | 'CERTLATCH_ADMIN_LISTEN' | 'CERTLATCH_PAGES_LISTEN',
  { host, port }: ListenAddress,
): Promise<AddressInfo> {
  try {
    return await listen(server, host, port)
  } catch (error) {
    const code = errorCode(error) ?? String(error)
    const shown = writeAddress({ host, port })
    throw new StartError([`${setting} ${shown} ${LISTEN_ERRORS[code] ?? `fails (${code})`}`])
  }
}
