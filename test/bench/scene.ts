import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readCertificate } from '../../src/certificate/certificate.ts'
import {
  issueAuthority,
  issueCertificate,
  issueRevocationList,
  publicKeyInfoOf,
  type SigningAuthority,
} from '../../src/certificate/issue.ts'
import { writePem } from '../../src/certificate/pem.ts'
import { type Issuer, readIssuer, sha256Base64Url } from '../../src/certificate/verify.ts'
import type { DialectName } from '../../src/proxy/dialects.ts'
import { type KeyRing, readKeyRing, signingKey, writeKey } from '../../src/session/key-ring.ts'
import { mintToken, openSession, type SessionLifetime } from '../../src/session/token.ts'

const HOST = 'home.example.org'
const COOKIE = '__Host-certlatch'
const LIFETIME: SessionLifetime = { ttlSeconds: 3600, maxAgeSeconds: 86_400 }
const DAY = 86_400
/** What a CRL of a household, or a small office, may hold. */
const REVOKED = 100

/** A CA, its devices, and the sessions of one of them. */
export interface Scene {
  readonly issuer: Issuer
  readonly keyRing: KeyRing
  /** The session key as certlatch's key file has it. */
  readonly key: string
  readonly authorityPem: string
  readonly revocationListPem: string
  /** A new certificate, P-256, DER. */
  issueCertificate(): Buffer
  /** A new session, its cookie never sent before; of this certificate, or of some one. */
  mintSession(der?: Buffer): string
  /** A new one that another key has signed. */
  forgeSession(): string
  /** A newer CRL of so many serial numbers, PEM. */
  revocationList(entries: number, number: number): string
}

export function makeScene(): Scene {
  const now = Math.floor(Date.now() / 1000)
  const validity = { notBefore: now - DAY, notAfter: now + 365 * DAY }
  const authority = makeAuthority(validity)
  const read = readIssuer(authority.certificate.der)
  if (!read.ok) throw new Error(read.problem)
  const { issuer } = read
  const certificateKey = publicKeyInfoOf(newKey())
  const key = writeKey(randomBytes(32))
  const session = (ring: KeyRing, der?: Buffer): string => {
    const signer = signingKey(ring, now)
    if (signer === undefined) throw new Error('no key')
    const certificate = {
      issuerKeyHash: issuer.keyHash,
      serial: der === undefined ? randomBytes(16).toString('hex') : serialOf(der),
      certificateSha256: sha256Base64Url(randomBytes(32)),
      name: 'ada@example.org',
      distributionPoints: undefined,
      notAfter: validity.notAfter,
    }
    return mintToken(openSession(certificate, HOST, LIFETIME, now), signer)
  }
  const [keyRing, foreignRing] = [ringOf(key), ringOf(writeKey(randomBytes(32)))]
  const revocationList = (entries: number, number: number): string => {
    const revoked = Array.from({ length: entries }, () => ({
      serial: `5a${randomBytes(15).toString('hex')}`,
      revokedAt: now - DAY,
    }))
    const list = { number, thisUpdate: now - DAY, nextUpdate: now + 30 * DAY, revoked }
    return writePem('X509 CRL', issueRevocationList(list, authority))
  }
  return {
    issuer,
    keyRing,
    key,
    authorityPem: writePem('CERTIFICATE', authority.certificate.der),
    revocationListPem: revocationList(REVOKED, 1),
    revocationList,
    issueCertificate: () =>
      issueCertificate(
        {
          ...validity,
          commonName: 'Phone of Ada',
          publicKeyInfo: certificateKey,
          serial: randomBytes(16),
          uri: 'urn:example:phone-of-ada',
        },
        authority,
      ),
    mintSession: (der) => session(keyRing, der),
    forgeSession: () => session(foreignRing),
  }
}

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey

function makeAuthority(validity: { notBefore: number; notAfter: number }): SigningAuthority {
  const privateKey = newKey()
  const request = { ...validity, commonName: 'Ada', privateKey, serial: randomBytes(16) }
  const certificate = readCertificate(issueAuthority(request))
  if (certificate === undefined) throw new Error('no CA')
  return { certificate, privateKey }
}

