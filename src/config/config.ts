import { join } from 'node:path'
import type { IdentityKind } from '../certificate/identity.ts'
import { DIALECTS, type Dialect } from '../proxy/dialects.ts'
import type { Networks } from '../proxy/networks.ts'
import type { Problems, Result } from '../result.ts'
import {
  DENIALS,
  expectation,
  LOG_CLIENTS,
  LOG_FORMATS,
  LOG_LEVELS,
  optionOf,
  PROXIES,
  type SettingName,
  STALE_CRL_CHOICES,
} from './options.ts'
import { quote } from './text.ts'
import {
  choiceReader,
  cookieNameReader,
  durationReader,
  headerNameReader,
  type ListenAddress,
  type Reading,
  readAddress,
  readCommand,
  readDomain,
  readIdentity,
  readNetworks,
  readOrigin,
  readPassphrase,
  readPath,
  readSecret,
  readServiceName,
  writeDuration,
} from './values.ts'

/** The settings, read once at the start. */
export interface Config {
  readonly listen: ListenAddress
  readonly adminListen: ListenAddress
  readonly pagesListen: ListenAddress
  /** The application's origin: `https://home.example.org`. */
  readonly url: string | undefined
  readonly dataDir: string
  readonly ca: CertificateAuthority
  /** Which parts of an external CA's certificate name its holder, in order of preference. */
  readonly identity: readonly IdentityKind[]
  readonly sessionKeysFile: string
  /** A file that a setting names is never created, and must exist at the start. */
  readonly sessionKeysFileNamed: boolean
  readonly dialect: Dialect
  readonly trustedProxies: Networks
  readonly proxySecret: string | undefined
  readonly sessionTtlSeconds: number
  readonly sessionMaxAgeSeconds: number
  readonly cookieName: string
  readonly cookieDomain: string | undefined
  readonly policyFile: string | undefined
  readonly denial: (typeof DENIALS)[number]
  readonly caPassphrase: string | undefined
  /** Program and arguments. */
  readonly onRevoke: readonly string[] | undefined
  /** The name of this service in Docker Compose; `undefined` outside of it. */
  readonly composeService: string | undefined
  readonly metricsToken: string | undefined
  readonly logLevel: (typeof LOG_LEVELS)[number]
  readonly logFormat: (typeof LOG_FORMATS)[number]
  readonly logClient: (typeof LOG_CLIENTS)[number]
}

/** Where the devices' certificates come from: `file` is that of the CAs. */
type CertificateAuthority =
  | {
      readonly kind: 'built-in'
      readonly file: string
      readonly crlFile: string
      readonly crlFileNamed: boolean
    }
  | {
      readonly kind: 'external'
      readonly file: string
      /** `undefined`: nothing can be revoked. */
      readonly crlFile: string | undefined
      readonly staleCrl: (typeof STALE_CRL_CHOICES)[number]
    }

/** Which files certlatch creates on its first start: none that a setting names. */
export const filesToMake = ({ ca, sessionKeysFileNamed }: Config) => ({
  authority: ca.kind === 'built-in',
  revocationList: ca.kind === 'built-in' && !ca.crlFileNamed,
  sessionKeys: !sessionKeysFileNamed,
})

export type Values = Readonly<Record<string, string | undefined>>

