import type { Result } from '../result.ts'
import { readSigned } from './certificate.ts'
import {
  contextTag,
  readElements,
  readObjectIdentifier,
  readSequence,
  readSmallInteger,
  SequenceReader,
  TAG,
} from './der.ts'
import {
  basicConstraints,
  CLIENT_AUTH,
  type Extensions,
  extendedKeyUsage,
  KEY_USAGE,
  keyUsage,
  NO_EXTENSIONS,
  readExtensions,
} from './extensions.ts'
import { commonName, readName } from './name.ts'
import { type PublicKeyKind, readPublicKey, readPublicKeyKind } from './public-key.ts'
import { isSignedBy, signatureProblem } from './signature.ts'

/** What certlatch uses of a PKCS #10 request: the key, and a name to suggest. */
interface SigningRequest {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKeyInfo: Buffer
  readonly publicKey: PublicKeyKind
  readonly commonName: string | undefined
}

export type ReadSigningRequest = Result<{ request: SigningRequest }>

const MAX_REQUEST_BYTES = 16 * 1024
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14'

/**
 * Reads the certificate request (RFC 2986) that fills `der`, signed by its own key; the problem is a
 * clause that follows the file's name. Nothing that it requests besides the key is granted; one that
 * requests rights that no device gets is refused, so that no one assumes they were granted.
 */
export function readSigningRequest(der: Buffer): ReadSigningRequest {
  const refuse = (problem: string): ReadSigningRequest => ({ ok: false, problem })
  const signed = der.length > MAX_REQUEST_BYTES ? undefined : readSigned(der)
  const fields = signed && readInfo(signed.tbs.content)
  if (signed === undefined || fields === undefined) {
    return refuse('is not a certificate signing request (PKCS #10) in strict DER')
  }
  const { publicKeyInfo, publicKey, subject, extensions } = fields
  const read = readPublicKey(publicKey, publicKeyInfo)
  if (!read.ok) return refuse(read.problem)
  const unfit = signatureProblem(signed.signatureAlgorithm)
  if (unfit !== undefined) return refuse(unfit)
  if (!isSignedBy({ ...signed, tbs: signed.tbs.bytes }, read.key)) {
    return refuse('is not signed by the key that it asks a certificate for')
  }
  const excess = excessOf(extensions)
  if (excess !== undefined) return refuse(excess)
  return { ok: true, request: { publicKeyInfo, publicKey, commonName: commonName(subject) } }
}

/** CertificationRequestInfo; `undefined` if it is malformed. */
function readInfo(content: Buffer) {
  const fields = new SequenceReader(readElements(content) ?? [])
  const version = fields.take(TAG.integer)
  const subjectName = fields.take(TAG.sequence)
  const subject = subjectName && readName(subjectName.bytes)
  const keyInfo = fields.take(TAG.sequence)
  const publicKey = keyInfo && readPublicKeyKind(keyInfo.bytes)
  const attributes = fields.take(contextTag(0, true))
  const extensions = attributes && readRequestedExtensions(attributes.content)
  if (version === undefined || readSmallInteger(version.content) !== 0) return undefined
  if (subject === undefined || keyInfo === undefined || publicKey === undefined) return undefined
  if (extensions === undefined || !fields.atEnd) return undefined
  return { subject, publicKeyInfo: keyInfo.bytes, publicKey, extensions }
}

/** The value of the one extensionRequest (RFC 2985 §5.4.2) among the attributes. */
function readRequestedExtensions(attributes: Buffer): Extensions | undefined {
  const members = readElements(attributes)
  if (members === undefined) return undefined
  let requested: Extensions | undefined
  for (const member of members) {
    const fields = new SequenceReader(readSequence(member.bytes) ?? [])
    const type = fields.take(TAG.objectIdentifier)
    const values = fields.take(TAG.set)
    if (type === undefined || values === undefined || !fields.atEnd) return undefined
    if (readObjectIdentifier(type.content) !== EXTENSION_REQUEST) continue
    const extensions = readExtensions(values.content)
    if (extensions === undefined || requested !== undefined) return undefined
    requested = extensions
  }
  return requested ?? NO_EXTENSIONS
}

/** Rights that the request asks for and no device gets, as a clause after its name. */
function excessOf(extensions: Extensions): string | undefined {
  const constraints = basicConstraints(extensions)
  const usage = keyUsage(extensions)
  const purposes = extendedKeyUsage(extensions)
  if (constraints === 'malformed' || usage === 'malformed' || purposes === 'malformed') {
    return 'asks for extensions that certlatch cannot read'
  }
  if (constraints !== 'absent' && constraints.certificateAuthority) {
    return 'asks for a CA certificate (basicConstraints CA:TRUE), and certlatch signs only devices'
  }
  if (usage !== 'absent' && (usage.has(KEY_USAGE.keyCertSign) || usage.has(KEY_USAGE.crlSign))) {
    return 'asks to sign certificates or CRLs (keyUsage), and certlatch signs only devices'
  }
  if (purposes !== 'absent' && !purposes.includes(CLIENT_AUTH)) {
    return 'asks for an extendedKeyUsage without clientAuth, and certlatch signs only clients'
  }
  return undefined
}
