/** The door that is tried, and what it is tried with. */
export interface Door {
  /** The URL's host and port, as a browser sends them in Host: without the usual port. */
  readonly authority: string
  readonly host: string
  readonly port: number
  /** Where to connect to: an address, or a name that resolves. */
  readonly connectHost: string
  readonly connectPort: number
  /** Where plain HTTP would be answered. */
  readonly plainPort: number
  /** PEM, trusted for the server's certificate in place of the usual CAs. */
  readonly serverAuthorities: string | undefined
  /** PEM of the client's certificate and its key. */
  readonly certificate: string
  readonly key: string
  /** The application itself. */
  readonly application: URL | undefined
}

/** The address that a TLS server name is sent for: never of an IP address (RFC 6066 §3). */
export const serverNameOf = (host: string): string =>
  /^[\d.]+$|:/.test(host.replace(/^\[|\]$/g, '')) ? '' : host
