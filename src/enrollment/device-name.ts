import { isPrintableName } from '../certificate/identity.ts'

/** The longest CN of a certificate (RFC 5280 appendix A.1, ub-common-name). */
const MAX_CHARACTERS = 64

/** The name of the device that `certlatch doctor` creates while it runs. */
export const DOCTOR_NAME = 'certlatch doctor'

/** Invisible characters, and those that Unicode reserves; the blank Braille pattern looks empty. */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800]/u

/** Scripts that spell with joiners; between letters of other scripts they are invisible. */
const JOINING_SCRIPTS = [
  ...['Arabic', 'Syriac', 'Mongolian', 'Nko', 'Devanagari', 'Bengali', 'Gurmukhi', 'Gujarati'],
  ...['Oriya', 'Tamil', 'Telugu', 'Kannada', 'Malayalam', 'Sinhala', 'Khmer', 'Myanmar'],
].map((script) => String.raw`\p{Script=${script}}`)

const PICTURE = String.raw`\p{Extended_Pictographic}`

/** Where such characters are legitimate: in a word, an emoji, a flag or a variant of an ideograph. */
const VISIBLE_IN_CONTEXT = new RegExp(
  [
    String.raw`(?<=[${JOINING_SCRIPTS.join('')}])[\u200c\u200d](?=\p{L})`,
    String.raw`(?<=[${PICTURE}\p{Emoji_Modifier}\ufe0f])\u200d(?=${PICTURE})`,
    String.raw`(?<=\p{Emoji})[\ufe0e\ufe0f]`,
    String.raw`(?<=\u{1f3f4})[\u{e0020}-\u{e007e}]+\u{e007f}`,
    String.raw`(?<=\p{Ideographic})[\u{e0100}-\u{e01ef}]`,
  ].join('|'),
  'gu',
)

/**
 * Returns the spelling that is stored: composed characters (NFC), and single spaces between words only,
 * because forms and terminals lose others.
 */
export const normalizeName = (text: string): string =>
  text
    .normalize('NFC')
    .replace(/\p{Zs}+/gu, ' ')
    .trim()

/**
 * Returns what is wrong with a name for a device, its owner or a CA, and what would be right, as a
 * clause that follows the name; `undefined` for a good one.
 */
export function deviceNameProblem(text: string, example = "Ada's phone"): string | undefined {
  const normal = normalizeName(text)
  if (normal === '') return `is empty; write one, like "${example}"`
  const length = [...normal].length
  if (length > MAX_CHARACTERS) {
    return `is ${length} characters long; a certificate has room for ${MAX_CHARACTERS}`
  }
  if (!isPrintableName(normal) || INVISIBLE.test(normal.replace(VISIBLE_IN_CONTEXT, ''))) {
    return 'has control, direction or invisible characters; type it again, without them'
  }
  if (normal.toLowerCase() === DOCTOR_NAME) {
    return 'is reserved for the device of certlatch doctor; choose another'
  }
  if (text !== normal) {
    return `is not in its normal spelling; write it "${normal}" (composed characters, single spaces)`
  }
  return undefined
}