function serialOf(der: Buffer): string {
  const certificate = readCertificate(der)
  if (certificate === undefined) throw new Error('no certificate')
  return certificate.serial
}

function ringOf(key: string): KeyRing {
  const read = readKeyRing(key)
  if (!read.ok) throw new Error(read.problem)
  return read.ring
}

export type Headers = Readonly<Record<string, string>>

/** Eleven headers as a proxy sends them, the client's own among them; with one more on demand. */
export function headersOf({ session, more = {} }: { session?: string; more?: Headers }): Headers {
  return {
    Host: HOST,
    'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0',
    Accept: '*/*',
    'Accept-Encoding': 'gzip, deflate, br, zstd',
    'Accept-Language': 'en-GB,en;q=0.5',
    Cookie: session === undefined ? 'theme=dark' : `theme=dark; ${COOKIE}=${session}`,
    'X-Forwarded-For': '192.168.1.23',
    'X-Forwarded-Host': HOST,
    'X-Forwarded-Method': 'GET',
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-Uri': '/api/states/light.kitchen?v=2',
    ...more,
  }
}

/** The certificate as this proxy writes it into its header. */
export function certificateHeader(proxy: 'traefik' | 'caddy', der: Buffer): Headers {
  const base64 = der.toString('base64')
  return proxy === 'traefik'
    ? { 'X-Forwarded-Tls-Client-Cert': base64 }
    : { 'Client-Cert': `:${base64}:` }
}

/** Different signatures of the same length: only verification can distinguish them. */
export function withBrokenSignature(der: Buffer, index: number): Buffer {
  const copy = Buffer.from(der)
  copy.writeUInt32BE(index, copy.length - 8)
  return copy
}

/** A file of whole requests, separated by NUL, for the generator. */
export async function writeRequests(
  file: string,
  requests: readonly Headers[],
  path = '/verify',
): Promise<string> {
  const texts = requests.map((headers) => {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
  })
  await writeFile(file, texts.join('\0'), 'latin1')
  return file
}

/** What certlatch reads at its start; gives the environment that names it. */
export async function writeFiles(folder: string, scene: Scene): Promise<Headers> {
  const files = {
    CERTLATCH_CA_FILE: ['ca.crt', scene.authorityPem],
    CERTLATCH_CRL_FILE: ['ca.crl', scene.revocationListPem],
    CERTLATCH_SESSION_KEYS_FILE: ['session.keys', `${scene.key}\n`],
  } as const
  const environment: Record<string, string> = {
    CERTLATCH_DATA_DIR: join(folder, 'data'),
    CERTLATCH_LOG_LEVEL: 'warn',
  }
  for (const [setting, [name, text]] of Object.entries(files)) {
    const file = join(folder, name)
    await writeFile(file, text, { mode: 0o600 })
    environment[setting] = file
  }
  return environment
}

/** The rules of a household, on top of the files; gives the environment that names them too. */
export async function writePolicy(folder: string, files: Headers): Promise<Headers> {
  const file = join(folder, 'policy.yaml')
  await writeFile(
    file,
    'version: 1\npreset: home-assistant\nenable: [google-assistant, cast-media]\n',
  )
  return { ...files, CERTLATCH_POLICY_FILE: file }
}

/** What the preset opens. */
export const OPEN_URI = `/api/webhook/${'0123456789abcdef'.repeat(4)}`

/** The settings of one certlatch process. */
export function settingsOf(
  files: Headers,
  proxy: DialectName,
  port: number,
  adminPort: number,
): Headers {
  return {
    ...files,
    CERTLATCH_PROXY: proxy,
    CERTLATCH_LISTEN: `127.0.0.1:${port}`,
    CERTLATCH_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
    CERTLATCH_PAGES_LISTEN: '127.0.0.1:0',
  }
}
