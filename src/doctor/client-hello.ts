/**
 * A TLS ClientHello and the unencrypted part of a server's answer (RFC 5246, up to TLS 1.2): whether it
 * requests a client certificate, and which CAs it names. Node's own client doesn't expose that.
 */

const VERSIONS = { 'TLS 1.0': 0x0301, 'TLS 1.1': 0x0302, 'TLS 1.2': 0x0303 } as const
/** A version in which a server's handshake can be read. */
export type ClearVersion = keyof typeof VERSIONS

const CIPHERS = [
  ...[0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8], // ECDHE with AES-GCM and ChaCha20
  ...[0xc009, 0xc00a, 0xc013, 0xc014], // ECDHE with AES-CBC, the best that TLS 1.0 has
  ...[0x009c, 0x009d, 0x002f, 0x0035], // RSA
  0x00ff, // the renegotiation signal of RFC 5746
]
const GROUPS = [0x001d, 0x0017, 0x0018, 0x0019]
const SIGNATURES = [0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0201]

const u8 = (value: number): Buffer => Buffer.from([value])
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])
const u24 = (value: number): Buffer => Buffer.concat([u8(value >> 16), u16(value & 0xffff)])
const vector8 = (content: Buffer): Buffer => Buffer.concat([u8(content.length), content])
const vector16 = (...parts: readonly Buffer[]): Buffer => {
  const content = Buffer.concat(parts)
  return Buffer.concat([u16(content.length), content])
}
const list16 = (values: readonly number[]): Buffer => vector16(...values.map(u16))
const extension = (type: number, content: Buffer): Buffer =>
  Buffer.concat([u16(type), vector16(content)])

/**
 * The record with the ClientHello. `random`: 32 bytes. Without `serverName` there is no server name
 * indication (RFC 6066).
 */
export function writeClientHello(
  version: ClearVersion,
  serverName: string | undefined,
  random: Buffer,
): Buffer {
  const name = Buffer.from(serverName ?? '', 'latin1')
  const extensions = [
    ...(serverName === undefined ? [] : [extension(0, vector16(u8(0), vector16(name)))]),
    extension(10, list16(GROUPS)),
    extension(11, vector8(u8(0))),
    // Before TLS 1.2 there is no such extension.
    ...(version === 'TLS 1.2' ? [extension(13, list16(SIGNATURES))] : []),
  ]
  const hello = Buffer.concat([
    u16(VERSIONS[version]),
    random,
    vector8(Buffer.alloc(0)),
    list16(CIPHERS),
    vector8(u8(0)),
    vector16(...extensions),
  ])
  const message = Buffer.concat([u8(CLIENT_HELLO), u24(hello.length), hello])
  return Buffer.concat([u8(HANDSHAKE), u16(VERSIONS['TLS 1.0']), vector16(message)])
}

/** What a server has sent so far. */
export type ServerFlight =
  /** More is to come. */
  | { readonly kind: 'unfinished' }
  | { readonly kind: 'not TLS' }
  | { readonly kind: 'refused'; readonly alert: string }
  | {
      readonly kind: 'answered'
      readonly version: string
      readonly requestsCertificate: boolean
      /** The CAs whose certificates it requests, each a Name in DER; empty: any. */
      readonly authorities: readonly Buffer[]
    }

const ALERT = 21
const HANDSHAKE = 22
const CLIENT_HELLO = 1
const SERVER_HELLO = 2
const CERTIFICATE_REQUEST = 13
const SERVER_HELLO_DONE = 14
const MOST_RECORD_BYTES = 16_384 + 2_048

const ALERTS: ReadonlyMap<number, string> = new Map([
  [0, 'close notify'],
  [10, 'unexpected message'],
  [20, 'bad record MAC'],
  [22, 'record overflow'],
  [40, 'handshake failure'],
  [47, 'illegal parameter'],
  [50, 'decode error'],
  [51, 'decrypt error'],
  [70, 'protocol version'],
  [71, 'insufficient security'],
  [80, 'internal error'],
  [86, 'inappropriate fallback'],
  [90, 'user canceled'],
  [112, 'unrecognized name'],
])

const BROKEN: ServerFlight = { kind: 'not TLS' }
const UNFINISHED: ServerFlight = { kind: 'unfinished' }

/** Reads everything that a server has sent since the ClientHello; never throws. */
export function readServerFlight(bytes: Buffer): ServerFlight {
  const messages: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const type = bytes[at]
    if ((type !== ALERT && type !== HANDSHAKE) || (bytes[at + 1] ?? 3) !== 3) return BROKEN
    if (bytes.length < at + 5) break
    const length = bytes.readUInt16BE(at + 3)
    if (length === 0 || length > MOST_RECORD_BYTES) return BROKEN
    const content = bytes.subarray(at + 5, at + 5 + length)
    if (content.length < length) break
    // Some servers send a warning about an unknown name, and continue.
    const isWarning = content.length === 2 && content[0] === 1 && content[1] !== 0
    if (type === ALERT && !isWarning) return readAlert(content)
    if (type === HANDSHAKE) messages.push(content)
    at += 5 + length
  }
  return readMessages(Buffer.concat(messages))
}

function readAlert(content: Buffer): ServerFlight {
  const [, description] = content
  if (content.length !== 2 || description === undefined) return BROKEN
  return { kind: 'refused', alert: ALERTS.get(description) ?? `alert ${description}` }
}

function readMessages(bytes: Buffer): ServerFlight {
  let version: string | undefined
  let authorities: readonly Buffer[] | undefined
  for (let at = 0; bytes.length >= at + 4; ) {
    const type = bytes[at]
    const length = bytes.readUIntBE(at + 1, 3)
    const body = bytes.subarray(at + 4, at + 4 + length)
    // The first message must be a ServerHello; anything else is another protocol.
    if (version === undefined && type !== SERVER_HELLO) return BROKEN
    if (body.length < length) return UNFINISHED
    if (type === SERVER_HELLO) {
      version = readVersion(body)
      if (version === undefined) return BROKEN
    } else if (type === CERTIFICATE_REQUEST) {
      authorities = readAuthorities(body, version === 'TLS 1.2')
      if (authorities === undefined) return BROKEN
    } else if (type === SERVER_HELLO_DONE) {
      return {
        kind: 'answered',
        version: version ?? '',
        requestsCertificate: authorities !== undefined,
        authorities: authorities ?? [],
      }
    }
    at += 4 + length
  }
  return UNFINISHED
}

function readVersion(hello: Buffer): string | undefined {
  if (hello.length < 2) return undefined
  const number = hello.readUInt16BE(0)
  return Object.entries(VERSIONS).find(([, known]) => known === number)?.[0]
}

/** RFC 5246 §7.4.4; before TLS 1.2 without the list of signature algorithms. */
function readAuthorities(
  body: Buffer,
  hasSignatureAlgorithms: boolean,
): readonly Buffer[] | undefined {
  let at = 1 + (body[0] ?? 0)
  if (hasSignatureAlgorithms) {
    if (body.length < at + 2) return undefined
    at += 2 + body.readUInt16BE(at)
  }
  if (body.length < at + 2 || body.length !== at + 2 + body.readUInt16BE(at)) return undefined
  const names: Buffer[] = []
  for (at += 2; at < body.length; ) {
    if (body.length < at + 2) return undefined
    const length = body.readUInt16BE(at)
    if (body.length < at + 2 + length) return undefined
    names.push(body.subarray(at + 2, at + 2 + length))
    at += 2 + length
  }
  return names
}
