import { hash } from 'node:crypto'
import { PASSWORD_ALPHABET, PASSWORD_RANDOM_BYTES, passwordLetters } from './password.ts'

const LENGTH = PASSWORD_RANDOM_BYTES

/** The code of an invitation: 100 random bits, as in a package's password. */
export const invitationCode = passwordLetters

const CODE = new RegExp(`^[${PASSWORD_ALPHABET}]{${LENGTH}}$`)
/** Phones turn two hyphens into a dash, and mail programs a space into a no-break space. */
const SEPARATORS = /[\s\p{Pd}]/gu
/** Allows a separator or two after each character. */
const LONGEST_TYPED = 3 * LENGTH

/**
 * Reads a code as typed, in any case, with hyphens and spaces, or from the end of its link;
 * `undefined` if it is not a code.
 */
export function readInvitationCode(typed: string): string | undefined {
  const afterLink = typed.slice(typed.lastIndexOf('#') + 1)
  if (afterLink.length > LONGEST_TYPED) return undefined
  const code = afterLink.replace(SEPARATORS, '').toLowerCase()
  return CODE.test(code) ? code : undefined
}

const ID = /^[0-9a-f]{32}$/
const ID_LENGTH = 32

/** The name that an invitation is stored under: a hash, from which 100 random bits cannot be found. */
export const invitationId = (code: string): string =>
  hash('sha256', `certlatch invitation id\0${code}`, 'hex').slice(0, ID_LENGTH)

export const isInvitationId = (text: string): boolean => ID.test(text)

const NONCE = /^[A-Za-z0-9_-]{1,64}$/

/** Whether this can be a claim's nonce, with which a repeated claim gets the same answer. */
export const isNonce = (text: string): boolean => NONCE.test(text)

/** The hash that is stored instead of the nonce. */
export const nonceHash = (nonce: string): string =>
  hash('sha256', `certlatch invitation nonce\0${nonce}`, 'hex')
