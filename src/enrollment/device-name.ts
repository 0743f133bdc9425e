import { isPrintableName } from '../certificate/identity.ts'

/** What the CN of a certificate may have (RFC 5280 appendix A.1, ub-common-name). */
const MAX_CHARACTERS = 64

/** The name of the device that `certlatch doctor` has while it runs. */
export const DOCTOR_NAME = 'certlatch doctor'

/** What nobody sees, and what Unicode keeps for programs; the blank Braille pattern looks empty. */
const UNSEEN = /[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800]/u

/** Scripts that spell with joiners; between the letters of others nobody could see them. */
const JOINING_SCRIPTS = [
  ...['Arabic', 'Syriac', 'Mongolian', 'Nko', 'Devanagari', 'Bengali', 'Gurmukhi', 'Gujarati'],
  ...['Oriya', 'Tamil', 'Telugu', 'Kannada', 'Malayalam', 'Sinhala', 'Khmer', 'Myanmar'],
].map((script) => String.raw`\p{Script=${script}}`)

const PICTURE = String.raw`\p{Extended_Pictographic}`

/** Where such characters belong: inside a word, an emoji, a flag or the form of an ideograph. */
const SEEN_TOGETHER = new RegExp(
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
 * The spelling under which a name is kept: composed characters (NFC), and single spaces that stand
 * only between words, as they are lost on the way through forms and terminals.
 */
export const normalizeName = (text: string): string =>
  text
    .normalize('NFC')
    .replace(/\p{Zs}+/gu, ' ')
    .trim()

/**
 * What is wrong with a name that somebody wants to give to a device, its owner or a CA, and what would
 * be right, as a clause that follows the name; `undefined` for a good one.
 */
export function deviceNameProblem(text: string, example = "Ada's phone"): string | undefined {
  const normal = normalizeName(text)
  if (normal === '') return `is empty; write one, like "${example}"`
  const length = [...normal].length
  if (length > MAX_CHARACTERS) {
    return `is ${length} characters long; a certificate has room for ${MAX_CHARACTERS}`
  }
  if (!isPrintableName(normal) || UNSEEN.test(normal.replace(SEEN_TOGETHER, ''))) {
    return 'has control, direction or invisible characters; type it anew, without them'
  }
  if (normal.toLowerCase() === DOCTOR_NAME) {
    return 'is the one that certlatch doctor gives its own device; choose another'
  }
  if (text !== normal) {
    return `is not in its normal spelling; write it "${normal}" (composed characters, single spaces)`
  }
  return undefined
}
