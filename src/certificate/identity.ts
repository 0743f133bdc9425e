import type { Certificate } from './certificate.ts'
import { subjectAltNames } from './extensions.ts'
import { commonName } from './name.ts'

/** Long enough for any name or address, short enough for a header and a label. */
const MAX_NAME_LENGTH = 256

/** Control characters, line and paragraph separators: what could forge a header or a log line. */
const FORBIDDEN = /[\p{Cc}\u2028\u2029]/u

/** Whether the text may name a device or its owner. */
export function isPrintableName(text: string): boolean {
  return text.length > 0 && text.length <= MAX_NAME_LENGTH && !FORBIDDEN.test(text)
}

/**
 * Who a certificate of an external CA names: the first of its SAN e-mail addresses, SAN URIs and
 * CNs. `undefined` if it names nobody, or in a way that must not be printed: then it is not the
 * next candidate's turn, for the CA may have checked only the first.
 */
export function certificateIdentity(certificate: Certificate): string | undefined {
  const names = subjectAltNames(certificate.extensions)
  const alternatives = typeof names === 'object' ? names : []
  const named =
    alternatives.find(({ kind }) => kind === 'email') ??
    alternatives.find(({ kind }) => kind === 'uri')
  const identity = named?.text ?? commonName(certificate.subject)
  return identity !== undefined && isPrintableName(identity) ? identity : undefined
}
