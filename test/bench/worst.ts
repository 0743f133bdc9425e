import { randomBytes } from 'node:crypto'
import { type Headers, headersOf, type Scene, withBrokenSignature } from './scene.ts'

/** A request that shows nothing good, made to cost as much as it can. */
export interface WorstInput {
  readonly name: string
  /** Each is a whole request; several where one alone would be remembered. */
  readonly requests: readonly string[]
  /** Certificates are checked only within a budget: at a higher rate most are not. */
  readonly isBudgeted?: boolean
  /** What a rule, or a preflight, lets pass: that needs no credential either. */
  readonly status?: 200
}

/** What is read at most: of a path, and of all headers together with those that a proxy adds. */
const PATH_BYTES = 8_000
const HEADER_BYTES = 46_000
const DISTINCT = 2_000
export const FRIEND = 'https://cast.example.org'

const fill = (pattern: string, bytes: number): string =>
  pattern.repeat(Math.floor(bytes / pattern.length))

function text(headers: Headers, more: readonly (readonly [string, string])[] = []): string {
  const lines = [...Object.entries(headers), ...more].map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  return `GET /verify HTTP/1.1\r\n${lines.join('')}\r\n`
}

const withHeader = (name: string, value: string): readonly string[] => [
  text(headersOf({ more: { [name]: value } })),
]

export const plainRefusal: readonly string[] = [text(headersOf({}))]

/** Every kind of request that might be expensive. */
export function worstInputs(scene: Scene): readonly WorstInput[] {
  return [...paths(), ...headers(), ...passing(), ...cookies(scene), ...certificates(scene)]
}

function paths(): readonly WorstInput[] {
  const patterns = [
    ...['a', '/', '/a', '/.', '/..', '/.%20', ';', '\\', '/;', '.'],
    ...['%25', '%2525', '%41', '%c3', '%c3%a9', '%2e', '%2f', '%00', '%20', '%ff'],
  ]
  const path = (pattern: string, bytes: number): WorstInput => ({
    name: `a path of ${Math.floor(bytes / pattern.length)} \`${pattern}\``,
    requests: withHeader('X-Forwarded-Uri', `/${fill(pattern, bytes)}`),
  })
  return [...patterns.map((pattern) => path(pattern, PATH_BYTES)), path('%25', HEADER_BYTES)]
}

function headers(): readonly WorstInput[] {
  const long = (name: string, pattern: string): WorstInput => ({
    name: `${name}: 46 kB of \`${pattern}\``,
    requests: withHeader(name, fill(pattern, HEADER_BYTES)),
  })
  const many = (what: string, nameOf: (index: number) => string, value = ''): WorstInput => {
    const count = Math.floor(HEADER_BYTES / (nameOf(999).length + value.length + 4))
    const lines = Array.from({ length: count }, (_, index) => [nameOf(index), value] as const)
    return { name: `${count} ${what}`, requests: [text(headersOf({}), lines)] }
  }
  return [
    {
      name: 'a query of 46 kB',
      requests: withHeader('X-Forwarded-Uri', `/?${fill('%25', HEADER_BYTES)}`),
    },
    long('X-Forwarded-For', '::1,'),
    long('X-Forwarded-For', '127.0.0.1,'),
    long('X-Forwarded-For', ' '.repeat(9)),
    long('X-Forwarded-For', 'f:'),
    long('X-Forwarded-Host', 'a.'),
    long('X-Forwarded-Method', 'A'),
    long('X-Forwarded-Proto', 'https,'),
    long('Origin', 'https://a.'),
    long('Accept', 'text/htm,'),
    long('Accept', 'a/b;q=0.1,'),
    long('Accept-Language', 'en;q=0.1,'),
    long('Accept-Language', 'a,'),
    long('Sec-Fetch-Site', 'same-origin,'),
    long('X-Certlatch-Proxy-Secret', 'a'),
    long('X-Request-Id', 'a'),
    many('headers without a value', (index) => index.toString(36)),
    many('headers of the same name', () => 'a'),
    many('lines of Accept', () => 'Accept', 'a'),
    many('lines of Cookie', () => 'Cookie', 'a'),
    many('lines of X-Forwarded-For', () => 'X-Forwarded-For', '::1'),
    many('lines of Sec-Fetch-Site', () => 'Sec-Fetch-Site', 'a'),
    many(
      'names with an underscore',
      (index) => `x_forwarded_${index.toString(36).padStart(3, 'z')}`,
    ),
    { name: 'a name of 46 kB of `_`', requests: withHeader(fill('_', HEADER_BYTES), 'a') },
  ]
}

