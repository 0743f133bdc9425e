/** Lower-case letters and digits that are easy to type on a phone, without 0 and o, 1 and l. */
export const PASSWORD_ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789'

/** As many random bytes as a password has letters and digits; each gives five bits. */
export const PASSWORD_RANDOM_BYTES = 20

/**
 * The password of a package, such as `k7fm-x2ab-…`: 100 bits, because the old key derivation of the
 * `compat` form adds almost nothing, and ASCII, because importers disagree on everything else.
 */
export const packagePassword = (random: Uint8Array): string =>
  passwordLetters(random).replace(/.{4}(?=.)/g, '$&-')

/** 100 random bits as 20 characters of the alphabet. */
export function passwordLetters(random: Uint8Array): string {
  if (random.length !== PASSWORD_RANDOM_BYTES) {
    throw new RangeError(`a password takes ${PASSWORD_RANDOM_BYTES} random bytes`)
  }
  // 32 characters divide 256 evenly, so all are equally likely.
  const { length } = PASSWORD_ALPHABET
  return Array.from(random, (byte) => PASSWORD_ALPHABET.charAt(byte % length)).join('')
}