/** Reads the settings' texts; never throws, and reports all problems at once. */
export function parseConfig(values: Values): Result<{ config: Config }, Problems> {
  const settings = readerOf(values)
  const config: Config = {
    listen: settings.read('CERTLATCH_LISTEN', readAddress),
    adminListen: settings.read('CERTLATCH_ADMIN_LISTEN', readAddress),
    pagesListen: settings.read('CERTLATCH_PAGES_LISTEN', readAddress),
    url: settings.readOptional('CERTLATCH_URL', readOrigin),
    ...readFiles(settings),
    identity: settings.read('CERTLATCH_IDENTITY', readIdentity),
    dialect: readDialect(settings),
    trustedProxies: settings.read('CERTLATCH_TRUSTED_PROXIES', readNetworks),
    proxySecret: settings.readOptional('CERTLATCH_PROXY_SECRET', readSecret),
    sessionTtlSeconds: settings.read('CERTLATCH_SESSION_TTL', durationReader('10s', '30d')),
    // Browsers keep no cookie longer than 400 days (RFC 6265bis §5.5).
    sessionMaxAgeSeconds: settings.read('CERTLATCH_SESSION_MAX_AGE', durationReader('10s', '400d')),
    ...readCookie(settings),
    policyFile: settings.readOptional('CERTLATCH_POLICY_FILE', readPath),
    denial: settings.read('CERTLATCH_DENIAL', choiceReader(DENIALS)),
    caPassphrase: settings.readOptional('CERTLATCH_CA_PASSPHRASE', readPassphrase),
    onRevoke: settings.readOptional('CERTLATCH_ON_REVOKE', readCommand),
    composeService: settings.readOptional('CERTLATCH_COMPOSE_SERVICE', readServiceName),
    metricsToken: settings.readOptional('CERTLATCH_METRICS_TOKEN', readSecret),
    logLevel: settings.read('CERTLATCH_LOG_LEVEL', choiceReader(LOG_LEVELS)),
    logFormat: settings.read('CERTLATCH_LOG_FORMAT', choiceReader(LOG_FORMATS)),
    logClient: settings.read('CERTLATCH_LOG_CLIENT', choiceReader(LOG_CLIENTS)),
  }
  checkAddresses(settings, config)
  checkDurations(settings, config)
  const problems = settings.problems()
  return problems.length > 0 ? { ok: false, problems } : { ok: true, config }
}

type Read<T> = (text: string) => Reading<T>

type SettingsReader = ReturnType<typeof readerOf>

function readerOf(values: Values) {
  const problems: { readonly name: SettingName; readonly line: string }[] = []
  const report = (name: SettingName, problem: string): void => {
    problems.push({ name, line: `${name} ${describe(name, values[name])}: ${problem}` })
  }
  /** The value of a setting without a default; `undefined` also if the given value is wrong. */
  const readOptional = <T>(name: SettingName, read: Read<T>): T | undefined => {
    const text = values[name]
    if (text === undefined) return undefined
    const expected = expectation(optionOf(name))
    if (text === '') {
      problems.push({ name, line: `${name} is empty: remove it or give it ${expected}` })
      return undefined
    }
    const reading = read(text)
    if (reading.ok) return reading.value
    for (const problem of reading.problems ?? [`expected ${expected}`]) report(name, problem)
    return undefined
  }
  return {
    /** The value of a setting with a default, or the default if the given value is wrong. */
    read: <T>(name: SettingName, read: Read<T>): T =>
      readOptional(name, read) ?? readDefault(name, read),
    readOptional,
    isGiven: (name: SettingName) => values[name] !== undefined,
    isSound: (name: SettingName) => problems.every((known) => known.name !== name),
    report,
    /** In the order in which the settings were read. */
    problems: () => problems.map(({ line }) => line),
  }
}

function readDefault<T>(name: SettingName, read: Read<T>): T {
  const reading = read(optionOf(name).default ?? '')
  if (!reading.ok) throw new Error(`the default of ${name} is not a value for it`)
  return reading.value
}

/** Describes the given value; for a secret only its length. */
function describe(name: SettingName, text = ''): string {
  if (optionOf(name).secret !== true) return `is ${quote(text)}`
  const length = [...text].length
  return `has ${length} character${length === 1 ? '' : 's'}`
}

function readFiles(settings: SettingsReader) {
  const dataDir = settings.read('CERTLATCH_DATA_DIR', readPath)
  const ca = readAuthority(settings, dataDir)
  const sessionKeysFile = settings.readOptional('CERTLATCH_SESSION_KEYS_FILE', readPath)
  return {
    dataDir,
    ca,
    sessionKeysFile: sessionKeysFile ?? join(dataDir, 'private', 'session.keys'),
    sessionKeysFileNamed: sessionKeysFile !== undefined,
  }
}