/** Allowed by a rule, or as a preflight of a listed site. */
function passing(): readonly WorstInput[] {
  const open = { 'X-Forwarded-Uri': '/api/webhook/0123456789abcdef' }
  const preflight = {
    'X-Forwarded-Method': 'OPTIONS',
    Origin: FRIEND,
    'Access-Control-Request-Method': 'POST',
  }
  const cookie = { Cookie: fill('a;', HEADER_BYTES) }
  return [
    { name: 'what a rule opens', requests: [text(headersOf({ more: open }))], status: 200 },
    {
      name: 'what a rule opens, with 23,000 cookies',
      requests: [text(headersOf({ more: { ...open, ...cookie } }))],
      status: 200,
    },
    { name: 'a preflight', requests: [text(headersOf({ more: preflight }))], status: 200 },
    {
      name: 'a preflight of a path of 2,600 `%41`',
      requests: [
        text(
          headersOf({ more: { ...preflight, 'X-Forwarded-Uri': `/${fill('%41', PATH_BYTES)}` } }),
        ),
      ],
      status: 200,
    },
  ]
}

function cookies(scene: Scene): readonly WorstInput[] {
  const name = '__Host-certlatch'
  const long = (pattern: string): WorstInput => ({
    name: `Cookie: 46 kB of \`${pattern}\``,
    requests: withHeader('Cookie', fill(pattern, HEADER_BYTES)),
  })
  const four = (value: () => string) =>
    Array.from({ length: DISTINCT }, () =>
      text(
        headersOf({
          more: {
            Cookie: Array.from({ length: 4 }, () => `${name}=${value()}`).join('; '),
            // Judged twice: by its own rule and by the strictest.
            'X-Forwarded-Uri': '/api/webhook/..%2fx',
          },
        }),
      ),
    )
  const payload = () => randomBytes(1_500).toString('base64url')
  return [
    long(';'),
    long('; '),
    long('a;'),
    long('a=b; '),
    long(' '),
    long(name),
    long(`${name}; `),
    long(`${name}=; `),
    { name: 'four forged tokens', requests: four(() => scene.forgeSession()) },
    {
      name: 'four forged tokens of 2 kB',
      requests: four(() => `v1.${payload()}.${randomBytes(32).toString('base64url')}`),
    },
    {
      name: 'four tokens of 15 kB',
      requests: four(
        () => `v1.${fill('A', 14_900)}.${randomBytes(32).toString('base64url')}`,
      ).slice(0, 200),
    },
  ]
}

function certificates(scene: Scene): readonly WorstInput[] {
  const shown = (value: string): readonly string[] =>
    withHeader('X-Forwarded-Tls-Client-Cert', value)
  const distinct = (
    value: (index: number) => string,
    count: number = DISTINCT,
  ): readonly string[] => Array.from({ length: count }, (_, index) => shown(value(index))).flat()
  const der = scene.issueCertificate()
  const base64 = (bytes: Buffer) => bytes.toString('base64')
  const end = (index: number) => `,${base64(randomBytes(30))}${index % 10}`
  const rows: readonly (readonly [string, readonly string[]])[] = [
    [
      'a new certificate with a wrong signature',
      distinct((index) => base64(withBrokenSignature(der, index))),
    ],
    ['a certificate of 12 kB that is none', distinct(() => base64(randomBytes(12_000)), 500)],
    ['a certificate of 44 kB that is none', distinct(() => base64(randomBytes(33_000)), 200)],
    [
      'a certificate of 12 kB of `0x30`',
      distinct(() => base64(Buffer.concat([Buffer.alloc(12_000, 0x30), randomBytes(9)])), 500),
    ],
    [
      'a list of certificates of 44 kB of `AAAA,`',
      distinct((index) => `${fill('AAAA,', 44_000)}${end(index)}`, 200),
    ],
    [
      'a certificate of 44 kB of `%41`',
      distinct((index) => `${fill('%41', 44_000)}${end(index)}`, 200),
    ],
    [
      'a certificate of 44 kB of `%2C`',
      distinct((index) => `${fill('%2C', 44_000)}${end(index)}`, 200),
    ],
    [
      'a certificate of 44 kB of `-----`',
      distinct((index) => `${fill('-----', 44_000)}${end(index)}`, 200),
    ],
  ]
  return rows.map(([name, requests]) => ({ name, requests, isBudgeted: true }))
}
