import { VISIBLE_IN_CONTEXT } from '../certificate/identity.ts'

const SHOWN_LENGTH = 100

const ESCAPED = String.raw`[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]`
const SHOWN_OR_ESCAPED = new RegExp(`(${VISIBLE_IN_CONTEXT})|${ESCAPED}`, 'gu')

/**
 * The text with control and formatting characters escaped: one line, without commands to a terminal.
 * What a device's name may contain, such as the joiners in emoji, stays.
 */
export function printable(text: string): string {
  return text.replace(SHOWN_OR_ESCAPED, (character, visible?: string) => {
    const digits = character.codePointAt(0)?.toString(16)
    return visible ?? `\\u{${digits}}`
  })
}

/** Quotes given text for a message: on one line, cut to a line's length. */
export function quote(text: string): string {
  const characters = [...text.slice(0, 2 * SHOWN_LENGTH)]
  const shown = characters.slice(0, SHOWN_LENGTH).join('')
  return `"${printable(shown)}${shown.length < text.length ? '…' : ''}"`
}

/** The candidate that `text` is most likely a typo of, if any is close enough. */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  const farthest = Math.max(2, Math.floor(text.length / 4))
  let best: string | undefined
  let least = farthest + 1
  for (const candidate of candidates) {
    // The distance is never less than the difference in length, and the table is quadratic.
    if (Math.abs(candidate.length - text.length) > farthest) continue
    const distance = editDistance(text, candidate)
    if (distance < least) {
      best = candidate
      least = distance
    }
  }
  return best
}

/** Levenshtein distance, row by row. */
function editDistance(from: string, to: string): number {
  const target = [...to]
  let distances = target.map((_, index) => index + 1)
  let distance = target.length
  for (const [deletions, character] of [...from].entries()) {
    let diagonal = deletions
    distance = deletions + 1
    distances = distances.map((above, index) => {
      const substituted = diagonal + (target[index] === character ? 0 : 1)
      diagonal = above
      distance = Math.min(substituted, above + 1, distance + 1)
      return distance
    })
  }
  return distance
}