function readAuthority(settings: SettingsReader, dataDir: string): CertificateAuthority {
  const file = settings.readOptional('CERTLATCH_CA_FILE', readPath)
  const crlFile = settings.readOptional('CERTLATCH_CRL_FILE', readPath)
  const staleCrl = settings.read('CERTLATCH_CRL_STALE', choiceReader(STALE_CRL_CHOICES))
  if (file !== undefined) return { kind: 'external', file, crlFile, staleCrl }
  return {
    kind: 'built-in',
    file: join(dataDir, 'public', 'ca.crt'),
    crlFile: crlFile ?? join(dataDir, 'public', 'ca.crl'),
    crlFileNamed: crlFile !== undefined,
  }
}

function readDialect(settings: SettingsReader): Dialect {
  const dialect = DIALECTS[settings.read('CERTLATCH_PROXY', choiceReader(PROXIES))]
  const usual = Object.values(DIALECTS).map(({ certificateHeader }) => certificateHeader)
  const header = settings.readOptional('CERTLATCH_CERTIFICATE_HEADER', headerNameReader(usual))
  return header === undefined ? dialect : { ...dialect, certificateHeader: header }
}

function readCookie(settings: SettingsReader): Pick<Config, 'cookieName' | 'cookieDomain'> {
  const hasDomain = settings.isGiven('CERTLATCH_COOKIE_DOMAIN')
  const name = settings.readOptional('CERTLATCH_COOKIE_NAME', cookieNameReader(hasDomain))
  return {
    cookieName: name ?? (hasDomain ? '__Secure-certlatch' : '__Host-certlatch'),
    cookieDomain: settings.readOptional('CERTLATCH_COOKIE_DOMAIN', readDomain),
  }
}

/** Each pair must differ: what a client can reach is decided by the listener. */
function checkAddresses(
  settings: SettingsReader,
  { listen, adminListen, pagesListen }: Config,
): void {
  const addresses = [
    ['CERTLATCH_LISTEN', listen],
    ['CERTLATCH_ADMIN_LISTEN', adminListen],
    ['CERTLATCH_PAGES_LISTEN', pagesListen],
  ] as const
  for (const [index, named] of addresses.entries()) {
    for (const before of addresses.slice(0, index)) checkPair(settings, before, named)
  }
}

type Named = readonly [name: SettingName, address: ListenAddress]

/** Port 0 means any free port, so two of them never collide. */
function checkPair(settings: SettingsReader, [one, first]: Named, [other, second]: Named): void {
  const isSame = first.host === second.host && first.port === second.port
  if (!isSame || first.port === 0) return
  if (!settings.isSound(one) || !settings.isSound(other)) return
  if (settings.isGiven(other)) settings.report(other, `expected another address than ${one} has`)
  else settings.report(one, `expected another address than the default of ${other}`)
}

function checkDurations(
  settings: SettingsReader,
  { sessionTtlSeconds, sessionMaxAgeSeconds }: Config,
): void {
  if (sessionMaxAgeSeconds >= sessionTtlSeconds) return
  if (!settings.isSound('CERTLATCH_SESSION_TTL')) return
  if (!settings.isSound('CERTLATCH_SESSION_MAX_AGE')) return
  if (settings.isGiven('CERTLATCH_SESSION_MAX_AGE')) {
    const least = writeDuration(sessionTtlSeconds)
    settings.report(
      'CERTLATCH_SESSION_MAX_AGE',
      `expected at least ${least}, which CERTLATCH_SESSION_TTL is`,
    )
  } else {
    const most = writeDuration(sessionMaxAgeSeconds)
    settings.report(
      'CERTLATCH_SESSION_TTL',
      `expected at most ${most}, which CERTLATCH_SESSION_MAX_AGE is by default`,
    )
  }
}
