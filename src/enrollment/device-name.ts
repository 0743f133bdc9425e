import { isPrintableName, VISIBLE_IN_CONTEXT } from '../certificate/identity.ts'

/** The longest CN of a certificate (RFC 5280 appendix A.1, ub-common-name). */
const MAX_CHARACTERS = 64

/** The name of the device that `certlatch doctor` creates while it runs. */
export const DOCTOR_NAME = 'certlatch doctor'

/** Invisible characters, and those that Unicode reserves; the blank Braille pattern looks empty. */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800]/u
const SHOWN = new RegExp(VISIBLE_IN_CONTEXT, 'gu')

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
  if (!isPrintableName(normal) || INVISIBLE.test(normal.replace(SHOWN, ''))) {
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
