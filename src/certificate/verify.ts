import { hash, type KeyObject } from 'node:crypto'
import type { Problem, Result } from '../result.ts'
import { type Certificate, readCertificate } from './certificate.ts'
import type { CertificateId } from './certificate-id.ts'
import {
  authorityKeyIdentifier,
  basicConstraints,
  CLIENT_AUTH,
  crlDistributionPointNames,
  EXTENSION,
  extendedKeyUsage,
  hasUnknownCritical,
  KEY_USAGE,
  keyUsage,
  subjectAltNames,
  subjectKeyIdentifier,
} from './extensions.ts'
import { certificateIdentity, DEFAULT_IDENTITY, type IdentityKind } from './identity.ts'
import { describeName } from './name.ts'
import { publicKeyFitness, readPublicKey } from './public-key.ts'
import { isSignedBy, signatureFitness } from './signature.ts'

/** Why a certificate is not accepted. */
export type CertificateProblem =
  | 'certificate-malformed'
  | 'certificate-untrusted'
  | 'certificate-expired'
  | 'certificate-not-yet-valid'
  | 'certificate-issuer-expired'
  | 'certificate-revoked'
  | 'certificate-blocked'
  | 'certificate-wrong-usage'
  | 'certificate-unknown-extension'
  | 'certificate-unsupported-algorithm'
  | 'certificate-weak'
  | 'certificate-crl-stale'
  | 'certificate-crl-missing'
  | 'certificate-rate-limited'

/** A CA certificate that may sign the certificates of devices. */
export interface Issuer {
  readonly certificate: Certificate
  /** SHA-256 of SubjectPublicKeyInfo, base64url. */
  readonly keyHash: string
  readonly key: KeyObject
  readonly keyIdentifier: Buffer | undefined
  /** Whether it may sign CRLs (no KeyUsage, or one with cRLSign). */
  readonly signsRevocationLists: boolean
}

/** What certlatch keeps of a certificate with a valid signature and usage. */
export interface VerifiedCertificate extends CertificateId {
  /** SHA-256 of the DER, base64url. */
  readonly sha256: string
  /** Unix seconds, inclusive. */
  readonly notBefore: number
  readonly notAfter: number
  /** Full names of its CRL distribution points, hashed; `undefined` without that extension. */
  readonly distributionPoints: readonly string[] | undefined
  /** The holder's name, for certificates of an external CA; see identity.ts. */
  readonly name: string | undefined
}

export type CertificateVerdict = Result<
  { verified: VerifiedCertificate },
  Problem<CertificateProblem>
>

const NAME_CONSTRAINTS = '2.5.29.30'

/** Extensions that are evaluated; certificates with other critical ones are refused (RFC 5280 §4.2). */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  EXTENSION.subjectKeyIdentifier,
  EXTENSION.authorityKeyIdentifier,
  EXTENSION.keyUsage,
  EXTENSION.extendedKeyUsage,
  EXTENSION.basicConstraints,
  EXTENSION.subjectAltName,
  EXTENSION.crlDistributionPoints,
])

export const sha256Base64Url = (bytes: Buffer): string => hash('sha256', bytes, 'base64url')

export type ReadIssuer = Result<{ issuer: Issuer }>

/**
 * Reads a CA certificate of the CA file; the problem is a sentence. An unfit CA is reported at startup,
 * because all its certificates would be refused later.
 */
export function readIssuer(der: Buffer): ReadIssuer {
  const certificate = readCertificate(der)
  if (certificate === undefined) return { ok: false, problem: 'not a certificate in strict DER' }
  const refuse = (why: string): ReadIssuer => ({
    ok: false,
    problem: `CA "${describeName(certificate.subject)}" ${why}`,
  })
  const constraints = basicConstraints(certificate.extensions)
  const usage = keyUsage(certificate.extensions)
  const purposes = extendedKeyUsage(certificate.extensions)
  const keyIdentifier = subjectKeyIdentifier(certificate.extensions)
  if (constraints === 'absent') return refuse('has no basicConstraints, so it is no CA certificate')
  if (constraints === 'malformed' || !constraints.certificateAuthority) {
    return refuse('is not a CA certificate (basicConstraints CA:FALSE)')
  }
  if (usage === 'malformed' || (usage !== 'absent' && !usage.has(KEY_USAGE.keyCertSign))) {
    return refuse('may not sign certificates (keyUsage without keyCertSign)')
  }
  if (purposes === 'malformed' || (purposes !== 'absent' && !purposes.includes(CLIENT_AUTH))) {
    return refuse('may not sign client certificates (extendedKeyUsage without clientAuth)')
  }
  if (keyIdentifier === 'malformed') return refuse('has an unreadable subjectKeyIdentifier')
  if (certificate.extensions.has(NAME_CONSTRAINTS)) {
    return refuse('has name constraints, which certlatch does not evaluate')
  }
  if (hasUnknownCritical(certificate.extensions, UNDERSTOOD)) {
    return refuse('has an unknown critical extension')
  }
  const read = readPublicKey(certificate.publicKey, certificate.publicKeyInfo)
  if (!read.ok) return refuse(read.problem)
  const issuer: Issuer = {
    certificate,
    keyHash: sha256Base64Url(certificate.publicKeyInfo),
    key: read.key,
    keyIdentifier: keyIdentifier === 'absent' ? undefined : keyIdentifier,
    signsRevocationLists: usage === 'absent' || usage.has(KEY_USAGE.crlSign),
  }
  return { ok: true, issuer }
}

