import { encode } from 'uqr'

/** The quiet zone around a code, in cells, which cameras need to find it (ISO/IEC 18004). */
const BORDER_CELLS = 4

/**
 * Draws a QR code for a terminal, two cells in one character. It sets its own colors, black on white:
 * many cameras do not read white on black.
 */
export function qrCode(text: string): string {
  const { data, size } = encode(text, { ecc: 'L', border: BORDER_CELLS })
  const lines: string[] = []
  for (let row = 0; row < size; row += 2) {
    const cells = (data[row] ?? []).map((upper, column) => cell(upper, data[row + 1]?.[column]))
    lines.push(`${BLACK_ON_WHITE}${cells.join('')}${RESET}`)
  }
  return lines.join('\n')
}

const BLACK_ON_WHITE = '\u001b[38;5;16;48;5;231m'
const RESET = '\u001b[0m'

function cell(upper: boolean, lower = false): string {
  if (upper) return lower ? '█' : '▀'
  return lower ? '▄' : ' '
}
