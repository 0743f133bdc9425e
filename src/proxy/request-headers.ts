import type { Dialect } from './dialects.ts'

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
  readonly requestMethod: string | undefined
  readonly proxySecret: string | undefined
  readonly page: string | undefined
  /** Fields that came more than once though they must not. */
  readonly repeated: ReadonlySet<Field>
  /** Whether a name was another spelling of one that we, or the application, trust. */
  readonly alias: boolean
}

type Field = Exclude<keyof RequestHeaders, 'repeated' | 'alias'>
type MutableFields = { -readonly [name in Field]: string | undefined }

const FIELDS: Readonly<Record<string, Field>> = {
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
}

/** How fields that may occur several times become one value (RFC 9110 §5.3, RFC 6265bis §5.8.3). */
const JOINED_BY: Partial<Readonly<Record<Field, string>>> = {
  forwardedFor: ',',
  cookie: '; ',
  accept: ',',
  secFetchSite: ',',
  secFetchMode: ',',
}

/**
 * Names whose look-alikes (`Remote_User`, `X.Forwarded.Uri`) are refused: some application or
 * gateway reads them as the real ones, and certlatch is the one place that sees them under every
 * proxy. Besides all that we read: what we send to the application.
 */
const TRUSTED_BY_OTHERS = ['remote-user', 'x-certlatch-device', 'x-certlatch-via'] as const

/** Reads headers for one proxy; made once at the start. */
export interface HeaderReader {
  read(rawHeaders: readonly string[]): RequestHeaders
}

const ONLY_PLAIN_CHARACTERS = /^[A-Za-z0-9-]*$/

export function createHeaderReader(dialect: Dialect): HeaderReader {
  const fields = new Map<string, Field>(Object.entries(FIELDS))
  fields.set(dialect.certificateHeader, 'certificate')
  const trusted = new Set([...fields.keys(), ...TRUSTED_BY_OTHERS])
  for (const ordinary of ['cookie', 'origin', 'accept']) trusted.delete(ordinary)
  // The usual spellings are found without lower-casing; the map never grows by what clients send.
  const spellings = new Map<string, Field>()
  for (const [name, field] of fields) {
    spellings.set(name, field)
    spellings.set(capitalised(name), field)
  }
  return { read: (rawHeaders) => readHeaders(rawHeaders, spellings, trusted) }
}

const capitalised = (name: string): string =>
  name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase())

function readHeaders(
  rawHeaders: readonly string[],
  spellings: ReadonlyMap<string, Field>,
  trusted: ReadonlySet<string>,
): RequestHeaders {
  const values: MutableFields = emptyFields()
  let repeated: Set<Field> | undefined
  let alias = false
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    const field = spellings.get(name) ?? spellings.get(name.toLowerCase())
    if (field === undefined) {
      alias ||= isAlias(name, trusted)
      continue
    }
    const value = rawHeaders[index + 1] ?? ''
    const before = values[field]
    if (before === undefined) {
      values[field] = value
      continue
    }
    const separator = JOINED_BY[field]
    if (separator === undefined) {
      repeated ??= new Set()
      repeated.add(field)
    } else {
      values[field] = `${before}${separator}${value}`
    }
  }
  return { ...values, repeated: repeated ?? NONE, alias }
}

const NONE: ReadonlySet<Field> = new Set()

function isAlias(name: string, trusted: ReadonlySet<string>): boolean {
  if (ONLY_PLAIN_CHARACTERS.test(name)) return false
  return trusted.has(name.toLowerCase().replace(/[^a-z0-9-]/g, '-'))
}

const emptyFields = (): MutableFields => ({
  method: undefined,
  scheme: undefined,
  host: undefined,
  uri: undefined,
  forwardedFor: undefined,
  certificate: undefined,
  cookie: undefined,
  origin: undefined,
  secFetchSite: undefined,
  secFetchMode: undefined,
  accept: undefined,
  webSocketKey: undefined,
  requestMethod: undefined,
  proxySecret: undefined,
  page: undefined,
})
