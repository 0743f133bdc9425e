import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type RevocationList, readRevocationList } from '../../src/certificate/revocation.ts'
import {
  certificateStandingProblem,
  groupByKeyHash,
  type TrustSet,
} from '../../src/certificate/trust.ts'
import {
  type CertificateProblem,
  type Issuer,
  readIssuer,
  verifyCertificate,
} from '../../src/certificate/verify.ts'
import { DIALECTS, type DialectName } from '../../src/proxy/dialects.ts'

/** Unix seconds of a moment at which the good fixtures and the PKITS files are valid. */
export const NOW_SECONDS = Date.UTC(2026, 10, 24) / 1000

/** The tests' data, found from dist/ as well. */
function fixturesFolder(): string {
  let directory = import.meta.dirname
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory)
  return join(directory, 'test', 'fixtures')
}

const FIXTURES = fixturesFolder()

/** A file below test/fixtures/. */
export const fixtureFile = (path: string): Buffer => readFileSync(join(FIXTURES, path))

/** The path of a fixture of test/fixtures/pki/, for programs that read files. */
export const fixturePath = (name: string): string => join(FIXTURES, 'pki', `${name}.pem`)

/** The PEM text of a fixture of test/fixtures/pki/: `fixturePem('leaf-good')`. */
export const fixturePem = (name: string): string => readFileSync(fixturePath(name), 'latin1')

/** The DER of a fixture with one block; decoded here, so that our PEM reader is not needed. */
export function fixture(name: string): Buffer {
  return Buffer.from(fixturePem(name).replace(/-----[A-Z0-9 ]+-----|\s/g, ''), 'base64')
}

/** The certificate header's value as this proxy sends it, of fixtures: the leaf, then others. */
export function certificateHeader(dialect: DialectName, ...names: readonly string[]): string {
  const [leaf = ''] = names
  switch (DIALECTS[dialect].encoding) {
    case 'traefik-list':
      return names.map((name) => fixture(name).toString('base64')).join(',')
    case 'rfc9440':
    case 'rfc9440-or-empty':
      return `:${fixture(leaf).toString('base64')}:`
    case 'url-escaped-pem':
      return encodeURIComponent(fixturePem(leaf))
  }
}

/** The issuer that a CA fixture makes. */
export function issuerOf(name: string): Issuer {
  const read = readIssuer(fixture(name))
  if (!read.ok) throw new Error(`${name}: ${read.problem}`)
  return read.issuer
}

/** The list that a CRL fixture makes with these issuers. */
export function revocationListOf(name: string, issuers: readonly Issuer[]): RevocationList {
  const read = readRevocationList(fixture(name), issuers)
  if (!read.ok) throw new Error(`${name}: ${read.problem}`)
  return read.list
}

export interface TrustOptions {
  readonly revocationListRequired?: boolean
  readonly staleRevocationList?: 'deny' | 'allow'
  /** `<issuer key hash>/<serial>` */
  readonly blocked?: readonly string[]
  readonly revoked?: readonly string[]
}

/** A trust set of issuers and lists, strict unless the options say otherwise. */
export function trustSetOf(
  issuers: readonly Issuer[],
  lists: readonly RevocationList[],
  {
    revocationListRequired = true,
    staleRevocationList = 'deny',
    blocked = [],
    revoked = [],
  }: TrustOptions = {},
): TrustSet {
  return {
    issuers,
    issuersByKeyHash: groupByKeyHash(issuers),
    revocationLists: new Map(lists.map((list) => [list.issuerKeyHash, list])),
    revocationListRequired,
    staleRevocationList,
    blocked: new Set(blocked),
    revoked: new Set(revoked),
  }
}

/** A trust set of fixtures: `trustOf(['ca-p256'], ['crl-empty'])`. */
export function trustOf(
  authorities: readonly string[],
  lists: readonly string[],
  options?: TrustOptions,
): TrustSet {
  const issuers = authorities.map(issuerOf)
  return trustSetOf(
    issuers,
    lists.map((name) => revocationListOf(name, issuers)),
    options,
  )
}

/** The whole verdict on a certificate: signature and usage, then dates and revocation. */
export function judge(
  der: Buffer,
  trust: TrustSet,
  nowSeconds: number = NOW_SECONDS,
): CertificateProblem | 'good' {
  const verdict = verifyCertificate(der, trust.issuers)
  if (!verdict.ok) return verdict.problem
  return certificateStandingProblem(verdict.verified, trust, nowSeconds) ?? 'good'
}
