import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { readCertificate } from '../certificate/certificate.ts'
import { BACKDATE_SECONDS, issueAuthority, issueRevocationList } from '../certificate/issue.ts'
import { writePem } from '../certificate/pem.ts'

/** Ten years. */
export const AUTHORITY_DAYS = 3653
const SECONDS_PER_DAY = 86_400

export interface AuthorityOptions {
  readonly commonName?: string | undefined
  readonly days?: number | undefined
  /** Encrypts the key. */
  readonly passphrase?: string | undefined
}

/** A new built-in CA and its empty CRL, in PEM; the CRL is valid as long as the CA. */
export interface MadeAuthority {
  readonly privateKey: KeyObject
  readonly key: string
  readonly certificate: string
  readonly revocationList: string
}

export function makeAuthority(options: AuthorityOptions, nowSeconds: number): MadeAuthority {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const validity = {
    notBefore: nowSeconds - BACKDATE_SECONDS,
    notAfter: nowSeconds + (options.days ?? AUTHORITY_DAYS) * SECONDS_PER_DAY,
  }
  const der = issueAuthority({
    ...validity,
    // Random, because people could not tell two CAs of one name apart.
    commonName: options.commonName ?? `Certlatch Device CA ${randomBytes(3).toString('hex')}`,
    privateKey,
    serial: randomBytes(16),
  })
  const certificate = readCertificate(der)
  if (certificate === undefined) throw new Error('made a CA certificate that cannot be read back')
  const list = issueRevocationList(
    {
      number: nowSeconds,
      thisUpdate: validity.notBefore,
      nextUpdate: validity.notAfter,
      revoked: [],
    },
    { certificate, privateKey },
  )
  return {
    privateKey,
    key: writeAuthorityKey(privateKey, options.passphrase),
    certificate: writePem('CERTIFICATE', der),
    revocationList: writePem('X509 CRL', list),
  }
}

/** PKCS #8 in PEM, encrypted if there is a passphrase. */
export function writeAuthorityKey(privateKey: KeyObject, passphrase: string | undefined): string {
  const form = { type: 'pkcs8', format: 'pem' } as const
  const pem =
    passphrase === undefined
      ? privateKey.export(form)
      : privateKey.export({ ...form, cipher: 'aes-256-cbc', passphrase })
  return pem.toString()
}
