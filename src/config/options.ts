import { DEFAULT_IDENTITY } from '../certificate/identity.ts'
import { DIALECTS, type DialectName } from '../proxy/dialects.ts'

export const STALE_CRL_CHOICES = ['deny', 'allow'] as const
export const DENIALS = ['403', 'adaptive'] as const
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export const LOG_FORMATS = ['json', 'text'] as const
export const LOG_CLIENTS = ['full', 'shortened', 'none'] as const
export const PROXIES: readonly DialectName[] = Object.values(DIALECTS).map(({ name }) => name)

/** What a value has to look like, by kind of setting; follows `expected`. */
const EXPECTATIONS = {
  address: 'an IP address and a port such as 127.0.0.1:9180, 0.0.0.0:9180 or [::1]:9180',
  path: 'a path',
  duration: 'a duration such as 90s, 15m or 1h',
  networks: 'addresses or networks such as loopback, 192.168.1.10 or 172.18.0.0/16',
  header: 'a header name of letters, digits and "-", such as X-Forwarded-Tls-Client-Cert',
  secret: 'at least 16 printable ASCII characters without spaces',
  passphrase: 'one line of text',
  command:
    'a JSON array of a program and its arguments, such as ["/usr/bin/touch", "/run/revoked"]',
  service: 'a name of letters, digits, "-", "_" and ".", such as certlatch',
  'cookie-name': 'a cookie name such as __Host-certlatch',
  origin: 'an https address without a path, such as https://home.example.org',
  identity: `one or more of ${DEFAULT_IDENTITY.join(', ')}, with commas between them`,
  domain: 'a domain name such as example.org, without a dot before it, port or path',
} as const

type Kind =
  | { readonly kind: keyof typeof EXPECTATIONS }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }

export type Option = Kind & {
  readonly name: string
  /** The value of a setting that is not given. */
  readonly default?: string
  /** Shown instead of a default that depends on other settings. */
  readonly otherwise?: string
  /** Never shown, and also read from the file that `<name>_FILE` names. */
  readonly secret?: true
  /** One sentence for `certlatch serve --help` and docs/configuration.md. */
  readonly help: string
}