/**
 * Verifies that one of the issuers signed this certificate for client authentication. Depth 1: no chain
 * is built, so nothing else that a client sends matters. Dates and revocation are not checked, so the
 * result may be cached as long as the issuers stay the same. Cheap checks come first: the signature is
 * verified only if the certificate names an issuer, and its own key only if an issuer signed it.
 * `identity` lists the parts of the certificate that may name its holder.
 */
export function verifyCertificate(
  der: Buffer,
  issuers: readonly Issuer[],
  identity: readonly IdentityKind[] = DEFAULT_IDENTITY,
): CertificateVerdict {
  const refuse = (problem: CertificateProblem): CertificateVerdict => ({ ok: false, problem })
  const certificate = readCertificate(der)
  if (certificate === undefined) return refuse('certificate-malformed')
  const named = issuers.filter(
    (issuer) => issuer.certificate.subject.comparable === certificate.issuer.comparable,
  )
  if (named.length === 0) return refuse('certificate-untrusted')
  const problem = unfitness(certificate)
  if (problem !== undefined) return refuse(problem)
  const issuer = named.find(
    (candidate) =>
      keyIdentifierFits(certificate, candidate) && isSignedBy(certificate, candidate.key),
  )
  if (issuer === undefined) return refuse('certificate-untrusted')
  const key = readPublicKey(certificate.publicKey, certificate.publicKeyInfo)
  if (!key.ok) return refuse('certificate-weak')
  const points = crlDistributionPointNames(certificate.extensions)
  if (points === 'malformed') return refuse('certificate-malformed')
  return {
    ok: true,
    verified: {
      issuerKeyHash: issuer.keyHash,
      serial: certificate.serial,
      sha256: sha256Base64Url(der),
      notBefore: certificate.notBefore,
      notAfter: certificate.notAfter,
      distributionPoints: points === 'absent' ? undefined : points,
      name: certificateIdentity(certificate, identity),
    },
  }
}

/** Why the certificate is not fit, whichever CA signed it. */
function unfitness(certificate: Certificate): CertificateProblem | undefined {
  const { extensions } = certificate
  if (hasUnknownCritical(extensions, UNDERSTOOD)) return 'certificate-unknown-extension'
  const fitness = [
    publicKeyFitness(certificate.publicKey),
    signatureFitness(certificate.signatureAlgorithm),
  ]
  if (fitness.includes('weak')) return 'certificate-weak'
  if (fitness.includes('unsupported')) return 'certificate-unsupported-algorithm'
  const constraints = basicConstraints(extensions)
  const usage = keyUsage(extensions)
  const purposes = extendedKeyUsage(extensions)
  const malformed = [
    constraints,
    usage,
    purposes,
    authorityKeyIdentifier(extensions),
    subjectKeyIdentifier(extensions),
    subjectAltNames(extensions),
  ].includes('malformed')
  if (malformed) return 'certificate-malformed'
  if (typeof constraints === 'object' && constraints.certificateAuthority) {
    return 'certificate-wrong-usage'
  }
  if (typeof usage === 'object' && !usage.has(KEY_USAGE.digitalSignature)) {
    return 'certificate-wrong-usage'
  }
  if (typeof purposes === 'object' && !purposes.includes(CLIENT_AUTH)) {
    return 'certificate-wrong-usage'
  }
  return undefined
}

/** Whether the AuthorityKeyIdentifier, if there is one, matches this issuer. */
function keyIdentifierFits({ extensions }: Certificate, issuer: Issuer): boolean {
  const authority = authorityKeyIdentifier(extensions)
  if (typeof authority !== 'object') return true
  const { keyIdentifier, serial } = authority
  if (keyIdentifier !== undefined && issuer.keyIdentifier !== undefined) {
    if (!keyIdentifier.equals(issuer.keyIdentifier)) return false
  }
  return serial === undefined || serial === issuer.certificate.serial
}
