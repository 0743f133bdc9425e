import { verifyCertificate } from '../../src/certificate/verify.ts'
import type { AuthRequest, Grounds, Recognized } from '../../src/decide.ts'
import type { Identity } from '../../src/decision.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { CLOSED_POLICY, type Policy } from '../../src/policy/policy.ts'
import { DIALECTS, type DialectName } from '../../src/proxy/dialects.ts'
import { readCertificateHeader } from '../../src/proxy/encodings.ts'
import { type Networks, parseNetworks } from '../../src/proxy/networks.ts'
import { createHeaderReader, type RequestHeaders } from '../../src/proxy/request-headers.ts'
import { type KeyRing, readKeyRing, type SessionKey, writeKey } from '../../src/session/key-ring.ts'
import {
  mintToken,
  openSession,
  type SessionClaims,
  type SessionLifetime,
  verifyToken,
} from '../../src/session/token.ts'
import { fixture, issuerOf, NOW_SECONDS, type TrustOptions, trustOf } from './pki.ts'

/** Header fields by name; several values make several lines, `undefined` takes a field out. */
export type HeaderFields = Readonly<Record<string, string | readonly string[] | undefined>>

/** What a proxy always says of a request: a page of ha.test. */
const PAGE: HeaderFields = {
  'X-Forwarded-Method': 'GET',
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-Host': 'ha.test',
  'X-Forwarded-Uri': '/lovelace/0?kiosk=1',
  'X-Forwarded-For': '192.0.2.7',
}

/** The lines as Node's `rawHeaders` has them: a whole request, with these fields changed. */
export function rawHeaders(fields: HeaderFields = {}): readonly string[] {
  return Object.entries({ ...PAGE, ...fields }).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : (value ?? [])).flatMap((line) => [name, line]),
  )
}

const READERS = {
  traefik: createHeaderReader(DIALECTS.traefik),
  caddy: createHeaderReader(DIALECTS.caddy),
  haproxy: createHeaderReader(DIALECTS.haproxy),
  nginx: createHeaderReader(DIALECTS.nginx),
} as const

export function requestHeaders(
  fields: HeaderFields = {},
  dialect: DialectName = 'traefik',
): RequestHeaders {
  return READERS[dialect].read(rawHeaders(fields))
}

export function question(
  fields: HeaderFields = {},
  {
    dialect = 'traefik',
    fromTrustedAddress = true,
  }: { readonly dialect?: DialectName; readonly fromTrustedAddress?: boolean } = {},
): AuthRequest {
  return { fromTrustedAddress, headers: requestHeaders(fields, dialect) }
}

/** A ring of one key for each number. */
export function keyRingOf(...seeds: readonly number[]): KeyRing {
  const read = readKeyRing(seeds.map((seed) => writeKey(Buffer.alloc(32, seed))).join('\n'))
  if (!read.ok) throw new Error(read.problem)
  return read.ring
}

export function onlyKey({ keys: [key] }: KeyRing): SessionKey {
  if (key === undefined) throw new Error('no key')
  return key
}

export const KEY_RING = keyRingOf(1)
export const LIFETIME: SessionLifetime = { ttlSeconds: 3600, maxAgeSeconds: 86_400 }
export const COOKIE_NAME = '__Host-certlatch'

/** The session of this fixture's certificate in a registry that knows it, with changes. */
export function claimsOf(
  leaf = 'leaf-good',
  changes: Partial<SessionClaims> = {},
  authority = 'ca-p256',
  openedAt = NOW_SECONDS,
): SessionClaims {
  const verdict = verifyCertificate(fixture(leaf), [issuerOf(authority)])
  if (!verdict.ok) throw new Error(`${leaf}: ${verdict.problem}`)
  const { verified } = verdict
  const certificate = { ...verified, certificateSha256: verified.sha256, name: undefined }
  return { ...openSession(certificate, 'ha.test', LIFETIME, openedAt), ...changes }
}

/** One `name=value` pair of a Cookie header. */
export const sessionPair = (
  claims: SessionClaims,
  key: SessionKey = onlyKey(KEY_RING),
  name = COOKIE_NAME,
): string => `${name}=${mintToken(claims, key)}`

