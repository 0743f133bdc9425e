import type { Certificate } from './certificate.ts'
import { subjectAltNames } from './extensions.ts'
import { commonName } from './name.ts'

/** Long enough for any name or address, short enough for a header and a label. */
const MAX_NAME_LENGTH = 256

/**
 * What could forge a header, a log line or another name: control characters, separators of lines,
 * lone surrogates, marks that turn the direction of writing, and characters that nobody sees (but
 * the joiners, of which emoji are made).
 */
const FORBIDDEN = /[\p{Cc}\p{Cs}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/u

/** Whether the text may name a device or its owner. */
export function isPrintableName(text: string): boolean {
  if (text.length === 0 || text.length > MAX_NAME_LENGTH) return false
  // White space around it would be lost on the way to the application, and be another's name.
  return text.trim() === text && !FORBIDDEN.test(text)
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
