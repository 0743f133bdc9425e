import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readCertificate } from '../../../src/certificate/certificate.ts'
import {
  issueAuthority,
  issueCertificate,
  issueRevocationList,
  publicKeyInfoOf,
  type SigningAuthority,
} from '../../../src/certificate/issue.ts'
import { writePem } from '../../../src/certificate/pem.ts'
import { PASSWORD_RANDOM_BYTES, packagePassword } from '../../../src/enrollment/password.ts'
import { type Pkcs12Form, writePkcs12 } from '../../../src/enrollment/pkcs12.ts'

/** What certificate stores show of every package here. */
export const FRIENDLY_NAME = 'Jürgens Händy 📱'

const PASSWORDS = {
  generated: packagePassword(randomBytes(PASSWORD_RANDOM_BYTES)),
  unicode: 'Grün пароль',
  emoji: 'Grün 📱',
} as const
export type PasswordKind = keyof typeof PASSWORDS

const KEYS: Readonly<Record<string, () => KeyObject>> = {
  p256: () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey,
  rsa2048: () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
}

export interface Leaf {
  readonly certificate: Buffer
  readonly privateKey: KeyObject
  readonly derFile: string
  readonly pemFile: string
}

/** A package as a person would get it. */
export interface Package extends Leaf {
  /** `p256, compat, generated password` */
  readonly name: string
  readonly form: Pkcs12Form
  readonly passwordKind: PasswordKind
  readonly password: string
  readonly bytes: Buffer
  readonly file: string
}

/** What our own code has issued and packed, in files that other programs read. */
export interface Household {
  readonly folder: string
  readonly authority: Issued
  readonly revocationList: Issued
  /** One for each kind of key. */
  readonly leaves: readonly Leaf[]
  /** Certificates that the list revokes, with their reasons. */
  readonly revoked: readonly Leaf[]
  readonly packages: readonly Package[]
  readonly nowSeconds: number
  close(): void
}

interface Issued {
  readonly derFile: string
  readonly pemFile: string
}

export const REASONS = ['keyCompromise', 'superseded', 'cessationOfOperation', undefined] as const

export function makeHousehold(): Household {
  const folder = mkdtempSync(join(tmpdir(), 'certlatch-importers-'))
  const nowSeconds = Math.floor(Date.now() / 1000)
  const write = (name: string, label: string, der: Buffer): Issued => {
    const files = { derFile: join(folder, `${name}.der`), pemFile: join(folder, `${name}.pem`) }
    writeFileSync(files.derFile, der)
    writeFileSync(files.pemFile, writePem(label, der))
    return files
  }
  const signer = makeAuthority(nowSeconds)
  const leafOf = (name: string, privateKey: KeyObject): Leaf => {
    const certificate = issueLeaf(signer, privateKey, nowSeconds)
    return { certificate, privateKey, ...write(name, 'CERTIFICATE', certificate) }
  }
  const byKey = Object.entries(KEYS).map(
    ([name, makeKey]) => [name, leafOf(name, makeKey())] as const,
  )
  const leaves = byKey.map(([, leaf]) => leaf)
  const revoked = REASONS.map((_, index) => leafOf(`revoked-${index}`, signer.privateKey))
  const list = issueRevocationList(
    {
      number: nowSeconds,
      thisUpdate: nowSeconds - 60,
      nextUpdate: nowSeconds + 86_400,
      revoked: revoked.map(({ certificate }, index) => ({
        serial: readCertificate(certificate)?.serial ?? '',
        revokedAt: nowSeconds - 60,
        reason: REASONS[index],
      })),
    },
    signer,
  )
  return {
    folder,
    authority: write('ca', 'CERTIFICATE', signer.certificate.der),
    revocationList: write('crl', 'X509 CRL', list),
    leaves,
    revoked,
    packages: byKey.flatMap(([name, leaf]) => packagesOf(folder, name, leaf)),
    nowSeconds,
    close: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function makeAuthority(nowSeconds: number): SigningAuthority {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const der = issueAuthority({
    commonName: 'Home Device CA',
    privateKey,
    serial: randomBytes(16),
    notBefore: nowSeconds - 3600,
    notAfter: nowSeconds + 10 * 365 * 86_400,
  })
  const certificate = readCertificate(der)
  if (certificate === undefined) throw new Error('our own CA certificate cannot be read')
  return { certificate, privateKey }
}

const issueLeaf = (signer: SigningAuthority, privateKey: KeyObject, nowSeconds: number): Buffer =>
  issueCertificate(
    {
      commonName: FRIENDLY_NAME,
      publicKeyInfo: publicKeyInfoOf(privateKey),
      serial: randomBytes(16),
      uri: 'urn:uuid:1b4e28ba-2fa1-41d2-883f-0016d3cca427',
      notBefore: nowSeconds - 3600,
      notAfter: nowSeconds + 397 * 86_400,
    },
    signer,
  )

function packagesOf(folder: string, keyName: string, leaf: Leaf): readonly Package[] {
  return (['compat', 'modern'] as const).flatMap((form) =>
    (Object.keys(PASSWORDS) as readonly PasswordKind[]).map((passwordKind) => {
      const password = PASSWORDS[passwordKind]
      const bytes = writePkcs12(
        { ...leaf, form, friendlyName: FRIENDLY_NAME, password },
        randomBytes,
      )
      const file = join(folder, `${keyName}-${form}-${passwordKind}.p12`)
      writeFileSync(file, bytes)
      const name = `${keyName}, ${form}, ${passwordKind} password`
      return { ...leaf, name, form, passwordKind, password, bytes, file }
    }),
  )
}

export interface Answer {
  readonly ok: boolean
  readonly output: string
  /** What it wrote to standard output and to standard error. */
  readonly text: string
}

/** Runs a program to its end; bad answers are values. */
export function ask(program: string, ...options: readonly string[]): Answer {
  const { status, stdout, stderr, error } = spawnSync(program, options, {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
    timeout: 120_000,
  })
  if (error !== undefined) throw error
  return { ok: status === 0, output: stdout, text: `${stdout}\n${stderr}` }
}
