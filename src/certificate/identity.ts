import type { Certificate } from './certificate.ts'
import { subjectAltNames } from './extensions.ts'
import { ATTRIBUTE, lastAttribute } from './name.ts'

/** Long enough for any name or address, short enough for a header and a label. */
const MAX_NAME_LENGTH = 256

/**
 * Characters that could forge a header, a log line or another name: control characters, line
 * separators, lone surrogates, marks that change the direction of text, and invisible characters (except
 * the joiners in emoji).
 */
const FORBIDDEN = /[\p{Cc}\p{Cs}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/u

/** Scripts that spell with joiners; between letters of other scripts they are invisible. */
const JOINING_SCRIPTS = [
  ...['Arabic', 'Syriac', 'Mongolian', 'Nko', 'Devanagari', 'Bengali', 'Gurmukhi', 'Gujarati'],
  ...['Oriya', 'Tamil', 'Telugu', 'Kannada', 'Malayalam', 'Sinhala', 'Khmer', 'Myanmar'],
].map((script) => String.raw`\p{Script=${script}}`)

const PICTURE = String.raw`\p{Extended_Pictographic}`

/**
 * The source of a regular expression for formatting characters where they are legitimate: in a word, an
 * emoji, a flag or a variant of an ideograph.
 */
export const VISIBLE_IN_CONTEXT: string = [
  String.raw`(?<=[${JOINING_SCRIPTS.join('')}])[\u200c\u200d](?=\p{L})`,
  String.raw`(?<=[${PICTURE}\p{Emoji_Modifier}\ufe0f])\u200d(?=${PICTURE})`,
  String.raw`(?<=\p{Emoji})[\ufe0e\ufe0f]`,
  String.raw`(?<=\u{1f3f4})[\u{e0020}-\u{e007e}]+\u{e007f}`,
  String.raw`(?<=\p{Ideographic})[\u{e0100}-\u{e01ef}]`,
].join('|')

/** Whether the text may name a device or its owner. */
export function isPrintableName(text: string): boolean {
  if (text.length === 0 || text.length > MAX_NAME_LENGTH) return false
  // White space around it would be lost on the way to the application, which would see another name.
  return text.trim() === text && !FORBIDDEN.test(text)
}

/** The parts of a certificate that may name its holder, in order of precedence. */
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

/** The kinds that are in the subject; the others are alternative names. */
const SUBJECT_ATTRIBUTES: Partial<Readonly<Record<IdentityKind, string>>> = {
  cn: ATTRIBUTE.commonName,
  'subject-email': ATTRIBUTE.emailAddress,
  uid: ATTRIBUTE.userId,
}

/**
 * The holder's name in a certificate of an external CA: the first of these kinds that it has; of several
 * values the first alternative name, or the last one in the subject. `undefined` if it has none of them,
 * or if that name is not printable. The next kind is not tried then: the CA may have checked only the
 * first.
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
 * Equal for two names that count as the same: composed or not, and in either case of ASCII letters. The
 * case of other letters depends on the language, and on the version of Unicode.
 */
export const comparableName = (name: string): string =>
  name.normalize('NFC').replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
