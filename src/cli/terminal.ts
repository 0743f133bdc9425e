import { Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { CommandError } from '../administration/command-error.ts'
import { printable } from '../config/text.ts'
import { errorCode } from '../store/files.ts'

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
  /** Writes `warning: …`, each line once: the command succeeds, but something needs attention. */
  warn(line: string): void
  /** Writes `error: …` and, with a hint, `hint: …`: the command fails. */
  error(problem: string, hint?: string): void
  /** Why a result could not be written; `undefined`: all were, or the reader has closed the pipe. */
  writeError(): Promise<Error | undefined>
}

export interface Streams {
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
  /** Where a person can be prompted; `undefined`: nowhere. */
  readonly stdin?: NodeJS.ReadableStream & { readonly isTTY?: boolean }
}

export function createTerminal({ stdout, stderr }: Streams): Terminal {
  for (const stream of [stdout, stderr]) stream.on('error', ignore)
  const write = (line: string): void => {
    stderr.write(`${printable(line)}\n`)
  }
  const warned = new Set<string>()
  let failure: Error | undefined
  return {
    print: (text) => {
      // Only the first error says why: later ones say that the stream is closed.
      stdout.write(`${text}\n`, (error) => {
        failure ??= error ?? undefined
      })
    },
    note: write,
    warn: (line) => {
      if (!warned.has(line)) write(`warning: ${line}`)
      warned.add(line)
    },
    error: (problem, hint) => {
      write(`error: ${problem}`)
      if (hint !== undefined) write(`hint: ${hint}`)
    },
    writeError: async () => {
      // Node writes to files, pipes and terminals at once, but reports an error later.
      await setImmediate()
      return errorCode(failure) === 'EPIPE' ? undefined : failure
    },
  }
}

/**
 * A log on a full disk must not stop the service, and `certlatch … | head -1` is not a failure. What
 * else could not be written, `writeError` reports.
 */
function ignore(): void {}

/** Writes to a stream. Returns whether that worked. */
export const isWritten = (
  stream: NodeJS.WritableStream,
  content: string | Buffer,
): Promise<boolean> =>
  new Promise((resolve) => {
    stream.write(content, (error) => resolve(error === undefined || error === null))
  })

/** Reads a line that is not echoed; `undefined` without a terminal. */
export async function askSecret(
  { stdin, stderr }: Streams,
  question: string,
): Promise<string | undefined> {
  if (stdin?.isTTY !== true) return undefined
  // Imported only here: the service never prompts.
  const { createInterface } = await import('node:readline/promises')
  stderr.write(question)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const dialog = createInterface({ input: stdin, output: nowhere, terminal: true })
  // Ctrl-C cancels the question, and with it the command.
  const canceled = new AbortController()
  dialog.once('SIGINT', () => canceled.abort())
  try {
    return await dialog.question('', { signal: canceled.signal })
  } catch {
    throw new CommandError('canceled; nothing was changed')
  } finally {
    dialog.close()
    stderr.write('\n')
  }
}
