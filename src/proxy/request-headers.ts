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
  /** What the proxy calls itself. */
  readonly proxy: string | undefined
  readonly page: string | undefined
  readonly upgrade: string | undefined
  readonly contentLength: string | undefined
  readonly transferEncoding: string | undefined
  /** Fields that came more than once though they must not. */
  readonly repeated: ReadonlySet<Field>
  /**
   * Whether a name was another spelling of one that we, or the application, trust; or that of
   * another dialect's certificate header, with a value.
   */
  readonly alias: boolean
  /** Whether there were more than `MAX_HEADERS`: the rest was not read. */
  readonly tooMany: boolean
}

type Field = Exclude<keyof RequestHeaders, 'repeated' | 'alias' | 'tooMany'>

/** Apache takes 100 by default, HAProxy 101; proxies add some ten. Each costs time, whatever it says. */
export const MAX_HEADERS = 200

/** In the order of `build`: while the headers are read, a field is its index here. */
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
 * Names whose look-alikes (`Remote_User`, `X.Forwarded.Uri`) are refused: some application or
 * gateway reads them as the real ones, and certlatch is the one place that sees them under every
 * proxy. Besides all that we read: what we send to the application.
 */
const TRUSTED_BY_OTHERS = ['remote-user', 'x-certlatch-device', 'x-certlatch-via'] as const

/** What we read, and no look-alike of which can harm. */
const NOT_TRUSTED = ['cookie', 'origin', 'accept', 'upgrade', 'content-length', 'transfer-encoding']

/** What browsers and proxies send with nearly every request, and we do not read. */
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

/** What only the proxy may say, and says once: a second copy is a client's own. */
const SAID_BY_THE_PROXY: readonly Field[] = [
  'method',
  'scheme',
  'host',
  'uri',
  'certificate',
  'proxySecret',
  'page',
  'proxy',
]

/** Whether a client's header came beside the proxy's own. */
export const repeatsTheProxy = ({ repeated }: RequestHeaders): boolean =>
  repeated.size > 0 && SAID_BY_THE_PROXY.some((field) => repeated.has(field))

/** Reads headers for one proxy; made once at the start. */
export interface HeaderReader {
  read(rawHeaders: readonly string[]): RequestHeaders
}

const NOT_READ = -1
/** A certificate header of another dialect: the proxy that asks does not send it, a client may. */
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
  // The usual spellings are found without lower-casing (a third of the reading's time); the map
  // never grows by what clients send.
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
    const before = values[field]
    if (before === undefined) {
      values[field] = value
      continue
    }
    const known = FIELDS[field]
    const separator = known && JOINED_BY[known]
    if (separator !== undefined) values[field] = `${before}${separator}${value}`
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
