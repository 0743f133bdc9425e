import type { ClearVersion, ServerFlight } from './client-hello.ts'

/** A header line as it is sent. */
export type HeaderLine = readonly [name: string, value: string]

/** One test against the server; checks plan them, and the client carries them out. */
export type Probe =
  | RequestProbe
  /** Bytes over TLS without a certificate: what no HTTP client would send. */
  | { readonly kind: 'raw'; readonly label: string; readonly text: string }
  /** A handshake that is written and read here; `serverName` is `undefined`: without one. */
  | {
      readonly kind: 'hello'
      readonly label: string
      readonly version: ClearVersion
      readonly serverName: string | undefined
    }
  /** A handshake like a browser's, for the server's certificate. */
  | { readonly kind: 'tls'; readonly label: string }
  /** A request with the certificate, and a second one on the resumed TLS session. */
  | { readonly kind: 'resume'; readonly label: string; readonly version: 'TLSv1.2' | 'TLSv1.3' }
  /** A plain GET without credentials, at `connectHost` if that is not the URL's own host. */
  | {
      readonly kind: 'get'
      readonly label: string
      readonly url: URL
      readonly connectHost?: string
    }
  /** A QUIC packet of an unknown version, which each QUIC server answers (RFC 9000 §6). */
  | { readonly kind: 'quic'; readonly label: string }

export interface RequestProbe {
  readonly kind: 'request'
  /** What distinguishes it from other requests, in words. */
  readonly label: string
  readonly protocol: 'HTTP/1.1' | 'HTTP/2'
  readonly method: 'GET' | 'HEAD' | 'OPTIONS' | 'POST'
  /** Sent as it is, without normalization. */
  readonly path: string
  /** Which credentials it carries. */
  readonly shown: 'nothing' | 'certificate' | 'cookie'
  readonly headers: readonly HeaderLine[]
  /** A Host other than the server's. */
  readonly host?: string
  /** Another server name in the handshake: the server's certificate is not checked then. */
  readonly serverName?: string
  /** After an empty body in chunks (HTTP/1.1). */
  readonly trailer?: HeaderLine
  /** Requests a WebSocket, which is closed at once. */
  readonly webSocket?: boolean
}

export interface Answer {
  readonly kind: 'answer'
  readonly status: number
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, readonly string[]>>
  /** Truncated to 64 kB. */
  readonly body: string
  /** For `resume`: whether the TLS session was resumed. */
  readonly isResumed?: boolean
}

export type Observation =
  | Answer
  | { readonly kind: 'flight'; readonly flight: ServerFlight }
  | {
      readonly kind: 'server'
      /** What is wrong with its certificate, as a clause; `undefined`: nothing. */
      readonly problem: string | undefined
      /** Unix seconds, both. */
      readonly notBefore: number
      readonly notAfter: number
    }
  /** A QUIC server is there. */
  | { readonly kind: 'quic' }
  | {
      readonly kind: 'none'
      /** Why there is no answer, as a clause: `the connection was refused`. */
      readonly problem: string
      /** Not sent, not received, or not answered in time: what the answer would be is not known. */
      readonly isUnknown?: true
    }

/** A probe and its result. */
export interface Asked<P extends Probe = Probe> {
  readonly probe: P
  readonly seen: Observation
}

export const isRequest = (asked: Asked): asked is Asked<RequestProbe> =>
  asked.probe.kind === 'request'

/** A plain GET, with changes. */
export function request(
  label: string,
  more: Partial<Omit<RequestProbe, 'kind' | 'label'>> = {},
): RequestProbe {
  return {
    kind: 'request',
    label,
    protocol: 'HTTP/1.1',
    method: 'GET',
    path: '/',
    shown: 'nothing',
    headers: [],
    ...more,
  }
}