export const LOOPBACK: Networks = networksOf('loopback')

export function networksOf(...items: readonly string[]): Networks {
  const parsed = parseNetworks(items)
  if (!parsed.ok) throw new Error(parsed.problems.join('; '))
  return parsed.networks
}

/** The rules that a policy file of these lines makes. */
export function policyFrom(...lines: readonly string[]): Policy {
  const parsed = parsePolicy(Buffer.from(['version: 1', ...lines].join('\n')), LOOPBACK)
  if (!parsed.ok) throw new Error(parsed.problems.join('; '))
  return parsed.policy
}

export const ADA: Identity = { device: 'Phone of Ada', user: 'ada' }
export const GRACE: Identity = { device: 'Phone of Grace', user: 'grace' }

export interface GroundsOptions extends TrustOptions {
  readonly dialect?: DialectName
  readonly authorities?: readonly string[]
  readonly revocationLists?: readonly string[]
  readonly keyRing?: KeyRing
  readonly lifetime?: SessionLifetime
  readonly policy?: Policy
  readonly trustedProxies?: Networks
  readonly proxySecret?: string
  readonly cookieName?: string
  readonly cookieDomain?: string
  /** Fixtures in the registry; `undefined`: an external CA, whose certificates name themselves. */
  readonly registry?: ReadonlyMap<string, Identity> | undefined
  /** Unix seconds by the device's name. */
  readonly signOuts?: ReadonlyMap<string, number>
  /** Unix seconds by the fixture. */
  readonly endsAt?: ReadonlyMap<string, number>
}

const REGISTRY: ReadonlyMap<string, Identity> = new Map([
  ['leaf-good', ADA],
  ['leaf-second', GRACE],
])

/** Grounds with the real verifiers and without any memory. */
export function groundsOf(options: GroundsOptions = {}): Grounds {
  const trust = trustOf(
    options.authorities ?? ['ca-p256'],
    options.revocationLists ?? ['crl-empty'],
    options,
  )
  const keyRing = options.keyRing ?? KEY_RING
  const { name: proxy, encoding } = DIALECTS[options.dialect ?? 'traefik']
  return {
    proxy,
    proxySecret: options.proxySecret === undefined ? undefined : Buffer.from(options.proxySecret),
    policy: options.policy ?? CLOSED_POLICY,
    trustedProxies: options.trustedProxies ?? LOOPBACK,
    trust,
    cookieName: options.cookieName ?? COOKIE_NAME,
    cookieDomain: options.cookieDomain,
    lifetime: options.lifetime ?? LIFETIME,
    verifyCertificate(headerValue) {
      const shown = readCertificateHeader(headerValue, encoding)
      if (shown.kind === 'absent') return 'absent'
      return shown.kind === 'malformed'
        ? { ok: false, problem: 'certificate-malformed' }
        : verifyCertificate(shown.der, trust.issuers)
    },
    verifyToken: (token) => verifyToken(token, keyRing),
    recognize: recognizerOf('registry' in options ? options.registry : REGISTRY, options.endsAt),
    signedOutAt: (device) => options.signOuts?.get(device),
  }
}

function recognizerOf(
  registry: ReadonlyMap<string, Identity> | undefined,
  endsAt: ReadonlyMap<string, number> = new Map(),
): Grounds['recognize'] {
  if (registry === undefined) {
    return ({ name }): Recognized =>
      name === undefined
        ? { ok: false, problem: 'no-identity' }
        : { ok: true, identity: { device: name, user: name }, name }
  }
  const devices = new Map(
    [...registry].map(([leaf, identity]) => {
      const { issuerKeyHash, serial } = claimsOf(leaf)
      return [`${issuerKeyHash} ${serial}`, { identity, end: endsAt.get(leaf) }] as const
    }),
  )
  return ({ issuerKeyHash, serial }, nowSeconds): Recognized => {
    const device = devices.get(`${issuerKeyHash} ${serial}`)
    if (device === undefined) return { ok: false, problem: 'unknown-device' }
    const { identity, end = Number.POSITIVE_INFINITY } = device
    return nowSeconds >= end
      ? { ok: false, problem: 'certificate-superseded' }
      : { ok: true, identity, name: undefined }
  }
}
