/** Lower-case letters and digits that are easy to type on a phone, without 0 and o, 1 and l. */
export const PASSWORD_ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789'
const GROUPS = 5
const GROUP_LENGTH = 4

/** As many random bytes as a password has characters; each gives five bits. */
export const PASSWORD_RANDOM_BYTES = GROUPS * GROUP_LENGTH

/**
 * The password of a package, such as `k7fm-x2ab-…`: 100 bits, because the old key derivation of the
 * `compat` form adds almost nothing, and ASCII, because importers disagree on everything else.
 */
export function packagePassword(random: Uint8Array): string {
  if (random.length !== PASSWORD_RANDOM_BYTES) {
    throw new RangeError(`a password takes ${PASSWORD_RANDOM_BYTES} random bytes`)
  }
  const letters = [...passwordLetters(random)]
  const groups = Array.from({ length: GROUPS }, (_, group) =>
    letters.slice(group * GROUP_LENGTH, (group + 1) * GROUP_LENGTH).join(''),
  )
  return groups.join('-')
}

/** One letter of the alphabet for each random byte: 5 bits each. */
export function passwordLetters(random: Uint8Array): string {
  // 32 letters divide 256 evenly, so all are equally likely.
  const { length } = PASSWORD_ALPHABET
  return Array.from(random, (byte) => PASSWORD_ALPHABET.charAt(byte % length)).join('')
}
