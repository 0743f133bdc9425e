import { DIALECTS, type Dialect } from './dialects.ts'

/** The headers that certlatch reads, in one pass over what Node received. */
export interface RequestHeaders {
  readonly method: string | undefined
  readonly scheme: string | undefined
  readonly host: string | undefined
  readonly uri: string | undefined
  readonly forwardedFor: string | undefined
  readonly certificate: string | undefined
  readonly cookie: string | undefined
  readonly origin: string | undefined
  readonly secFetchSite: string | undefined
  readonly secFetchMode: string | undefined
  readonly accept: string | undefined
  readonly webSocketKey: string | undefined
  readonly webSocketVersion: string | undefined
  readonly requestMethod: string | undefined
  readonly proxySecret: string | undefined
  /** The proxy's own name, as its configuration file states it. */
  readonly proxy: string | undefined
  readonly page: string | undefined
  readonly upgrade: string | undefined
  readonly contentLength: string | undefined
  readonly transferEncoding: string | undefined
  /** Fields that occurred more than once and must not. */
  readonly repeated: ReadonlySet<Field>
  /**
   * Whether a name was another spelling of one that certlatch or the application trusts, or another
   * dialect's certificate header with a value.
   */
  readonly alias: boolean
  /** Whether there were more than `MAX_HEADERS`; the rest was not read. */
  readonly tooMany: boolean
}

type Field = Exclude<keyof RequestHeaders, 'repeated' | 'alias' | 'tooMany'>

/** Apache accepts 100 by default, HAProxy 101; proxies add about ten. Each header costs time. */
export const MAX_HEADERS = 200

/** In the order of `build`: `readHeaders` works with the index of a field. */
const FIELDS: readonly Field[] = [
  'method',
  'scheme',
  'host',
  'uri',
  'forwardedFor',
  'certificate',
  'cookie',
  'origin',
  'secFetchSite',
  'secFetchMode',
  'accept',
  'webSocketKey',
  'requestMethod',
  'proxySecret',
  'page',
  'webSocketVersion',
  'upgrade',
  'contentLength',
  'transferEncoding',
  'proxy',
]

const NAMES: Readonly<Record<string, Field>> = {
  'x-forwarded-method': 'method',
  'x-forwarded-proto': 'scheme',
  'x-forwarded-host': 'host',
  'x-forwarded-uri': 'uri',
  'x-forwarded-for': 'forwardedFor',
  cookie: 'cookie',
  origin: 'origin',
  'sec-fetch-site': 'secFetchSite',
  'sec-fetch-mode': 'secFetchMode',
  accept: 'accept',
  'sec-websocket-key': 'webSocketKey',
  'access-control-request-method': 'requestMethod',
  'x-certlatch-proxy-secret': 'proxySecret',
  'x-certlatch-page': 'page',
  'x-certlatch-proxy': 'proxy',
  'sec-websocket-version': 'webSocketVersion',
  upgrade: 'upgrade',
  'content-length': 'contentLength',
  'transfer-encoding': 'transferEncoding',
}

/** How fields that may occur several times become one value (RFC 9110 §5.3, RFC 6265bis §5.8.3). */
const JOINED_BY: Partial<Readonly<Record<Field, string>>> = {
  forwardedFor: ',',
  cookie: '; ',
  accept: ',',
  secFetchSite: ',',
  secFetchMode: ',',
  upgrade: ',',
  contentLength: ',',
  transferEncoding: ',',
}

/**
 * Headers that certlatch sends to the application. Look-alikes of these and of those that it reads
 * (`Remote_User`, `X.Forwarded.Uri`) are refused: some applications and gateways take them for the
 * real ones, and certlatch sees them behind every proxy.
 */
const TRUSTED_BY_OTHERS = ['remote-user', 'x-certlatch-device', 'x-certlatch-via'] as const

/** Headers that certlatch reads, and whose look-alikes are harmless. */
const NOT_TRUSTED = ['cookie', 'origin', 'accept', 'upgrade', 'content-length', 'transfer-encoding']

/** Headers that nearly every request has and certlatch does not read. */
const ORDINARY = [
  'host',
  'connection',
  'user-agent',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'content-type',
  'if-modified-since',
  'if-none-match',
  'pragma',
  'priority',
  'referer',
  'sec-ch-ua',
  'sec-ch-ua-mobile',
  'sec-ch-ua-platform',
  'sec-fetch-dest',
  'sec-fetch-user',
  'sec-websocket-extensions',
  'te',
  'upgrade-insecure-requests',
  'via',
  'x-forwarded-port',
  'x-forwarded-server',
  'x-real-ip',
] as const