/** Every setting of certlatch. A row here and a line in `parseConfig` make a new one. */
const ROWS = [
  {
    name: 'CERTLATCH_LISTEN',
    kind: 'address',
    default: '127.0.0.1:9180',
    help: 'where the proxy sends its auth requests (/verify)',
  },
  {
    name: 'CERTLATCH_ADMIN_LISTEN',
    kind: 'address',
    default: '127.0.0.1:9181',
    help: 'where /metrics, /status, /healthz and /readyz are served',
  },
  {
    name: 'CERTLATCH_PAGES_LISTEN',
    kind: 'address',
    default: '127.0.0.1:9182',
    help: 'where the pages under /.certlatch/auth/ are served, which the proxy passes to clients',
  },
  {
    name: 'CERTLATCH_URL',
    kind: 'origin',
    help: 'the address of the application, for the links of certlatch device invite',
  },
  {
    name: 'CERTLATCH_DATA_DIR',
    kind: 'path',
    default: './data',
    help: 'the directory of the CA, its CRL and the session keys',
  },
  {
    name: 'CERTLATCH_CA_FILE',
    kind: 'path',
    otherwise: '<data>/public/ca.crt',
    help: 'file of the client CAs to trust instead of the built-in one: PEM, or one in DER',
  },
  {
    name: 'CERTLATCH_CRL_FILE',
    kind: 'path',
    otherwise: '<data>/public/ca.crl, none with CERTLATCH_CA_FILE',
    help: 'file with the CRLs of these CAs',
  },
  {
    name: 'CERTLATCH_CRL_STALE',
    kind: 'choice',
    choices: STALE_CRL_CHOICES,
    default: 'deny',
    help: 'what an out-of-date CRL of such a CA means for its certificates',
  },
  {
    name: 'CERTLATCH_IDENTITY',
    kind: 'identity',
    default: DEFAULT_IDENTITY.join(','),
    help: 'what names the holder of a certificate of such a CA: the first of these that it has',
  },
  {
    name: 'CERTLATCH_SESSION_KEYS_FILE',
    kind: 'path',
    otherwise: '<data>/private/session.keys',
    help: 'file with the keys of the session cookie, the same for all replicas',
  },
  {
    name: 'CERTLATCH_PROXY',
    kind: 'choice',
    choices: PROXIES,
    default: 'traefik',
    help: 'the proxy in use, which decides the header of the certificate and its encoding',
  },
  {
    name: 'CERTLATCH_CERTIFICATE_HEADER',
    kind: 'header',
    otherwise: 'by CERTLATCH_PROXY',
    help: "another header for the certificate; the proxy must remove a client's own copy",
  },
  {
    name: 'CERTLATCH_TRUSTED_PROXIES',
    kind: 'networks',
    default: 'loopback',
    help: 'addresses and networks from which auth requests are accepted',
  },
  {
    name: 'CERTLATCH_PROXY_SECRET',
    kind: 'secret',
    secret: true,
    help: 'if set, the proxy must send it in X-Certlatch-Proxy-Secret',
  },
  {
    name: 'CERTLATCH_SESSION_TTL',
    kind: 'duration',
    default: '1h',
    help: 'how long a session is valid until it is renewed',
  },
  {
    name: 'CERTLATCH_SESSION_MAX_AGE',
    kind: 'duration',
    default: '24h',
    help: 'how long a session is renewed before the certificate has to be shown again',
  },
  {
    name: 'CERTLATCH_COOKIE_NAME',
    kind: 'cookie-name',
    otherwise: '__Host-certlatch, __Secure-certlatch with CERTLATCH_COOKIE_DOMAIN',
    help: 'the name of the session cookie',
  },
  {
    name: 'CERTLATCH_COOKIE_DOMAIN',
    kind: 'domain',
    help: 'one session for all hosts under this domain; all of them can act as the device',
  },
  {
    name: 'CERTLATCH_POLICY_FILE',
    kind: 'path',
    help: 'YAML file of rules; without one everything needs a certificate or a session',
  },
  {
    name: 'CERTLATCH_DENIAL',
    kind: 'choice',
    choices: DENIALS,
    default: '403',
    help: 'the status of refusals: always 403, or whatever phone apps and Safari handle best',
  },
  {
    name: 'CERTLATCH_CA_PASSPHRASE',
    kind: 'passphrase',
    secret: true,
    help: 'the passphrase of an encrypted CA key, for commands; certlatch serve needs none',
  },
  {
    name: 'CERTLATCH_ON_REVOKE',
    kind: 'command',
    help: 'what device revoke runs once every service has the revocation, without a shell',
  },
  {
    name: 'CERTLATCH_COMPOSE_SERVICE',
    kind: 'service',
    help: 'the name of this service in Docker Compose, so that commands can say how to fetch a file; the compose files in this repository set it',
  },
  {
    name: 'CERTLATCH_METRICS_TOKEN',
    kind: 'secret',
    secret: true,
    help: 'if set, /metrics and /status require it as a bearer token',
  },
  {
    name: 'CERTLATCH_LOG_LEVEL',
    kind: 'choice',
    choices: LOG_LEVELS,
    default: 'info',
    help: 'the least important lines that are logged',
  },
  {
    name: 'CERTLATCH_LOG_FORMAT',
    kind: 'choice',
    choices: LOG_FORMATS,
    default: 'json',
    help: 'how lines are written: for programs, or for a person at a terminal',
  },
  {
    name: 'CERTLATCH_LOG_CLIENT',
    kind: 'choice',
    choices: LOG_CLIENTS,
    default: 'full',
    help: "how much of a client's address is logged; shortened: its network only (/24, IPv6 /48)",
  },
] as const

export type SettingName = (typeof ROWS)[number]['name']

export const OPTIONS: readonly (Option & { readonly name: SettingName })[] = ROWS

const BY_NAME: ReadonlyMap<string, Option> = new Map(OPTIONS.map((option) => [option.name, option]))

/** The row of a setting that the compiler knows to exist. */
export function optionOf(name: SettingName): Option {
  return BY_NAME.get(name) as Option
}

/** What a value of this setting looks like, to follow "expected". */
export function expectation(option: Option): string {
  if (option.kind !== 'choice') return EXPECTATIONS[option.kind]
  return option.choices.join(', ').replace(/, (?=[^ ]*$)/, ' or ')
}
