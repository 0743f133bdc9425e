import { printable } from '../config/text.ts'

/**
 * The two outputs of a command. Standard output carries results only: what a person asked for or a
 * script reads. Everything else goes to standard error, one line each, without a capital at the
 * beginning or a period at the end; control characters are escaped, because a line may quote
 * untrusted text.
 */
export interface Terminal {
  /** Writes a result as it is, and a line break. */
  print(text: string): void
  /** Writes a line without a prefix: what was done, what comes next. */
  note(line: string): void
  /** Writes `warning: …`: the command succeeds, but something needs attention. */
  warn(line: string): void
  /** Writes `error: …` and, with a hint, `hint: …`: the command fails. */
  error(problem: string, hint?: string): void
}

export interface Streams {
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
  /** Where a person can be asked; `undefined`: nowhere. */
  readonly stdin?: NodeJS.ReadableStream & { readonly isTTY?: boolean }
}

export function createTerminal({ stdout, stderr }: Streams): Terminal {
  for (const stream of [stdout, stderr]) stream.on('error', ignore)
  const write = (line: string): void => {
    stderr.write(`${printable(line)}\n`)
  }
  return {
    print: (text) => {
      stdout.write(`${text}\n`)
    },
    note: write,
    warn: (line) => write(`warning: ${line}`),
    error: (problem, hint) => {
      write(`error: ${problem}`)
      if (hint !== undefined) write(`hint: ${hint}`)
    },
  }
}

/**
 * `certlatch … | head -1` is no failure, and a log on a full disk must not close the gate: what can't
 * be written is lost.
 */
function ignore(): void {}
