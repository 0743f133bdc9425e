/** `usage`: the command line, a setting or a named file cannot be used. `failed`: anything else. */
export type CommandErrorCode = 'usage' | 'failed'

export interface CommandErrorOptions {
  /** What would be right, or the next step, as one line. */
  readonly hint?: string | undefined
  readonly code?: CommandErrorCode
}

/** Why a command cannot be carried out. Nothing has changed, unless a problem says so. */
export class CommandError extends Error {
  readonly problems: readonly string[]
  readonly hint: string | undefined
  readonly code: CommandErrorCode

  constructor(
    problems: string | readonly string[],
    { hint, code = 'failed' }: CommandErrorOptions = {},
  ) {
    const lines = typeof problems === 'string' ? [problems] : problems
    super(lines.join('\n'))
    this.name = 'CommandError'
    this.problems = lines
    this.hint = hint
    this.code = code
  }
}

export const usageError = (problem: string, hint?: string): CommandError =>
  new CommandError(problem, { code: 'usage', hint })
