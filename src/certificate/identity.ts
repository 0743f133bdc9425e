import type { Certificate } from './certificate.ts'
import { subjectAltNames } from './extensions.ts'
import { ATTRIBUTE, lastAttribute } from './name.ts'

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

/** What of a certificate may name its holder, in the order in which it is asked. */
export const DEFAULT_IDENTITY = [
  'email',
  'uri',
  'cn',
  'upn',
  'dns',
  'subject-email',
  'uid',
] as const

export type IdentityKind = (typeof DEFAULT_IDENTITY)[number]

/** Those of the subject; the others are alternative names. */
const SUBJECT_ATTRIBUTES: Partial<Readonly<Record<IdentityKind, string>>> = {
  cn: ATTRIBUTE.commonName,
  'subject-email': ATTRIBUTE.emailAddress,
  uid: ATTRIBUTE.userId,
}

/**
 * Who a certificate of an external CA names: the first of these kinds that it has; of several values
 * the first alternative name, the last in the subject. `undefined` if it names nobody, or in a way
 * that must not be printed: then it is not the next kind's turn, for the CA may have checked only
 * that one.
 */
export function certificateIdentity(
  { subject, extensions }: Certificate,
  kinds: readonly IdentityKind[] = DEFAULT_IDENTITY,
): string | undefined {
  const names = subjectAltNames(extensions)
  const alternatives = typeof names === 'object' ? names : []
  for (const kind of kinds) {
    const type = SUBJECT_ATTRIBUTES[kind]
    const named =
      type === undefined
        ? alternatives.find((name) => name.kind === kind)
        : lastAttribute(subject, type)
    if (named === undefined) continue
    const { text } = named
    return text !== undefined && isPrintableName(text) ? text : undefined
  }
  return undefined
}

/**
 * Equal for two names that are taken for one: composed or not, and in ASCII of whatever case. Further
 * letters are left alone: their other case depends on the language, and on the version of Unicode.
 */
export const comparableName = (name: string): string =>
  name.normalize('NFC').replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
