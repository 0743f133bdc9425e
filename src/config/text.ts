const SHOWN_LENGTH = 100

/** The text with control and formatting characters escaped: one line, and no orders to a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => {
    const codePoint = character.codePointAt(0) ?? 0
    return `\\u{${codePoint.toString(16)}}`
  })
}

/** A person's own words in a message: quoted, on one line, not longer than a line. */
export function quote(text: string): string {
  const characters = [...text.slice(0, 2 * SHOWN_LENGTH)]
  const shown = characters.slice(0, SHOWN_LENGTH).join('')
  return `"${printable(shown)}${shown.length < text.length ? '…' : ''}"`
}

/** The candidate that `text` is most likely a slip of, if any is near enough to be offered. */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  const farthest = Math.max(2, Math.floor(text.length / 4))
  let best: { readonly candidate: string; readonly distance: number } | undefined
  for (const candidate of candidates) {
    // The distance is never less than the difference in length, and the table is quadratic.
    if (Math.abs(candidate.length - text.length) > farthest) continue
    const distance = editDistance(text, candidate)
    if (distance <= farthest && distance < (best?.distance ?? Infinity)) {
      best = { candidate, distance }
    }
  }
  return best?.candidate
}

/** Levenshtein distance, by rows. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [rowIndex, fromCharacter] of [...from].entries()) {
    const next = [rowIndex + 1]
    for (const [index, toCharacter] of [...to].entries()) {
      const [diagonal = 0, above = 0] = row.slice(index, index + 2)
      const left = next[index] ?? 0
      next.push(Math.min(above + 1, left + 1, diagonal + (fromCharacter === toCharacter ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