/** Fields that only the proxy sets, once: a second copy comes from the client. */
const SET_BY_PROXY: readonly Field[] = [
  'method',
  'scheme',
  'host',
  'uri',
  'certificate',
  'proxySecret',
  'page',
  'proxy',
]

/** Whether the client sent a header that only the proxy may set. */
export const repeatsTheProxy = ({ repeated }: RequestHeaders): boolean =>
  repeated.size > 0 && SET_BY_PROXY.some((field) => repeated.has(field))

/** Reads the headers of one proxy; created once, at startup. */
export interface HeaderReader {
  read(rawHeaders: readonly string[]): RequestHeaders
}

const NOT_READ = -1
/** Another dialect's certificate header: the configured proxy never sends it, a client may. */
const FOREIGN = -2
const ONLY_PLAIN_CHARACTERS = /^[A-Za-z0-9-]*$/

export function createHeaderReader(dialect: Dialect): HeaderReader {
  const fields = new Map<string, number>()
  for (const [name, field] of Object.entries(NAMES)) fields.set(name, FIELDS.indexOf(field))
  for (const { certificateHeader } of Object.values(DIALECTS)) {
    fields.set(certificateHeader, FOREIGN)
  }
  fields.set(dialect.certificateHeader, FIELDS.indexOf('certificate'))
  const trusted = new Set([...fields.keys(), ...TRUSTED_BY_OTHERS])
  for (const ordinary of NOT_TRUSTED) trusted.delete(ordinary)
  const longestTrusted = Math.max(...[...trusted].map((name) => name.length))
  // The usual spellings are found without lower-casing, which took a third of the time; what clients
  // send never adds to the map.
  const spellings = new Map<string, number>()
  for (const name of ORDINARY) fields.has(name) || addSpellings(spellings, name, NOT_READ)
  for (const [name, field] of fields) addSpellings(spellings, name, field)
  return {
    read: (rawHeaders) =>
      readHeaders(rawHeaders, spellings, (name) => isAlias(name, trusted, longestTrusted)),
  }
}

function addSpellings(spellings: Map<string, number>, name: string, field: number): void {
  spellings.set(name, field)
  spellings.set(
    name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase()),
    field,
  )
}

function readHeaders(
  rawHeaders: readonly string[],
  spellings: ReadonlyMap<string, number>,
  isAliasName: (name: string) => boolean,
): RequestHeaders {
  const values = new Array<string | undefined>(FIELDS.length).fill(undefined)
  let repeated: Set<Field> | undefined
  let alias = false
  const tooMany = rawHeaders.length > MAX_HEADERS * 2
  const end = tooMany ? MAX_HEADERS * 2 : rawHeaders.length
  for (let index = 0; index < end; index += 2) {
    const name = rawHeaders[index]
    const value = rawHeaders[index + 1]
    if (name === undefined || value === undefined) break
    const field = spellings.get(name) ?? spellings.get(name.toLowerCase())
    if (field === undefined) {
      alias ||= isAliasName(name)
      continue
    }
    if (field < 0) {
      alias ||= field === FOREIGN && value !== ''
      continue
    }
    const previous = values[field]
    if (previous === undefined) {
      values[field] = value
      continue
    }
    const known = FIELDS[field]
    const separator = known && JOINED_BY[known]
    if (separator !== undefined) values[field] = `${previous}${separator}${value}`
    else if (known !== undefined) repeated = (repeated ?? new Set()).add(known)
  }
  return build(values, repeated ?? NONE, alias, tooMany)
}

const NONE: ReadonlySet<Field> = new Set()

function isAlias(name: string, trusted: ReadonlySet<string>, longest: number): boolean {
  if (name.length > longest || ONLY_PLAIN_CHARACTERS.test(name)) return false
  return trusted.has(name.toLowerCase().replace(/[^a-z0-9-]/g, '-'))
}

function build(
  values: readonly (string | undefined)[],
  repeated: ReadonlySet<Field>,
  alias: boolean,
  tooMany: boolean,
): RequestHeaders {
  return {
    method: values[0],
    scheme: values[1],
    host: values[2],
    uri: values[3],
    forwardedFor: values[4],
    certificate: values[5],
    cookie: values[6],
    origin: values[7],
    secFetchSite: values[8],
    secFetchMode: values[9],
    accept: values[10],
    webSocketKey: values[11],
    requestMethod: values[12],
    proxySecret: values[13],
    page: values[14],
    webSocketVersion: values[15],
    upgrade: values[16],
    contentLength: values[17],
    transferEncoding: values[18],
    proxy: values[19],
    repeated,
    alias,
    tooMany,
  }
}
