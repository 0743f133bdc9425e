import { printable } from '../config/text.ts'

/**
 * How certlatch speaks. Standard output carries results alone: what a person asked for or a script
 * reads. All else goes to standard error, one line each, after `certlatch: `, without a capital at
 * the beginning and a period at the end. A line about a failure also says the next step.
 */
export interface Terminal {
  /** A result, as it is; a line break is added. */
  print(text: string): void
  /** Anything else. What others wrote may stand in it: it stays one line. */
  tell(sentence: string): void
}

export interface Streams {
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
  /** Where a person can be asked; `undefined`: nowhere. */
  readonly stdin?: NodeJS.ReadableStream & { readonly isTTY?: boolean }
}

export function createTerminal({ stdout, stderr }: Streams): Terminal {
  for (const stream of [stdout, stderr]) stream.on('error', ignore)
  return {
    print: (text) => {
      stdout.write(`${text}\n`)
    },
    tell: (sentence) => {
      stderr.write(`certlatch: ${printable(sentence)}\n`)
    },
  }
}

/**
 * `certlatch … | head -1` is no failure, and a log on a full disk must not close the gate: what can't
 * be written is lost.
 */
function ignore(): void {}
