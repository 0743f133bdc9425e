import { isIP } from 'node:net'

/** The server to test, and the credentials to test it with. */
export interface Target {
  /** The URL's host and port, as a browser sends them in Host: without the usual port. */
  readonly authority: string
  /** Without port and brackets. */
  readonly host: string
  /** Where to connect to: an address, or a name that resolves. */
  readonly connectHost: string
  readonly connectPort: number
  /** The port for plain HTTP: 80, except in tests. */
  readonly plainPort: number
  /** PEM of CAs to trust for the server's certificate instead of the usual ones. */
  readonly serverAuthorities: string | undefined
  /** PEM of the client's certificate and its key. */
  readonly certificate: string
  readonly key: string
  /** The application itself. */
  readonly application: URL | undefined
}

/** The TLS server name to send; IP addresses have none (RFC 6066 §3). */
export const serverNameOf = ({ host }: Target): string | undefined =>
  isIP(host) === 0 ? host : undefined
